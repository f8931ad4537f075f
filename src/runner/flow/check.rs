//! [`check_flow`]: what is read from a flow when it is saved: its faults, down to the syntax of every expression and of
//! every script in it. Called by the API; nothing of the flow is run.

use std::time::Duration;

use serde_json::Value;

use super::engine::Engine;
use crate::{
    flow::{FlowValue, PREPROCESSOR, Step},
    runner::check::{Preprocessor, ScriptFacts, check},
    types::{Invalid, Language},
};

/// Longest check of all scripts of a flow together; each starts a program for python3 and bash.
const CHECK_TIME: Duration = Duration::from_secs(120);

/// What a flow's text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowFacts {
    /// What its preprocessor takes, if it has one whose text is part of the flow.
    pub preprocessor: Option<Preprocessor>,
}

/// Reads `value` as a flow.
///
/// # Errors
/// Names the module and the field that does not fit, or is not supported.
pub async fn check_flow(value: &Value) -> Result<FlowFacts, Invalid> {
    let flow = FlowValue::from_json(value)?;
    let flow = expressions(flow).await?;
    match tokio::time::timeout(CHECK_TIME, scripts(&flow)).await {
        Ok(facts) => facts,
        Err(_) => Err(Invalid(format!(
            "value: the scripts of the flow could not be checked within {} s",
            CHECK_TIME.as_secs()
        ))),
    }
}

/// Checks the syntax of every expression, on a thread that may block.
async fn expressions(flow: FlowValue) -> Result<FlowValue, Invalid> {
    let checked = actix_rt::task::spawn_blocking(move || {
        let engine = Engine::new().map_err(Invalid)?;
        if let Some(expr) = &flow.skip_expr {
            let said = |error| Invalid(format!("value: skip_expr: {error}"));
            engine.check(&expr.0).map_err(said)?;
        }
        for (place, module) in flow.places() {
            for (field, expr) in module.exprs() {
                let said = |error| Invalid(format!("{place}: {field}: {error}"));
                engine.check(&expr.0).map_err(said)?;
            }
        }
        Ok(flow)
    });
    let gone = || {
        Err(Invalid(
            "value: its expressions could not be checked".to_owned(),
        ))
    };
    checked.await.unwrap_or_else(|_| gone())
}

async fn scripts(flow: &FlowValue) -> Result<FlowFacts, Invalid> {
    let mut facts = FlowFacts { preprocessor: None };
    for (place, module) in flow.places() {
        let Step::RawScript {
            language, content, ..
        } = &module.step
        else {
            // A saved script's own preprocessor decides when the flow is started: `v2` is what all understand.
            if module.id == PREPROCESSOR {
                facts.preprocessor = Some(Preprocessor::V2);
            }
            continue;
        };
        let said = |error: Invalid| Invalid(format!("{place}: {error}"));
        if module.id == PREPROCESSOR {
            let version = preprocessor(*language, content).await.map_err(said)?;
            facts.preprocessor = Some(version);
        } else {
            check(*language, content).await.map_err(said)?;
        }
    }
    Ok(facts)
}

async fn preprocessor(language: Language, content: &str) -> Result<Preprocessor, Invalid> {
    let missing = || {
        let text = "content: a preprocessor needs a function 'preprocessor' in python3 or TypeScript, \
                    for example: def preprocessor(event):";
        Invalid(text.to_owned())
    };
    let ScriptFacts { preprocessor, .. } = match check(language, content).await {
        Ok(facts) => facts,
        Err(error) => match with_main(language, content) {
            Some(content) => check(language, &content).await?,
            None => return Err(error),
        },
    };
    preprocessor.ok_or_else(missing)
}

/// The text of a preprocessor with a `main`, which scripts must have; only `preprocessor` is called.
pub(crate) fn with_main(language: Language, content: &str) -> Option<String> {
    match language {
        Language::Python3 => Some(format!("{content}\n\n\ndef main():\n    pass\n")),
        Language::Nativets | Language::Bun | Language::Deno => {
            Some(format!("{content}\nexport function main() {{}}\n"))
        }
        Language::Bash => None,
    }
}
