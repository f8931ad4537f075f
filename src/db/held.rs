//! Rows of `queue` that a suspended trigger holds. Written by the queue's ledger alone.

use diesel::{dsl::sql, prelude::*, sql_types::Bool};

use super::{Conn, DbError, queue::QueueRow, schema::queue};
use crate::types::JobId;

/// Takes up to `max` held jobs of a trigger out, the oldest first: those in `ids`, or all with ids up to `up_to`.
pub(crate) fn take(
    conn: &mut Conn,
    (workspace, trigger_path): (&str, &str),
    ids: Option<&[JobId]>,
    up_to: JobId,
    max: i64,
) -> Result<Vec<QueueRow>, DbError> {
    let mut oldest = queue::table
        .filter(queue::workspace_id.eq(workspace))
        .filter(queue::trigger_path.eq(trigger_path))
        .filter(sql::<Bool>("state = 2"))
        .filter(queue::id.le(up_to))
        .order(queue::id)
        .limit(max)
        .into_boxed();
    if let Some(ids) = ids {
        oldest = oldest.filter(queue::id.eq_any(ids.to_vec()));
    }
    let rows: Vec<QueueRow> = oldest.select(QueueRow::as_select()).load(conn)?;
    let ids: Vec<JobId> = rows.iter().map(|row| row.id).collect();
    let gone: Vec<JobId> = diesel::delete(
        queue::table
            .filter(queue::id.eq_any(ids))
            .filter(sql::<Bool>("state = 2")),
    )
    .returning(queue::id)
    .get_results(conn)?;
    if gone.len() == rows.len() {
        return Ok(rows);
    }
    // Somebody canceled one of them in the same moment.
    Ok(rows
        .into_iter()
        .filter(|row| gone.contains(&row.id))
        .collect())
}
