//! [`Plan`]: works out what one event changes, on a thread that may block, with a connection to read with. It writes
//! nothing: the answer is a [`FlowChange`].
//!
//! What is to be done waits in a list instead of on the stack, so that a loop of a thousand empty iterations is no
//! recursion. How much one plan does is bounded: past that, what begins is put into the queue and goes on with the
//! next claim.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    cache::{Flow, FlowCache, FlowRaw},
    engine::Engine,
    run::{End, Event, Place, Run, Todo},
    sealing::Learned,
};
use crate::{
    db::{Conn, DbError, flow_run},
    flow::FlowStatus,
    queue::{self, FlowChange, Job, Outcome, RunState, Wish},
    types::{JobId, JobKind, Timestamp},
};

/// Loops, branches and flows begun in one plan; what is more waits in the queue for its turn.
const BEGUN_AT_ONCE: usize = 64;

/// What a plan works with.
pub(super) struct Tools {
    /// Flows, read.
    pub(super) cache: FlowCache,
    /// The name this process holds jobs under.
    pub(super) worker: String,
    /// Largest result of a step and of a flow; a list of results may be some times as large.
    pub(super) result_bytes: usize,
}

/// See the file's documentation.
pub(super) struct Plan<'a> {
    pub(super) conn: &'a mut Conn,
    pub(super) tools: &'a Tools,
    pub(super) engine: Option<Engine>,
    pub(super) now: Timestamp,
    pub(super) runs: BTreeMap<JobId, Run>,
    pub(super) todo: VecDeque<Todo>,
    /// Results of jobs that end with this plan.
    pub(super) results: HashMap<JobId, (Arc<str>, bool)>,
    pub(super) change: FlowChange,
    /// The lists that loops go through, as far as they were looked at.
    pub(super) lists: HashMap<(JobId, String), Vec<Box<serde_json::value::RawValue>>>,
    /// What the expressions of a step's inputs have read: `$var:<path>`, `$res:<path>`.
    pub(super) read: BTreeSet<String>,
    /// Inputs of the step that are kept sealed.
    pub(super) sealed: BTreeSet<String>,
    /// What the last expression has learned.
    pub(super) learned: Learned,
    begun: usize,
}

impl<'a> Plan<'a> {
    /// Works out what `events`, all of one outermost flow, change.
    /// `anew`: an earlier change was stale, so nothing that is known of them counts any more.
    pub(super) fn of(
        conn: &'a mut Conn,
        tools: &'a Tools,
        (events, anew): (&[Event], bool),
    ) -> Result<FlowChange, DbError> {
        let mut plan = Self {
            conn,
            tools,
            engine: None,
            now: Timestamp::now(),
            runs: BTreeMap::new(),
            todo: VecDeque::new(),
            results: HashMap::new(),
            change: FlowChange::default(),
            lists: HashMap::new(),
            read: BTreeSet::new(),
            sealed: BTreeSet::new(),
            learned: Learned::default(),
            begun: 0,
        };
        for event in events {
            match event {
                Event::Claimed(job) => plan.claimed(job)?,
                Event::Ended(job, _) if anew && !plan.is_held(job.id)? => {}
                Event::Ended(job, outcome) => plan.step_ended(job, outcome)?,
            }
            plan.work()?;
        }
        plan.finish();
        Ok(plan.change)
    }

    fn work(&mut self) -> Result<(), DbError> {
        while let Some(todo) = self.todo.pop_front() {
            match todo {
                Todo::Begin(run) => self.begin(run)?,
                Todo::Module(run, index) => self.module(run, index)?,
                Todo::Ended {
                    run,
                    job,
                    step,
                    end,
                } => self.ended(run, job, &step, end)?,
            }
        }
        Ok(())
    }

    /// Whether this process still holds a job.
    fn is_held(&mut self, job: JobId) -> Result<bool, DbError> {
        let row = flow_run::find_queued(self.conn, job)?;
        let worker = row.and_then(|row| row.worker);
        Ok(worker.as_deref() == Some(self.tools.worker.as_str()))
    }

