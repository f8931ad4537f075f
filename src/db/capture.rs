//! Tables `capture_configs` and `captures`: what is captured for the editor of a runnable, and what came.
//!
//! The API writes configurations and pings, the server that claims one says that it listens and adds messages.

use diesel::prelude::*;

use super::{
    Conn, DbError,
    schema::{capture_configs as configs, captures},
};
use crate::types::Timestamp;

/// Captured messages that are kept of one runnable (contract section 6).
pub const KEPT: i64 = 100;

/// What is to be captured.
#[derive(Debug, Clone, Queryable, Insertable)]
#[diesel(table_name = configs, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns, as the migration explains them")]
pub struct CaptureConfig {
    pub workspace_id: String,
    pub path: String,
    pub is_flow: bool,
    pub trigger_config: String,
    pub username: String,
    pub version: i64,
    pub last_client_ping: Option<Timestamp>,
    pub server_id: Option<String>,
    pub last_server_ping: Option<Timestamp>,
    pub error: Option<String>,
}

/// A captured message.
#[derive(Debug, Clone, Queryable)]
#[expect(missing_docs, reason = "the columns, as the migration explains them")]
pub struct CaptureRow {
    pub id: i64,
    pub workspace_id: String,
    pub path: String,
    pub is_flow: bool,
    pub created_at: Timestamp,
    pub text: String,
    pub bytes: i64,
    pub is_base64: bool,
    pub url: String,
    pub verdict: String,
}

/// A message to keep.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns, as the migration explains them")]
pub struct NewCapture {
    pub created_at: Timestamp,
    pub text: String,
    pub bytes: i64,
    pub is_base64: bool,
    pub url: String,
    pub verdict: &'static str,
}

/// Workspace, path of the runnable, whether it is a flow.
pub type CaptureKey = (std::sync::Arc<str>, std::sync::Arc<str>, bool);

/// The configuration for a runnable.
pub(crate) fn config(
    conn: &mut Conn,
    (workspace, path, is_flow): (&str, &str, bool),
) -> Result<Option<CaptureConfig>, DbError> {
    Ok(configs::table
        .find((workspace, path, is_flow))
        .first(conn)
        .optional()?)
}

