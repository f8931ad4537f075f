//! Rows of `queue` whose run has failed and is followed by another. Written by the queue's ledger alone.

use diesel::prelude::*;

use super::{
    Conn, DbError, job_note,
    queue::RUNNING,
    schema::{job_logs, queue},
};
use crate::types::{JobId, Timestamp};

/// Takes a job from the worker that ran it and has it wait for its next run. Answers whether that worker still held it,
/// and nobody wanted it canceled.
pub(crate) fn requeue(
    conn: &mut Conn,
    (worker, id): (&str, JobId),
    (state, at): (i32, Timestamp),
    options: Option<&str>,
) -> Result<bool, DbError> {
    let held = queue::table
        .filter(queue::id.eq(id))
        .filter(queue::worker.eq(worker))
        .filter(queue::state.eq(RUNNING))
        .filter(queue::canceled_by.is_null());
    let waits = (
        queue::state.eq(state),
        queue::scheduled_at.eq(at),
        queue::options.eq(options),
        queue::worker.eq(None::<String>),
        queue::started_at.eq(None::<Timestamp>),
        queue::lease_until.eq(None::<Timestamp>),
    );
    let requeued = diesel::update(held).set(waits).execute(conn)? == 1;
    if requeued {
        // The run that has failed elsewhere is not this one.
        job_note::delete(conn, id, job_note::REMOTE)?;
    }
    Ok(requeued)
}

/// Drops what a job's long past runs printed: pieces up to `last`.
pub(crate) fn drop_logs(conn: &mut Conn, id: JobId, last: i32) -> Result<(), DbError> {
    if last > 0 {
        let old = job_logs::table
            .filter(job_logs::job_id.eq(id))
            .filter(job_logs::piece.le(last));
        diesel::delete(old).execute(conn)?;
    }
    Ok(())
}
