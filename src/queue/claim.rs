//! Taking jobs: the oldest of the most urgent, or what running ones wait for.

use super::{Job, Queue, QueueError, commit::Done, ledger::Op};
use crate::types::JobId;

impl Queue {
    /// Takes up to `max` jobs that are due; this process holds them until it finishes them or dies.
    ///
    /// # Errors
    /// The database gave no answer, or windsock is stopping.
    pub async fn claim(&self, max: usize) -> Result<Vec<Job>, QueueError> {
        self.submit_claim(Op::Claim(max)).await
    }

    /// As [`Queue::claim`], one that each of these running jobs may be waiting for: they, or what they started, have
    /// started it. None while one of them waits for nothing.
    ///
    /// # Errors
    /// As [`Queue::claim`].
    pub async fn claim_below(&self, waiting: Vec<JobId>) -> Result<Vec<Job>, QueueError> {
        self.submit_claim(Op::ClaimBelow(waiting)).await
    }

    async fn submit_claim(&self, op: Op) -> Result<Vec<Job>, QueueError> {
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
