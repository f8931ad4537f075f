//! Lists and counts of jobs (windmill-facts §2.1).
//!
//! What an index can answer is asked of the database; what looks into JSON (`args`, `result`, `label`, `args_text`)
//! is checked in [`Contents`] over a bounded stretch of the newest jobs.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    answer::Json,
    error::Error,
    extract::{At, Page, Query},
    job_contents::{Contents, json},
    job_view::{JobView, Parts, views, visible_to},
    scripts::unhex,
};
use crate::{
    access::Caller,
    db::{
        Conn, job_list,
        job_list::{AnyJob, JobFilter, Window},
        queue::HELD,
    },
    types::{JobId, Timestamp},
};

/// How deep the list of all jobs can be paged: it is merged from two tables. Deeper goes by `created_before`.
const DEEPEST: i64 = 100_000;
/// Jobs looked at for what is in their JSON: a second or two of work.
const SCANNED: i64 = 20_000;
/// Jobs looked at in one query of such a scan.
const SCAN_STEP: i64 = 500;

/// Which jobs a list shows.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    page: Option<u32>,
    per_page: Option<u32>,
    /// Newest first (the default), or oldest first.
    order_desc: Option<bool>,
    /// The runnable, exactly.
    script_path_exact: Option<String>,
    /// Runnables whose path begins so.
    script_path_start: Option<String>,
    /// A version of a script.
    script_hash: Option<String>,
    /// Comma list.
    job_kinds: Option<String>,
    /// Only ended ones with this outcome.
    success: Option<bool>,
    /// Only ones that run, or only ones that wait.
    running: Option<bool>,
    #[param(value_type = Option<String>)]
    created_after: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    created_before: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    started_after: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    started_before: Option<Timestamp>,
    /// When it started, or was made if it has not.
    #[param(value_type = Option<String>)]
    created_or_started_after: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    created_or_started_before: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    completed_after: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    completed_before: Option<Timestamp>,
    /// Whose rights it has: `u/<user>` or `g/<group>`.
    permissioned_as: Option<String>,
    /// Only steps of flows, or only others.
    is_flow_step: Option<bool>,
    created_by: Option<String>,
    trigger_kind: Option<String>,
    trigger_path: Option<String>,
    tag: Option<String>,
    worker: Option<String>,
    /// A label of the job's script, or of the result's `wm_labels`.
    label: Option<String>,
    /// Only ended ones that were cancelled, or only ones that were not.
    canceled: Option<bool>,
    /// A text in the arguments' values, in small or capital letters.
    args_text: Option<String>,
    /// JSON that the arguments contain.
    args: Option<String>,
    /// JSON that the result contains.
    result: Option<String>,
    #[param(value_type = Option<String>)]
    parent_job: Option<JobId>,
    /// Only jobs that no other job started.
    has_null_parent: Option<bool>,
    /// Shows the arguments as well.
    include_args: Option<bool>,
    /// Shows the results as well.
    include_result: Option<bool>,
}

/// How many jobs wait.
#[derive(Debug, Serialize, ToSchema)]
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

impl Which {
    fn filter(&self, caller: &Caller, workspace: String) -> Result<(JobFilter, Contents), Error> {
        let hash = self
            .script_hash
            .as_deref()
            .map(|hash| unhex("script_hash", hash));
        let kinds = self.job_kinds.as_ref().map(|kinds| {
            kinds
                .split(',')
                .map(|kind| kind.trim().to_owned())
                .collect()
        });
        let filter = JobFilter {
            workspace,
            path_exact: self.script_path_exact.clone(),
            path_start: self.script_path_start.clone(),
            hash: hash.transpose()?,
            kinds,
            created_after: self.created_after,
            created_before: self.created_before,
            started_after: self.started_after,
            started_before: self.started_before,
            created_or_started_after: self.created_or_started_after,
            created_or_started_before: self.created_or_started_before,
            completed_after: self.completed_after,
            completed_before: self.completed_before,
            permissioned_as: self.permissioned_as.clone(),
            flow_step: self.is_flow_step,
            trigger_kind: self.trigger_kind.clone(),
            trigger_path: self.trigger_path.clone(),
            tag: self.tag.clone(),
            worker: self.worker.clone(),
            created_by: self.created_by.clone(),
            parent_job: self.parent_job,
            without_parent: self.has_null_parent == Some(true),
            success: self.success,
            canceled: self.canceled,
            running: self.running,
            visible_to: visible_to(caller),
        };
        let contents = Contents {
            args: json("args", self.args.as_ref())?,
            result: json("result", self.result.as_ref())?,
            label: self.label.clone(),
            args_text: self.args_text.clone().filter(|text| !text.is_empty()),
        };
        Ok((filter, contents))
    }

