//! [`JobView`]: a job as the API shows it (windmill-facts §2.2), ended or not, and who may see it.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{job_contents::labels, raw, scripts::hex};
use crate::{
    access::Caller,
    db::{
        Conn, DbError, flow_run,
        job_list::{AnyJob, Person, Visible, Within},
        queue::{CompletedRow, PARKED, QueueRow, RUNNING},
        user,
    },
    secret::sealed::hidden,
    types::{JobId, Timestamp, TriggerKind},
};

/// A job; `type` says whether it has ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobView {
    /// `QueuedJob` or `CompletedJob`.
    #[serde(rename = "type")]
    kind: &'static str,
    workspace_id: String,
    #[schema(value_type = String)]
    id: JobId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    parent_job: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    root_job: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_step_id: Option<String>,
    created_by: String,
    /// When a message was let through to become this job, to the millisecond; only of jobs that a trigger started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    received_at: Option<Timestamp>,
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    completed_at: Option<Timestamp>,
    /// When the result was sent back on the trigger's connection: of one job. Written down within about a second, for at
    /// most 500 replies a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    replied_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    scheduled_for: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    args: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logs: Option<String>,
    /// Its arguments, result and logs were deleted; of one job.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// The flow's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    raw_flow: Option<Box<RawValue>>,
    /// Where the run of a flow is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    flow_status: Option<Box<RawValue>>,
    canceled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    canceled_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canceled_reason: Option<String>,
    job_kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger_kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger_path: Option<String>,
    permissioned_as: String,
    is_flow_step: bool,
    is_skipped: bool,
    preprocessed: bool,
    email: String,
    visible_to_owner: bool,
    tag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i32>,
    /// Of its script, and of its result's `wm_labels`; in lists that show no results, of those up to 16 KiB.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspend: Option<i32>,
}

/// What of a job's large parts is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Arguments and the text of a preview.
    pub(crate) args: bool,
    /// The result.
    pub(crate) result: bool,
}

impl Parts {
    /// Everything.
    pub(crate) const ALL: Self = Self {
        args: true,
        result: true,
    };
}

/// The text and the language of a preview, or of a script that is part of a flow.
fn preview(raw: Option<&str>) -> (Option<String>, Option<String>) {
    #[derive(serde::Deserialize)]
    struct Preview {
        content: Option<String>,
        language: Option<String>,
    }
    match raw.and_then(|raw| serde_json::from_str::<Preview>(raw).ok()) {
        Some(preview) => (preview.content, preview.language),
        None => (None, None),
    }
}

/// A trigger gives a job its id when the filters have let its message through: nothing else has to be kept for this.
fn received_at(id: JobId, trigger: Option<&str>, parent: Option<JobId>) -> Option<Timestamp> {
    let triggered = trigger == Some(TriggerKind::Websocket.as_str()) && parent.is_none();
    id.given_at().filter(|_| triggered)
}

/// Whether the state of a flow's run says that it counts as skipped.
fn is_skipped(status: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Status {
        #[serde(default)]
        skipped: bool,
    }
    serde_json::from_str::<Status>(status).is_ok_and(|status| status.skipped)
}

impl JobView {
    fn queued(row: QueueRow, parts: Parts) -> Self {
        let (code, language) = preview(row.raw.as_deref());
        let labels = labels(row.raw.as_deref(), None);
        Self {
            kind: "QueuedJob",
            workspace_id: row.workspace_id,
            id: row.id,
            parent_job: row.parent_job,
            root_job: row.root_job,
            is_flow_step: row.flow_step_id.is_some(),
            flow_step_id: row.flow_step_id,
            created_by: row.created_by,
            received_at: received_at(row.id, row.trigger_kind.as_deref(), row.parent_job),
            created_at: row.created_at,
            started_at: row.started_at,
            completed_at: None,
            replied_at: None,
            duration_ms: None,
            scheduled_for: Some(row.scheduled_at),
            running: Some(row.state == RUNNING || row.state == PARKED),
            success: None,
            script_path: row.runnable_path,
            script_hash: row.runnable_hash.map(hex),
            args: parts.args.then(|| raw(hidden(row.args))),
            result: None,
            logs: None,
            deleted: None,
            raw_code: code.filter(|_| parts.args),
            language,
            raw_flow: None,
            flow_status: None,
            canceled: row.canceled_by.is_some(),
            canceled_by: row.canceled_by,
            canceled_reason: row.cancel_reason,
            job_kind: row.kind,
            trigger_kind: row.trigger_kind,
            trigger: row.trigger_path.clone(),
            trigger_path: row.trigger_path,
            email: row.permissioned_as.clone(),
            permissioned_as: row.permissioned_as,
            is_skipped: false,
            preprocessed: false,
            visible_to_owner: true,
            tag: row.tag.unwrap_or_default(),
            priority: (row.priority != 0).then_some(row.priority),
            labels,
            worker: row.worker,
            suspend: Some(0),
        }
    }

