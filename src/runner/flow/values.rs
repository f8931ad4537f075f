//! What expressions see, and what they come to.

use std::sync::Arc;

use super::{
    engine::Engine,
    jobs::{Fault, list_of, number_of, parallelism_of, wrong},
    plan::Plan,
    scope::{Uses, members_used, mentions, picked},
    sealing::Learned,
};
use crate::{
    db::{DbError, flow_run},
    flow::{Expr, FlowStatus, Input, ModuleState, ModuleStatus},
    types::JobId,
};

/// What a failed lookup is in JSON.
const NULL: &str = "null";

/// Names that only some expressions have, and their JSON.
pub(super) type Extra<'e> = &'e [(&'static str, &'e str)];

/// Whether JSON counts as true in JavaScript.
fn is_truthy(json: &str) -> bool {
    match json {
        "null" | "false" | "\"\"" => false,
        number if number.parse::<f64>() == Ok(0.0) => false,
        _ => true,
    }
}

impl Plan<'_> {
    /// The result of a job that has ended.
    pub(super) fn result(&mut self, job: JobId) -> Result<(Arc<str>, bool), DbError> {
        if let Some(known) = self.results.get(&job) {
            return Ok(known.clone());
        }
        let found = flow_run::result(self.conn, job)?;
        let (text, success) = found.unwrap_or_else(|| (NULL.to_owned(), false));
        let found = (Arc::from(text), success);
        self.results.insert(job, found.clone());
        Ok(found)
    }

    /// The result of a module that has ended: of its job, or the list of its iterations' and branches'.
    pub(super) fn result_of(&mut self, module: &ModuleStatus) -> Result<Arc<str>, DbError> {
        let (Some(jobs), Some(ended)) = (&module.flow_jobs, &module.flow_jobs_success) else {
            return match module.job {
                Some(job) => Ok(self.result(job)?.0),
                None => Ok(NULL.into()),
            };
        };
        let unknown: Vec<JobId> = jobs
            .iter()
            .filter(|job| !self.results.contains_key(*job))
            .copied()
            .collect();
        for (job, result) in flow_run::results(self.conn, &unknown)? {
            self.results.insert(job, (result.into(), true));
        }
        let mut list = String::from("[");
        for (job, success) in jobs.iter().zip(ended) {
            let result = match (success, self.results.get(job)) {
                // A failed iteration is null in the list; a failed branch is its error.
                (Some(false), _) if module.iterator.is_some() => NULL,
                (Some(_), Some((result, _))) => result,
                // Branches that a stop left out are no part of it.
                (None, _) => continue,
                (Some(_), None) => NULL,
            };
            if list.len() > 1 {
                list.push(',');
            }
            list.push_str(result);
        }
        list.push(']');
        Ok(list.into())
    }

    /// The result before the module of this number: of the module before it, or of the one before the loop or branch it
    /// is in; before the first of all, the arguments.
    pub(super) fn previous(&mut self, id: JobId, index: usize) -> Result<Arc<str>, DbError> {
        let (mut id, mut index) = (id, index);
        loop {
            let Some(run) = self.runs.get(&id) else {
                return Ok(NULL.into());
            };
            if let Some(before) = index.checked_sub(1) {
                return match run.status.modules.get(before).cloned() {
                    Some(module) => self.result_of(&module),
                    None => Ok(NULL.into()),
                };
            }
            let (Some(nest), Some(outer)) = (run.nest.clone(), run.job.parent_job) else {
                return Ok(run.job.args.as_str().into());
            };
            if !self.is_open(outer)? {
                return Ok(NULL.into());
            }
            let place = self
                .runs
                .get(&outer)
                .and_then(|run| run.module(&nest.module));
            let Some((place, _)) = place else {
                return Ok(NULL.into());
            };
            (id, index) = (outer, place);
        }
    }

    /// The result of a step of this run, of the iteration before it, or of what it is in.
    fn result_by_id(&mut self, id: JobId, name: &str) -> Result<Option<Arc<str>>, DbError> {
        let mut at = id;
        loop {
            let Some(run) = self.runs.get(&at) else {
                return Ok(None);
            };
            if let Some(module) = done(&run.status, name) {
                return self.result_of(&module).map(Some);
            }
            let (Some(nest), Some(outer)) = (run.nest.clone(), run.job.parent_job) else {
                return Ok(None);
            };
            if !self.is_open(outer)? {
                return Ok(None);
            }
            let before = self.runs.get(&outer).and_then(|run| {
                let module = run.status.module(&nest.module)?;
                module
                    .iterator
                    .as_ref()
                    .filter(|it| it.parallelism.is_none())?;
                let place = module.place_of(at)?.checked_sub(1)?;
                module.flow_jobs.as_ref()?.get(place).copied()
            });
            if let Some(before) = before
                && let Some(status) = self.status_of(before)?
                && let Some(module) = done(&status, name)
            {
                return self.result_of(&module).map(Some);
            }
            at = outer;
        }
    }

    fn status_of(&mut self, id: JobId) -> Result<Option<FlowStatus>, DbError> {
        if let Some(run) = self.runs.get(&id) {
            return Ok(Some(run.status.clone()));
        }
        let stored = flow_run::find(self.conn, id)?;
        Ok(stored.and_then(|stored| serde_json::from_str(&stored.status).ok()))
    }

    /// The steps whose results can be asked for.
    fn steps_seen(&mut self, id: JobId) -> Result<Vec<String>, DbError> {
        let mut names = Vec::new();
        let mut at = Some(id);
        while let Some(id) = at {
            if !self.is_open(id)? {
                break;
            }
            let Some(run) = self.runs.get(&id) else { break };
            names.extend(run.status.modules.iter().map(|module| module.id.clone()));
            at = run.nest.as_ref().and(run.job.parent_job);
        }
        Ok(names)
    }

    /// `results` as an expression needs it.
    fn results(&mut self, id: JobId, expr: &str) -> Result<String, DbError> {
        let names = match members_used(expr, "results") {
            Uses::Members(names) => names,
            Uses::Any => self.steps_seen(id)?,
        };
        let mut object = String::from("{");
        for name in names {
            if let Some(result) = self.result_by_id(id, &name)? {
                if object.len() > 1 {
                    object.push(',');
                }
                object.push_str(&serde_json::Value::from(name).to_string());
                object.push(':');
                object.push_str(&result);
            }
        }
        object.push('}');
        Ok(object)
    }

    /// Evaluates an expression of the module of this number. Inside: its JSON, or what is wrong with it.
    pub(super) fn eval(
        &mut self,
        id: JobId,
        index: usize,
        expr: &Expr,
        extra: Extra<'_>,
    ) -> Result<Result<String, String>, DbError> {
        self.learned = Learned::default();
        let json = self.eval_learning(id, index, expr, extra)?;
        self.read.extend(self.learned.read.iter().cloned());
        Ok(json.map_err(|error| self.learned.masked(error)))
    }

    fn eval_learning(
        &mut self,
        id: JobId,
        index: usize,
        Expr(expr): &Expr,
        extra: Extra<'_>,
    ) -> Result<Result<String, String>, DbError> {
        let mut values: Vec<(&'static str, Arc<str>)> = Vec::new();
        for (name, json) in extra {
            if mentions(expr, name) {
                values.push((name, (*json).into()));
            }
        }
        if mentions(expr, "flow_input")
            && let Some(run) = self.runs.get(&id)
        {
            values.push(("flow_input", run.job.args.as_str().into()));
        }
        let given = |name: &str| extra.iter().any(|(known, _)| *known == name);
        if mentions(expr, "previous_result") && !given("previous_result") {
            values.push(("previous_result", self.previous(id, index)?));
        }
        if mentions(expr, "results") {
            values.push(("results", self.results(id, expr)?.into()));
        }
        for (name, json) in &mut values {
            *json = self.opened(id, (expr, name), Arc::clone(json));
        }
        let value = |name: &str| {
            let mut known = values.iter().filter(|(known, _)| *known == name);
            known.next().map(|(_, json)| &**json)
        };
        if let Some(json) = picked(expr, value) {
            return Ok(Ok(json.to_owned()));
        }
        if self.engine.is_none() {
            match Engine::new() {
                Ok(engine) => self.engine = Some(engine),
                Err(error) => return Ok(Err(error)),
            }
        }
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, json)| (*name, &**json)).collect();
        if mentions(expr, "variable") || mentions(expr, "resource") {
            return self.eval_reading(id, expr, &values);
        }
        Ok(match &self.engine {
            Some(engine) => engine.eval(expr, &values),
            None => Engine::missing(),
        })
    }

    /// Whether a condition holds. Inside: what is wrong with it.
    pub(super) fn holds(
        &mut self,
        id: JobId,
        index: usize,
        expr: &Expr,
        extra: Extra<'_>,
    ) -> Result<Result<bool, String>, DbError> {
        Ok(self
            .eval(id, index, expr, extra)?
            .map(|json| is_truthy(&json)))
    }

    /// As [`Plan::holds`], for the field of a module.
    pub(super) fn condition(
        &mut self,
        id: JobId,
        index: usize,
        field: &str,
        expr: &Expr,
        extra: Extra<'_>,
    ) -> Result<Result<bool, Fault>, DbError> {
        let holds = self.holds(id, index, expr, extra)?;
        Ok(holds.map_err(|error| wrong(field, error)))
    }

    /// What an input comes to, as JSON.
    pub(super) fn input(
        &mut self,
        id: JobId,
        index: usize,
        (field, input): (&str, &Input),
        extra: Extra<'_>,
    ) -> Result<Result<String, Fault>, DbError> {
        match input {
            Input::Static(json) => {
                self.learned = Learned::default();
                Ok(Ok(json.clone()))
            }
            Input::Javascript(expr) => {
                let json = self.eval(id, index, expr, extra)?;
                Ok(json.map_err(|error| wrong(field, error)))
            }
        }
    }

    /// The list of a loop.
    pub(super) fn items(
        &mut self,
        id: JobId,
        index: usize,
        input: &Input,
    ) -> Result<Result<String, Fault>, DbError> {
        let list = self.input(id, index, ("iterator", input), &[])?;
        let list = list.and_then(|list| list_of("iterator", list));
        Ok(list.and_then(|list| self.keep_items(id, "iterator", list)))
    }

    /// A number of seconds.
    pub(super) fn secs(
        &mut self,
        id: JobId,
        index: usize,
        (field, input): (&str, Option<&Input>),
    ) -> Result<Result<Option<f64>, Fault>, DbError> {
        let Some(input) = input else {
            return Ok(Ok(None));
        };
        let secs = self.input(id, index, (field, input), &[])?;
        Ok(secs.and_then(|secs| number_of(field, &secs)))
    }

    pub(super) fn parallelism(
        &mut self,
        id: JobId,
        index: usize,
        input: &Input,
    ) -> Result<Result<usize, Fault>, DbError> {
        let number = self.input(id, index, ("parallelism", input), &[])?;
        Ok(number.and_then(|number| parallelism_of(&number)))
    }

    /// How long the module before this one sleeps.
    pub(super) fn sleep_before(
        &mut self,
        id: JobId,
        index: usize,
    ) -> Result<Result<f64, Fault>, DbError> {
        let Some(before) = index.checked_sub(1) else {
            return Ok(Ok(0.0));
        };
        let run = self.runs.get(&id);
        let slept = run.and_then(|run| {
            let skipped = run
                .status
                .modules
                .get(before)
                .is_some_and(|module| module.skipped);
            let sleep = run.modules().get(before)?.sleep.clone();
            sleep.filter(|_| !skipped)
        });
        let secs = self.secs(id, index, ("sleep", slept.as_ref()))?;
        Ok(secs.map(|secs| secs.unwrap_or(0.0)))
    }

    /// One item of the list that a loop goes through.
    pub(super) fn item(
        &mut self,
        id: JobId,
        module: &str,
        index: usize,
    ) -> Result<String, DbError> {
        use serde_json::value::RawValue;
        let name = super::iterated(module);
        if !self.lists.contains_key(&(id, name.clone())) {
            let new = self.change.values.iter();
            let new = new.filter(|(job, known, _)| *job == id && *known == name);
            let list = match new.map(|(_, _, list)| list.clone()).next_back() {
                Some(list) => Some(list),
                None => flow_run::value(self.conn, id, &name)?,
            };
            let list: Vec<Box<RawValue>> = list
                .and_then(|list| serde_json::from_str(&list).ok())
                .unwrap_or_default();
            self.lists.insert((id, name.clone()), list);
        }
        let list = self.lists.get(&(id, name));
        let item = list.and_then(|list| list.get(index));
        Ok(item.map_or(NULL, |item| item.get()).to_owned())
    }
}

/// The module of an id, once it has ended.
fn done(status: &FlowStatus, name: &str) -> Option<ModuleStatus> {
    let module = status.module(name)?;
    matches!(module.state, ModuleState::Success | ModuleState::Failure).then(|| module.clone())
}