/// Sets what is to be captured for a runnable; nobody listens for it until it is pinged.
pub(crate) fn set_config(conn: &mut Conn, row: &CaptureConfig) -> Result<(), DbError> {
    let one = configs::table.find((&row.workspace_id, &row.path, row.is_flow));
    diesel::delete(one).execute(conn)?;
    diesel::insert_into(configs::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Says that an editor is open.
pub(crate) fn ping(
    conn: &mut Conn,
    (workspace, path, is_flow): (&str, &str, bool),
    now: Timestamp,
) -> Result<(), DbError> {
    let one = configs::table.find((workspace, path, is_flow));
    diesel::update(one)
        .set(configs::last_client_ping.eq(now))
        .execute(conn)?;
    Ok(())
}

/// Claims for `server` what was pinged after `pinged_since` and no other server has claimed since `claimed_since`;
/// answers all that is claimed by it now.
///
/// # Errors
/// The database gives no answer.
pub fn claim(
    conn: &mut Conn,
    server: &str,
    (pinged_since, claimed_since): (Timestamp, Timestamp),
) -> Result<Vec<CaptureConfig>, DbError> {
    let live = configs::table.filter(configs::last_client_ping.gt(pinged_since));
    let free = configs::server_id
        .is_null()
        .or(configs::server_id.eq(server))
        .or(configs::last_server_ping.lt(claimed_since));
    let wanted: Vec<(String, String, bool)> = live
        .filter(free)
        .select((configs::workspace_id, configs::path, configs::is_flow))
        .load(conn)?;
    for (workspace, path, is_flow) in wanted {
        let free = configs::server_id
            .is_null()
            .or(configs::server_id.eq(server))
            .or(configs::last_server_ping.lt(claimed_since));
        let one = configs::table
            .filter(configs::workspace_id.eq(workspace))
            .filter(configs::path.eq(path))
            .filter(configs::is_flow.eq(is_flow))
            .filter(free);
        let set = (
            configs::server_id.eq(server),
            configs::last_server_ping.eq(Timestamp::now()),
        );
        diesel::update(one).set(set).execute(conn)?;
    }
    let over = configs::table
        .filter(configs::server_id.eq(server))
        .filter(configs::last_client_ping.le(pinged_since));
    let nobody = (
        configs::server_id.eq(None::<String>),
        configs::last_server_ping.eq(None::<Timestamp>),
    );
    diesel::update(over).set(nobody).execute(conn)?;
    Ok(configs::table
        .filter(configs::server_id.eq(server))
        .load(conn)?)
}

/// Says why a capture is not connected, or that it is.
///
/// # Errors
/// The database gives no answer.
pub fn set_error(
    conn: &mut Conn,
    (workspace, path, is_flow): &CaptureKey,
    error: Option<&str>,
) -> Result<(), DbError> {
    let one = configs::table.find((&**workspace, &**path, *is_flow));
    diesel::update(one)
        .set(configs::error.eq(error))
        .execute(conn)?;
    Ok(())
}

/// Keeps messages in order and forgets the oldest. Best called in a transaction.
///
/// # Errors
/// The database gives no answer.
pub fn keep(
    conn: &mut Conn,
    (workspace, path, is_flow): &CaptureKey,
    messages: &[NewCapture],
) -> Result<(), DbError> {
    for message in messages {
        diesel::insert_into(captures::table)
            .values((
                captures::workspace_id.eq(&**workspace),
                captures::path.eq(&**path),
                captures::is_flow.eq(is_flow),
                captures::created_at.eq(message.created_at),
                captures::text.eq(&message.text),
                captures::bytes.eq(message.bytes),
                captures::is_base64.eq(message.is_base64),
                captures::url.eq(&message.url),
                captures::verdict.eq(message.verdict),
            ))
            .execute(conn)?;
    }
    let oldest = captures::table
        .filter(captures::workspace_id.eq(&**workspace))
        .filter(captures::path.eq(&**path))
        .filter(captures::is_flow.eq(is_flow))
        .order(captures::id.desc())
        .offset(KEPT)
        .select(captures::id)
        .first::<i64>(conn)
        .optional()?;
    if let Some(id) = oldest {
        let old = captures::table
            .filter(captures::workspace_id.eq(&**workspace))
            .filter(captures::path.eq(&**path))
            .filter(captures::is_flow.eq(is_flow))
            .filter(captures::id.le(id));
        diesel::delete(old).execute(conn)?;
    }
    Ok(())
}

/// The messages of a runnable, the newest first.
pub(crate) fn list(
    conn: &mut Conn,
    (workspace, path, is_flow): (&str, &str, bool),
    (skip, show): (i64, i64),
) -> Result<Vec<CaptureRow>, DbError> {
    Ok(captures::table
        .filter(captures::workspace_id.eq(workspace))
        .filter(captures::path.eq(path))
        .filter(captures::is_flow.eq(is_flow))
        // A message that no filter had to look at is noted before earlier ones whose filters still do.
        .order((captures::created_at.desc(), captures::id.desc()))
        .offset(skip)
        .limit(show)
        .load(conn)?)
}

/// One message.
pub(crate) fn get(
    conn: &mut Conn,
    workspace: &str,
    id: i64,
) -> Result<Option<CaptureRow>, DbError> {
    Ok(captures::table
        .filter(captures::workspace_id.eq(workspace))
        .filter(captures::id.eq(id))
        .first(conn)
        .optional()?)
}

/// Removes one message.
pub(crate) fn delete(conn: &mut Conn, workspace: &str, id: i64) -> Result<(), DbError> {
    let one = captures::table
        .filter(captures::workspace_id.eq(workspace))
        .filter(captures::id.eq(id));
    diesel::delete(one).execute(conn)?;
    Ok(())
}

/// Follows a runnable to another path: its messages, and its configuration unless that path has one.
pub(crate) fn rename(
    conn: &mut Conn,
    (workspace, path, is_flow): (&str, &str, bool),
    new_path: &str,
) -> Result<(), DbError> {
    let all = captures::table
        .filter(captures::workspace_id.eq(workspace))
        .filter(captures::path.eq(path))
        .filter(captures::is_flow.eq(is_flow));
    diesel::update(all)
        .set(captures::path.eq(new_path))
        .execute(conn)?;
    if config(conn, (workspace, new_path, is_flow))?.is_none() {
        let one = configs::table.find((workspace, path, is_flow));
        diesel::update(one)
            .set(configs::path.eq(new_path))
            .execute(conn)?;
    }
    Ok(())
}
