//! Table `remotes`: workspaces whose runnables run in a Windmill elsewhere.

use diesel::prelude::*;

use super::{
    Conn, DbError,
    queue::PARKED,
    schema::{queue, remotes},
};
use crate::types::Timestamp;

/// A workspace's link.
#[derive(Debug, Clone, Queryable, Insertable)]
#[diesel(table_name = remotes)]
pub(crate) struct RemoteRow {
    pub workspace_id: String,
    pub base_url: String,
    pub workspace: String,
    pub token_variable: String,
    pub edited_by: String,
    pub edited_at: Timestamp,
}

/// Every link.
pub(crate) fn all(conn: &mut Conn) -> Result<Vec<RemoteRow>, DbError> {
    Ok(remotes::table.load(conn)?)
}

/// The link of a workspace.
pub(crate) fn of_workspace(conn: &mut Conn, workspace: &str) -> Result<Option<RemoteRow>, DbError> {
    Ok(remotes::table.find(workspace).first(conn).optional()?)
}

/// Links a workspace, in place of a link it has. Call it in a transaction.
pub(crate) fn put(conn: &mut Conn, row: &RemoteRow) -> Result<(), DbError> {
    delete(conn, &row.workspace_id)?;
    diesel::insert_into(remotes::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Ends the link of a workspace; answers whether it had one.
pub(crate) fn delete(conn: &mut Conn, workspace: &str) -> Result<bool, DbError> {
    Ok(diesel::delete(remotes::table.find(workspace)).execute(conn)? > 0)
}

/// How many flows of a workspace have begun here and wait for their steps.
pub(crate) fn flows_here(conn: &mut Conn, workspace: &str) -> Result<i64, DbError> {
    Ok(queue::table
        .filter(queue::workspace_id.eq(workspace))
        .filter(queue::state.eq(PARKED))
        .count()
        .get_result(conn)?)
}
