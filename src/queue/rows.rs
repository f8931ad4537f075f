//! New jobs as rows of the queue: which version they run and which arguments they get is fixed here, within the
//! transaction that commits them. Called by `commit` alone.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Args, ConcurrencyLimit, Job, NewJob, Runnable,
    given::with_given,
    kind_of,
    lanes::Limits,
    options::{HeldMessage, Options},
    stamp::Stamp,
};
use crate::{
    db::{
        Conn, DbError, flow,
        queue::{HELD, PARKED, QUEUED, have_ended},
        script_version::{self, ScriptVersion},
    },
    types::{JobId, JobKind, Timestamp},
};

const WEBSOCKET: &str = "websocket";

/// The rows of new jobs. A script's version, and with it the shape of a message's arguments and the limit of its
/// runs, is fixed here.
pub(super) fn rows(conn: &mut Conn, jobs: &[NewJob]) -> Result<(Vec<Job>, Limits), DbError> {
    let mut versions: HashMap<(&str, Version<'_>), Option<Found>> = HashMap::new();
    let now = Timestamp::now();
    let mut rows = Vec::with_capacity(jobs.len());
    let mut limits = Limits::new();
    for job in jobs {
        let version = match version_of(&job.runnable) {
            None => None,
            Some(version) => {
                let key = (&*job.workspace, version);
                match versions.entry(key) {
                    Entry::Occupied(known) => known.into_mut().as_ref(),
                    Entry::Vacant(unknown) => {
                        let version = match version {
                            Version::Newest(path) => script_version::newest(conn, key.0, path)?,
                            Version::Hash(hash) => script_version::of_hash(conn, key.0, hash)?,
                            Version::OfFlow(path) => flow::newest_version(conn, key.0, path)?,
                            Version::FlowOf(version) => {
                                flow::facts_of_version(conn, key.0, version)?
                            }
                        };
                        unknown.insert(version.map(Found::from)).as_ref()
                    }
                }
            }
        };
        let mut row = row(job, version.map(|found| &found.version), now);
        let limit = version.and_then(|found| found.limit.as_ref());
        if let Some(limit) = limit.filter(|_| !job.held) {
            let path = row.runnable_path.as_deref().unwrap_or_default();
            let key = limit.key_of(&row.workspace_id, path, &row.args);
            limits.insert(key.clone(), limit.clone());
            row.concurrency_key = Some(key);
        }
        if let Some(found) = version {
            found.stamp.put_on(&mut row);
        }
        rows.push(row);
    }
    Ok((rows, limits))
}

/// Refuses jobs whose ids were given by a client and belong to jobs that have ended: they were sent before. Those of
/// jobs that have not ended are refused by the table they go to.
pub(super) fn refuse_known(conn: &mut Conn, jobs: &[NewJob]) -> Result<(), DbError> {
    let given = jobs.iter().filter(|job| job.id_is_given);
    let given: Vec<JobId> = given.map(|job| job.id).collect();
    if given.is_empty() || !have_ended(conn, &given)? {
        return Ok(());
    }
    Err(DbError::duplicate("a job with this id has ended already"))
}

/// Which version of a script or a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Version<'a> {
    Newest(&'a str),
    Hash(i64),
    OfFlow(&'a str),
    FlowOf(i64),
}

/// What must be looked up of a new job's runnable.
fn version_of(runnable: &Runnable) -> Option<Version<'_>> {
    let script = |path, hash: &Option<i64>| hash.map_or(Version::Newest(path), Version::Hash);
    match runnable {
        Runnable::Script { path, hash } => Some(script(path, hash)),
        Runnable::Flow { path, version } => {
            Some(version.map_or(Version::OfFlow(path), Version::FlowOf))
        }
        Runnable::Step(step) if step.kind == JobKind::Script => {
            Some(script(step.path.as_deref().unwrap_or_default(), &step.hash))
        }
        Runnable::Preview { .. } | Runnable::Step(_) => None,
    }
}

/// A row for a job whose version is known, or does not matter.
#[must_use]
pub fn new_row(job: &NewJob, now: Timestamp) -> Job {
    row(job, None, now)
}

/// Makes the row of a new job that of a flow which has begun and waits for its steps, until `wake` at the latest.
pub fn park_row(row: &mut Job, wake: Option<Timestamp>) {
    row.state = PARKED;
    row.started_at = Some(row.created_at);
    row.lease_until = wake;
}

/// A version, its settings read once for all its jobs.
struct Found {
    version: ScriptVersion,
    limit: Option<ConcurrencyLimit>,
    stamp: Stamp,
}

impl From<ScriptVersion> for Found {
    fn from(version: ScriptVersion) -> Self {
        Self {
            limit: ConcurrencyLimit::stored(&version.settings),
            stamp: Stamp::stored(&version.settings),
            version,
        }
    }
}

/// The columns that say where the runnable is saved, and what travels with the job.
fn path_and_raw(runnable: &Runnable) -> (Option<String>, Option<String>) {
    match runnable {
        Runnable::Script { path, .. } | Runnable::Flow { path, .. } => {
            (Some(path.to_string()), None)
        }
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
        Runnable::Step(step) => (step.path.clone(), step.raw.clone()),
    }
}

fn row(job: &NewJob, version: Option<&ScriptVersion>, now: Timestamp) -> Job {
    let (path, raw) = path_and_raw(&job.runnable);
    let raw = with_given(raw, &job.given);
    let trigger_path = job.trigger.as_ref().and_then(|(_, path)| path.as_deref());
    let preprocessor = version
        .and_then(|version| version.preprocessor.as_deref())
        .or(job.preprocessor.as_deref())
        .filter(|_| !job.skip_preprocessor);
    let (args, preprocess, options) = if job.held {
        held(job)
    } else {
        let (args, preprocess) = args(&job.args, preprocessor, trigger_path.unwrap_or(""));
        (args, preprocess, job.options.clone())
    };
    let found = version.map(|version| version.hash);
    let hash = match &job.runnable {
        Runnable::Script { hash, .. } => hash.or(found),
        Runnable::Flow { version, .. } => version.or(found),
        Runnable::Step(step) => step.hash.or(found),
        Runnable::Preview { .. } => None,
    };
    Job {
        id: job.id,
        workspace_id: job.workspace.to_string(),
        kind: kind_of(&job.runnable, job.held, job.options.is_some())
            .as_str()
            .to_owned(),
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
        options,
        state: if job.held { HELD } else { QUEUED },
        worker: None,
        started_at: None,
        lease_until: None,
        lost: 0,
        canceled_by: None,
        cancel_reason: None,
        turn: None,
        concurrency_key: None,
        depth: job.depth,
    }
}

/// A held job's arguments, and what is kept beside them: which arguments it runs with is known when it is released.
fn held(job: &NewJob) -> (String, bool, Option<String>) {
    let mut options = Options::read(job.options.as_deref());
    let args = match &job.args {
        Args::Object(json) => json.clone(),
        Args::Message {
            text,
            url,
            is_base64,
        } => {
            options.held = Some(HeldMessage {
                url: Arc::clone(url),
                is_base64: *is_base64,
            });
            json!({ "msg": text }).to_string()
        }
    };
    (args, false, options.column())
}

/// The arguments of a message's job. Its text is written once, not copied into a tree of values first.
#[derive(Serialize)]
#[serde(untagged)]
enum MessageArgs<'a> {
    Main {
        msg: &'a str,
    },
    V1 {
        msg: &'a str,
        wm_trigger: TriggerInfo<'a>,
    },
    V2 {
        event: About<'a>,
    },
}

