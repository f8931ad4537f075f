//! Rows of `queue` that wait for the Windmill their workspace is linked to ([`OUTBOX`]). Written by the queue's ledger
//! alone.

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Nullable, Text},
};

use super::{
    Conn, DbError,
    queue::{OUTBOX, QUEUED, QueueRow, RUNNING},
    schema::queue,
};
use crate::types::{JobId, Timestamp};

/// How many of the jobs that are due are looked at in one go.
const HEAD: usize = 1_000;
/// What a Windmill can be asked to run: what is saved. In the words of `kind`.
const SAVED: &str = "kind IN ('script', 'singlestepflow', 'flow')";

/// Puts jobs that `worker` holds and has not sent into the outbox.
pub(crate) fn put_in(conn: &mut Conn, worker: &str, ids: &[JobId]) -> Result<usize, DbError> {
    Ok(diesel::update(
        queue::table
            .filter(queue::id.eq_any(ids.to_vec()))
            .filter(queue::worker.eq(worker))
            .filter(queue::state.eq(RUNNING)),
    )
    .set((
        queue::state.eq(OUTBOX),
        queue::worker.eq(None::<String>),
        queue::lease_until.eq(None::<Timestamp>),
        queue::started_at.eq(None::<Timestamp>),
    ))
    .execute(conn)?)
}

/// Puts the jobs of `workspace` among those that are claimed next into the outbox, so that they stand in nobody's way;
/// answers whether there were any.
pub(crate) fn make_way(conn: &mut Conn, workspace: &str, now: Timestamp) -> Result<bool, DbError> {
    let locking = match conn {
        Conn::Sqlite(_) => "",
        Conn::Postgres(_) => "FOR UPDATE SKIP LOCKED",
    };
    let moved = sql_query(format!(
        "UPDATE queue SET state = {OUTBOX} WHERE id IN (SELECT id FROM \
         (SELECT id, workspace_id, kind FROM queue WHERE state = {QUEUED} AND scheduled_at <= $1 \
          ORDER BY priority DESC, scheduled_at, id LIMIT {HEAD} {locking}) AS head \
         WHERE workspace_id = $2 AND {SAVED})"
    ));
    let moved = moved.bind::<BigInt, _>(now).bind::<Text, _>(workspace);
    Ok(moved.execute(conn)? > 0)
}

/// Gives `worker` up to `max` jobs of the workspace's outbox until `lease_until`: by priority, then by time, then by id.
pub(crate) fn claim(
    conn: &mut Conn,
    worker: &str,
    (workspace, max): (&str, usize),
    (now, lease_until): (Timestamp, Timestamp),
) -> Result<Vec<QueueRow>, DbError> {
    let locking = match conn {
        Conn::Sqlite(_) => "",
        Conn::Postgres(_) => "FOR UPDATE SKIP LOCKED",
    };
    let claim = sql_query(format!(
        "UPDATE queue SET state = {RUNNING}, worker = $1, started_at = $2, lease_until = $3 \
         WHERE id IN (SELECT id FROM queue WHERE state = {OUTBOX} AND workspace_id = $4 \
                      ORDER BY priority DESC, scheduled_at, id LIMIT $5 {locking}) \
         RETURNING *"
    ));
    let claim = claim
        .bind::<Text, _>(worker)
        .bind::<BigInt, _>(now)
        .bind::<BigInt, _>(lease_until)
        .bind::<Text, _>(workspace);
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let mut rows: Vec<QueueRow> = claim.bind::<BigInt, _>(max).load(conn)?;
    // RETURNING answers in any order.
    rows.sort_by_key(|row| (std::cmp::Reverse(row.priority), row.scheduled_at, row.id));
    Ok(rows)
}

/// Makes jobs of a workspace's outbox ready to run here; answers how many, which are not all if it is many.
pub(crate) fn release(conn: &mut Conn, workspace: &str) -> Result<usize, DbError> {
    let release = sql_query(format!(
        "UPDATE queue SET state = {QUEUED} WHERE id IN \
         (SELECT id FROM queue WHERE state = {OUTBOX} AND workspace_id = $1 LIMIT {HEAD})"
    ));
    Ok(release.bind::<Text, _>(workspace).execute(conn)?)
}

/// The workspaces whose outbox holds something. However much it is, each is found in one step of the index.
pub(crate) fn workspaces(conn: &mut Conn) -> Result<Vec<String>, DbError> {
    #[derive(QueryableByName)]
    struct Next {
        #[diesel(sql_type = Nullable<Text>)]
        workspace: Option<String>,
    }
    let mut found: Vec<String> = Vec::new();
    loop {
        let query = sql_query(format!(
            "SELECT min(workspace_id) AS workspace FROM queue WHERE state = {OUTBOX} AND workspace_id > $1"
        ));
        let last = found.last().cloned().unwrap_or_default();
        let next: Next = query.bind::<Text, _>(last).get_result(conn)?;
        match next.workspace {
            Some(workspace) => found.push(workspace),
            None => return Ok(found),
        }
    }
}