    /// Looks at a flow that this process has claimed.
    fn claimed(&mut self, job: &Arc<Job>) -> Result<(), DbError> {
        if job.kind == JobKind::Identity.as_str() {
            let result = super::jobs::identity_result(job);
            let outcome = super::outcome(true, result, self.now);
            return self.step_ended(job, &Arc::new(outcome));
        }
        // As it is now: somebody may have canceled it, or taken it away.
        let Some(row) = flow_run::find_queued(self.conn, job.id)? else {
            return Ok(());
        };
        if row.worker.as_deref() != Some(self.tools.worker.as_str()) {
            return Ok(());
        }
        self.runs.remove(&job.id);
        self.change.held.push(job.id);
        let canceled = row
            .canceled_by
            .clone()
            .map(|by| (by, row.cancel_reason.clone()));
        let begun = self.load(row, Place::Held)?;
        if let Some((by, reason)) = canceled {
            let outcome = Outcome::canceled(&by, reason.as_deref(), self.now);
            self.break_off(job.id, outcome, (by, reason));
            return Ok(());
        }
        match begun {
            Err(error) => {
                let outcome = Outcome::failed("ExecutionErr", &error, self.now);
                self.break_off(job.id, outcome, ("windsock".to_owned(), Some(error)));
                Ok(())
            }
            Ok(false) => {
                self.todo.push_back(Todo::Begin(job.id));
                Ok(())
            }
            Ok(true) => self.look_again(job.id),
        }
    }

    /// Loads a run. Inside: whether it had begun, or what its job fails with.
    fn load(&mut self, row: Job, place: Place) -> Result<Result<bool, String>, DbError> {
        let stored = flow_run::find(self.conn, row.id)?;
        let revision = stored.as_ref().map(|stored| stored.revision);
        let nest = FlowRaw::of(&row).nest();
        let (flow, mut fault) = match self.tools.cache.of(self.conn, &row)? {
            Ok(flow) => (flow, None),
            Err(error) => (Arc::new(Flow::empty()), Some(error)),
        };
        let status = stored.map(|stored| serde_json::from_str(&stored.status));
        let status = match status.transpose() {
            Ok(Some(status)) => status,
            unusable => {
                if let Err(error) = unusable {
                    fault = Some(format!("the state of the flow cannot be read: {error}"));
                }
                let modules = flow.value.list(nest.as_ref()).unwrap_or_default();
                FlowStatus::new(modules.iter().map(|module| module.id.as_str()), self.now)
            }
        };
        let run = Run {
            job: Arc::new(row),
            flow,
            nest,
            status,
            place,
            revision,
            changed: revision.is_none(),
            ended: None,
        };
        self.runs.insert(run.job.id, run);
        Ok(fault.map_or(Ok(revision.is_some()), Err))
    }

    /// Makes sure that a run is loaded; answers whether it goes on.
    pub(super) fn is_open(&mut self, id: JobId) -> Result<bool, DbError> {
        if let Some(run) = self.runs.get(&id) {
            return Ok(run.ended.is_none());
        }
        let Some(row) = flow_run::find_queued(self.conn, id)? else {
            return Ok(false);
        };
        if row.canceled_by.is_some() {
            // Whoever holds it ends it.
            return Ok(false);
        }
        Ok(matches!(self.load(row, Place::Queued)?, Ok(true)))
    }

    /// A flow was woken: its time is over, or steps have ended without the runner.
    fn look_again(&mut self, id: JobId) -> Result<(), DbError> {
        let Some(run) = self.runs.get(&id) else {
            return Ok(());
        };
        if run
            .status
            .deadline
            .is_some_and(|deadline| deadline <= self.now)
        {
            let secs = run
                .job
                .timeout_secs
                .or(run.flow.timeout_secs)
                .unwrap_or_default();
            let text = format!("timed out after {secs} s (the timeout of the flow or step)");
            let outcome = Outcome::failed("TimeoutError", &text, run.status.started_at);
            self.break_off(id, outcome, ("windsock".to_owned(), Some(text)));
            return Ok(());
        }
        let steps = run.status.open_steps();
        for (job, step) in steps {
            let end = match crate::db::queue::find_completed(self.conn, job)? {
                Some(row) => {
                    let stored = flow_run::find(self.conn, job)?;
                    let status: Option<FlowStatus> =
                        stored.and_then(|stored| serde_json::from_str(&stored.status).ok());
                    End {
                        success: row.success,
                        result: row.result.into(),
                        for_good: row.canceled_by.is_some(),
                        canceled: row.canceled_by.map(|by| (by, row.cancel_reason)),
                        stopped: status.is_some_and(|status| status.stopped),
                    }
                }
                None if flow_run::find_queued(self.conn, job)?.is_some() => continue,
                None => End::failed("ExecutionErr", "the job of this step is gone"),
            };
            self.todo.push_back(Todo::Ended {
                run: id,
                job,
                step,
                end,
            });
        }
        Ok(())
    }

