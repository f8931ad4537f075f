//! [`check`]: what is read from a script's text when it is saved: its faults, the schema of `main`, the version
//! of its preprocessor. Called by the API; nothing of the script is run.

use serde_json::Value;

use super::{
    language::{
        bash,
        javascript::{bun, deno},
        nativets, python3,
        typescript::{self, Compiled, PreprocessorVersion, SyntaxError},
    },
    limits::RunLimits,
    needs,
};
use crate::types::{Invalid, Language};

/// Which arguments a preprocessor takes (windmill-facts §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preprocessor {
    /// `msg` and `wm_trigger`.
    V1,
    /// One `event`.
    V2,
}

impl Preprocessor {
    /// As column `scripts.preprocessor` says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// What a script's text says.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptFacts {
    /// JSON Schema of the parameters of `main`; none when `main` is not defined in the text itself.
    pub schema: Option<Value>,
    /// Its preprocessor, if it has one.
    pub preprocessor: Option<Preprocessor>,
}

/// Largest text of a script: what the request that brings it may hold is larger, but no script is.
const MAX_CONTENT_BYTES: usize = 1024 * 1024;

/// Reads `content` as a script in `language`.
///
/// # Errors
/// A syntax error with its place, no `main`, a language that this machine has no program for. The text begins
/// with the field that is wrong: `content: …` or `language: …`.
pub async fn check(language: Language, content: &str) -> Result<ScriptFacts, Invalid> {
    check_within(language, content, &RunLimits::default()).await
}

pub(crate) async fn check_within(
    language: Language,
    content: &str,
    limits: &RunLimits,
) -> Result<ScriptFacts, Invalid> {
    if content.len() > MAX_CONTENT_BYTES {
        return Err(Invalid(format!(
            "content: a script may have {MAX_CONTENT_BYTES} bytes, this one has {}",
            content.len()
        )));
    }
    match language {
        Language::Python3 => {
            let (schema, version) = python3::check(content, limits).await?;
            let preprocessor = version.map(|version| match version.as_str() {
                "v1" => Preprocessor::V1,
                _ => Preprocessor::V2,
            });
            Ok(ScriptFacts {
                schema,
                preprocessor,
            })
        }
        Language::Bash => Ok(ScriptFacts {
            schema: Some(bash::check(content, limits).await?),
            preprocessor: None,
        }),
        Language::Nativets => typescript_facts(content.to_owned(), nativets::compile).await,
        Language::Bun | Language::Deno => javascript_facts(language, content.to_owned()).await,
    }
}

async fn javascript_facts(language: Language, content: String) -> Result<ScriptFacts, Invalid> {
    let program = match language {
        Language::Deno => deno::program(),
        _ => bun::program(),
    };
    program.map_err(|error| Invalid(format!("language: {error}")))?;
    let compile = move |source: &str| {
        let compiled = typescript::compile(source)?;
        needs::of_javascript(language, &compiled, "").map_err(|message| {
            let foreign = compiled.imports.iter().position(|name| {
                // The message names the import it is about.
                message.contains(&format!("\"{name}\""))
            });
            let places = &compiled.import_places;
            let (line, column) = foreign
                .and_then(|at| places.get(at).copied())
                .unwrap_or((1, 1));
            SyntaxError {
                line,
                column,
                message,
            }
        })?;
        Ok(compiled)
    };
    typescript_facts(content, compile).await
}

async fn typescript_facts(
    content: String,
    compile: impl FnOnce(&str) -> Result<Compiled, SyntaxError> + Send + 'static,
) -> Result<ScriptFacts, Invalid> {
    // The compiler may take a second for a hostile source.
    let compiled = actix_rt::task::spawn_blocking(move || compile(&content)).await;
    let compiled = match compiled {
        Ok(Ok(compiled)) => compiled,
        Ok(Err(error)) => return Err(syntax_error(&error)),
        Err(_) => {
            return Err(Invalid(
                "content: the compiler could not read it".to_owned(),
            ));
        }
    };
    Ok(ScriptFacts {
        schema: Some(compiled.signature.schema()),
        preprocessor: compiled.preprocessor.map(|version| match version {
            PreprocessorVersion::V1 => Preprocessor::V1,
            PreprocessorVersion::V2 => Preprocessor::V2,
        }),
    })
}

fn syntax_error(error: &SyntaxError) -> Invalid {
    Invalid(format!("content: {error}"))
}
