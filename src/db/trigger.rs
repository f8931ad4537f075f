//! Table `triggers`: what is to be listened to, and what became of it.
//!
//! The API writes settings and lets `version` grow; the registry of the server that listens writes
//! `server_id`, `last_server_ping` and `error` and leaves `version` alone.

use diesel::prelude::*;
use serde_json::{Map, Value};

use super::{Conn, DbError, connection_log, message_sample, schema::triggers, vars};
use crate::types::Timestamp;

/// What other processes are told when a row or a lease has changed.
pub const CHANGED: &str = "triggers";
/// More edits than anybody makes before its socket has heard of the first. An edit adds one to a version, and a trigger
/// that is made anew begins at the clock's microseconds: what is farther away is another trigger.
const EDITS_UNHEARD: i64 = 1_000;

/// A trigger.
#[derive(Debug, Clone, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = triggers, primary_key(workspace_id, path), treat_none_as_null = true)]
#[expect(missing_docs, reason = "the columns, as the migration explains them")]
pub struct TriggerRow {
    pub workspace_id: String,
    pub path: String,
    pub script_path: String,
    pub is_flow: bool,
    pub url: String,
    pub mode: String,
    pub filters: String,
    pub filter_logic: String,
    pub initial_messages: Option<String>,
    pub url_runnable_args: Option<String>,
    pub can_return_message: bool,
    pub can_return_error_result: bool,
    pub heartbeat: Option<String>,
    pub error_handler_path: Option<String>,
    pub error_handler_args: Option<String>,
    pub retry: Option<String>,
    pub permissioned_as: String,
    pub labels: String,
    pub extra_perms: String,
    pub options: String,
    pub edited_by: String,
    pub edited_at: Timestamp,
    pub version: i64,
    pub server_id: Option<String>,
    pub last_server_ping: Option<Timestamp>,
    pub error: Option<String>,
}

impl TriggerRow {
    /// Puts settings as `TriggerSpec` writes them into their columns; what has none goes into `options`.
    pub(crate) fn set_settings(&mut self, mut fields: Map<String, Value>) {
        let mut take = |name: &str| fields.remove(name);
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let flag = |value: Option<Value>| value.as_ref().and_then(Value::as_bool) == Some(true);
        let json = |value: Option<Value>| value.map(|value| value.to_string());
        self.script_path = text(take("script_path")).unwrap_or_default();
        self.is_flow = flag(take("is_flow"));
        self.url = text(take("url")).unwrap_or_default();
        self.filters = json(take("filters")).unwrap_or_else(|| "[]".to_owned());
        self.filter_logic = text(take("filter_logic")).unwrap_or_default();
        self.initial_messages = json(take("initial_messages"));
        self.url_runnable_args = json(take("url_runnable_args"));
        self.can_return_message = flag(take("can_return_message"));
        self.can_return_error_result = flag(take("can_return_error_result"));
        self.heartbeat = json(take("heartbeat"));
        self.error_handler_path = text(take("error_handler_path"));
        self.error_handler_args = json(take("error_handler_args"));
        self.retry = json(take("retry"));
        self.options = Value::Object(fields).to_string();
    }

    /// The settings as `TriggerSpec::from_json` reads them.
    #[must_use]
    pub fn settings(&self) -> Map<String, Value> {
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        let mut fields = match parsed(&self.options) {
            Value::Object(options) => options,
            _ => Map::new(),
        };
        let some = |text: &Option<String>| text.as_deref().map(parsed);
        let texts = |text: &str| Some(Value::from(text));
        for (name, value) in [
            ("script_path", texts(&self.script_path)),
            ("is_flow", Some(self.is_flow.into())),
            ("url", texts(&self.url)),
            ("filters", Some(parsed(&self.filters))),
            ("filter_logic", texts(&self.filter_logic)),
            ("initial_messages", some(&self.initial_messages)),
            ("url_runnable_args", some(&self.url_runnable_args)),
            ("can_return_message", Some(self.can_return_message.into())),
            (
                "can_return_error_result",
                Some(self.can_return_error_result.into()),
            ),
            ("heartbeat", some(&self.heartbeat)),
            (
                "error_handler_path",
                self.error_handler_path.as_deref().and_then(texts),
            ),
            ("error_handler_args", some(&self.error_handler_args)),
            ("retry", some(&self.retry)),
        ] {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value);
            }
        }
        fields
    }
}

/// Which triggers a list shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct TriggerFilter {
    /// Only triggers of the runnable at this path.
    pub(crate) script_path: Option<String>,
    /// Only triggers of flows, or only of scripts.
    pub(crate) is_flow: Option<bool>,
    /// Trigger paths that begin so.
    pub(crate) path_start: Option<String>,
    /// Rows to skip and to show; none for all.
    pub(crate) window: Option<(i64, i64)>,
}

