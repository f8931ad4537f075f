//! What other processes on the same PostgreSQL are told of a commit, and what they leave for this one.
//!
//! Words are sent within the transaction, so they arrive with its commit or not at all. They only wake: who misses
//! one looks by itself a little later. Replies must not be missed, so they are rows that their server takes.

use std::sync::Arc;

use super::{
    Finished, Job, JobFinished, Queue, QueueError, WORKER, ended,
    ledger::Op,
    news::{News, Taken},
    shared::Shared,
};
use crate::{
    db::{self, Conn, DbError, server},
    presence::Presence,
    types::JobId,
};

/// Word: there are new jobs.
pub const JOBS: &str = "jobs";
/// Word: a running job is to be stopped.
pub const CANCEL: &str = "cancel";
/// Word, followed by a fence number: replies wait for that process.
pub const REPLIES: &str = "replies ";
/// Replies fetched in one go.
const REPLIES_AT_ONCE: i64 = 500;

/// The lower half of a connection's number when nobody's connection waits, but somebody in the process.
const NO_CONNECTION: i64 = 0;

/// Whether a result with this `reply_to` goes back on a connection.
pub(super) fn is_connection(reply_to: i64) -> bool {
    reply_to & 0xffff_ffff != NO_CONNECTION
}

/// The processes and jobs that another process waits for.
fn elsewhere(presence: &Presence, ended: &[Finished]) -> Vec<(i64, JobId)> {
    let own = presence.fence();
    let owed = ended.iter().filter_map(|finished| {
        let connection = finished.job.reply_to?;
        (connection >> 32 != own).then_some((connection, finished.job.id))
    });
    owed.collect()
}

/// Says what the transaction did to whom it concerns.
pub(super) fn tell(conn: &mut Conn, presence: &Presence, news: &News) -> Result<(), DbError> {
    if !presence.has_others() {
        return Ok(());
    }
    let left = news.taken != Taken::All && news.has_ready();
    if left && presence.others_run() {
        db::notify(conn, JOBS)?;
    }
    if news.flagged {
        db::notify(conn, CANCEL)?;
    }
    let mut owed = elsewhere(presence, &news.ended);
    owed.extend(elsewhere(presence, &news.answered));
    if !owed.is_empty() {
        server::insert_replies(conn, &owed)?;
        let mut fences: Vec<i64> = owed
            .iter()
            .map(|(connection, _)| connection >> 32)
            .collect();
        fences.sort_unstable();
        fences.dedup();
        for fence in fences {
            db::notify(conn, &format!("{REPLIES}{fence}"))?;
        }
    }
    Ok(())
}

/// Whether an operation comes under a fence number that holds no more, which is asked once a transaction and number;
/// or stores values of a trigger that another server has by now.
pub(super) fn is_fenced(conn: &mut Conn, op: &Op, news: &mut News) -> Result<bool, DbError> {
    let Op::Push(_, stored, Some(fence)) = op else {
        return Ok(false);
    };
    if matches!(conn, Conn::Sqlite(_)) {
        return Ok(false);
    }
    let known = news.fences.iter().find(|(known, _)| known == fence);
    let holds = match known {
        Some((_, holds)) => *holds,
        None => {
            let holds = server::holds(conn, *fence)?;
            news.fences.push((*fence, holds));
            holds
        }
    };
    let Some(stored) = stored else {
        return Ok(!holds);
    };
    let place = (&*stored.workspace, &*stored.path);
    Ok(!holds || server::is_elsewhere(conn, *fence, place)?)
}

/// Marks new jobs whose end somebody in this process waits for, so that another process that ends one says so.
pub(super) fn mark_awaited(shared: &Shared, rows: &mut [Job]) {
    let Some(presence) = shared
        .presence
        .get()
        .filter(|presence| presence.is_shared())
    else {
        return;
    };
    let waiters = shared.waiters.lock();
    for row in rows {
        if row.reply_to.is_none() && waiters.contains_key(&row.id) {
            row.reply_to = Some(presence.fence() << 32 | NO_CONNECTION);
        }
    }
}

/// Passes on the ends and answers that are not this process's business any more as far as its own sockets go.
pub(super) fn own_replies(shared: &Shared, mut replies: Vec<Finished>) -> Vec<Finished> {
    if let Some(presence) = shared
        .presence
        .get()
        .filter(|presence| presence.is_shared())
    {
        let own = presence.fence();
        replies.retain(|finished| finished.job.reply_to.is_some_and(|to| to >> 32 == own));
    }
    replies
}

impl Queue {
    /// Makes this process known to the others on the same database. Call it once, before jobs come.
    pub fn join(&self, presence: Presence) {
        // A second call would be a bug of the caller; the first one stays.
        let _ = self.shared.presence.set(presence);
    }

    /// Whether other processes use the same database.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.shared.presence.get().is_some_and(Presence::has_others)
    }

    /// The number this process writes under; 0 where there can be no other process.
    #[must_use]
    pub fn fence(&self) -> i64 {
        self.shared.presence.get().map_or(0, Presence::fence)
    }

    /// Whether the process that holds jobs as `worker` stops, or is not there any more.
    ///
    /// # Errors
    /// The database gave no answer.
    pub(crate) fn is_leaving(&self, conn: &mut Conn, worker: &str) -> Result<bool, DbError> {
        let Some(presence) = self.shared.presence.get() else {
            return Ok(false);
        };
        if worker == self.worker() || !presence.is_shared() {
            return Ok(presence.is_leaving());
        }
        // A process is entered before it claims, and leaves before its jobs have ended.
        let id = worker.strip_prefix(WORKER).unwrap_or(worker);
        Ok(!server::is_entered(conn, id)?)
    }

    /// Looks now for running jobs of this process that somebody wants to stop.
    pub fn look_for_cancellations(&self) {
        // A full mailbox: it looks by itself every two seconds.
        let _ = self.ledger.try_send(super::ledger::LookForCancellations);
    }

    /// Takes the ends of jobs that other processes left for this one, to their sockets and to who waits.
    ///
    /// # Errors
    /// The database gave no answer.
    pub async fn fetch_replies(&self) -> Result<(), QueueError> {
        let Some(presence) = self.shared.presence.get() else {
            return Ok(());
        };
        loop {
            let fence = presence.fence();
            let rows = self.pool.run(move |conn| {
                let taken = server::take_replies(conn, fence, REPLIES_AT_ONCE)?;
                let mut ended = Vec::with_capacity(taken.len());
                for (connection, id) in taken {
                    if let Some(owed) = ended::owed(conn, id)? {
                        ended.push((connection, owed));
                    }
                }
                Ok(ended)
            });
            let rows = rows.await?;
            let is_last = rows.len() < usize::try_from(REPLIES_AT_ONCE).unwrap_or(usize::MAX);
            let ended: Vec<Finished> = rows
                .into_iter()
                .map(|(connection, Finished { job, outcome })| {
                    let mut job = Arc::unwrap_or_clone(job);
                    job.reply_to = Some(connection);
                    Finished {
                        job: Arc::new(job),
                        outcome,
                    }
                })
                .collect();
            let replies = self.shared.settle(&ended);
            if !replies.is_empty()
                && let Some(recipient) = &*self.shared.replies.lock()
            {
                // Bounded by REPLIES_AT_ONCE; who gets it only passes it on.
                recipient.do_send(JobFinished(replies));
            }
            if is_last {
                return Ok(());
            }
        }
    }
}
