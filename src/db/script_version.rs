//! Which version of a script a new job runs, and what is known of that version. Read within the commit of the job; the
//! rest of table `scripts` is in `script`.

use diesel::prelude::*;

use super::{Conn, DbError, schema::scripts};

/// The version of a script that a new job runs.
#[derive(Debug, Clone, Queryable)]
pub(crate) struct ScriptVersion {
    /// Its hash.
    pub(crate) hash: i64,
    /// `v1`, `v2`, or none when it has no preprocessor.
    pub(crate) preprocessor: Option<String>,
    /// JSON object: what bounds its runs is in there.
    pub(crate) settings: String,
}

/// The newest version of the script at `path` that is neither archived nor deleted.
pub(crate) fn newest(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Option<ScriptVersion>, DbError> {
    Ok(scripts::table
        .filter(scripts::workspace_id.eq(workspace))
        .filter(scripts::path.eq(path))
        .filter(scripts::archived.eq(false))
        .filter(scripts::deleted.eq(false))
        .order((scripts::created_at.desc(), scripts::hash))
        .select((scripts::hash, scripts::preprocessor, scripts::settings))
        .first(conn)
        .optional()?)
}

/// The preprocessor of one version of a script.
pub(crate) fn of_hash(
    conn: &mut Conn,
    workspace: &str,
    hash: i64,
) -> Result<Option<ScriptVersion>, DbError> {
    Ok(scripts::table
        .filter(scripts::workspace_id.eq(workspace))
        .filter(scripts::hash.eq(hash))
        .filter(scripts::deleted.eq(false))
        .select((scripts::hash, scripts::preprocessor, scripts::settings))
        .first(conn)
        .optional()?)
}
