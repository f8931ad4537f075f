//! Lists and counts of jobs (windmill-facts §2.1).

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    State,
    answer::Json,
    error::Error,
    extract::{At, Query},
    job_search::{From, Which, jobs, scan},
    job_view::{JobView, Parts, views},
};
use crate::{
    access::Caller,
    db::{job_list, job_list::AnyJob, queue::HELD},
};

/// How many jobs wait.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct QueueCount {
    /// Jobs that have not ended and are not held.
    database_length: i64,
    /// Jobs held by suspended triggers.
    suspended: i64,
}

/// How many jobs have ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompletedCount {
    database_length: i64,
}

async fn list_of(
    caller: Caller,
    at: At,
    which: Which,
    (from, state): (From, web::Data<State>),
) -> Result<Json<Vec<JobView>>, Error> {
    let search = which.search(&caller, at.workspace.clone(), from)?;
    let (window, parts) = (which.window(), which.parts());
    if which.is_of_schedule() {
        return Ok(Json(Vec::new()));
    }
    let views = state
        .run(move |conn| {
            let jobs = jobs(conn, &search, (window, parts))?;
            Ok(views(conn, &at.workspace, jobs, parts)?)
        })
        .await?;
    Ok(Json(views))
}

/// Jobs, ended or not, newest first; without arguments and results unless asked for.
pub(crate) async fn list(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<Vec<JobView>>, Error> {
    list_of(caller, at, which.0, (From::Both, state)).await
}

async fn ids_of(
    caller: Caller,
    at: At,
    mut which: Which,
    (from, state): (From, web::Data<State>),
) -> Result<Json<Vec<String>>, Error> {
    let search = which.search(&caller, at.workspace, from)?;
    let window = which.window_of_ids();
    if which.is_of_schedule() {
        return Ok(Json(Vec::new()));
    }
    let jobs = state
        .run(move |conn| jobs(conn, &search, (window, Parts::default())))
        .await?;
    let ids = jobs.iter().map(|job| match job {
        AnyJob::Queued(row) => row.id.to_string(),
        AnyJob::Completed(row) => row.id.to_string(),
    });
    Ok(Json(ids.collect()))
}

/// The ids of jobs, ended or not, newest first; 10,000 unless told otherwise.
pub(crate) async fn list_ids(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<Vec<String>>, Error> {
    ids_of(caller, at, which.0, (From::Both, state)).await
}

/// The ids of jobs that have not ended, newest first; 10,000 unless told otherwise.
pub(crate) async fn list_queue_ids(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<Vec<String>>, Error> {
    ids_of(caller, at, which.0, (From::Queue, state)).await
}

/// Jobs that have not ended, newest first.
pub(crate) async fn list_queue(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<Vec<JobView>>, Error> {
    list_of(caller, at, which.0, (From::Queue, state)).await
}

/// Jobs that have ended, newest first.
pub(crate) async fn list_completed(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<Vec<JobView>>, Error> {
    list_of(caller, at, which.0, (From::Completed, state)).await
}

/// How many jobs have not ended, and how many of them are held.
pub(crate) async fn count_queue(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<QueueCount>, Error> {
    let search = which.0.search(&caller, at.workspace, From::Queue)?;
    if which.0.is_of_schedule() {
        return Ok(Json(QueueCount::default()));
    }
    let count = state
        .run(move |conn| {
            if search.contents.is_any() {
                let all = job_list::count_queue(conn, &search.filter)?;
                let held = job_list::count_held(conn, &search.filter)?;
                return Ok(QueueCount {
                    database_length: all - held,
                    suspended: held,
                });
            }
            let mut count = QueueCount::default();
            scan(conn, &search, (true, false), |job| {
                match job {
                    AnyJob::Queued(row) if row.state == HELD => count.suspended += 1,
                    AnyJob::Queued(_) | AnyJob::Completed(_) => count.database_length += 1,
                }
                true
            })?;
            Ok(count)
        })
        .await?;
    Ok(Json(count))
}

/// How many jobs have ended.
pub(crate) async fn count_completed(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<CompletedCount>, Error> {
    let search = which.0.search(&caller, at.workspace, From::Completed)?;
    if which.0.is_of_schedule() {
        return Ok(Json(CompletedCount { database_length: 0 }));
    }
    let database_length = state
        .run(move |conn| {
            if search.contents.is_any() {
                return Ok(job_list::count_completed(conn, &search.filter)?);
            }
            let mut count = 0;
            scan(conn, &search, (true, false), |_| {
                count += 1;
                true
            })?;
            Ok(count)
        })
        .await?;
    Ok(Json(CompletedCount { database_length }))
}
