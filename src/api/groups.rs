//! Groups of a workspace's users. Everybody is in group `all`, which nobody makes or removes.

use std::collections::HashMap;

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    State,
    answer::{Json, Text},
    audit,
    error::Error,
    extract::{At, Body, Page, Query},
};
use crate::{
    access::Caller,
    db::{
        Conn,
        group::{self, ALL, GroupRow},
        user::{self, NAME_BYTES, is_name},
    },
    types::Timestamp,
};

/// Longest summary.
const SUMMARY_BYTES: usize = 1_000;

/// A group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Group {
    workspace_id: String,
    name: String,
    summary: String,
    /// Names of users.
    members: Vec<String>,
    #[schema(value_type = Object)]
    extra_perms: HashMap<String, bool>,
}

/// A group to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewGroup {
    name: String,
    #[serde(default)]
    summary: Option<String>,
}

/// What a group is for.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct EditGroup {
    #[serde(default)]
    summary: Option<String>,
}

/// A user of the workspace.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Username {
    username: String,
}

/// Which names are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Names {
    /// Only groups one is in.
    only_member_of: Option<bool>,
}

fn not_found(name: &str) -> Error {
    Error::NotFound(format!("group '{name}' not found"))
}

fn summarized(summary: Option<String>) -> Result<String, Error> {
    let summary = summary.unwrap_or_default();
    if summary.len() > SUMMARY_BYTES {
        let text = format!("must be at most {SUMMARY_BYTES} bytes");
        return Err(Error::field("summary", text));
    }
    Ok(summary)
}

/// The group of everybody is as it is.
fn not_all(name: &str) -> Result<(), Error> {
    if name == ALL {
        let text = "group 'all' holds everybody of the workspace and cannot be changed";
        return Err(Error::BadRequest(text.to_owned()));
    }
    Ok(())
}

fn everybody(conn: &mut Conn, workspace: &str) -> Result<Group, Error> {
    let users = user::list(conn, workspace)?;
    Ok(Group {
        workspace_id: workspace.to_owned(),
        name: ALL.to_owned(),
        summary: "Everybody of the workspace".to_owned(),
        members: users.into_iter().map(|user| user.username).collect(),
        extra_perms: HashMap::new(),
    })
}

fn shown(row: GroupRow, members: Vec<String>) -> Group {
    Group {
        workspace_id: row.workspace_id,
        name: row.name,
        summary: row.summary,
        members,
        extra_perms: HashMap::new(),
    }
}

/// Makes a group without members.
pub(crate) async fn create(
    caller: Caller,
    at: At,
    body: Body<NewGroup>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_admin()?;
    let NewGroup { name, summary } = body.0;
    let summary = summarized(summary)?;
    if !is_name(&name) {
        let text = format!("must be letters, digits, _ and -, at most {NAME_BYTES} bytes");
        return Err(Error::field("name", text));
    }
    let created = format!("Created group {name}");
    state
        .transaction(move |conn| {
            if group::exists(conn, &at.workspace, &name)? {
                return Err(Error::Conflict(format!(
                    "name: group '{name}' exists already"
                )));
            }
            let row = GroupRow {
                workspace_id: at.workspace,
                name,
                summary,
                created_at: Timestamp::now(),
            };
            group::insert(conn, &row)?;
            audit::note(conn, &caller, "groups.create", &row.name)
        })
        .await?;
    Ok(Text(created))
}

/// Describes a group anew.
pub(crate) async fn update(
    caller: Caller,
    at: At,
    body: Body<EditGroup>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_admin()?;
    not_all(&at.path)?;
    let summary = summarized(body.0.summary)?;
    let updated = format!("Updated group {}", at.path);
    state
        .transaction(move |conn| {
            let described = group::describe(conn, (&at.workspace, &at.path), &summary)?;
            described.then_some(()).ok_or_else(|| not_found(&at.path))?;
            audit::note(conn, &caller, "groups.update", &at.path)
        })
        .await?;
    Ok(Text(updated))
}

