//! The jobs of steps.

use std::collections::BTreeMap;

use serde_json::{Value, json, value::RawValue};

use super::{cache::FlowRaw, nested::count, plan::Plan, run::Run};
use crate::{
    db::{DbError, flow, flow::FlowRow},
    flow::{FAILURE, Module, PREPROCESSOR, Step},
    queue::{Args, Job, MAX_DEPTH, NewJob, Runnable, StepRunnable},
    types::{JobId, JobKind},
};

/// Iterations of one loop: each is a job, and the list of them is part of the run's state.
const MAX_ITERATIONS: usize = 10_000;
/// Longest wait and longest run: a year.
const MAX_SECS: f64 = 365.0 * 24.0 * 3600.0;

/// Why a step cannot begin; the step fails with it.
pub(super) type Fault = (&'static str, String);

/// The result of an identity step that waited in the queue.
pub(super) fn identity_result(job: &Job) -> String {
    let args: Value = serde_json::from_str(&job.args).unwrap_or_default();
    args["previous_result"].to_string()
}

impl Plan<'_> {
    /// The job of a script, part of the flow or saved.
    pub(super) fn script(&self, id: JobId, module: &Module, args: String) -> Result<NewJob, Fault> {
        let Some(run) = self.runs.get(&id) else {
            return Err(("InternalError", "the flow is gone".to_owned()));
        };
        let mut raw = raw_of(run, &module.id);
        let (runnable, tag) = match &module.step {
            Step::RawScript {
                language,
                content,
                lock,
                tag,
                ..
            } => {
                raw.language = Some(language.as_str().to_owned());
                raw.flow = run.flow.version;
                let kind = if raw.flow.is_some() {
                    JobKind::FlowScript
                } else {
                    raw.content = Some(content.clone());
                    raw.lock.clone_from(lock);
                    JobKind::Preview
                };
                let runnable = StepRunnable {
                    kind,
                    path: step_path(run, &module.id),
                    hash: Some(super::content_key(
                        *language,
                        (content, lock.as_deref()),
                        &module.id,
                    )),
                    raw: Some(raw.to_text()),
                };
                (runnable, tag)
            }
            Step::Script {
                path, hash, tag, ..
            } => {
                let runnable = StepRunnable {
                    kind: JobKind::Script,
                    path: Some(path.clone()),
                    hash: *hash,
                    raw: Some(raw.to_text()),
                };
                (runnable, tag)
            }
            _ => return Err(("InternalError", "this step is no script".to_owned())),
        };
        let mut job = deeper(step_job(run, &module.id, runnable, args))?;
        job.priority = module.priority.unwrap_or(run.flow.value.priority);
        job.tag = tag.clone();
        Ok(job)
    }

    /// The saved flow that a step of a run calls. Inside: why it cannot be run.
    pub(super) fn called(
        &mut self,
        id: JobId,
        path: &str,
    ) -> Result<Result<FlowRow, Fault>, DbError> {
        let Some(run) = self.runs.get(&id) else {
            return Ok(Err(("InternalError", "the flow is gone".to_owned())));
        };
        let found = flow::head(self.conn, &run.job.workspace_id, path)?;
        Ok(found.ok_or_else(|| ("NotFound", format!("flow not found at path {path}"))))
    }

    /// The job of a saved flow.
    pub(super) fn flow(
        &self,
        id: JobId,
        module: &Module,
        (called, args): (&FlowRow, String),
    ) -> Result<NewJob, Fault> {
        let Some(run) = self.runs.get(&id) else {
            return Err(("InternalError", "the flow is gone".to_owned()));
        };
        let raw = FlowRaw {
            delete_after_secs: contents_go(run, &module.id),
            ..FlowRaw::default()
        };
        let runnable = StepRunnable {
            kind: JobKind::Flow,
            path: Some(called.path.clone()),
            hash: Some(called.version),
            raw: raw.delete_after_secs.map(|_| raw.to_text()),
        };
        deeper(step_job(run, &module.id, runnable, args))
    }
}

/// What the job of every step of a run says of the flow.
pub(super) fn raw_of(run: &Run, step: &str) -> FlowRaw {
    FlowRaw {
        module: Some(step.to_owned()),
        flow_path: run.flow.path.clone(),
        delete_after_secs: contents_go(run, step),
        ..FlowRaw::default()
    }
}

