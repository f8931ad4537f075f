//! One version of a script as the runner needs it. Read only; the rest of table `scripts` is in `script`.

use diesel::prelude::*;

use super::{Conn, DbError, schema::scripts};

/// What is run.
#[derive(Debug, Clone, Queryable)]
pub(crate) struct ScriptContent {
    pub(crate) path: String,
    pub(crate) content: String,
    pub(crate) language: String,
    pub(crate) timeout_secs: Option<i32>,
    pub(crate) dedicated_worker: Option<bool>,
    /// JSON object: its environment is in there.
    pub(crate) settings: String,
    /// The versions that are pinned for it.
    pub(crate) lock: Option<String>,
}

/// The version `hash`, also when it is archived: a job was committed to it. A deleted one is gone.
pub(crate) fn load(
    conn: &mut Conn,
    workspace: &str,
    hash: i64,
) -> Result<Option<ScriptContent>, DbError> {
    Ok(scripts::table
        .filter(scripts::workspace_id.eq(workspace))
        .filter(scripts::hash.eq(hash))
        .filter(scripts::deleted.eq(false))
        .select((
            scripts::path,
            scripts::content,
            scripts::language,
            scripts::timeout_secs,
            scripts::dedicated_worker,
            scripts::settings,
            scripts::lock,
        ))
        .first(conn)
        .optional()?)
}
