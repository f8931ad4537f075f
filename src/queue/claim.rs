//! Taking jobs: the oldest of the most urgent, or what running ones wait for.
//!
//! Who runs jobs asks before there are any ([`Queue::await_jobs`]): the ledger keeps the question and answers it in
//! the transaction that makes jobs ready, so that a job that somebody is free for waits for one commit, not for two.

use std::{fmt, sync::Arc};

use super::{
    Job, Queue, QueueError,
    commit::Done,
    ledger::{Look, Op},
};
use crate::types::JobId;

/// What somebody who runs jobs could run now.
#[derive(Debug, Default)]
pub struct Wanted {
    /// How many.
    pub jobs: usize,
    /// Workspaces of whom no more can be taken: what is due of them goes into their outbox.
    pub no_room: Vec<String>,
}

/// Answers what is wanted now. Asked on the ledger's thread in the middle of a transaction: it must not block.
#[derive(Clone)]
pub struct Appetite(Arc<dyn Fn() -> Wanted + Send + Sync>);

impl Appetite {
    /// What `wanted` answers.
    pub fn new(wanted: impl Fn() -> Wanted + Send + Sync + 'static) -> Self {
        Self(Arc::new(wanted))
    }

    /// What is wanted by now.
    #[must_use]
    pub fn now(&self) -> Wanted {
        (self.0)()
    }
}

impl fmt::Debug for Appetite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Appetite").field(&self.now()).finish()
    }
}

/// Jobs that are this process's now.
#[derive(Debug, Default)]
pub struct Claimed {
    /// The most urgent first.
    pub jobs: Vec<Job>,
    /// Whether more may be due: as many came as there was appetite for.
    pub more: bool,
}

/// A wish for jobs.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) appetite: Appetite,
    /// Whether it waits until there are some.
    pub(super) stands: bool,
    /// Whether jobs may be due already, not only those that a transaction makes ready.
    pub(super) look: bool,
}

impl Queue {
    /// Takes up to `max` jobs that are due; this process holds them until it finishes them or dies.
    ///
    /// # Errors
    /// The database gave no answer, or windsock is stopping.
    pub async fn claim(&self, max: usize) -> Result<Vec<Job>, QueueError> {
        let claim = Claim {
            appetite: Appetite::new(move || Wanted {
                jobs: max,
                no_room: Vec::new(),
            }),
            stands: false,
            look: true,
        };
        Ok(self.submit_claim(Op::Claim(claim)).await?.jobs)
    }

    /// Takes jobs as soon as there are some, as many as `appetite` says by then. Answers nothing when there is no
    /// appetite any more. Without `look` only those count that become ready from now on in this process.
    ///
    /// Whoever drops the future may lose what it has just been given until its lease lapses: [`Queue::look`] has it
    /// answered once the appetite is gone.
    ///
    /// # Errors
    /// As [`Queue::claim`].
    pub async fn await_jobs(&self, appetite: Appetite, look: bool) -> Result<Claimed, QueueError> {
        let claim = Claim {
            appetite,
            stands: true,
            look,
        };
        self.submit_claim(Op::Claim(claim)).await
    }

    /// Has those who await jobs look for what is due: by its time, or by what other processes did.
    pub fn look(&self) {
        // A full mailbox: whoever awaits jobs looks again by itself.
        let _ = self.ledger.try_send(Look);
    }

    /// As [`Queue::claim`], one that each of these running jobs may be waiting for: they, or what they started, have
    /// started it. None while one of them waits for nothing.
    ///
    /// # Errors
    /// As [`Queue::claim`].
    pub async fn claim_below(&self, waiting: Vec<JobId>) -> Result<Vec<Job>, QueueError> {
        Ok(self.submit_claim(Op::ClaimBelow(waiting)).await?.jobs)
    }

    pub(super) async fn submit_claim(&self, op: Op) -> Result<Claimed, QueueError> {
        match self.submit(op).await? {
            Done::Claimed(claimed) => Ok(claimed),
            Done::Pushed
            | Done::Fenced
            | Done::Written
            | Done::Stale
            | Done::Canceled(_)
            | Done::Moved(_) => Ok(Claimed::default()),
        }
    }
}
