//! Actor `Ledger`: the one writer of the jobs tables in this process. Everybody who pushes, claims, finishes
//! or cancels sends it an [`Op`] through [`super::Queue`] and waits for the answer.
//!
//! It lives on a thread of its own, which every commit occupies: handing each to another thread and back would wake two
//! more of them between a message and its answer.
//!
//! Group commit without a timer: what came in while the last transaction ran goes into the next one, and
//! a lone operation is committed at once. So one `fdatasync` serves many messages under load, and a quiet
//! system adds no wait. How much can wait is bounded by those who wait for an answer: a trigger by its
//! permits, a worker by its slots, a request by the server's connections.
//!
//! When the database is away, pushes and results stay here and are tried again; nobody is told that
//! something is done before it is. A commit that nobody answered is asked after first (`doubt`).

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, Supervised, WrapFuture,
};
use tokio::sync::oneshot;

use super::{
    FlowChange, Job, Lane, NewJob, Outcome, QueueError, Stored,
    claim::Claim,
    commit::{self, Done},
    doubt::Doubt,
    held::Batch,
    outbox::Outbox,
    shared::Shared,
};
use crate::{
    config::Limits,
    db::{Conn, Pool},
    metrics::metrics,
    types::JobId,
};

/// Rows in one transaction: more would not commit cheaper (stack: flat from 1,000 on) but make others wait.
const ROWS_PER_COMMIT: usize = 2_000;
/// Operations that wait in the mailbox while a commit runs: more than those who wait for an answer send at once, so that
/// all of them come into the next one.
const MAILBOX: usize = 4_096;
/// First and longest wait before a failed commit is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Something to be written, and who waits for it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Submit(
    pub(super) Op,
    pub(super) oneshot::Sender<Result<Done, QueueError>>,
);

/// Somebody wants to stop a job that may run here.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct LookForCancellations;

/// Jobs may be due that no transaction of this process made ready.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Look;

/// What can be written.
#[derive(Debug)]
pub(super) enum Op {
    /// Adds jobs, and the values that their messages stored; under a fence number, if it still holds.
    Push(Vec<NewJob>, Option<Stored>, Option<i64>),
    /// Takes jobs that are due, now or when there are some.
    Claim(Claim),
    /// Takes one that these running ones may be waiting for.
    ClaimBelow(Vec<JobId>),
    /// Ends jobs this process holds.
    Finish(Vec<(Arc<Job>, Arc<Outcome>)>),
    /// Takes a flow on.
    Flow(Box<FlowChange>),
    /// Puts back jobs this process holds.
    GiveBack(Vec<JobId>),
    /// Moves jobs into an outbox or out of it.
    Outbox(Outbox),
    /// Adds a piece to a job's logs.
    Log(JobId, i32, String),
    /// Cancels a job.
    Cancel {
        workspace: String,
        id: JobId,
        by: String,
        reason: Option<String>,
    },
    /// Releases or discards held jobs.
    Held(Box<Batch>),
    /// Bounds a trigger's jobs.
    Bound {
        workspace: String,
        trigger_path: String,
        lane: Option<Lane>,
    },
    /// Keeps the leases of this process, takes those that lapsed, looks for wishes to cancel.
    Upkeep {
        /// Takes the jobs of all processes.
        everybody: bool,
        /// The first one of this process.
        first: bool,
    },
}

impl Op {
    /// How many rows it writes, at least about.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Push(jobs, ..) => jobs.len(),
            Self::Finish(jobs) => jobs.len(),
            Self::Flow(change) => change.rows(),
            Self::GiveBack(ids) => ids.len(),
            Self::Claim(claim) => claim.appetite.now().jobs,
            Self::Outbox(what) => what.rows(),
            Self::Held(batch) => batch.of.ids.as_ref().map_or(ROWS_PER_COMMIT, Vec::len),
            Self::ClaimBelow(_)
            | Self::Log(..)
            | Self::Cancel { .. }
            | Self::Bound { .. }
            | Self::Upkeep { .. } => 1,
        }
    }

    /// Whether it must not get lost when the database is away; the others are asked for again. What is not given back
    /// would stay with this process for ever: it renews the lease of all it holds.
    fn must_stay(&self) -> bool {
        match self {
            Self::Push(..)
            | Self::Finish(_)
            | Self::Flow(_)
            | Self::Log(..)
            | Self::GiveBack(_) => true,
            Self::Outbox(what) => matches!(what, Outbox::PutIn(_)),
            Self::Claim(_)
            | Self::ClaimBelow(_)
            | Self::Cancel { .. }
            | Self::Held(_)
            | Self::Bound { .. }
            | Self::Upkeep { .. } => false,
        }
    }
}

/// An operation and who waits for it.
pub(super) type Waiting = (Op, oneshot::Sender<Result<Done, QueueError>>);

/// See the file's documentation.
pub struct Ledger {
    pool: Pool,
    limits: Limits,
    shared: Arc<Shared>,
    waiting: VecDeque<Waiting>,
    /// Wishes for jobs that found none; each transaction that makes some ready takes them in.
    standing: Vec<Waiting>,
    /// Whether they are to look for what is due already.
    look: bool,
    /// What may have been committed: cleared up before anything else is.
    doubt: Option<Doubt>,
    /// Its own connection, when there is one.
    conn: Option<Conn>,
    /// Whether a commit is about to be made, or to be tried again.
    committing: bool,
    retry: Duration,
}

