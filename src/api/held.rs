//! Jobs held by a suspended trigger: having them run, or discarding them (windmill-facts §5). Which they are is told by
//! `jobs/queue/list?trigger_path=…&job_kinds=unassigned_script,…`, how many by `jobs/queue/count?trigger_path=…`.

use actix_web::web;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    State,
    answer::Json,
    audit,
    error::Error,
    extract::{At, Body},
};
use crate::{
    access::Caller,
    db::trigger,
    queue::{Held, Release},
    trigger::Setup,
    types::JobId,
};

/// Ids in one request; without ids there is no bound, because they go in batches.
const MOST_IDS: usize = 10_000;

/// Which of the trigger's held jobs are meant.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Which {
    /// Only these; left out: all that are held now.
    job_ids: Option<Vec<String>>,
}

/// Has held jobs of a trigger run, oldest first, as the trigger is now: with its present runnable, the newest version
/// of that, its retry and its error handler.
pub(crate) async fn resume(
    caller: Caller,
    at: At,
    which: Body<Which>,
    state: web::Data<State>,
) -> Result<Json<String>, Error> {
    let held = held(&at, which.0)?;
    let release = release(caller.clone(), &at, &state).await?;
    let is_there = release.is_some();
    let count = state.queue.release(held, release).await?;
    known(is_there, count, &at)?;
    audit::note_done(&state, caller, "websocket_triggers.resume_jobs", at.path).await;
    Ok(Json(format!("Reassigned {count} jobs")))
}

/// Ends held jobs of a trigger as canceled; they never run.
pub(crate) async fn discard(
    caller: Caller,
    at: At,
    which: Body<Which>,
    state: web::Data<State>,
) -> Result<Json<String>, Error> {
    let held = held(&at, which.0)?;
    let by = caller.username.clone();
    let is_there = release(caller.clone(), &at, &state).await?.is_some();
    let count = state.queue.discard(held, &by).await?;
    known(is_there, count, &at)?;
    audit::note_done(&state, caller, "websocket_triggers.discard_jobs", at.path).await;
    Ok(Json(match count {
        0 => "No jobs to cancel".to_owned(),
        count => format!("Canceled {count} jobs"),
    }))
}

fn held(at: &At, which: Which) -> Result<Held, Error> {
    let ids = which.job_ids.map(|ids| {
        if ids.len() > MOST_IDS {
            let text = format!("at most {MOST_IDS} ids at once; leave it out for all");
            return Err(Error::field("job_ids", text));
        }
        let parse = |(index, id): (usize, &String)| {
            let id = id.parse::<JobId>();
            id.map_err(|error| Error::field(&format!("job_ids[{index}]"), error))
        };
        ids.iter().enumerate().map(parse).collect()
    });
    Ok(Held {
        workspace: at.workspace.as_str().into(),
        trigger_path: at.path.as_str().into(),
        ids: ids.transpose()?,
    })
}

/// The trigger, if the caller may change it; none when it is gone, whose jobs may still be held.
async fn release(caller: Caller, at: &At, state: &State) -> Result<Option<Release>, Error> {
    let at = at.clone();
    let row = state
        .run(move |conn| {
            let Some(row) = trigger::by_path(conn, &at.workspace, &at.path)? else {
                if !caller.may_read(&at.path, "{}") {
                    return Err(not_found(&at));
                }
                caller.may_write(&at.path, "{}")?;
                return Ok(None);
            };
            if !caller.may_read(&row.path, &row.extra_perms) {
                return Err(not_found(&at));
            }
            caller.may_write(&row.path, &row.extra_perms)?;
            Ok(Some(row))
        })
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Setup::new(&row)?.release()))
}

/// A trigger that is not there and of which nothing was held was never there.
fn known(is_there: bool, count: u64, at: &At) -> Result<(), Error> {
    if is_there || count > 0 {
        Ok(())
    } else {
        Err(not_found(at))
    }
}

fn not_found(at: &At) -> Error {
    Error::NotFound(format!("Trigger not found at path: {}", at.path))
}
