//! Taking jobs: the oldest of the most urgent, or what running ones wait for.

use super::{Job, Queue, QueueError, commit::Done, ledger::Op, outbox};
use crate::{
    config::Limits,
    db::{Conn, DbError, below, queue},
    types::{JobId, Timestamp},
};

/// Gives this process the jobs that `op` is for.
pub(super) fn apply(
    conn: &mut Conn,
    (worker, limits): (&str, &Limits),
    op: &Op,
) -> Result<Vec<Job>, DbError> {
    let now = Timestamp::now();
    let lease = now.plus(limits.job_lease);
    match op {
        Op::ClaimBelow(waiting) => below::claim_below(conn, worker, waiting, 1, (now, lease)),
        Op::Claim(max, no_room) => {
            outbox::make_way(conn, no_room, now)?;
            queue::claim(conn, worker, *max, now, lease)
        }
        _ => Ok(Vec::new()),
    }
}

impl Queue {
    /// Takes up to `max` jobs that are due; this process holds them until it finishes them or dies.
    ///
    /// # Errors
    /// The database gave no answer, or windsock is stopping.
    pub async fn claim(&self, max: usize) -> Result<Vec<Job>, QueueError> {
        self.submit_claim(Op::Claim(max, Vec::new())).await
    }

    /// As [`Queue::claim`], one that each of these running jobs may be waiting for: they, or what they started, have
    /// started it. None while one of them waits for nothing.
    ///
    /// # Errors
    /// As [`Queue::claim`].
    pub async fn claim_below(&self, waiting: Vec<JobId>) -> Result<Vec<Job>, QueueError> {
        self.submit_claim(Op::ClaimBelow(waiting)).await
    }

    pub(super) async fn submit_claim(&self, op: Op) -> Result<Vec<Job>, QueueError> {
        match self.submit(op).await? {
            Done::Claimed(jobs) => Ok(jobs),
            Done::Pushed
            | Done::Fenced
            | Done::Written
            | Done::Stale
            | Done::Canceled(_)
            | Done::Moved(_) => Ok(Vec::new()),
        }
    }
}
