//! Scripts: versions at a path; the newest live one is what runs (windmill-facts §2.1, §2.2).

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    answer::{Created, Json, Text},
    audit,
    error::Error,
    extract::{At, Body, Page, Query},
    ports::Installed,
    raw,
};
use crate::{
    access::{Caller, prepare_to_save},
    db::{
        Conn, script,
        script::{ScriptFilter, ScriptRow},
        trigger,
    },
    queue::ConcurrencyLimit,
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

/// A version of a script.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Script {
    workspace_id: String,
    /// 16 hexadecimal digits.
    hash: String,
    path: String,
    parent_hashes: Vec<String>,
    summary: String,
    description: String,
    content: String,
    created_by: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
    archived: bool,
    deleted: bool,
    is_template: bool,
    #[schema(value_type = Object)]
    extra_perms: Map<String, Value>,
    language: String,
    kind: String,
    starred: bool,
    has_preprocessor: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    schema: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dedicated_worker: Option<bool>,
    #[serde(flatten)]
    #[schema(ignore)]
    settings: Map<String, Value>,
}

/// How `create` meets what is there.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct How {
    /// Answers the present hash, and saves nothing, when nothing would change.
    skip_if_noop: Option<bool>,
}

/// Which scripts a list shows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    page: Option<u32>,
    per_page: Option<u32>,
    /// Exactly this path.
    path_exact: Option<String>,
    /// Paths that begin so.
    path_start: Option<String>,
    /// Who made the version.
    created_by: Option<String>,
    /// Only archived ones.
    show_archived: Option<bool>,
    /// Comma list of kinds.
    kinds: Option<String>,
    /// Comma list of languages.
    languages: Option<String>,
}

/// A version in a history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Version {
    script_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment_msg: Option<String>,
    created_by: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
}

/// What became of a deployment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deployment {
    lock: Option<String>,
    lock_error_logs: Option<String>,
    job_id: Option<String>,
}

/// How many triggers of each kind run something.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Counts {
    websocket_count: i64,
    schedule_count: i64,
    http_routes_count: i64,
    webhook_count: i64,
    email_count: i64,
    kafka_count: i64,
    nats_count: i64,
    mqtt_count: i64,
    amqp_count: i64,
    postgres_count: i64,
    sqs_count: i64,
    gcp_count: i64,
    azure_count: i64,
}

impl Counts {
    /// There are no triggers but those of websockets.
    pub(crate) fn of(websocket_count: i64) -> Self {
        Self {
            websocket_count,
            schedule_count: 0,
            http_routes_count: 0,
            webhook_count: 0,
            email_count: 0,
            kafka_count: 0,
            nats_count: 0,
            mqtt_count: 0,
            amqp_count: 0,
            postgres_count: 0,
            sqs_count: 0,
            gcp_count: 0,
            azure_count: 0,
        }
    }
}

impl Deployment {
    /// Nothing was to be done.
    pub(crate) fn done() -> Self {
        Self {
            lock: Some(String::new()),
            lock_error_logs: None,
            job_id: None,
        }
    }
}

/// The 16 digits of a hash.
pub(crate) fn hex(hash: i64) -> String {
    format!("{hash:016x}")
}

/// Reads the 16 digits of a hash.
pub(crate) fn unhex(field: &str, text: &str) -> Result<i64, Error> {
    let bad = || {
        Error::field(
            field,
            format!("'{text}' is not a hash (16 hexadecimal digits)"),
        )
    };
    if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad());
    }
    let hash = u64::from_str_radix(text, 16).map_err(|_| bad())?;
    Ok(hash.cast_signed())
}

fn not_found(path: &str) -> Error {
    Error::NotFound(format!("script not found at path: {path}"))
}

fn by_path(conn: &mut Conn, caller: &Caller, at: &At) -> Result<ScriptRow, Error> {
    script::head(conn, &at.workspace, &at.path)?
        .filter(|row| caller.may_read(&row.path, "{}"))
        .ok_or_else(|| not_found(&at.path))
}

fn by_hash(conn: &mut Conn, caller: &Caller, at: &At) -> Result<ScriptRow, Error> {
    let hash = unhex("hash", &at.path)?;
    script::by_hash(conn, &at.workspace, hash)?
        .filter(|row| caller.may_read(&row.path, "{}"))
        .ok_or_else(|| Error::NotFound(format!("script not found with hash: {}", at.path)))
}

