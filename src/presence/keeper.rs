//! The thread that keeps this process entered, and takes out those that have died.
//!
//! It has a connection of its own: neither slow queries nor a full pool may look like a death.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Inner, Member, Presence, View};
use crate::{
    config::Limits,
    db::{
        Conn, DbError, Pool,
        server::{self, Entry, ServerRow},
    },
};

/// A process that was silent for so long and has no connection left is dead: its kernel has closed them.
const MISSED: Duration = Duration::from_millis(1_200);

/// How long this process has seen the database without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// Since its start: it never lost it.
    Always,
    /// For so long, after it had been away, or this process stalled.
    Again(Duration),
}

struct Keeper {
    inner: Arc<Inner>,
    pool: Pool,
    entry: Entry,
    lease: Duration,
    conn: Option<Conn>,
    fence: i64,
    /// When the database was seen again; none while it never was lost.
    again: Option<Instant>,
    /// When it was last seen.
    seen: Instant,
}

/// Enters `entry` and starts the thread.
pub(super) fn start(
    presence: &Presence,
    pool: Pool,
    limits: &Limits,
    entry: Entry,
) -> Result<(), DbError> {
    let (leave, leaving) = mpsc::channel();
    let mut keeper = Keeper {
        inner: Arc::clone(&presence.0),
        pool,
        entry,
        lease: limits.server_lease,
        conn: None,
        fence: 0,
        again: None,
        seen: Instant::now(),
    };
    keeper.round()?;
    *presence.0.leave.lock() = Some(leave);
    let every = limits.server_renewal;
    std::thread::Builder::new()
        .name("presence".to_owned())
        .spawn(move || keeper.keep(every, &leaving))
        .map_err(|error| DbError::Unreachable(format!("no thread for it: {error}")))?;
    Ok(())
}

impl Keeper {
    fn keep(&mut self, every: Duration, leaving: &Receiver<oneshot::Sender<()>>) {
        loop {
            match leaving.recv_timeout(every) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(left) => {
                    self.leave();
                    // Whoever asked may have gone.
                    let _ = left.send(());
                    return;
                }
                // Every handle is gone, or has left already.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Err(error) = self.round() {
                self.lose_sight();
                // A connection that was there may only have been ended: the next one tells.
                if self.conn.take().is_some()
                    && let Err(again) = self.round()
                {
                    self.conn = None;
                    self.lose_sight();
                    log::warn!("this process cannot renew its leases: {error}; then: {again}");
                }
            }
        }
    }

    /// The next success counts as seeing the database again.
    fn lose_sight(&mut self) {
        self.seen = self.seen.checked_sub(self.lease * 2).unwrap_or(self.seen);
    }

    /// Renews, looks at the others, takes out who is dead.
    fn round(&mut self) -> Result<(), DbError> {
        let begun = Instant::now();
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.pool.connect()?,
        };
        let outcome = self.renew(&mut conn, begun);
        // A connection that failed is not used again; the failure was logged once by who dropped it.
        self.conn = Some(conn);
        outcome?;
        let conn = self.conn.as_mut().ok_or(DbError::Lost)?;
        // A gap of our own counts as well: who was stalled has not seen the others renew.
        let now = Instant::now();
        if now.duration_since(self.seen) > self.lease {
            self.again = Some(now);
        }
        self.seen = now;
        let sight = self
            .again
            .map_or(Sight::Always, |again| Sight::Again(again.elapsed()));
        let mut rows = server::all(conn)?;
        let mut dead = Vec::new();
        for row in rows.iter().filter(|row| row.fence != self.fence) {
            if row.silent >= micros(MISSED) {
                let connections = server::connections(conn, &row.id)?;
                if is_dead(row, connections, sight, self.lease)
                    && server::remove_dead(conn, row, micros(MISSED))?
                {
                    log::warn!(server = &*row.id, silent_ms = row.silent / 1_000; "a process has died, its leases are free");
                    dead.push(row.fence);
                }
            }
        }
        rows.retain(|row| !dead.contains(&row.fence));
        self.show(rows);
        Ok(())
    }

    fn renew(&mut self, conn: &mut Conn, begun: Instant) -> Result<(), DbError> {
        let watched = self.inner.watched.load(Ordering::Relaxed);
        if self.fence != 0 && !server::renew(conn, self.fence, watched)? {
            log::warn!(fence = self.fence; "this process was taken for dead: its connections are closed, what they had not committed is lost");
            self.fence = 0;
            self.inner.fence.store(0, Ordering::Release);
            // Told apart from the next number: whoever follows stops everything in between.
            self.show(Vec::new());
        }
        if self.fence == 0 {
            self.fence = server::enter(conn, &self.entry)?;
            self.inner.fence.store(self.fence, Ordering::Release);
        }
        let until = begun.duration_since(self.inner.started) + self.lease;
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.inner.sure_until.store(until, Ordering::Release);
        Ok(())
    }

    /// Tells those who follow, if anything differs.
    fn show(&self, rows: Vec<ServerRow>) {
        let members: Arc<[Member]> = rows
            .into_iter()
            .map(|row| Member {
                fence: row.fence,
                id: row.id,
                listens: row.listens,
                workers: row.workers,
                watched: row.watched,
            })
            .collect();
        let view = View {
            fence: self.fence,
            members,
        };
        self.inner.view.send_if_modified(|old| {
            let differs = *old != view;
            if differs {
                *old = view;
            }
            differs
        });
    }

    fn leave(&mut self) {
        self.inner.fence.store(0, Ordering::Release);
        let left = match self.conn.take() {
            Some(mut conn) => server::leave(&mut conn, self.fence),
            None => Err(DbError::Lost),
        };
        if let Err(error) = left {
            log::info!("others will notice only after a while that this process ended: {error}");
        }
    }
}

/// Whether a silent process counts as dead: its lease has lapsed, or it has no connection left although the
/// database was there all the time. After the database was away the owner goes first: others wait one lease.
fn is_dead(row: &ServerRow, (connections, up): (i64, i64), sight: Sight, lease: Duration) -> bool {
    let patient = match sight {
        Sight::Always => true,
        Sight::Again(since) => since >= lease,
    };
    let lapsed = row.silent >= micros(lease);
    let is_gone = connections == 0 && up >= micros(lease);
    patient && (lapsed || is_gone)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_counts_as_dead() {
        const LEASE: Duration = Duration::from_secs(3);
        let row = |silent_ms: i64| ServerRow {
            fence: 1,
            id: "a".to_owned(),
            listens: true,
            workers: 0,
            watched: false,
            silent: silent_ms * 1_000,
        };
        let seconds = |secs: u64| Sight::Again(Duration::from_secs(secs));
        let long = 3_600_000_000;
        for (what, silent, connections, up, sight, dead) in [
            ("late, but connected", 1_500, 1, long, Sight::Always, false),
            (
                "its connections are gone",
                1_500,
                0,
                long,
                Sight::Always,
                true,
            ),
            (
                "the database has just started",
                1_500,
                0,
                2_000_000,
                Sight::Always,
                false,
            ),
            ("stalled", 3_100, 4, long, Sight::Always, true),
            ("the database was away", 60_000, 0, long, seconds(1), false),
            (
                "and its owner did not come back",
                60_000,
                0,
                long,
                seconds(3),
                true,
            ),
        ] {
            let verdict = is_dead(&row(silent), (connections, up), sight, LEASE);
            assert_eq!(verdict, dead, "{what}");
        }
    }
}
