//! How the iterations of a loop, and branches of many, end, and what follows: the next one, or the end of the step.

use std::sync::Arc;

use super::{ends::early_stop, plan::Plan, run::End};
use crate::{
    db::DbError,
    flow::{Module, ModuleStatus, Step, WhileLimits},
    types::JobId,
};

/// Iterations of a while loop that names no number.
const MAX_ITERATIONS: usize = 10_000;

impl Plan<'_> {
    /// An iteration of a loop or a branch of many has ended.
    pub(super) fn one_of_many_ended(
        &mut self,
        id: JobId,
        (index, module): (usize, &Module),
        job: JobId,
        end: End,
    ) -> Result<(), DbError> {
        let Some(status) = self.note_one(id, module, job, &end) else {
            return Ok(());
        };
        let (begun, total) = (
            status.flow_jobs.as_ref().map_or(0, Vec::len),
            total(&status),
        );
        let tolerated = match &module.step {
            Step::ForLoop { skip_failures, .. } | Step::WhileLoop { skip_failures, .. } => {
                *skip_failures
            }
            Step::BranchAll { branches, .. } => {
                let place = status.place_of(job).unwrap_or(0);
                branches
                    .get(place)
                    .is_some_and(|branch| branch.skip_failure)
            }
            _ => false,
        };
        let is_parallel = match (&status.iterator, &module.step) {
            (Some(iterator), _) => iterator.parallelism.is_some(),
            (None, Step::BranchAll { parallel, .. }) => *parallel,
            _ => false,
        };
        if is_parallel {
            return self.one_of_parallel_ended(id, (index, module), &status, (end, tolerated));
        }
        if !end.success && !tolerated {
            return self.module_failed(id, (index, module), end);
        }
        if end.stopped {
            return self.many_done(id, &module.id, !module.step.is_loop());
        }
        if let Some(stop) = module
            .stop_after_if
            .as_ref()
            .filter(|_| module.step.is_loop())
        {
            let extra = [("result", &*end.result), ("previous_result", &*end.result)];
            match self.condition(id, index, "stop_after_if", &stop.expr, &extra)? {
                Ok(false) => {}
                Ok(true) if stop.error.is_some() => {
                    self.set_state(id, &module.id, false);
                    return self.fail_run(id, &module.id, early_stop(stop, &end.result));
                }
                Ok(true) => return self.many_done(id, &module.id, false),
                Err(fault) => return self.broken_condition(id, module, fault),
            }
        }
        if total.is_some_and(|total| begun >= total) {
            return self.many_done(id, &module.id, false);
        }
        if let Step::WhileLoop { limits, .. } = &module.step
            && let Some(text) = self.exhausted(&status, *limits, begun)
        {
            let end = End::failed("LoopExhausted", &text);
            return self.module_failed(id, (index, module), end);
        }
        if status.deadline.is_some_and(|deadline| deadline <= self.now) {
            let end = End::failed("TimeoutError", "the timeout of the step is over");
            return self.module_failed(id, (index, module), end);
        }
        if module.step.is_loop() {
            self.begin_nested(id, module, None, (Some(begun), None))
        } else {
            self.begin_nested(id, module, Some(begun), (None, None))
        }
    }

    /// Notes how one of many ended; answers the module as it is now.
    fn note_one(
        &mut self,
        id: JobId,
        module: &Module,
        job: JobId,
        end: &End,
    ) -> Option<ModuleStatus> {
        let run = self.runs.get_mut(&id)?;
        let status = run.status.module_mut(&module.id)?;
        let place = status.place_of(job)?;
        if let Some(ended) = status
            .flow_jobs_success
            .as_mut()
            .and_then(|all| all.get_mut(place))
        {
            *ended = Some(end.success);
        }
        Some(status.clone())
    }

    /// One of those that run beside each other has ended: if it has stopped early, that is its own affair.
    fn one_of_parallel_ended(
        &mut self,
        id: JobId,
        (index, module): (usize, &Module),
        status: &ModuleStatus,
        (end, tolerated): (End, bool),
    ) -> Result<(), DbError> {
        if let Some(run) = self.runs.get_mut(&id)
            && !end.success
            && !tolerated
            && run.status.failed_job.is_none()
        {
            let ended = status
                .flow_jobs
                .iter()
                .flatten()
                .zip(status.flow_jobs_success.iter().flatten());
            let mut failed = ended.filter(|(_, success)| **success == Some(false));
            run.status.failed_job = failed.next().map(|(job, _)| *job);
        }
        let failed = self.runs.get(&id).and_then(|run| run.status.failed_job);
        let begun = status.flow_jobs.as_ref().map_or(0, Vec::len);
        let more = failed.is_none() && total(status).is_some_and(|total| begun < total);
        if more {
            return self.begin_nested(id, module, None, (Some(begun), None));
        }
        if !status.open_jobs().is_empty() {
            return Ok(());
        }
        if let Some(run) = self.runs.get_mut(&id) {
            run.status.failed_job = None;
        }
        match failed {
            None => self.many_done(id, &module.id, false),
            Some(job) => {
                if let Some(run) = self.runs.get_mut(&id)
                    && let Some(status) = run.status.module_mut(&module.id)
                {
                    status.job = Some(job);
                }
                let (result, _) = self.result(job)?;
                let end = End {
                    success: false,
                    result,
                    canceled: end.canceled,
                    stopped: false,
                    for_good: true,
                };
                self.module_failed(id, (index, module), end)
            }
        }
    }

    /// Why a while loop may not go on, if so.
    fn exhausted(
        &self,
        status: &ModuleStatus,
        limits: WhileLimits,
        begun: usize,
    ) -> Option<String> {
        let most = limits.iterations.unwrap_or(MAX_ITERATIONS);
        if begun >= most {
            return Some(format!(
                "nothing has stopped the loop within {most} iterations"
            ));
        }
        let secs = limits.secs?;
        let since = status.iterator.as_ref()?.started_at;
        let over = since.plus(std::time::Duration::from_secs(secs)) <= self.now;
        over.then(|| format!("nothing has stopped the loop within {secs} s"))
    }

    /// All iterations or branches have ended, or no more are begun.
    pub(super) fn many_done(
        &mut self,
        id: JobId,
        step: &str,
        stopped: bool,
    ) -> Result<(), DbError> {
        self.set_state(id, step, true);
        let Some(run) = self.runs.get(&id) else {
            return Ok(());
        };
        let Some(status) = run.status.module(step).cloned() else {
            return Ok(());
        };
        let (flow, nest) = (Arc::clone(&run.flow), run.nest.clone());
        let modules = flow.value.list(nest.as_ref()).unwrap_or_default();
        let found = modules
            .iter()
            .enumerate()
            .find(|(_, module)| module.id == step);
        let Some((index, module)) = found else {
            return Ok(());
        };
        let result = self.result_of(&status)?;
        self.module_done(id, (index, module), result, stopped)
    }
}

/// How many iterations or branches there are to be; none for while loops.
fn total(status: &ModuleStatus) -> Option<usize> {
    match (&status.iterator, &status.branchall) {
        (Some(iterator), _) => iterator.itered_len,
        (None, Some(all)) => Some(all.len),
        (None, None) => None,
    }
}
