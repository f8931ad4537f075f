//! Starting jobs of scripts and flows that travel with the request (windmill-facts §2.1).

use actix_web::{HttpRequest, web};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use utoipa::ToSchema;

use super::{
    State,
    answer::{Created, Waited},
    error::Error,
    extract::{Body, Query},
    flow_steps,
    jobs_restart::may_take_over,
    jobs_run::{How, arguments, new_job},
    jobs_wait::{answer, wait},
};
use crate::{
    access::{Caller, Denied},
    flow::{FlowValue, RestartedFrom},
    queue::{NewJob, Runnable, StepRunnable, is_event, refers},
    types::{JobKind, Language},
};

/// A script that is not saved.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Preview {
    content: String,
    /// `python3`, `bash`, `nativets`, `bun` or `deno`.
    language: String,
    /// The path it says it has.
    path: Option<String>,
    #[schema(value_type = Option<Object>)]
    args: Option<Box<RawValue>>,
    tag: Option<String>,
}

/// Whether arguments may be meant for a preprocessor; only then it matters whether an unsaved script has one.
fn looks_like_event(args: &str) -> bool {
    ["v1", "v2"].iter().any(|version| is_event(args, version))
}

/// The job of a script that travels with the request.
async fn preview(
    (caller, req): (&Caller, &HttpRequest),
    mut how: How,
    body: Preview,
    state: &State,
) -> Result<NewJob, Error> {
    caller.may_change()?;
    if !caller.may_run_unsaved() {
        return Err(Denied::Forbidden("this token runs saved scripts only".to_owned()).into());
    }
    let Preview {
        content,
        language,
        path,
        args,
        tag,
    } = body;
    let language: Language = language
        .parse()
        .map_err(|error| Error::field("language", error))?;
    let args = args.map_or_else(|| "{}".to_owned(), |args| args.get().to_owned());
    let args =
        arguments(args.as_bytes()).map_err(|_| Error::field("args", "expected an object"))?;
    let path = path.filter(|path| !path.is_empty()).map(Into::into);
    how.tag = how.tag.or(tag);
    let preprocessor = if looks_like_event(&args) {
        // One that cannot be read fails as a job, with the error in its result.
        let facts = state.script_check.check(language, content.clone()).await;
        facts.ok().and_then(|facts| facts.preprocessor)
    } else {
        None
    };
    let runnable = Runnable::Preview {
        path,
        language,
        content,
    };
    let mut job = new_job((caller, req, state), runnable, args, how).await?;
    job.preprocessor = preprocessor;
    Ok(job)
}

/// Runs a script that travels with the request; the answer is the job's id.
pub(crate) async fn run_preview(
    (caller, req): (Caller, HttpRequest),
    how: Query<How>,
    body: Body<Preview>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    let job = preview((&caller, &req), how.0, body.0, &state).await?;
    let id = job.id;
    state.queue.push_soon(vec![job]).await?;
    Ok(Created(id.to_string()))
}

/// Runs a script that travels with the request and answers its result; 422 when it failed.
pub(crate) async fn wait_preview(
    (caller, req): (Caller, HttpRequest),
    how: Query<How>,
    body: Body<Preview>,
    state: web::Data<State>,
) -> Result<Waited, Error> {
    let job = preview((&caller, &req), how.0, body.0, &state).await?;
    Ok(Waited(answer(&wait(&caller, job, &state).await?)))
}

/// A flow that is not saved.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct FlowPreview {
    /// OpenFlow.
    #[schema(value_type = Object)]
    value: Value,
    /// The path it says it has.
    path: Option<String>,
    #[schema(value_type = Option<Object>)]
    args: Option<Box<RawValue>>,
    tag: Option<String>,
    /// What it goes on from: `flow_job_id`, a run of a flow that has ended, `step_id`, the step it begins with, and of a loop
    /// or `branchall` `branch_or_iteration_n`. What the steps before it came to there is taken over.
    #[schema(value_type = Option<Object>)]
    restarted_from: Option<RestartedFrom>,
}

/// Whether a static input somewhere in a flow refers to something.
fn has_static_references(flow: &Value) -> bool {
    match flow {
        Value::Object(fields) if fields.get("type").is_some_and(|kind| kind == "static") => {
            fields.get("value").is_some_and(refers)
        }
        Value::Object(fields) => fields.values().any(has_static_references),
        Value::Array(items) => items.iter().any(has_static_references),
        _ => false,
    }
}

/// The job of a flow that travels with the request.
async fn flow_preview(
    (caller, req): (&Caller, &HttpRequest),
    mut how: How,
    body: FlowPreview,
    state: &State,
) -> Result<NewJob, Error> {
    caller.may_change()?;
    if !caller.may_run_unsaved() {
        return Err(Denied::Forbidden("this token runs saved flows only".to_owned()).into());
    }
    if caller.job.is_some() && has_static_references(&body.value) {
        let text =
            "a static input of a flow that a job makes may not refer to a variable or a resource";
        return Err(Error::field("value", text));
    }
    flow_steps::may_start(caller, &body.value, state).await?;
    let mut raw = json!({"value": &body.value});
    let restarted = match body.restarted_from {
        Some(from) => Some(taken_over(caller, from, (&body.value, state)).await?),
        None => None,
    };
    if let Some(from) = &restarted {
        raw["restarted_from"] = json!(from);
    }
    let preprocessor = state.script_check.check_flow(body.value).await?;
    let args = body
        .args
        .map_or_else(|| "{}".to_owned(), |args| args.get().to_owned());
    let args =
        arguments(args.as_bytes()).map_err(|_| Error::field("args", "expected an object"))?;
    how.tag = how.tag.or(body.tag);
    let runnable = StepRunnable {
        kind: JobKind::FlowPreview,
        path: body.path.filter(|path| !path.is_empty()),
        hash: None,
        raw: Some(raw.to_string()),
    };
    let runnable = Runnable::Step(Box::new(runnable));
    let mut job = new_job((caller, req, state), runnable, args, how).await?;
    job.preprocessor = preprocessor;
    // It begins behind its preprocessor.
    job.skip_preprocessor |= restarted.is_some();
    Ok(job)
}

/// What a flow that travels with the request goes on from, if it may.
async fn taken_over(
    caller: &Caller,
    from: RestartedFrom,
    (value, state): (&Value, &State),
) -> Result<RestartedFrom, Error> {
    // What is not saved has no version.
    let from = RestartedFrom {
        flow_version: None,
        ..from
    };
    let flow = FlowValue::from_json(value)?;
    let (caller, wish) = (caller.clone(), from.clone());
    state
        .run(move |conn| may_take_over(conn, &caller, (&wish, &flow)))
        .await?;
    Ok(from)
}

/// Runs a flow that travels with the request; the answer is the job's id.
pub(crate) async fn run_preview_flow(
    (caller, req): (Caller, HttpRequest),
    how: Query<How>,
    body: Body<FlowPreview>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    let job = flow_preview((&caller, &req), how.0, body.0, &state).await?;
    let id = job.id;
    state.queue.push_soon(vec![job]).await?;
    Ok(Created(id.to_string()))
}

/// Runs a flow that travels with the request and answers its result; 422 when it failed.
pub(crate) async fn wait_preview_flow(
    (caller, req): (Caller, HttpRequest),
    how: Query<How>,
    body: Body<FlowPreview>,
    state: web::Data<State>,
) -> Result<Waited, Error> {
    let job = flow_preview((&caller, &req), how.0, body.0, &state).await?;
    Ok(Waited(answer(&wait(&caller, job, &state).await?)))
}
