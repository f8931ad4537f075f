//! Which arguments of a step may refer to variables and resources (`queue::given`): static inputs, which the flow's author
//! wrote down, and those that an expression passes on untouched from arguments that somebody gave the flow. Whatever an
//! expression computes is no reference, nor is what a preprocessor made; but what it computes from secrets is opened when the step
//! starts (`sealing`).

use std::collections::BTreeSet;

use super::{
    plan::Plan,
    run::Run,
    scope::{mentions, passed_on},
};
use crate::{
    db::{DbError, flow_run},
    flow::{Expr, Input, Inputs, Module, Step},
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
        let is_given = |name: &str, input: &Input| self.sealed.contains(name) || is_given(input);
        let given = inputs.iter().filter(|(name, input)| is_given(name, input));
        let given = given.map(|(name, _)| name.clone());
        // Not arguments: the step is to keep the secrets among them out of its log, and so are the steps of a flow whose
        // arguments were computed from them.
        let before = known.iter().filter(|name| queue::is_reference(name));
        let read: BTreeSet<String> = self.read.iter().chain(before).cloned().collect();
        given.chain(read).collect()
    }
}

/// The name that what the list of a loop was computed from is kept under.
fn name_of_read(module: &str) -> String {
    format!("read:{module}")
}

impl Plan<'_> {
    /// Keeps what the list of a loop was computed from: iterations begin later, too.
    pub(super) fn note_read(&mut self, id: JobId, module: &str) {
        if !self.read.is_empty() {
            let read = serde_json::to_string(&self.read).unwrap_or_default();
            self.change.values.push((id, name_of_read(module), read));
        }
    }

    /// What the items of a loop were computed from: the steps of its iterations keep the secrets among it out of their logs.
    pub(super) fn read_for(&mut self, id: JobId, module: &Module) -> Result<Vec<String>, DbError> {
        let reads = match &module.step {
            Step::ForLoop {
                iterator: Input::Javascript(Expr(expr)),
                ..
            } => mentions(expr, "variable") || mentions(expr, "resource"),
            _ => false,
        };
        if !reads {
            return Ok(Vec::new());
        }
        let name = name_of_read(&module.id);
        let new = self.change.values.iter();
        let mut new = new.filter(|(job, known, _)| *job == id && *known == name);
        let kept = match new.next_back() {
            Some((_, _, read)) => Some(read.clone()),
            None => flow_run::value(self.conn, id, &name)?,
        };
        let kept = kept.and_then(|kept| serde_json::from_str(&kept).ok());
        Ok(kept.unwrap_or_default())
    }
}

/// The arguments of a run that somebody gave.
pub(super) fn of_run(run: &Run) -> Vec<String> {
    if run.status.preprocessor_module.is_some() {
        return Vec::new();
    }
    queue::given(&run.job)
}
