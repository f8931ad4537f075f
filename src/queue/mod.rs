//! THE SEAM between listening and running: jobs go in durably, come out leased, end once.
//!
//! [`Queue`] is the handle everybody holds. Every write to the jobs tables of this process goes through the
//! `ledger`, which puts whatever waits into one transaction. Who moves which state:
//! `push` → queued (or held, or waiting for its turn: `lanes`) · `claim` → running, leased to a worker · `finish` → completed ·
//! a failed run → waits for the next, or its error handler is called (`failure`) ·
//! a lapsed lease → queued again, failed after three lost workers · `cancel` → completed, or a flag the
//! worker sees. What a user may count on: contract section 4.

mod apply;
mod cancel;
mod claim;
mod commit;
mod concurrency;
mod doubt;
mod ended;
mod failure;
mod flow;
mod given;
mod held;
mod job;
mod lanes;
mod ledger;
mod measure;
mod news;
mod options;
mod others;
mod outbox;
mod prepare;
mod retention;
mod retry;
mod rows;
mod shared;
mod stamp;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use actix::{Addr, Message, Recipient, Supervisor};
use tokio::sync::{Notify, broadcast, oneshot};

pub(crate) use self::retention::{choose as choose_retention, chosen as chosen_retention};
pub(crate) use self::stamp::script_envs;
pub use self::{
    claim::{Appetite, Claimed, Wanted},
    concurrency::ConcurrencyLimit,
    failure::retry_condition,
    flow::{Ended, FlowChange, RunState, Wish},
    given::{given, given_in, is_reference, references_in, refers},
    held::{Held, Release},
    job::{
        Args, Finished, Job, JobEvent, JobState, Lane, MAX_DEPTH, NewJob, Outcome,
        PRIORITY_CONNECT, Runnable, StepRunnable, Stored, kind_of,
    },
    ledger::Ledger,
    options::{ErrorHandler, Options},
    others::{CANCEL, JOBS, REPLIES},
    retention::{keep_erasing, keep_pruning},
    retry::{Constant, Exponential, RetryIf, RetryPolicy},
    rows::{is_event, new_row, park_row},
    shared::Cancellation,
};
use self::{
    commit::Done,
    ledger::{Op, Submit},
    shared::Shared,
};
use crate::{
    config::Limits,
    db::{self, DbError, Pool},
    types::JobId,
};

/// How often a job that another process may run is looked for by those who wait for its end, in case its word was
/// missed.
const POLL_ELSEWHERE: Duration = Duration::from_secs(1);
/// How long a request waits for its own write: past it the caller is told, not kept.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Tells whoever holds the connections which jobs ended that owe an answer.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct JobFinished(pub Vec<Finished>);

/// Why the queue did not take or give something.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The job itself was refused; nothing of it was kept.
    #[error("the job was refused: {0}")]
    Refused(String),
    /// The database gave no answer.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The process is stopping.
    #[error("the queue is closed: windsock is stopping")]
    Closed,
    /// The trigger they came from listens on another server by now: nothing of it was kept.
    #[error("this server was taken for dead, another one listens by now")]
    Fenced,
    /// No answer within the time given.
    #[error("no answer from the database within {0:?}")]
    TooSlow(Duration),
}

/// What became of a wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canceled {
    /// It had not started: it is completed as canceled.
    BeforeItRan,
    /// It runs: its worker has been told.
    WhileRunning,
    /// It had ended already.
    TooLate,
    /// There is no such job in the workspace.
    NotFound,
}

/// What the name under which a process holds jobs begins with; its own name follows.
pub const WORKER: &str = "wk-";

/// The handle to the queue. Cheap to clone; every clone is the same queue.
#[derive(Clone)]
pub struct Queue {
    ledger: Addr<Ledger>,
    pool: Pool,
    shared: Arc<Shared>,
}

impl Queue {
    /// Starts the ledger on the thread of `arbiter`, which its commits occupy; `worker` is the name this process holds
    /// jobs under.
    #[must_use]
    pub fn start(
        pool: Pool,
        limits: Limits,
        worker: String,
        arbiter: &actix_rt::ArbiterHandle,
    ) -> Self {
        let shared = Arc::new(Shared::new(worker));
        let (ledger_pool, ledger_shared) = (pool.clone(), Arc::clone(&shared));
        let ledger = Supervisor::start_in_arbiter(arbiter, move |_| {
            Ledger::new(ledger_pool, limits, ledger_shared)
        });
        Self {
            ledger,
            pool,
            shared,
        }
    }

