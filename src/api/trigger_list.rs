//! The list of triggers (windmill-facts §1): which ones, how many of them, and how much of each.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{AnyOfBuilder, ArrayBuilder},
    },
};

use super::{
    State,
    answer::Json,
    elsewhere::seen,
    error::Error,
    extract::{At, Page, Query},
    labels,
    triggers::{Trigger, TriggerView, shown},
    uses::TRIGGERS,
};
use crate::{
    access::Caller,
    db::{trigger, trigger::TriggerFilter},
    types::Mode,
};

/// What a row of a list needs; the rest of a trigger may be many times as long.
const BRIEF: [&str; 11] = [
    "path",
    "url",
    "script_path",
    "is_flow",
    "mode",
    "labels",
    "edited_by",
    "edited_at",
    "server_id",
    "last_server_ping",
    "error",
];

/// A trigger in a list that was asked for in brief; left out is what the trigger does not have.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes what `BRIEF` leaves of a trigger")]
struct Brief {
    path: String,
    url: String,
    script_path: String,
    is_flow: bool,
    mode: Mode,
    labels: Option<Vec<String>>,
    edited_by: String,
    edited_at: String,
    server_id: Option<String>,
    last_server_ping: Option<String>,
    error: Option<String>,
}

/// Triggers as they are listed.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct TriggerViews(Vec<TriggerView>);

impl PartialSchema for TriggerViews {
    fn schema() -> RefOr<Schema> {
        let items = AnyOfBuilder::new()
            .item(Trigger::schema())
            .item(Brief::schema());
        ArrayBuilder::new().items(items).into()
    }
}

impl ToSchema for TriggerViews {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Trigger::schemas(schemas);
    }
}

/// Which kinds of triggers there are, as far as the caller may see: windsock has no other kind.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct UsedKinds {
    websocket_used: bool,
    http_routes_used: bool,
    kafka_used: bool,
    nats_used: bool,
    postgres_used: bool,
    mqtt_used: bool,
    amqp_used: bool,
    sqs_used: bool,
    gcp_used: bool,
    azure_used: bool,
    email_used: bool,
    nextcloud_used: bool,
    google_used: bool,
    github_used: bool,
}

/// Which triggers a list shows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    page: Option<u32>,
    per_page: Option<u32>,
    /// The runnable, exactly.
    path: Option<String>,
    /// Only of flows, or only of scripts.
    is_flow: Option<bool>,
    /// Trigger paths that begin so.
    path_start: Option<String>,
    /// Comma list; all of them must be there.
    label: Option<String>,
    /// Shows only path, URL, runnable, mode, labels, last edit and state of each.
    brief: Option<bool>,
}

/// The triggers one may read, the one edited last first.
pub(crate) async fn list(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<TriggerViews>, Error> {
    let which = which.0;
    let page = Page {
        page: which.page,
        per_page: which.per_page,
    };
    // The database pages only where nothing is left out after it.
    let all_count = caller.is_admin && caller.scopes.is_none() && which.label.is_none();
    let filter = TriggerFilter {
        script_path: which.path,
        is_flow: which.is_flow,
        path_start: which.path_start,
        window: all_count.then(|| page.window()),
    };
    let rows = state
        .run(move |conn| {
            let mut rows = trigger::list(conn, &at.workspace, &filter)?;
            if all_count {
                return seen(conn, rows);
            }
            rows.retain(|row| caller.may_read(&row.path, &row.extra_perms));
            if let Some(wanted) = &which.label {
                rows.retain(|row| labels::all_of(&row.labels, wanted));
            }
            seen(conn, page.cut(rows))
        })
        .await?;
    let brief = which.brief == Some(true);
    let views = rows.iter().map(|one| {
        let mut view = shown(&one.row, &state);
        if brief {
            view.0.retain(|name, _| BRIEF.contains(&name.as_str()));
        }
        view
    });
    Ok(Json(TriggerViews(views.collect())))
}

/// Which kinds of triggers the caller can see.
pub(crate) async fn used(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<UsedKinds>, Error> {
    let filter = TriggerFilter::default();
    let rows = state
        .run(move |conn| Ok(trigger::list(conn, &at.workspace, &filter)?))
        .await?;
    let caller = caller.asking(TRIGGERS);
    let mut seen = rows.iter();
    let websocket_used = seen.any(|row| caller.may_read(&row.path, &row.extra_perms));
    Ok(Json(UsedKinds {
        websocket_used,
        ..UsedKinds::default()
    }))
}
