//! Which arguments of a step may refer to variables and resources (`queue::given`): static inputs, which the flow's author
//! wrote down, and those that an expression passes on untouched from arguments that somebody gave the flow. Whatever an
//! expression computes is no reference, nor is what a preprocessor made.

use std::collections::BTreeSet;

use super::{plan::Plan, run::Run, scope::passed_on};
use crate::{
    flow::{Expr, Input, Inputs},
    queue,
    types::JobId,
};

impl Plan<'_> {
    /// The arguments of a step in which references are replaced when it starts, and what its inputs have read.
    pub(super) fn given(&self, id: JobId, inputs: &Inputs) -> Vec<String> {
        let Some(run) = self.runs.get(&id) else {
            return Vec::new();
        };
        let known = of_run(run);
        let is_given = |input: &Input| match input {
            Input::Static(json) => {
                serde_json::from_str(json).is_ok_and(|value| queue::refers(&value))
            }
            Input::Javascript(Expr(expr)) => {
                !known.is_empty() && passed_on(expr).is_some_and(|name| known.contains(&name))
            }
        };
        let given = inputs.iter().filter(|(_, input)| is_given(input));
        let given = given.map(|(name, _)| name.clone());
        // Not arguments: the step is to keep the secrets among them out of its log, and so are the steps of a flow whose
        // arguments were computed from them.
        let before = known.iter().filter(|name| queue::is_reference(name));
        let read: BTreeSet<String> = self.read.iter().chain(before).cloned().collect();
        given.chain(read).collect()
    }
}

/// The arguments of a run that somebody gave.
pub(super) fn of_run(run: &Run) -> Vec<String> {
    if run.status.preprocessor_module.is_some() {
        return Vec::new();
    }
    queue::given(&run.job)
}
