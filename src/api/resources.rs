//! Resources: named JSON values of a workspace (windmill-facts §2.1), which may point to variables and to
//! each other by `$var:<path>` and `$res:<path>`.

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    accounts::named_fields,
    answer::{Created, Json, Raw, Text},
    audit,
    error::Error,
    extract::{At, Body, Page, Query},
    labels, raw,
    standing::unchanged,
};
use crate::{
    access::{Caller, prepare_to_save, references::replace},
    db::{Conn, alone, resource, resource::ResourceRow},
    types::{ObjectPath, Timestamp},
};

/// Longest name of a resource type.
const TYPE_BYTES: usize = 255;

/// A resource.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Resource {
    workspace_id: String,
    path: String,
    #[schema(value_type = Value)]
    value: Box<RawValue>,
    resource_type: String,
    description: String,
    #[schema(value_type = Object)]
    extra_perms: Box<RawValue>,
    created_by: String,
    #[schema(value_type = String)]
    edited_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    labels: Option<Box<RawValue>>,
    is_linked: bool,
    is_refreshed: bool,
    is_oauth: bool,
    is_expired: bool,
}

/// A resource to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewResource {
    #[schema(value_type = String)]
    path: ObjectPath,
    /// Any JSON.
    value: Value,
    /// A free word.
    resource_type: String,
    description: Option<String>,
    labels: Option<Vec<String>>,
}

/// Changes to a resource; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct EditResource {
    #[schema(value_type = Option<String>)]
    path: Option<ObjectPath>,
    /// Any JSON.
    #[serde(default, deserialize_with = "super::given")]
    #[schema(value_type = Option<Value>)]
    value: Option<Value>,
    resource_type: Option<String>,
    description: Option<String>,
    labels: Option<Vec<String>>,
    /// What was read before the edit: refused (409) when somebody has edited it since.
    #[schema(value_type = Option<String>)]
    edited_at: Option<Timestamp>,
}

/// A value alone.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewValue {
    /// Any JSON.
    value: Value,
}

/// How `create` meets a resource that is there.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct How {
    /// Replaces it instead of refusing.
    update_if_exists: Option<bool>,
}

/// Which resources a list shows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    page: Option<u32>,
    per_page: Option<u32>,
    /// Only these types, as a comma list.
    resource_type: Option<String>,
    /// All but these types, as a comma list.
    resource_type_exclude: Option<String>,
    /// Paths that begin so.
    path_start: Option<String>,
    /// A comma list of labels; all must be there.
    label: Option<String>,
}

fn not_found(path: &str) -> Error {
    Error::NotFound(format!("resource not found at path: {path}"))
}

fn readable(conn: &mut Conn, caller: &Caller, at: &At) -> Result<ResourceRow, Error> {
    resource::by_path(conn, &at.workspace, &at.path)?
        .filter(|row| caller.may_read(&row.path, &row.extra_perms))
        .ok_or_else(|| not_found(&at.path))
}

fn shown(row: ResourceRow) -> Resource {
    Resource {
        workspace_id: row.workspace_id,
        path: row.path,
        value: raw(row.value),
        resource_type: row.resource_type,
        description: row.description,
        extra_perms: raw(row.extra_perms),
        created_by: row.edited_by,
        edited_at: row.edited_at,
        labels: labels::shown(row.labels),
        is_linked: false,
        is_refreshed: false,
        is_oauth: false,
        is_expired: false,
    }
}

fn check_type(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > TYPE_BYTES {
        let text = format!("must be 1 to {TYPE_BYTES} bytes");
        return Err(Error::field("resource_type", text));
    }
    Ok(())
}

/// Makes a resource.
pub(crate) async fn create(
    caller: Caller,
    at: At,
    how: Query<How>,
    body: Body<NewResource>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    let new = body.0;
    check_type(&new.resource_type)?;
    labels::check(new.labels.as_ref())?;
    let path = new.path.to_string();
    state
        .transaction(move |conn| {
            prepare_to_save(conn, &caller, &new.path)??;
            let path = new.path.to_string();
            let there = resource::by_path(conn, &at.workspace, &path)?;
            if there.is_some() && how.0.update_if_exists != Some(true) {
                return Err(Error::Conflict(format!(
                    "path: resource '{path}' exists already"
                )));
            }
            let row = ResourceRow {
                workspace_id: at.workspace,
                path: path.clone(),
                value: new.value.to_string(),
                resource_type: new.resource_type,
                description: new.description.unwrap_or_default(),
                extra_perms: there
                    .as_ref()
                    .map_or_else(|| "{}".to_owned(), |row| row.extra_perms.clone()),
                edited_by: caller.username.clone(),
                edited_at: Timestamp::now(),
                labels: match (new.labels, &there) {
                    (None, Some(there)) => there.labels.clone(),
                    (labels, _) => labels::kept(labels.unwrap_or_default()),
                },
            };
            if there.is_some() {
                resource::update(conn, &path, &row)?;
                audit::note(conn, &caller, "resources.update", &path)
            } else {
                resource::insert(conn, &row)?;
                audit::note(conn, &caller, "resources.create", &path)
            }
        })
        .await?;
    Ok(Created(format!("resource {path} created")))
}

