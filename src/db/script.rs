//! Table `scripts`: every version of every script; [`head`] is the one that runs.

use diesel::prelude::*;

use super::{Conn, DbError, schema::scripts};
use crate::types::Timestamp;

/// One version of a script.
#[derive(Debug, Clone, PartialEq, Queryable, Insertable)]
#[diesel(table_name = scripts)]
pub(crate) struct ScriptRow {
    pub workspace_id: String,
    pub hash: i64,
    pub path: String,
    pub parent_hash: Option<i64>,
    pub summary: String,
    pub description: String,
    pub content: String,
    pub language: String,
    pub kind: String,
    pub schema_json: Option<String>,
    pub preprocessor: Option<String>,
    pub lock: Option<String>,
    pub tag: Option<String>,
    pub timeout_secs: Option<i32>,
    pub dedicated_worker: Option<bool>,
    pub settings: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub archived: bool,
    pub deleted: bool,
}

/// Which scripts a list shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScriptFilter {
    /// Exactly this path.
    pub(crate) path_exact: Option<String>,
    /// Paths that begin so.
    pub(crate) path_start: Option<String>,
    /// Only versions this person made.
    pub(crate) created_by: Option<String>,
    /// Only archived scripts, instead of only live ones.
    pub(crate) archived: bool,
    /// Only these kinds.
    pub(crate) kinds: Option<Vec<String>>,
    /// Only these languages.
    pub(crate) languages: Option<Vec<String>>,
}

/// The version that runs: the newest at the path that is neither archived nor deleted.
pub(crate) fn head(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Option<ScriptRow>, DbError> {
    Ok(scripts::table
        .filter(scripts::workspace_id.eq(workspace))
        .filter(scripts::path.eq(path))
        .filter(scripts::archived.eq(false))
        .filter(scripts::deleted.eq(false))
        .order((scripts::created_at.desc(), scripts::hash))
        .first(conn)
        .optional()?)
}

/// One version, archived, deleted or not.
pub(crate) fn by_hash(
    conn: &mut Conn,
    workspace: &str,
    hash: i64,
) -> Result<Option<ScriptRow>, DbError> {
    Ok(scripts::table
        .find((workspace, hash))
        .first(conn)
        .optional()?)
}

/// The versions at a path, newest first: hash, moment, author and deployment settings.
pub(crate) fn history(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Vec<(i64, Timestamp, String, String)>, DbError> {
    Ok(scripts::table
        .filter(scripts::workspace_id.eq(workspace))
        .filter(scripts::path.eq(path))
        .filter(scripts::deleted.eq(false))
        .order((scripts::created_at.desc(), scripts::hash))
        .select((
            scripts::hash,
            scripts::created_at,
            scripts::created_by,
            scripts::settings,
        ))
        .load(conn)?)
}

/// The newest version of each script that `filter` lets through, newest first: path and hash.
pub(crate) fn list(
    conn: &mut Conn,
    workspace: &str,
    filter: &ScriptFilter,
) -> Result<Vec<(String, i64)>, DbError> {
    let mut query = scripts::table
        .filter(scripts::workspace_id.eq(workspace))
        .filter(scripts::archived.eq(filter.archived))
        .filter(scripts::deleted.eq(false))
        .into_boxed();
    if let Some(path) = &filter.path_exact {
        query = query.filter(scripts::path.eq(path));
    }
    if let Some(start) = &filter.path_start {
        query = query.filter(super::starts_with(scripts::path, start));
    }
    if let Some(created_by) = &filter.created_by {
        query = query.filter(scripts::created_by.eq(created_by));
    }
    if let Some(kinds) = &filter.kinds {
        query = query.filter(scripts::kind.eq_any(kinds));
    }
    if let Some(languages) = &filter.languages {
        query = query.filter(scripts::language.eq_any(languages));
    }
    let rows: Vec<(String, i64)> = query
        .order((scripts::created_at.desc(), scripts::hash))
        .select((scripts::path, scripts::hash))
        .load(conn)?;
    let mut seen = std::collections::HashSet::new();
    Ok(rows
        .into_iter()
        .filter(|(path, _)| seen.insert(path.clone()))
        .collect())
}

/// Versions by hash, newest first within each 1,000 of them (SQLite binds at most 32,766 values).
pub(crate) fn by_hashes(
    conn: &mut Conn,
    workspace: &str,
    hashes: &[i64],
) -> Result<Vec<ScriptRow>, DbError> {
    let mut rows: Vec<ScriptRow> = Vec::with_capacity(hashes.len());
    for hashes in hashes.chunks(1000) {
        let some: Vec<ScriptRow> = scripts::table
            .filter(scripts::workspace_id.eq(workspace))
            .filter(scripts::hash.eq_any(hashes))
            .order((scripts::created_at.desc(), scripts::hash))
            .load(conn)?;
        rows.extend(some);
    }
    Ok(rows)
}

/// The paths of the live scripts, sorted.
pub(crate) fn paths(conn: &mut Conn, workspace: &str) -> Result<Vec<String>, DbError> {
    Ok(scripts::table
        .filter(scripts::workspace_id.eq(workspace))
        .filter(scripts::archived.eq(false))
        .filter(scripts::deleted.eq(false))
        .select(scripts::path)
        .distinct()
        .order(scripts::path)
        .load(conn)?)
}

/// Adds a version.
pub(crate) fn insert(conn: &mut Conn, row: &ScriptRow) -> Result<(), DbError> {
    diesel::insert_into(scripts::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Archives every version at a path; answers how many were live.
pub(crate) fn archive_path(conn: &mut Conn, workspace: &str, path: &str) -> Result<usize, DbError> {
    let live = scripts::table
        .filter(scripts::workspace_id.eq(workspace))
        .filter(scripts::path.eq(path))
        .filter(scripts::archived.eq(false))
        .filter(scripts::deleted.eq(false));
    Ok(diesel::update(live)
        .set(scripts::archived.eq(true))
        .execute(conn)?)
}

/// Archives one version.
pub(crate) fn archive_hash(conn: &mut Conn, workspace: &str, hash: i64) -> Result<usize, DbError> {
    Ok(diesel::update(scripts::table.find((workspace, hash)))
        .set(scripts::archived.eq(true))
        .execute(conn)?)
}

/// Empties and hides every version at a path; jobs keep its name and hash. Answers how many.
pub(crate) fn delete_path(conn: &mut Conn, workspace: &str, path: &str) -> Result<usize, DbError> {
    let all = scripts::table
        .filter(scripts::workspace_id.eq(workspace))
        .filter(scripts::path.eq(path))
        .filter(scripts::deleted.eq(false));
    let gone = (
        scripts::deleted.eq(true),
        scripts::archived.eq(true),
        scripts::content.eq(""),
    );
    Ok(diesel::update(all).set(gone).execute(conn)?)
}

/// Empties and hides one version.
pub(crate) fn delete_hash(conn: &mut Conn, workspace: &str, hash: i64) -> Result<usize, DbError> {
    let gone = (
        scripts::deleted.eq(true),
        scripts::archived.eq(true),
        scripts::content.eq(""),
    );
    Ok(diesel::update(scripts::table.find((workspace, hash)))
        .set(gone)
        .execute(conn)?)
}
