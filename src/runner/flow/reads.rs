//! `variable('<path>')` and `resource('<path>')` in expressions: read with the rights of the flow's run-as.
//!
//! The engine has no database: what it is asked for and does not know ends the evaluation, is read, and the expression
//! is evaluated again. An input that is nothing but such a call is a reference instead (`queue::given`), where it is that
//! of a script or of a flow that only passes it on (`passing`): so a secret is not kept with the step. What else is made
//! of a secret is kept sealed (`sealing`); the secret itself is masked in the step's log, and in those of all steps of a
//! flow that it calls.

use std::{borrow::Cow, cell::RefCell, collections::HashMap, rc::Rc};

use super::{engine::Engine, plan::Plan, scope::refers_to};
use crate::{
    access::references::{self, ReferenceError},
    db::DbError,
    flow::{Expr, Input, Inputs},
    types::JobId,
};

/// Most variables and resources that one expression reads: each is a look into the database.
const MOST: usize = 100;

/// What an expression may read.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// References (`$var:<path>`, `$res:<path>`) and their JSON, or why they cannot be had.
    pub(super) known: RefCell<HashMap<String, Result<String, String>>>,
    /// References that were asked for and are not known yet.
    pub(super) missed: RefCell<Vec<String>>,
}

impl Plan<'_> {
    /// Evaluates an expression that may read variables and resources.
    pub(super) fn eval_reading(
        &mut self,
        id: JobId,
        expr: &str,
        values: &[(&str, &str)],
    ) -> Result<Result<String, String>, DbError> {
        let reads = Rc::new(Reads::default());
        loop {
            let result = match &self.engine {
                Some(engine) => engine.eval_reading(expr, values, &reads),
                None => return Ok(Engine::missing()),
            };
            let missed = reads.missed.take();
            if missed.is_empty() {
                let known = reads.known.borrow();
                self.learned.read.extend(known.keys().cloned());
                return Ok(result);
            }
            if reads.known.borrow().len() + missed.len() > MOST {
                return Ok(Err(format!(
                    "it reads more than {MOST} variables and resources"
                )));
            }
            for reference in missed {
                let value = self.refer(id, &reference)?;
                reads.known.borrow_mut().insert(reference, value);
            }
        }
    }

    /// What a reference leads to, read with the rights of the run's job. Inside: why that cannot be had.
    fn refer(&mut self, id: JobId, reference: &str) -> Result<Result<String, String>, DbError> {
        let Some(run) = self.runs.get(&id) else {
            return Ok(Err("the flow is gone".to_owned()));
        };
        let who = (
            run.job.workspace_id.as_str(),
            run.job.permissioned_as.as_str(),
        );
        match references::value(self.conn, who, reference) {
            Ok((value, is_secret)) => {
                let value = value.to_string();
                if is_secret {
                    self.learned.secret(&value);
                }
                Ok(Ok(value))
            }
            Err(ReferenceError::Database(error)) => Err(error),
            Err(error) => Ok(Err(error.to_string())),
        }
    }
}

/// The inputs of a step, with references where an expression is nothing else and `will_do` says that the step, or what
/// it calls, does not need the value itself.
pub(super) fn referring(inputs: &Inputs, mut will_do: impl FnMut(&str) -> bool) -> Cow<'_, Inputs> {
    let mut reference = |name: &str, input: &Input| match input {
        Input::Javascript(Expr(expr)) => refers_to(expr).filter(|_| will_do(name)),
        Input::Static(_) => None,
    };
    let mut all = inputs.iter();
    if all.all(|(name, input)| reference(name, input).is_none()) {
        return Cow::Borrowed(inputs);
    }
    let replaced = inputs.iter().map(|(name, input)| {
        let text = reference(name, input).map(|text| serde_json::Value::from(text).to_string());
        (
            name.clone(),
            text.map_or_else(|| input.clone(), Input::Static),
        )
    });
    Cow::Owned(replaced.collect())
}
