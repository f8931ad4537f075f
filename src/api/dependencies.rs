//! The jobs by which `wmill generate-metadata` asks for lock files (windmill-facts §2.3).
//!
//! windsock resolves packages when a script is built, not before it is pushed, so a lock is empty: nothing is pinned. The
//! scripts and flows are read all the same, so that what could not be saved is refused here already.

use std::sync::Arc;

use actix_web::web;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{State, answer::Created, error::Error, extract::Body};
use crate::{
    access::Caller,
    queue::{Args, NewJob, Runnable},
    types::Language,
};

/// Scripts of one request; a client asks for one at a time.
const MOST_SCRIPTS: usize = 1_000;

/// Gives back what it is given: the job's result is what the client waits for.
const ECHO: &str = "export function main(answer: object) { return answer }";

/// Scripts whose dependencies are asked for.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RawScripts {
    raw_scripts: Vec<RawScript>,
}

/// One of them.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RawScript {
    raw_code: String,
    /// `python3`, `bash`, `nativets`, `bun` or `deno`.
    language: String,
}

/// A flow whose dependencies are asked for.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RawFlow {
    /// OpenFlow.
    #[schema(value_type = Object)]
    flow_value: Value,
}

/// Starts a job whose result has the lock of a script.
pub(crate) async fn of_script(
    caller: Caller,
    body: Body<RawScripts>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    let scripts = body.0.raw_scripts;
    if scripts.len() > MOST_SCRIPTS {
        let text = format!("at most {MOST_SCRIPTS} at once");
        return Err(Error::field("raw_scripts", text));
    }
    for (index, script) in scripts.into_iter().enumerate() {
        let place = format!("raw_scripts[{index}]");
        let language: Language = script
            .language
            .parse()
            .map_err(|error| Error::field(&format!("{place}.language"), error))?;
        state.script_check.check(language, script.raw_code).await?;
    }
    answer(&caller, json!({"lock": ""}), &state).await
}

/// Starts a job whose result has the flow with the locks of its scripts.
pub(crate) async fn of_flow(
    caller: Caller,
    body: Body<RawFlow>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    let value = body.0.flow_value;
    state.script_check.check_flow(value.clone()).await?;
    answer(&caller, json!({"updated_flow_value": value}), &state).await
}

async fn answer(caller: &Caller, answer: Value, state: &State) -> Result<Created, Error> {
    caller.may_change()?;
    let echo = Runnable::Preview {
        path: None,
        language: Language::Nativets,
        content: ECHO.to_owned(),
    };
    let workspace: Arc<str> = caller.workspace.as_deref().unwrap_or_default().into();
    let args = Args::Object(json!({"answer": answer}).to_string());
    let mut job = NewJob::new(workspace, echo, args, &caller.username);
    job.permissioned_as = caller.run_as().into();
    let id = job.id;
    state.queue.push_soon(vec![job]).await?;
    Ok(Created(id.to_string()))
}