/// The trigger at that path.
///
/// # Errors
/// The database gives no answer.
pub fn by_path(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Option<TriggerRow>, DbError> {
    Ok(triggers::table
        .find((workspace, path))
        .first(conn)
        .optional()?)
}

/// The triggers of a workspace, the one edited last first.
pub(crate) fn list(
    conn: &mut Conn,
    workspace: &str,
    filter: &TriggerFilter,
) -> Result<Vec<TriggerRow>, DbError> {
    let mut query = triggers::table
        .filter(triggers::workspace_id.eq(workspace))
        .into_boxed();
    if let Some(script_path) = &filter.script_path {
        query = query.filter(triggers::script_path.eq(script_path));
    }
    if let Some(is_flow) = filter.is_flow {
        query = query.filter(triggers::is_flow.eq(is_flow));
    }
    if let Some(start) = &filter.path_start {
        query = query.filter(super::starts_with(triggers::path, start));
    }
    if let Some((skip, show)) = filter.window {
        query = query.offset(skip).limit(show);
    }
    Ok(query
        .order((triggers::edited_at.desc(), triggers::path))
        .load(conn)?)
}

/// The triggers whose settings may name a runnable's path somewhere; whoever asks looks closer.
pub(crate) fn mentioning(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Vec<TriggerRow>, DbError> {
    // An underscore of the path stands for any letter here: too much is found, never too little.
    let anywhere = format!("%{path}%");
    let named = triggers::script_path
        .eq(path)
        .or(triggers::url.like(format!("$%:{path}")))
        .or(triggers::initial_messages.assume_not_null().like(&anywhere))
        .or(triggers::error_handler_path
            .assume_not_null()
            .like(&anywhere))
        .or(triggers::options.like(&anywhere));
    Ok(triggers::table
        .filter(triggers::workspace_id.eq(workspace))
        .filter(named)
        .order(triggers::path)
        .load(conn)?)
}

/// The triggers that run the runnable at a path: their paths, and with whom they are shared.
pub(crate) fn of_runnable(
    conn: &mut Conn,
    workspace: &str,
    (script_path, is_flow): (&str, bool),
) -> Result<Vec<(String, String)>, DbError> {
    Ok(triggers::table
        .filter(triggers::workspace_id.eq(workspace))
        .filter(triggers::script_path.eq(script_path))
        .filter(triggers::is_flow.eq(is_flow))
        .select((triggers::path, triggers::extra_perms))
        .load(conn)?)
}

/// Adds a trigger.
pub(crate) fn insert(conn: &mut Conn, row: &TriggerRow) -> Result<(), DbError> {
    diesel::insert_into(triggers::table)
        .values(row)
        .execute(conn)?;
    super::notify(conn, CHANGED)
}

/// Replaces the trigger at `path` by `row`, which may have another path; answers whether it was there.
pub(crate) fn update(conn: &mut Conn, path: &str, row: &TriggerRow) -> Result<bool, DbError> {
    // The row first: a commit of its messages that is under way holds it, and is waited for.
    let one = triggers::table.find((&row.workspace_id, path));
    let set = (triggers::path.eq(&row.path), row);
    let updated = diesel::update(one).set(set).execute(conn)? > 0;
    if row.path != path {
        let (workspace, paths) = (row.workspace_id.as_str(), (path, row.path.as_str()));
        connection_log::rename(conn, workspace, paths)?;
        message_sample::rename(conn, workspace, paths)?;
        vars::rename(conn, workspace, paths)?;
    }
    super::notify(conn, CHANGED)?;
    Ok(updated)
}

/// Changes a trigger's mode and nothing else; answers whether it was there. `error` stays or is replaced.
///
/// # Errors
/// The database gives no answer.
pub fn set_mode(
    conn: &mut Conn,
    (workspace, path): (&str, &str),
    mode: crate::types::Mode,
    error: Option<&str>,
) -> Result<bool, DbError> {
    let set = (
        triggers::mode.eq(mode.as_str()),
        triggers::error.eq(error),
        triggers::version.eq(triggers::version + 1),
    );
    let one = triggers::table.find((workspace, path));
    let updated = diesel::update(one).set(set).execute(conn)? > 0;
    super::notify(conn, CHANGED)?;
    Ok(updated)
}

/// Disables a trigger that is still what `version` says, with the reason; answers whether it was.
pub(crate) fn disable(
    conn: &mut Conn,
    (workspace, path): (&str, &str),
    version: i64,
    error: &str,
) -> Result<bool, DbError> {
    let one = triggers::table.find((workspace, path));
    let set = (
        triggers::mode.eq(crate::types::Mode::Disabled.as_str()),
        triggers::error.eq(error),
        triggers::version.eq(triggers::version + 1),
    );
    let disabled = diesel::update(one.filter(triggers::version.eq(version)))
        .set(set)
        .execute(conn)?
        > 0;
    if disabled {
        super::notify(conn, CHANGED)?;
    }
    Ok(disabled)
}

/// Whether the trigger that was followed at `version` is still at that path; it stays until the end of the transaction.
pub(crate) fn stays(
    conn: &mut Conn,
    (workspace, path): (&str, &str),
    version: i64,
) -> Result<bool, DbError> {
    let one = triggers::table.find((workspace, path));
    let one = one.select(triggers::version);
    let found: Option<i64> = match conn {
        Conn::Sqlite(conn) => one.first(conn).optional()?,
        Conn::Postgres(conn) => one.for_key_share().first(conn).optional()?,
    };
    Ok(found.is_some_and(|found| is_later(version, found)))
}

/// Whether `later` is a version of the trigger that has or had `version`.
#[must_use]
pub fn is_later(version: i64, later: i64) -> bool {
    (version..version + EDITS_UNHEARD).contains(&later)
}

/// Removes the trigger at that path; answers whether it was there.
pub(crate) fn delete(conn: &mut Conn, workspace: &str, path: &str) -> Result<bool, DbError> {
    // The row first, as in `update`.
    let deleted = diesel::delete(triggers::table.find((workspace, path))).execute(conn)? > 0;
    connection_log::forget(conn, workspace, path)?;
    message_sample::forget(conn, workspace, path)?;
    vars::forget(conn, workspace, path)?;
    super::notify(conn, CHANGED)?;
    Ok(deleted)
}

/// Workspace, path and version of every trigger that wants to listen.
///
/// # Errors
/// The database gives no answer.
pub(crate) fn wanted_versions(conn: &mut Conn) -> Result<Vec<(String, String, i64)>, DbError> {
    Ok(triggers::table
        .filter(triggers::mode.ne("disabled"))
        .select((triggers::workspace_id, triggers::path, triggers::version))
        .load(conn)?)
}
