//! Reading and canceling one job (windmill-facts §2.1).

use std::{convert::Infallible, time::Duration};

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    answer::{Events, Json, Raw, Text},
    audit,
    error::Error,
    extract::{At, Body, JobAt, Query},
    job_flow,
    job_notes::PROGRESS,
    job_view::{JobView, Parts, may_see, views},
    raw,
    result_stream::result_stream,
};
use crate::{
    access::{self, Caller, Denied},
    db::{
        Conn, job_list,
        job_list::AnyJob,
        job_note,
        queue::{CompletedRow, PARKED, RUNNING},
    },
    queue::Canceled,
    types::{JobId, Timestamp},
};

/// How often a stream of updates looks for news.
const STREAM_STEP: Duration = Duration::from_millis(250);
/// A stream ends after this many looks (30 s), and the client asks again: a proxy must not have to.
const STREAM_LOOKS: u32 = 120;
/// A quiet stream says every so many looks (5 s) that it is alive.
const STREAM_PING: u32 = 20;
/// How many looks lie between two at the session (10 s; in tests 1 s).
const SESSION_LOOKS: u32 = if cfg!(test) { 4 } else { 40 };
/// Jobs named by one request.
const MOST_IDS: usize = 10_000;

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

/// What happened to a job since the client looked last.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Update {
    running: bool,
    completed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_logs: Option<String>,
    log_offset: usize,
    /// What came to the result since `stream_offset`, by lines `WM_STREAM: …` that the job prints.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_result_stream: Option<String>,
    /// Bytes of it so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_offset: Option<usize>,
    /// Percent, when it was asked for and the job has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<i64>,
    /// Where a flow is.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_status: Option<Value>,
}

/// What a client knows already.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Known {
    /// Bytes of the logs.
    log_offset: Option<usize>,
    /// Without logs.
    no_logs: Option<bool>,
    /// Bytes of the streamed result.
    stream_offset: Option<usize>,
    /// Adds how far the job is.
    get_progress: Option<bool>,
}

/// What a stream of updates carries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamHow {
    /// Bytes of the logs that are known.
    log_offset: Option<usize>,
    /// Without logs.
    no_logs: Option<bool>,
    /// Only the result, without logs.
    only_result: Option<bool>,
    /// Bytes of the streamed result that are known.
    stream_offset: Option<usize>,
}

/// Whether `get_result_maybe` says that the job has started.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct GetStarted {
    /// false leaves `started` out.
    get_started: Option<bool>,
}

/// Why a job is canceled.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct Why {
    /// Shown with the job.
    #[serde(default)]
    reason: Option<String>,
}

