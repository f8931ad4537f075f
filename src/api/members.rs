//! Who belongs to a workspace, and as what (windmill-facts §2.1).

use actix_web::web;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    State,
    accounts::{address, keep_an_admin, name_of, named_fields},
    answer::{Created, Json, Text},
    audit,
    error::Error,
    extract::{At, Body},
    users::{Member, member},
};
use crate::{
    access::Caller,
    db::{
        account, group,
        user::{self, NAME_BYTES, UserRow, is_name},
    },
    types::Timestamp,
};

/// Somebody to be added to a workspace.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewMember {
    email: String,
    /// The name in the workspace; left out: what stands before the `@`.
    #[serde(default)]
    username: Option<String>,
    /// May do everything in the workspace.
    #[serde(default)]
    is_admin: bool,
    /// May run things and change nothing.
    #[serde(default)]
    operator: bool,
}

/// Changes to what somebody is in a workspace; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct EditMember {
    is_admin: Option<bool>,
    operator: Option<bool>,
    /// Whether that one is shut out of the workspace.
    disabled: Option<bool>,
}

fn not_found(username: &str) -> Error {
    Error::NotFound(format!("user '{username}' not found"))
}

/// Adds somebody to the workspace.
pub(crate) async fn add(
    caller: Caller,
    at: At,
    body: Body<NewMember>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    caller.must_be_admin()?;
    let new = body.0;
    let email = address("email", &new.email)?;
    let username = new.username.filter(|name| !name.is_empty());
    let username = username.unwrap_or_else(|| name_of(&email));
    if !is_name(&username) {
        let text = format!("must be letters, digits, _ and -, at most {NAME_BYTES} bytes");
        return Err(Error::field("username", text));
    }
    let added = format!("user {username} added");
    state
        .transaction(move |conn| {
            if user::by_name(conn, &at.workspace, &username)?.is_some() {
                let text = format!("username: user '{username}' exists already");
                return Err(Error::Conflict(text));
            }
            if user::by_email(conn, &at.workspace, &email)?.is_some() {
                let text = format!("email: '{email}' belongs to the workspace already");
                return Err(Error::Conflict(text));
            }
            // Jobs of a super admin who is not in the workspace have the rights of that name.
            let admins = account::super_admins(conn)?;
            let theirs = admins.iter().find(|admin| admin.username == username);
            if theirs.is_some_and(|admin| admin.email != email) {
                let text = format!(
                    "username: '{username}' is a super admin of the server; take another name"
                );
                return Err(Error::Conflict(text));
            }
            let row = UserRow {
                workspace_id: at.workspace,
                username,
                email,
                is_admin: new.is_admin,
                operator: new.operator,
                disabled: false,
                created_at: Timestamp::now(),
            };
            user::insert(conn, &row)?;
            audit::note(conn, &caller, "users.add", &row.username)
        })
        .await?;
    Ok(Created(added))
}

/// Changes what somebody is in the workspace.
pub(crate) async fn update(
    caller: Caller,
    at: At,
    body: Body<EditMember>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_admin()?;
    let edit = body.0;
    let updated = format!("user {} updated", at.path);
    let changed = named_fields(&[
        ("is_admin", edit.is_admin.is_some()),
        ("operator", edit.operator.is_some()),
        ("disabled", edit.disabled.is_some()),
    ]);
    state
        .transaction(move |conn| {
            account::alone(conn)?;
            let row = user::by_name(conn, &at.workspace, &at.path)?;
            let mut row = row.ok_or_else(|| not_found(&at.path))?;
            row.is_admin = edit.is_admin.unwrap_or(row.is_admin);
            row.operator = edit.operator.unwrap_or(row.operator);
            row.disabled = edit.disabled.unwrap_or(row.disabled);
            user::update(conn, &row)?;
            keep_an_admin(conn, &at.workspace)?;
            audit::note_changes(conn, &caller, ("users.update", &at.path), Some(changed))
        })
        .await?;
    Ok(Text(updated))
}

/// Takes somebody out of the workspace; what lies under that one's name stays.
pub(crate) async fn delete(caller: Caller, at: At, state: web::Data<State>) -> Result<Text, Error> {
    caller.must_be_admin()?;
    let deleted = format!("user {} deleted", at.path);
    state
        .transaction(move |conn| {
            account::alone(conn)?;
            if !user::delete(conn, &at.workspace, &at.path)? {
                return Err(not_found(&at.path));
            }
            keep_an_admin(conn, &at.workspace)?;
            audit::note(conn, &caller, "users.remove", &at.path)
        })
        .await?;
    Ok(Text(deleted))
}

/// One user of the workspace.
pub(crate) async fn get(_: Caller, at: At, state: web::Data<State>) -> Result<Json<Member>, Error> {
    state
        .run(move |conn| {
            let row = user::by_name(conn, &at.workspace, &at.path)?;
            let row = row.ok_or_else(|| not_found(&at.path))?;
            let groups = group::of_user(conn, &at.workspace, &row.username)?;
            let admins = account::super_admins(conn)?;
            Ok(Json(member(row, (groups, &admins))))
        })
        .await
}

/// The names of the workspace's users.
pub(crate) async fn list_usernames(
    _: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Vec<String>>, Error> {
    let rows = state
        .run(move |conn| Ok(user::list(conn, &at.workspace)?))
        .await?;
    Ok(Json(rows.into_iter().map(|row| row.username).collect()))
}
