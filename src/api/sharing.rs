//! Sharing a trigger, script, flow, variable, resource or folder with others (windmill-facts §1.2): its `extra_perms`.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    State,
    answer::{Json, Text},
    audit,
    error::Error,
    extract::{At, Body},
    folders,
};
use crate::{
    access::{Caller, Denied},
    db::{Conn, alone, group, sharing, sharing::Kind, user},
};

/// With whom.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct With {
    /// `u/<user>` or `g/<group>`.
    owner: String,
    /// Whether that one may change it as well.
    #[serde(default)]
    write: Option<bool>,
}

/// With whom no longer.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Without {
    /// `u/<user>` or `g/<group>`.
    owner: String,
}

fn kind_of(req: &HttpRequest) -> Result<Kind, Error> {
    Ok(match req.match_info().get("kind").unwrap_or_default() {
        "websocket_trigger" => Kind::Trigger,
        "variable" => Kind::Variable,
        "resource" => Kind::Resource,
        "folder" => Kind::Folder,
        "script" => Kind::Script,
        "flow" => Kind::Flow,
        _ => {
            let text = "must be websocket_trigger, script, flow, variable, resource or folder";
            return Err(Error::field("kind", text));
        }
    })
}

/// What sharing is in the audit log: an edit of the thing.
fn operation(kind: Kind) -> &'static str {
    match kind {
        Kind::Trigger => "websocket_triggers.share",
        Kind::Variable => "variables.share",
        Kind::Resource => "resources.share",
        Kind::Folder => "folders.share",
        Kind::Script => "scripts.share",
        Kind::Flow => "flows.share",
    }
}

fn not_found(path: &str) -> Error {
    Error::NotFound(format!("nothing found at path: {path}"))
}

/// Whom the thing is shared with, as far as the caller may know of it.
fn readable(
    conn: &mut Conn,
    caller: &Caller,
    kind: Kind,
    at: &At,
) -> Result<Map<String, Value>, Error> {
    let perms = sharing::perms(conn, kind, (&at.workspace, &at.path))?;
    let seen = perms.filter(|perms| match kind {
        Kind::Folder => folders::visible(caller, &at.path),
        _ => caller.may_read(&at.path, perms),
    });
    let perms = seen.ok_or_else(|| not_found(&at.path))?;
    Ok(serde_json::from_str(&perms).unwrap_or_default())
}

/// Only who owns a thing shares it: whom it is shared with passes it on to nobody.
fn must_own(caller: &Caller, kind: Kind, path: &str) -> Result<(), Error> {
    caller.may_change()?;
    let place = match kind {
        Kind::Folder => format!("f/{path}"),
        _ => path.to_owned(),
    };
    if caller.owns(&place) && caller.scoped("write", Some(path)) {
        return Ok(());
    }
    Err(Denied::Forbidden(format!("you do not own '{path}'")).into())
}

fn must_exist(conn: &mut Conn, workspace: &str, owner: &str) -> Result<(), Error> {
    let there = match owner.split_once('/') {
        Some(("u", name)) => user::by_name(conn, workspace, name)?.is_some(),
        Some(("g", name)) => group::exists(conn, workspace, name)?,
        _ => return Err(Error::field("owner", "must be u/<user> or g/<group>")),
    };
    if there {
        return Ok(());
    }
    Err(Error::field("owner", format!("'{owner}' does not exist")))
}

async fn change(
    caller: Caller,
    (kind, at): (Kind, At),
    state: &State,
    edit: impl FnOnce(&mut Conn, &mut Map<String, Value>) -> Result<(), Error> + Send + 'static,
) -> Result<(), Error> {
    state
        .transaction(move |conn| {
            alone::edit(conn, &at.workspace, &at.path)?;
            let mut perms = readable(conn, &caller, kind, &at)?;
            must_own(&caller, kind, &at.path)?;
            edit(conn, &mut perms)?;
            let json = Value::from(perms).to_string();
            sharing::set_perms(conn, kind, (&at.workspace, &at.path), &json)?;
            let changes = Some(vec!["extra_perms".to_owned()]);
            audit::note_changes(conn, &caller, (operation(kind), &at.path), changes)
        })
        .await
}

/// Whom a thing is shared with: owner → may write.
pub(crate) async fn get(
    caller: Caller,
    req: HttpRequest,
    at: At,
    state: web::Data<State>,
) -> Result<Json<BTreeMap<String, bool>>, Error> {
    let kind = kind_of(&req)?;
    let perms = state
        .run(move |conn| readable(conn, &caller, kind, &at))
        .await?;
    let shown = perms
        .into_iter()
        .map(|(owner, write)| (owner, write == Value::Bool(true)));
    Ok(Json(shown.collect()))
}

/// Shares a thing one owns.
pub(crate) async fn add(
    caller: Caller,
    req: HttpRequest,
    at: At,
    body: Body<With>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let With { owner, write } = body.0;
    let kind = kind_of(&req)?;
    let workspace = at.workspace.clone();
    let done = format!("'{}' is shared with {owner}", at.path);
    change(caller, (kind, at), &state, move |conn, perms| {
        must_exist(conn, &workspace, &owner)?;
        perms.insert(owner, write.unwrap_or(false).into());
        Ok(())
    })
    .await?;
    Ok(Text(done))
}

/// Shares a thing one owns no longer.
pub(crate) async fn remove(
    caller: Caller,
    req: HttpRequest,
    at: At,
    body: Body<Without>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let owner = body.0.owner;
    let kind = kind_of(&req)?;
    let done = format!("'{}' is not shared with {owner}", at.path);
    change(caller, (kind, at), &state, move |_, perms| {
        perms.remove(&owner);
        Ok(())
    })
    .await?;
    Ok(Text(done))
}
