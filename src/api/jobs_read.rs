//! Reading one job (windmill-facts §2.1).

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    answer::{Json, Raw, Text},
    error::Error,
    extract::{JobAt, Query},
    job_flow,
    job_view::{JobView, Parts, may_see, views},
    raw,
};
use crate::{
    access::Caller,
    db::{
        Conn, job_list,
        job_list::AnyJob,
        job_note,
        queue::{CompletedRow, PARKED, RUNNING},
    },
    secret::sealed::hidden,
    types::{JobId, Timestamp},
};

/// Answer of `get_result_maybe`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Maybe {
    completed: bool,
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<Box<RawValue>>,
    /// null before the end: clients read it at each look.
    success: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<bool>,
}

/// When a job was made, started and how long it ran.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Timing {
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[schema(value_type = String)]
    started_at: Timestamp,
    duration_ms: i64,
}

/// Whether `get_result_maybe` says that the job has started.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct GetStarted {
    /// false leaves `started` out.
    get_started: Option<bool>,
}

pub(super) fn not_found(id: JobId) -> Error {
    Error::NotFound(format!("job {id} not found"))
}

/// The job, if there is one and the caller may see it.
pub(super) fn visible(conn: &mut Conn, caller: &Caller, at: &JobAt) -> Result<AnyJob, Error> {
    job_list::by_id(conn, &at.workspace, at.id)?
        .filter(|job| may_see(caller, job))
        .ok_or_else(|| not_found(at.id))
}

async fn job(caller: Caller, at: JobAt, state: &State) -> Result<AnyJob, Error> {
    state.run(move |conn| visible(conn, &caller, &at)).await
}

async fn ended(caller: Caller, at: JobAt, state: &State) -> Result<CompletedRow, Error> {
    let id = at.id;
    match job(caller, at, state).await? {
        AnyJob::Completed(row) => Ok(row),
        AnyJob::Queued(_) => Err(Error::NotFound(format!("job {id} has not ended"))),
    }
}

/// One job, ended or not, with arguments, result and logs.
pub(crate) async fn get(
    caller: Caller,
    at: JobAt,
    state: web::Data<State>,
) -> Result<Json<JobView>, Error> {
    let view = state
        .run(move |conn| {
            let job = visible(conn, &caller, &at)?;
            let logs = job_list::logs(conn, at.id)?;
            let flow = job_flow::of(conn, &job)?;
            let replied_at = job_note::replied_at(conn, at.id)?;
            let view = views(conn, &at.workspace, vec![job], Parts::ALL)?.pop();
            Ok(view
                .ok_or(Error::Internal("a job has no view"))?
                .with_flow(flow)
                .with_logs(logs)
                .with_reply(replied_at))
        })
        .await?;
    Ok(Json(view))
}

/// One job that has ended, with arguments, result and logs.
pub(crate) async fn get_completed(
    caller: Caller,
    at: JobAt,
    state: web::Data<State>,
) -> Result<Json<JobView>, Error> {
    ended(caller.clone(), at.clone(), &state).await?;
    get(caller, at, state).await
}

/// The result alone, as JSON.
pub(crate) async fn get_result(
    caller: Caller,
    at: JobAt,
    state: web::Data<State>,
) -> Result<Raw, Error> {
    Ok(Raw(ended(caller, at, &state).await?.result))
}

/// The result, if there is one yet.
pub(crate) async fn get_result_maybe(
    caller: Caller,
    at: JobAt,
    how: Query<GetStarted>,
    state: web::Data<State>,
) -> Result<Json<Maybe>, Error> {
    let asked = how.0.get_started.unwrap_or(true);
    let maybe = match job(caller, at, &state).await? {
        AnyJob::Completed(row) => Maybe {
            completed: true,
            result: Some(raw(row.result)),
            success: Some(row.success),
            started: asked.then_some(true),
        },
        AnyJob::Queued(row) => Maybe {
            completed: false,
            result: None,
            success: None,
            started: asked.then_some(row.state == RUNNING || row.state == PARKED),
        },
    };
    Ok(Json(maybe))
}

/// When the job was made, started and how long it ran.
pub(crate) async fn get_timing(
    caller: Caller,
    at: JobAt,
    state: web::Data<State>,
) -> Result<Json<Timing>, Error> {
    let row = ended(caller, at, &state).await?;
    Ok(Json(Timing {
        created_at: row.created_at,
        started_at: row.started_at,
        duration_ms: (row.completed_at.0 - row.started_at.0).max(0) / 1000,
    }))
}

/// Everything the job printed so far, as text.
pub(crate) async fn get_logs(
    caller: Caller,
    at: JobAt,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let logs = state
        .run(move |conn| {
            visible(conn, &caller, &at)?;
            Ok(job_list::logs(conn, at.id)?)
        })
        .await?;
    Ok(Text(logs))
}

/// Whether the process that runs the job is stopping: it waits a while for jobs to end, so one that takes long may end early.
/// False for a job that does not run.
pub(crate) async fn worker_is_draining(
    caller: Caller,
    at: JobAt,
    state: web::Data<State>,
) -> Result<Json<bool>, Error> {
    let queue = state.queue.clone();
    let draining = state
        .run(move |conn| match visible(conn, &caller, &at)? {
            AnyJob::Queued(row) if row.state == RUNNING => match &row.worker {
                Some(worker) => Ok(queue.is_leaving(conn, worker)?),
                None => Ok(false),
            },
            AnyJob::Queued(_) | AnyJob::Completed(_) => Ok(false),
        })
        .await?;
    Ok(Json(draining))
}

/// The arguments, as JSON.
pub(crate) async fn get_args(
    caller: Caller,
    at: JobAt,
    state: web::Data<State>,
) -> Result<Raw, Error> {
    Ok(Raw(match job(caller, at, &state).await? {
        AnyJob::Queued(row) => hidden(row.args),
        AnyJob::Completed(row) => hidden(row.args),
    }))
}

/// The outermost job of the flow the job belongs to (itself, when it belongs to none).
pub(crate) async fn get_root_job_id(
    caller: Caller,
    at: JobAt,
    state: web::Data<State>,
) -> Result<Json<String>, Error> {
    let id = at.id;
    let root = match job(caller, at, &state).await? {
        AnyJob::Queued(row) => row.root_job,
        AnyJob::Completed(row) => row.root_job,
    };
    Ok(Json(root.unwrap_or(id).to_string()))
}