    fn parts(&self) -> Parts {
        Parts {
            args: self.include_args.unwrap_or(false),
            result: self.include_result.unwrap_or(false),
        }
    }

    fn window(&self) -> Window {
        let page = Page {
            page: self.page,
            per_page: self.per_page,
        };
        let (offset, limit) = page.window();
        Window {
            offset,
            limit,
            descending: self.order_desc.unwrap_or(true),
        }
    }
}

/// Which tables a list is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Queue,
    Completed,
    Both,
}

/// The ids of a stretch of a list.
fn ids(
    conn: &mut Conn,
    filter: &JobFilter,
    from: From,
    window: Window,
) -> Result<Vec<JobId>, Error> {
    match from {
        From::Queue => return Ok(job_list::queue_ids(conn, filter, window)?),
        From::Completed => return Ok(job_list::completed_ids(conn, filter, window)?),
        From::Both => {}
    }
    let end = window.offset + window.limit;
    if window.offset > DEEPEST {
        let text = format!("the list of all jobs ends after {DEEPEST}; go on with created_before");
        return Err(Error::field("page", text));
    }
    let whole = Window {
        offset: 0,
        limit: end,
        ..window
    };
    let mut all = job_list::queue_ids(conn, filter, whole)?;
    all.extend(job_list::completed_ids(conn, filter, whole)?);
    if window.descending {
        all.sort_unstable_by(|a, b| b.cmp(a));
    } else {
        all.sort_unstable();
    }
    // A job that ended between the two questions is in both answers.
    all.dedup();
    let skip = usize::try_from(window.offset).unwrap_or(usize::MAX);
    let take = usize::try_from(window.limit).unwrap_or(0);
    Ok(all.into_iter().skip(skip).take(take).collect())
}

/// The jobs of a list.
fn jobs(
    conn: &mut Conn,
    (filter, contents): (&JobFilter, &Contents),
    from: From,
    (window, parts): (Window, Parts),
) -> Result<Vec<AnyJob>, Error> {
    if contents.is_any() {
        let ids = ids(conn, filter, from, window)?;
        return Ok(job_list::by_ids(conn, &ids, parts.args || parts.result)?);
    }
    let mut found = Vec::new();
    let mut skip = window.offset;
    let mut step = Window {
        offset: 0,
        limit: SCAN_STEP,
        ..window
    };
    while step.offset < SCANNED {
        let ids = ids(conn, filter, from, step)?;
        for job in job_list::by_ids(conn, &ids, true)? {
            if !contents.matches(&job) {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            found.push(job);
            if i64::try_from(found.len()).unwrap_or(i64::MAX) >= window.limit {
                return Ok(found);
            }
        }
        if i64::try_from(ids.len()).unwrap_or(0) < SCAN_STEP {
            break;
        }
        step.offset += SCAN_STEP;
    }
    Ok(found)
}

async fn list_of(
    caller: Caller,
    at: At,
    which: Which,
    (from, state): (From, web::Data<State>),
) -> Result<Json<Vec<JobView>>, Error> {
    let (filter, contents) = which.filter(&caller, at.workspace.clone())?;
    let (window, parts) = (which.window(), which.parts());
    let views = state
        .run(move |conn| {
            let mut jobs = jobs(conn, (&filter, &contents), from, (window, parts))?;
            if caller.scopes.is_some() {
                jobs.retain(|job| super::job_view::may_see(&caller, job));
            }
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
    let (filter, _) = which.0.filter(&caller, at.workspace)?;
    let (all, held) = state
        .run(move |conn| {
            let all = job_list::count_queue(conn, &filter)?;
            Ok((all, job_list::count_state(conn, &filter, HELD)?))
        })
        .await?;
    Ok(Json(QueueCount {
        database_length: all - held,
        suspended: held,
    }))
}

/// How many jobs have ended.
pub(crate) async fn count_completed(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<CompletedCount>, Error> {
    let (filter, _) = which.0.filter(&caller, at.workspace)?;
    let database_length = state
        .run(move |conn| Ok(job_list::count_completed(conn, &filter)?))
        .await?;
    Ok(Json(CompletedCount { database_length }))
}