/// Changes a resource; what the body leaves out stays.
pub(crate) async fn update(
    caller: Caller,
    at: At,
    body: Body<EditResource>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let (path, edit) = (at.path.clone(), body.0);
    let changed = named_fields(&[
        ("path", edit.path.is_some()),
        ("value", edit.value.is_some()),
        ("resource_type", edit.resource_type.is_some()),
        ("description", edit.description.is_some()),
        ("labels", edit.labels.is_some()),
    ]);
    labels::check(edit.labels.as_ref())?;
    if let Some(name) = &edit.resource_type {
        check_type(name)?;
    }
    state
        .transaction(move |conn| {
            alone::edit(conn, &at.workspace, &at.path)?;
            let mut row = readable(conn, &caller, &at)?;
            caller.may_write(&row.path, &row.extra_perms)?;
            unchanged(edit.edited_at, row.edited_at, "resource")?;
            if let Some(path) = edit.path.filter(|path| path.as_str() != at.path) {
                prepare_to_save(conn, &caller, &path)??;
                if resource::by_path(conn, &at.workspace, path.as_str())?.is_some() {
                    return Err(Error::Conflict(format!(
                        "path: resource '{path}' exists already"
                    )));
                }
                row.path = path.to_string();
            }
            row.value = edit.value.map_or(row.value, |value| value.to_string());
            row.resource_type = edit.resource_type.unwrap_or(row.resource_type);
            row.description = edit.description.unwrap_or(row.description);
            row.labels = edit.labels.map_or(row.labels, labels::kept);
            row.edited_by.clone_from(&caller.username);
            row.edited_at = Timestamp::now();
            resource::update(conn, &at.path, &row)?;
            audit::note_changes(conn, &caller, ("resources.update", &at.path), Some(changed))
        })
        .await?;
    Ok(Text(format!("resource {path} updated")))
}

/// Replaces the value alone.
pub(crate) async fn update_value(
    caller: Caller,
    at: At,
    body: Body<NewValue>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let edit = EditResource {
        path: None,
        value: Some(body.0.value),
        resource_type: None,
        description: None,
        labels: None,
        edited_at: None,
    };
    let path = at.path.clone();
    update(caller, at, Body(edit), state).await?;
    Ok(Text(format!("value of resource {path} updated")))
}

/// Removes a resource.
pub(crate) async fn delete(caller: Caller, at: At, state: web::Data<State>) -> Result<Text, Error> {
    let path = at.path.clone();
    state
        .transaction(move |conn| {
            let row = readable(conn, &caller, &at)?;
            caller.may_write(&row.path, &row.extra_perms)?;
            resource::delete(conn, &at.workspace, &at.path)?;
            audit::note(conn, &caller, "resources.delete", &at.path)
        })
        .await?;
    Ok(Text(format!("resource {path} deleted")))
}

/// One resource.
pub(crate) async fn get(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Resource>, Error> {
    let row = state.run(move |conn| readable(conn, &caller, &at)).await?;
    Ok(Json(shown(row)))
}

/// The value alone, as it was saved.
pub(crate) async fn get_value(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Raw, Error> {
    let row = state.run(move |conn| readable(conn, &caller, &at)).await?;
    Ok(Raw(row.value))
}

/// The value with `$var:` and `$res:` replaced by what they point to.
pub(crate) async fn get_value_interpolated(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Value>, Error> {
    let value = state
        .run(move |conn| {
            let row = readable(conn, &caller, &at)?;
            let mut value = serde_json::from_str(&row.value).unwrap_or_default();
            replace(conn, (&caller, &at.workspace), &mut value)?;
            Ok(value)
        })
        .await?;
    Ok(Json(value))
}

/// Whether there is a resource at the path.
pub(crate) async fn exists(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<bool>, Error> {
    let row = state
        .run(move |conn| {
            let row = resource::by_path(conn, &at.workspace, &at.path)?;
            Ok(row.filter(|row| caller.may_read(&row.path, &row.extra_perms)))
        })
        .await?;
    Ok(Json(row.is_some()))
}

/// The resources one may read, by path.
pub(crate) async fn list(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<Vec<Resource>>, Error> {
    let Which {
        page,
        per_page,
        resource_type,
        resource_type_exclude,
        path_start,
        label,
    } = which.0;
    let rows = state
        .run(move |conn| {
            let (start, kind) = (path_start.as_deref(), resource_type.as_deref());
            let mut rows = resource::list(conn, &at.workspace, start, kind)?;
            rows.retain(|row| caller.may_read(&row.path, &row.extra_perms));
            if let Some(types) = &resource_type_exclude {
                rows.retain(|row| types.split(',').all(|one| one.trim() != row.resource_type));
            }
            if let Some(wanted) = &label {
                rows.retain(|row| labels::all_of(&row.labels, wanted));
            }
            Ok(rows)
        })
        .await?;
    let rows = Page { page, per_page }.cut(rows);
    Ok(Json(rows.into_iter().map(shown).collect()))
}