impl Ledger {
    /// A ledger on a connection of its own, opened with its first commit.
    #[must_use]
    pub(super) fn new(pool: Pool, limits: Limits, shared: Arc<Shared>) -> Self {
        Self {
            pool,
            limits,
            shared,
            waiting: VecDeque::new(),
            standing: Vec::new(),
            look: false,
            doubt: None,
            conn: None,
            committing: false,
            retry: RETRY.0,
        }
    }
}

impl Actor for Ledger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        // With SQLite this is the only process: what runs according to the file belongs to a dead one.
        let everybody = self.pool.is_sqlite();
        self.upkeep((everybody, true), ctx);
        ctx.run_interval(self.limits.job_lease_renewal, |ledger, ctx| {
            ledger.upkeep((false, false), ctx);
        });
    }
}

impl Supervised for Ledger {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.conn = None;
        self.committing = false;
    }
}

impl Handler<Submit> for Ledger {
    type Result = ();

    fn handle(&mut self, Submit(op, answer): Submit, ctx: &mut Self::Context) {
        self.waiting.push_back((op, answer));
        self.commit(ctx);
    }
}

impl Handler<LookForCancellations> for Ledger {
    type Result = ();

    fn handle(&mut self, _: LookForCancellations, ctx: &mut Self::Context) {
        self.upkeep((false, false), ctx);
    }
}

impl Handler<Look> for Ledger {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        self.look = true;
        self.look_for_jobs();
        self.commit(ctx);
    }
}

impl Ledger {
    /// Has standing wishes look, if they are to; one that is being committed does so after.
    fn look_for_jobs(&mut self) {
        if !self.look || self.standing.is_empty() {
            return;
        }
        self.look = false;
        for (mut op, answer) in self.standing.drain(..) {
            if let Op::Claim(claim) = &mut op {
                claim.look = true;
            }
            self.waiting.push_back((op, answer));
        }
    }

    fn upkeep(&mut self, (everybody, first): (bool, bool), ctx: &mut Context<Self>) {
        let waits = |(op, _): &Waiting| matches!(op, Op::Upkeep { .. });
        if first || !self.waiting.iter().any(waits) {
            let (answer, _) = oneshot::channel();
            let upkeep = Op::Upkeep { everybody, first };
            self.waiting.push_back((upkeep, answer));
            self.commit(ctx);
        }
    }

    /// Has what waits committed, once the mailbox is empty.
    fn commit(&mut self, ctx: &mut Context<Self>) {
        if self.committing || (self.waiting.is_empty() && self.doubt.is_none()) {
            return;
        }
        self.committing = true;
        // Timers of this thread get their turn as well.
        let turn = tokio::task::yield_now().into_actor(self);
        ctx.spawn(turn.map(|(), ledger, ctx| ledger.commit_now(ctx)));
    }

    /// Takes what waits into one transaction.
    fn commit_now(&mut self, ctx: &mut Context<Self>) {
        let mut batch = Vec::new();
        let mut rows = 0;
        while let Some(next) = self.waiting.front() {
            if !batch.is_empty() && rows + next.0.rows() > ROWS_PER_COMMIT {
                break;
            }
            rows += next.0.rows();
            batch.extend(self.waiting.pop_front());
        }
        // Whoever asked may have gone.
        self.standing.retain(|(_, answer)| !answer.is_closed());
        batch.append(&mut self.standing);
        let (conn, doubt) = (self.conn.take(), self.doubt.take());
        let with = (&self.pool, &*self.shared, &self.limits);
        let work = AssertUnwindSafe(|| commit::run(conn, with, doubt, batch));
        if let Ok(result) = catch_unwind(work) {
            self.committed(result, ctx);
        } else {
            log::error!("windsock itself failed over a commit; its operations are dropped");
            self.committing = false;
            self.commit(ctx);
        }
    }

    fn committed(&mut self, result: commit::Committed, ctx: &mut Context<Self>) {
        self.conn = result.conn;
        self.standing = result.standing;
        self.look_for_jobs();
        let Some(error) = result.failure else {
            self.retry = RETRY.0;
            self.shared.database_is(None);
            self.committing = false;
            self.commit(ctx);
            return;
        };
        self.shared.database_is(Some(error.to_string()));
        metrics().commit_failures.inc();
        self.doubt = result.doubt;
        for waiting in result.undone.into_iter().rev() {
            if waiting.0.must_stay() {
                self.waiting.push_front(waiting);
            } else {
                let away = crate::db::DbError::Unreachable(error.to_string());
                // Whoever asked may have gone.
                let _ = waiting.1.send(Err(QueueError::Database(away)));
            }
        }
        ctx.run_later(self.retry, |ledger, ctx| {
            ledger.committing = false;
            ledger.commit(ctx);
        });
        self.retry = (self.retry * 2).min(RETRY.1);
    }
}
