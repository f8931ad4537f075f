//! One group commit: the operations that waited, in one transaction, and the news of it afterwards.
//! Runs on a thread that may block; owned by [`super::ledger`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Canceled, Finished, Job, Outcome, QueueError,
    cancel::cancel,
    claim,
    doubt::{Doubt, Work},
    ended::completed,
    failure, flow, held,
    lanes::Lanes,
    ledger::{Op, Waiting},
    measure::measure,
    news::News,
    others,
    prepare::{NewRows, prepare},
    rows::refuse_known,
    shared::Shared,
};
use crate::{
    config::Limits,
    db::{
        self, Conn, DbError, Pool,
        queue::{self, CompletedRow},
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

/// How a batch went.
pub(super) struct Committed {
    /// The connection, while it is good.
    pub(super) conn: Option<Conn>,
    /// Why the database failed; what was not done is in `undone` then.
    pub(super) failure: Option<DbError>,
    /// A transaction that may have been committed; it comes before what is undone.
    pub(super) doubt: Option<Doubt>,
    /// Operations that can be tried again, in their order.
    pub(super) undone: Vec<Waiting>,
}

impl Committed {
    fn failed(failure: DbError, doubt: Option<Doubt>, undone: Vec<Waiting>) -> Self {
        Self {
            conn: None,
            failure: Some(failure),
            doubt,
            undone,
        }
    }
}

/// Why a transaction failed.
enum Failed {
    /// It is undone.
    Undone(DbError),
    /// Its end was not answered.
    InDoubt(DbError, Box<Work>),
}

/// Commits `batch` in one transaction, on `conn` or a new connection, and answers everybody. When a row of
/// it is refused, each operation gets a transaction of its own, so that one bad job harms no other. What an earlier
/// one left in `doubt` is cleared up first.
pub(super) fn run(
    conn: Option<Conn>,
    (pool, shared, limits): (&Pool, &Shared, &Limits),
    doubt: Option<Doubt>,
    mut batch: Vec<Waiting>,
) -> Committed {
    let mut conn = match conn.map_or_else(|| pool.connect(), Ok) {
        Ok(conn) => conn,
        Err(error) => return Committed::failed(error, doubt, batch),
    };
    let scope = Scope { shared, limits };
    if let Some(doubt) = doubt {
        match doubt.was_committed(&mut conn, shared) {
            Err(error) => return Committed::failed(error, Some(doubt), batch),
            Ok(true) => {
                let Doubt { batch, work } = doubt;
                let dones = scope.conclude(&batch, *work);
                answer(batch, dones);
            }
            Ok(false) => batch.splice(0..0, doubt.batch).for_each(drop),
        }
    }
    // Results first, so that a slot is free; claims last, so that they see what came in with them.
    batch.sort_by_key(|(op, _)| match op {
        Op::Finish(_) | Op::Flow(_) | Op::Log(..) => 0,
        Op::Push(..)
        | Op::GiveBack(_)
        | Op::Cancel { .. }
        | Op::Held(_)
        | Op::Bound { .. }
        | Op::Upkeep { .. } => 1,
        Op::Outbox(_) | Op::Claim(..) | Op::ClaimBelow(_) => 2,
    });
    match scope.transact(&mut conn, &batch) {
        Ok(dones) => answer(batch, dones),
        Err(Failed::Undone(error)) if error.is_the_rows_fault() => {
            return scope.one_by_one(conn, batch);
        }
        Err(Failed::Undone(error)) => return Committed::failed(error, None, batch),
        Err(Failed::InDoubt(error, work)) => {
            let doubt = Some(Doubt { batch, work });
            return Committed::failed(error, doubt, Vec::new());
        }
    }
    Committed {
        conn: Some(conn),
        failure: None,
        doubt: None,
        undone: Vec::new(),
    }
}

fn answer(batch: Vec<Waiting>, dones: Vec<Done>) {
    for ((_, answer), done) in batch.into_iter().zip(dones) {
        // Whoever asked may have gone.
        let _ = answer.send(Ok(done));
    }
}

struct Scope<'a> {
    shared: &'a Shared,
    limits: &'a Limits,
}

impl Scope<'_> {
    /// Gives each operation a transaction of its own.
    fn one_by_one(&self, mut conn: Conn, batch: Vec<Waiting>) -> Committed {
        let mut rest = batch.into_iter();
        while let Some(waiting) = rest.next() {
            let single = std::slice::from_ref(&waiting);
            match self.transact(&mut conn, single) {
                Ok(mut dones) => {
                    let _ = waiting.1.send(Ok(dones.pop().unwrap_or(Done::Written)));
                }
                Err(Failed::Undone(error)) if error.is_the_rows_fault() => {
                    let refused = QueueError::Refused(error.to_string());
                    let _ = waiting.1.send(Err(refused));
                }
                Err(Failed::Undone(error)) => {
                    let undone = std::iter::once(waiting).chain(rest).collect();
                    return Committed::failed(error, None, undone);
                }
                Err(Failed::InDoubt(error, work)) => {
                    let batch = vec![waiting];
                    let doubt = Some(Doubt { batch, work });
                    return Committed::failed(error, doubt, rest.collect());
                }
            }
        }
        Committed {
            conn: Some(conn),
            failure: None,
            doubt: None,
            undone: Vec::new(),
        }
    }

    fn transact(&self, conn: &mut Conn, batch: &[Waiting]) -> Result<Vec<Done>, Failed> {
        let begun = Instant::now();
        let mut worked = None;
        let outcome = db::transaction(conn, |conn| {
            worked = Some(self.work(conn, batch, begun)?);
            Ok(())
        });
        match (outcome, worked) {
            (Ok(()), Some(work)) => Ok(self.conclude(batch, work)),
            (Ok(()), None) => Err(Failed::Undone(DbError::Lost)),
            (Err(error), Some(work)) if work.is_noted() => {
                Err(Failed::InDoubt(error, Box::new(work)))
            }
            (Err(error), _) => Err(Failed::Undone(error)),
        }
    }

    /// Everything between the begin and the end of a transaction.
    fn work(&self, conn: &mut Conn, batch: &[Waiting], begun: Instant) -> Result<Work, DbError> {
        let mut news = News::default();
        let mut lanes = Lanes::default();
        let mut new_rows = prepare(conn, batch, &mut lanes)?;
        for (rows, _) in new_rows.iter_mut().flatten() {
            others::mark_awaited(self.shared, rows);
        }
        let mut dones = Vec::with_capacity(batch.len());
        for ((op, _), new_rows) in batch.iter().zip(new_rows) {
            if matches!(op, Op::Claim(..) | Op::ClaimBelow(_)) {
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
        Work::note(conn, self.shared, (batch, dones), (news, begun))
    }

    /// Tells what a committed transaction did.
    fn conclude(&self, batch: &[Waiting], work: Work) -> Vec<Done> {
        measure(&work.news.ended, work.begun, batch);
        work.news.publish(self.shared);
        work.dones
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
            Op::Claim(..) | Op::ClaimBelow(_) => {
                let jobs = claim::apply(conn, (worker, self.limits), op)?;
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
            Op::Outbox(what) => what.apply(conn, (worker, self.limits), news),
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
}
