//! Table `users`: who belongs to which workspace, and as what.

use std::collections::HashMap;

use diesel::prelude::*;

use super::{Conn, DbError, schema::users};
use crate::types::Timestamp;

/// Names asked for in one query; SQLite binds at most 32,766 values.
const NAMES_PER_QUERY: usize = 1000;

/// A user of one workspace.
#[derive(Debug, Clone, Queryable, Insertable)]
#[diesel(table_name = users)]
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
