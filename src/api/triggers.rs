//! WebSocket triggers: saving, reading, switching and trying them out (contract section 3, windmill-facts §1).
//!
//! What a trigger does stands in [`TriggerSpec`]; here are the fields around it: path, mode, run-as, labels.
//! After every change the registry is told, so that the listener follows at once.

use std::collections::BTreeSet;

use actix_web::web;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    State,
    accounts::named_fields,
    answer::{Created, Json, Text},
    audit,
    elsewhere::{Seen, seen_one},
    error::Error,
    extract::{At, Body},
    folder_rules, labels,
    standing::unchanged,
};
use crate::{
    access::{Caller, Denied, prepare_to_save},
    db::{
        Conn, alone, connection_log, connection_log::LogEntry, folder, group, trigger,
        trigger::TriggerRow, user,
    },
    queue::{Held, Lane},
    trigger::{
        spec::{Retry, TriggerSpec},
        status::{Dropped, TriggerState, TriggerStatus},
    },
    types::{Mode, ObjectPath, Timestamp},
};

/// The body of create and update, as it came.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct TriggerBody(pub(super) Map<String, Value>);

/// A trigger: its settings and what surrounds them.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "stands for the JSON in the document")]
pub(super) struct Trigger {
    path: String,
    mode: Option<Mode>,
    /// Older than `mode`; `mode` wins.
    enabled: Option<bool>,
    /// `u/<user>` or `g/<group>`: whose rights its jobs have.
    permissioned_as: Option<String>,
    /// Keeps `permissioned_as` of the body (admins and group `wm_deployers`); else the caller becomes it, or at the
    /// creation by one of those whom the folder's `default_permissioned_as` names.
    preserve_permissioned_as: Option<bool>,
    labels: Option<Vec<String>>,
    /// Refuses the change when the trigger was edited meanwhile.
    edited_at: Option<String>,
    #[schema(inline)]
    #[serde(flatten)]
    spec: TriggerSpec,
}

/// A trigger as it is read.
#[derive(Debug, serde::Serialize)]
#[serde(transparent)]
pub(crate) struct TriggerView(pub(super) Map<String, Value>);

macro_rules! documented_as_trigger {
    ($($name:ident),+) => {
        $(impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                Trigger::schema()
            }
        }
        impl ToSchema for $name {
            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                Trigger::schemas(schemas);
            }
        })+
    };
}
documented_as_trigger!(TriggerBody, TriggerView);

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

/// The fields of a body that are not settings.
#[derive(Debug)]
pub(super) struct Around {
    path: Option<ObjectPath>,
    mode: Option<Mode>,
    permissioned_as: Option<String>,
    preserve: bool,
    labels: Option<Vec<String>>,
    edited_at: Option<Timestamp>,
}

impl Around {
    pub(super) fn read(body: &Map<String, Value>) -> Result<Self, Error> {
        let text = |name: &str| match body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Error::field(name, "expected a string")),
        };
        let flag = |name: &str| match body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(Error::field(name, "expected true or false")),
        };
        let path = text("path")?.map(|path| path.parse());
        let mode = text("mode")?.map(|mode| mode.parse());
        let (mode, enabled) = (
            mode.transpose()
                .map_err(|error| Error::field("mode", error))?,
            flag("enabled")?,
        );
        let enabled = enabled.map(|on| if on { Mode::Enabled } else { Mode::Disabled });
        let permissioned_as = text("permissioned_as")?;
        let edited_at = text("edited_at")?.map(|moment| moment.parse());
        if let Some(owner) = &permissioned_as
            && !owner.starts_with("u/")
            && !owner.starts_with("g/")
        {
            return Err(Error::field(
                "permissioned_as",
                "must be u/<user> or g/<group>",
            ));
        }
        Ok(Self {
            path: path
                .transpose()
                .map_err(|error| Error::field("path", error))?,
            mode: mode.or(enabled),
            permissioned_as,
            preserve: flag("preserve_permissioned_as")?.unwrap_or(false),
            labels: labels::read(body.get("labels"))?,
            edited_at: edited_at
                .transpose()
                .map_err(|error| Error::field("edited_at", error))?,
        })
    }

    /// Whose rights the trigger's jobs have: what the body says where that may be kept, else the caller's.
    fn run_as(
        &self,
        conn: &mut Conn,
        caller: &Caller,
        present: Option<&str>,
    ) -> Result<String, Error> {
        let workspace = caller.workspace.as_deref().unwrap_or_default();
        let wanted = match (
            self.preserve && caller.is_deployer(),
            &self.permissioned_as,
            present,
        ) {
            (true, Some(wanted), _) => wanted.clone(),
            (true, None, Some(present)) => present.to_owned(),
            (_, _, None) if caller.is_deployer() => {
                match self.default_of_folder(conn, workspace)? {
                    Some(wanted) => wanted,
                    None => return Ok(caller.run_as()),
                }
            }
            _ => return Ok(caller.run_as()),
        };
        if let Some(name) = wanted.strip_prefix("u/")
            && name != caller.username
            && user::by_name(conn, workspace, name)?.is_none()
        {
            return Err(Error::field(
                "permissioned_as",
                format!("user '{name}' does not exist"),
            ));
        }
        if let Some(name) = wanted.strip_prefix("g/")
            && !group::exists(conn, workspace, name)?
        {
            return Err(Error::field(
                "permissioned_as",
                format!("group '{name}' does not exist"),
            ));
        }
        Ok(wanted)
    }

    /// Whose rights a new trigger has that a deployer makes in its folder without saying so.
    fn default_of_folder(&self, conn: &mut Conn, workspace: &str) -> Result<Option<String>, Error> {
        let path = self
            .path
            .as_ref()
            .and_then(|path| path.as_str().strip_prefix("f/"));
        let Some((name, below)) = path.and_then(|path| path.split_once('/')) else {
            return Ok(None);
        };
        let folder = folder::by_name(conn, workspace, name)?;
        Ok(folder.and_then(|row| folder_rules::default_for(&row.default_permissioned_as, below)))
    }
}

