//! One group commit: the operations that waited, in one transaction, and the news of it afterwards.
//! Runs on a thread that may block; owned by [`super::ledger`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Canceled, Finished, Job, JobFinished, JobState, Outcome, QueueError,
    cancel::cancel,
    ended::completed,
    failure, flow, held,
    lanes::Lanes,
    ledger::{Op, Waiting},
    measure::measure,
    others,
    prepare::{NewRows, prepare},
    rows::refuse_known,
    shared::{Cancellation, Shared},
};
use crate::{
    config::Limits,
    db::{
        self, Conn, DbError, Pool,
        queue::{self, CompletedRow, QUEUED},
        vars,
    },
    types::Timestamp,
};

/// Lapsed jobs taken back in one go; the rest follows with the next upkeep.
const REQUEUE_AT_ONCE: i64 = 1_000;

/// What an operation did.
#[derive(Debug)]
pub(super) enum Done {
    /// The jobs are in the queue.
    Pushed,
    /// These jobs are this process's now.
    Claimed(Vec<Job>),
    /// Another server listens by now: nothing of it is kept.
    Fenced,
    /// It is written.
    Written,
    /// What became of the wish to cancel.
    Canceled(Canceled),
    /// So many held jobs were released or discarded.
    Moved(usize),
    /// Nothing was written: what it was made from has changed.
    Stale,
}

/// How often claims look for jobs of lanes whose time has come.
const WAKE_EVERY: Duration = Duration::from_millis(100);

/// What happened in a transaction that others want to know once it is committed.
#[derive(Default)]
pub(super) struct News {
    /// Jobs that waited in a lane, or for their steps, are ready now.
    pub(super) ready: bool,
    pub(super) queued: Vec<Job>,
    running: Vec<Job>,
    pub(super) ended: Vec<Finished>,
    /// Flows that gave their answer and go on.
    pub(super) answered: Vec<Finished>,
    pub(super) cancellations: Vec<Cancellation>,
    /// A running job was flagged to be stopped; its worker may be another process.
    pub(super) flagged: bool,
    /// Fence numbers that were checked in this transaction, and whether they hold.
    pub(super) fences: Vec<(i64, bool)>,
}

/// How a batch went.
pub(super) struct Committed {
    /// The connection, while it is good.
    pub(super) conn: Option<Conn>,
    /// Why the database failed; what was not done is in `undone` then.
    pub(super) failure: Option<DbError>,
    /// Operations that can be tried again, in their order.
    pub(super) undone: Vec<Waiting>,
}

/// Commits `batch` in one transaction, on `conn` or a new connection, and answers everybody. When a row of
/// it is refused, each operation gets a transaction of its own, so that one bad job harms no other.
pub(super) fn run(
    conn: Option<Conn>,
    pool: &Pool,
    shared: &Shared,
    limits: &Limits,
    mut batch: Vec<Waiting>,
) -> Committed {
    let failed = |failure, undone| Committed {
        conn: None,
        failure: Some(failure),
        undone,
    };
    let mut conn = match conn.map_or_else(|| pool.connect(), Ok) {
        Ok(conn) => conn,
        Err(error) => return failed(error, batch),
    };
    // Results first, so that a slot is free; claims last, so that they see what came in with them.
    batch.sort_by_key(|(op, _)| match op {
        Op::Finish(_) | Op::Flow(_) | Op::Log(..) => 0,
        Op::Push(..)
        | Op::GiveBack(_)
        | Op::Cancel { .. }
        | Op::Held(_)
        | Op::Bound { .. }
        | Op::Upkeep { .. } => 1,
        Op::Claim(_) => 2,
    });
    let scope = Scope { shared, limits };
    match scope.transact(&mut conn, &batch) {
        Ok(dones) => {
            for ((_, answer), done) in batch.into_iter().zip(dones) {
                // Whoever asked may have gone.
                let _ = answer.send(Ok(done));
            }
        }
        Err(error) if error.is_the_rows_fault() => {
            let mut rest = batch.into_iter();
            while let Some(waiting) = rest.next() {
                let single = std::slice::from_ref(&waiting);
                match scope.transact(&mut conn, single) {
                    Ok(mut dones) => {
                        let _ = waiting.1.send(Ok(dones.pop().unwrap_or(Done::Written)));
                    }
                    Err(error) if error.is_the_rows_fault() => {
                        let refused = QueueError::Refused(error.to_string());
                        let _ = waiting.1.send(Err(refused));
                    }
                    Err(error) => {
                        let undone = std::iter::once(waiting).chain(rest).collect();
                        return failed(error, undone);
                    }
                }
            }
        }
        Err(error) => return failed(error, batch),
    }
    Committed {
        conn: Some(conn),
        failure: None,
        undone: Vec::new(),
    }
}

