//! Rows of `queue` that a worker holds: taken, kept, given back, taken from it. Written by the queue's ledger alone.

use std::cmp::Reverse;

use diesel::{
    define_sql_function,
    dsl::sql,
    prelude::*,
    sql_query,
    sql_types::{BigInt, Bool, Integer, Nullable},
};

use super::{
    Conn, DbError,
    fixed::{Take, TakeDue},
    queue::{QUEUED, QueueRow, RUNNING},
    schema::queue,
};
use crate::types::{JobId, Timestamp};

define_sql_function! {
    /// When a job that is claimed has begun: `now`, or `before`, as a flow that is looked at again.
    #[sql_name = "COALESCE"]
    fn begun(before: Nullable<BigInt>, now: BigInt) -> Nullable<BigInt>;
}

/// Gives `worker` up to `max` jobs that are due, until `lease_until`: by priority, then by time, then by id.
pub(crate) fn claim(
    conn: &mut Conn,
    worker: &str,
    max: usize,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<Vec<QueueRow>, DbError> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    match conn {
        // One by one: SQLite would keep the ids, and then the rows it answers, in tables that last for this statement.
        Conn::Sqlite(conn) => {
            let mut rows: Vec<QueueRow> = queue::table
                .filter(sql::<Bool>("state = 0"))
                .filter(queue::scheduled_at.le(now))
                .order((queue::priority.desc(), queue::scheduled_at, queue::id))
                .limit(max)
                .select(QueueRow::as_select())
                .load(conn)?;
            for row in &mut rows {
                let take = Take {
                    id: row.id,
                    worker,
                    started_at: now,
                    lease_until,
                };
                take.execute(conn)?;
                row.state = RUNNING;
                row.worker = Some(worker.to_owned());
                row.started_at = row.started_at.or(Some(now));
                row.lease_until = Some(lease_until);
            }
            Ok(rows)
        }
        Conn::Postgres(conn) => {
            let take = TakeDue {
                worker,
                now,
                lease_until,
                max,
            };
            let mut rows: Vec<QueueRow> = take.load(conn)?;
            rows.sort_by_key(|row| (Reverse(row.priority), row.scheduled_at, row.id));
            Ok(rows)
        }
    }
}

/// Keeps everything that `worker` holds until `lease_until`; one write for all of it.
pub(crate) fn renew(
    conn: &mut Conn,
    worker: &str,
    lease_until: Timestamp,
) -> Result<usize, DbError> {
    Ok(diesel::update(
        queue::table
            .filter(queue::worker.eq(worker))
            .filter(sql::<Bool>("state = 1")),
    )
    .set(queue::lease_until.eq(lease_until))
    .execute(conn)?)
}

/// Makes running jobs wait again, uncounted: their worker has not begun them.
pub(crate) fn give_back(conn: &mut Conn, worker: &str, ids: &[JobId]) -> Result<usize, DbError> {
    Ok(diesel::update(
        queue::table
            .filter(queue::id.eq_any(ids.to_vec()))
            .filter(queue::worker.eq(worker))
            .filter(queue::state.eq(RUNNING)),
    )
    .set((
        queue::state.eq(QUEUED),
        queue::worker.eq(None::<String>),
        queue::lease_until.eq(None::<Timestamp>),
        queue::started_at.eq(None::<Timestamp>),
    ))
    .execute(conn)?)
}

/// Takes jobs from workers whose lease ended before `now` (or, with `everybody`, from all): they wait again,
/// one lost worker more. At most `max` at once.
pub(crate) fn requeue_lost(
    conn: &mut Conn,
    now: Timestamp,
    everybody: bool,
    max: i64,
) -> Result<Vec<QueueRow>, DbError> {
    let locking = match conn {
        Conn::Sqlite(_) => "",
        Conn::Postgres(_) => "FOR UPDATE SKIP LOCKED",
    };
    let requeue = sql_query(format!(
        "UPDATE queue SET state = {QUEUED}, worker = NULL, lease_until = NULL, started_at = NULL, lost = lost + 1 \
         WHERE id IN (SELECT id FROM queue WHERE state = {RUNNING} AND (lease_until < $1 OR 1 = $2) \
                      LIMIT $3 {locking}) \
         RETURNING *"
    ));
    Ok(requeue
        .bind::<BigInt, _>(now)
        .bind::<Integer, _>(i32::from(everybody))
        .bind::<BigInt, _>(max)
        .load(conn)?)
}
