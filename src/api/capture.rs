//! Captures: messages kept for the editor of a runnable, while it is open (windmill-facts §4, contract §6).
//!
//! The routes and shapes are Windmill's; each message also carries the filters' verdict.

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    answer::{Json, Text},
    error::Error,
    extract::{At, Body, CaptureAt, KindAt, Page, Query},
    triggers::may_start,
};
use crate::{
    access::Caller,
    db::capture::{self, CaptureConfig, CaptureRow},
    trigger::{capture_settings, spec::TriggerSpec},
    types::{ObjectPath, Timestamp},
};

/// Arguments from this size on are not listed, only shown one by one (windmill-facts §4).
const LISTED_BYTES: usize = 40_000;
/// What stands in their place.
const TOO_BIG: &str = "WINDMILL_TOO_BIG";
/// The one kind of trigger.
const KIND: &str = "websocket";

/// What to capture.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SetConfig {
    /// `websocket`.
    trigger_kind: String,
    /// The runnable's path.
    #[schema(value_type = String)]
    path: ObjectPath,
    /// Whether it is a flow.
    is_flow: bool,
    /// `url`, `url_runnable_args` and whatever else a trigger has: the whole handshake, first messages, heartbeat,
    /// conversation and filters are followed.
    trigger_config: Option<Map<String, Value>>,
}

/// What is captured.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigView {
    trigger_kind: &'static str,
    #[schema(value_type = Value)]
    trigger_config: Box<RawValue>,
    /// Why it is not connected.
    error: Option<String>,
    /// When a server last said that it listens.
    #[schema(value_type = Option<String>)]
    last_server_ping: Option<Timestamp>,
}

/// A captured message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CaptureView {
    id: i64,
    #[schema(value_type = String)]
    created_at: Timestamp,
    trigger_kind: &'static str,
    /// As `main` would get them.
    main_args: Value,
    /// As a preprocessor would get them.
    preprocessor_args: Value,
    /// What would become of it: `matched`, `unmatched`, `handled` or `dropped`.
    verdict: String,
    /// The whole length of the message.
    bytes: i64,
    /// Whether only its first 256 KiB were kept.
    truncated: bool,
}

/// Which messages.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only of this kind.
    trigger_kind: Option<String>,
    page: Option<u32>,
    per_page: Option<u32>,
}

/// Where a runnable goes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Rename {
    #[schema(value_type = String)]
    new_path: ObjectPath,
}

fn is_flow(kind: &str) -> Result<bool, Error> {
    match kind {
        "script" => Ok(false),
        "flow" => Ok(true),
        _ => Err(Error::NotFound(format!(
            "'{kind}' is no runnable: use script or flow"
        ))),
    }
}

fn check_kind(kind: &str) -> Result<(), Error> {
    if kind == KIND {
        return Ok(());
    }
    let text = format!("'{kind}' cannot be captured; use {KIND}");
    Err(Error::field("trigger_kind", text))
}

/// The `extra_perms` of the runnable whose captures are asked for.
fn own_perms<'a>(caller: &'a Caller, at: &KindAt, is_flow: bool) -> &'a str {
    caller.runnable_perms(at.path.as_str(), is_flow)
}

/// Sets what is to be captured, with the rights of the caller; it begins with the first ping.
pub(crate) async fn set_config(
    caller: Caller,
    at: At,
    body: Body<SetConfig>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let SetConfig {
        trigger_kind,
        path,
        is_flow,
        trigger_config,
    } = body.0;
    check_kind(&trigger_kind)?;
    caller.may_write(path.as_str(), caller.runnable_perms(path.as_str(), is_flow))?;
    let config = trigger_config.unwrap_or_default();
    let settings = capture_settings(&config, (path.as_str(), is_flow));
    let settings = settings.map_err(|error| Error::field("trigger_config", error))?;
    let spec = TriggerSpec::from_json(&settings)?;
    may_start(&caller, &spec, |_| true)?;
    let checked = state.listening.check(spec).await;
    checked.map_err(|error| Error::field("trigger_config", error))?;
    let row = CaptureConfig {
        workspace_id: at.workspace,
        path: path.to_string(),
        is_flow,
        trigger_config: Value::Object(config).to_string(),
        username: caller.username,
        version: Timestamp::now().0,
        last_client_ping: None,
        server_id: None,
        last_server_ping: None,
        error: None,
    };
    state
        .transaction(move |conn| Ok(capture::set_config(conn, &row)?))
        .await?;
    state.listening.captures_changed().await;
    Ok(Text(format!("capture of '{path}' set")))
}

