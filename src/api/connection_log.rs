//! What happened to a trigger's connection, for who asks why something is missing.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use super::{State, answer::Json, error::Error, extract::At, triggers::readable};
use crate::{
    access::Caller,
    db::connection_log::{self, KEPT},
    types::Timestamp,
};

/// An event of a trigger's connection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogView {
    /// When it (last) happened.
    #[schema(value_type = String)]
    at: Timestamp,
    /// When it first happened; differs from `at` when it did several times in a row.
    #[schema(value_type = String)]
    first_at: Timestamp,
    /// `created`, `edited`, `mode`, `connected`, `failed` (an attempt or a first message), `closed`, `disabled` or
    /// `unanswered` (a rule's answer could not be made).
    event: String,
    /// The reason, the close code with its text, who did it.
    text: String,
    /// How often it happened in a row.
    times: i64,
    /// The server it happened on; null for what was done through the API.
    server_id: Option<String>,
}

/// The last 200 events, the newest first; written a second late at most.
pub(crate) async fn log(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Vec<LogView>>, Error> {
    let mut rows = state
        .run(move |conn| {
            let row = readable(conn, &caller, &at)?;
            let place = (row.workspace_id.as_str(), row.path.as_str());
            Ok(connection_log::of_trigger(conn, place, KEPT)?)
        })
        .await?;
    // What a socket notes is written a little later than what is done through the API.
    rows.sort_by_key(|row| std::cmp::Reverse((row.at, row.id)));
    let shown = rows.into_iter().map(|row| LogView {
        at: row.at,
        first_at: row.first_at,
        event: row.event,
        text: row.text,
        times: row.times,
        server_id: row.server_id,
    });
    Ok(Json(shown.collect()))
}
