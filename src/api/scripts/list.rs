//! Lists of scripts, and of the versions of one.

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::{Script, hex, not_found, shown};
use crate::{
    access::Caller,
    api::{
        State,
        answer::Json,
        error::Error,
        extract::{At, Page, Query},
        labels,
    },
    db::{script, script::ScriptFilter, sharing},
    types::Timestamp,
};

/// Which scripts a list shows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    page: Option<u32>,
    per_page: Option<u32>,
    /// Exactly this path.
    path_exact: Option<String>,
    /// Paths that begin so.
    path_start: Option<String>,
    /// Who made the version.
    created_by: Option<String>,
    /// Only archived ones.
    show_archived: Option<bool>,
    /// Comma list of kinds.
    kinds: Option<String>,
    /// Comma list of languages.
    languages: Option<String>,
    /// A comma list of labels; all must be there.
    label: Option<String>,
    /// Nobody can star a script here: true shows none.
    starred_only: Option<bool>,
    /// There are no templates: true shows none.
    is_template: Option<bool>,
}

/// A version in a history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Version {
    script_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment_msg: Option<String>,
    created_by: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
}

fn words(list: Option<String>) -> Option<Vec<String>> {
    list.map(|list| list.split(',').map(|word| word.trim().to_owned()).collect())
}

/// The scripts one may read, the one saved last first.
pub(crate) async fn list(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<Vec<Script>>, Error> {
    let which = which.0;
    let page = Page {
        page: which.page,
        per_page: which.per_page,
    };
    if which.starred_only == Some(true) || which.is_template == Some(true) {
        return Ok(Json(Vec::new()));
    }
    let label = which.label;
    let filter = ScriptFilter {
        path_exact: which.path_exact,
        path_start: which.path_start,
        created_by: which.created_by,
        archived: which.show_archived.unwrap_or(false),
        kinds: words(which.kinds),
        languages: words(which.languages),
    };
    let scripts = state
        .run(move |conn| {
            let mut found = script::list(conn, &at.workspace, &filter)?;
            found.retain(|(path, _)| caller.may_read(path, caller.script_perms(path)));
            let hashes = |found: Vec<(String, i64)>| -> Vec<i64> {
                found.into_iter().map(|(_, hash)| hash).collect()
            };
            let rows = match &label {
                None => script::by_hashes(conn, &at.workspace, &hashes(page.cut(found)))?,
                Some(wanted) => {
                    let mut rows = script::by_hashes(conn, &at.workspace, &hashes(found))?;
                    rows.retain(|row| labels::of_settings(&row.settings, wanted));
                    page.cut(rows)
                }
            };
            let mut perms = sharing::by_path(conn, &at.workspace, false)?;
            let scripts = rows.into_iter().map(|row| {
                let mut script = shown(row);
                script.extra_perms = perms.remove(&script.path).unwrap_or_default();
                script
            });
            Ok(scripts.collect())
        })
        .await?;
    Ok(Json(scripts))
}

/// The paths of the live scripts one may read.
pub(crate) async fn list_paths(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Vec<String>>, Error> {
    let mut paths = state
        .run(move |conn| Ok(script::paths(conn, &at.workspace)?))
        .await?;
    paths.retain(|path| caller.may_read(path, caller.script_perms(path)));
    Ok(Json(paths))
}

/// The versions at a path, newest first.
pub(crate) async fn history(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Vec<Version>>, Error> {
    Ok(Json(versions(caller, at, &state).await?))
}

/// The newest version at a path, in short.
pub(crate) async fn latest_version(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Option<Version>>, Error> {
    let versions = versions(caller, at, &state).await?;
    Ok(Json(versions.into_iter().next()))
}

async fn versions(caller: Caller, at: At, state: &State) -> Result<Vec<Version>, Error> {
    let rows = state
        .run(move |conn| {
            let rows = script::history(conn, &at.workspace, &at.path)?;
            if rows.is_empty() || !caller.may_read(&at.path, caller.script_perms(&at.path)) {
                return Err(not_found(&at.path));
            }
            Ok(rows)
        })
        .await?;
    let versions = rows
        .into_iter()
        .map(|(hash, created_at, created_by, settings)| {
            let settings: Map<String, Value> = serde_json::from_str(&settings).unwrap_or_default();
            let message = settings.get("deployment_message").and_then(Value::as_str);
            Version {
                script_hash: hex(hash),
                deployment_msg: message.map(str::to_owned),
                created_by,
                created_at,
            }
        });
    Ok(versions.collect())
}
