//! Variables: named values of a workspace (windmill-facts §2.1).

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    accounts::named_fields,
    answer::{Created, Json, Text},
    audit,
    error::Error,
    extract::{At, Body, Page, Query},
    labels, raw,
    standing::unchanged,
};
use crate::{
    access::{Caller, prepare_to_save},
    db::{Conn, DbError, alone, variable, variable::VariableRow},
    secret,
    types::{ObjectPath, Timestamp},
};

/// A variable.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Variable {
    workspace_id: String,
    path: String,
    /// Null where a secret is not asked for.
    value: Option<String>,
    is_secret: bool,
    description: String,
    #[schema(value_type = Object)]
    extra_perms: Box<RawValue>,
    edited_by: String,
    #[schema(value_type = String)]
    edited_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    labels: Option<Box<RawValue>>,
}

/// A variable to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewVariable {
    #[schema(value_type = String)]
    path: ObjectPath,
    value: String,
    is_secret: bool,
    #[serde(default)]
    description: String,
    labels: Option<Vec<String>>,
}

/// Changes to a variable; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct EditVariable {
    #[schema(value_type = Option<String>)]
    path: Option<ObjectPath>,
    value: Option<String>,
    is_secret: Option<bool>,
    description: Option<String>,
    labels: Option<Vec<String>>,
    /// What was read before the edit: refused (409) when somebody has edited it since.
    #[schema(value_type = Option<String>)]
    edited_at: Option<Timestamp>,
}

/// What `get` shows of a secret.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Show {
    /// Whether a secret's value is shown (default: yes).
    decrypt_secret: Option<bool>,
    /// With `decrypt_secret=false`: shows it as it is sealed.
    include_encrypted: Option<bool>,
}

/// How a value comes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct How {
    /// The value of a secret is as `include_encrypted` showed it, at this path and with this server's key.
    already_encrypted: Option<bool>,
}

impl How {
    /// `value` in clear, for the variable at `place`.
    fn clear(&self, place: (&str, &str), is_secret: bool, value: String) -> Result<String, Error> {
        if self.already_encrypted != Some(true) || !is_secret {
            return Ok(value);
        }
        let cipher = secret::cipher().ok_or(DbError::NoKey)?;
        cipher.open(place, &value).ok_or_else(|| {
            Error::field(
                "value",
                format!(
                    "was not sealed with this server's key for '{}': send it in clear, without already_encrypted",
                    place.1
                ),
            )
        })
    }
}

/// Which variables a list shows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    page: Option<u32>,
    per_page: Option<u32>,
    /// Paths that begin so.
    path_start: Option<String>,
    /// A comma list of labels; all must be there.
    label: Option<String>,
}

fn not_found(path: &str) -> Error {
    Error::NotFound(format!("variable not found at path: {path}"))
}

/// The variable, if there is one and the caller may read it.
fn readable(conn: &mut Conn, caller: &Caller, at: &At) -> Result<VariableRow, Error> {
    variable::by_path(conn, &at.workspace, &at.path)?
        .filter(|row| caller.may_read(&row.path, &row.extra_perms))
        .ok_or_else(|| not_found(&at.path))
}

/// A variable as people see it; `value` is what is shown of it.
fn shown(row: VariableRow, secrets: bool) -> Variable {
    Variable {
        workspace_id: row.workspace_id,
        path: row.path,
        value: (secrets || !row.is_secret).then_some(row.value),
        is_secret: row.is_secret,
        description: row.description,
        extra_perms: raw(row.extra_perms),
        edited_by: row.edited_by,
        edited_at: row.edited_at,
        labels: labels::shown(row.labels),
    }
}

/// Makes a variable.
pub(crate) async fn create(
    caller: Caller,
    at: At,
    how: Query<How>,
    body: Body<NewVariable>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    let new = body.0;
    labels::check(new.labels.as_ref())?;
    let path = new.path.to_string();
    state
        .transaction(move |conn| {
            prepare_to_save(conn, &caller, &new.path)??;
            let path = new.path.to_string();
            if variable::by_path(conn, &at.workspace, &path)?.is_some() {
                return Err(Error::Conflict(format!(
                    "path: variable '{path}' exists already"
                )));
            }
            let row = VariableRow {
                workspace_id: at.workspace.clone(),
                value: how
                    .0
                    .clear((&at.workspace, &path), new.is_secret, new.value)?,
                path,
                is_secret: new.is_secret,
                description: new.description,
                extra_perms: "{}".to_owned(),
                edited_by: caller.username.clone(),
                edited_at: Timestamp::now(),
                labels: labels::kept(new.labels.unwrap_or_default()),
            };
            variable::insert(conn, &row)?;
            audit::note(conn, &caller, "variables.create", &row.path)
        })
        .await?;
    Ok(Created(format!("variable {path} created")))
}

