//! Tokens: made, exchanged for one another, ended. A token is 256 random bits; only its SHA-256 is kept.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{ADMIN, ADMIN_EMAIL, Caller};
use crate::{
    db::{
        Conn, DbError,
        account::{self, AccountRow},
        token::{self, TokenRow},
    },
    types::Timestamp,
};

/// How long a login link may be used (contract section 2).
const LOGIN_LINK: Duration = Duration::from_secs(15 * 60);
/// How long a browser stays logged in.
pub(crate) const SESSION: Duration = Duration::from_secs(7 * 24 * 3600);
/// `last_used_at` is written at most this often: a busy client must not cost a write a request.
/// Characters of a token that are kept in the clear, to tell tokens apart; 60 of 256 bits.
pub(crate) const PREFIX: usize = 10;
/// A new token: its text, once, and its row without owner.
fn mint(kind: &str, lifetime: Option<Duration>) -> (String, TokenRow) {
    let text = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let now = Timestamp::now();
    let row = TokenRow {
        hash: hash(&text),
        prefix: text.chars().take(PREFIX).collect(),
        kind: kind.to_owned(),
        username: ADMIN.to_owned(),
        email: ADMIN_EMAIL.to_owned(),
        super_admin: false,
        label: None,
        workspace_id: None,
        scopes: None,
        read_only: false,
        created_at: now,
        expires_at: lifetime.map(|lifetime| now.plus(lifetime)),
        last_used_at: now,
    };
    (text, row)
}

/// Whom login links and `SUPERADMIN_SECRET` log in: the first user, as long as that one is a super admin.
fn root(conn: &mut Conn, row: &mut TokenRow) -> Result<(), DbError> {
    let mut admins = account::super_admins(conn)?;
    let first = admins
        .iter()
        .position(|account| account.email == ADMIN_EMAIL);
    if !admins.is_empty() {
        let account = admins.swap_remove(first.unwrap_or(0));
        (row.username, row.email) = (account.username, account.email);
    }
    row.super_admin = true;
    Ok(())
}

fn hash(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

/// A token that logs a super admin in once, within 15 minutes.
///
/// # Errors
/// The database gives no answer.
pub fn new_login_link(conn: &mut Conn) -> Result<String, DbError> {
    let (text, mut row) = mint("login_link", Some(LOGIN_LINK));
    root(conn, &mut row)?;
    token::insert(conn, &row)?;
    Ok(text)
}

/// Exchanges a login link for a session; it is used up by it.
///
/// # Errors
/// The database gives no answer.
pub(crate) fn new_session_of_link(conn: &mut Conn, text: &str) -> Result<Option<String>, DbError> {
    // What a link holds, somebody else may have written: with their own token, one would work as them.
    match valid(conn, text)? {
        Some(row) if row.kind == "login_link" => new_session(conn, None, text),
        _ => Ok(None),
    }
}

/// Exchanges a login link, or any token its owner holds, for a session; a login link is used up by it.
///
/// # Errors
/// The database gives no answer.
pub(crate) fn new_session(
    conn: &mut Conn,
    secret: Option<&str>,
    text: &str,
) -> Result<Option<String>, DbError> {
    let (session, mut row) = mint("session", Some(SESSION));
    if is_secret(secret, text) {
        root(conn, &mut row)?;
    } else {
        let Some(from) = valid(conn, text)? else {
            return Ok(None);
        };
        // A token that is narrower than its owner must not become a session that is not.
        if account_of(conn, &from)?.is_none() {
            return Ok(None);
        }
        let narrow = from.read_only || from.scopes.is_some() || from.workspace_id.is_some();
        if narrow || from.kind == "job" {
            return Ok(None);
        }
        if from.kind == "login_link" && !token::delete(conn, &from.hash)? {
            return Ok(None);
        }
        row.username = from.username;
        row.email = from.email;
        row.super_admin = from.super_admin;
    }
    token::insert(conn, &row)?;
    Ok(Some(session))
}

/// A session of somebody whose password was right.
pub(crate) fn new_session_of(conn: &mut Conn, account: &AccountRow) -> Result<String, DbError> {
    let (session, mut row) = mint("session", Some(SESSION));
    row.username.clone_from(&account.username);
    row.email.clone_from(&account.email);
    row.super_admin = account.super_admin;
    token::insert(conn, &row)?;
    Ok(session)
}

/// What a caller asks of a new token.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewToken {
    pub(crate) label: Option<String>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) workspace: Option<String>,
    pub(crate) read_only: bool,
}

/// A token of the caller's own, no wider than the one the caller came with.
pub(crate) fn new_token(
    conn: &mut Conn,
    caller: &Caller,
    wanted: NewToken,
) -> Result<String, DbError> {
    let (text, mut row) = mint("api", None);
    row.username.clone_from(&caller.username);
    row.email.clone_from(&caller.email);
    row.super_admin = caller.super_admin;
    row.label = wanted.label;
    row.expires_at = wanted.expires_at;
    row.workspace_id = wanted.workspace;
    row.read_only = wanted.read_only;
    row.scopes = wanted.scopes.map(|scopes| Value::from(scopes).to_string());
    token::insert(conn, &row)?;
    Ok(text)
}

/// A short-lived token that acts as the first user, for what windsock sets up itself.
///
/// # Errors
/// The database gives no answer.
pub fn new_setup_token(conn: &mut Conn) -> Result<String, DbError> {
    let (text, mut row) = mint("api", Some(LOGIN_LINK));
    root(conn, &mut row)?;
    token::insert(conn, &row)?;
    Ok(text)
}

/// Ends a session by its token; answers false for a token that is no session's.
///
/// # Errors
/// The database gives no answer.
pub fn end_session(conn: &mut Conn, text: &str) -> Result<bool, DbError> {
    match token::by_hash(conn, &hash(text))? {
        Some(row) if row.kind == "session" => token::delete(conn, &row.hash),
        _ => Ok(false),
    }
}

/// Ends a token, for instance when its job ends or its owner logs out.
///
/// # Errors
/// The database gives no answer.
pub fn end_token(conn: &mut Conn, text: &str) -> Result<(), DbError> {
    token::delete(conn, &hash(text)).map(|_| ())
}

pub(super) fn is_secret(secret: Option<&str>, text: &str) -> bool {
    // Digests are compared, so that neither content nor length tells by the time it takes.
    secret.is_some_and(|secret| hash(secret).ct_eq(&hash(text)).into())
}

/// The person a token belongs to, unless that one is gone or shut out.
pub(super) fn account_of(conn: &mut Conn, token: &TokenRow) -> Result<Option<AccountRow>, DbError> {
    Ok(account::by_email(conn, &token.email)?.filter(|account| !account.disabled))
}

pub(super) fn valid(conn: &mut Conn, text: &str) -> Result<Option<TokenRow>, DbError> {
    let row = token::by_hash(conn, &hash(text))?;
    let now = Timestamp::now();
    Ok(row.filter(|row| row.expires_at.is_none_or(|end| end > now)))
}
