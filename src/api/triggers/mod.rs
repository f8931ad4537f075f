//! WebSocket triggers: saving, reading, switching and trying them out (contract section 3, windmill-facts §1).
//!
//! What a trigger does stands in [`TriggerSpec`](crate::trigger::spec::TriggerSpec); here are the fields around it: path,
//! mode, run-as, labels. After every change the registry is told, so that the listener follows at once.

mod body;
mod save;
mod status;

use actix_web::web;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

#[cfg(fuzzing)]
pub(super) use self::body::Around;
pub(super) use self::{
    body::{Trigger, TriggerBody, TriggerView},
    save::{check_retry, may_start},
};
pub(crate) use self::{
    save::{create, update},
    status::{status, status_of},
};
use super::{
    State,
    answer::{Json, Text},
    audit,
    elsewhere::seen_one,
    error::Error,
    extract::{At, Body},
};
use crate::{
    access::Caller,
    db::{Conn, connection_log, connection_log::LogEntry, trigger, trigger::TriggerRow},
    types::{Mode, Timestamp},
};

/// Body of `setmode`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SetMode {
    mode: String,
}

/// Body of `setenabled`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SetEnabled {
    enabled: bool,
}

fn not_found(path: &str) -> Error {
    Error::NotFound(format!("Trigger not found at path: {path}"))
}

pub(super) fn readable(conn: &mut Conn, caller: &Caller, at: &At) -> Result<TriggerRow, Error> {
    trigger::by_path(conn, &at.workspace, &at.path)?
        .filter(|row| caller.may_read(&row.path, &row.extra_perms))
        .ok_or_else(|| not_found(&at.path))
}

/// A trigger as it is read: its settings, what surrounds them, what its listener says.
pub(super) fn shown(row: &TriggerRow, state: &State) -> TriggerView {
    let mut fields = row.settings();
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut set = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    set("path", json!(row.path));
    set("workspace_id", json!(row.workspace_id));
    set("mode", json!(row.mode));
    set("permissioned_as", json!(row.permissioned_as));
    set("extra_perms", parsed(&row.extra_perms));
    set("edited_by", json!(row.edited_by));
    set("edited_at", json!(row.edited_at));
    if row.labels != "[]" {
        set("labels", parsed(&row.labels));
    }
    // The listener of this process knows more than the row, which is written once a second.
    let live = state.board.get(&row.workspace_id, &row.path);
    let live = live.filter(|_| row.mode != Mode::Disabled.as_str());
    let (server, error) = match &live {
        Some(live) => (
            Some(state.board.server_id().to_owned()),
            state.board.error(live),
        ),
        None => (row.server_id.clone(), row.error.clone()),
    };
    if let Some(server) = server {
        set("server_id", json!(server));
    }
    let ping = if live.is_some() {
        Some(Timestamp::now())
    } else {
        row.last_server_ping
    };
    if let Some(ping) = ping {
        set("last_server_ping", json!(ping));
    }
    if let Some(error) = error {
        set("error", json!(error));
    }
    TriggerView(fields)
}

/// Removes a trigger; its connection is closed within a second, its jobs stay.
pub(crate) async fn delete(caller: Caller, at: At, state: web::Data<State>) -> Result<Text, Error> {
    let (workspace, path) = (at.workspace.clone(), at.path.clone());
    state
        .transaction(move |conn| {
            let row = readable(conn, &caller, &at)?;
            caller.may_write(&row.path, &row.extra_perms)?;
            trigger::delete(conn, &at.workspace, &at.path)?;
            audit::note(conn, &caller, "websocket_triggers.delete", &at.path)
        })
        .await?;
    state.trigger_changed(&workspace, "deleted", &path).await;
    state.board.remove(&workspace, &path);
    Ok(Text(format!("Trigger '{path}' deleted")))
}

/// One trigger.
pub(crate) async fn get(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<TriggerView>, Error> {
    let one = state
        .run(move |conn| {
            let row = readable(conn, &caller, &at)?;
            seen_one(conn, row)
        })
        .await?;
    Ok(Json(shown(&one.row, &state)))
}

/// Whether there is a trigger at the path.
pub(crate) async fn exists(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<bool>, Error> {
    let row = state
        .run(move |conn| Ok(trigger::by_path(conn, &at.workspace, &at.path)?))
        .await?;
    let seen = row.is_some_and(|row| caller.may_read(&row.path, &row.extra_perms));
    Ok(Json(seen))
}

/// Writes into the trigger's log what was done to it.
fn note(conn: &mut Conn, row: &TriggerRow, event: &'static str, text: &str) -> Result<(), Error> {
    let entry = LogEntry::now((&row.workspace_id, &row.path), event, text);
    Ok(connection_log::append(conn, &[entry], None)?)
}

async fn switch(caller: Caller, at: At, mode: Mode, state: &State) -> Result<Text, Error> {
    let (workspace, path) = (at.workspace.clone(), at.path.clone());
    state
        .transaction(move |conn| {
            let row = readable(conn, &caller, &at)?;
            caller.may_write(&row.path, &row.extra_perms)?;
            note(
                conn,
                &row,
                "mode",
                &format!("{mode} by {}", caller.username),
            )?;
            let operation = match mode {
                Mode::Enabled => "websocket_triggers.enable",
                Mode::Disabled => "websocket_triggers.disable",
                Mode::Suspended => "websocket_triggers.suspend",
            };
            audit::note(conn, &caller, operation, &at.path)?;
            let place = (at.workspace.as_str(), at.path.as_str());
            Ok(trigger::set_mode(conn, place, mode, None)?)
        })
        .await?;
    state.trigger_changed(&workspace, "updated", &path).await;
    Ok(Text(format!("Trigger '{path}' {mode}")))
}

/// Switches a trigger to `enabled`, `disabled` or `suspended`; whose rights it has stays.
pub(crate) async fn set_mode(
    caller: Caller,
    at: At,
    body: Body<SetMode>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let mode = body
        .0
        .mode
        .parse()
        .map_err(|error| Error::field("mode", error))?;
    switch(caller, at, mode, &state).await
}

/// Switches a trigger on or off, as older clients do.
pub(crate) async fn set_enabled(
    caller: Caller,
    at: At,
    body: Body<SetEnabled>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let mode = if body.0.enabled {
        Mode::Enabled
    } else {
        Mode::Disabled
    };
    switch(caller, at, mode, &state).await
}
