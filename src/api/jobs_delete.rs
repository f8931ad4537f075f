//! Deleting jobs that have ended before their time (windmill-facts §2.1), for admins: whole, or only what they held.

use actix_web::web;

use super::{
    State,
    answer::{Json, Text},
    audit,
    error::Error,
    extract::{At, Body, JobAt},
    job_view::{JobView, Parts, views},
    jobs_cancel::job_ids,
    jobs_read::visible,
};
use crate::{
    access::Caller,
    db::{Conn, job_list, job_list::AnyJob, retention},
    types::JobId,
};

/// Deletes what an ended job and the steps of it held: arguments, results, logs. That it ran, when, and how it ended
/// stays, and is the answer.
pub(crate) async fn erase(
    caller: Caller,
    at: JobAt,
    state: web::Data<State>,
) -> Result<Json<JobView>, Error> {
    let view = state
        .transaction(move |conn| {
            caller.must_be_admin()?;
            let job = visible(conn, &caller, &at)?;
            let ids = ended(conn, vec![job])?;
            retention::erase(conn, &ids)?;
            audit::note(conn, &caller, "jobs.erase", &at.id.to_string())?;
            let job = visible(conn, &caller, &at)?;
            let logs = job_list::logs(conn, at.id)?;
            let view = views(conn, &at.workspace, vec![job], Parts::ALL)?.pop();
            Ok(view
                .ok_or(Error::Internal("a job has no view"))?
                .with_logs(logs))
        })
        .await?;
    Ok(Json(view))
}

/// Deletes ended jobs and their steps. Ids of jobs that are not there (any more) are left out.
pub(crate) async fn remove(
    caller: Caller,
    at: At,
    ids: Body<Vec<String>>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_admin()?;
    let ids = job_ids(&ids.0)?;
    let count = state
        .transaction(move |conn| {
            let mut jobs = job_list::by_ids(conn, &ids, false)?;
            jobs.retain(|job| match job {
                AnyJob::Queued(row) => row.workspace_id == at.workspace,
                AnyJob::Completed(row) => row.workspace_id == at.workspace,
            });
            let ids = ended(conn, jobs)?;
            let count = retention::remove(conn, &ids)?;
            if count > 0 {
                audit::note(conn, &caller, "jobs.delete", &format!("{count} jobs"))?;
            }
            Ok(count)
        })
        .await?;
    Ok(Text(format!("Deleted {count} jobs")))
}

/// The ids of ended jobs and their steps that nothing needs any more.
fn ended(conn: &mut Conn, jobs: Vec<AnyJob>) -> Result<Vec<JobId>, Error> {
    let mut ids = Vec::with_capacity(jobs.len());
    for job in jobs {
        match job {
            AnyJob::Completed(row) => ids.push(row.id),
            AnyJob::Queued(row) => {
                let text = format!(
                    "job {} has not ended; cancel it or wait for its end",
                    row.id
                );
                return Err(Error::field("id", text));
            }
        }
    }
    let ids = retention::with_steps(conn, &ids)?;
    if let Some(id) = retention::needed(conn, &ids)?.first() {
        let text =
            format!("a flow that has not ended needs the result of job {id}; wait for its end");
        return Err(Error::field("id", text));
    }
    Ok(ids)
}
