//! Critical alerts (windmill-facts §2.1): triggers that have failed for too long, and
//! linked Windmills that do not take their token, until somebody acknowledges them.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    answer::{Json, Text},
    audit,
    error::Error,
    extract::{At, Body, Query},
};
use crate::{
    access::{Caller, Denied},
    db::alert::{self, Which},
    types::Timestamp,
};

/// Alerts of a page, unless asked for otherwise, and at most.
const ROWS: (u32, u32) = (10, 1_000);

/// Which alerts are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// From 1.
    page: Option<u32>,
    /// At most 1,000; default 10.
    page_size: Option<u32>,
    /// Only acknowledged ones, or only others.
    acknowledged: Option<bool>,
}

/// An alert.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alert {
    id: i64,
    /// `critical_error` or `recovered_critical_error`.
    alert_type: String,
    message: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
    acknowledged: bool,
    workspace_id: String,
    /// The trigger it is about; empty when it is about the Windmill that the workspace is linked to.
    trigger_path: String,
    /// It goes on: the trigger has not listened again since, the token is not taken yet.
    is_open: bool,
}

/// A page of alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alerts {
    alerts: Vec<Alert>,
    total_rows: i64,
    total_pages: i64,
    /// No more are raised.
    muted: bool,
}

/// Body of `mute`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Mute {
    /// Whether no more alerts are raised.
    mute_critical_alerts: Option<bool>,
}

/// The workspace whose alerts are meant; none = all, for who may do everything.
fn scope(caller: &Caller, at: &At) -> Result<Option<String>, Error> {
    if at.workspace.is_empty() {
        if !caller.super_admin {
            let text = "only a super admin sees the alerts of all workspaces";
            return Err(Denied::Forbidden(text.to_owned()).into());
        }
        return Ok(None);
    }
    caller.must_be_admin()?;
    Ok(Some(at.workspace.clone()))
}

/// Alerts, newest first.
pub(crate) async fn list(
    caller: Caller,
    at: At,
    wanted: Query<Wanted>,
    state: web::Data<State>,
) -> Result<Json<Alerts>, Error> {
    let workspace = scope(&caller, &at)?;
    let size = i64::from(wanted.0.page_size.unwrap_or(ROWS.0).clamp(1, ROWS.1));
    let page = i64::from(wanted.0.page.unwrap_or(1).max(1));
    let place = workspace.clone();
    let which = Which {
        workspace,
        acknowledged: wanted.0.acknowledged,
    };
    let ((rows, total_rows), muted) = state
        .run(move |conn| {
            let rows = alert::list(conn, &which, ((page - 1) * size, size))?;
            Ok((rows, alert::is_muted(conn, place.as_deref())?))
        })
        .await?;
    let alerts = rows
        .into_iter()
        .map(|row| Alert {
            id: row.id,
            alert_type: row.alert_type,
            message: row.message,
            created_at: row.created_at,
            acknowledged: row.acknowledged,
            workspace_id: row.workspace_id,
            trigger_path: row.trigger_path,
            is_open: row.is_open,
        })
        .collect();
    Ok(Json(Alerts {
        alerts,
        total_rows,
        total_pages: (total_rows + size - 1) / size,
        muted,
    }))
}

/// Acknowledges one alert.
pub(crate) async fn acknowledge(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let workspace = scope(&caller, &at)?;
    let id: i64 = at
        .path
        .parse()
        .map_err(|_| Error::field("id", "must be the number of an alert"))?;
    state
        .transaction(move |conn| {
            if !alert::exists(conn, workspace.as_deref(), id)? {
                return Err(Error::NotFound(format!("there is no alert {id}")));
            }
            alert::acknowledge(conn, workspace.as_deref(), Some(id))?;
            audit::note(conn, &caller, "alerts.acknowledge", &id.to_string())
        })
        .await?;
    Ok(Text(format!("alert {id} acknowledged")))
}

/// Acknowledges all alerts.
pub(crate) async fn acknowledge_all(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let workspace = scope(&caller, &at)?;
    let count = state
        .transaction(move |conn| {
            audit::note(conn, &caller, "alerts.acknowledge", "all")?;
            Ok(alert::acknowledge(conn, workspace.as_deref(), None)?)
        })
        .await?;
    Ok(Text(format!("{count} alerts acknowledged")))
}

/// Raises no more alerts, or does again.
pub(crate) async fn mute(
    caller: Caller,
    at: At,
    body: Body<Mute>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let workspace = scope(&caller, &at)?;
    let muted = body.0.mute_critical_alerts.unwrap_or(true);
    state
        .transaction(move |conn| {
            audit::note(
                conn,
                &caller,
                "alerts.mute",
                if muted { "on" } else { "off" },
            )?;
            Ok(alert::mute(conn, workspace.as_deref(), muted)?)
        })
        .await?;
    let what = if muted { "muted" } else { "raised again" };
    Ok(Text(format!("critical alerts are {what}")))
}
