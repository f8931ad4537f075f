//! Table `variables`: named values of a workspace, secret or not.

use diesel::prelude::*;

use super::{Conn, DbError, schema::variables};
use crate::types::Timestamp;

/// A variable.
#[derive(Debug, Clone, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = variables, primary_key(workspace_id, path))]
pub(crate) struct VariableRow {
    pub workspace_id: String,
    pub path: String,
    pub value: String,
    pub is_secret: bool,
    pub description: String,
    pub extra_perms: String,
    pub edited_by: String,
    pub edited_at: Timestamp,
}

/// The variable at that path.
pub(crate) fn by_path(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Option<VariableRow>, DbError> {
    Ok(variables::table
        .find((workspace, path))
        .first(conn)
        .optional()?)
}

/// Adds a variable.
pub(crate) fn insert(conn: &mut Conn, row: &VariableRow) -> Result<(), DbError> {
    diesel::insert_into(variables::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Replaces the variable at `path` by `row`, which may have another path; answers whether it was there.
pub(crate) fn update(conn: &mut Conn, path: &str, row: &VariableRow) -> Result<bool, DbError> {
    let one = variables::table.find((&row.workspace_id, path));
    let set = (variables::path.eq(&row.path), row);
    Ok(diesel::update(one).set(set).execute(conn)? > 0)
}

/// Removes the variable at that path; answers whether it was there.
pub(crate) fn delete(conn: &mut Conn, workspace: &str, path: &str) -> Result<bool, DbError> {
    Ok(diesel::delete(variables::table.find((workspace, path))).execute(conn)? > 0)
}

/// The variables of a workspace whose path begins with `start`, by path.
pub(crate) fn list(
    conn: &mut Conn,
    workspace: &str,
    start: Option<&str>,
) -> Result<Vec<VariableRow>, DbError> {
    let mut query = variables::table
        .filter(variables::workspace_id.eq(workspace))
        .into_boxed();
    if let Some(start) = start {
        query = query.filter(super::starts_with(variables::path, start));
    }
    Ok(query.order(variables::path).load(conn)?)
}