fn shown(row: ScriptRow) -> Script {
    Script {
        workspace_id: row.workspace_id,
        hash: hex(row.hash),
        path: row.path,
        parent_hashes: row.parent_hash.into_iter().map(hex).collect(),
        summary: row.summary,
        description: row.description,
        content: row.content,
        created_by: row.created_by,
        created_at: row.created_at,
        archived: row.archived,
        deleted: row.deleted,
        is_template: false,
        extra_perms: Map::new(),
        language: row.language,
        kind: row.kind,
        starred: false,
        has_preprocessor: row.preprocessor.is_some(),
        schema: row.schema_json.map(raw),
        lock: row.lock,
        tag: row.tag,
        timeout: row.timeout_secs,
        dedicated_worker: row.dedicated_worker,
        settings: serde_json::from_str(&row.settings).unwrap_or_default(),
    }
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
        let mut settings = self.rest;
        settings.retain(|name, value| KEPT.contains(&name.as_str()) && !value.is_null());
        ConcurrencyLimit::read(&settings)?;
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
            settings: Value::Object(settings).to_string(),
            created_by: String::new(),
            created_at: Timestamp::now(),
            archived: false,
            deleted: false,
        };
        Ok((row, parent))
    }
}

/// A lock file comes as text, or as a list of lines.
fn lock_text(lock: Option<Value>) -> Option<String> {
    match lock? {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Array(lines) => {
            let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
            Some(lines.join("\n")).filter(|text| !text.is_empty())
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
    prepare_to_save(conn, caller, &path)??;
    row.created_by.clone_from(&caller.username);
    let workspace = row.workspace_id.clone();
    let head = script::head(conn, &workspace, &row.path)?;
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
            let old = old.filter(|old| !old.deleted && caller.may_read(&old.path, "{}"));
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
                caller.may_write(&old.path, "{}")?;
                script::archive_path(conn, &workspace, &old.path)?;
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
    let (language, content) = (row.language.parse(), row.content.clone());
    let hash = state
        .transaction(move |conn| save(conn, &caller, row, (parent, skip)))
        .await?;
    if let Ok(language) = language {
        // What it imports is installed meanwhile: its first job should not wait for it.
        actix_rt::spawn(state.script_check.install(language, content));
    }
    Ok(Created(hex(hash)))
}

/// The newest version at a path.
pub(crate) async fn get_by_path(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Script>, Error> {
    let row = state.run(move |conn| by_path(conn, &caller, &at)).await?;
    Ok(Json(shown(row)))
}

/// One version.
pub(crate) async fn get_by_hash(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Script>, Error> {
    let row = state.run(move |conn| by_hash(conn, &caller, &at)).await?;
    Ok(Json(shown(row)))
}

/// The text of the newest version at a path (with or without the file ending a client adds).
pub(crate) async fn raw_by_path(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let row = state
        .run(move |conn| match by_path(conn, &caller, &at) {
            Err(Error::NotFound(text)) => {
                let Some((bare, _)) = at.path.split_once('.') else {
                    return Err(Error::NotFound(text));
                };
                by_path(
                    conn,
                    &caller,
                    &At {
                        path: bare.to_owned(),
                        ..at.clone()
                    },
                )
            }
            other => other,
        })
        .await?;
    Ok(Text(row.content))
}

/// The text of one version.
pub(crate) async fn raw_by_hash(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let path = at.path.split('.').next().unwrap_or_default().to_owned();
    let at = At { path, ..at };
    let row = state.run(move |conn| by_hash(conn, &caller, &at)).await?;
    Ok(Text(row.content))
}

/// Whether there is a live script at the path.
pub(crate) async fn exists(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<bool>, Error> {
    let row = state
        .run(move |conn| Ok(script::head(conn, &at.workspace, &at.path)?))
        .await?;
    Ok(Json(
        row.is_some_and(|row| caller.may_read(&row.path, "{}")),
    ))
}

fn words(list: Option<String>) -> Option<Vec<String>> {
    list.map(|list| list.split(',').map(|word| word.trim().to_owned()).collect())
}

/// The scripts one may read, the one saved last first.
pub(crate) async fn list(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<Vec<Script>>, Error> {
    let which = which.0;
    let page = Page {
        page: which.page,
        per_page: which.per_page,
    };
    let filter = ScriptFilter {
        path_exact: which.path_exact,
        path_start: which.path_start,
        created_by: which.created_by,
        archived: which.show_archived.unwrap_or(false),
        kinds: words(which.kinds),
        languages: words(which.languages),
    };
    let rows = state
        .run(move |conn| {
            let mut found = script::list(conn, &at.workspace, &filter)?;
            found.retain(|(path, _)| caller.may_read(path, "{}"));
            let hashes: Vec<i64> = page.cut(found).into_iter().map(|(_, hash)| hash).collect();
            Ok(script::by_hashes(conn, &at.workspace, &hashes)?)
        })
        .await?;
    Ok(Json(rows.into_iter().map(shown).collect()))
}

/// The paths of the live scripts one may read.
pub(crate) async fn list_paths(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Vec<String>>, Error> {
    let mut paths = state
        .run(move |conn| Ok(script::paths(conn, &at.workspace)?))
        .await?;
    paths.retain(|path| caller.may_read(path, "{}"));
    Ok(Json(paths))
}

/// The versions at a path, newest first.
pub(crate) async fn history(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Vec<Version>>, Error> {
    let rows = state
        .run(move |conn| {
            let rows = script::history(conn, &at.workspace, &at.path)?;
            if rows.is_empty() || !caller.may_read(&at.path, "{}") {
                return Err(not_found(&at.path));
            }
            Ok(rows)
        })
        .await?;
    let versions = rows
        .into_iter()
        .map(|(hash, created_at, created_by, settings)| {
            let settings: Map<String, Value> = serde_json::from_str(&settings).unwrap_or_default();
            let message = settings.get("deployment_message").and_then(Value::as_str);
            Version {
                script_hash: hex(hash),
                deployment_msg: message.map(str::to_owned),
                created_by,
                created_at,
            }
        });
    Ok(Json(versions.collect()))
}

/// What became of a deployment: `lock` is null while the packages a script imports are being installed, and
/// `lock_error_logs` says why they cannot be.
pub(crate) async fn deployment_status(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Deployment>, Error> {
    let row = state.run(move |conn| by_hash(conn, &caller, &at)).await?;
    let installed = match row.language.parse() {
        Ok(language) => state.script_check.install(language, row.content).await,
        Err(_) => Installed::Ready,
    };
    let (lock, lock_error_logs) = match installed {
        Installed::Ready => (row.lock.or_else(|| Some(String::new())), None),
        Installed::Underway => (None, None),
        Installed::Failed(why) => (None, Some(why)),
    };
    Ok(Json(Deployment {
        lock,
        lock_error_logs,
        job_id: None,
    }))
}

/// How many triggers run the script.
pub(crate) async fn triggers_count(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Counts>, Error> {
    let websocket_count = state
        .run(move |conn| {
            if !caller.may_read(&at.path, "{}") {
                return Err(not_found(&at.path));
            }
            Ok(trigger::count_of_runnable(
                conn,
                &at.workspace,
                (&at.path, false),
            )?)
        })
        .await?;
    Ok(Json(Counts::of(websocket_count)))
}

/// Archives the script at a path: it does not run any more, its versions stay.
pub(crate) async fn archive_path(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let path = at.path.clone();
    state
        .transaction(move |conn| {
            by_path(conn, &caller, &at)?;
            caller.may_write(&at.path, "{}")?;
            script::archive_path(conn, &at.workspace, &at.path)?;
            audit::note(conn, &caller, "scripts.archive", &at.path)
        })
        .await?;
    Ok(Text(format!("script {path} archived")))
}

/// Archives one version.
pub(crate) async fn archive_hash(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Script>, Error> {
    let row = state
        .transaction(move |conn| {
            let row = by_hash(conn, &caller, &at)?;
            caller.may_write(&row.path, "{}")?;
            script::archive_hash(conn, &at.workspace, row.hash)?;
            audit::note(conn, &caller, "scripts.archive", &row.path)?;
            by_hash(conn, &caller, &at)
        })
        .await?;
    Ok(Json(shown(row)))
}

/// Deletes the script at a path with all its versions; admins only.
pub(crate) async fn delete_path(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<String>, Error> {
    caller.must_be_admin()?;
    let path = at.path.clone();
    state
        .transaction(move |conn| {
            if script::delete_path(conn, &at.workspace, &at.path)? == 0 {
                return Err(not_found(&at.path));
            }
            audit::note(conn, &caller, "scripts.delete", &at.path)
        })
        .await?;
    Ok(Json(path))
}

/// Deletes one version; admins only.
pub(crate) async fn delete_hash(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Script>, Error> {
    caller.must_be_admin()?;
    let row = state
        .transaction(move |conn| {
            let row = by_hash(conn, &caller, &at)?;
            script::delete_hash(conn, &at.workspace, row.hash)?;
            audit::note(conn, &caller, "scripts.delete", &row.path)?;
            by_hash(conn, &caller, &at)
        })
        .await?;
    Ok(Json(shown(row)))
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
