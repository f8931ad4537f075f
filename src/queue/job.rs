//! What a job is on its way in, while it runs and when it ends.

use std::sync::Arc;

use crate::types::{JobId, JobKind, Language, Timestamp, TriggerKind};

pub use crate::db::queue::QueueRow as Job;

/// What a new job runs.
#[derive(Debug, Clone)]
pub enum Runnable {
    /// A saved script; without a hash the version that is the newest when the job is committed.
    Script {
        /// Where it is saved.
        path: Arc<str>,
        /// A version of it.
        hash: Option<i64>,
    },
    /// A saved flow; without a version the newest when the job is committed.
    Flow {
        /// Where it is saved.
        path: Arc<str>,
        /// A version of it.
        version: Option<i64>,
    },
    /// A script that travels with the job.
    Preview {
        /// The path it says it has, if any.
        path: Option<Arc<str>>,
        /// Its language.
        language: Language,
        /// Its text.
        content: String,
    },
    /// A part of a flow, or a flow that travels with the job.
    Step(Box<StepRunnable>),
}

/// A part of a flow: a script, a loop's iteration, a branch, another flow; or a flow that travels with the job.
#[derive(Debug, Clone)]
pub struct StepRunnable {
    /// What it is queued as.
    pub kind: JobKind,
    /// Where it is saved, or what it goes by.
    pub path: Option<String>,
    /// Its version; of a script without one the newest when the job is committed.
    pub hash: Option<i64>,
    /// JSON: what the runner needs besides; see `runner::flow`.
    pub raw: Option<String>,
}

/// What a new job gets.
#[derive(Debug, Clone)]
pub enum Args {
    /// The text of a JSON object.
    Object(String),
    /// A message from a WebSocket. Which arguments it becomes depends on the script's preprocessor
    /// (windmill-facts §3), which is known when the job is committed.
    Message {
        /// The whole text.
        text: String,
        /// The trigger's URL as configured.
        url: Arc<str>,
        /// Whether the text stands for a binary message.
        is_base64: bool,
    },
}

/// A job to be queued.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id, given by whoever makes it, so that it is known before the commit.
    pub id: JobId,
    /// Its workspace.
    pub workspace: Arc<str>,
    /// What it runs.
    pub runnable: Runnable,
    /// What it gets.
    pub args: Args,
    /// Who made it: a user, or `ws-<trigger path>`.
    pub created_by: Arc<str>,
    /// Whose rights it runs with: `u/<user>` or `g/<group>`.
    pub permissioned_as: Arc<str>,
    /// What started it, and at which path.
    pub trigger: Option<(TriggerKind, Option<Arc<str>>)>,
    /// The job that started it.
    pub parent: Option<JobId>,
    /// The outermost job of its flow.
    pub root: Option<JobId>,
    /// The step of the flow it is.
    pub flow_step_id: Option<String>,
    /// A label for the workers; kept and shown.
    pub tag: Option<String>,
    /// Larger runs first: runnables that a connection waits for are [`PRIORITY_CONNECT`].
    pub priority: i32,
    /// Not before this moment.
    pub scheduled_at: Option<Timestamp>,
    /// Longest run, instead of the script's.
    pub timeout_secs: Option<i32>,
    /// The connection its result goes back on.
    pub reply_to: Option<i64>,
    /// Held until somebody resumes or discards it (a suspended trigger).
    pub held: bool,
    /// Runs `main` with the arguments as they are.
    pub skip_preprocessor: bool,
    /// What the preprocessor of a runnable that travels with the job takes (`v1`, `v2`), if it has one.
    pub preprocessor: Option<String>,
    /// What is done when it fails: [`Options::column`](super::Options::column).
    pub options: Option<String>,
    /// What bounds how many jobs of its trigger run at once.
    pub lane: Option<Lane>,
    /// How many jobs called each other to come to it; see [`MAX_DEPTH`].
    pub depth: i32,
    /// The arguments in which `$var:` and `$res:` are replaced when it starts: those that somebody known gave it.
    pub given: Vec<String>,
    /// A client brought the id, and may bring it again: refused then, also when the first has ended meanwhile.
    pub id_is_given: bool,
}

/// What bounds how many jobs of a trigger run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// So many at most.
    pub max_jobs: u32,
    /// In order of arrival: a job that is to be retried holds the next.
    pub ordered: bool,
}

/// Values that a trigger's messages stored (`set` of its conversation rules), in order.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The trigger's workspace.
    pub workspace: Arc<str>,
    /// The trigger's path.
    pub path: Arc<str>,
    /// The version of its settings that was followed. One that was deleted, moved or made anew keeps nothing.
    pub version: i64,
    /// Whether all that was stored before is forgotten first (`on_close: reset`).
    pub forget: bool,
    /// Name and JSON; the last of a name counts.
    pub values: Vec<(String, String)>,
}

