//! Where a trigger is, and what it has counted (contract section 5).

use actix_web::web;

use super::readable;
use crate::{
    access::Caller,
    api::{
        State,
        answer::Json,
        elsewhere::{Seen, seen_one},
        error::Error,
        extract::At,
    },
    trigger::status::{Dropped, TriggerState, TriggerStatus},
    types::Mode,
};

/// Where the trigger is and what it has counted since its server started (contract section 5).
pub(crate) async fn status(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<TriggerStatus>, Error> {
    let one = state
        .run(move |conn| {
            let row = readable(conn, &caller, &at)?;
            seen_one(conn, row)
        })
        .await?;
    Ok(Json(status_of(&one, &state)))
}

/// The status of a trigger: from its listener when that is here, else what its server says, else what its row says.
pub(crate) fn status_of(one: &Seen, state: &State) -> TriggerStatus {
    let row = &one.row;
    let disabled = row.mode == Mode::Disabled.as_str();
    let here = state.board.status(&row.workspace_id, &row.path);
    if let Some(mut status) = here.or_else(|| one.status.clone()) {
        if disabled {
            status.state = TriggerState::Disabled;
        }
        return status;
    }
    let rested = state.board.rested(&row.workspace_id, &row.path);
    if let Some(status) = rested.filter(|_| disabled) {
        return TriggerStatus {
            error: row.error.clone(),
            server_id: row.server_id.clone(),
            ..status
        };
    }
    let now = if disabled {
        TriggerState::Disabled
    } else {
        TriggerState::Connecting
    };
    TriggerStatus {
        state: now,
        since: row.edited_at,
        error: row.error.clone(),
        attempts: 0,
        next_attempt_at: None,
        server_id: row.server_id.clone(),
        connected_at: None,
        last_message_at: None,
        received: 0,
        unmatched: 0,
        handled: 0,
        matched: 0,
        pending: 0,
        enqueued: 0,
        replied: 0,
        reply_undeliverable: 0,
        reply_failed: 0,
        dropped: Dropped::default(),
        bytes_received: 0,
    }
}
