//! How runs and modules begin: arguments, conditions, jobs.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    cache::read,
    jobs::{Fault, erased_after, raw_of, step_job, step_path},
    passing::only_passes_on,
    plan::Plan,
    reads::referring,
    restart::restarted,
    run::{End, Todo},
    values::Extra,
};
use crate::{
    db::DbError,
    flow::{FlowStatus, Inputs, Module, ModuleState, PREPROCESSOR, RetryStatus, Step},
    queue::{self, Job, NewJob, StepRunnable},
    types::{JobId, JobKind, Timestamp},
};

/// Iterations at once of a parallel loop that names no number: enough for any number of workers.
const PARALLELISM: usize = 1_000;

/// Makes something that may be the fault of the flow, or not to be had from the database.
macro_rules! need {
    ($made:expr) => {
        match $made? {
            Ok(made) => made,
            Err(fault) => return Ok(Err(fault)),
        }
    };
}

impl Plan<'_> {
    /// A run begins: with its preprocessor, its first module, or not at all.
    pub(super) fn begin(&mut self, id: JobId) -> Result<(), DbError> {
        let Some(run) = self.runs.get_mut(&id) else {
            return Ok(());
        };
        if run.nest.is_none() {
            run.status = FlowStatus::of(&run.flow.value, run.job.preprocess, self.now);
            if let Some(secs) = run.flow.value.delete_after_secs
                && let Some(raw) = erased_after(run.job.raw.as_deref(), secs)
            {
                let mut job = Job::clone(&run.job);
                job.raw = Some(raw.clone());
                run.job = Arc::new(job);
                self.change.raws.push((id, raw));
            }
        }
        let secs = run.job.timeout_secs.or(match run.nest {
            None => run.flow.timeout_secs,
            Some(_) => None,
        });
        let secs = secs.and_then(|secs| u64::try_from(secs).ok());
        let secs = secs.filter(|secs| *secs > 0);
        run.status.deadline = secs.map(|secs| self.now.plus(Duration::from_secs(secs)));
        if let Some(from) = restarted(&run.job) {
            return self.restart(id, from);
        }
        if run.status.step == -1 {
            return self.preprocess(id);
        }
        self.first_module(id)
    }

    /// Looks whether the flow is to run at all, and begins with its first module.
    pub(super) fn first_module(&mut self, id: JobId) -> Result<(), DbError> {
        let Some(run) = self.runs.get(&id) else {
            return Ok(());
        };
        let (flow, is_whole) = (Arc::clone(&run.flow), run.nest.is_none());
        if let Some(expr) = flow.value.skip_expr.as_ref().filter(|_| is_whole) {
            match self.holds(id, 0, expr, &[])? {
                Ok(false) => {}
                Ok(true) => {
                    if let Some(run) = self.runs.get_mut(&id) {
                        run.status.skipped = true;
                    }
                    let outcome = super::outcome(true, "null".to_owned(), self.now);
                    self.close(id, outcome, false);
                    return Ok(());
                }
                Err(error) => {
                    let outcome = super::ends::fault_outcome("skip_expr", &error, self.now);
                    self.close(id, outcome, false);
                    return Ok(());
                }
            }
        }
        self.todo.push_back(Todo::Module(id, 0));
        Ok(())
    }

    fn preprocess(&mut self, id: JobId) -> Result<(), DbError> {
        let Some(run) = self.runs.get(&id) else {
            return Ok(());
        };
        let flow = Arc::clone(&run.flow);
        let Some(module) = &flow.value.preprocessor else {
            return self.first_module(id);
        };
        let args = run.job.args.clone();
        let mut job = match self.script(id, module, args) {
            Ok(job) => job,
            Err(fault) => return self.never_begun(id, module, fault),
        };
        job.skip_preprocessor = false;
        self.push(id, PREPROCESSOR, job);
        Ok(())
    }

    /// The module of this number begins; one past the last is the end of the run.
    pub(super) fn module(&mut self, id: JobId, index: usize) -> Result<(), DbError> {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.ended.is_none()) else {
            return Ok(());
        };
        run.status.step = i32::try_from(index).unwrap_or(i32::MAX);
        run.status.retry = RetryStatus::default();
        run.changed = true;
        let flow = Arc::clone(&run.flow);
        let nest = run.nest.clone();
        let modules = flow.value.list(nest.as_ref()).unwrap_or_default();
        let Some(module) = modules.get(index) else {
            let result = self.previous(id, index)?;
            let outcome = super::outcome(true, result.to_string(), self.now);
            self.close(id, outcome, false);
            return Ok(());
        };
        match self.start(id, index, module, None)? {
            Ok(()) => Ok(()),
            Err(fault) => self.never_begun(id, module, fault),
        }
    }

    /// A step fails before it could begin: it gets a job that says so.
    pub(super) fn never_begun(
        &mut self,
        id: JobId,
        module: &Module,
        (name, text): Fault,
    ) -> Result<(), DbError> {
        let end = End::failed(name, &text);
        self.at_once(id, &module.id, JobKind::Identity, (end, "{}".to_owned()));
        Ok(())
    }

    /// A step that begins and ends at once.
    fn at_once(&mut self, id: JobId, step: &str, kind: JobKind, (end, args): (End, String)) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        let runnable = StepRunnable {
            kind,
            path: step_path(run, step),
            hash: None,
            raw: Some(raw_of(run, step).to_text()),
        };
        let job = step_job(run, step, runnable, args);
        let row = queue::new_row(&job, self.now);
        let outcome = super::outcome(end.success, end.result.to_string(), self.now);
        if let Some(module) = run.status.module_mut(step) {
            module.state = ModuleState::InProgress;
            module.job = Some(row.id);
        }
        run.changed = true;
        self.results
            .insert(row.id, (Arc::clone(&end.result), end.success));
        self.todo.push_back(Todo::Ended {
            run: id,
            job: row.id,
            step: step.to_owned(),
            end,
        });
        self.change.at_once.push((Arc::new(row), Arc::new(outcome)));
    }

    /// Puts a step into the queue.
    pub(super) fn push(&mut self, id: JobId, step: &str, job: NewJob) {
        if let Some(run) = self.runs.get_mut(&id) {
            if let Some(module) = run.status.module_mut(step) {
                module.state = ModuleState::InProgress;
                module.job = Some(job.id);
            }
            run.changed = true;
        }
        self.change.new.push(job);
    }

    /// Begins a module, or tries it again after `retry` seconds. Inside: why it cannot.
    pub(super) fn start(
        &mut self,
        id: JobId,
        index: usize,
        module: &Module,
        retry: Option<f64>,
    ) -> Result<Result<(), Fault>, DbError> {
        if let Some(expr) = module.skip_if.as_ref().filter(|_| retry.is_none())
            && need!(self.condition(id, index, "skip_if", expr, &[]))
        {
            let result = self.previous(id, index)?;
            if let Some(run) = self.runs.get_mut(&id)
                && let Some(status) = run.status.module_mut(&module.id)
            {
                status.skipped = true;
            }
            self.pass_on(id, &module.id, result);
            return Ok(Ok(()));
        }
        let wait = match retry {
            Some(wait) => wait,
            None => need!(self.sleep_before(id, index)),
        };
        let later = self.in_secs(wait);
        let timeout = need!(self.secs(id, index, ("timeout", module.timeout.as_ref())));
        let timeout = super::whole_secs(timeout);
        let (inputs, called) = match &module.step {
            Step::RawScript { inputs, .. } | Step::Script { inputs, .. } => (inputs, None),
            Step::Flow { path, inputs } => (inputs, Some(path)),
            Step::Identity
            | Step::ForLoop { .. }
            | Step::WhileLoop { .. }
            | Step::BranchOne { .. }
            | Step::BranchAll { .. } => {
                self.set_deadline(id, &module.id, timeout, later);
                return self.start_inside(id, (index, module), later);
            }
        };
        let called = match called {
            None => None,
            Some(path) => Some(need!(self.called(id, path))),
        };
        let inputs = &referring(inputs, |name| match &called {
            None => true,
            Some(flow) => read(&flow.value).is_ok_and(|value| only_passes_on(&value, name)),
        });
        let args = need!(self.arguments(id, index, inputs, &[]));
        let job = match &called {
            None => self.script(id, module, args),
            Some(flow) => self.flow(id, module, (flow, args)),
        };
        let mut job = match job {
            Ok(job) => job,
            Err(fault) => return Ok(Err(fault)),
        };
        job.given = self.given(id, inputs);
        job.timeout_secs = timeout;
        job.scheduled_at = later;
        match called {
            None => self.push(id, &module.id, job),
            Some(_) => self.inside(id, &module.id, job)?,
        }
        Ok(Ok(()))
    }

    /// Notes when what a loop or branches begin is to have ended.
    fn set_deadline(&mut self, id: JobId, step: &str, secs: Option<i32>, later: Option<Timestamp>) {
        let secs = secs.and_then(|secs| u64::try_from(secs).ok());
        let begins = later.unwrap_or(self.now);
        if let Some(run) = self.runs.get_mut(&id)
            && let Some(status) = run.status.module_mut(step)
        {
            status.deadline = secs.map(|secs| begins.plus(Duration::from_secs(secs)));
        }
    }

    /// Begins what needs no job of its own: identity, loops, branches.
    fn start_inside(
        &mut self,
        id: JobId,
        (index, module): (usize, &Module),
        later: Option<Timestamp>,
    ) -> Result<Result<(), Fault>, DbError> {
        match &module.step {
            Step::RawScript { .. } | Step::Script { .. } | Step::Flow { .. } => {}
            Step::Identity => {
                let result = self.previous(id, index)?;
                match later {
                    None => self.pass_on(id, &module.id, result),
                    Some(_) => self.pass_on_later(id, &module.id, &result, later),
                }
            }
            Step::ForLoop {
                iterator,
                parallel,
                parallelism,
                ..
            } => {
                self.read.clear();
                let items = need!(self.items(id, index, iterator));
                self.note_read(id, &module.id);
                let at_once = match (parallel, parallelism) {
                    (false, _) => None,
                    (true, None) => Some(PARALLELISM),
                    (true, Some(input)) => Some(need!(self.parallelism(id, index, input))),
                };
                self.begin_loop(id, module, (Some(items), at_once), later)?;
            }
            Step::WhileLoop { .. } => self.begin_loop(id, module, (None, None), later)?,
            Step::BranchOne { branches, .. } => {
                let mut chosen = None;
                for (number, (expr, _)) in branches.iter().enumerate() {
                    let field = format!("branches[{number}].expr");
                    if need!(self.condition(id, index, &field, expr, &[])) {
                        chosen = Some(number);
                        break;
                    }
                }
                self.begin_branch(id, module, chosen, later)?;
            }
            Step::BranchAll { branches, parallel } => {
                self.begin_branches(id, module, (branches.len(), *parallel), later)?;
            }
        }
        Ok(Ok(()))
    }

    fn pass_on(&mut self, id: JobId, step: &str, result: Arc<str>) {
        let args = format!("{{\"previous_result\":{result}}}");
        let end = End {
            success: true,
            result,
            canceled: None,
            stopped: false,
            for_good: false,
        };
        self.at_once(id, step, JobKind::Identity, (end, args));
    }

    fn pass_on_later(&mut self, id: JobId, step: &str, result: &str, later: Option<Timestamp>) {
        let Some(run) = self.runs.get(&id) else {
            return;
        };
        let runnable = StepRunnable {
            kind: JobKind::Identity,
            path: step_path(run, step),
            hash: None,
            raw: Some(raw_of(run, step).to_text()),
        };
        let mut job = step_job(
            run,
            step,
            runnable,
            format!("{{\"previous_result\":{result}}}"),
        );
        job.scheduled_at = later;
        self.push(id, step, job);
    }

    /// Puts a flow inside the flow on its way.
    fn inside(&mut self, id: JobId, step: &str, job: NewJob) -> Result<(), DbError> {
        if let Some(run) = self.runs.get_mut(&id) {
            if let Some(module) = run.status.module_mut(step) {
                module.state = ModuleState::InProgress;
                module.job = Some(job.id);
            }
            run.changed = true;
        }
        self.begin_inside(job, true)
    }

    /// The arguments of a step, a JSON object.
    pub(super) fn arguments(
        &mut self,
        id: JobId,
        index: usize,
        inputs: &Inputs,
        extra: Extra<'_>,
    ) -> Result<Result<String, Fault>, DbError> {
        let mut text = String::from("{");
        self.read.clear();
        self.sealed.clear();
        for (name, input) in inputs {
            let field = format!("input_transforms.{name}");
            let value = self.input(id, index, (&field, input), extra)?;
            let value = match value.and_then(|value| self.keep(id, &field, value)) {
                Ok(value) => value,
                Err(fault) => return Ok(Err(fault)),
            };
            if self.learned.is_secret() {
                self.sealed.insert(name.clone());
            }
            if text.len() > 1 {
                text.push(',');
            }
            // Writing to a text does not fail.
            let _ = write!(text, "{}:{value}", Value::from(name.as_str()));
        }
        text.push('}');
        Ok(Ok(text))
    }
}
