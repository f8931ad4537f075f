//! How loops and branches begin: their jobs are flows inside the flow.

use super::{
    given,
    jobs::{raw_of, step_job, step_path},
    plan::Plan,
};
use crate::{
    db::DbError,
    flow::{BranchAll, BranchChosen, Iteration, Module, ModuleState, Step},
    queue::StepRunnable,
    types::{JobId, JobKind, Timestamp},
};

impl Plan<'_> {
    /// Begins a loop over `items` (none: a while loop), so many iterations at a time.
    pub(super) fn begin_loop(
        &mut self,
        id: JobId,
        module: &Module,
        (items, parallelism): (Option<String>, Option<usize>),
        later: Option<Timestamp>,
    ) -> Result<(), DbError> {
        let itered_len = items.as_deref().map(count);
        let (mut kept, mut ended) = self.kept(id, module)?;
        kept.truncate(itered_len.unwrap_or(usize::MAX));
        ended.truncate(kept.len());
        let begun = kept.len();
        if let Some(items) = items {
            let name = super::iterated(&module.id);
            self.change.values.push((id, name, items));
        }
        if let Some(run) = self.runs.get_mut(&id)
            && let Some(status) = run.status.module_mut(&module.id)
        {
            status.state = ModuleState::InProgress;
            status.job = kept.last().copied().or(Some(JobId::NONE));
            status.flow_jobs = Some(kept);
            status.flow_jobs_success = Some(ended);
            status.iterator = Some(Iteration {
                index: begun,
                itered_len,
                parallelism,
                started_at: self.now,
            });
            run.changed = true;
        }
        if itered_len == Some(begun) {
            return self.many_done(id, &module.id, false);
        }
        let left = itered_len.map_or(1, |len| len - begun);
        for index in begun..begun + parallelism.unwrap_or(1).min(left) {
            self.begin_nested(id, module, None, (Some(index), later))?;
        }
        Ok(())
    }

    /// Begins the branch that was chosen; none is the default.
    pub(super) fn begin_branch(
        &mut self,
        id: JobId,
        module: &Module,
        chosen: Option<usize>,
        later: Option<Timestamp>,
    ) -> Result<(), DbError> {
        if let Some(run) = self.runs.get_mut(&id)
            && let Some(status) = run.status.module_mut(&module.id)
        {
            status.branch_chosen = Some(match chosen {
                Some(branch) => BranchChosen::Branch { branch },
                None => BranchChosen::Default,
            });
        }
        self.begin_nested(id, module, chosen, (None, later))
    }

    /// Begins branches: all, or the first.
    pub(super) fn begin_branches(
        &mut self,
        id: JobId,
        module: &Module,
        (len, parallel): (usize, bool),
        later: Option<Timestamp>,
    ) -> Result<(), DbError> {
        let (kept, ended) = self.kept(id, module)?;
        let first = kept.len().min(len);
        if let Some(run) = self.runs.get_mut(&id)
            && let Some(status) = run.status.module_mut(&module.id)
        {
            status.state = ModuleState::InProgress;
            status.job = kept.last().copied().or(Some(JobId::NONE));
            status.flow_jobs = Some(kept);
            status.flow_jobs_success = Some(ended);
            status.branchall = Some(BranchAll { branch: first, len });
            run.changed = true;
        }
        for branch in first..if parallel { len } else { len.min(first + 1) } {
            self.begin_nested(id, module, Some(branch), (None, later))?;
        }
        if len == 0 {
            self.many_done(id, &module.id, false)?;
        }
        Ok(())
    }

    /// Begins an iteration of a loop, or a branch.
    pub(super) fn begin_nested(
        &mut self,
        id: JobId,
        module: &Module,
        branch: Option<usize>,
        (iteration, later): (Option<usize>, Option<Timestamp>),
    ) -> Result<(), DbError> {
        let args = self.nested_args(id, module, iteration)?;
        let read = self.read_for(id, module)?;
        let Some(run) = self.runs.get_mut(&id) else {
            return Ok(());
        };
        let mut raw = raw_of(run, &module.id);
        raw.branch = branch;
        raw.preview = run.flow.preview;
        let runnable = StepRunnable {
            kind: JobKind::FlowNode,
            path: step_path(run, &module.id),
            hash: run.flow.version,
            raw: Some(raw.to_text()),
        };
        let mut job = step_job(run, &module.id, runnable, args);
        job.given = given::of_run(run);
        job.given
            .retain(|name| iteration.is_none() || name != "iter");
        job.given.extend(read);
        job.scheduled_at = later;
        let mut at_once = true;
        if let Some(status) = run.status.module_mut(&module.id) {
            status.state = ModuleState::InProgress;
            job.timeout_secs = status
                .deadline
                .map(|deadline| left(deadline, later.unwrap_or(self.now)));
            status.job = Some(job.id);
            if let (Some(jobs), Some(ended)) =
                (&mut status.flow_jobs, &mut status.flow_jobs_success)
            {
                jobs.push(job.id);
                ended.push(None);
            }
            if let (Some(iterator), Some(index)) = (&mut status.iterator, iteration) {
                iterator.index = index;
                at_once = iterator.parallelism.is_none();
            }
            if let (Some(all), Some(branch)) = (&mut status.branchall, branch) {
                all.branch = branch;
            }
        }
        run.changed = true;
        self.begin_inside(job, at_once)
    }

    /// The arguments of an iteration: those of the flow, and `iter`.
    fn nested_args(
        &mut self,
        id: JobId,
        module: &Module,
        iteration: Option<usize>,
    ) -> Result<String, DbError> {
        let item = match (iteration, &module.step) {
            (Some(index), Step::ForLoop { .. }) => self.item(id, &module.id, index)?,
            (Some(index), _) => index.to_string(),
            (None, _) => String::new(),
        };
        let args = self.runs.get(&id).map_or("{}", |run| run.job.args.as_str());
        let Some(index) = iteration else {
            return Ok(args.to_owned());
        };
        Ok(with_member(
            args,
            "iter",
            &format!("{{\"index\":{index},\"value\":{item}}}"),
        ))
    }
}

/// The object `args` with one member more, or replaced; what is no object is none then.
fn with_member(args: &str, name: &str, value: &str) -> String {
    use serde_json::value::RawValue;
    let parsed: Result<std::collections::BTreeMap<String, Box<RawValue>>, _> =
        serde_json::from_str(args);
    let mut members = parsed.unwrap_or_default();
    if let Ok(value) = RawValue::from_string(value.to_owned()) {
        members.insert(name.to_owned(), value);
    }
    serde_json::to_string(&members).unwrap_or_else(|_| "{}".to_owned())
}

/// How many items a list has.
pub(super) fn count(list: &str) -> usize {
    let items: Result<Vec<serde::de::IgnoredAny>, _> = serde_json::from_str(list);
    items.map_or(0, |items| items.len())
}

/// The whole seconds until a deadline, at least one.
fn left(deadline: Timestamp, from: Timestamp) -> i32 {
    let micros = (deadline.0 - from.0).max(0);
    i32::try_from(micros / 1_000_000).unwrap_or(i32::MAX).max(1)
}
