//! What each operation does within its transaction. Called by `commit` alone.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Finished, Job, Outcome, Stored,
    cancel::cancel,
    claim::{Claim, Claimed},
    commit::{Done, Scope},
    ended::completed,
    failure, flow, held,
    lanes::Lanes,
    ledger::Op,
    news::{News, Taken},
    outbox,
    prepare::NewRows,
    rows::refuse_known,
};
use crate::{
    db::{
        self, Conn, DbError, claim,
        queue::{self, EndedRow},
        trigger, vars,
    },
    types::Timestamp,
};

/// Lapsed jobs taken back in one go; the rest follows with the next upkeep.
const REQUEUE_AT_ONCE: i64 = 1_000;

/// How often claims look for jobs of lanes whose time has come.
const WAKE_EVERY: Duration = Duration::from_millis(100);

impl Scope<'_> {
    /// Makes ready what has become so, before jobs are claimed.
    pub(super) fn settle(
        &self,
        conn: &mut Conn,
        lanes: &mut Lanes,
        news: &mut News,
    ) -> Result<(), DbError> {
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

    pub(super) fn apply(
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
                    store(conn, stored)?;
                }
                news.queued.extend(rows);
                Ok(Done::Pushed)
            }
            Op::Claim(claim) => Ok(Done::Claimed(self.claim(conn, claim, news)?)),
            Op::ClaimBelow(waiting) => {
                let times = self.lease();
                let jobs = db::below::claim_below(conn, worker, waiting, 1, times)?;
                self.tell_running(&jobs, news);
                Ok(Done::Claimed(Claimed { jobs, more: false }))
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
                claim::give_back(conn, worker, ids)?;
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

    /// Now, and the end of a lease that begins now.
    fn lease(&self) -> (Timestamp, Timestamp) {
        let now = Timestamp::now();
        (now, now.plus(self.limits.job_lease))
    }

    fn claim(&self, conn: &mut Conn, claim: &Claim, news: &mut News) -> Result<Claimed, DbError> {
        let wanted = claim.appetite.now();
        if wanted.jobs == 0 {
            let (jobs, more) = (Vec::new(), true);
            return Ok(Claimed { jobs, more });
        }
        if !claim.look && !news.has_ready() {
            return Ok(Claimed::default());
        }
        let (now, lease) = self.lease();
        outbox::make_way(conn, &wanted.no_room, now)?;
        let jobs = claim::claim(conn, &self.shared.worker, wanted.jobs, now, lease)?;
        let more = jobs.len() >= wanted.jobs;
        if claim.stands {
            news.taken = if more { Taken::Some } else { Taken::All };
        }
        self.tell_running(&jobs, news);
        Ok(Claimed { jobs, more })
    }

    fn tell_running(&self, jobs: &[Job], news: &mut News) {
        if self.shared.events.receiver_count() > 0 {
            news.running.extend(jobs.iter().cloned());
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
        let rows: Vec<EndedRow<'_>> = ends
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
            claim::renew(conn, worker, now.plus(self.limits.job_lease))?;
            news.cancellations.extend(queue::flagged(conn, worker)?);
        }
        for job in claim::requeue_lost(conn, now, everybody, REQUEUE_AT_ONCE)? {
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

/// Keeps what messages stored, while their trigger is where they came from.
fn store(conn: &mut Conn, stored: &Stored) -> Result<(), DbError> {
    let place = (&*stored.workspace, &*stored.path);
    if !trigger::stays(conn, place, stored.version)? {
        return Ok(());
    }
    if stored.forget {
        vars::forget(conn, place.0, place.1)?;
    }
    vars::store(conn, place.0, place.1, &stored.values)
}
