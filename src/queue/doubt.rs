//! A transaction whose `COMMIT` nobody answered: was it done?
//!
//! Taken for undone while it was done, it would double messages, keep claimed jobs for ever (their lease is renewed
//! by a process that does not know of them) and swallow the news of ended ones. So nothing else is committed until
//! the database is there again and says which it was: see [`crate::db::commits`]. PostgreSQL only.

use std::time::Instant;

use super::{
    commit::Done,
    ledger::{Op, Waiting},
    news::News,
    shared::Shared,
};
use crate::db::{Conn, DbError, commits};

/// What a transaction did, if it was committed.
pub(super) struct Work {
    pub(super) dones: Vec<Done>,
    pub(super) news: News,
    pub(super) begun: Instant,
    /// Its number in `commits`; none where nobody can ask.
    number: Option<i64>,
}

/// The number a transaction on PostgreSQL notes with its begin, when it is known by then that what it does would be missed.
pub(super) fn number(conn: &Conn, batch: &[Waiting]) -> Option<i64> {
    let may_find_none = |(op, _): &Waiting| {
        matches!(
            op,
            Op::Upkeep { .. } | Op::Claim(_) | Op::ClaimBelow(_) | Op::Outbox(_)
        )
    };
    match conn {
        Conn::Postgres(_) if !batch.iter().all(may_find_none) => Some(rand::random()),
        Conn::Postgres(_) | Conn::Sqlite(_) => None,
    }
}

/// A transaction that may have been committed.
pub(super) struct Doubt {
    pub(super) batch: Vec<Waiting>,
    pub(super) work: Box<Work>,
}

impl Work {
    /// The end of a transaction that did `dones`: it notes a number now if it has `noted` none, and anybody would miss
    /// what it did.
    pub(super) fn end(
        conn: &mut Conn,
        shared: &Shared,
        (batch, dones): (&[Waiting], Vec<Done>),
        (news, begun, noted): (News, Instant, Option<i64>),
    ) -> Result<Self, DbError> {
        let mut number = noted;
        if matches!(conn, Conn::Postgres(_))
            && number.is_none()
            && dones.iter().zip(batch).any(is_missed)
        {
            let new = rand::random();
            commits::note(conn, &shared.worker, new)?;
            number = Some(new);
        }
        Ok(Self {
            dones,
            news,
            begun,
            number,
        })
    }

    /// Whether it can be in doubt.
    pub(super) fn is_noted(&self) -> bool {
        self.number.is_some()
    }
}

impl Doubt {
    /// Whether it was committed. Waits for a connection of before that the database has not given up yet.
    pub(super) fn was_committed(&self, conn: &mut Conn, shared: &Shared) -> Result<bool, DbError> {
        let Some(number) = self.work.number else {
            return Ok(false);
        };
        let last = commits::last(conn, &shared.worker, number.wrapping_add(1))?;
        Ok(last == number)
    }
}

/// Whether something would be amiss if this was done, and taken for undone. Upkeep and the search for jobs come again.
fn is_missed((done, (op, _)): (&Done, &Waiting)) -> bool {
    match (op, done) {
        (Op::Upkeep { .. }, _) => false,
        (Op::Claim(_) | Op::ClaimBelow(_) | Op::Outbox(_), Done::Claimed(claimed)) => {
            !claimed.jobs.is_empty()
        }
        _ => true,
    }
}
