//! What belongs to a flow beside itself: its versions, what became of a deployment, the triggers that run it.

use actix_web::web;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    State,
    answer::Json,
    error::Error,
    extract::At,
    flows::{Flow, by_path, not_found, shown},
    scripts::{Counts, Deployment},
    uses::count,
};
use crate::{
    access::Caller,
    db::{
        Conn, flow,
        sharing::{self, Kind},
    },
    types::Timestamp,
};

/// A version in a history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FlowVersion {
    id: i64,
    #[schema(value_type = String)]
    created_at: Timestamp,
    created_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment_msg: Option<String>,
}

/// One version.
pub(crate) async fn get_version(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Flow>, Error> {
    let missing = format!("flow not found with version: {}", at.path);
    let (row, perms) = state
        .run(move |conn| {
            let version = at.path.parse();
            let version = version.map_err(|_| Error::field("version", "is not a whole number"))?;
            let row = flow::by_version(conn, &at.workspace, version)?;
            let row = row
                .filter(|row| caller.may_read(&row.path, caller.flow_perms(&row.path)))
                .ok_or(Error::NotFound(missing))?;
            let perms = sharing::shown(conn, Kind::Flow, (&at.workspace, &row.path))?;
            Ok((row, perms))
        })
        .await?;
    let mut flow = shown(row, true);
    flow.extra_perms = perms;
    Ok(Json(flow))
}

fn versions(conn: &mut Conn, caller: &Caller, at: &At) -> Result<Vec<FlowVersion>, Error> {
    let rows = flow::history(conn, &at.workspace, &at.path)?;
    if rows.is_empty() || !caller.may_read(&at.path, caller.flow_perms(&at.path)) {
        return Err(not_found(&at.path));
    }
    let versions = rows
        .into_iter()
        .map(|(id, created_at, created_by, settings)| {
            let settings: Map<String, Value> = serde_json::from_str(&settings).unwrap_or_default();
            let message = settings.get("deployment_message").and_then(Value::as_str);
            FlowVersion {
                id,
                created_at,
                created_by,
                deployment_msg: message.map(str::to_owned),
            }
        });
    Ok(versions.collect())
}

/// The versions at a path, newest first.
pub(crate) async fn history(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Vec<FlowVersion>>, Error> {
    let versions = state.run(move |conn| versions(conn, &caller, &at)).await?;
    Ok(Json(versions))
}

/// The newest version at a path, in short.
pub(crate) async fn latest_version(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Option<FlowVersion>>, Error> {
    let versions = state.run(move |conn| versions(conn, &caller, &at)).await?;
    Ok(Json(versions.into_iter().next()))
}

/// What became of a deployment: windsock resolves imports when a job runs, so it is done when it is saved.
pub(crate) async fn deployment_status(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Deployment>, Error> {
    state.run(move |conn| by_path(conn, &caller, &at)).await?;
    Ok(Json(Deployment::done()))
}

/// How many triggers that one may read run the flow.
pub(crate) async fn triggers_count(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Counts>, Error> {
    let websocket_count = state
        .run(move |conn| {
            if !caller.may_read(&at.path, caller.flow_perms(&at.path)) {
                return Err(not_found(&at.path));
            }
            Ok(count(conn, &caller, &at, true)?)
        })
        .await?;
    Ok(Json(Counts::of(websocket_count)))
}
