//! Lists of flows.

use actix_web::web;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    State,
    answer::Json,
    error::Error,
    extract::{At, Page, Query},
    flows::{Flow, shown},
    labels,
};
use crate::{
    access::Caller,
    db::{flow, flow::FlowFilter, sharing},
};

/// Which flows a list shows.
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
    /// A comma list of labels; all must be there.
    label: Option<String>,
    /// Nobody can star a flow here: true shows none.
    starred_only: Option<bool>,
}

/// The flows one may read, without their values, the one saved last first.
pub(crate) async fn list(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Json<Vec<Flow>>, Error> {
    let which = which.0;
    let page = Page {
        page: which.page,
        per_page: which.per_page,
    };
    if which.starred_only == Some(true) {
        return Ok(Json(Vec::new()));
    }
    let filter = FlowFilter {
        path_exact: which.path_exact,
        path_start: which.path_start,
        created_by: which.created_by,
        archived: which.show_archived.unwrap_or(false),
    };
    let flows = state
        .run(move |conn| {
            let mut found = flow::list(conn, &at.workspace, &filter)?;
            found.retain(|(path, _)| caller.may_read(path, caller.flow_perms(path)));
            let versions = |found: Vec<(String, i64)>| -> Vec<i64> {
                found.into_iter().map(|(_, version)| version).collect()
            };
            let rows = match &which.label {
                None => flow::by_versions(conn, &at.workspace, &versions(page.cut(found)))?,
                Some(wanted) => {
                    let mut rows = flow::by_versions(conn, &at.workspace, &versions(found))?;
                    rows.retain(|row| labels::of_settings(&row.settings, wanted));
                    page.cut(rows)
                }
            };
            let mut perms = sharing::by_path(conn, &at.workspace, true)?;
            let flows = rows.into_iter().map(|row| {
                let mut flow = shown(row, false);
                flow.extra_perms = perms.remove(&flow.path).unwrap_or_default();
                flow
            });
            Ok(flows.collect())
        })
        .await?;
    Ok(Json(flows))
}

/// The paths of the live flows one may read.
pub(crate) async fn list_paths(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Vec<String>>, Error> {
    let mut paths = state
        .run(move |conn| Ok(flow::paths(conn, &at.workspace)?))
        .await?;
    paths.retain(|path| caller.may_read(path, caller.flow_perms(path)));
    Ok(Json(paths))
}
