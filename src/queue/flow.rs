//! Flows in the queue: what one event of a flow changes is one [`FlowChange`], committed whole or not at all.
//!
//! A flow that has begun is parked: its row stays in the queue in a state that no worker claims, and costs nothing.
//! Its run (table `flow_runs`) has a revision, which is how two processes that saw different steps end are kept
//! apart: a change made from an older revision is stale and is worked out again. When a step ends without the runner
//! (canceled while it waited, lost with its workers), its flow is made ready, claimed, and looks at its steps anew.
//!
//! What comes next in a flow is decided in `runner::flow`; here it is only written.

use std::sync::Arc;

use super::{
    Finished, Job, NewJob, Outcome,
    commit::Done,
    ended::completed,
    failure,
    lanes::{Lanes, Limits},
    news::News,
};
use crate::{
    db::{
        Conn, DbError, flow_run,
        queue::{self, EndedRow},
    },
    types::{JobId, Timestamp},
};

/// Parked flows woken in one go; the rest follows with the next upkeep.
const WAKE_AT_ONCE: i64 = 1_000;

/// A job, and how it ended.
pub type Ended = (Arc<Job>, Arc<Outcome>);

/// What one event of a flow changes.
#[derive(Debug, Default)]
pub struct FlowChange {
    /// Jobs that this process must still hold; if it does not, the change is stale.
    pub held: Vec<JobId>,
    /// Steps that workers of this process ran.
    pub steps: Vec<Ended>,
    /// Flows that end.
    pub flows: Vec<Ended>,
    /// Steps that need no worker: they are begun and ended at once.
    pub at_once: Vec<Ended>,
    /// Loops, branches and flows inside the flow that begin parked.
    pub begun: Vec<Job>,
    /// Steps that wait for a worker.
    pub new: Vec<NewJob>,
    /// States of runs.
    pub runs: Vec<RunState>,
    /// Values of runs: job, name, JSON.
    pub values: Vec<(JobId, String, String)>,
    /// Flows this process holds that wait for their steps from now on, at the latest until that moment.
    pub parks: Vec<(JobId, Option<Timestamp>)>,
    /// Arguments that preprocessors made.
    pub args: Vec<(JobId, String)>,
    /// What flows that begin say of their own jobs, for the column `raw`.
    pub raws: Vec<(JobId, String)>,
    /// Flows that answer those who wait, and go on.
    pub answers: Vec<Ended>,
    /// Flows whose open steps are to stop.
    pub stops: Vec<Wish>,
}

/// The state of a run.
#[derive(Debug)]
pub struct RunState {
    /// The flow's job.
    pub job: JobId,
    /// The revision it was made from; none for a run that begins.
    pub from: Option<i64>,
    /// JSON, see `FlowStatus`.
    pub status: String,
}

/// That the steps of a flow stop.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The flow's job.
    pub flow: JobId,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

impl Wish {
    /// One of windsock's own.
    pub(super) fn of_windsock(flow: JobId, reason: String) -> Self {
        Self {
            flow,
            by: "windsock".to_owned(),
            reason: Some(reason),
        }
    }
}

impl FlowChange {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows() == 0 && self.parks.is_empty() && self.stops.is_empty() && self.args.is_empty()
    }

    /// How many rows it writes, at least about.
    pub(super) fn rows(&self) -> usize {
        self.steps.len() + self.flows.len() + self.at_once.len() + self.new.len() + self.runs.len()
    }

    /// Whether it may change lanes: what stops may hold a place in one.
    pub(super) fn in_lanes(&self) -> bool {
        let has_lane = |(job, _): &Ended| job.turn.is_some() || job.concurrency_key.is_some();
        let handled = |(job, outcome): &Ended| failure::is_handled(job, outcome);
        !self.stops.is_empty()
            || self.steps.iter().chain(&self.flows).any(has_lane)
            || self.flows.iter().any(handled)
    }
}

