//! What lists and counts of jobs look for, and where (windmill-facts §2.1).
//!
//! What an index can answer is asked of the database; what looks into JSON (`args`, `result`, `label`, `args_text`,
//! `is_skipped`) is checked in [`Contents`] over a bounded stretch of the newest jobs, also to count them.

use std::collections::HashSet;

use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    error::Error,
    extract::Page,
    job_contents::{Contents, json},
    job_view::{Parts, skipped, visible_to},
    scripts::unhex,
};
use crate::{
    access::Caller,
    db::{
        Conn, job_list,
        job_list::{AnyJob, JobFilter, Window},
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
    /// Only flows that ended because there was nothing to do, or only jobs that did not.
    is_skipped: Option<bool>,
    /// Only jobs that a suspended trigger holds, or only others.
    suspended: Option<bool>,
    /// Of those that have not ended only what is due.
    scheduled_for_before_now: Option<bool>,
    /// No job has a schedule here: any path shows none.
    schedule_path: Option<String>,
    /// Shows the arguments as well.
    include_args: Option<bool>,
    /// Shows the results as well.
    include_result: Option<bool>,
}

impl Which {
    pub(super) fn search(
        &self,
        caller: &Caller,
        workspace: String,
        from: From,
    ) -> Result<Search, Error> {
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
        let due = self.scheduled_for_before_now == Some(true);
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
            held: self.suspended,
            due_by: due.then(Timestamp::now),
            perhaps_skipped: self.is_skipped == Some(true),
            visible_to: visible_to(caller),
        };
        let contents = Contents {
            args: json("args", self.args.as_ref())?,
            result: json("result", self.result.as_ref())?,
            label: self.label.clone(),
            args_text: self.args_text.clone().filter(|text| !text.is_empty()),
            skipped: self.is_skipped,
        };
        Ok(Search {
            filter,
            contents,
            from,
        })
    }

    /// Whether only jobs of a schedule are meant: there are none.
    pub(super) fn is_of_schedule(&self) -> bool {
        self.schedule_path.is_some()
    }

    pub(super) fn parts(&self) -> Parts {
        Parts {
            args: self.include_args.unwrap_or(false),
            result: self.include_result.unwrap_or(false),
        }
    }

    /// As many ids as `cancel_selection` takes at once, unless told otherwise.
    pub(super) fn window_of_ids(&mut self) -> Window {
        self.per_page.get_or_insert(super::extract::MOST_ROWS);
        self.window()
    }

    pub(super) fn window(&self) -> Window {
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
pub(super) enum From {
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

/// What a list is about.
pub(super) struct Search {
    pub(super) filter: JobFilter,
    pub(super) contents: Contents,
    from: From,
}

/// Looks through a stretch of the jobs until `found` has seen enough of those whose contents fit.
pub(super) fn scan(
    conn: &mut Conn,
    search: &Search,
    (descending, bodies): (bool, bool),
    mut found: impl FnMut(AnyJob) -> bool,
) -> Result<(), Error> {
    let contents = &search.contents;
    let mut step = Window {
        offset: 0,
        limit: SCAN_STEP,
        descending,
    };
    while step.offset < SCANNED {
        let ids = ids(conn, &search.filter, search.from, step)?;
        let jobs = job_list::by_ids(conn, &ids, bodies || contents.is_in_bodies())?;
        let skipped = match contents.skipped {
            Some(_) => skipped(conn, &ids)?,
            None => HashSet::new(),
        };
        for job in jobs {
            if contents.matches(&job, &skipped) && !found(job) {
                return Ok(());
            }
        }
        if i64::try_from(ids.len()).unwrap_or(0) < SCAN_STEP {
            break;
        }
        step.offset += SCAN_STEP;
    }
    Ok(())
}

/// The jobs of a list.
pub(super) fn jobs(
    conn: &mut Conn,
    search: &Search,
    (window, parts): (Window, Parts),
) -> Result<Vec<AnyJob>, Error> {
    let bodies = parts.args || parts.result;
    if search.contents.is_any() {
        let ids = ids(conn, &search.filter, search.from, window)?;
        return Ok(job_list::by_ids(conn, &ids, bodies)?);
    }
    let (mut skip, mut jobs) = (window.offset, Vec::new());
    scan(conn, search, (window.descending, bodies), |job| {
        if skip > 0 {
            skip -= 1;
            return true;
        }
        jobs.push(job);
        i64::try_from(jobs.len()).unwrap_or(i64::MAX) < window.limit
    })?;
    Ok(jobs)
}
