//! Workspaces (windmill-facts §2.1).

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    State,
    answer::{Created, Json},
    audit,
    error::Error,
    extract::Body,
};
use crate::{
    access::{self, Caller},
    db::{
        user::{NAME_BYTES, is_name},
        workspace,
    },
};

/// A workspace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Workspace {
    id: String,
    name: String,
    owner: String,
}

/// The workspaces of a person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Memberships {
    email: String,
    workspaces: Vec<Membership>,
}

/// A workspace with the name one has there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Membership {
    id: String,
    name: String,
    username: String,
    color: Option<String>,
    disabled: bool,
}

/// Body of `workspaces/exists`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Id {
    id: String,
}

/// Body of `workspaces/create`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewWorkspace {
    /// Letters, digits, `_` and `-`.
    id: String,
    /// What people see.
    name: String,
    /// One's own name in it; left out: the name one has elsewhere.
    #[serde(default)]
    username: Option<String>,
}

/// Whether the workspace exists, as far as the caller may know: it is one's own.
pub(crate) async fn exists(
    caller: Caller,
    body: Body<Id>,
    state: web::Data<State>,
) -> Result<Json<bool>, Error> {
    let found = state
        .run(move |conn| {
            if caller.super_admin {
                return Ok(workspace::exists(conn, &body.0.id)?);
            }
            let mine = workspace::of_email(conn, &caller.email)?;
            Ok(mine.iter().any(|(row, _)| row.id == body.0.id))
        })
        .await?;
    Ok(Json(found))
}

/// One's own workspaces (a super admin's: all).
pub(crate) async fn list(
    caller: Caller,
    state: web::Data<State>,
) -> Result<Json<Vec<Workspace>>, Error> {
    let rows = state
        .run(move |conn| {
            if caller.super_admin {
                return Ok(workspace::all(conn)?);
            }
            let mine = workspace::of_email(conn, &caller.email)?;
            Ok(mine.into_iter().map(|(row, _)| row).collect())
        })
        .await?;
    let workspaces = rows.into_iter().map(|row| Workspace {
        id: row.id,
        name: row.name,
        owner: row.owner,
    });
    Ok(Json(workspaces.collect()))
}

/// One's own workspaces, with the name one has in each.
pub(crate) async fn of_user(
    caller: Caller,
    state: web::Data<State>,
) -> Result<Json<Memberships>, Error> {
    let email = caller.email.clone();
    let mine = state
        .run(move |conn| {
            let mut mine = workspace::of_email(conn, &caller.email)?;
            if caller.super_admin {
                let known: Vec<String> = mine.iter().map(|(row, _)| row.id.clone()).collect();
                let others = workspace::all(conn)?.into_iter();
                let others = others.filter(|row| !known.contains(&row.id));
                mine.extend(others.map(|row| (row, caller.username.clone())));
            }
            Ok(mine)
        })
        .await?;
    let workspaces = mine.into_iter().map(|(row, username)| Membership {
        id: row.id,
        name: row.name,
        username,
        color: None,
        disabled: false,
    });
    Ok(Json(Memberships {
        email,
        workspaces: workspaces.collect(),
    }))
}

/// Makes a workspace whose admin one is.
pub(crate) async fn create(
    caller: Caller,
    body: Body<NewWorkspace>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    caller.must_be_super_admin()?;
    let new = body.0;
    let username = new
        .username
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| caller.username.clone());
    for (field, text) in [("id", &new.id), ("username", &username)] {
        if !is_name(text) {
            let text = format!("must be letters, digits, _ and -, at most {NAME_BYTES} bytes");
            return Err(Error::field(field, text));
        }
    }
    if new.name.is_empty() || new.name.len() > 255 {
        return Err(Error::field("name", "must be 1 to 255 bytes"));
    }
    let id = new.id.clone();
    let made = state.transaction(move |conn| {
        access::new_workspace(conn, (&new.id, &new.name), (&username, &caller.email))?;
        audit::note(conn, &caller, "workspaces.create", &new.id)
    });
    match made.await {
        Err(Error::Conflict(_)) => {
            let text = format!("id: workspace '{id}' exists already");
            return Err(Error::Conflict(text));
        }
        other => other?,
    }
    Ok(Created(format!("Created workspace {id}")))
}
