//! Folders: who owns what lies under `f/<name>/` (windmill-facts §2.1).

use std::collections::BTreeMap;

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    State,
    answer::{Json, Text},
    audit,
    error::Error,
    extract::{At, Body, Page, Query},
    folder_rules::{self, Rule},
    labels, raw,
};
use crate::{
    access::{Caller, Denied},
    db::{Conn, alone, folder, folder::FolderRow},
    types::Timestamp,
};

/// A folder.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Folder {
    workspace_id: String,
    name: String,
    display_name: String,
    #[schema(value_type = Vec<String>)]
    owners: Box<RawValue>,
    #[schema(value_type = Object)]
    extra_perms: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    created_by: String,
    #[schema(value_type = String)]
    edited_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    labels: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Rule>>)]
    default_permissioned_as: Option<Box<RawValue>>,
}

/// A folder to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewFolder {
    name: String,
    #[serde(flatten)]
    edit: EditFolder,
}

/// Changes to a folder; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct EditFolder {
    /// `u/<user>` or `g/<group>`, who may do everything in it.
    owners: Option<Vec<String>>,
    /// Owner → may write.
    extra_perms: Option<BTreeMap<String, bool>>,
    display_name: Option<String>,
    summary: Option<String>,
    labels: Option<Vec<String>>,
    /// Whose rights a trigger has that a deployer makes here without saying so; only deployers may change it.
    default_permissioned_as: Option<Vec<Rule>>,
}

/// Somebody who owns a folder.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Owner {
    /// `u/<user>` or `g/<group>`.
    owner: String,
}

fn not_found(name: &str) -> Error {
    Error::NotFound(format!("folder not found at name: {name}"))
}

fn shown(row: FolderRow) -> Folder {
    Folder {
        workspace_id: row.workspace_id,
        name: row.name,
        display_name: row.display_name,
        owners: raw(row.owners),
        extra_perms: raw(row.extra_perms),
        summary: row.summary,
        created_by: row.created_by,
        edited_at: row.edited_at,
        labels: labels::shown(row.labels),
        default_permissioned_as: labels::shown(row.default_permissioned_as),
    }
}

/// Whether one may know of the folder.
pub(super) fn visible(caller: &Caller, name: &str) -> bool {
    let known = caller.folders.iter().any(|folder| folder.name == name);
    (caller.is_admin || known) && scoped(caller, "read", name)
}

/// Whether the scopes allow an action on a folder: they call it by its name, or by the path of what lies in it.
fn scoped(caller: &Caller, action: &str, name: &str) -> bool {
    let path = format!("f/{name}/");
    let names = [name, path.trim_end_matches('/'), &path];
    let mut names = names.iter();
    names.any(|name| caller.scoped(action, Some(name)))
}

fn readable(conn: &mut Conn, caller: &Caller, at: &At) -> Result<FolderRow, Error> {
    folder::by_name(conn, &at.workspace, &at.path)?
        .filter(|row| visible(caller, &row.name))
        .ok_or_else(|| not_found(&at.path))
}

/// The folder, if it is the caller's own.
fn owned(conn: &mut Conn, caller: &Caller, at: &At) -> Result<FolderRow, Error> {
    caller.may_change()?;
    let row = readable(conn, caller, at)?;
    if !caller.owns(&format!("f/{}", row.name)) || !scoped(caller, "write", &row.name) {
        let text = format!("you do not own folder '{}'", row.name);
        return Err(Denied::Forbidden(text).into());
    }
    Ok(row)
}

