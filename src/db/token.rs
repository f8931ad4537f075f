//! Table `tokens`: hashes of what lets people, browsers and jobs in.

use diesel::prelude::*;

use super::{Conn, DbError, schema::tokens};
use crate::types::Timestamp;

/// A token, by its hash.
#[derive(Debug, Clone, Queryable, Insertable)]
#[diesel(table_name = tokens)]
pub(crate) struct TokenRow {
    pub hash: Vec<u8>,
    pub prefix: String,
    pub kind: String,
    pub username: String,
    pub email: String,
    /// What the owner was when it was made; what the owner is counts.
    pub super_admin: bool,
    pub label: Option<String>,
    pub workspace_id: Option<String>,
    pub scopes: Option<String>,
    pub read_only: bool,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Timestamp,
}

/// The token with that hash.
pub(crate) fn by_hash(conn: &mut Conn, hash: &[u8]) -> Result<Option<TokenRow>, DbError> {
    Ok(tokens::table.find(hash).first(conn).optional()?)
}

/// The tokens of one person, newest first.
pub(crate) fn of_email(
    conn: &mut Conn,
    email: &str,
    (offset, limit): (i64, i64),
) -> Result<Vec<TokenRow>, DbError> {
    Ok(tokens::table
        .filter(tokens::email.eq(email))
        .filter(tokens::kind.ne_all(["job", "login_link"]))
        .order((tokens::created_at.desc(), tokens::prefix))
        .offset(offset)
        .limit(limit)
        .load(conn)?)
}

/// Adds a token.
pub(crate) fn insert(conn: &mut Conn, row: &TokenRow) -> Result<(), DbError> {
    diesel::insert_into(tokens::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Notes that a token was used.
pub(crate) fn touch(conn: &mut Conn, hash: &[u8], now: Timestamp) -> Result<(), DbError> {
    diesel::update(tokens::table.find(hash))
        .set(tokens::last_used_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// Removes a token; answers whether it was there. Of two callers one hears `true`.
pub(crate) fn delete(conn: &mut Conn, hash: &[u8]) -> Result<bool, DbError> {
    Ok(diesel::delete(tokens::table.find(hash)).execute(conn)? > 0)
}

/// Removes the tokens of one person that begin with `prefix`; answers how many.
pub(crate) fn delete_by_prefix(
    conn: &mut Conn,
    email: &str,
    prefix: &str,
) -> Result<usize, DbError> {
    let mine = tokens::table
        .filter(tokens::prefix.eq(prefix))
        .filter(tokens::email.eq(email));
    Ok(diesel::delete(mine).execute(conn)?)
}

/// Ends the sessions of one person, but for one; answers how many.
pub(crate) fn delete_sessions(conn: &mut Conn, email: &str, but: &[u8]) -> Result<usize, DbError> {
    let others = tokens::table
        .filter(tokens::email.eq(email))
        .filter(tokens::kind.eq_any(["session", "login_link"]))
        .filter(tokens::hash.ne(but));
    Ok(diesel::delete(others).execute(conn)?)
}

/// Removes tokens that have expired; answers how many.
pub(crate) fn delete_expired(conn: &mut Conn, now: Timestamp) -> Result<usize, DbError> {
    let expired = tokens::table
        .filter(tokens::expires_at.is_not_null())
        .filter(tokens::expires_at.lt(now));
    Ok(diesel::delete(expired).execute(conn)?)
}