    /// Takes in that a worker has run a step.
    fn step_ended(&mut self, job: &Arc<Job>, outcome: &Arc<Outcome>) -> Result<(), DbError> {
        self.change.held.push(job.id);
        self.change
            .steps
            .push((Arc::clone(job), Arc::clone(outcome)));
        let (Some(run), Some(step)) = (job.parent_job, job.flow_step_id.clone()) else {
            return Ok(());
        };
        let end = End {
            success: outcome.success,
            result: outcome.result.as_str().into(),
            canceled: outcome.canceled.clone(),
            stopped: false,
            for_good: outcome.canceled.is_some(),
        };
        self.results
            .insert(job.id, (Arc::clone(&end.result), end.success));
        self.todo.push_back(Todo::Ended {
            run,
            job: job.id,
            step,
            end,
        });
        Ok(())
    }

    /// Ends a run in the middle; its steps stop.
    fn break_off(&mut self, id: JobId, outcome: Outcome, (by, reason): (String, Option<String>)) {
        self.change.stops.push(Wish {
            flow: id,
            by,
            reason,
        });
        self.close(id, outcome, false);
    }

    /// A run has come to its end.
    pub(super) fn close(&mut self, id: JobId, mut outcome: Outcome, stopped: bool) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        if outcome.result.len() > self.tools.result_bytes {
            let text = format!(
                "the result of the flow is larger than {} bytes: return less from its last step",
                self.tools.result_bytes
            );
            outcome = Outcome::failed("ResultTooLarge", &text, self.now);
        }
        outcome.started_at = run.status.started_at;
        if run.status.preprocessed {
            outcome.preprocessed_args = Some(run.job.args.clone());
        }
        run.status.stopped = stopped;
        run.changed = true;
        let end = End {
            success: outcome.success,
            result: outcome.result.as_str().into(),
            canceled: outcome.canceled.clone(),
            stopped,
            for_good: outcome.canceled.is_some(),
        };
        run.ended = Some(outcome);
        let outer = (run.job.parent_job, run.job.flow_step_id.clone());
        self.results
            .insert(id, (Arc::clone(&end.result), end.success));
        if let (Some(outer), Some(step)) = outer {
            self.todo.push_back(Todo::Ended {
                run: outer,
                job: id,
                step,
                end,
            });
        }
    }

    /// Begins a loop's iteration, a branch or a flow inside a flow: at once, if it may; else it waits in the queue.
    pub(super) fn begin_inside(
        &mut self,
        job: queue::NewJob,
        at_once: bool,
    ) -> Result<(), DbError> {
        if !at_once || self.begun >= BEGUN_AT_ONCE || job.scheduled_at.is_some() {
            self.change.new.push(job);
            return Ok(());
        }
        self.begun += 1;
        let row = queue::new_row(&job, self.now);
        let id = row.id;
        match self.load(row, Place::New)? {
            Ok(_) => self.todo.push_back(Todo::Begin(id)),
            Err(error) => {
                let outcome = Outcome::failed("ExecutionErr", &error, self.now);
                self.close(id, outcome, false);
            }
        }
        Ok(())
    }

    /// Makes the change of what the runs have become.
    fn finish(&mut self) {
        for (id, run) in std::mem::take(&mut self.runs) {
            if run.changed {
                self.change.runs.push(RunState {
                    job: id,
                    from: run.revision,
                    status: serde_json::to_string(&run.status).unwrap_or_default(),
                });
            }
            match (run.ended, run.place) {
                (Some(outcome), Place::New) => {
                    self.change.at_once.push((run.job, Arc::new(outcome)));
                }
                (Some(outcome), Place::Held | Place::Queued) => {
                    self.change.flows.push((run.job, Arc::new(outcome)));
                }
                (None, Place::Held) => self.change.parks.push((id, run.status.deadline)),
                (None, Place::New) => {
                    let mut row = Arc::unwrap_or_clone(run.job);
                    queue::park_row(&mut row, run.status.deadline);
                    self.change.begun.push(row);
                }
                (None, Place::Queued) => {}
            }
        }
    }

    /// The moment `secs` from now, for a wait that is one.
    pub(super) fn in_secs(&self, secs: f64) -> Option<Timestamp> {
        (secs > 0.0).then(|| {
            let wait = Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX);
            self.now.plus(wait)
        })
    }
}
