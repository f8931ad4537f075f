//! Restarting: a flow that has ended runs again from one of its steps, and takes over what the steps before it came to.

use serde::{Deserialize, Serialize};

use super::{
    status::{FlowStatus, ModuleState, ModuleStatus},
    value::{Module, Step},
};
use crate::types::JobId;

/// What a run goes on from. Kept in its state, in Windmill's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartedFrom {
    /// The flow's job that has ended.
    pub flow_job_id: JobId,
    /// The step it runs again from.
    pub step_id: String,
    /// Of a loop or `branchall`: the iteration or branch it runs again from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_or_iteration_n: Option<usize>,
    /// The version it runs, of a saved flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_version: Option<i64>,
}

impl RestartedFrom {
    /// What a run of `modules` takes over from one that has ended: the states of its modules, and the number of the one
    /// it begins with.
    ///
    /// # Errors
    /// What is wrong with the wish, with its field.
    pub fn take_over(
        &self,
        modules: &[Module],
        old: &FlowStatus,
    ) -> Result<(usize, Vec<ModuleStatus>), String> {
        let step = &self.step_id;
        let found = modules
            .iter()
            .enumerate()
            .find(|(_, module)| module.id == *step);
        let Some((index, module)) = found else {
            return Err(format!(
                "step_id: the flow has no step '{step}' outside of loops and branches"
            ));
        };
        let unprepared = old.preprocessor_module.as_ref();
        if unprepared.is_some_and(|module| module.state != ModuleState::Success) {
            return Err(
                "step_id: the preprocessor of that run has not succeeded; run the flow anew".into(),
            );
        }
        let mut taken = Vec::with_capacity(modules.len());
        for module in &modules[..index] {
            let id = &module.id;
            let done = old.modules.iter().find(|known| {
                known.id == *id
                    && matches!(known.state, ModuleState::Success | ModuleState::Failure)
            });
            let Some(done) = done else {
                return Err(format!(
                    "step_id: step '{id}', which is before '{step}', has not ended in that run; restart from it"
                ));
            };
            if done.state == ModuleState::Failure && !module.continue_on_error {
                return Err(format!(
                    "step_id: step '{id}', which is before '{step}', failed in that run; restart from it"
                ));
            }
            taken.push(done.clone());
        }
        taken.extend(
            modules[index..]
                .iter()
                .map(|module| ModuleStatus::waiting(&module.id)),
        );
        self.kept(module, old)?;
        Ok((index, taken))
    }

    /// The jobs of the iterations or branches that a run takes over when it begins with `module`, and how they ended.
    ///
    /// # Errors
    /// What is wrong with the wish, with its field.
    pub fn kept(&self, module: &Module, old: &FlowStatus) -> Result<Kept, String> {
        match self.branch_or_iteration_n {
            Some(n) if module.id == self.step_id => {
                let old = old.modules.iter().find(|known| known.id == module.id);
                before(module, old, n)
            }
            _ => Ok(Kept::default()),
        }
    }
}

/// Jobs of iterations or branches, and how they ended.
pub type Kept = (Vec<JobId>, Vec<Option<bool>>);

/// The iterations or branches before number `n`.
fn before(module: &Module, old: Option<&ModuleStatus>, n: usize) -> Result<Kept, String> {
    let wrong = |what: String| Err(format!("branch_or_iteration_n: {what}"));
    let may_fail = |place: usize| match &module.step {
        Step::ForLoop { skip_failures, .. } | Step::WhileLoop { skip_failures, .. } => {
            Some(*skip_failures)
        }
        Step::BranchAll { branches, .. } => {
            let branch = branches.get(place);
            Some(branch.is_some_and(|branch| branch.skip_failure))
        }
        _ => None,
    };
    if may_fail(0).is_none() {
        return wrong(format!(
            "step '{}' is no loop and no branchall; leave it out",
            module.id
        ));
    }
    let jobs = old.and_then(|old| old.flow_jobs.as_deref()).unwrap_or(&[]);
    let ended = old.and_then(|old| old.flow_jobs_success.as_deref());
    let ended = ended.unwrap_or(&[]);
    if n > jobs.len() || n > ended.len() {
        return wrong(format!(
            "that run began {} of step '{}', so {n} cannot be the next",
            jobs.len(),
            module.id
        ));
    }
    for (place, ended) in ended[..n].iter().enumerate() {
        match ended {
            Some(true) => {}
            Some(false) if may_fail(place) == Some(true) => {}
            Some(false) => return wrong(format!("number {place} failed; restart from it")),
            None => return wrong(format!("number {place} has not ended; restart from it")),
        }
    }
    if let Step::BranchAll { branches, .. } = &module.step
        && n >= branches.len()
    {
        return wrong(format!("there are {} branches, from 0", branches.len()));
    }
    Ok((jobs[..n].to_vec(), ended[..n].to_vec()))
}
