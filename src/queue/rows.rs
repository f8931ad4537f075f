//! New jobs as rows of the queue: which version they run and which arguments they get is fixed here, within the
//! transaction that commits them. Called by `commit` alone.

use std::collections::{HashMap, hash_map::Entry};

use serde_json::json;

use super::{Args, Job, NewJob, Runnable, kind_of};
use crate::{
    db::{
        Conn, DbError,
        queue::{self, HELD, QUEUED, ScriptVersion},
    },
    types::Timestamp,
};

/// The rows of new jobs. A script's version, and with it the shape of a message's arguments, is fixed here.
pub(super) fn rows(conn: &mut Conn, jobs: &[NewJob]) -> Result<Vec<Job>, DbError> {
    let mut newest: HashMap<(&str, &str), Option<ScriptVersion>> = HashMap::new();
    let now = Timestamp::now();
    let mut rows = Vec::with_capacity(jobs.len());
    for job in jobs {
        let version = match &job.runnable {
            Runnable::Script { path, hash: None } => {
                let key = (&*job.workspace, &**path);
                match newest.entry(key) {
                    Entry::Occupied(known) => known.get().clone(),
                    Entry::Vacant(unknown) => {
                        let version = queue::newest_script(conn, key.0, key.1)?;
                        unknown.insert(version).clone()
                    }
                }
            }
            Runnable::Script {
                hash: Some(hash), ..
            } => queue::script_version(conn, &job.workspace, *hash)?,
            Runnable::Flow { .. } | Runnable::Preview { .. } => None,
        };
        rows.push(row(job, version.as_ref(), now));
    }
    Ok(rows)
}

fn row(job: &NewJob, version: Option<&ScriptVersion>, now: Timestamp) -> Job {
    let (path, raw) = match &job.runnable {
        Runnable::Script { path, .. } | Runnable::Flow { path } => (Some(path.to_string()), None),
        Runnable::Preview {
            path,
            language,
            content,
        } => {
            let raw = json!({"language": language, "content": content});
            (
                path.as_ref().map(ToString::to_string),
                Some(raw.to_string()),
            )
        }
    };
    let trigger_path = job.trigger.as_ref().and_then(|(_, path)| path.as_deref());
    let preprocessor = version
        .filter(|_| !job.skip_preprocessor)
        .and_then(|version| version.preprocessor.as_deref());
    let (args, preprocess) = args(&job.args, preprocessor, trigger_path.unwrap_or(""));
    let hash = match &job.runnable {
        Runnable::Script { hash, .. } => hash.or(version.map(|version| version.hash)),
        Runnable::Flow { .. } | Runnable::Preview { .. } => None,
    };
    Job {
        id: job.id,
        workspace_id: job.workspace.to_string(),
        kind: kind_of(&job.runnable, job.held).as_str().to_owned(),
        runnable_path: path,
        runnable_hash: hash,
        raw,
        args,
        preprocess,
        trigger_kind: job.trigger.as_ref().map(|(kind, _)| kind.to_string()),
        trigger_path: trigger_path.map(str::to_owned),
        created_by: job.created_by.to_string(),
        permissioned_as: job.permissioned_as.to_string(),
        parent_job: job.parent,
        root_job: job.root,
        flow_step_id: job.flow_step_id.clone(),
        tag: job.tag.clone(),
        priority: job.priority,
        created_at: now,
        scheduled_at: job.scheduled_at.unwrap_or(now),
        timeout_secs: job.timeout_secs,
        reply_to: job.reply_to,
        options: job.options.clone(),
        state: if job.held { HELD } else { QUEUED },
        worker: None,
        started_at: None,
        lease_until: None,
        lost: 0,
        canceled_by: None,
        cancel_reason: None,
    }
}

/// A job's arguments (windmill-facts §3), and whether the script's preprocessor sees them first.
/// `encoding` is windsock's own, and only there when it says something (contract section 3, `binary`).
fn args(args: &Args, preprocessor: Option<&str>, trigger_path: &str) -> (String, bool) {
    let (text, url, is_base64) = match args {
        Args::Object(json) => return (json.clone(), false),
        Args::Message {
            text,
            url,
            is_base64,
        } => (text.as_str(), &**url, *is_base64),
    };
    let Some(preprocessor) = preprocessor else {
        return (json!({ "msg": text }).to_string(), false);
    };
    let mut about = json!({"url": url, "trigger_path": trigger_path});
    if is_base64 {
        about["encoding"] = "base64".into();
    }
    if preprocessor == "v1" {
        let trigger = json!({"kind": "websocket", "websocket": about});
        return (
            json!({"msg": text, "wm_trigger": trigger}).to_string(),
            true,
        );
    }
    about["kind"] = "websocket".into();
    about["msg"] = text.into();
    (json!({ "event": about }).to_string(), true)
}
