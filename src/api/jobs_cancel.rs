//! Canceling jobs, and who may (windmill-facts §2.1).

use actix_web::web;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    State,
    answer::{Json, Text},
    audit,
    error::Error,
    extract::{At, Body, JobAt},
    job_view::may_see,
    jobs_read::{not_found, visible},
};
use crate::{
    access::{Caller, Denied},
    db::{job_list, job_list::AnyJob},
    queue::Canceled,
    types::JobId,
};

/// Jobs named by one request.
const MOST_IDS: usize = 10_000;

/// Why a job is canceled.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct Why {
    /// Shown with the job.
    #[serde(default)]
    reason: Option<String>,
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
    let scoped = caller.scoped("write", Some(path.as_deref().unwrap_or_default()));
    if (own || caller.is_admin || may_write) && scoped && !caller.read_only {
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
