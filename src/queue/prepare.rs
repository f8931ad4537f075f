//! What a transaction of the queue reads first.

use super::{
    Job, failure,
    lanes::{Lanes, Limits},
    ledger::{Op, Waiting},
    rows::rows,
};
use crate::{
    db::{self, Conn, DbError},
    types::Timestamp,
};

/// The rows that the jobs of a push become.
pub(super) type NewRows = Option<(Vec<Job>, Limits)>;

/// What must be read before anything is written: the rows of new jobs, and whether a lane will change. If one may, the
/// right to change lanes is taken here, before the locks of rows, so that processes cannot wait in a circle.
pub(super) fn prepare(
    conn: &mut Conn,
    batch: &[Waiting],
    lanes: &mut Lanes,
) -> Result<Vec<NewRows>, DbError> {
    let has_lane = |job: &Job| job.turn.is_some() || job.concurrency_key.is_some();
    let mut new_rows = Vec::with_capacity(batch.len());
    for (op, _) in batch {
        let mut rows_of_push = None;
        let in_lanes = match op {
            Op::Push(jobs, ..) => {
                let (rows, limits) = rows(conn, jobs)?;
                let any = !limits.is_empty() || jobs.iter().any(|job| job.lane.is_some());
                rows_of_push = Some((rows, limits));
                any
            }
            // An error handler may have a lane.
            Op::Finish(jobs) => jobs
                .iter()
                .any(|(job, outcome)| has_lane(job) || failure::is_handled(job, outcome)),
            Op::Flow(change) => {
                let (rows, limits) = rows(conn, &change.new)?;
                let any = !limits.is_empty() || change.in_lanes();
                rows_of_push = Some((rows, limits));
                any
            }
            Op::Cancel { id, .. } => {
                db::lanes::any_in_lanes(conn, &[*id])? || db::flow_run::find(conn, *id)?.is_some()
            }
            // What is released may get a lane.
            Op::Held(_) | Op::Bound { .. } => true,
            Op::Upkeep { everybody, first } => {
                *first || db::lanes::any_lost(conn, Timestamp::now(), *everybody)?
            }
            Op::Claim(_) | Op::ClaimBelow(_) | Op::Outbox(_) | Op::GiveBack(_) | Op::Log(..) => {
                false
            }
        };
        new_rows.push(rows_of_push);
        if in_lanes {
            lanes.lock(conn)?;
        }
    }
    Ok(new_rows)
}
