//! What the server says of itself: version, health, the OpenAPI document.

use std::time::Duration;

use actix_web::{HttpResponse, http::StatusCode, web};
use serde_json::json;

use super::{
    State,
    answer::{Health, Raw, Text},
    error::Error,
};

/// How long the database may take to say that it is there. Those who ask after health wait a second or a few.
const PATIENCE: Duration = Duration::from_secs(1);

/// The version, as one line of text; the CLI asks for it before it syncs.
pub(crate) async fn version() -> Result<Text, Error> {
    Ok(Text(
        concat!("windsock v", env!("CARGO_PKG_VERSION")).to_owned(),
    ))
}

/// 200 when the database answers and jobs can be committed, else 503; the body says which.
pub(crate) async fn health(state: web::Data<State>) -> Result<Health, Error> {
    let database = state
        .pool
        .run(|conn| crate::db::workspace::exists(conn, ""));
    let database = matches!(tokio::time::timeout(PATIENCE, database).await, Ok(Ok(_)));
    let queue = state.queue.failure();
    let well = database && queue.is_none();
    let mut by_state = std::collections::BTreeMap::<String, usize>::new();
    for live in state.board.all() {
        let status = live.status(state.board.server_id());
        let name = format!("{:?}", status.state).to_lowercase();
        *by_state.entry(name).or_default() += 1;
    }
    let body = json!({
        "status": if well { "healthy" } else { "unhealthy" },
        "database_healthy": database,
        "queue_healthy": queue.is_none(),
        "listeners": by_state,
        "version": concat!("windsock v", env!("CARGO_PKG_VERSION")),
    });
    let status = if well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok(Health(HttpResponse::build(status).json(body)))
}

/// This document.
pub(crate) async fn openapi(state: web::Data<State>) -> Result<Raw, Error> {
    Ok(Raw(state.document().to_owned()))
}
