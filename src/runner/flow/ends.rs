//! How steps, iterations and branches end, and what follows: the next one, another try, an early stop, the failure
//! module, the end of the run.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    jobs::{Fault, error_of, wrong},
    plan::Plan,
    reads::referring,
    run::{End, Todo},
};
use crate::{
    db::DbError,
    flow::{FAILURE, Module, ModuleState, PREPROCESSOR, Retry, Step, StopIf},
    queue::{Job, Outcome},
    types::JobId,
};

impl Plan<'_> {
    /// A step of a run has ended. One that the run does not wait for (any more) changes nothing.
    pub(super) fn ended(
        &mut self,
        id: JobId,
        job: JobId,
        step: &str,
        end: End,
    ) -> Result<(), DbError> {
        if !self.is_open(id)? {
            return Ok(());
        }
        let Some(run) = self.runs.get_mut(&id) else {
            return Ok(());
        };
        let waits = run
            .status
            .module(step)
            .is_some_and(|module| module.open_jobs().contains(&job));
        if !waits {
            return Ok(());
        }
        run.changed = true;
        let flow = Arc::clone(&run.flow);
        match step {
            PREPROCESSOR => return self.preprocessed(id, end),
            FAILURE => {
                let retry = flow
                    .value
                    .failure
                    .as_ref()
                    .and_then(|module| module.retry.as_ref());
                if !end.success
                    && let Some(module) = &flow.value.failure
                    && let Some(wait) = self.wait_for_retry(id, 0, retry, &end)?
                {
                    self.note_retry(id, step, job);
                    return self.begin_failure(id, module, wait);
                }
                self.set_state(id, step, end.success);
                let recovered = end.success && recovers(&end.result);
                let mut outcome = super::outcome(recovered, end.result.to_string(), self.now);
                outcome.canceled = end.canceled;
                self.close(id, outcome, false);
                return Ok(());
            }
            _ => {}
        }
        let nest = run.nest.clone();
        let modules = flow.value.list(nest.as_ref()).unwrap_or_default();
        let found = modules
            .iter()
            .enumerate()
            .find(|(_, module)| module.id == step);
        let Some((index, module)) = found else {
            return Ok(());
        };
        let is_many = run
            .status
            .module(step)
            .is_some_and(|module| module.flow_jobs.is_some());
        if is_many {
            self.one_of_many_ended(id, (index, module), job, end)
        } else {
            self.single_ended(id, (index, module), job, end)
        }
    }

    pub(super) fn set_state(&mut self, id: JobId, step: &str, success: bool) {
        if let Some(run) = self.runs.get_mut(&id)
            && let Some(module) = run.status.module_mut(step)
        {
            module.state = if success {
                ModuleState::Success
            } else {
                ModuleState::Failure
            };
            run.changed = true;
        }
    }

    /// The preprocessor has made the arguments.
    fn preprocessed(&mut self, id: JobId, end: End) -> Result<(), DbError> {
        self.set_state(id, PREPROCESSOR, end.success);
        if !end.success {
            return self.fail_run(id, PREPROCESSOR, end);
        }
        if !end.result.starts_with('{') {
            let text = "the preprocessor must return an object";
            return self.fail_run(id, PREPROCESSOR, End::failed("TypeError", text));
        }
        if let Some(run) = self.runs.get_mut(&id) {
            let mut job = Job::clone(&run.job);
            job.args = end.result.to_string();
            job.preprocess = false;
            run.job = Arc::new(job);
            run.status.preprocessed = true;
            run.status.step = 0;
            self.change.args.push((id, end.result.to_string()));
        }
        self.first_module(id)
    }

    fn single_ended(
        &mut self,
        id: JobId,
        (index, module): (usize, &Module),
        job: JobId,
        end: End,
    ) -> Result<(), DbError> {
        if !end.success {
            if let Some(wait) = self.wait_for_retry(id, index, module.retry.as_ref(), &end)? {
                self.note_retry(id, &module.id, job);
                return match self.start(id, index, module, Some(wait))? {
                    Ok(()) => Ok(()),
                    Err(fault) => self.never_begun(id, module, fault),
                };
            }
            return self.module_failed(id, (index, module), end);
        }
        self.set_state(id, &module.id, true);
        // A flow that is called and stops early has ended; who called it goes on.
        let stopped = end.stopped && !matches!(module.step, Step::Flow { .. });
        self.module_done(id, (index, module), end.result, stopped)
    }

    /// The seconds until a failed step is tried again; none when it is not.
    fn wait_for_retry(
        &mut self,
        id: JobId,
        index: usize,
        retry: Option<&Retry>,
        end: &End,
    ) -> Result<Option<f64>, DbError> {
        let Some(retry) = retry.filter(|_| !end.for_good) else {
            return Ok(None);
        };
        let failed = self
            .runs
            .get(&id)
            .map_or(0, |run| run.status.retry.fail_count)
            + 1;
        let Some(wait) = retry.delay_secs(failed, rand::random()) else {
            return Ok(None);
        };
        if let Some(expr) = &retry.retry_if {
            let error = error_of(&end.result, "").to_string();
            let extra = [("result", &*end.result), ("error", error.as_str())];
            // A condition that cannot be evaluated holds for nothing.
            if self.holds(id, index, expr, &extra)? != Ok(true) {
                return Ok(None);
            }
        }
        Ok(Some(wait))
    }

    fn note_retry(&mut self, id: JobId, step: &str, job: JobId) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.status.retry.fail_count += 1;
            run.status.retry.failed_jobs.push(job);
            if let Some(module) = run.status.module_mut(step) {
                module.failed_retries.push(job);
            }
        }
    }

    /// A module has failed for good.
    pub(super) fn module_failed(
        &mut self,
        id: JobId,
        (index, module): (usize, &Module),
        end: End,
    ) -> Result<(), DbError> {
        self.set_state(id, &module.id, false);
        if module.continue_on_error && end.canceled.is_none() {
            self.answer_early(id, &module.id, &end.result, false);
            self.todo.push_back(Todo::Module(id, index + 1));
            return Ok(());
        }
        self.fail_run(id, &module.id, end)
    }

    /// A module is done: the flow stops early, or goes on with the next one.
    pub(super) fn module_done(
        &mut self,
        id: JobId,
        (index, module): (usize, &Module),
        result: Arc<str>,
        stopped: bool,
    ) -> Result<(), DbError> {
        self.answer_early(id, &module.id, &result, true);
        if stopped {
            let outcome = super::outcome(true, result.to_string(), self.now);
            self.close(id, outcome, true);
            return Ok(());
        }
        let each = module
            .stop_after_if
            .as_ref()
            .filter(|_| !module.step.is_loop());
        let all = module.stop_after_all_iters_if.as_ref();
        for (field, stop) in [("stop_after_if", each), ("stop_after_all_iters_if", all)] {
            let Some(stop) = stop else { continue };
            // `previous_result` is the step's own here, as `result` is.
            let extra = [("result", &*result), ("previous_result", &*result)];
            match self.condition(id, index, field, &stop.expr, &extra)? {
                Ok(false) => {}
                Ok(true) => return self.stop(id, module, stop, &result),
                Err(fault) => return self.broken_condition(id, module, fault),
            }
        }
        self.todo.push_back(Todo::Module(id, index + 1));
        Ok(())
    }

    pub(super) fn broken_condition(
        &mut self,
        id: JobId,
        module: &Module,
        (name, text): Fault,
    ) -> Result<(), DbError> {
        self.fail_run(id, &module.id, End::failed(name, &text))
    }

    /// The flow stops early, well or with an error.
    fn stop(
        &mut self,
        id: JobId,
        module: &Module,
        stop: &StopIf,
        result: &str,
    ) -> Result<(), DbError> {
        if stop.error.is_some() {
            return self.fail_run(id, &module.id, early_stop(stop, result));
        }
        if let Some(run) = self.runs.get_mut(&id) {
            run.status.skipped = stop.skip;
        }
        let outcome = super::outcome(true, result.to_owned(), self.now);
        self.close(id, outcome, true);
        Ok(())
    }

    /// Gives those who wait for the flow the result of its `early_return`.
    fn answer_early(&mut self, id: JobId, step: &str, result: &str, success: bool) {
        let now = self.now;
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        let is_it = run.nest.is_none() && run.flow.value.early_return.as_deref() == Some(step);
        if !is_it || run.job.flow_step_id.is_some() {
            return;
        }
        let outcome = super::outcome(success, result.to_owned(), now);
        let job = Arc::clone(&run.job);
        let mut rest = Job::clone(&job);
        rest.reply_to = None;
        run.job = Arc::new(rest);
        self.change.answers.push((job, Arc::new(outcome)));
    }

    /// The run fails: its failure module runs, if it is a whole flow and has one.
    pub(super) fn fail_run(&mut self, id: JobId, step: &str, end: End) -> Result<(), DbError> {
        let Some(run) = self.runs.get(&id) else {
            return Ok(());
        };
        let error = error_of(&end.result, step);
        let flow = Arc::clone(&run.flow);
        let unused = run.status.failure_module.module.state == ModuleState::WaitingForPriorSteps;
        if let Some(module) = &flow.value.failure
            && run.nest.is_none()
            && unused
            && end.canceled.is_none()
        {
            if let Some(run) = self.runs.get_mut(&id) {
                run.status.failure_module.parent_module = Some(step.to_owned());
                run.status.error = Some(error);
            }
            return self.begin_failure(id, module, 0.0);
        }
        let mut outcome = super::outcome(false, json!({"error": error}).to_string(), self.now);
        outcome.canceled = end.canceled;
        self.close(id, outcome, false);
        Ok(())
    }

    /// Puts the failure module into the queue.
    fn begin_failure(&mut self, id: JobId, module: &Module, wait: f64) -> Result<(), DbError> {
        let error = self.runs.get(&id).and_then(|run| run.status.error.as_ref());
        let error = error.map_or_else(|| "null".to_owned(), ToString::to_string);
        let previous = format!("{{\"error\":{error}}}");
        let extra = [
            ("previous_result", previous.as_str()),
            ("error", error.as_str()),
        ];
        let (Step::RawScript { inputs, .. } | Step::Script { inputs, .. }) = &module.step else {
            return Ok(());
        };
        let inputs = &referring(inputs, |_| true);
        let args = self.arguments(id, usize::MAX, inputs, &extra)?;
        let timeout = self.secs(id, usize::MAX, ("timeout", module.timeout.as_ref()))?;
        let job = args.and_then(|args| Ok((self.script(id, module, args)?, timeout?)));
        match job {
            Ok((mut job, timeout)) => {
                job.given = self.given(id, inputs);
                job.timeout_secs = super::whole_secs(timeout);
                job.scheduled_at = self.in_secs(wait);
                self.push(id, FAILURE, job);
                Ok(())
            }
            Err(fault) => self.never_begun(id, module, fault),
        }
    }
}

/// Whether what a failure module came to makes a success of the flow: `{"recover": true}`, and whatever else is in it.
fn recovers(result: &str) -> bool {
    let result: Value = serde_json::from_str(result).unwrap_or_default();
    result.get("recover") == Some(&Value::Bool(true))
}

pub(super) fn early_stop(stop: &StopIf, result: &str) -> End {
    let text = stop.error.as_deref().filter(|text| !text.is_empty());
    let text = text.unwrap_or("the flow was stopped early by its stop_after_if");
    let mut error = json!({"name": "EarlyStopError", "message": text});
    if stop.include_result {
        error["result"] = serde_json::from_str(result).unwrap_or_default();
    }
    End {
        result: json!({"error": error}).to_string().into(),
        ..End::failed("", "")
    }
}

/// See [`wrong`]; an outcome of its own where no step can carry it.
pub(super) fn fault_outcome(field: &str, error: &str, now: crate::types::Timestamp) -> Outcome {
    let (name, text) = wrong(field, error);
    Outcome::failed(name, &text, now)
}
