//! Which processes share a PostgreSQL, and the number that this one's writes are fenced by.
//!
//! Every process enters a row with a number larger than any before (its *fence*) and renews it twice a second, on a
//! thread and a connection of its own (`keeper`): one write keeps all its leases. A row that is not renewed is
//! deleted by another process. From then on nothing that carries its number is committed (`queue` checks it in the
//! transaction that commits), and its triggers are free. There is no coordinator, and no clock but the database's.
//!
//! On SQLite there is one process: it is [`Presence::alone`], for ever sure of itself.

mod keeper;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::{oneshot, watch};

use crate::{
    config::Limits,
    db::{DbError, Pool, server},
};

/// How long leaving may take: the row lapses anyway.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// A process that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub fence: i64,
    /// Its name.
    pub id: String,
    /// Whether it listens for triggers.
    pub listens: bool,
    /// Jobs it runs at once.
    pub workers: i32,
    /// Whether somebody follows events on it.
    pub watched: bool,
}

/// What is known of the processes on this database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// This process's number; 0 while it has none: then it may not listen.
    pub fence: i64,
    /// All of them, this one too.
    pub members: Arc<[Member]>,
}

impl View {
    /// The processes besides this one.
    pub fn others(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|member| member.fence != self.fence)
    }
}

/// See the file's documentation. Cheap to clone; every clone is the same process.
#[derive(Clone)]
pub struct Presence(Arc<Inner>);

struct Inner {
    id: String,
    is_shared: bool,
    view: watch::Sender<View>,
    fence: AtomicI64,
    /// Milliseconds after `started` until which nobody can have taken this process for dead.
    sure_until: AtomicU64,
    started: Instant,
    watched: AtomicBool,
    leaving: AtomicBool,
    leave: Mutex<Option<std::sync::mpsc::Sender<oneshot::Sender<()>>>>,
}

impl Presence {
    fn new(id: &str, is_shared: bool, fence: i64) -> Self {
        let member = Member {
            fence,
            id: id.to_owned(),
            listens: true,
            workers: 0,
            watched: false,
        };
        let view = View {
            fence,
            members: Arc::new([member]),
        };
        Self(Arc::new(Inner {
            id: id.to_owned(),
            is_shared,
            view: watch::Sender::new(view),
            fence: AtomicI64::new(fence),
            sure_until: AtomicU64::new(if is_shared { 0 } else { u64::MAX }),
            started: Instant::now(),
            watched: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            leave: Mutex::new(None),
        }))
    }

    /// The only process of a SQLite file. Its number differs from start to start.
    #[must_use]
    pub fn alone(id: &str) -> Self {
        Self::new(id, false, rand::rng().random_range(1..i64::from(i32::MAX)))
    }

    /// Enters this process and keeps it entered until [`Presence::leave`] or the end of the process. Blocks.
    ///
    /// # Errors
    /// The database gives no answer.
    pub fn join(
        pool: &Pool,
        limits: &Limits,
        (listens, workers): (bool, usize),
    ) -> Result<Self, DbError> {
        if pool.is_sqlite() {
            return Ok(Self::alone(pool.name()));
        }
        let presence = Self::new(pool.name(), true, 0);
        let entry = server::Entry {
            id: pool.name().to_owned(),
            listens,
            workers: i32::try_from(workers).unwrap_or(i32::MAX),
        };
        keeper::start(&presence, pool.clone(), limits, entry)?;
        Ok(presence)
    }

    /// The name of this process.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Whether other processes may use the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.is_shared
    }

    /// The number its writes are fenced by; 0 while it has none.
    #[must_use]
    pub fn fence(&self) -> i64 {
        self.0.fence.load(Ordering::Acquire)
    }

    /// Whether no other process can have taken this one for dead yet.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.0.now() < self.0.sure_until.load(Ordering::Acquire)
    }

    /// The processes as they are now, and their changes.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<View> {
        self.0.view.subscribe()
    }

    /// Whether another process may run jobs.
    #[must_use]
    pub fn others_run(&self) -> bool {
        self.0.is_shared && self.0.view.borrow().others().any(|other| other.workers > 0)
    }

    /// Whether there is another process.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.0.is_shared && self.0.view.borrow().others().next().is_some()
    }

    /// Whether somebody follows events on another process.
    #[must_use]
    pub fn others_watch(&self) -> bool {
        self.0.is_shared && self.0.view.borrow().others().any(|other| other.watched)
    }

    /// Says whether somebody follows events on this process; others hear of it with the next renewal.
    pub fn set_watched(&self, watched: bool) {
        self.0.watched.store(watched, Ordering::Relaxed);
    }

    /// Says that this process stops: it runs what it has begun, and leaves.
    pub fn prepare_to_leave(&self) {
        self.0.leaving.store(true, Ordering::Release);
    }

    /// Whether this process stops.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.0.leaving.load(Ordering::Acquire)
    }

    /// Takes this process out, so that others take over at once.
    pub async fn leave(&self) {
        self.prepare_to_leave();
        let leave = self.0.leave.lock().take();
        if let Some(leave) = leave {
            let (done, left) = oneshot::channel();
            if leave.send(done).is_ok() {
                // Past it the row lapses by itself.
                let _ = tokio::time::timeout(LEAVE_TIMEOUT, left).await;
            }
        }
    }
}

impl Inner {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