fn set_spec(row: &mut TriggerRow, spec: &TriggerSpec) -> Result<(), Error> {
    let Ok(Value::Object(settings)) = serde_json::to_value(spec) else {
        return Err(Error::Internal("a trigger's settings cannot be written"));
    };
    row.set_settings(settings);
    Ok(())
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
        Some(live) => (Some(state.board.server_id().to_owned()), live.error()),
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

/// Makes a trigger; it listens within a second.
pub(crate) async fn create(
    caller: Caller,
    at: At,
    body: Body<TriggerBody>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    caller.may_change()?;
    let around = Around::read(&body.0.0)?;
    let Some(path) = around.path.clone() else {
        return Err(Error::field("path", "missing field"));
    };
    let spec = TriggerSpec::from_json(&body.0.0)?;
    may_start(&caller, &spec, |_| true)?;
    check_condition(&spec, &state).await?;
    state.listening.check(spec.clone()).await?;
    let (workspace, created) = (at.workspace.clone(), path.to_string());
    state
        .transaction(move |conn| {
            prepare_to_save(conn, &caller, &path)??;
            if trigger::by_path(conn, &at.workspace, path.as_str())?.is_some() {
                return Err(Error::Conflict(format!(
                    "path: trigger '{path}' exists already"
                )));
            }
            let now = Timestamp::now();
            let mut row = empty(at.workspace, path.to_string(), now);
            set_spec(&mut row, &spec)?;
            row.mode = around.mode.unwrap_or(Mode::Enabled).as_str().to_owned();
            row.permissioned_as = around.run_as(conn, &caller, None)?;
            row.labels = Value::from(around.labels.unwrap_or_default()).to_string();
            row.edited_by.clone_from(&caller.username);
            trigger::insert(conn, &row)?;
            audit::note(conn, &caller, "websocket_triggers.create", &row.path)?;
            note(conn, &row, "created", &format!("by {}", caller.username))
        })
        .await?;
    state.trigger_changed(&workspace, "created", &created).await;
    Ok(Created(created))
}

/// A row without settings. Its version begins at the clock, so that one made anew is never taken for the old.
fn empty(workspace_id: String, path: String, now: Timestamp) -> TriggerRow {
    TriggerRow {
        workspace_id,
        path,
        script_path: String::new(),
        is_flow: false,
        url: String::new(),
        mode: String::new(),
        filters: "[]".to_owned(),
        filter_logic: String::new(),
        initial_messages: None,
        url_runnable_args: None,
        can_return_message: false,
        can_return_error_result: false,
        heartbeat: None,
        error_handler_path: None,
        error_handler_args: None,
        retry: None,
        permissioned_as: String::new(),
        labels: "[]".to_owned(),
        extra_perms: "{}".to_owned(),
        options: "{}".to_owned(),
        edited_by: String::new(),
        edited_at: now,
        version: now.0,
        server_id: None,
        last_server_ping: None,
        error: None,
    }
}

/// Replaces the settings of a trigger, or moves it to another path; mode and labels stay when left out.
pub(crate) async fn update(
    caller: Caller,
    at: At,
    body: Body<TriggerBody>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.may_change()?;
    let around = Around::read(&body.0.0)?;
    let found = (caller.clone(), at.clone());
    // Missing comes before invalid: a client that asks whether it is there sends what it has.
    state
        .run(move |conn| readable(conn, &found.0, &found.1))
        .await?;
    let spec = TriggerSpec::from_json(&body.0.0)?;
    may_start(&caller, &spec, |_| true)?;
    check_condition(&spec, &state).await?;
    state.listening.check(spec.clone()).await?;
    let lane = spec.lane();
    let (workspace, path) = (at.workspace.clone(), at.path.clone());
    let moved = state
        .transaction(move |conn| {
            alone::edit(conn, &at.workspace, &at.path)?;
            let mut row = readable(conn, &caller, &at)?;
            caller.may_write(&row.path, &row.extra_perms)?;
            let before = row.clone();
            unchanged(around.edited_at, row.edited_at, "trigger")?;
            let moved = around.path.clone().filter(|path| path.as_str() != at.path);
            if let Some(path) = &moved {
                prepare_to_save(conn, &caller, path)??;
                if trigger::by_path(conn, &at.workspace, path.as_str())?.is_some() {
                    return Err(Error::Conflict(format!(
                        "path: trigger '{path}' exists already"
                    )));
                }
                row.path = path.to_string();
            }
            set_spec(&mut row, &spec)?;
            row.permissioned_as = around.run_as(conn, &caller, Some(&row.permissioned_as))?;
            if let Some(mode) = around.mode {
                row.mode = mode.as_str().to_owned();
            }
            if let Some(labels) = around.labels {
                row.labels = Value::from(labels).to_string();
            }
            row.edited_by.clone_from(&caller.username);
            row.edited_at = Timestamp::now();
            row.version += 1;
            row.error = None;
            if row.mode == Mode::Disabled.as_str() || moved.is_some() {
                (row.server_id, row.last_server_ping) = (None, None);
            }
            trigger::update(conn, &at.path, &row)?;
            note_edit(conn, &caller, (&before, &row))?;
            Ok(moved)
        })
        .await?;
    let now_at = moved.as_ref().map_or(path.as_str(), ObjectPath::as_str);
    bound_jobs(&state, &workspace, now_at, lane).await;
    if let Some(moved) = moved {
        state.board.rename(&workspace, &path, moved.as_str());
        // Before its socket has a job under the new path, and again for what the old socket has still committed.
        rename_jobs(&state, &workspace, &path, moved.as_str()).await;
        state
            .trigger_changed(&workspace, "created", moved.as_str())
            .await;
        state.trigger_changed(&workspace, "deleted", &path).await;
        rename_jobs(&state, &workspace, &path, moved.as_str()).await;
    } else {
        state.trigger_changed(&workspace, "updated", &path).await;
    }
    Ok(Text(format!("Trigger '{path}' updated")))
}

/// Checks that the caller may run everything that these fields name: nobody has others' hidden code run. Whether it exists
/// does not matter, and is not told.
pub(super) fn may_start(
    caller: &Caller,
    spec: &TriggerSpec,
    which: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let runnables = spec.runnables();
    let mut named = runnables.iter().filter(|one| which(&one.field));
    let hidden = named.find(|one| !caller.sees_runnable(one.path, one.is_flow));
    match hidden {
        Some(one) => {
            let text = format!("{}: you may not run '{}'", one.field, one.path);
            Err(Denied::Forbidden(text).into())
        }
        None => Ok(()),
    }
}

/// The names of the fields in which two states of a trigger differ.
fn changed_fields(before: &TriggerRow, after: &TriggerRow) -> Vec<String> {
    let (old, new) = (before.settings(), after.settings());
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let settings = names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name));
    let others = [
        ("path", before.path != after.path),
        ("mode", before.mode != after.mode),
        (
            "permissioned_as",
            before.permissioned_as != after.permissioned_as,
        ),
        ("labels", before.labels != after.labels),
    ];
    settings.cloned().chain(named_fields(&others)).collect()
}

