//! Running flows: a step machine beside the workers.
//!
//! ```text
//! Queue ─claim─▶ Runner ── a flow ──▶ Flows ─ plan (a thread that may block) ─ change ─▶ Queue ═commit═▶ steps, state
//!                  │ a step               ▲
//!                  └──▶ Worker ── ended ──┘
//! ```
//!
//! **A step is a job.** It goes through the same queue, warm runners, limits and logs as any other, with `parent_job`,
//! `root_job` and `flow_step_id`. Loops run their iterations, branches their steps, as flows inside the flow (kind
//! `flownode`); their jobs have a parent too, so every run is one list of modules, and the machine knows only lists.
//!
//! **A flow holds no worker.** It is claimed to begin; then its row is parked, in a state that no claim sees, until its
//! last step ends. So flows cannot wait for each other's slots.
//!
//! **One event, one commit.** A step's result, the new state of its flow (and of those around it), and the next step's
//! job are one change, which `queue::flow` writes in one transaction, together with whatever else waits. A two-step
//! flow is: claim and begin · step and next · step and end. A process that dies between two commits has lost nothing: a
//! step that had not been committed runs again, one that had does not; the state is as old as the step's result.
//!
//! **Nothing is remembered.** A plan reads the state it needs from the database, so any process can take any flow on,
//! and a revision on each state keeps two of them apart: the change that was made from an older one is stale, and is
//! worked out again. Events of one outermost flow are planned one after the other within a process, together when
//! several wait, as when iterations of a parallel loop end at once.
//!
//! **Expressions** that only pick a value are read without an engine; the others run in one made for the plan
//! (`engine`), bounded in time and memory, on a thread where nobody waits for the network.
//!
//! - `plan.rs` what one event changes · `run.rs` what it is about
//! - `begin.rs` how runs and modules begin · `nested.rs` loops and branches · `jobs.rs` the jobs of steps
//! - `ends.rs` how steps end · `many.rs` iterations and branches
//! - `values.rs` what expressions see · `scope.rs` what they use · `engine.rs` evaluates · `cache.rs` flows, read
//! - `reads.rs` variables and resources that expressions ask for · `passing.rs` which of them a flow passes on
//! - `sealing.rs` keeps out of what is stored what was computed from secrets
//! - `restart.rs` what runs take over from ones that have ended
//! - `driver.rs` brings events to plans and changes to the queue · `check.rs` reads flows at save

mod begin;
mod cache;
mod check;
mod condition;
mod driver;
mod ends;
mod engine;
mod given;
mod jobs;
mod many;
mod nested;
mod passing;
mod plan;
mod reads;
mod restart;
mod run;
mod scope;
mod sealing;
mod values;

use sha2::{Digest, Sha256};

pub use self::check::{FlowFacts, check_flow};
pub use self::condition::check_condition;
pub(super) use self::condition::holds;
pub(crate) use self::{cache::FlowRaw, check::with_main, driver::Flows};
use crate::{
    flow::PREPROCESSOR,
    queue::Outcome,
    types::{JobKind, Language, Timestamp},
};

/// Whether a claimed job of this kind is for the machine, not for a worker.
fn is_for_machine(kind: &str) -> bool {
    let kinds = [
        JobKind::Flow,
        JobKind::FlowPreview,
        JobKind::FlowNode,
        JobKind::Identity,
    ];
    kinds.iter().any(|known| known.as_str() == kind)
}

/// What a script inside a flow is kept warm under: the same text with the same lock shares a process, in whatever flow and version.
fn content_key(language: Language, (content, lock): (&str, Option<&str>), module: &str) -> i64 {
    let mut hash = Sha256::new();
    hash.update(language.as_str());
    // A preprocessor may be given a `main`, so it is another text then.
    hash.update([u8::from(module == PREPROCESSOR)]);
    hash.update(content);
    if let Some(lock) = lock {
        hash.update([0]);
        hash.update(lock);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    i64::from_be_bytes(first)
}

/// How a flow, or a step of it that needs no worker, ended.
fn outcome(success: bool, result: String, now: Timestamp) -> Outcome {
    Outcome {
        success,
        result,
        started_at: now,
        logs: String::new(),
        preprocessed_args: None,
        canceled: None,
        retry_if: None,
    }
}

/// The name that the list of a loop is kept under.
fn iterated(module: &str) -> String {
    format!("iterated:{module}")
}

/// Seconds as jobs have them: whole, at least one.
fn whole_secs(secs: Option<f64>) -> Option<i32> {
    let secs = secs.filter(|secs| *secs > 0.0)?;
    serde_json::Number::from_f64(secs.ceil())?;
    format!("{:.0}", secs.ceil()).parse().ok()
}
