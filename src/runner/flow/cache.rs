//! [`FlowCache`]: the flows this process ran lately, read and checked. Shared by all transitions.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    db::{Conn, DbError, flow, flow_run},
    flow::{FlowValue, Nest, RestartedFrom},
    queue::Job,
    types::{JobId, JobKind},
};

/// Flows that are kept; the whole cache is dropped when it is full: a busy server runs some dozens.
const KEPT_FLOWS: usize = 256;

/// A flow that is run.
#[derive(Debug)]
pub(super) struct Flow {
    /// What it is made of.
    pub(super) value: FlowValue,
    /// Where it is saved, or what a preview calls itself.
    pub(super) path: Option<String>,
    /// Its saved version.
    pub(super) version: Option<i64>,
    /// The job it travels with, if it is not saved.
    pub(super) preview: Option<JobId>,
    /// Longest run, waiting included.
    pub(super) timeout_secs: Option<i32>,
}

/// Column `raw` of a flow's job, and of its steps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct FlowRaw {
    /// The flow itself, of a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Box<RawValue>>,
    /// The module it is, or whose iterations or branches it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) module: Option<String>,
    /// Which branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) branch: Option<usize>,
    /// The job that the flow travels with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) preview: Option<JobId>,
    /// The version the script is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) flow: Option<i64>,
    /// Where the flow is saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) flow_path: Option<String>,
    /// The language of a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) language: Option<String>,
    /// The text of a script that is part of a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    /// The versions that are pinned for such a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lock: Option<String>,
    /// When its contents go (`queue::stamp`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delete_after_secs: Option<u64>,
    /// The run it goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restarted_from: Option<RestartedFrom>,
}

impl FlowRaw {
    /// Reads the column; an empty one says nothing.
    pub(crate) fn of(job: &Job) -> Self {
        let raw = job.raw.as_deref();
        raw.and_then(|raw| serde_json::from_str(raw).ok())
            .unwrap_or_default()
    }

    /// As the column is written.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The list of modules a job of kind `flownode` runs through.
    pub(super) fn nest(&self) -> Option<Nest> {
        self.module.clone().map(|module| Nest {
            module,
            branch: self.branch,
        })
    }
}

/// See the file's documentation.
#[derive(Debug, Default)]
pub(super) struct FlowCache {
    kept: Mutex<HashMap<Key, Arc<Flow>>>,
}

/// A version of a flow of a workspace, or the job that a flow travels with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Saved(String, i64),
    Preview(JobId),
}

impl FlowCache {
    /// The flow that `job` runs. The inner error is what its job fails with.
    pub(super) fn of(
        &self,
        conn: &mut Conn,
        job: &Job,
    ) -> Result<Result<Arc<Flow>, String>, DbError> {
        let raw = FlowRaw::of(job);
        let is_preview = job.kind == JobKind::FlowPreview.as_str();
        let key = match (
            raw.preview.or(is_preview.then_some(job.id)),
            job.runnable_hash,
        ) {
            (Some(preview), _) => Key::Preview(preview),
            (None, Some(version)) => Key::Saved(job.workspace_id.clone(), version),
            (None, None) => return Ok(Err(missing(job))),
        };
        if let Some(flow) = self.kept.lock().get(&key) {
            return Ok(Ok(Arc::clone(flow)));
        }
        let flow = match &key {
            Key::Saved(workspace, version) => saved(conn, workspace, *version)?,
            Key::Preview(preview) => travelling(conn, job, *preview)?,
        };
        let flow = match flow {
            Ok(flow) => Arc::new(flow),
            Err(None) => return Ok(Err(missing(job))),
            Err(Some(error)) => return Ok(Err(error)),
        };
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_FLOWS {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&flow));
        Ok(Ok(flow))
    }
}

fn missing(job: &Job) -> String {
    let path = job.runnable_path.as_deref().unwrap_or_default();
    format!("flow not found at path {path}")
}

/// The inner error says why it cannot be used, or that it is not there.
type Found = Result<Flow, Option<String>>;

fn saved(conn: &mut Conn, workspace: &str, version: i64) -> Result<Found, DbError> {
    let Some(row) = flow::by_version(conn, workspace, version)? else {
        return Ok(Err(None));
    };
    Ok(read(&row.value).map(|value| Flow {
        value,
        path: Some(row.path),
        version: Some(version),
        preview: None,
        timeout_secs: row.timeout_secs,
    }))
}

fn travelling(conn: &mut Conn, job: &Job, preview: JobId) -> Result<Found, DbError> {
    let carrier = if job.id == preview {
        Some(job.clone())
    } else {
        flow_run::find_queued(conn, preview)?
    };
    let Some(carrier) = carrier else {
        return Ok(Err(None));
    };
    let Some(value) = FlowRaw::of(&carrier).value else {
        return Ok(Err(Some(
            "the flow of the preview cannot be read".to_owned(),
        )));
    };
    Ok(read(value.get()).map(|value| Flow {
        value,
        path: carrier.runnable_path,
        version: None,
        preview: Some(preview),
        timeout_secs: None,
    }))
}

/// Reads a flow as it is saved.
pub(super) fn read(value: &str) -> Result<FlowValue, Option<String>> {
    let value = serde_json::from_str(value).map_err(|error| Some(error.to_string()))?;
    FlowValue::from_json(&value).map_err(|error| Some(error.0))
}

impl Flow {
    /// One that does nothing.
    pub(super) fn empty() -> Self {
        Self {
            value: FlowValue {
                modules: Vec::new(),
                failure: None,
                preprocessor: None,
                early_return: None,
                skip_expr: None,
                priority: 0,
                delete_after_secs: None,
            },
            path: None,
            version: None,
            preview: None,
            timeout_secs: None,
        }
    }
}
