//! People of this server and their passwords, whatever workspaces they belong to (windmill-facts §2.1).

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    State,
    answer::{Created, Json, Text},
    audit,
    error::Error,
    extract::{At, Body, Page, Query},
};
use crate::{
    access::{self, Caller},
    db::{
        Conn, account,
        account::AccountRow,
        token,
        user::{self, NAME_BYTES, is_name},
    },
    types::Timestamp,
};

/// Longest address (RFC 5321 §4.5.3.1.3 less the angle brackets).
const EMAIL_BYTES: usize = 254;
/// Longest name of a person.
const LONGEST: usize = 255;

/// A person to be added.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewAccount {
    email: String,
    /// 8 to 256 bytes; left out: the person logs in by token.
    #[serde(default)]
    password: Option<String>,
    /// Whether the person may do everything.
    #[serde(default)]
    super_admin: bool,
    /// What people see.
    #[serde(default)]
    name: Option<String>,
}

/// Changes to a person; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct EditAccount {
    is_super_admin: Option<bool>,
    name: Option<String>,
    /// Whether the person is shut out of the server: no token of theirs works.
    disabled: Option<bool>,
}

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Password {
    /// 8 to 256 bytes.
    password: String,
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Account {
    email: String,
    /// `password`, or `token` for who has none.
    login_type: &'static str,
    super_admin: bool,
    devops: bool,
    verified: bool,
    name: Option<String>,
    username: String,
    disabled: bool,
    #[schema(value_type = String)]
    created_at: Timestamp,
}

/// An address in lower case, as it is kept.
pub(super) fn address(field: &str, text: &str) -> Result<String, Error> {
    let text = text.trim().to_lowercase();
    let parts: Vec<&str> = text.split('@').collect();
    let whole = parts.len() == 2 && parts.iter().all(|part| !part.is_empty());
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '/';
    if !whole || text.len() > EMAIL_BYTES || text.contains(bad) {
        return Err(Error::field(field, "must look like name@example.com"));
    }
    Ok(text)
}

/// A user name made from an address: what stands before the `@`, as far as names may hold it.
pub(super) fn name_of(email: &str) -> String {
    let local = email.split('@').next().unwrap_or_default();
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = local.chars().map(word).take(NAME_BYTES).collect();
    if is_name(&name) {
        name
    } else {
        "user".to_owned()
    }
}

fn not_found(email: &str) -> Error {
    Error::NotFound(format!("there is no user '{email}'"))
}

fn named(name: Option<String>) -> Result<Option<String>, Error> {
    let name = name.filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.len() > LONGEST) {
        return Err(Error::field(
            "name",
            format!("must be at most {LONGEST} bytes"),
        ));
    }
    Ok(name)
}

/// What is kept of a password, once it is known to be fit.
async fn hashed(password: String, state: &State) -> Result<String, Error> {
    if let Some(why) = access::unfit(&password) {
        return Err(Error::field("password", why));
    }
    Ok(state.passwords.hash(password).await?)
}

/// Checks that somebody is left who may do everything once `email` may not.
fn keep_one(conn: &mut Conn, email: &str) -> Result<(), Error> {
    let admins = account::super_admins(conn)?;
    if admins.iter().all(|admin| admin.email == email) {
        let text = "is the last super admin; make somebody else one first";
        return Err(Error::Conflict(format!("'{email}' {text}")));
    }
    Ok(())
}

/// The names of the fields that were given.
pub(super) fn named_fields(fields: &[(&str, bool)]) -> Vec<String> {
    let given = fields.iter().filter(|(_, given)| *given);
    given.map(|(name, _)| (*name).to_owned()).collect()
}

/// Adds a person to the server.
pub(crate) async fn create(
    caller: Caller,
    body: Body<NewAccount>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    caller.must_be_super_admin()?;
    let new = body.0;
    let email = address("email", &new.email)?;
    let name = named(new.name)?;
    let password_hash = match new.password {
        Some(password) => Some(hashed(password, &state).await?),
        None => None,
    };
    let created = format!("email {email} created");
    state
        .transaction(move |conn| {
            if account::by_email(conn, &email)?.is_some() {
                return Err(Error::Conflict(format!(
                    "email: user '{email}' exists already"
                )));
            }
            let row = AccountRow {
                username: name_of(&email),
                email,
                name,
                password_hash,
                super_admin: new.super_admin,
                disabled: false,
                created_at: Timestamp::now(),
            };
            account::insert(conn, &row)?;
            audit::note(conn, &caller, "users.create", &row.email)
        })
        .await?;
    Ok(Created(created))
}

/// Sets one's own password; other sessions of one's own end.
pub(crate) async fn set_own_password(
    caller: Caller,
    body: Body<Password>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_whole()?;
    let email = caller.email.clone();
    set_password(&caller, email, body.0.password, &state).await
}

