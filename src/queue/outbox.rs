//! The outbox: jobs of workspaces that are linked to a Windmill, beyond those that are under way to it. They wait apart,
//! so that claims of everybody else's jobs never walk over them; the runner fetches them when there is room.

use super::{Job, Queue, QueueError, claim::Claimed, commit::Done, ledger::Op, news::News};
use crate::{
    config::Limits,
    db::{Conn, DbError, outbox},
    types::{JobId, Timestamp},
};

/// How often the head of the queue is cleared with one claim: the next one goes on.
const CLEARED: usize = 10;

/// What is done to the outbox.
#[derive(Debug)]
pub(super) enum Outbox {
    /// Jobs this process holds go in.
    PutIn(Vec<JobId>),
    /// Up to so many of a workspace are this process's now.
    Claim(String, usize),
    /// Those of a workspace are run here after all.
    Release(String),
}

impl Outbox {
    /// How many rows it writes, at least about.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::PutIn(ids) => ids.len(),
            Self::Claim(_, max) => *max,
            Self::Release(_) => 1_000,
        }
    }

    pub(super) fn apply(
        &self,
        conn: &mut Conn,
        (worker, limits): (&str, &Limits),
        news: &mut News,
    ) -> Result<Done, DbError> {
        match self {
            Self::PutIn(ids) => {
                outbox::put_in(conn, worker, ids)?;
                Ok(Done::Written)
            }
            Self::Claim(workspace, max) => {
                let now = Timestamp::now();
                let times = (now, now.plus(limits.job_lease));
                let jobs = outbox::claim(conn, worker, (workspace, *max), times)?;
                news.running.extend(jobs.iter().cloned());
                Ok(Done::Claimed(Claimed { jobs, more: false }))
            }
            Self::Release(workspace) => {
                news.ready |= outbox::release(conn, workspace)? > 0;
                Ok(Done::Written)
            }
        }
    }
}

/// Clears the head of the queue of what is due of these workspaces.
pub(super) fn make_way(
    conn: &mut Conn,
    workspaces: &[String],
    now: Timestamp,
) -> Result<(), DbError> {
    for workspace in workspaces {
        let mut left = CLEARED;
        while left > 0 && outbox::make_way(conn, workspace, now)? {
            left -= 1;
        }
    }
    Ok(())
}

impl Queue {
    /// Takes up to `max` jobs of a workspace's outbox.
    ///
    /// # Errors
    /// As [`Queue::claim`].
    pub async fn claim_outbox(
        &self,
        workspace: String,
        max: usize,
    ) -> Result<Vec<Job>, QueueError> {
        let claim = Op::Outbox(Outbox::Claim(workspace, max));
        Ok(self.submit_claim(claim).await?.jobs)
    }

    /// Puts jobs this process holds and has not sent into their outbox.
    ///
    /// # Errors
    /// The database gave no answer; the jobs come back when their lease lapses.
    pub async fn put_in_outbox(&self, ids: Vec<JobId>) -> Result<(), QueueError> {
        self.submit(Op::Outbox(Outbox::PutIn(ids)))
            .await
            .map(|_| ())
    }

    /// Makes the jobs of a workspace's outbox ready to run here.
    ///
    /// # Errors
    /// The database gave no answer, or windsock is stopping.
    pub async fn release_outbox(&self, workspace: String) -> Result<(), QueueError> {
        self.submit(Op::Outbox(Outbox::Release(workspace)))
            .await
            .map(|_| ())
    }

    /// The workspaces whose outbox holds something.
    ///
    /// # Errors
    /// The database gave no answer.
    pub async fn outboxes(&self) -> Result<Vec<String>, QueueError> {
        Ok(self.pool.run(outbox::workspaces).await?)
    }
}