fn is_owner(owner: &str) -> bool {
    let name = owner
        .strip_prefix("u/")
        .or_else(|| owner.strip_prefix("g/"));
    name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

impl EditFolder {
    fn validate(&self) -> Result<(), Error> {
        let owners = self.owners.iter().flatten();
        if let Some(bad) = owners.clone().find(|owner| !is_owner(owner)) {
            return Err(Error::field(
                "owners",
                format!("'{bad}' is not u/<user> or g/<group>"),
            ));
        }
        let perms = self.extra_perms.iter().flat_map(BTreeMap::keys);
        if let Some(bad) = perms.clone().find(|owner| !is_owner(owner)) {
            return Err(Error::field(
                "extra_perms",
                format!("'{bad}' is not u/<user> or g/<group>"),
            ));
        }
        labels::check(self.labels.as_ref())?;
        folder_rules::check(
            self.default_permissioned_as.as_deref().unwrap_or_default(),
            is_owner,
        )
    }

    fn apply(self, caller: &Caller, row: &mut FolderRow) -> Result<(), Error> {
        if let Some(rules) = self.default_permissioned_as {
            let rules = serde_json::json!(rules).to_string();
            // What is sent back as it was is no change.
            if rules != row.default_permissioned_as && !caller.is_deployer() {
                let text = "default_permissioned_as: only admins and members of wm_deployers may \
                            say whose rights triggers have";
                return Err(Denied::Forbidden(text.to_owned()).into());
            }
            row.default_permissioned_as = rules;
        }
        row.labels = match self.labels {
            Some(labels) => labels::kept(labels),
            None => std::mem::take(&mut row.labels),
        };
        if let Some(owners) = self.owners {
            row.owners = serde_json::Value::from(owners).to_string();
        }
        if let Some(perms) = self.extra_perms {
            row.extra_perms = serde_json::json!(perms).to_string();
        }
        if let Some(name) = self.display_name {
            row.display_name = name;
        }
        row.summary = self.summary.or(row.summary.take());
        row.edited_at = Timestamp::now();
        Ok(())
    }
}

/// Makes a folder that one owns.
pub(crate) async fn create(
    caller: Caller,
    at: At,
    body: Body<NewFolder>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let NewFolder { name, edit } = body.0;
    caller.may_change()?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > 100 || !name.chars().all(word) {
        return Err(Error::field(
            "name",
            "must be letters, digits, _ and -, at most 100 bytes",
        ));
    }
    edit.validate()?;
    if !scoped(&caller, "write", &name) {
        let text = format!("this token may not change folder '{name}'");
        return Err(Denied::Forbidden(text).into());
    }
    let created = format!("Created folder {name}");
    state
        .transaction(move |conn| {
            // What a removed folder left behind is not for whoever takes its name.
            let taken = folder::by_name(conn, &at.workspace, &name)?.is_some()
                || !caller.is_admin && folder::holds_anything(conn, &at.workspace, &name)?;
            if taken {
                // A name is given once: that it is taken cannot be hidden, whether by a folder can.
                return Err(Error::Conflict(match visible(&caller, &name) {
                    true => format!("name: folder '{name}' exists already"),
                    false => format!("name: '{name}' is taken; choose another one"),
                }));
            }
            let me = caller.run_as();
            let mut row = FolderRow {
                workspace_id: at.workspace,
                display_name: name.clone(),
                name,
                owners: serde_json::Value::from(vec![me]).to_string(),
                extra_perms: "{}".to_owned(),
                summary: None,
                created_by: caller.username.clone(),
                edited_at: Timestamp::now(),
                labels: "[]".to_owned(),
                default_permissioned_as: "[]".to_owned(),
            };
            edit.apply(&caller, &mut row)?;
            folder::insert(conn, &row)?;
            audit::note(conn, &caller, "folders.create", &row.name)
        })
        .await?;
    Ok(Text(created))
}

/// Changes a folder one owns; what the body leaves out stays.
pub(crate) async fn update(
    caller: Caller,
    at: At,
    body: Body<EditFolder>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    body.0.validate()?;
    caller.may_change()?;
    let updated = format!("Updated folder {}", at.path);
    state
        .transaction(move |conn| {
            alone::edit(conn, &at.workspace, &at.path)?;
            let mut row = owned(conn, &caller, &at)?;
            body.0.apply(&caller, &mut row)?;
            folder::update(conn, &row)?;
            audit::note(conn, &caller, "folders.update", &row.name)
        })
        .await?;
    Ok(Text(updated))
}

/// Removes a folder one owns; what lies in it stays, and only admins reach it until there is a folder of that name again.
pub(crate) async fn delete(caller: Caller, at: At, state: web::Data<State>) -> Result<Text, Error> {
    let deleted = format!("Deleted folder {}", at.path);
    state
        .transaction(move |conn| {
            let row = owned(conn, &caller, &at)?;
            folder::delete(conn, &at.workspace, &row.name)?;
            audit::note(conn, &caller, "folders.delete", &row.name)
        })
        .await?;
    Ok(Text(deleted))
}

/// Makes somebody an owner of a folder one owns, too.
pub(crate) async fn add_owner(
    caller: Caller,
    at: At,
    body: Body<Owner>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let owner = body.0.owner;
    if !is_owner(&owner) {
        let text = format!("'{owner}' is not u/<user> or g/<group>");
        return Err(Error::field("owner", text));
    }
    let added = format!("Added {owner} to folder {}", at.path);
    let edit = move |owners: &mut Vec<String>| {
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    };
    change_owners(caller, at, &state, edit).await?;
    Ok(Text(added))
}

/// Takes the ownership of a folder one owns from somebody.
pub(crate) async fn remove_owner(
    caller: Caller,
    at: At,
    body: Body<Owner>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let owner = body.0.owner;
    let removed = format!("Removed {owner} from folder {}", at.path);
    let edit = move |owners: &mut Vec<String>| owners.retain(|one| *one != owner);
    change_owners(caller, at, &state, edit).await?;
    Ok(Text(removed))
}

async fn change_owners(
    caller: Caller,
    at: At,
    state: &State,
    edit: impl FnOnce(&mut Vec<String>) + Send + 'static,
) -> Result<(), Error> {
    state
        .transaction(move |conn| {
            alone::edit(conn, &at.workspace, &at.path)?;
            let mut row = owned(conn, &caller, &at)?;
            let mut owners = serde_json::from_str(&row.owners).unwrap_or_default();
            edit(&mut owners);
            row.owners = serde_json::Value::from(owners).to_string();
            row.edited_at = Timestamp::now();
            folder::update(conn, &row)?;
            let changes = Some(vec!["owners".to_owned()]);
            audit::note_changes(conn, &caller, ("folders.update", &row.name), changes)
        })
        .await
}

/// Whether one owns the folder; false for one that is not there.
pub(crate) async fn is_mine(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<bool>, Error> {
    let mine = caller.owns(&format!("f/{}", at.path));
    let found = state
        .run(move |conn| Ok(folder::by_name(conn, &at.workspace, &at.path)?))
        .await?;
    Ok(Json(mine && found.is_some()))
}

/// The names of the folders one may read.
pub(crate) async fn list_names(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Vec<String>>, Error> {
    let rows = state
        .run(move |conn| Ok(folder::all(conn, &at.workspace)?))
        .await?;
    let names = rows.into_iter().map(|row| row.name);
    Ok(Json(names.filter(|name| visible(&caller, name)).collect()))
}

/// One folder.
pub(crate) async fn get(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Folder>, Error> {
    let row = state.run(move |conn| readable(conn, &caller, &at)).await?;
    Ok(Json(shown(row)))
}

/// Whether there is a folder of that name.
pub(crate) async fn exists(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<bool>, Error> {
    let row = state
        .run(move |conn| Ok(folder::by_name(conn, &at.workspace, &at.path)?))
        .await?;
    Ok(Json(row.is_some_and(|row| visible(&caller, &row.name))))
}

/// The folders one may read, by name.
pub(crate) async fn list(
    caller: Caller,
    at: At,
    page: Query<Page>,
    state: web::Data<State>,
) -> Result<Json<Vec<Folder>>, Error> {
    let mut rows = state
        .run(move |conn| Ok(folder::all(conn, &at.workspace)?))
        .await?;
    rows.retain(|row| visible(&caller, &row.name));
    Ok(Json(page.0.cut(rows).into_iter().map(shown).collect()))
}