    async fn submit(&self, op: Op) -> Result<Done, QueueError> {
        let (answer, done) = oneshot::channel();
        self.ledger
            .send(Submit(op, answer))
            .await
            .map_err(|_| QueueError::Closed)?;
        done.await.map_err(|_| QueueError::Closed)?
    }

    /// Adds jobs; they are committed when this returns. While the database is away it waits: whoever
    /// must not, puts a timeout around it ([`Queue::push_soon`]).
    ///
    /// # Errors
    /// The jobs themselves were refused (an id that stands already), or windsock is stopping.
    pub async fn push(&self, jobs: Vec<NewJob>) -> Result<(), QueueError> {
        self.submit(Op::Push(jobs, None, None)).await.map(|_| ())
    }

    /// Adds the jobs of a trigger's messages, and what those messages stored: both or neither. `fence` is the number
    /// under which the trigger's lease was taken; it is checked in the transaction that commits them.
    ///
    /// # Errors
    /// As [`Queue::push`], and [`QueueError::Fenced`].
    pub async fn push_leased(
        &self,
        jobs: Vec<NewJob>,
        stored: Option<Stored>,
        fence: i64,
    ) -> Result<(), QueueError> {
        match self.submit(Op::Push(jobs, stored, Some(fence))).await? {
            Done::Fenced => Err(QueueError::Fenced),
            Done::Pushed
            | Done::Written
            | Done::Stale
            | Done::Claimed(_)
            | Done::Canceled(_)
            | Done::Moved(_) => Ok(()),
        }
    }

    /// Adds jobs for a request, which is told when the database does not answer within 20 s.
    ///
    /// # Errors
    /// As [`Queue::push`], and [`QueueError::TooSlow`]: the jobs may then still be committed later.
    pub async fn push_soon(&self, jobs: Vec<NewJob>) -> Result<(), QueueError> {
        tokio::time::timeout(REQUEST_TIMEOUT, self.push(jobs))
            .await
            .map_err(|_| QueueError::TooSlow(REQUEST_TIMEOUT))?
    }

    /// Ends jobs this process holds; their results are committed when this returns. A job that was taken
    /// from this process meanwhile (its lease lapsed) is left to whoever has it now.
    ///
    /// # Errors
    /// windsock is stopping.
    pub async fn finish(
        &self,
        done: Vec<(impl Into<Arc<Job>>, Outcome)>,
    ) -> Result<(), QueueError> {
        let done = done
            .into_iter()
            .map(|(job, outcome)| (job.into(), Arc::new(outcome)))
            .collect();
        self.submit(Op::Finish(done)).await.map(|_| ())
    }

    /// Takes a flow on; committed when this returns. Answers whether it was: not, when what the change was made
    /// from has changed meanwhile.
    ///
    /// # Errors
    /// A row of it was refused, or windsock is stopping.
    pub async fn advance(&self, change: FlowChange) -> Result<bool, QueueError> {
        let done = self.submit(Op::Flow(Box::new(change))).await?;
        Ok(!matches!(done, Done::Stale))
    }

    /// Puts back jobs this process holds and has not begun.
    ///
    /// # Errors
    /// The database gave no answer; the jobs come back when their lease lapses.
    pub async fn give_back(&self, ids: Vec<JobId>) -> Result<(), QueueError> {
        self.submit(Op::GiveBack(ids)).await.map(|_| ())
    }

    /// Adds a piece to the logs of a running job; pieces count from [`Queue::first_piece`] upwards.
    ///
    /// # Errors
    /// The piece stands already, or windsock is stopping.
    pub async fn append_log(&self, id: JobId, piece: i32, text: String) -> Result<(), QueueError> {
        self.submit(Op::Log(id, piece, text)).await.map(|_| ())
    }

    /// The number of the first log piece of this run of `job`; the last one belongs to [`Queue::finish`].
    #[must_use]
    pub fn first_piece(job: &Job) -> i32 {
        failure::first_piece(job)
    }

