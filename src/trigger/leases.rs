//! [`Leases`]: which triggers this server is to listen for, as the database says. Blocks; owned by `Registry`, which
//! lends it to a thread that may.
//!
//! On SQLite they are all that want to listen. On PostgreSQL they are those whose lease this process holds: here it
//! takes its share, and says what it has too many of.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{setup::Setup, share};
use crate::{
    db::{self, Conn, DbError, Pool, server, trigger},
    presence::Presence,
    types::Mode,
};

/// So many looks in a row a free trigger is left to those whose share it is: about two seconds.
const LOOKS_BEFORE_OVERDUE: u32 = 4;

/// Workspace and path.
pub(super) type Key = (Arc<str>, Arc<str>);

/// What a look found.
#[derive(Default)]
pub(super) struct Changes {
    /// To be stopped.
    pub(super) gone: Vec<Key>,
    /// To be started or told.
    pub(super) changed: Vec<Setup>,
    /// Rows that cannot be followed, and why.
    pub(super) unreadable: Vec<(Key, String)>,
    /// To be stopped and then given away.
    pub(super) moving: Vec<Key>,
}

/// See the file's documentation.
pub(super) struct Leases {
    pool: Pool,
    presence: Presence,
    /// Its own connection: a full pool must not keep triggers from being taken.
    conn: Option<Conn>,
    /// Looks in a row that left something free.
    left: u32,
}

impl Leases {
    pub(super) fn new(pool: Pool, presence: Presence) -> Self {
        Self {
            pool,
            presence,
            conn: None,
            left: 0,
        }
    }

    /// Compares what is to run under the number `fence` with what is `known` to run; `moving` is being given away.
    /// Compiles what changed.
    pub(super) fn look(
        &mut self,
        fence: i64,
        known: HashMap<Key, i64>,
        moving: &HashSet<Key>,
    ) -> Result<Changes, DbError> {
        let mut conn = self.conn.take().map_or_else(|| self.pool.connect(), Ok)?;
        let changes = self.compare(&mut conn, fence, known, moving)?;
        // Only a connection that worked is kept.
        self.conn = Some(conn);
        Ok(changes)
    }

    fn compare(
        &mut self,
        conn: &mut Conn,
        fence: i64,
        mut known: HashMap<Key, i64>,
        moving: &HashSet<Key>,
    ) -> Result<Changes, DbError> {
        let mut changes = Changes::default();
        let wanted = if !self.presence.is_shared() {
            trigger::wanted_versions(conn)?
        } else if fence == 0 {
            Vec::new()
        } else {
            changes.moving = self.share(conn, fence, moving.is_empty())?;
            server::held_versions(conn, fence)?
        };
        let mut stale = Vec::new();
        for (workspace, path, version) in wanted {
            let key: Key = (workspace.into(), path.into());
            if !moving.contains(&key) && known.remove(&key) != Some(version) {
                stale.push(key);
            }
        }
        changes.gone = known.into_keys().collect();
        for key in stale {
            let Some(row) = trigger::by_path(conn, &key.0, &key.1)? else {
                continue;
            };
            match Setup::new(&row) {
                Ok(setup) if setup.mode == Mode::Disabled => {}
                Ok(setup) => changes.changed.push(setup),
                Err(error) => changes.unreadable.push((key, error.0)),
            }
        }
        Ok(changes)
    }

    /// Takes this server's share; answers what it has too many of.
    fn share(&mut self, conn: &mut Conn, fence: i64, may_give: bool) -> Result<Vec<Key>, DbError> {
        let overdue = self.left >= LOOKS_BEFORE_OVERDUE;
        let (left, moving) = db::transaction(conn, |conn| {
            server::share_alone(conn)?;
            if !server::holds(conn, fence)? {
                return Ok((0, Vec::new()));
            }
            server::release_disabled(conn, fence)?;
            let free = server::count_free(conn)?;
            let plan = share::plan(fence, &server::holdings(conn)?, free, overdue);
            if plan.take > 0 {
                server::take(conn, fence, plan.take)?;
            }
            let moving = if plan.give > 0 && may_give {
                server::last_taken(conn, fence, plan.give)?
            } else {
                Vec::new()
            };
            Ok((free - plan.take, moving))
        })?;
        self.left = if left > 0 { self.left + 1 } else { 0 };
        Ok(moving
            .into_iter()
            .map(|(workspace, path)| (workspace.into(), path.into()))
            .collect())
    }
}