/// Writes an edit into the audit log and the trigger's own.
fn note_edit(
    conn: &mut Conn,
    caller: &Caller,
    (before, after): (&TriggerRow, &TriggerRow),
) -> Result<(), Error> {
    let operation = ("websocket_triggers.update", before.path.as_str());
    let changes = Some(changed_fields(before, after));
    audit::note_changes(conn, caller, operation, changes)?;
    note(conn, after, "edited", &format!("by {}", caller.username))
}

/// Whether the condition of the trigger's retries can be read.
async fn check_condition(spec: &TriggerSpec, state: &State) -> Result<(), Error> {
    match &spec.retry {
        Some(retry) => check_retry(retry, state).await,
        None => Ok(()),
    }
}

/// Whether the condition of retries can be read.
pub(super) async fn check_retry(retry: &Retry, state: &State) -> Result<(), Error> {
    if let Some(condition) = &retry.retry_if {
        let checked = state.script_check.check_condition(condition.expr.clone());
        let checked = checked.await;
        checked.map_err(|error| Error::field("retry.retry_if.expr", error))?;
    }
    Ok(())
}

/// Has the jobs that wait already follow the new bounds too. New ones do so by themselves, so a database that is away
/// just now is no reason to take back what was saved.
async fn bound_jobs(state: &State, workspace: &str, path: &str, lane: Option<Lane>) {
    if let Err(error) = state.queue.bound(workspace, path, lane).await {
        log::warn!(trigger = path; "jobs that wait keep the old bounds until the next message: {error}");
    }
}

