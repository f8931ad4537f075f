//! Table `accounts`: people, whatever workspaces they belong to.

use diesel::prelude::*;

use super::{
    Conn, DbError,
    alone::start_alone,
    schema::{accounts, group_members, tokens, users},
};
use crate::types::Timestamp;

/// A person; the address is in lower case.
#[derive(Debug, Clone, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = accounts, primary_key(email), treat_none_as_null = true)]
pub(crate) struct AccountRow {
    pub email: String,
    pub username: String,
    pub name: Option<String>,
    pub password_hash: Option<String>,
    pub super_admin: bool,
    pub disabled: bool,
    pub created_at: Timestamp,
}

/// The person with that address.
pub(crate) fn by_email(conn: &mut Conn, email: &str) -> Result<Option<AccountRow>, DbError> {
    Ok(accounts::table.find(email).first(conn).optional()?)
}

/// The super admins who may log in, the oldest first.
pub(crate) fn super_admins(conn: &mut Conn) -> Result<Vec<AccountRow>, DbError> {
    Ok(accounts::table
        .filter(accounts::super_admin.eq(true))
        .filter(accounts::disabled.eq(false))
        .order((accounts::created_at, accounts::email))
        .load(conn)?)
}

/// A stretch of all people, by address.
pub(crate) fn list(
    conn: &mut Conn,
    (offset, limit): (i64, i64),
) -> Result<Vec<AccountRow>, DbError> {
    Ok(accounts::table
        .order(accounts::email)
        .offset(offset)
        .limit(limit)
        .load(conn)?)
}

/// Adds a person.
pub(crate) fn insert(conn: &mut Conn, row: &AccountRow) -> Result<(), DbError> {
    diesel::insert_into(accounts::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Replaces what is known of a person.
pub(crate) fn update(conn: &mut Conn, row: &AccountRow) -> Result<(), DbError> {
    diesel::update(accounts::table.find(&row.email))
        .set(row)
        .execute(conn)?;
    Ok(())
}

/// Removes a person, with all tokens and from all workspaces; what belongs to the person's names stays.
pub(crate) fn delete(conn: &mut Conn, email: &str) -> Result<bool, DbError> {
    let mine: Vec<(String, String)> = users::table
        .filter(users::email.eq(email))
        .select((users::workspace_id, users::username))
        .load(conn)?;
    for (workspace, username) in mine {
        let memberships = group_members::table
            .filter(group_members::workspace_id.eq(&workspace))
            .filter(group_members::username.eq(&username));
        diesel::delete(memberships).execute(conn)?;
    }
    diesel::delete(users::table.filter(users::email.eq(email))).execute(conn)?;
    diesel::delete(tokens::table.filter(tokens::email.eq(email))).execute(conn)?;
    Ok(diesel::delete(accounts::table.find(email)).execute(conn)? > 0)
}

/// Waits until nobody else changes who the super admins are: two of them must not remove each other at once.
/// Call it in a transaction.
pub(crate) fn alone(conn: &mut Conn) -> Result<(), DbError> {
    start_alone(conn)
}
