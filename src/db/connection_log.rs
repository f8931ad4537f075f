//! Table `connection_log`: what happened to each trigger's connection, bounded, so that the owner of a trigger can see
//! next morning what happened at night.

use std::{collections::BTreeSet, sync::Arc};

use diesel::prelude::*;

use super::{
    Conn, DbError,
    schema::{connection_log as log, triggers},
};
use crate::types::Timestamp;

/// Events of one trigger that are kept.
pub const KEPT: i64 = 200;
/// Longest text of an event, in bytes.
const TEXT_BYTES: usize = 500;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The trigger's workspace.
    pub workspace: Arc<str>,
    /// The trigger's path.
    pub path: Arc<str>,
    /// When it first happened.
    pub first_at: Timestamp,
    /// When it last happened.
    pub at: Timestamp,
    /// `created`, `edited`, `mode`, `connected`, `failed`, `closed` or `disabled`.
    pub event: &'static str,
    /// The particulars; nothing secret.
    pub text: String,
    /// How often it happened in a row.
    pub times: i64,
}

impl LogEntry {
    /// Something that happens now.
    #[must_use]
    pub fn now(place: (&str, &str), event: &'static str, text: &str) -> Self {
        let now = Timestamp::now();
        Self {
            workspace: place.0.into(),
            path: place.1.into(),
            first_at: now,
            at: now,
            event,
            // PostgreSQL keeps no NUL, and a server's close text may hold one.
            text: text[..text.floor_char_boundary(TEXT_BYTES)].replace('\0', "\u{fffd}"),
            times: 1,
        }
    }

    /// Whether it is the same once more.
    #[must_use]
    pub fn repeats(&self, event: &str, text: &str) -> bool {
        self.event == event && self.text == text
    }
}

/// An event as it is kept.
#[derive(Debug, Clone, Queryable)]
pub(crate) struct LogRow {
    pub id: i64,
    pub first_at: Timestamp,
    pub at: Timestamp,
    pub event: String,
    pub text: String,
    pub times: i64,
    pub server_id: Option<String>,
}

type Columns = (
    log::id,
    log::first_at,
    log::at,
    log::event,
    log::text,
    log::times,
    log::server_id,
);
const COLUMNS: Columns = (
    log::id,
    log::first_at,
    log::at,
    log::event,
    log::text,
    log::times,
    log::server_id,
);

/// Writes events down in order and forgets the oldest. What repeats the newest is counted there; what belongs to a
/// trigger that is no more is dropped. Best called in a transaction.
///
/// # Errors
/// The database gives no answer.
pub fn append(
    conn: &mut Conn,
    entries: &[LogEntry],
    server_id: Option<&str>,
) -> Result<(), DbError> {
    let places: BTreeSet<(&str, &str)> = entries
        .iter()
        .map(|entry| (&*entry.workspace, &*entry.path))
        .collect();
    for (workspace, path) in places {
        let trigger = triggers::table
            .find((workspace, path))
            .select(triggers::version);
        if trigger.first::<i64>(conn).optional()?.is_none() {
            continue;
        }
        let mut newest = of_trigger(conn, (workspace, path), 1)?.pop();
        let here = |entry: &&LogEntry| (&*entry.workspace, &*entry.path) == (workspace, path);
        for entry in entries.iter().filter(here) {
            let repeated = newest.take().filter(|row| {
                entry.repeats(&row.event, &row.text) && row.server_id.as_deref() == server_id
            });
            newest = Some(match repeated {
                Some(row) => again(conn, row, entry)?,
                None => insert(conn, entry, server_id)?,
            });
        }
        trim(conn, workspace, path)?;
    }
    Ok(())
}

fn again(conn: &mut Conn, mut row: LogRow, entry: &LogEntry) -> Result<LogRow, DbError> {
    row.times += entry.times;
    row.at = entry.at;
    let set = (log::times.eq(row.times), log::at.eq(row.at));
    diesel::update(log::table.find(row.id))
        .set(set)
        .execute(conn)?;
    Ok(row)
}

fn insert(conn: &mut Conn, entry: &LogEntry, server_id: Option<&str>) -> Result<LogRow, DbError> {
    diesel::insert_into(log::table)
        .values((
            log::workspace_id.eq(&*entry.workspace),
            log::trigger_path.eq(&*entry.path),
            log::first_at.eq(entry.first_at),
            log::at.eq(entry.at),
            log::event.eq(entry.event),
            log::text.eq(&entry.text),
            log::times.eq(entry.times),
            log::server_id.eq(server_id),
        ))
        .execute(conn)?;
    let newest = of_trigger(conn, (&entry.workspace, &entry.path), 1)?.pop();
    newest.ok_or(DbError::Lost)
}

fn trim(conn: &mut Conn, workspace: &str, path: &str) -> Result<(), DbError> {
    let oldest_kept = log::table
        .filter(log::workspace_id.eq(workspace))
        .filter(log::trigger_path.eq(path))
        .order(log::id.desc())
        .offset(KEPT)
        .select(log::id)
        .first::<i64>(conn)
        .optional()?;
    if let Some(id) = oldest_kept {
        let old = log::table
            .filter(log::workspace_id.eq(workspace))
            .filter(log::trigger_path.eq(path))
            .filter(log::id.le(id));
        diesel::delete(old).execute(conn)?;
    }
    Ok(())
}

/// The newest events of a trigger, the newest first.
pub(crate) fn of_trigger(
    conn: &mut Conn,
    (workspace, path): (&str, &str),
    most: i64,
) -> Result<Vec<LogRow>, DbError> {
    Ok(log::table
        .filter(log::workspace_id.eq(workspace))
        .filter(log::trigger_path.eq(path))
        .order(log::id.desc())
        .limit(most)
        .select(COLUMNS)
        .load(conn)?)
}

/// Follows a trigger to another path.
pub(super) fn rename(
    conn: &mut Conn,
    workspace: &str,
    (path, new_path): (&str, &str),
) -> Result<(), DbError> {
    let all = log::table
        .filter(log::workspace_id.eq(workspace))
        .filter(log::trigger_path.eq(path));
    diesel::update(all)
        .set(log::trigger_path.eq(new_path))
        .execute(conn)?;
    Ok(())
}

/// Forgets a trigger's events.
pub(super) fn forget(conn: &mut Conn, workspace: &str, path: &str) -> Result<(), DbError> {
    let all = log::table
        .filter(log::workspace_id.eq(workspace))
        .filter(log::trigger_path.eq(path));
    diesel::delete(all).execute(conn)?;
    Ok(())
}
