//! [`JobFilter`]: which jobs a list shows.

use crate::types::{JobId, Timestamp};

/// Which jobs a list shows; what is none does not matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobFilter {
    pub(crate) workspace: String,
    pub(crate) path_exact: Option<String>,
    pub(crate) path_start: Option<String>,
    pub(crate) hash: Option<i64>,
    pub(crate) kinds: Option<Vec<String>>,
    pub(crate) created_after: Option<Timestamp>,
    pub(crate) created_before: Option<Timestamp>,
    pub(crate) started_after: Option<Timestamp>,
    pub(crate) started_before: Option<Timestamp>,
    /// When it started, or was made if it has not.
    pub(crate) created_or_started_after: Option<Timestamp>,
    pub(crate) created_or_started_before: Option<Timestamp>,
    /// Only ended jobs.
    pub(crate) completed_after: Option<Timestamp>,
    pub(crate) completed_before: Option<Timestamp>,
    pub(crate) trigger_kind: Option<String>,
    pub(crate) trigger_path: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) worker: Option<String>,
    pub(crate) created_by: Option<String>,
    pub(crate) parent_job: Option<JobId>,
    /// Only jobs that no other job started.
    pub(crate) without_parent: bool,
    /// Only steps of flows, or only others.
    pub(crate) flow_step: Option<bool>,
    /// Whose rights the job has.
    pub(crate) permissioned_as: Option<String>,
    /// Only ended jobs with this outcome.
    pub(crate) success: Option<bool>,
    /// Only ended jobs that were cancelled, or only others.
    pub(crate) canceled: Option<bool>,
    /// Only jobs that run, or only ones that wait.
    pub(crate) running: Option<bool>,
    /// Only jobs that a suspended trigger holds, or only others.
    pub(crate) held: Option<bool>,
    /// Of those that have not ended only what is due by then.
    pub(crate) due_by: Option<Timestamp>,
    /// Only flows that may have come to nothing to do.
    pub(crate) perhaps_skipped: bool,
    /// Only jobs that one may see.
    pub(crate) visible_to: Visible,
}

impl JobFilter {
    /// Whether no job fits that has not ended.
    pub(super) fn is_about_ended(&self) -> bool {
        self.success.is_some()
            || self.canceled.is_some()
            || self.completed_after.is_some()
            || self.completed_before.is_some()
            || self.perhaps_skipped
    }

    /// Whether no job fits that has ended.
    pub(super) fn is_about_waiting(&self) -> bool {
        self.running.is_some() || self.held == Some(true)
    }
}

/// What somebody may see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visible {
    /// Somebody without admin rights.
    pub(crate) person: Option<Person>,
    /// Only jobs at these paths.
    pub(crate) within: Option<Within>,
}

/// What a person without admin rights may see: own jobs, and jobs of runnables that may be read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Person {
    /// The person, whose rights the person's jobs have, and the folders that may be read.
    pub(crate) username: String,
    pub(crate) run_as: String,
    pub(crate) folders: Vec<String>,
    /// Others' jobs only at these paths.
    pub(crate) reads: Option<Within>,
}

/// Paths that a token is for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Within {
    /// Whole ones.
    pub(crate) exact: Vec<String>,
    /// How they begin.
    pub(crate) starts: Vec<String>,
}