fn not_found(id: JobId) -> Error {
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

/// The arguments, as JSON.
pub(crate) async fn get_args(
    caller: Caller,
    at: JobAt,
    state: web::Data<State>,
) -> Result<Raw, Error> {
    Ok(Raw(match job(caller, at, &state).await? {
        AnyJob::Queued(row) => row.args,
        AnyJob::Completed(row) => row.args,
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

/// The part of `text` behind `offset` bytes, and where it ends.
fn since(text: &str, offset: usize) -> (String, usize) {
    let start = text.floor_char_boundary(offset.min(text.len()));
    (text[start..].to_owned(), text.len())
}

/// What a client asks for, and what it knows.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    log_offset: usize,
    logs: bool,
    stream_offset: usize,
    progress: bool,
}

/// What is new of a job, and the job.
fn update_of(
    conn: &mut Conn,
    caller: &Caller,
    at: &JobAt,
    wanted: Wanted,
) -> Result<(Update, AnyJob), Error> {
    let job = visible(conn, caller, at)?;
    let text = job_list::logs(conn, at.id)?;
    let (new_logs, log_offset) = if wanted.logs {
        let (new, end) = since(&text, wanted.log_offset);
        (Some(new).filter(|new| !new.is_empty()), end)
    } else {
        (None, wanted.log_offset)
    };
    let (streamed, end) = since(&result_stream(&text), wanted.stream_offset);
    let progress = match wanted.progress {
        true => job_note::get(conn, at.id, PROGRESS)?,
        false => None,
    };
    let update = Update {
        running: matches!(&job, AnyJob::Queued(row) if row.state == RUNNING || row.state == PARKED),
        completed: matches!(job, AnyJob::Completed(_)),
        new_logs,
        log_offset,
        new_result_stream: Some(streamed).filter(|new| !new.is_empty()),
        stream_offset: Some(end).filter(|end| *end > 0),
        progress: progress.and_then(|percent| percent.parse().ok()),
        flow_status: job_flow::status(conn, &job)?,
    };
    Ok((update, job))
}

/// What is new of a job since the client looked last.
pub(crate) async fn get_update(
    caller: Caller,
    at: JobAt,
    known: Query<Known>,
    state: web::Data<State>,
) -> Result<Json<Update>, Error> {
    let known = known.0;
    let wanted = Wanted {
        log_offset: known.log_offset.unwrap_or(0),
        logs: known.no_logs != Some(true),
        stream_offset: known.stream_offset.unwrap_or(0),
        progress: known.get_progress == Some(true),
    };
    let (update, _) = state
        .run(move |conn| update_of(conn, &caller, &at, wanted))
        .await?;
    Ok(Json(update))
}

/// Where a stream of updates stands.
struct Stream {
    state: web::Data<State>,
    caller: Caller,
    at: JobAt,
    wanted: Wanted,
    seen: Option<bool>,
    flow_status: Option<Value>,
    looks: u32,
    over: bool,
}

impl Stream {
    /// The next thing to say; waits for it.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.over {
            return None;
        }
        loop {
            if self.looks > 0 {
                actix_rt::time::sleep(STREAM_STEP).await;
            }
            self.looks += 1;
            let (at, wanted) = (self.at.clone(), self.wanted);
            let (caller, again) = (
                self.caller.clone(),
                self.looks.is_multiple_of(SESSION_LOOKS),
            );
            let looked = self
                .state
                .run(move |conn| {
                    let caller = match again {
                        true => access::renewed(conn, &caller)?.ok_or(Denied::NotLoggedIn)?,
                        false => caller,
                    };
                    update_of(conn, &caller, &at, wanted).map(|found| (caller, found))
                })
                .await;
            let looked = looked.map(|(caller, found)| {
                self.caller = caller;
                found
            });
            let text = match looked {
                Err(Error::NotFound(_)) => {
                    self.over = true;
                    r#"{"type":"not_found"}"#.to_owned()
                }
                Err(error) => {
                    self.over = true;
                    serde_json::json!({"type": "error", "error": error.to_string()}).to_string()
                }
                Ok((update, job)) => match self.news(update, job) {
                    Some(text) => text,
                    None if self.looks >= STREAM_LOOKS => {
                        self.over = true;
                        r#"{"type":"timeout"}"#.to_owned()
                    }
                    None if self.looks.is_multiple_of(STREAM_PING) => {
                        r#"{"type":"ping"}"#.to_owned()
                    }
                    None => continue,
                },
            };
            let event = Bytes::from(format!("data: {text}\n\n"));
            return Some((Ok(event), self));
        }
    }

    fn news(&mut self, update: Update, job: AnyJob) -> Option<String> {
        let quiet = update.new_logs.is_none() && update.new_result_stream.is_none();
        let quiet = quiet && update.flow_status == self.flow_status;
        if self.seen == Some(update.running) && quiet && !update.completed {
            return None;
        }
        self.seen = Some(update.running);
        self.flow_status.clone_from(&update.flow_status);
        self.wanted.log_offset = update.log_offset;
        self.wanted.stream_offset = update.stream_offset.unwrap_or(0);
        self.over = update.completed;
        let mut event = serde_json::to_value(&update).unwrap_or_default();
        event["type"] = "update".into();
        if let AnyJob::Completed(row) = job {
            event["only_result"] = serde_json::from_str(&row.result).unwrap_or_default();
            event["success"] = row.success.into();
        }
        Some(event.to_string())
    }
}

/// Updates of a job as server-sent events until it ends.
pub(crate) async fn get_update_sse(
    caller: Caller,
    at: JobAt,
    how: Query<StreamHow>,
    state: web::Data<State>,
) -> Result<Events, Error> {
    Ok(follow(caller, at, how.0, state))
}

/// What is new of a job, as server-sent events until it ends.
pub(super) fn follow(caller: Caller, at: JobAt, how: StreamHow, state: web::Data<State>) -> Events {
    let stream = Stream {
        state,
        caller,
        at,
        wanted: Wanted {
            log_offset: how.log_offset.unwrap_or(0),
            logs: how.no_logs != Some(true) && how.only_result != Some(true),
            stream_offset: how.stream_offset.unwrap_or(0),
            progress: false,
        },
        seen: None,
        flow_status: None,
        looks: 0,
        over: false,
    };
    let events = HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(stream::unfold(stream, Stream::next));
    Events(events)
}

/// Cancels a job: at once when it waits, through its worker when it runs.
pub(crate) async fn cancel(
    caller: Caller,
    at: JobAt,
    why: Body<Why>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let (id, workspace) = (at.id, at.workspace.clone());
    let by = caller.username.clone();
    let who = caller.clone();
    state
        .run(move |conn| {
            let job = visible(conn, &caller, &at)?;
            may_touch(&caller, &job)
        })
        .await?;
    match state
        .queue
        .cancel(&workspace, id, &by, why.0.reason)
        .await?
    {
        Canceled::BeforeItRan | Canceled::WhileRunning => {
            audit::note_done(&state, who, "jobs.cancel", id.to_string()).await;
            Ok(Text(id.to_string()))
        }
        Canceled::TooLate => Err(Error::BadRequest(format!("id: job {id} has ended already"))),
        Canceled::NotFound => Err(not_found(id)),
    }
}

/// Whether the caller may end a job or write what it says of itself: an own one, or one of a runnable that one may
/// change. Who only sees a job leaves it alone.
pub(super) fn may_touch(caller: &Caller, job: &AnyJob) -> Result<(), Error> {
    let (path, created_by, run_as) = match job {
        AnyJob::Queued(row) => (&row.runnable_path, &row.created_by, &row.permissioned_as),
        AnyJob::Completed(row) => (&row.runnable_path, &row.created_by, &row.permissioned_as),
    };
    let may_write = path
        .as_deref()
        .is_some_and(|path| caller.may_write(path, "{}").is_ok());
    let own = *created_by == caller.username || *run_as == caller.run_as();
    if (own || caller.is_admin || may_write) && !caller.read_only {
        return Ok(());
    }
    Err(Denied::Forbidden("you may not change this job".to_owned()).into())
}

/// The ids in a body.
pub(super) fn job_ids(ids: &[String]) -> Result<Vec<JobId>, Error> {
    if ids.len() > MOST_IDS {
        return Err(Error::field(
            "body",
            format!("at most {MOST_IDS} ids at once"),
        ));
    }
    let parsed = ids.iter().enumerate().map(|(index, id)| {
        id.parse()
            .map_err(|error| Error::field(&format!("[{index}]"), error))
    });
    parsed.collect()
}

/// Cancels several jobs; the answer lists those that were canceled.
pub(crate) async fn cancel_selection(
    caller: Caller,
    at: At,
    ids: Body<Vec<String>>,
    state: web::Data<State>,
) -> Result<Json<Vec<String>>, Error> {
    let wanted = job_ids(&ids.0)?;
    let (by, workspace) = (caller.username.clone(), at.workspace.clone());
    let who = caller.clone();
    let allowed = state
        .run(move |conn| {
            let mut jobs = job_list::by_ids(conn, &wanted, false)?;
            jobs.retain(|job| match job {
                AnyJob::Queued(row) => {
                    row.workspace_id == at.workspace
                        && may_see(&caller, job)
                        && may_touch(&caller, job).is_ok()
                }
                AnyJob::Completed(_) => false,
            });
            Ok(jobs)
        })
        .await?;
    let mut canceled = Vec::new();
    for job in allowed {
        let AnyJob::Queued(row) = job else { continue };
        match state.queue.cancel(&workspace, row.id, &by, None).await? {
            Canceled::BeforeItRan | Canceled::WhileRunning => canceled.push(row.id.to_string()),
            Canceled::TooLate | Canceled::NotFound => {}
        }
    }
    if !canceled.is_empty() {
        let resource = format!("{} jobs", canceled.len());
        audit::note_done(&state, who, "jobs.cancel", resource).await;
    }
    Ok(Json(canceled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_go_on_where_they_ended() {
        let logs = "añb\n";
        for (offset, new) in [
            (0, "añb\n"),
            (1, "ñb\n"),
            (2, "ñb\n"),
            (3, "b\n"),
            (5, ""),
            (99, ""),
        ] {
            assert_eq!(since(logs, offset), (new.to_owned(), 5), "{offset}");
        }
    }
}
