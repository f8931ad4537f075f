//! How runs begin that go on from one that has ended: with a step, and with what the steps before it came to there.

use super::{cache::FlowRaw, plan::Plan, run::Todo};
use crate::{
    db::{DbError, flow_run, queue},
    flow::{FlowStatus, Kept, Module, ModuleState, RestartedFrom},
    queue::{Job, Outcome},
    types::JobId,
};

/// Why a run cannot go on from another one.
const GONE: &str = "the run it was to go on from is gone; run the flow anew";

/// What a flow's job goes on from, if it does.
pub(super) fn restarted(job: &Job) -> Option<RestartedFrom> {
    let raw = job.raw.as_deref()?;
    raw.contains("\"restarted_from\"")
        .then(|| FlowRaw::of(job).restarted_from)?
}

impl Plan<'_> {
    /// Begins a run in the middle.
    pub(super) fn restart(&mut self, id: JobId, from: RestartedFrom) -> Result<(), DbError> {
        let old = self.ended_status(from.flow_job_id)?;
        let roots = self.roots(from.flow_job_id)?;
        let Some(run) = self.runs.get_mut(&id) else {
            return Ok(());
        };
        let taken = match (old, roots) {
            (Some(old), Some(roots)) => from
                .take_over(&run.flow.value.modules, &old)
                .map(|taken| (taken, roots)),
            _ => Err(GONE.to_owned()),
        };
        let ((index, modules), roots) = match taken {
            Ok(taken) => taken,
            Err(text) => {
                let outcome = Outcome::failed("ExecutionErr", &text, self.now);
                self.close(id, outcome, false);
                return Ok(());
            }
        };
        run.status.step = i32::try_from(index).unwrap_or(i32::MAX);
        run.status.modules = modules;
        run.status.preprocessor_module = None;
        run.status.restarted_from = Some(from);
        run.changed = true;
        let roots = serde_json::to_string(&roots).unwrap_or_default();
        self.change
            .values
            .push((id, flow_run::TAKEN.to_owned(), roots));
        self.todo.push_back(Todo::Module(id, index));
        Ok(())
    }

    /// The outermost jobs whose steps a run needs that goes on from `old`: those stay as long as it has not ended.
    fn roots(&mut self, old: JobId) -> Result<Option<Vec<JobId>>, DbError> {
        let row = queue::find_completed(self.conn, old)?;
        let Some(row) = row.filter(|row| !row.is_erased()) else {
            return Ok(None);
        };
        let mut roots = vec![row.root_job.unwrap_or(row.id)];
        if let Some(before) = flow_run::value(self.conn, old, flow_run::TAKEN)? {
            roots.extend(serde_json::from_str::<Vec<JobId>>(&before).unwrap_or_default());
        }
        roots.sort_unstable();
        roots.dedup();
        Ok(Some(roots))
    }

    fn ended_status(&mut self, job: JobId) -> Result<Option<FlowStatus>, DbError> {
        let stored = flow_run::find(self.conn, job)?;
        Ok(stored.and_then(|stored| serde_json::from_str(&stored.status).ok()))
    }

    /// The iterations or branches that a module begins behind: none, but where its run was restarted in the middle of it.
    pub(super) fn kept(&mut self, id: JobId, module: &Module) -> Result<Kept, DbError> {
        let from = self.runs.get(&id).and_then(|run| {
            let first = run.status.module(&module.id)?.state == ModuleState::WaitingForPriorSteps;
            let from = run.status.restarted_from.clone()?;
            (first && run.nest.is_none() && from.branch_or_iteration_n.is_some()).then_some(from)
        });
        let Some(from) = from else {
            return Ok(Kept::default());
        };
        let old = self.ended_status(from.flow_job_id)?;
        // It was looked at when the run began; what is gone since then runs again.
        let kept = old.and_then(|old| from.kept(module, &old).ok());
        Ok(kept.unwrap_or_default())
    }
}