    fn completed(row: CompletedRow, parts: Parts) -> Self {
        let deleted = row.is_erased().then_some(true);
        let (code, language) = preview(row.raw.as_deref());
        let labels = labels(row.raw.as_deref(), Some(&row.result));
        Self {
            kind: "CompletedJob",
            workspace_id: row.workspace_id,
            id: row.id,
            parent_job: row.parent_job,
            root_job: row.root_job,
            is_flow_step: row.flow_step_id.is_some(),
            flow_step_id: row.flow_step_id,
            created_by: row.created_by,
            received_at: received_at(row.id, row.trigger_kind.as_deref(), row.parent_job),
            created_at: row.created_at,
            started_at: Some(row.started_at),
            completed_at: Some(row.completed_at),
            replied_at: None,
            duration_ms: Some((row.completed_at.0 - row.started_at.0).max(0) / 1000),
            scheduled_for: None,
            running: None,
            success: Some(row.success),
            script_path: row.runnable_path,
            script_hash: row.runnable_hash.map(hex),
            args: parts.args.then(|| raw(hidden(row.args))),
            result: parts.result.then(|| raw(row.result)),
            logs: None,
            deleted,
            raw_code: code.filter(|_| parts.args),
            language,
            raw_flow: None,
            flow_status: None,
            canceled: row.canceled_by.is_some(),
            canceled_by: row.canceled_by,
            canceled_reason: row.cancel_reason,
            job_kind: row.kind,
            trigger_kind: row.trigger_kind,
            trigger: row.trigger_path.clone(),
            trigger_path: row.trigger_path,
            email: row.permissioned_as.clone(),
            permissioned_as: row.permissioned_as,
            is_skipped: false,
            preprocessed: row.preprocessed,
            visible_to_owner: true,
            tag: row.tag.unwrap_or_default(),
            priority: None,
            labels,
            worker: row.worker,
            suspend: None,
        }
    }

    /// Adds where the run of a flow is, and the flow.
    pub(crate) fn with_flow(mut self, (status, value): (Option<String>, Option<String>)) -> Self {
        self.is_skipped = status.as_deref().is_some_and(is_skipped);
        self.flow_status = status.map(raw);
        self.raw_flow = value.map(raw);
        self
    }

    /// Adds when the result was sent back, where that is known.
    pub(crate) fn with_reply(mut self, at: Option<Timestamp>) -> Self {
        self.replied_at = at;
        self
    }

    /// Adds what the job printed.
    pub(crate) fn with_logs(mut self, logs: String) -> Self {
        self.logs = Some(logs);
        self
    }
}

/// Jobs as they are shown, with the addresses of those they run as.
pub(crate) fn views(
    conn: &mut Conn,
    workspace: &str,
    jobs: Vec<AnyJob>,
    parts: Parts,
) -> Result<Vec<JobView>, DbError> {
    let mut views: Vec<JobView> = jobs
        .into_iter()
        .map(|job| match job {
            AnyJob::Queued(row) => JobView::queued(row, parts),
            AnyJob::Completed(row) => JobView::completed(row, parts),
        })
        .collect();
    let names = views
        .iter()
        .filter_map(|view| view.permissioned_as.strip_prefix("u/"));
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    let emails: HashMap<String, String> = user::emails(conn, workspace, &names)?;
    for view in &mut views {
        let name = view.permissioned_as.strip_prefix("u/");
        if let Some(email) = name.and_then(|name| emails.get(name)) {
            view.email.clone_from(email);
        }
    }
    note_skipped(conn, &mut views)?;
    Ok(views)
}

/// Marks the flows that count as skipped. Their states may be large: only those that can say so are read.
fn note_skipped(conn: &mut Conn, views: &mut [JobView]) -> Result<(), DbError> {
    let ended = views.iter().filter(|view| view.success == Some(true));
    let flows = ended.filter(|view| view.job_kind.starts_with("flow"));
    let skipped = skipped(conn, &flows.map(|view| view.id).collect::<Vec<_>>())?;
    for view in views {
        view.is_skipped = skipped.contains(&view.id);
    }
    Ok(())
}

/// Those of the flows that count as skipped.
pub(super) fn skipped(conn: &mut Conn, flows: &[JobId]) -> Result<HashSet<JobId>, DbError> {
    if flows.is_empty() {
        return Ok(HashSet::new());
    }
    let holding = flow_run::holding(conn, flows, "\"skipped\":true")?.into_iter();
    let skipped = holding.filter_map(|(id, status)| is_skipped(&status).then_some(id));
    Ok(skipped.collect())
}

/// The paths to which a caller's scopes confine actions.
fn within(caller: &Caller, actions: &[&str]) -> Option<Within> {
    let mut within = Within::default();
    for path in caller.confined_to(actions)? {
        match path.strip_suffix('*') {
            Some(start) => within.starts.push(start.to_owned()),
            None => within.exact.push(path.to_owned()),
        }
    }
    Some(within)
}

/// What a list of jobs may show a caller: [`may_see`] for the database.
pub(crate) fn visible_to(caller: &Caller) -> Visible {
    let person = (!caller.is_admin).then(|| Person {
        username: caller.username.clone(),
        run_as: caller.run_as(),
        folders: caller
            .folders
            .iter()
            .map(|folder| folder.name.clone())
            .collect(),
        reads: within(caller, &["read"]),
    });
    Visible {
        person,
        within: within(caller, &["read", "run"]),
    }
}

/// Whether a caller may see a job, where its scopes allow it: an own one, or one of a runnable that may be read.
pub(crate) fn may_see(caller: &Caller, job: &AnyJob) -> bool {
    let (path, created_by, run_as) = match job {
        AnyJob::Queued(row) => (&row.runnable_path, &row.created_by, &row.permissioned_as),
        AnyJob::Completed(row) => (&row.runnable_path, &row.created_by, &row.permissioned_as),
    };
    let own = *created_by == caller.username || *run_as == caller.run_as();
    // A job without a path is at none that a scope names.
    let at = Some(path.as_deref().unwrap_or_default());
    if !caller.scoped("read", at) && !caller.scoped("run", at) {
        return false;
    }
    own || caller.is_admin
        || path
            .as_deref()
            .is_some_and(|path| caller.may_read(path, "{}"))
}