/// Changes a variable; what the body leaves out stays.
pub(crate) async fn update(
    caller: Caller,
    at: At,
    how: Query<How>,
    body: Body<EditVariable>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let (path, edit) = (at.path.clone(), body.0);
    let changed = named_fields(&[
        ("path", edit.path.is_some()),
        ("value", edit.value.is_some()),
        ("is_secret", edit.is_secret.is_some()),
        ("description", edit.description.is_some()),
        ("labels", edit.labels.is_some()),
    ]);
    labels::check(edit.labels.as_ref())?;
    state
        .transaction(move |conn| {
            alone::edit(conn, &at.workspace, &at.path)?;
            let mut row = readable(conn, &caller, &at)?;
            caller.may_write(&row.path, &row.extra_perms)?;
            unchanged(edit.edited_at, row.edited_at, "variable")?;
            if let Some(path) = edit.path.filter(|path| path.as_str() != at.path) {
                prepare_to_save(conn, &caller, &path)??;
                if variable::by_path(conn, &at.workspace, path.as_str())?.is_some() {
                    return Err(Error::Conflict(format!(
                        "path: variable '{path}' exists already"
                    )));
                }
                row.path = path.to_string();
            }
            row.is_secret = edit.is_secret.unwrap_or(row.is_secret);
            if let Some(value) = edit.value {
                row.value = how
                    .0
                    .clear((&row.workspace_id, &row.path), row.is_secret, value)?;
            }
            row.description = edit.description.unwrap_or(row.description);
            row.labels = edit.labels.map_or(row.labels, labels::kept);
            row.edited_by.clone_from(&caller.username);
            row.edited_at = Timestamp::now();
            variable::update(conn, &at.path, &row)?;
            audit::note_changes(conn, &caller, ("variables.update", &at.path), Some(changed))
        })
        .await?;
    Ok(Text(format!("variable {path} updated")))
}

/// Removes a variable.
pub(crate) async fn delete(caller: Caller, at: At, state: web::Data<State>) -> Result<Text, Error> {
    let path = at.path.clone();
    state
        .transaction(move |conn| {
            let row = readable(conn, &caller, &at)?;
            caller.may_write(&row.path, &row.extra_perms)?;
            variable::delete(conn, &at.workspace, &at.path)?;
            audit::note(conn, &caller, "variables.delete", &at.path)
        })
        .await?;
    Ok(Text(format!("variable {path} deleted")))
}

/// One variable.
pub(crate) async fn get(
    caller: Caller,
    at: At,
    show: Query<Show>,
    state: web::Data<State>,
) -> Result<Json<Variable>, Error> {
    let clear = show.0.decrypt_secret.unwrap_or(true);
    let asks = move |conn: &mut Conn| {
        let row = readable(conn, &caller, &at)?;
        if clear && row.is_secret {
            caller.learns(conn, &row)?;
        }
        Ok(row)
    };
    let mut row = state.run(asks).await?;
    let sealed = !clear && show.0.include_encrypted == Some(true);
    if sealed && row.is_secret {
        let cipher = secret::cipher().ok_or(DbError::NoKey)?;
        row.value = cipher.seal((&row.workspace_id, &row.path), &row.value);
    }
    Ok(Json(shown(row, clear || sealed)))
}

/// The value alone, as a JSON string.
pub(crate) async fn get_value(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<String>, Error> {
    let asks = move |conn: &mut Conn| {
        let row = readable(conn, &caller, &at)?;
        if row.is_secret {
            caller.learns(conn, &row)?;
        }
        Ok(row)
    };
    let row = state.run(asks).await?;
    Ok(Json(row.value))
}

/// Whether there is a variable at the path.
pub(crate) async fn exists(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<bool>, Error> {
    let row = state
        .run(move |conn| {
            let row = variable::by_path(conn, &at.workspace, &at.path)?;
            Ok(row.filter(|row| caller.may_read(&row.path, &row.extra_perms)))
        })
        .await?;
    Ok(Json(row.is_some()))
}

/// The variables one may read, by path; secrets without their values.
pub(crate) async fn list(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<Vec<Variable>>, Error> {
    let Which {
        page,
        per_page,
        path_start,
        label,
    } = which.0;
    let mut rows = state
        .run(move |conn| {
            let mut rows = variable::list(conn, &at.workspace, path_start.as_deref())?;
            rows.retain(|row| caller.may_read(&row.path, &row.extra_perms));
            if let Some(wanted) = &label {
                rows.retain(|row| labels::all_of(&row.labels, wanted));
            }
            Ok(rows)
        })
        .await?;
    rows = Page { page, per_page }.cut(rows);
    Ok(Json(
        rows.into_iter().map(|row| shown(row, false)).collect(),
    ))
}
