//! Table `resources`: named JSON values of a workspace; `resource_type` is a free word.

use diesel::prelude::*;

use super::{Conn, DbError, schema::resources};
use crate::types::Timestamp;

/// A resource.
#[derive(Debug, Clone, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = resources, primary_key(workspace_id, path))]
pub(crate) struct ResourceRow {
    pub workspace_id: String,
    pub path: String,
    pub value: String,
    pub resource_type: String,
    pub description: String,
    pub extra_perms: String,
    pub edited_by: String,
    pub edited_at: Timestamp,
    pub labels: String,
}

/// The resource at that path.
pub(crate) fn by_path(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Option<ResourceRow>, DbError> {
    Ok(resources::table
        .find((workspace, path))
        .first(conn)
        .optional()?)
}

/// Adds a resource.
pub(crate) fn insert(conn: &mut Conn, row: &ResourceRow) -> Result<(), DbError> {
    diesel::insert_into(resources::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Replaces the resource at `path` by `row`, which may have another path; answers whether it was there.
pub(crate) fn update(conn: &mut Conn, path: &str, row: &ResourceRow) -> Result<bool, DbError> {
    let one = resources::table.find((&row.workspace_id, path));
    let set = (resources::path.eq(&row.path), row);
    Ok(diesel::update(one).set(set).execute(conn)? > 0)
}

/// Removes the resource at that path; answers whether it was there.
pub(crate) fn delete(conn: &mut Conn, workspace: &str, path: &str) -> Result<bool, DbError> {
    Ok(diesel::delete(resources::table.find((workspace, path))).execute(conn)? > 0)
}

/// The resources of a workspace whose path begins with `start`, by path; of one type, if one is given.
pub(crate) fn list(
    conn: &mut Conn,
    workspace: &str,
    start: Option<&str>,
    resource_type: Option<&str>,
) -> Result<Vec<ResourceRow>, DbError> {
    let mut query = resources::table
        .filter(resources::workspace_id.eq(workspace))
        .into_boxed();
    if let Some(start) = start {
        query = query.filter(super::starts_with(resources::path, start));
    }
    if let Some(resource_type) = resource_type {
        let types: Vec<&str> = resource_type.split(',').collect();
        query = query.filter(resources::resource_type.eq_any(types));
    }
    Ok(query.order(resources::path).load(conn)?)
}