    /// Bounds how many jobs of a trigger run at once, also of those that wait already; none = no bound any more.
    ///
    /// # Errors
    /// The database gave no answer, or not within 20 s.
    pub async fn bound(
        &self,
        workspace: &str,
        trigger_path: &str,
        lane: Option<Lane>,
    ) -> Result<(), QueueError> {
        let bound = Op::Bound {
            workspace: workspace.to_owned(),
            trigger_path: trigger_path.to_owned(),
            lane,
        };
        tokio::time::timeout(REQUEST_TIMEOUT, self.submit(bound))
            .await
            .map_err(|_| QueueError::TooSlow(REQUEST_TIMEOUT))?
            .map(|_| ())
    }

    /// Cancels a job: at once when it waits, through its worker when it runs.
    ///
    /// # Errors
    /// The database gave no answer.
    pub async fn cancel(
        &self,
        workspace: &str,
        id: JobId,
        by: &str,
        reason: Option<String>,
    ) -> Result<Canceled, QueueError> {
        let cancel = Op::Cancel {
            workspace: workspace.to_owned(),
            id,
            by: by.to_owned(),
            reason,
        };
        match self.submit(cancel).await? {
            Done::Canceled(canceled) => Ok(canceled),
            Done::Pushed
            | Done::Fenced
            | Done::Written
            | Done::Stale
            | Done::Claimed(_)
            | Done::Moved(_) => Ok(Canceled::NotFound),
        }
    }

    /// Waits for the end of a job. Call it before the job is pushed and nothing is missed; the future
    /// starts to watch when it is made, not when it is polled.
    ///
    /// # Errors
    /// The database gave no answer (PostgreSQL), or windsock is stopping.
    pub fn wait(&self, id: JobId) -> impl Future<Output = Result<Finished, QueueError>> + use<> {
        let (sender, here) = oneshot::channel();
        self.shared
            .waiters
            .lock()
            .entry(id)
            .or_default()
            .push(sender);
        let mut waiting = Waiter {
            shared: Arc::clone(&self.shared),
            id,
            here,
        };
        let pool = self.pool.clone();
        async move {
            loop {
                let ended = tokio::time::timeout(POLL_ELSEWHERE, &mut waiting.here);
                if let Ok(ended) = ended.await {
                    return ended.map_err(|_| QueueError::Closed);
                }
                if !pool.is_sqlite()
                    && let Some(ended) = pool.run(move |conn| ended::owed(conn, id)).await?
                {
                    return Ok(ended);
                }
            }
        }
    }

    /// Whether a job is due.
    ///
    /// # Errors
    /// The database gave no answer.
    pub async fn any_due(&self) -> Result<bool, QueueError> {
        let now = crate::types::Timestamp::now();
        Ok(self
            .pool
            .run(move |conn| db::queue::any_due(conn, now))
            .await?)
    }

    /// Rings after each commit that made jobs ready.
    #[must_use]
    pub fn ready(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.ready)
    }

    /// News of jobs in this process, for people who watch.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<JobEvent> {
        self.shared.events.subscribe()
    }

    /// Running jobs of this process that somebody wants to stop; repeated until they have stopped.
    #[must_use]
    pub fn cancellations(&self) -> broadcast::Receiver<Cancellation> {
        self.shared.cancellations.subscribe()
    }

    /// Sends the results that owe an answer on a connection to `recipient`, once they are committed.
    pub fn send_replies_to(&self, recipient: Recipient<JobFinished>) {
        *self.shared.replies.lock() = Some(recipient);
    }

    /// The name this process holds jobs under.
    #[must_use]
    pub fn worker(&self) -> &str {
        &self.shared.worker
    }

    /// Why jobs cannot be committed at the moment, if so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.failure.lock().clone()
    }
}

/// Takes its entry out of the waiters when nobody waits any more.
struct Waiter {
    shared: Arc<Shared>,
    id: JobId,
    here: oneshot::Receiver<Finished>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.here.close();
        let mut waiters = self.shared.waiters.lock();
        if let Some(senders) = waiters.get_mut(&self.id) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                waiters.remove(&self.id);
            }
        }
    }
}