/// Removes a group; what was shared with it is shared with nobody then.
pub(crate) async fn delete(caller: Caller, at: At, state: web::Data<State>) -> Result<Text, Error> {
    caller.must_be_admin()?;
    not_all(&at.path)?;
    let deleted = format!("Deleted group {}", at.path);
    state
        .transaction(move |conn| {
            let gone = group::delete(conn, &at.workspace, &at.path)?;
            gone.then_some(()).ok_or_else(|| not_found(&at.path))?;
            audit::note(conn, &caller, "groups.delete", &at.path)
        })
        .await?;
    Ok(Text(deleted))
}

/// Puts a user into a group; one who is in it stays.
pub(crate) async fn add_user(
    caller: Caller,
    at: At,
    body: Body<Username>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_admin()?;
    not_all(&at.path)?;
    let name = body.0.username;
    let added = format!("Added {name} to group {}", at.path);
    state
        .transaction(move |conn| {
            if !group::exists(conn, &at.workspace, &at.path)? {
                return Err(not_found(&at.path));
            }
            if user::by_name(conn, &at.workspace, &name)?.is_none() {
                let text = format!("user '{name}' does not exist");
                return Err(Error::field("username", text));
            }
            group::add_member(conn, (&at.workspace, &at.path), &name)?;
            let resource = format!("{} {name}", at.path);
            audit::note(conn, &caller, "groups.adduser", &resource)
        })
        .await?;
    Ok(Text(added))
}

/// Takes a user out of a group; one who is not in it stays out.
pub(crate) async fn remove_user(
    caller: Caller,
    at: At,
    body: Body<Username>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_admin()?;
    not_all(&at.path)?;
    let name = body.0.username;
    let removed = format!("Removed {name} from group {}", at.path);
    state
        .transaction(move |conn| {
            if !group::exists(conn, &at.workspace, &at.path)? {
                return Err(not_found(&at.path));
            }
            group::remove_member(conn, (&at.workspace, &at.path), &name)?;
            let resource = format!("{} {name}", at.path);
            audit::note(conn, &caller, "groups.removeuser", &resource)
        })
        .await?;
    Ok(Text(removed))
}

/// One group.
pub(crate) async fn get(_: Caller, at: At, state: web::Data<State>) -> Result<Json<Group>, Error> {
    state
        .run(move |conn| {
            if at.path == ALL {
                return everybody(conn, &at.workspace).map(Json);
            }
            let row = group::by_name(conn, &at.workspace, &at.path)?;
            let row = row.ok_or_else(|| not_found(&at.path))?;
            let members = group::members(conn, &at.workspace)?.remove(&row.name);
            Ok(Json(shown(row, members.unwrap_or_default())))
        })
        .await
}

/// Groups, `all` first, then by name.
pub(crate) async fn list(
    _: Caller,
    at: At,
    page: Query<Page>,
    state: web::Data<State>,
) -> Result<Json<Vec<Group>>, Error> {
    let groups = state
        .run(move |conn| {
            let mut members = group::members(conn, &at.workspace)?;
            let mut groups = vec![everybody(conn, &at.workspace)?];
            groups.extend(group::list(conn, &at.workspace)?.into_iter().map(|row| {
                let members = members.remove(&row.name).unwrap_or_default();
                shown(row, members)
            }));
            Ok(groups)
        })
        .await?;
    Ok(Json(page.0.cut(groups)))
}

/// Names of groups.
pub(crate) async fn list_names(
    caller: Caller,
    at: At,
    names: Query<Names>,
    state: web::Data<State>,
) -> Result<Json<Vec<String>>, Error> {
    let mine = names.0.only_member_of == Some(true);
    let rows = state
        .run(move |conn| {
            if mine {
                return Ok(group::of_user(conn, &at.workspace, &caller.username)?);
            }
            let rows = group::list(conn, &at.workspace)?;
            Ok(rows.into_iter().map(|row| row.name).collect())
        })
        .await?;
    let all = std::iter::once(ALL.to_owned());
    Ok(Json(all.chain(rows).collect()))
}