#[derive(Serialize)]
struct TriggerInfo<'a> {
    kind: &'static str,
    websocket: About<'a>,
}

/// What is told of a message beside its text, or with it.
#[derive(Serialize)]
struct About<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg: Option<&'a str>,
    url: &'a str,
    trigger_path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

/// A job's arguments (windmill-facts §3), and whether the script's preprocessor sees them first.
/// `encoding` is windsock's own, and only there when it says something (contract section 3, `binary`).
fn args(args: &Args, preprocessor: Option<&str>, trigger_path: &str) -> (String, bool) {
    let (text, url, is_base64) = match args {
        Args::Object(json) => {
            return (
                json.clone(),
                preprocessor.is_some_and(|v| is_event(json, v)),
            );
        }
        Args::Message {
            text,
            url,
            is_base64,
        } => (text.as_str(), &**url, *is_base64),
    };
    let about = |kind, msg| About {
        kind,
        msg,
        url,
        trigger_path,
        encoding: is_base64.then_some("base64"),
    };
    let args = match preprocessor {
        None => MessageArgs::Main { msg: text },
        Some("v1") => MessageArgs::V1 {
            msg: text,
            wm_trigger: TriggerInfo {
                kind: WEBSOCKET,
                websocket: about(None, None),
            },
        },
        Some(_) => MessageArgs::V2 {
            event: about(Some(WEBSOCKET), Some(text)),
        },
    };
    // Texts alone: they are written always.
    let json = serde_json::to_string(&args).unwrap_or_default();
    (json, preprocessor.is_some())
}

/// Whether arguments that somebody gave are those of a preprocessor of this version: an event tried by hand.
#[must_use]
pub fn is_event(json: &str, version: &str) -> bool {
    let name = if version == "v1" {
        "wm_trigger"
    } else {
        "event"
    };
    let args: Option<Value> = serde_json::from_str(json).ok();
    args.is_some_and(|args| args[name]["kind"].is_string())
}
