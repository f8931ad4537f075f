//! Table `users`: who belongs to which workspace, and as what.

use std::collections::HashMap;

use diesel::prelude::*;

use super::{Conn, DbError, schema::users};
use crate::types::Timestamp;

/// Names asked for in one query; SQLite binds at most 32,766 values.
const NAMES_PER_QUERY: usize = 1000;

/// Longest name of a user, and of a group.
pub(crate) const NAME_BYTES: usize = 50;

/// Whether a text may be the name of a user, a group or a workspace.
pub(crate) fn is_name(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.len() <= NAME_BYTES && text.chars().all(word)
}

/// A user of one workspace.
#[derive(Debug, Clone, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = users, primary_key(workspace_id, username))]
pub(crate) struct UserRow {
    pub workspace_id: String,
    pub username: String,
    pub email: String,
    pub is_admin: bool,
    pub operator: bool,
    pub disabled: bool,
    pub created_at: Timestamp,
}

/// The user with that name.
pub(crate) fn by_name(
    conn: &mut Conn,
    workspace: &str,
    username: &str,
) -> Result<Option<UserRow>, DbError> {
    Ok(users::table
        .find((workspace, username))
        .first(conn)
        .optional()?)
}

/// The user with that address.
pub(crate) fn by_email(
    conn: &mut Conn,
    workspace: &str,
    email: &str,
) -> Result<Option<UserRow>, DbError> {
    Ok(users::table
        .filter(users::workspace_id.eq(workspace))
        .filter(users::email.eq(email))
        .first(conn)
        .optional()?)
}

/// The users of a workspace, by name.
pub(crate) fn list(conn: &mut Conn, workspace: &str) -> Result<Vec<UserRow>, DbError> {
    Ok(users::table
        .filter(users::workspace_id.eq(workspace))
        .order(users::username)
        .load(conn)?)
}

/// The addresses of some users of a workspace, by name.
pub(crate) fn emails(
    conn: &mut Conn,
    workspace: &str,
    names: &[String],
) -> Result<HashMap<String, String>, DbError> {
    let mut emails = HashMap::new();
    for names in names.chunks(NAMES_PER_QUERY) {
        let rows: Vec<(String, String)> = users::table
            .filter(users::workspace_id.eq(workspace))
            .filter(users::username.eq_any(names))
            .select((users::username, users::email))
            .load(conn)?;
        emails.extend(rows);
    }
    Ok(emails)
}

/// Adds a user.
pub(crate) fn insert(conn: &mut Conn, row: &UserRow) -> Result<(), DbError> {
    diesel::insert_into(users::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Replaces what a user of a workspace is there.
pub(crate) fn update(conn: &mut Conn, row: &UserRow) -> Result<(), DbError> {
    let one = users::table.find((&row.workspace_id, &row.username));
    diesel::update(one).set(row).execute(conn)?;
    Ok(())
}

/// Takes a user out of a workspace; answers whether there was one.
pub(crate) fn delete(conn: &mut Conn, workspace: &str, username: &str) -> Result<bool, DbError> {
    super::group::remove_everywhere(conn, workspace, username)?;
    let one = users::table.find((workspace, username));
    Ok(diesel::delete(one).execute(conn)? > 0)
}