/// Writes a change, if it still fits what is there.
pub(super) fn apply(
    conn: &mut Conn,
    worker: &str,
    change: &FlowChange,
    (mut new, limits): (Vec<Job>, Limits),
    (lanes, news): (&mut Lanes, &mut News),
) -> Result<Done, DbError> {
    if !fits(conn, worker, change)? {
        return Ok(Done::Stale);
    }
    let now = Timestamp::now();
    let mut flows = Vec::with_capacity(change.flows.len());
    let mut again = Vec::new();
    for end in &change.flows {
        let may_again = failure::is_handled(&end.0, &end.1);
        if may_again {
            flow_run::hold(conn, worker, end.0.id)?;
        }
        if may_again && failure::run_again(conn, worker, (&end.0, &end.1), lanes, news)? {
            flow_run::forget(conn, end.0.id)?;
            again.push(end.0.id);
        } else {
            flow_run::take_out(conn, end.0.id)?;
            flows.push(end.clone());
        }
    }
    queue::finish(conn, worker, &rows(&change.steps, now))?;
    queue::insert_completed(conn, &rows(&flows, now))?;
    queue::insert_completed(conn, &rows(&change.at_once, now))?;
    let ended = [&change.steps, &flows, &change.at_once];
    for (job, outcome) in ended.into_iter().flatten() {
        if !outcome.logs.is_empty() {
            queue::insert_log(conn, job.id, failure::last_piece(job), &outcome.logs)?;
        }
        lanes.ended(conn, job)?;
        failure::call_handler(conn, job, outcome, lanes, news)?;
        news.ended.push(finished(job, outcome));
    }
    for run in change.runs.iter().filter(|run| !again.contains(&run.job)) {
        match run.from {
            None => flow_run::insert(conn, run.job, &run.status)?,
            Some(_) => flow_run::update(conn, run.job, &run.status)?,
        }
    }
    for (job, name, value) in &change.values {
        flow_run::set_value(conn, *job, name, value)?;
    }
    for (job, args) in &change.args {
        flow_run::set_args(conn, *job, args)?;
    }
    for (job, raw) in &change.raws {
        flow_run::set_raw(conn, *job, raw)?;
    }
    for (job, outcome) in &change.answers {
        let answer = (outcome.result.as_str(), outcome.success);
        flow_run::answered(conn, job.id, answer)?;
        news.answered.push(finished(job, outcome));
    }
    for (job, until) in &change.parks {
        flow_run::park(conn, worker, *job, *until)?;
    }
    queue::insert(conn, &change.begun)?;
    lanes.place(conn, &change.new, &mut new, &limits)?;
    queue::insert(conn, &new)?;
    news.queued.extend(new);
    for wish in &change.stops {
        stop_steps(conn, wish, lanes, news)?;
    }
    Ok(Done::Written)
}

fn rows(ended: &[Ended], now: Timestamp) -> Vec<EndedRow<'_>> {
    let rows = ended
        .iter()
        .map(|(job, outcome)| completed(job, outcome, now));
    rows.collect()
}

fn finished(job: &Arc<Job>, outcome: &Arc<Outcome>) -> Finished {
    Finished {
        job: Arc::clone(job),
        outcome: Arc::clone(outcome),
    }
}

/// Whether nothing has changed since the change was worked out.
fn fits(conn: &mut Conn, worker: &str, change: &FlowChange) -> Result<bool, DbError> {
    let known: Vec<(JobId, i64)> = change
        .runs
        .iter()
        .filter_map(|run| run.from.map(|from| (run.job, from)))
        .collect();
    if !known.is_empty() {
        let jobs: Vec<JobId> = known.iter().map(|(job, _)| *job).collect();
        let now = flow_run::lock(conn, &jobs)?;
        if known.iter().any(|run| !now.contains(run)) {
            return Ok(false);
        }
    }
    if change.held.is_empty() {
        return Ok(true);
    }
    let held = flow_run::lock_held(conn, worker, &change.held)?;
    let is_held = |job: &JobId| held.iter().any(|(held, _)| held == job);
    // A flow that somebody cancels just now must not be parked: nobody would look at the wish.
    let waits = |job: &JobId| change.parks.iter().any(|(parked, _)| parked == job);
    let canceled = held.iter().any(|(job, canceled)| *canceled && waits(job));
    Ok(change.held.iter().all(is_held) && !canceled)
}

/// A job was ended here, without the runner: what it had begun stops, and the flow it is a step of looks at it.
pub(super) fn ended_here(
    conn: &mut Conn,
    job: &Job,
    wish: Wish,
    lanes: &mut Lanes,
    news: &mut News,
) -> Result<(), DbError> {
    flow_run::outdate(conn, job.id)?;
    stop_steps(conn, &wish, lanes, news)?;
    if let (Some(flow), Some(_)) = (job.parent_job, &job.flow_step_id) {
        news.ready |= flow_run::wake(conn, flow)?;
    }
    Ok(())
}

/// Has the flows looked at whose time is over.
pub(super) fn wake_due(conn: &mut Conn, now: Timestamp, news: &mut News) -> Result<(), DbError> {
    news.queued
        .extend(flow_run::wake_due(conn, now, WAKE_AT_ONCE)?);
    Ok(())
}

/// Ends the steps of a flow that wait, and has those stop that run; so on for flows among them.
fn stop_steps(
    conn: &mut Conn,
    wish: &Wish,
    lanes: &mut Lanes,
    news: &mut News,
) -> Result<(), DbError> {
    let now = Timestamp::now();
    let mut flows = vec![wish.flow];
    while !flows.is_empty() {
        let steps = flow_run::open_steps(conn, &flows)?;
        flows.clear();
        for step in steps {
            let reason = wish.reason.as_deref();
            if queue::flag_canceled(conn, step.id, &wish.by, reason)? {
                news.cancellations
                    .push((step.id, wish.by.clone(), wish.reason.clone()));
                continue;
            }
            let began = step.started_at.unwrap_or(now);
            let outcome = Outcome::canceled(&wish.by, reason, began);
            if queue::end_unheld(conn, &completed(&step, &outcome, now))? {
                flow_run::outdate(conn, step.id)?;
                lanes.ended(conn, &step)?;
                flows.push(step.id);
                news.ended.push(Finished {
                    job: Arc::new(step),
                    outcome: Arc::new(outcome),
                });
            }
        }
    }
    Ok(())
}
