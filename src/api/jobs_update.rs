//! What is new of a job since a client looked last: asked for, or as server-sent events (windmill-facts §2.1).

use std::{convert::Infallible, time::Duration};

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    answer::{Events, Json},
    error::Error,
    extract::{JobAt, Query},
    job_flow,
    job_notes::PROGRESS,
    jobs_read::visible,
    result_stream::result_stream,
};
use crate::{
    access::{self, Caller, Denied},
    db::{
        Conn, job_list,
        job_list::AnyJob,
        job_note,
        queue::{PARKED, RUNNING},
    },
};

/// How often a stream of updates looks for news.
const STREAM_STEP: Duration = Duration::from_millis(250);
/// A stream ends after this many looks (30 s), and the client asks again: a proxy must not have to.
const STREAM_LOOKS: u32 = 120;
/// A quiet stream says every so many looks (5 s) that it is alive.
const STREAM_PING: u32 = 20;
/// How many looks lie between two at the session (10 s; in tests 1 s).
const SESSION_LOOKS: u32 = if cfg!(test) { 4 } else { 40 };

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
