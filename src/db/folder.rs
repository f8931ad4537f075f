//! Table `folders`: who owns what lies under `f/<name>/`.

use diesel::prelude::*;

use super::{
    Conn, DbError,
    schema::{flows, folders, resources, scripts, triggers, variables},
    starts_with,
};
use crate::types::Timestamp;

/// A folder.
#[derive(Debug, Clone, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = folders, primary_key(workspace_id, name), treat_none_as_null = true)]
pub(crate) struct FolderRow {
    pub workspace_id: String,
    pub name: String,
    pub display_name: String,
    pub owners: String,
    pub extra_perms: String,
    pub summary: Option<String>,
    pub created_by: String,
    pub edited_at: Timestamp,
    pub labels: String,
    pub default_permissioned_as: String,
}

/// The folder with that name.
pub(crate) fn by_name(
    conn: &mut Conn,
    workspace: &str,
    name: &str,
) -> Result<Option<FolderRow>, DbError> {
    Ok(folders::table
        .find((workspace, name))
        .first(conn)
        .optional()?)
}

/// Every folder of a workspace, by name.
pub(crate) fn all(conn: &mut Conn, workspace: &str) -> Result<Vec<FolderRow>, DbError> {
    Ok(folders::table
        .filter(folders::workspace_id.eq(workspace))
        .order(folders::name)
        .load(conn)?)
}

/// Whether anything lies under the name, be there such a folder or not.
pub(crate) fn holds_anything(
    conn: &mut Conn,
    workspace: &str,
    name: &str,
) -> Result<bool, DbError> {
    let start = format!("f/{name}/");
    macro_rules! any_of {
        ($($table:ident),+) => {
            $(diesel::select(diesel::dsl::exists(
                $table::table
                    .filter($table::workspace_id.eq(workspace))
                    .filter(starts_with($table::path, &start)),
            ))
            .get_result(conn)?)||+
        };
    }
    Ok(any_of!(variables, resources, scripts, flows, triggers))
}

/// Adds a folder.
pub(crate) fn insert(conn: &mut Conn, row: &FolderRow) -> Result<(), DbError> {
    diesel::insert_into(folders::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Removes a folder; what lies under it stays. Answers whether it was there.
pub(crate) fn delete(conn: &mut Conn, workspace: &str, name: &str) -> Result<bool, DbError> {
    Ok(diesel::delete(folders::table.find((workspace, name))).execute(conn)? > 0)
}

/// Replaces a folder's settings; answers whether it was there.
pub(crate) fn update(conn: &mut Conn, row: &FolderRow) -> Result<bool, DbError> {
    let one = folders::table.find((&row.workspace_id, &row.name));
    Ok(diesel::update(one).set(row).execute(conn)? > 0)
}