/// Keeps a capture alive for 10 seconds. Only who set it up may: it connects with that user's rights.
pub(crate) async fn ping(
    caller: Caller,
    at: KindAt,
    state: web::Data<State>,
) -> Result<Text, Error> {
    check_kind(at.trigger_kind.as_deref().unwrap_or_default())?;
    let is_flow = is_flow(&at.kind)?;
    caller.may_write(at.path.as_str(), own_perms(&caller, &at, is_flow))?;
    state
        .transaction(move |conn| {
            let key = (at.workspace.as_str(), at.path.as_str(), is_flow);
            let Some(config) = capture::config(conn, key)? else {
                let text = format!(
                    "nothing is captured for '{}'; use set_config first",
                    at.path
                );
                return Err(Error::NotFound(text));
            };
            if config.username != caller.username {
                let text = format!(
                    "'{}' set this capture up; set it up yourself",
                    config.username
                );
                return Err(crate::access::Denied::Forbidden(text).into());
            }
            Ok(capture::ping(conn, key, Timestamp::now())?)
        })
        .await?;
    state.listening.captures_changed().await;
    Ok(Text("pinged".to_owned()))
}

/// What is captured for a runnable; at most one, for there is one kind of trigger.
pub(crate) async fn configs(
    caller: Caller,
    at: KindAt,
    state: web::Data<State>,
) -> Result<Json<Vec<ConfigView>>, Error> {
    let is_flow = is_flow(&at.kind)?;
    let config = state
        .run(move |conn| {
            let key = (at.workspace.as_str(), at.path.as_str(), is_flow);
            let seen = caller.may_read(at.path.as_str(), own_perms(&caller, &at, is_flow));
            Ok(capture::config(conn, key)?.filter(|_| seen))
        })
        .await?;
    let shown = config.map(|config| ConfigView {
        trigger_kind: KIND,
        trigger_config: super::raw(config.trigger_config),
        error: config.error,
        last_server_ping: config.last_server_ping,
    });
    Ok(Json(shown.into_iter().collect()))
}

/// The messages captured for a runnable: its newest 100 are kept.
pub(crate) async fn list(
    caller: Caller,
    at: KindAt,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<Vec<CaptureView>>, Error> {
    let is_flow = is_flow(&at.kind)?;
    let which = which.0;
    let page = Page {
        page: which.page,
        per_page: which.per_page,
    };
    let other = which.trigger_kind.is_some_and(|kind| kind != KIND);
    let rows = state
        .run(move |conn| {
            if other || !caller.may_read(at.path.as_str(), own_perms(&caller, &at, is_flow)) {
                return Ok(Vec::new());
            }
            let key = (at.workspace.as_str(), at.path.as_str(), is_flow);
            Ok(capture::list(conn, key, page.window())?)
        })
        .await?;
    Ok(Json(rows.into_iter().map(|row| shown(row, true)).collect()))
}

fn shown(row: CaptureRow, listed: bool) -> CaptureView {
    let truncated = usize::try_from(row.bytes).is_ok_and(|bytes| bytes > row.text.len());
    let (main_args, preprocessor_args) = if listed && row.text.len() >= LISTED_BYTES {
        (json!(TOO_BIG), json!(TOO_BIG))
    } else {
        let mut event = json!({
            "kind": KIND, "msg": row.text, "url": row.url, "trigger_path": row.path,
        });
        if row.is_base64 {
            event["encoding"] = json!("base64");
        }
        (json!({"msg": row.text}), json!({"event": event}))
    };
    CaptureView {
        id: row.id,
        created_at: row.created_at,
        trigger_kind: KIND,
        main_args,
        preprocessor_args,
        verdict: row.verdict,
        bytes: row.bytes,
        truncated,
    }
}

fn by_id(conn: &mut crate::db::Conn, caller: &Caller, at: &CaptureAt) -> Result<CaptureRow, Error> {
    let row = capture::get(conn, &at.workspace, at.id)?;
    row.filter(|row| caller.may_read(&row.path, caller.runnable_perms(&row.path, row.is_flow)))
        .ok_or_else(|| Error::NotFound(format!("no capture {}", at.id)))
}

/// One message, however large.
pub(crate) async fn get(
    caller: Caller,
    at: CaptureAt,
    state: web::Data<State>,
) -> Result<Json<CaptureView>, Error> {
    let row = state.run(move |conn| by_id(conn, &caller, &at)).await?;
    Ok(Json(shown(row, false)))
}

/// Removes one message.
pub(crate) async fn delete(
    caller: Caller,
    at: CaptureAt,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let id = at.id;
    state
        .transaction(move |conn| {
            let row = by_id(conn, &caller, &at)?;
            caller.may_write(&row.path, caller.runnable_perms(&row.path, row.is_flow))?;
            Ok(capture::delete(conn, &at.workspace, at.id)?)
        })
        .await?;
    Ok(Text(format!("capture {id} deleted")))
}

/// Follows a runnable to another path.
pub(crate) async fn rename(
    caller: Caller,
    at: KindAt,
    body: Body<Rename>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let is_flow = is_flow(&at.kind)?;
    let new_path = body.0.new_path;
    caller.may_write(at.path.as_str(), "{}")?;
    caller.may_write(new_path.as_str(), "{}")?;
    let text = format!("captures of '{}' moved to '{new_path}'", at.path);
    state
        .transaction(move |conn| {
            let key = (at.workspace.as_str(), at.path.as_str(), is_flow);
            Ok(capture::rename(conn, key, new_path.as_str())?)
        })
        .await?;
    state.listening.captures_changed().await;
    Ok(Text(text))
}