/// So many seconds after the end of a step's job its contents go: as the step says, or the flow.
fn contents_go(run: &Run, step: &str) -> Option<u64> {
    let flow = &run.flow.value;
    let module = match step {
        FAILURE => flow.failure.as_ref(),
        PREPROCESSOR => flow.preprocessor.as_ref(),
        _ => run.module(step).map(|(_, module)| module),
    };
    let own = module.and_then(|module| module.delete_after_secs);
    own.into_iter().chain(flow.delete_after_secs).min()
}

/// The column `raw` of a flow's job whose contents go after `secs`, or earlier if it says so already.
pub(super) fn erased_after(raw: Option<&str>, secs: u64) -> Option<String> {
    let parsed = raw.map(serde_json::from_str);
    let mut fields: BTreeMap<String, Box<RawValue>> = parsed.transpose().ok()?.unwrap_or_default();
    let name = "delete_after_secs";
    let before = fields.get(name).and_then(|known| known.get().parse().ok());
    let secs = secs.min(before.unwrap_or(u64::MAX));
    fields.insert(
        name.to_owned(),
        RawValue::from_string(secs.to_string()).ok()?,
    );
    serde_json::to_string(&fields).ok()
}

/// The path a part of a flow goes by.
pub(super) fn step_path(run: &Run, step: &str) -> Option<String> {
    run.flow.path.as_ref().map(|path| format!("{path}/{step}"))
}

/// A job of a step, as all are.
pub(super) fn step_job(run: &Run, step: &str, runnable: StepRunnable, args: String) -> NewJob {
    let mut job = NewJob::new(
        run.job.workspace_id.as_str().into(),
        Runnable::Step(Box::new(runnable)),
        Args::Object(args),
        "",
    );
    job.created_by = run.job.created_by.as_str().into();
    job.permissioned_as = run.job.permissioned_as.as_str().into();
    job.parent = Some(run.job.id);
    job.root = Some(run.root());
    job.flow_step_id = Some(step.to_owned());
    job.priority = run.flow.value.priority;
    job.depth = run.job.depth;
    job.skip_preprocessor = true;
    job
}

/// The job one call deeper, if that is not too deep.
fn deeper(mut job: NewJob) -> Result<NewJob, Fault> {
    job.depth += 1;
    if job.depth > MAX_DEPTH {
        let text = format!("flows and scripts call each other more than {MAX_DEPTH} deep");
        return Err(("RecursionError", text));
    }
    Ok(job)
}

/// The fault of an input that is not what it must be.
pub(super) fn wrong(field: &str, what: impl std::fmt::Display) -> Fault {
    ("ExpressionError", format!("{field}: {what}"))
}

pub(super) fn list_of(field: &str, text: String) -> Result<String, Fault> {
    if !text.starts_with('[') {
        return Err(wrong(field, "must be a list"));
    }
    let len = count(&text);
    if len > MAX_ITERATIONS {
        return Err(wrong(
            field,
            format!("a loop may have {MAX_ITERATIONS} iterations, not {len}"),
        ));
    }
    Ok(text)
}

pub(super) fn number_of(field: &str, text: &str) -> Result<Option<f64>, Fault> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Null) => Ok(None),
        Ok(value) => match value
            .as_f64()
            .filter(|secs| (0.0..=MAX_SECS).contains(secs))
        {
            Some(secs) => Ok(Some(secs)),
            None => Err(wrong(
                field,
                format!("must be a number from 0 to {MAX_SECS}"),
            )),
        },
        Err(error) => Err(wrong(field, error)),
    }
}

pub(super) fn parallelism_of(text: &str) -> Result<usize, Fault> {
    let number = serde_json::from_str::<Value>(text)
        .ok()
        .and_then(|value| value.as_u64());
    match number.and_then(|number| usize::try_from(number).ok()) {
        Some(number) if number >= 1 => Ok(number.min(MAX_ITERATIONS)),
        _ => Err(wrong("parallelism", "must be a whole number from 1")),
    }
}

/// The error object that failed steps leave, with the step's id.
pub(super) fn error_of(result: &str, step: &str) -> Value {
    let parsed: Value = serde_json::from_str(result).unwrap_or_default();
    let mut error = match parsed.get("error") {
        Some(error) => error.clone(),
        None => json!({"name": "Error", "message": result}),
    };
    if let Some(fields) = error.as_object_mut() {
        fields.entry("step_id").or_insert_with(|| step.into());
    }
    error
}