/// Sets somebody's password; that one's sessions end.
pub(crate) async fn set_password_of(
    caller: Caller,
    at: At,
    body: Body<Password>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_super_admin()?;
    let email = at.path.to_lowercase();
    set_password(&caller, email, body.0.password, &state).await
}

async fn set_password(
    caller: &Caller,
    email: String,
    password: String,
    state: &State,
) -> Result<Text, Error> {
    let kept = hashed(password, state).await?;
    let caller = caller.clone();
    state
        .transaction(move |conn| {
            let mut row = account::by_email(conn, &email)?.ok_or_else(|| not_found(&email))?;
            row.password_hash = Some(kept);
            account::update(conn, &row)?;
            token::delete_sessions(conn, &email, &caller.token_hash)?;
            audit::note(conn, &caller, "users.setpassword", &email)
        })
        .await?;
    Ok(Text("password updated".to_owned()))
}

/// Changes what a person may do on the server.
pub(crate) async fn update(
    caller: Caller,
    at: At,
    body: Body<EditAccount>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_super_admin()?;
    let edit = body.0;
    let email = at.path.to_lowercase();
    let renamed = edit.name.is_some();
    let changed = named_fields(&[
        ("is_super_admin", edit.is_super_admin.is_some()),
        ("disabled", edit.disabled.is_some()),
        ("name", renamed),
    ]);
    let name = named(edit.name)?;
    let updated = format!("email {email} updated");
    state
        .transaction(move |conn| {
            account::alone(conn)?;
            let mut row = account::by_email(conn, &email)?.ok_or_else(|| not_found(&email))?;
            row.super_admin = edit.is_super_admin.unwrap_or(row.super_admin);
            row.disabled = edit.disabled.unwrap_or(row.disabled);
            if renamed {
                row.name = name;
            }
            if !row.super_admin || row.disabled {
                keep_one(conn, &email)?;
            }
            account::update(conn, &row)?;
            audit::note_changes(conn, &caller, ("users.update", &email), Some(changed))
        })
        .await?;
    Ok(Text(updated))
}

/// Removes a person from the server and all workspaces; none of the person's tokens works any more.
pub(crate) async fn delete(caller: Caller, at: At, state: web::Data<State>) -> Result<Text, Error> {
    caller.must_be_super_admin()?;
    let email = at.path.to_lowercase();
    let deleted = format!("email {email} deleted");
    state
        .transaction(move |conn| {
            account::alone(conn)?;
            if account::by_email(conn, &email)?.is_none() {
                return Err(not_found(&email));
            }
            keep_one(conn, &email)?;
            account::delete(conn, &email)?;
            audit::note(conn, &caller, "users.delete", &email)
        })
        .await?;
    Ok(Text(deleted))
}

/// The people of the server, by address.
pub(crate) async fn list(
    caller: Caller,
    page: Query<Page>,
    state: web::Data<State>,
) -> Result<Json<Vec<Account>>, Error> {
    caller.must_see_all()?;
    let window = page.0.window();
    let rows = state
        .run(move |conn| Ok(account::list(conn, window)?))
        .await?;
    let shown = rows.into_iter().map(|row| Account {
        email: row.email,
        login_type: if row.password_hash.is_some() {
            "password"
        } else {
            "token"
        },
        super_admin: row.super_admin,
        devops: false,
        verified: true,
        name: row.name,
        username: row.username,
        disabled: row.disabled,
        created_at: row.created_at,
    });
    Ok(Json(shown.collect()))
}

/// Whether the server has a person of that address.
pub(crate) async fn exists(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<bool>, Error> {
    caller.must_see_all()?;
    let email = at.path.to_lowercase();
    let found = state
        .run(move |conn| Ok(account::by_email(conn, &email)?.is_some()))
        .await?;
    Ok(Json(found))
}

/// Checks that the workspace keeps somebody who may do everything in it.
pub(super) fn keep_an_admin(conn: &mut Conn, workspace: &str) -> Result<(), Error> {
    let users = user::list(conn, workspace)?;
    if users.iter().any(|user| user.is_admin && !user.disabled) {
        return Ok(());
    }
    let text = "the workspace would have no admin; make somebody else one first";
    Err(Error::Conflict(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_the_names_made_of_them() {
        for (text, email, name) in [
            (" Ann@Example.com ", Some("ann@example.com"), "ann"),
            ("ann.b+c@x", Some("ann.b+c@x"), "ann_b_c"),
            ("@x", None, ""),
            ("ann", None, ""),
            ("a@b@c", None, ""),
            ("a b@c", None, ""),
            ("a/b@c", None, ""),
        ] {
            let read = address("email", text).ok();
            assert_eq!(read.as_deref(), email, "{text}");
            if let Some(email) = read {
                assert_eq!(name_of(&email), name);
            }
        }
        assert!(address("email", &format!("{}@x", "a".repeat(253))).is_err());
    }
}
