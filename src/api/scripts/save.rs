//! Saving a script: its fields are checked, its text is read, and it is put behind the version it follows.

use actix_web::web;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::{hex, settings, unhex};
use crate::{
    access::{Caller, prepare_to_save_runnable},
    api::{
        State,
        answer::Created,
        audit,
        error::Error,
        extract::{At, Body, Query},
    },
    db::{Conn, script, script::ScriptRow, sharing},
    types::{Language, ObjectPath, Timestamp},
};

/// Fields of Windmill's scripts that windsock keeps and gives back as they are.
const KEPT: &[&str] = &[
    "envs",
    "concurrent_limit",
    "concurrency_time_window_s",
    "concurrency_key",
    "cache_ttl",
    "delete_after_secs",
    "priority",
    "restart_unless_cancelled",
    "ws_error_handler_muted",
    "deployment_message",
    "on_behalf_of_email",
    "modules",
    "labels",
    "visible_to_runner_only",
    "no_main_func",
    "assets",
    "debounce_key",
    "debounce_delay_s",
];
/// Kinds of scripts (windmill-facts §2.2).
const KINDS: &[&str] = &[
    "script",
    "failure",
    "trigger",
    "command",
    "approval",
    "preprocessor",
];

/// A script to be saved.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewScript {
    #[schema(value_type = String)]
    path: ObjectPath,
    summary: String,
    #[serde(default)]
    description: Option<String>,
    content: String,
    /// `python3`, `bash`, `nativets`, `bun` or `deno`.
    language: String,
    /// The hash of the version this one follows.
    parent_hash: Option<String>,
    /// Follows whatever is the newest version.
    auto_parent: Option<bool>,
    /// JSON Schema of the parameters; worked out where it is left out and the language can tell.
    #[schema(value_type = Option<Object>)]
    schema: Option<Value>,
    kind: Option<String>,
    lock: Option<Value>,
    tag: Option<String>,
    /// Longest run in seconds.
    timeout: Option<i32>,
    /// `false`: a fresh process for each job.
    dedicated_worker: Option<bool>,
    #[serde(flatten)]
    #[schema(ignore)]
    rest: Map<String, Value>,
}

/// How `create` meets what is there.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct How {
    /// Answers the present hash, and saves nothing, when nothing would change.
    skip_if_noop: Option<bool>,
}

impl NewScript {
    /// Checks the fields and reads the script; answers its row without ancestry.
    async fn check(self, workspace: &str, state: &State) -> Result<(ScriptRow, Parent), Error> {
        let language: Language = self
            .language
            .parse()
            .map_err(|error| Error::field("language", error))?;
        let kind = self.kind.unwrap_or_else(|| "script".to_owned());
        if !KINDS.contains(&kind.as_str()) {
            return Err(Error::field(
                "kind",
                format!("must be one of: {}", KINDS.join(", ")),
            ));
        }
        if self
            .schema
            .as_ref()
            .is_some_and(|schema| !schema.is_object() && !schema.is_null())
        {
            return Err(Error::field("schema", "must be an object"));
        }
        if self.timeout.is_some_and(|secs| secs < 1) {
            return Err(Error::field("timeout", "must be at least 1 second"));
        }
        let parent = match self.parent_hash.as_deref() {
            _ if self.auto_parent == Some(true) => Parent::Newest,
            Some(hash) if !hash.is_empty() => Parent::Hash(unhex("parent_hash", hash)?),
            _ => Parent::None,
        };
        let content = self.content;
        let facts = state.script_check.check(language, content.clone()).await?;
        let mut kept = self.rest;
        kept.retain(|name, value| KEPT.contains(&name.as_str()) && !value.is_null());
        settings::check(&kept)?;
        let schema = self
            .schema
            .filter(|schema| !schema.is_null())
            .or(facts.schema);
        let row = ScriptRow {
            workspace_id: workspace.to_owned(),
            hash: rand::random(),
            path: self.path.to_string(),
            parent_hash: None,
            summary: self.summary,
            description: self.description.unwrap_or_default(),
            content,
            language: language.as_str().to_owned(),
            kind,
            schema_json: schema.map(|schema| schema.to_string()),
            preprocessor: facts.preprocessor,
            lock: lock_text(self.lock),
            tag: self.tag.filter(|tag| !tag.is_empty()),
            timeout_secs: self.timeout,
            dedicated_worker: self.dedicated_worker,
            settings: Value::Object(kept).to_string(),
            created_by: String::new(),
            created_at: Timestamp::now(),
            archived: false,
            deleted: false,
        };
        Ok((row, parent))
    }
}

/// A lock file comes as text, or as a list of lines. An empty one says that nothing is pinned, and is kept: `wmill`
/// compares it with its own.
fn lock_text(lock: Option<Value>) -> Option<String> {
    match lock? {
        Value::String(text) => Some(text),
        Value::Array(lines) => {
            let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
            Some(lines.join("\n"))
        }
        _ => None,
    }
}

/// The version a new one follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parent {
    None,
    Newest,
    Hash(i64),
}

/// Whether saving `new` over `old` would change nothing.
fn is_noop(old: &ScriptRow, new: &ScriptRow) -> bool {
    let mut settings: Map<String, Value> = serde_json::from_str(&new.settings).unwrap_or_default();
    let mut before: Map<String, Value> = serde_json::from_str(&old.settings).unwrap_or_default();
    settings.remove("deployment_message");
    before.remove("deployment_message");
    let same = ScriptRow {
        hash: old.hash,
        parent_hash: old.parent_hash,
        created_by: old.created_by.clone(),
        created_at: old.created_at,
        settings: old.settings.clone(),
        ..new.clone()
    };
    same == *old && settings == before
}

