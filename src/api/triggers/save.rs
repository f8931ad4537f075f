//! Saving a trigger: its settings are checked, its row is written, and jobs and listener follow.

use std::collections::BTreeSet;

use actix_web::web;
use serde_json::Value;

use super::{
    body::{Around, TriggerBody},
    note, readable,
};
use crate::{
    access::{Caller, Denied, prepare_to_save},
    api::{
        State,
        accounts::named_fields,
        answer::{Created, Text},
        audit,
        error::Error,
        extract::{At, Body},
        standing::unchanged,
    },
    db::{Conn, alone, trigger, trigger::TriggerRow},
    queue::{Held, Lane},
    trigger::spec::{Retry, TriggerSpec},
    types::{Mode, ObjectPath, Timestamp},
};

fn set_spec(row: &mut TriggerRow, spec: &TriggerSpec) -> Result<(), Error> {
    let Ok(Value::Object(settings)) = serde_json::to_value(spec) else {
        return Err(Error::Internal("a trigger's settings cannot be written"));
    };
    row.set_settings(settings);
    Ok(())
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
pub(crate) fn may_start(
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
pub(crate) async fn check_retry(retry: &Retry, state: &State) -> Result<(), Error> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
}
