//! Table `workspaces`.

use diesel::prelude::*;

use super::{
    Conn, DbError,
    schema::{users, workspaces},
};
use crate::types::Timestamp;

/// A workspace.
#[derive(Debug, Clone, Queryable, Insertable)]
#[diesel(table_name = workspaces)]
pub(crate) struct WorkspaceRow {
    pub id: String,
    pub name: String,
    pub owner: String,
    pub created_at: Timestamp,
}

/// Whether the workspace exists.
pub(crate) fn exists(conn: &mut Conn, id: &str) -> Result<bool, DbError> {
    let found = workspaces::table
        .find(id)
        .select(workspaces::id)
        .first::<String>(conn);
    Ok(found.optional()?.is_some())
}

/// Every workspace, by id.
pub(crate) fn all(conn: &mut Conn) -> Result<Vec<WorkspaceRow>, DbError> {
    Ok(workspaces::table.order(workspaces::id).load(conn)?)
}

/// The workspaces that a user belongs to, with the name the user has there.
pub(crate) fn of_email(
    conn: &mut Conn,
    email: &str,
) -> Result<Vec<(WorkspaceRow, String)>, DbError> {
    let rows = workspaces::table
        .inner_join(users::table)
        .filter(users::email.eq(email))
        .filter(users::disabled.eq(false))
        .order(workspaces::id)
        .select((
            (
                workspaces::id,
                workspaces::name,
                workspaces::owner,
                workspaces::created_at,
            ),
            users::username,
        ))
        .load(conn)?;
    Ok(rows)
}

/// Adds a workspace.
pub(crate) fn insert(conn: &mut Conn, row: &WorkspaceRow) -> Result<(), DbError> {
    diesel::insert_into(workspaces::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}