struct Scope<'a> {
    shared: &'a Shared,
    limits: &'a Limits,
}

impl Scope<'_> {
    fn transact(&self, conn: &mut Conn, batch: &[Waiting]) -> Result<Vec<Done>, DbError> {
        let mut news = News::default();
        let begun = Instant::now();
        let dones = db::transaction(conn, |conn| {
            let mut lanes = Lanes::default();
            let mut new_rows = prepare(conn, batch, &mut lanes)?;
            for (rows, _) in new_rows.iter_mut().flatten() {
                others::mark_awaited(self.shared, rows);
            }
            let mut dones = Vec::with_capacity(batch.len());
            for ((op, _), new_rows) in batch.iter().zip(new_rows) {
                if matches!(op, Op::Claim(_)) {
                    self.settle(conn, &mut lanes, &mut news)?;
                }
                dones.push(if others::is_fenced(conn, op, &mut news)? {
                    Done::Fenced
                } else {
                    self.apply(conn, (op, new_rows), &mut lanes, &mut news)?
                });
            }
            news.ready |= lanes.fill(conn, Timestamp::now())?;
            if let Some(presence) = self.shared.presence.get() {
                others::tell(conn, presence, &news)?;
            }
            Ok(dones)
        })?;
        measure(&news.ended, begun, batch);
        self.publish(news);
        Ok(dones)
    }

    /// Makes ready what has become so, before jobs are claimed.
    fn settle(&self, conn: &mut Conn, lanes: &mut Lanes, news: &mut News) -> Result<(), DbError> {
        let now = Timestamp::now();
        let due = {
            let mut woke = self.shared.woke.lock();
            let due = woke.is_none_or(|woke| woke.elapsed() >= WAKE_EVERY);
            if due {
                *woke = Some(Instant::now());
            }
            due
        };
        if due {
            news.ready |= lanes.wake(conn, now)?;
        }
        news.ready |= lanes.fill(conn, now)?;
        Ok(())
    }

    fn apply(
        &self,
        conn: &mut Conn,
        (op, new_rows): (&Op, NewRows),
        lanes: &mut Lanes,
        news: &mut News,
    ) -> Result<Done, DbError> {
        let worker = self.shared.worker.as_str();
        match op {
            Op::Push(jobs, stored, _) => {
                let (mut rows, limits) = new_rows.unwrap_or_default();
                refuse_known(conn, jobs)?;
                lanes.place(conn, jobs, &mut rows, &limits)?;
                queue::insert(conn, &rows)?;
                if let Some(stored) = stored {
                    vars::store(conn, &stored.workspace, &stored.path, &stored.values)?;
                }
                news.queued.extend(rows);
                Ok(Done::Pushed)
            }
            Op::Claim(max) => {
                let now = Timestamp::now();
                let lease = now.plus(self.limits.job_lease);
                let jobs = queue::claim(conn, worker, *max, now, lease)?;
                if self.shared.events.receiver_count() > 0 {
                    news.running.extend(jobs.iter().cloned());
                }
                Ok(Done::Claimed(jobs))
            }
            Op::Finish(jobs) => {
                self.finish(conn, jobs, lanes, news)?;
                Ok(Done::Written)
            }
            Op::Flow(change) => {
                let new_rows = new_rows.unwrap_or_default();
                flow::apply(conn, worker, change, new_rows, (lanes, news))
            }
            Op::GiveBack(ids) => {
                queue::give_back(conn, worker, ids)?;
                Ok(Done::Written)
            }
            Op::Log(id, piece, text) => {
                queue::insert_log(conn, *id, *piece, text)?;
                Ok(Done::Written)
            }
            Op::Cancel {
                workspace,
                id,
                by,
                reason,
            } => {
                let wish = (*id, by.clone(), reason.clone());
                cancel(conn, workspace, wish, lanes, news)
            }
            Op::Held(batch) => Ok(Done::Moved(held::apply(conn, batch, lanes, news)?)),
            Op::Bound {
                workspace,
                trigger_path,
                lane,
            } => {
                lanes.bound(conn, (workspace, trigger_path), *lane)?;
                Ok(Done::Written)
            }
            Op::Upkeep { everybody, first } => self.upkeep(conn, (*everybody, *first), lanes, news),
        }
    }

    fn finish(
        &self,
        conn: &mut Conn,
        jobs: &[(Arc<Job>, Arc<Outcome>)],
        lanes: &mut Lanes,
        news: &mut News,
    ) -> Result<(), DbError> {
        let worker = self.shared.worker.as_str();
        let now = Timestamp::now();
        let mut ends = Vec::with_capacity(jobs.len());
        for end in jobs {
            if !failure::run_again(conn, worker, (&end.0, &end.1), lanes, news)? {
                ends.push(end);
            }
        }
        let rows: Vec<CompletedRow> = ends
            .iter()
            .map(|(job, outcome)| completed(job, outcome, now))
            .collect();
        let held = queue::finish(conn, worker, &rows)?;
        for (job, outcome) in &ends {
            if held.len() == ends.len() || held.contains(&job.id) {
                if !outcome.logs.is_empty() {
                    queue::insert_log(conn, job.id, failure::last_piece(job), &outcome.logs)?;
                }
                lanes.ended(conn, job)?;
                failure::call_handler(conn, job, outcome, lanes, news)?;
                news.ended.push(Finished {
                    job: Arc::clone(job),
                    outcome: Arc::clone(outcome),
                });
            }
        }
        Ok(())
    }

    fn upkeep(
        &self,
        conn: &mut Conn,
        (everybody, first): (bool, bool),
        lanes: &mut Lanes,
        news: &mut News,
    ) -> Result<Done, DbError> {
        let worker = self.shared.worker.as_str();
        let now = Timestamp::now();
        if first {
            db::lanes::wake_all(conn, now)?;
        }
        if !everybody {
            queue::renew(conn, worker, now.plus(self.limits.job_lease))?;
            news.cancellations.extend(queue::flagged(conn, worker)?);
        }
        for job in queue::requeue_lost(conn, now, everybody, REQUEUE_AT_ONCE)? {
            if job.lost < self.limits.lost_workers {
                news.queued.push(job);
                continue;
            }
            let message = format!("the job has lost {} workers and is not run again", job.lost);
            let outcome = Outcome::failed("WorkersLost", &message, now);
            failure::give_up(conn, (job, outcome), lanes, news)?;
        }
        flow::wake_due(conn, now, news)?;
        Ok(Done::Written)
    }

    fn publish(&self, news: News) {
        for job in &news.queued {
            self.shared.tell(job, JobState::Queued);
        }
        for job in &news.running {
            self.shared.tell(job, JobState::Running);
        }
        if news.ready || news.queued.iter().any(|job| job.state == QUEUED) {
            self.shared.ready.notify_one();
        }
        let mut replies = self.shared.answered(&news.answered);
        replies.extend(self.shared.ended(&news.ended));
        if !replies.is_empty()
            && let Some(recipient) = &*self.shared.replies.lock()
        {
            // Not bounded by the mailbox but by the jobs that workers hold, and who gets it only passes it on.
            recipient.do_send(JobFinished(replies));
        }
        for cancellation in news.cancellations {
            // An error only says that no worker listens.
            let _ = self.shared.cancellations.send(cancellation);
        }
    }
}
