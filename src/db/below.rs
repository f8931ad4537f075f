//! Rows of `queue` that running jobs may be waiting for: what they started, and what that started.
//! Written by the queue's ledger alone.

use diesel::{dsl::sql, prelude::*, sql_types::Bool};

use super::{
    Conn, DbError,
    claim::begun,
    queue::{QueueRow, RUNNING},
    schema::queue,
};
use crate::types::{JobId, Timestamp};

/// Most jobs that are looked at for one that those that wait could be waiting for.
const MOST_BELOW: usize = 1_000;

/// Gives `worker` up to `max` due jobs that belong to the `waiting` ones, were started by them or by what they started;
/// none as long as one of these has started nothing that has not ended: it does not wait.
pub(crate) fn claim_below(
    conn: &mut Conn,
    worker: &str,
    waiting: &[JobId],
    max: usize,
    (now, lease_until): (Timestamp, Timestamp),
) -> Result<Vec<QueueRow>, DbError> {
    // Asked apart: one that has started thousands must not hide another's only one.
    let parents = queue::table
        .filter(queue::parent_job.eq_any(waiting.to_vec()))
        .select(queue::parent_job)
        .distinct()
        .load::<Option<JobId>>(conn)?;
    if !waiting.iter().all(|job| parents.contains(&Some(*job))) {
        return Ok(Vec::new());
    }
    let mut found = waiting.to_vec();
    let mut seen = 0;
    while seen < found.len() && found.len() <= MOST_BELOW {
        let below = queue::table
            .filter(queue::parent_job.eq_any(found[seen..].to_vec()))
            // Those that can be run are not hidden either, by those that cannot.
            .order((sql::<Bool>("state <> 0"), queue::id))
            .select(queue::id)
            .limit(i64::try_from(MOST_BELOW).unwrap_or(i64::MAX))
            .load::<JobId>(conn)?;
        seen = found.len();
        found.extend(below);
    }
    let due = queue::table
        .filter(queue::id.eq_any(found.split_off(waiting.len())))
        .filter(sql::<Bool>("state = 0"))
        .filter(queue::scheduled_at.le(now))
        .order((queue::priority.desc(), queue::scheduled_at, queue::id))
        .select(queue::id)
        .limit(i64::try_from(max).unwrap_or(i64::MAX))
        .load::<JobId>(conn)?;
    let claimed = diesel::update(queue::table)
        .filter(queue::id.eq_any(due))
        // Another process may have been faster.
        .filter(sql::<Bool>("state = 0"))
        .set((
            queue::state.eq(RUNNING),
            queue::worker.eq(worker),
            queue::started_at.eq(begun(queue::started_at, now)),
            queue::lease_until.eq(lease_until),
        ));
    Ok(claimed.returning(queue::all_columns).get_results(conn)?)
}
