//! What a plan is about: events, runs, ends, and what is left to do.

use std::sync::Arc;

use super::cache::Flow;
use crate::{
    flow::{FlowStatus, Module, Nest},
    queue::{Job, Outcome},
    types::JobId,
};

/// What happened.
pub(super) enum Event {
    /// This process has claimed a flow: it begins, or something woke it.
    Claimed(Arc<Job>),
    /// A worker of this process has run a step.
    Ended(Arc<Job>, Arc<Outcome>),
}

/// A step's end, for the flow it is part of.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) success: bool,
    /// JSON.
    pub(super) result: Arc<str>,
    /// By whom, and why.
    pub(super) canceled: Option<(String, Option<String>)>,
    /// It ended early on its own wish; a loop around it ends too.
    pub(super) stopped: bool,
    /// Trying again would change nothing.
    pub(super) for_good: bool,
}

/// Something that is to be worked out.
pub(super) enum Todo {
    /// A run begins.
    Begin(JobId),
    /// The run's module of this number begins; it may be one past the last.
    Module(JobId, usize),
    /// A step of a run has ended.
    Ended {
        run: JobId,
        job: JobId,
        step: String,
        end: End,
    },
}

/// Where a run's row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// This process holds it.
    Held,
    /// It waits, or somebody else looks at it.
    Queued,
    /// Made by this plan.
    New,
}

/// A run of a flow, or of a part of one.
pub(super) struct Run {
    pub(super) job: Arc<Job>,
    pub(super) flow: Arc<Flow>,
    pub(super) nest: Option<Nest>,
    pub(super) status: FlowStatus,
    pub(super) place: Place,
    /// None: it is not stored yet.
    pub(super) revision: Option<i64>,
    pub(super) changed: bool,
    pub(super) ended: Option<Outcome>,
}

impl Run {
    /// The modules it goes through.
    pub(super) fn modules(&self) -> &[Module] {
        self.flow.value.list(self.nest.as_ref()).unwrap_or_default()
    }

    /// Its module of an id.
    pub(super) fn module(&self, id: &str) -> Option<(usize, &Module)> {
        let mut numbered = self.modules().iter().enumerate();
        numbered.find(|(_, module)| module.id == id)
    }

    /// The outermost job of all.
    pub(super) fn root(&self) -> JobId {
        self.job.root_job.unwrap_or(self.job.id)
    }
}

impl End {
    /// A failure that trying again would not change.
    pub(super) fn failed(name: &str, message: &str) -> Self {
        let error = serde_json::json!({"error": {"name": name, "message": message}});
        Self {
            success: false,
            result: error.to_string().into(),
            canceled: None,
            stopped: false,
            for_good: true,
        }
    }
}