/// Hands the jobs that the trigger held back over to its new path. What was saved stays if that fails: they can still
/// be had run, or discarded, under the old one.
async fn rename_jobs(state: &State, workspace: &str, from: &str, to: &str) {
    let held = Held {
        workspace: workspace.into(),
        trigger_path: from.into(),
        ids: None,
    };
    if let Err(error) = state.queue.rename(held, to).await {
        log::warn!(trigger = from; "jobs that wait stay under the old path: {error}");
    }
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

/// Where the trigger is and what it has counted since its server started (contract section 5).
pub(crate) async fn status(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<TriggerStatus>, Error> {
    let one = state
        .run(move |conn| {
            let row = readable(conn, &caller, &at)?;
            seen_one(conn, row)
        })
        .await?;
    Ok(Json(status_of(&one, &state)))
}

/// The status of a trigger: from its listener when that is here, else what its server says, else what its row says.
pub(crate) fn status_of(one: &Seen, state: &State) -> TriggerStatus {
    let row = &one.row;
    let disabled = row.mode == Mode::Disabled.as_str();
    let here = state.board.status(&row.workspace_id, &row.path);
    if let Some(mut status) = here.or_else(|| one.status.clone()) {
        if disabled {
            status.state = TriggerState::Disabled;
        }
        return status;
    }
    let rested = state.board.rested(&row.workspace_id, &row.path);
    if let Some(status) = rested.filter(|_| disabled) {
        return TriggerStatus {
            error: row.error.clone(),
            server_id: row.server_id.clone(),
            ..status
        };
    }
    let now = if disabled {
        TriggerState::Disabled
    } else {
        TriggerState::Connecting
    };
    TriggerStatus {
        state: now,
        since: row.edited_at,
        error: row.error.clone(),
        attempts: 0,
        next_attempt_at: None,
        server_id: row.server_id.clone(),
        connected_at: None,
        last_message_at: None,
        received: 0,
        unmatched: 0,
        handled: 0,
        matched: 0,
        pending: 0,
        enqueued: 0,
        replied: 0,
        reply_undeliverable: 0,
        reply_failed: 0,
        dropped: Dropped::default(),
        bytes_received: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_their_columns() {
        let settings = json!({
            "script_path": "f/x/s", "is_flow": false, "url": "wss://example.com/feed",
            "filters": [{"key": "e", "value": "trade"}], "filter_logic": "or",
            "can_return_message": true, "can_return_error_result": false,
            "initial_messages": [{"raw_message": "\"hi\""}],
            "heartbeat": {"interval_secs": 5, "message": "ping"},
            "retry": {"constant": {"attempts": 3, "seconds": 5}},
            "headers": {"x-a": "b"}, "ordered": true, "max_in_flight": 3,
        });
        let Value::Object(settings) = settings else {
            unreachable!()
        };
        let spec = TriggerSpec::from_json(&settings).unwrap();
        let mut row = empty("main".to_owned(), "f/x/t".to_owned(), Timestamp(1));
        set_spec(&mut row, &spec).unwrap();
        assert_eq!(row.filters, r#"[{"key":"e","value":"trade"}]"#);
        let options: Value = serde_json::from_str(&row.options).unwrap();
        assert_eq!(
            options,
            json!({"headers": {"x-a": "b"}, "ordered": true, "max_in_flight": 3})
        );
        assert_eq!(TriggerSpec::from_json(&row.settings()).unwrap(), spec);
    }

    #[test]
    fn bad_surroundings_name_the_field() {
        for (body, field) in [
            (json!({"path": 1}), "path: "),
            (json!({"path": "nowhere"}), "path: "),
            (json!({"mode": "paused"}), "mode: "),
            (json!({"enabled": "yes"}), "enabled: "),
            (json!({"labels": "x"}), "labels: "),
            (json!({"labels": [1]}), "labels: "),
            (json!({"permissioned_as": "admin"}), "permissioned_as: "),
        ] {
            let Value::Object(body) = body else {
                unreachable!()
            };
            let error = Around::read(&body).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
        let Value::Object(both) = json!({"mode": "suspended", "enabled": true}) else {
            unreachable!()
        };
        assert_eq!(Around::read(&both).unwrap().mode, Some(Mode::Suspended));
    }
}