/// Puts `row` behind its parent; the transaction of [`create`].
fn save(
    conn: &mut Conn,
    caller: &Caller,
    mut row: ScriptRow,
    (parent, skip): (Parent, bool),
) -> Result<i64, Error> {
    let path: ObjectPath = row.path.parse()?;
    row.created_by.clone_from(&caller.username);
    let workspace = row.workspace_id.clone();
    let head = script::head(conn, &workspace, &row.path)?;
    prepare_to_save_runnable(conn, caller, &path, (false, head.is_some()))??;
    if let Some(head) = &head
        && skip
        && is_noop(head, &row)
    {
        return Ok(head.hash);
    }
    match (parent, &head) {
        (Parent::None | Parent::Newest, None) => {}
        (Parent::Newest, Some(head)) => row.parent_hash = Some(head.hash),
        (Parent::None, Some(head)) => {
            return Err(Error::Conflict(format!(
                "path: script '{path}' exists already; send parent_hash '{}' to follow it",
                hex(head.hash)
            )));
        }
        (Parent::Hash(hash), Some(head)) if head.hash == hash => row.parent_hash = Some(hash),
        (Parent::Hash(hash), head) => {
            let old = script::by_hash(conn, &workspace, hash)?;
            let old = old.filter(|old| {
                !old.deleted && caller.may_read(&old.path, caller.script_perms(&old.path))
            });
            let old = old.ok_or_else(|| {
                Error::field(
                    "parent_hash",
                    format!("no script has the hash '{}'", hex(hash)),
                )
            })?;
            let newest = script::head(conn, &workspace, &old.path)?;
            let overtaken = newest.is_none_or(|newest| newest.hash != hash);
            if head.is_some() || (overtaken && !old.archived) {
                return Err(Error::Conflict(format!(
                    "parent_hash: '{}' is not the newest version; somebody saved '{path}' meanwhile",
                    hex(hash)
                )));
            }
            if old.path != row.path {
                // A rename: the old path is given up.
                caller.may_write(&old.path, caller.script_perms(&old.path))?;
                script::archive_path(conn, &workspace, &old.path)?;
                let paths = (old.path.as_str(), row.path.as_str());
                sharing::rename_runnable(conn, (&workspace, false), paths)?;
            }
            row.parent_hash = Some(hash);
        }
    }
    // Versions of one microsecond would have no order.
    if let Some(head) = &head
        && row.created_at <= head.created_at
    {
        row.created_at = Timestamp(head.created_at.0 + 1);
    }
    script::insert(conn, &row)?;
    audit::note(conn, caller, "scripts.create", &row.path)?;
    Ok(row.hash)
}

/// Saves a script, or a new version of one; the answer is its hash.
pub(crate) async fn create(
    caller: Caller,
    at: At,
    how: Query<How>,
    body: Body<NewScript>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    caller.may_change()?;
    let (row, parent) = body.0.check(&at.workspace, &state).await?;
    let skip = how.0.skip_if_noop == Some(true);
    let language = row.language.parse();
    let script = (row.content.clone(), row.lock.clone());
    let hash = state
        .transaction(move |conn| save(conn, &caller, row, (parent, skip)))
        .await?;
    if let Ok(language) = language {
        // What it imports is installed meanwhile: its first job should not wait for it.
        actix_rt::spawn(state.script_check.install(language, script));
    }
    Ok(Created(hex(hash)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row() -> ScriptRow {
        ScriptRow {
            workspace_id: "main".to_owned(),
            hash: 1,
            path: "u/a/b".to_owned(),
            parent_hash: None,
            summary: String::new(),
            description: String::new(),
            content: "x".to_owned(),
            language: "bash".to_owned(),
            kind: "script".to_owned(),
            schema_json: Some(json!({"type": "object"}).to_string()),
            preprocessor: None,
            lock: None,
            tag: None,
            timeout_secs: None,
            dedicated_worker: None,
            settings: json!({"priority": 1, "deployment_message": "a"}).to_string(),
            created_by: "a".to_owned(),
            created_at: Timestamp(1),
            archived: false,
            deleted: false,
        }
    }

    #[test]
    fn noops() {
        let (old, other) = (
            row(),
            json!({"deployment_message": "b", "priority": 1}).to_string(),
        );
        let same = ScriptRow {
            hash: 2,
            created_at: Timestamp(2),
            settings: other,
            ..row()
        };
        assert!(is_noop(&old, &same));
        for new in [
            ScriptRow {
                content: "y".to_owned(),
                ..row()
            },
            ScriptRow {
                summary: "y".to_owned(),
                ..row()
            },
            ScriptRow {
                settings: "{}".to_owned(),
                ..row()
            },
            ScriptRow {
                timeout_secs: Some(1),
                ..row()
            },
        ] {
            assert!(!is_noop(&old, &new));
        }
    }

    #[test]
    fn hashes_round_trip() {
        for hash in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(unhex("hash", &hex(hash)).unwrap(), hash);
        }
        for bad in [
            "",
            "0",
            "g000000000000000",
            "+000000000000001",
            "00000000000000000",
        ] {
            assert!(
                unhex("hash", bad)
                    .unwrap_err()
                    .to_string()
                    .starts_with("hash: ")
            );
        }
    }
}