/// The priority of runnables for URLs and initial messages: before triggered jobs (contract section 4).
pub const PRIORITY_CONNECT: i32 = 100;
/// How deep flows and scripts may call each other: deeper is a recursion that nobody wants to end by filling a disk.
pub const MAX_DEPTH: i32 = 50;

impl NewJob {
    /// A job of `workspace` that runs `runnable` with `args` as `user`, now.
    #[must_use]
    pub fn new(workspace: Arc<str>, runnable: Runnable, args: Args, user: &str) -> Self {
        Self {
            id: JobId::next(),
            workspace,
            runnable,
            args,
            created_by: user.into(),
            permissioned_as: format!("u/{user}").into(),
            trigger: None,
            parent: None,
            root: None,
            flow_step_id: None,
            tag: None,
            priority: 0,
            scheduled_at: None,
            timeout_secs: None,
            reply_to: None,
            held: false,
            skip_preprocessor: false,
            preprocessor: None,
            options: None,
            lane: None,
            depth: 0,
            given: Vec::new(),
            id_is_given: false,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Whether it succeeded.
    pub success: bool,
    /// JSON: the result, or `{"error": {"message", "name", "stack"}}`.
    pub result: String,
    /// When its first line ran.
    pub started_at: Timestamp,
    /// What is left of its logs (the rest went out while it ran).
    pub logs: String,
    /// The arguments the preprocessor made, a JSON object.
    pub preprocessed_args: Option<String>,
    /// Who canceled it, and why.
    pub canceled: Option<(String, Option<String>)>,
    /// Whether the condition of its retry policy holds; none when nobody evaluated it.
    pub retry_if: Option<bool>,
}

impl Outcome {
    /// A failed run with the error shape of windmill-facts §5.
    #[must_use]
    pub fn failed(name: &str, message: &str, started_at: Timestamp) -> Self {
        let error = serde_json::json!({"error": {"name": name, "message": message}});
        Self {
            success: false,
            result: error.to_string(),
            started_at,
            logs: String::new(),
            preprocessed_args: None,
            canceled: None,
            retry_if: None,
        }
    }

    /// A run that somebody stopped (windmill-facts §5).
    #[must_use]
    pub fn canceled(by: &str, reason: Option<&str>, started_at: Timestamp) -> Self {
        let message = reason.map_or_else(
            || format!("canceled by {by}"),
            |reason| format!("canceled by {by}: {reason}"),
        );
        let error = serde_json::json!({"error": {
            "name": "Canceled", "message": message, "reason": reason, "canceler": by,
        }});
        Self {
            success: false,
            result: error.to_string(),
            started_at,
            logs: String::new(),
            preprocessed_args: None,
            canceled: Some((by.to_owned(), reason.map(str::to_owned))),
            retry_if: None,
        }
    }
}

/// A job has ended and its result is committed.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The job as it ran.
    pub job: Arc<Job>,
    /// How it ended.
    pub outcome: Arc<Outcome>,
}

/// Something happened to a job; for people who watch. Lossy: see `GET jobs/list` for the truth.
#[derive(Debug, Clone)]
pub struct JobEvent {
    /// The job.
    pub id: JobId,
    /// Its workspace.
    pub workspace: Arc<str>,
    /// What it runs.
    pub runnable_path: Option<Arc<str>>,
    /// The trigger that made it.
    pub trigger_path: Option<Arc<str>>,
    /// What it is now.
    pub state: JobState,
}

/// What a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Committed, waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// Its result is committed.
    Completed {
        /// Whether it succeeded.
        success: bool,
    },
}

/// The kind that `runnable` is queued as. As in Windmill a script with a retry policy or an error handler is a flow of
/// one step; flows have steps anyway.
#[must_use]
pub fn kind_of(runnable: &Runnable, held: bool, has_options: bool) -> JobKind {
    match (runnable, held) {
        (Runnable::Script { .. }, false) if has_options => JobKind::SingleStepFlow,
        (Runnable::Script { .. }, true) if has_options => JobKind::UnassignedSingleStepFlow,
        (Runnable::Script { .. }, false) => JobKind::Script,
        (Runnable::Script { .. }, true) => JobKind::UnassignedScript,
        (Runnable::Flow { .. }, false) => JobKind::Flow,
        (Runnable::Flow { .. }, true) => JobKind::UnassignedFlow,
        (Runnable::Preview { .. }, _) => JobKind::Preview,
        (Runnable::Step(step), _) => step.kind,
    }
}
