//! One group commit: the operations that waited, in one transaction, and the news of it afterwards.
//! Runs on a thread that may block; owned by [`super::ledger`].

use std::time::Instant;

use super::{
    Canceled, QueueError,
    claim::Claimed,
    doubt::{self, Doubt, Work},
    lanes::Lanes,
    ledger::{Op, Waiting},
    measure::measure,
    news::News,
    others,
    prepare::prepare,
    shared::Shared,
};
use crate::{
    config::Limits,
    db::{self, Conn, DbError, Pool},
    types::Timestamp,
};

/// What an operation did.
#[derive(Debug)]
pub(super) enum Done {
    /// The jobs are in the queue.
    Pushed,
    /// These jobs are this process's now.
    Claimed(Claimed),
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
    /// Wishes for jobs that stand: there were none.
    pub(super) standing: Vec<Waiting>,
}

impl Committed {
    fn done(conn: Conn, standing: Vec<Waiting>) -> Self {
        Self {
            conn: Some(conn),
            failure: None,
            doubt: None,
            undone: Vec::new(),
            standing,
        }
    }

    fn failed(failure: DbError, doubt: Option<Doubt>, undone: Vec<Waiting>) -> Self {
        Self {
            conn: None,
            failure: Some(failure),
            doubt,
            undone,
            standing: Vec::new(),
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
    let mut conn = match conn.map_or_else(|| pool.connect_writer(), Ok) {
        Ok(conn) => conn,
        Err(error) => return Committed::failed(error, doubt, batch),
    };
    let scope = Scope { shared, limits };
    let mut standing = Vec::new();
    if let Some(doubt) = doubt {
        match doubt.was_committed(&mut conn, shared) {
            Err(error) => return Committed::failed(error, Some(doubt), batch),
            Ok(true) => {
                let Doubt { batch, work } = doubt;
                let dones = scope.conclude(&batch, *work);
                standing = answer(batch, dones);
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
        Op::Outbox(_) => 2,
        Op::Claim(_) | Op::ClaimBelow(_) => 3,
    });
    match scope.transact(&mut conn, &batch) {
        Ok(dones) => standing.extend(answer(batch, dones)),
        Err(Failed::Undone(error)) if error.is_the_rows_fault() => {
            return scope.one_by_one(conn, batch, standing);
        }
        Err(Failed::Undone(error)) => {
            batch.append(&mut standing);
            return Committed::failed(error, None, batch);
        }
        Err(Failed::InDoubt(error, work)) => {
            let doubt = Some(Doubt { batch, work });
            return Committed::failed(error, doubt, standing);
        }
    }
    Committed::done(conn, standing)
}

/// Answers everybody; but not wishes for jobs that found none and stand, which are returned.
fn answer(batch: Vec<Waiting>, dones: Vec<Done>) -> Vec<Waiting> {
    let mut standing = Vec::new();
    for ((mut op, answer), done) in batch.into_iter().zip(dones) {
        if let (Op::Claim(claim), Done::Claimed(claimed)) = (&mut op, &done)
            && claim.stands
            && claimed.jobs.is_empty()
            && !claimed.more
        {
            claim.look = false;
            standing.push((op, answer));
            continue;
        }
        // Whoever asked may have gone.
        let _ = answer.send(Ok(done));
    }
    standing
}

/// What every operation of this process needs.
pub(super) struct Scope<'a> {
    pub(super) shared: &'a Shared,
    pub(super) limits: &'a Limits,
}

impl Scope<'_> {
    /// Gives each operation a transaction of its own.
    fn one_by_one(
        &self,
        mut conn: Conn,
        batch: Vec<Waiting>,
        mut standing: Vec<Waiting>,
    ) -> Committed {
        let mut rest = batch.into_iter();
        while let Some(waiting) = rest.next() {
            let single = std::slice::from_ref(&waiting);
            match self.transact(&mut conn, single) {
                Ok(dones) => standing.extend(answer(vec![waiting], dones)),
                Err(Failed::Undone(error)) if error.is_the_rows_fault() => {
                    let refused = QueueError::Refused(error.to_string());
                    let _ = waiting.1.send(Err(refused));
                }
                Err(Failed::Undone(error)) => {
                    let undone = std::iter::once(waiting)
                        .chain(rest)
                        .chain(standing)
                        .collect();
                    return Committed::failed(error, None, undone);
                }
                Err(Failed::InDoubt(error, work)) => {
                    let batch = vec![waiting];
                    let doubt = Some(Doubt { batch, work });
                    return Committed::failed(error, doubt, rest.chain(standing).collect());
                }
            }
        }
        Committed::done(conn, standing)
    }

    fn transact(&self, conn: &mut Conn, batch: &[Waiting]) -> Result<Vec<Done>, Failed> {
        let begun = Instant::now();
        let mut worked = None;
        let number = doubt::number(conn, batch);
        let note = number.map(|number| db::commits::noting(&self.shared.worker, number));
        let outcome = db::transaction_beginning(conn, note.as_deref(), |conn| {
            worked = Some(self.work(conn, batch, (begun, number))?);
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
    fn work(
        &self,
        conn: &mut Conn,
        batch: &[Waiting],
        (begun, number): (Instant, Option<i64>),
    ) -> Result<Work, DbError> {
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
        Work::end(conn, self.shared, (batch, dones), (news, begun, number))
    }

    /// Tells what a committed transaction did.
    fn conclude(&self, batch: &[Waiting], work: Work) -> Vec<Done> {
        measure(&work.news.ended, work.begun, batch);
        work.news.publish(self.shared);
        work.dones
    }
}
