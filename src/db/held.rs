//! Rows of `queue` that a trigger holds back: it is suspended, or they wait in its line. Written by the queue's ledger
//! alone.

use diesel::{
    dsl::sql,
    prelude::*,
    sql_query,
    sql_types::{BigInt, Bool, Text},
};

use super::{
    Conn, DbError,
    queue::{HELD, IN_LINE, LATER, QueueRow},
    schema::queue,
};
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

/// Gives up to `max` jobs of a trigger that it holds back another trigger's path, and those that have its turn; answers
/// how many it was of the former.
pub(crate) fn rename(
    conn: &mut Conn,
    (workspace, trigger_path): (&str, &str),
    to: &str,
    max: i64,
) -> Result<usize, DbError> {
    // As few as may run at once.
    let running = sql_query(format!(
        "UPDATE queue SET trigger_path = $1 WHERE turn IS NOT NULL AND workspace_id = $2 AND trigger_path = $3 \
         AND state NOT IN ({HELD}, {IN_LINE}, {LATER})"
    ));
    let running = running.bind::<Text, _>(to).bind::<Text, _>(workspace);
    running.bind::<Text, _>(trigger_path).execute(conn)?;
    // One state after the other, each by the index that knows it.
    let kinds = [
        format!("state = {HELD} ORDER BY id"),
        format!("state = {IN_LINE} AND turn IS NOT NULL ORDER BY turn"),
        format!("state = {LATER}"),
    ];
    let mut moved = 0;
    for kind in kinds {
        let left = max - i64::try_from(moved).unwrap_or(max);
        let query = sql_query(format!(
            "UPDATE queue SET trigger_path = $1 WHERE id IN (SELECT id FROM queue WHERE workspace_id = $2 \
             AND trigger_path = $3 AND {kind} LIMIT $4)"
        ));
        let query = query.bind::<Text, _>(to).bind::<Text, _>(workspace);
        let query = query.bind::<Text, _>(trigger_path);
        moved += query.bind::<BigInt, _>(left).execute(conn)?;
    }
    Ok(moved)
}
