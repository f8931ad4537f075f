//! Table `flows`: every version of every flow; [`head`] is the one that runs.

use diesel::prelude::*;

use super::{Conn, DbError, schema::flows, script_version::ScriptVersion};
use crate::types::Timestamp;

/// One version of a flow.
#[derive(Debug, Clone, PartialEq, Queryable, Insertable)]
#[diesel(table_name = flows)]
pub(crate) struct FlowRow {
    pub workspace_id: String,
    pub version: i64,
    pub path: String,
    pub summary: String,
    pub description: String,
    pub value: String,
    pub schema_json: Option<String>,
    pub preprocessor: Option<String>,
    pub tag: Option<String>,
    pub timeout_secs: Option<i32>,
    pub settings: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub archived: bool,
    pub deleted: bool,
}

/// Which flows a list shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct FlowFilter {
    /// Exactly this path.
    pub(crate) path_exact: Option<String>,
    /// Paths that begin so.
    pub(crate) path_start: Option<String>,
    /// Only versions this person made.
    pub(crate) created_by: Option<String>,
    /// Only archived flows, instead of only live ones.
    pub(crate) archived: bool,
}

/// The version that runs: the newest at the path that is neither archived nor deleted.
pub(crate) fn head(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Option<FlowRow>, DbError> {
    Ok(flows::table
        .filter(flows::workspace_id.eq(workspace))
        .filter(flows::path.eq(path))
        .filter(flows::archived.eq(false))
        .filter(flows::deleted.eq(false))
        .order((flows::created_at.desc(), flows::version))
        .first(conn)
        .optional()?)
}

/// The version of a flow that a new job runs, as that of a script is told.
pub(crate) fn newest_version(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Option<ScriptVersion>, DbError> {
    let found: Option<(i64, Option<String>)> = flows::table
        .filter(flows::workspace_id.eq(workspace))
        .filter(flows::path.eq(path))
        .filter(flows::archived.eq(false))
        .filter(flows::deleted.eq(false))
        .order((flows::created_at.desc(), flows::version))
        .select((flows::version, flows::preprocessor))
        .first(conn)
        .optional()?;
    Ok(found.map(|(hash, preprocessor)| ScriptVersion {
        hash,
        preprocessor,
        settings: "{}".to_owned(),
    }))
}

/// As [`newest_version`], of the one that is named, archived or not.
pub(crate) fn facts_of_version(
    conn: &mut Conn,
    workspace: &str,
    version: i64,
) -> Result<Option<ScriptVersion>, DbError> {
    let preprocessor: Option<Option<String>> = flows::table
        .find((workspace, version))
        .filter(flows::deleted.eq(false))
        .select(flows::preprocessor)
        .first(conn)
        .optional()?;
    Ok(preprocessor.map(|preprocessor| ScriptVersion {
        hash: version,
        preprocessor,
        settings: "{}".to_owned(),
    }))
}

/// The newest version at the path, archived or not.
pub(crate) fn newest(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Option<FlowRow>, DbError> {
    Ok(flows::table
        .filter(flows::workspace_id.eq(workspace))
        .filter(flows::path.eq(path))
        .filter(flows::deleted.eq(false))
        .order((flows::created_at.desc(), flows::version))
        .first(conn)
        .optional()?)
}

/// One version, archived or not; a deleted one is gone.
pub(crate) fn by_version(
    conn: &mut Conn,
    workspace: &str,
    version: i64,
) -> Result<Option<FlowRow>, DbError> {
    Ok(flows::table
        .find((workspace, version))
        .filter(flows::deleted.eq(false))
        .first(conn)
        .optional()?)
}

/// The versions at a path, newest first: version, moment, author and settings.
pub(crate) fn history(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Vec<(i64, Timestamp, String, String)>, DbError> {
    Ok(flows::table
        .filter(flows::workspace_id.eq(workspace))
        .filter(flows::path.eq(path))
        .filter(flows::deleted.eq(false))
        .order((flows::created_at.desc(), flows::version))
        .select((
            flows::version,
            flows::created_at,
            flows::created_by,
            flows::settings,
        ))
        .load(conn)?)
}

/// The newest version of each flow that `filter` lets through, newest first: path and version.
pub(crate) fn list(
    conn: &mut Conn,
    workspace: &str,
    filter: &FlowFilter,
) -> Result<Vec<(String, i64)>, DbError> {
    let mut query = flows::table
        .filter(flows::workspace_id.eq(workspace))
        .filter(flows::archived.eq(filter.archived))
        .filter(flows::deleted.eq(false))
        .into_boxed();
    if let Some(path) = &filter.path_exact {
        query = query.filter(flows::path.eq(path));
    }
    if let Some(start) = &filter.path_start {
        query = query.filter(super::starts_with(flows::path, start));
    }
    if let Some(created_by) = &filter.created_by {
        query = query.filter(flows::created_by.eq(created_by));
    }
    let rows: Vec<(String, i64)> = query
        .order((flows::created_at.desc(), flows::version))
        .select((flows::path, flows::version))
        .load(conn)?;
    let mut seen = std::collections::HashSet::new();
    Ok(rows
        .into_iter()
        .filter(|(path, _)| seen.insert(path.clone()))
        .collect())
}

/// Versions by number, newest first within each 1,000 of them (SQLite binds at most 32,766 values).
pub(crate) fn by_versions(
    conn: &mut Conn,
    workspace: &str,
    versions: &[i64],
) -> Result<Vec<FlowRow>, DbError> {
    let mut rows: Vec<FlowRow> = Vec::with_capacity(versions.len());
    for versions in versions.chunks(1000) {
        let some: Vec<FlowRow> = flows::table
            .filter(flows::workspace_id.eq(workspace))
            .filter(flows::version.eq_any(versions))
            .order((flows::created_at.desc(), flows::version))
            .load(conn)?;
        rows.extend(some);
    }
    Ok(rows)
}

/// The paths of live flows that had a step at `path` in some version, perhaps; whoever asks looks closer.
pub(crate) fn mentioning(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Vec<String>, DbError> {
    Ok(flows::table
        .filter(flows::workspace_id.eq(workspace))
        .filter(flows::archived.eq(false))
        .filter(flows::deleted.eq(false))
        .filter(flows::value.like(format!("%\"{path}\"%")))
        .select(flows::path)
        .distinct()
        .order(flows::path)
        .load(conn)?)
}

/// The paths of the live flows, sorted.
pub(crate) fn paths(conn: &mut Conn, workspace: &str) -> Result<Vec<String>, DbError> {
    Ok(flows::table
        .filter(flows::workspace_id.eq(workspace))
        .filter(flows::archived.eq(false))
        .filter(flows::deleted.eq(false))
        .select(flows::path)
        .distinct()
        .order(flows::path)
        .load(conn)?)
}

/// Adds a version.
pub(crate) fn insert(conn: &mut Conn, row: &FlowRow) -> Result<(), DbError> {
    diesel::insert_into(flows::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Gives every version at a path another one: as with Windmill the old path is empty then, and a history goes with its flow.
pub(crate) fn rename(
    conn: &mut Conn,
    workspace: &str,
    (from, to): (&str, &str),
) -> Result<(), DbError> {
    let all = flows::table
        .filter(flows::workspace_id.eq(workspace))
        .filter(flows::path.eq(from))
        .filter(flows::deleted.eq(false));
    diesel::update(all).set(flows::path.eq(to)).execute(conn)?;
    Ok(())
}

/// Archives every version at a path, or brings them back; answers how many there are.
pub(crate) fn archive(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
    archived: bool,
) -> Result<usize, DbError> {
    let all = flows::table
        .filter(flows::workspace_id.eq(workspace))
        .filter(flows::path.eq(path))
        .filter(flows::deleted.eq(false));
    Ok(diesel::update(all)
        .set(flows::archived.eq(archived))
        .execute(conn)?)
}

/// Empties and hides every version at a path; jobs keep its name and version. Answers how many there were.
pub(crate) fn delete(conn: &mut Conn, workspace: &str, path: &str) -> Result<usize, DbError> {
    let all = flows::table
        .filter(flows::workspace_id.eq(workspace))
        .filter(flows::path.eq(path))
        .filter(flows::deleted.eq(false));
    let gone = (
        flows::deleted.eq(true),
        flows::archived.eq(true),
        flows::value.eq(r#"{"modules":[]}"#),
    );
    Ok(diesel::update(all).set(gone).execute(conn)?)
}
