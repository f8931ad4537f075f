//! What scripts note about jobs while they run (windmill-facts §2.5): the state that the steps of a flow share, and
//! how far a job is.

use actix_web::web;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    State,
    answer::{Json, Raw, Text},
    error::Error,
    extract::{Body, JobAt, KeyAt},
    jobs_cancel::may_touch,
    jobs_read::visible,
};
use crate::{
    access::Caller,
    db::{Conn, job_note},
};

/// Keys one job may have: a state is some values, not a table.
const MOST_NOTES: i64 = 100;
/// Largest value, as JSON: 1 MiB.
const MAX_VALUE_BYTES: usize = 1024 * 1024;
/// Name of the note that says how far a job is.
pub(super) const PROGRESS: &str = "progress";

/// How far a job is.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Progress {
    /// 0 to 100.
    percent: i64,
    /// The flow it is a step of; the note is kept for the job itself.
    #[expect(dead_code, reason = "clients send it; the job knows its flow")]
    flow_job_id: Option<String>,
}

fn state_of(key: &str) -> Result<String, Error> {
    if key.is_empty() || key.len() > 255 {
        return Err(Error::field("key", "must have 1 to 255 bytes"));
    }
    Ok(format!("state:{key}"))
}

fn put(conn: &mut Conn, job: &JobAt, name: &str, value: &str) -> Result<(), Error> {
    if job_note::others(conn, job.id, name)? >= MOST_NOTES {
        return Err(Error::field(
            "key",
            format!("job {} has {MOST_NOTES} keys already: use fewer", job.id),
        ));
    }
    Ok(job_note::put(conn, job.id, name, value)?)
}

/// A value that the steps of a flow share; null when there is none.
pub(crate) async fn user_state(
    caller: Caller,
    at: KeyAt,
    state: web::Data<State>,
) -> Result<Raw, Error> {
    let name = state_of(&at.key)?;
    let value = state
        .run(move |conn| {
            visible(conn, &caller, &at.job)?;
            Ok(job_note::get(conn, at.job.id, &name)?)
        })
        .await?;
    Ok(Raw(value.unwrap_or_else(|| "null".to_owned())))
}

/// Writes a value that the steps of a flow share.
pub(crate) async fn set_user_state(
    caller: Caller,
    at: KeyAt,
    body: Body<Value>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let name = state_of(&at.key)?;
    let value = body.0.to_string();
    if value.len() > MAX_VALUE_BYTES {
        return Err(Error::field(
            "body",
            format!(
                "may have {MAX_VALUE_BYTES} bytes, this value has {}",
                value.len()
            ),
        ));
    }
    state
        .transaction(move |conn| {
            may_touch(&caller, &visible(conn, &caller, &at.job)?)?;
            put(conn, &at.job, &name, &value)
        })
        .await?;
    Ok(Text("stored".to_owned()))
}

/// How far a job is, in percent; null when it has not said so.
pub(crate) async fn progress(
    caller: Caller,
    at: JobAt,
    state: web::Data<State>,
) -> Result<Json<Option<i64>>, Error> {
    let percent = state
        .run(move |conn| {
            visible(conn, &caller, &at)?;
            Ok(job_note::get(conn, at.id, PROGRESS)?)
        })
        .await?;
    Ok(Json(percent.and_then(|percent| percent.parse().ok())))
}

/// Says how far a job is.
pub(crate) async fn set_progress(
    caller: Caller,
    at: JobAt,
    body: Body<Progress>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let percent = body.0.percent;
    if !(0..=100).contains(&percent) {
        return Err(Error::field("percent", "must be 0 to 100"));
    }
    state
        .transaction(move |conn| {
            may_touch(&caller, &visible(conn, &caller, &at)?)?;
            put(conn, &at, PROGRESS, &percent.to_string())
        })
        .await?;
    Ok(Text("noted".to_owned()))
}
