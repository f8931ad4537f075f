//! [`FlowStatus`]: where a run of a flow is. What is stored is what the API shows (windmill-facts §2.2), and a few
//! fields of windsock's own.

use serde::{Deserialize, Serialize};

use super::{FAILURE, PREPROCESSOR, restart::RestartedFrom, value::FlowValue};
use crate::types::{JobId, Timestamp};

/// What a module of a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModuleState {
    /// Not begun.
    WaitingForPriorSteps,
    /// Its jobs are in the queue, or run.
    InProgress,
    /// Done, also when it was skipped.
    Success,
    /// Failed for good.
    Failure,
}

/// Where a loop is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Iteration {
    /// The iteration begun last, from 0.
    pub index: usize,
    /// How many there are; none for while loops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub itered_len: Option<usize>,
    /// How many may run at once; none when they run one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<usize>,
    /// When the first one began.
    pub started_at: Timestamp,
}

/// Which branch a `branchone` took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum BranchChosen {
    /// The one of this number.
    Branch {
        /// From 0.
        branch: usize,
    },
    /// None of the conditions held.
    Default,
}

/// Where a `branchall` is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchAll {
    /// The branch begun last, from 0.
    pub branch: usize,
    /// How many there are.
    pub len: usize,
}

/// A module of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleStatus {
    /// What it is.
    #[serde(rename = "type")]
    pub state: ModuleState,
    /// Its id.
    pub id: String,
    /// The job that runs it, or ran it last; of iterations and branches the one begun last, or that failed the step
    /// ([`JobId::NONE`] when there are none): clients wait until something stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The jobs of iterations and branches, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_jobs: Option<Vec<JobId>>,
    /// How those ended; null while they have not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_jobs_success: Option<Vec<Option<bool>>>,
    /// Where a loop is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterator: Option<Iteration>,
    /// Which branch was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_chosen: Option<BranchChosen>,
    /// Where the branches are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branchall: Option<BranchAll>,
    /// When a loop's iterations, or branches, are to have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Tries that failed and were followed by another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_retries: Vec<JobId>,
    /// It was left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
}

/// The failure module of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureStatus {
    /// As any module.
    #[serde(flatten)]
    pub module: ModuleStatus,
    /// The module that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_module: Option<String>,
}

/// Tries of the step that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryStatus {
    /// How many have failed.
    pub fail_count: u32,
    /// Which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_jobs: Vec<JobId>,
}

/// See the file's documentation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowStatus {
    /// The module that runs, from 0; -1 is the preprocessor, and their number when all are done.
    pub step: i32,
    /// The modules.
    pub modules: Vec<ModuleStatus>,
    /// What runs on failure; there also when the flow has none.
    pub failure_module: FailureStatus,
    /// What makes the arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocessor_module: Option<ModuleStatus>,
    /// Tries of the step that runs.
    #[serde(default)]
    pub retry: RetryStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it is to have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// It has stopped early: a loop around it ends too, unless its iterations run beside each other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// It counts as skipped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// The job that failed first of those that run at the same time; when all have ended, the step fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_job: Option<JobId>,
    /// What the failure module is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<serde_json::Value>,
    /// The preprocessor has made the arguments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preprocessed: bool,
    /// It began with a step, and took over what the steps before it had come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_from: Option<RestartedFrom>,
}

impl ModuleStatus {
    /// Not begun.
    #[must_use]
    pub fn waiting(id: &str) -> Self {
        Self {
            state: ModuleState::WaitingForPriorSteps,
            id: id.to_owned(),
            job: None,
            flow_jobs: None,
            flow_jobs_success: None,
            iterator: None,
            branch_chosen: None,
            branchall: None,
            deadline: None,
            failed_retries: Vec::new(),
            skipped: false,
        }
    }

    /// The place of a job among those of its iterations or branches.
    #[must_use]
    pub fn place_of(&self, job: JobId) -> Option<usize> {
        self.flow_jobs.as_ref()?.iter().position(|one| *one == job)
    }

    /// Its jobs whose end it has not seen.
    #[must_use]
    pub fn open_jobs(&self) -> Vec<JobId> {
        if self.state != ModuleState::InProgress {
            return Vec::new();
        }
        match (&self.flow_jobs, &self.flow_jobs_success) {
            (Some(jobs), Some(ended)) => {
                let open = jobs.iter().zip(ended).filter(|(_, ended)| ended.is_none());
                open.map(|(job, _)| *job).collect()
            }
            _ => self.job.into_iter().collect(),
        }
    }
}

impl FlowStatus {
    /// A run of `modules` that has not begun.
    #[must_use]
    pub fn new<'a>(ids: impl Iterator<Item = &'a str>, now: Timestamp) -> Self {
        Self {
            step: 0,
            modules: ids.map(ModuleStatus::waiting).collect(),
            failure_module: FailureStatus {
                module: ModuleStatus::waiting(FAILURE),
                parent_module: None,
            },
            preprocessor_module: None,
            retry: RetryStatus::default(),
            started_at: now,
            deadline: None,
            stopped: false,
            skipped: false,
            failed_job: None,
            error: None,
            preprocessed: false,
            restarted_from: None,
        }
    }

    /// A run of a whole flow that has not begun.
    #[must_use]
    pub fn of(value: &FlowValue, preprocess: bool, now: Timestamp) -> Self {
        let mut status = Self::new(value.modules.iter().map(|module| module.id.as_str()), now);
        if preprocess && value.preprocessor.is_some() {
            status.step = -1;
            status.preprocessor_module = Some(ModuleStatus::waiting(PREPROCESSOR));
        }
        status
    }

    /// The same of a run that has ended: what was in progress then was broken off.
    #[must_use]
    pub fn ended(mut self) -> Self {
        let rest = [
            Some(&mut self.failure_module.module),
            self.preprocessor_module.as_mut(),
        ];
        let modules = self.modules.iter_mut().chain(rest.into_iter().flatten());
        for module in modules.filter(|module| module.state == ModuleState::InProgress) {
            module.state = ModuleState::Failure;
        }
        self
    }

    /// The status of a module of this run.
    #[must_use]
    pub fn module(&self, id: &str) -> Option<&ModuleStatus> {
        match id {
            FAILURE => Some(&self.failure_module.module),
            PREPROCESSOR => self.preprocessor_module.as_ref(),
            _ => self.modules.iter().find(|module| module.id == id),
        }
    }

    /// As [`FlowStatus::module`], to change it.
    pub fn module_mut(&mut self, id: &str) -> Option<&mut ModuleStatus> {
        match id {
            FAILURE => Some(&mut self.failure_module.module),
            PREPROCESSOR => self.preprocessor_module.as_mut(),
            _ => self.modules.iter_mut().find(|module| module.id == id),
        }
    }

    /// Jobs whose end this run waits for, with the ids of their modules.
    #[must_use]
    pub fn open_steps(&self) -> Vec<(JobId, String)> {
        let ends = std::iter::once(&self.failure_module.module).chain(&self.preprocessor_module);
        let all = self.modules.iter().chain(ends);
        let open = |module: &ModuleStatus| {
            let jobs = module.open_jobs().into_iter();
            jobs.map(|job| (job, module.id.clone())).collect::<Vec<_>>()
        };
        all.flat_map(open).collect()
    }
}
