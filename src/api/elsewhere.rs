//! What is known of a trigger that another server listens for: that server's words, at most a second old.

use super::error::Error;
use crate::{
    db::{Conn, trigger::TriggerRow, trigger_status},
    trigger::status::TriggerStatus,
    types::Mode,
};

/// A trigger's row, and what its server says when that is another one.
pub(crate) struct Seen {
    /// The row; who listens, since when it is known, and why it fails are filled in.
    pub(crate) row: TriggerRow,
    /// The status, when another server listens.
    pub(crate) status: Option<TriggerStatus>,
}

/// Adds to rows of one workspace what other servers say of them. Where this server listens its board knows better.
pub(crate) fn seen(conn: &mut Conn, rows: Vec<TriggerRow>) -> Result<Vec<Seen>, Error> {
    let path = match rows.as_slice() {
        [one] => Some(one.path.clone()),
        _ => None,
    };
    let known = match rows.first() {
        Some(first) => trigger_status::read(conn, &first.workspace_id, path.as_deref())?,
        None => Vec::new(),
    };
    let mut known: std::collections::HashMap<String, trigger_status::Elsewhere> = known
        .into_iter()
        .map(|known| (known.path.clone(), known))
        .collect();
    let with_words = |mut row: TriggerRow| {
        let mut status = None;
        if let Some(known) = known.remove(&row.path)
            && row.mode != Mode::Disabled.as_str()
        {
            status = known
                .status
                .and_then(|text| serde_json::from_str::<TriggerStatus>(&text).ok());
            row.server_id = Some(known.server_id);
            row.last_server_ping = Some(known.ping_at);
            row.error = status.as_ref().and_then(|status| status.error.clone());
        }
        Seen { row, status }
    };
    Ok(rows.into_iter().map(with_words).collect())
}

/// [`seen`] for one row.
pub(crate) fn seen_one(conn: &mut Conn, row: TriggerRow) -> Result<Seen, Error> {
    seen(conn, vec![row])?
        .pop()
        .ok_or(Error::Internal("a trigger was lost while it was read"))
}
