//! What the API shows of a flow's job besides the job: where its run is, and the flow (windmill-facts §2.2). Clients read
//! `flow_status` at once, so it is there from the first moment to the last.

use actix_web::web;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    State,
    answer::Raw,
    error::Error,
    extract::{JobAt, KeyAt},
    jobs_read::visible,
};
use crate::{
    access::Caller,
    db::{Conn, flow, flow_run, job_list::AnyJob},
    flow::{FlowStatus, FlowValue, ModuleState},
    types::{JobId, JobKind, Timestamp},
};

/// What is needed of a job, wherever it is kept.
struct Place<'a> {
    id: JobId,
    workspace: &'a str,
    kind: Option<JobKind>,
    version: Option<i64>,
    raw: Option<&'a str>,
    preprocess: bool,
    created_at: Timestamp,
    has_ended: bool,
}

fn place(job: &AnyJob) -> Place<'_> {
    match job {
        AnyJob::Queued(row) => Place {
            id: row.id,
            workspace: &row.workspace_id,
            kind: row.kind.parse().ok(),
            version: row.runnable_hash,
            raw: row.raw.as_deref(),
            preprocess: row.preprocess,
            created_at: row.created_at,
            has_ended: false,
        },
        AnyJob::Completed(row) => Place {
            id: row.id,
            workspace: &row.workspace_id,
            kind: row.kind.parse().ok(),
            version: row.runnable_hash,
            raw: row.raw.as_deref(),
            preprocess: row.preprocessed,
            created_at: row.created_at,
            has_ended: true,
        },
    }
}

/// The flow a job runs, as JSON; none for parts of flows and for what is no flow.
fn value(conn: &mut Conn, job: &Place<'_>) -> Result<Option<String>, Error> {
    match (&job.kind, job.version) {
        (Some(JobKind::FlowPreview), _) => {
            #[derive(Deserialize)]
            struct Travelling {
                value: Box<RawValue>,
            }
            let raw = job.raw.unwrap_or_default();
            let value = serde_json::from_str(raw).ok();
            Ok(value.map(|raw: Travelling| raw.value.get().to_owned()))
        }
        (Some(JobKind::Flow), Some(version)) => {
            let row = flow::by_version(conn, job.workspace, version)?;
            Ok(row.map(|row| row.value))
        }
        _ => Ok(None),
    }
}

/// Where the run of a job is, as it is kept.
fn run(conn: &mut Conn, job: &Place<'_>) -> Result<Option<String>, Error> {
    let Some(run) = flow_run::find(conn, job.id)? else {
        return Ok(None);
    };
    let ended = match serde_json::from_str::<FlowStatus>(&run.status) {
        Ok(status) if job.has_ended => text(&status.ended()),
        _ => run.status,
    };
    Ok(Some(ended))
}

/// Where the run of a flow is that has not begun.
fn beginning(job: &Place<'_>, value: &str) -> Option<String> {
    let value = serde_json::from_str(value).ok()?;
    let flow = FlowValue::from_json(&value).ok()?;
    Some(text(&FlowStatus::of(&flow, job.preprocess, job.created_at)))
}

fn text(status: &FlowStatus) -> String {
    serde_json::to_string(status).unwrap_or_default()
}

fn is_flow(job: &Place<'_>) -> bool {
    matches!(
        job.kind,
        Some(JobKind::Flow | JobKind::FlowPreview | JobKind::FlowNode)
    )
}

/// What a step of a flow came to, as JSON; of a loop or branches a list. The step is named by its id.
pub(crate) async fn result_by_id(
    caller: Caller,
    at: KeyAt,
    state: web::Data<State>,
) -> Result<Raw, Error> {
    let result = state.run(move |conn| {
        let flow = visible(conn, &caller, &at.job)?;
        let (id, step) = (at.job.id, at.key);
        let flow = place(&flow);
        if !is_flow(&flow) {
            let text = format!("job {id} is not that of a flow");
            return Err(Error::field("id", text));
        }
        let none = || {
            Error::NotFound(format!(
                "step '{step}' of flow {id} has come to nothing yet"
            ))
        };
        let status = run(conn, &flow)?.ok_or_else(none)?;
        let status: FlowStatus = serde_json::from_str(&status)
            .map_err(|_| Error::Internal("the state of a flow cannot be read"))?;
        let modules = status.modules.into_iter();
        let mut modules = modules.chain([status.failure_module.module]);
        let module = modules.find(|module| module.id == step).ok_or_else(none)?;
        let mut ended = |id: JobId| match visible(
            conn,
            &caller,
            &JobAt {
                id,
                ..at.job.clone()
            },
        )? {
            AnyJob::Completed(row) => Ok(row.result),
            AnyJob::Queued(_) => Err(none()),
        };
        match (module.state, module.flow_jobs, module.job) {
            (ModuleState::Success | ModuleState::Failure, Some(jobs), _) => {
                let results = jobs
                    .into_iter()
                    .map(ended)
                    .collect::<Result<Vec<_>, Error>>()?;
                Ok(format!("[{}]", results.join(",")))
            }
            (ModuleState::Success | ModuleState::Failure, None, Some(job)) => ended(job),
            _ => Err(none()),
        }
    });
    Ok(Raw(result.await?))
}

/// Where the run of a flow's job is, and the flow; nothing for other jobs.
pub(super) fn of(conn: &mut Conn, job: &AnyJob) -> Result<(Option<String>, Option<String>), Error> {
    let job = place(job);
    if !is_flow(&job) {
        return Ok((None, None));
    }
    let value = value(conn, &job)?;
    let beginning = || beginning(&job, value.as_deref()?);
    let status = run(conn, &job)?.or_else(beginning);
    Ok((status, value))
}

/// Where a flow is; none for other jobs.
pub(super) fn status(conn: &mut Conn, job: &AnyJob) -> Result<Option<Value>, Error> {
    let job = place(job);
    if !is_flow(&job) {
        return Ok(None);
    }
    let status = match run(conn, &job)? {
        Some(status) => Some(status),
        None => value(conn, &job)?.and_then(|value| beginning(&job, &value)),
    };
    Ok(status.and_then(|status| serde_json::from_str(&status).ok()))
}
