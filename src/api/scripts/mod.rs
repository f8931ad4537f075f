//! Scripts: versions at a path; the newest live one is what runs (windmill-facts §2.1, §2.2).

mod list;
pub(super) mod save;
mod settings;

use actix_web::web;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

pub(crate) use self::{
    list::{history, latest_version, list, list_paths},
    save::create,
};
use super::{
    State,
    answer::{Json, Text},
    audit,
    error::Error,
    extract::At,
    ports::Installed,
    raw,
    uses::count,
};
use crate::{
    access::Caller,
    db::{Conn, script, script::ScriptRow, sharing, sharing::Kind},
    types::Timestamp,
};

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
        .filter(|row| caller.may_read(&row.path, caller.script_perms(&row.path)))
        .ok_or_else(|| not_found(&at.path))
}

fn by_hash(conn: &mut Conn, caller: &Caller, at: &At) -> Result<ScriptRow, Error> {
    let hash = unhex("hash", &at.path)?;
    script::by_hash(conn, &at.workspace, hash)?
        .filter(|row| caller.may_read(&row.path, caller.script_perms(&row.path)))
        .ok_or_else(|| Error::NotFound(format!("script not found with hash: {}", at.path)))
}

fn shown(row: ScriptRow) -> Script {
    let mut settings: Map<String, Value> = serde_json::from_str(&row.settings).unwrap_or_default();
    // `wmill` compares it with false where its own file says nothing.
    let muted = settings.entry("ws_error_handler_muted");
    muted.or_insert(Value::Bool(false));
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
        settings,
    }
}

/// The newest version at a path.
pub(crate) async fn get_by_path(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Script>, Error> {
    let script = state.run(move |conn| {
        let mut script = shown(by_path(conn, &caller, &at)?);
        script.extra_perms = sharing::shown(conn, Kind::Script, (&at.workspace, &at.path))?;
        Ok(script)
    });
    Ok(Json(script.await?))
}

/// One version.
pub(crate) async fn get_by_hash(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Script>, Error> {
    let script = state.run(move |conn| {
        let mut script = shown(by_hash(conn, &caller, &at)?);
        script.extra_perms = sharing::shown(conn, Kind::Script, (&at.workspace, &script.path))?;
        Ok(script)
    });
    Ok(Json(script.await?))
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
    Ok(Json(row.is_some_and(|row| {
        caller.may_read(&row.path, caller.script_perms(&row.path))
    })))
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
        Ok(language) => {
            let script = (row.content, row.lock.clone());
            state.script_check.install(language, script).await
        }
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

/// How many triggers that one may read run the script.
pub(crate) async fn triggers_count(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Counts>, Error> {
    let websocket_count = state
        .run(move |conn| {
            if !caller.may_read(&at.path, caller.script_perms(&at.path)) {
                return Err(not_found(&at.path));
            }
            Ok(count(conn, &caller, &at, false)?)
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
            caller.may_write(&at.path, caller.script_perms(&at.path))?;
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
            caller.may_write(&row.path, caller.script_perms(&row.path))?;
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
            sharing::forget_runnable(conn, (&at.workspace, false), &at.path)?;
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
