//! What a context's event loop shares with the functions its script calls: the clock, the logs, the timers,
//! the requests, and the result.
//!
//! Lives on one thread, borrowed only for moments: never while the engine runs.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashMap},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::{AbortHandle, AbortRegistration};

use super::{Environment, FetchRequest, OnLog};

/// Why a job is ended from outside the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its time is over.
    TimedOut,
    /// Someone canceled it.
    Canceled,
}

/// What the script's function came to.
pub(super) enum Settled {
    /// Its result as JSON.
    Done(String),
    /// A described error as JSON.
    Failed(String),
    /// The engine had no memory left.
    OutOfMemory,
    /// `null` was thrown: by the script, or by an engine without room for an error.
    Null,
}

/// The part the interrupt handler reads, many times a second while the script computes.
#[derive(Default)]
pub(super) struct Clock {
    deadline: Cell<Option<Instant>>,
    cancel: RefCell<Arc<AtomicBool>>,
    stopped: Cell<Option<Stop>>,
}

impl Clock {
    pub(super) fn start(&self, timeout: Duration, cancel: Arc<AtomicBool>) {
        self.deadline.set(Instant::now().checked_add(timeout));
        self.cancel.replace(cancel);
        self.stopped.set(None);
    }

    /// Whether the job must end now. Stays so until the next start: a script that swallows one interrupt
    /// gets the next.
    pub(super) fn check(&self) -> Option<Stop> {
        if self.stopped.get().is_none() {
            if self.cancel.borrow().load(Ordering::Relaxed) {
                self.stopped.set(Some(Stop::Canceled));
            } else if self.deadline.get().is_some_and(|at| Instant::now() >= at) {
                self.stopped.set(Some(Stop::TimedOut));
            }
        }
        self.stopped.get()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.get()
    }
}

/// The printed text of one job, bounded.
#[derive(Default)]
struct Logs {
    text: String,
    is_cut: bool,
}

/// A request the event loop has yet to start.
pub(super) struct NewFetch {
    pub(super) id: u32,
    pub(super) request: FetchRequest,
    pub(super) abort: AbortRegistration,
}

/// What the running job has under way.
#[derive(Default)]
struct Job {
    logs: Logs,
    on_log: Option<OnLog>,
    environment: Option<Environment>,
    settled: Option<Settled>,
    timers: BTreeSet<(Instant, u32)>,
    timer_times: HashMap<u32, Instant>,
    new_fetches: Vec<NewFetch>,
    aborts: HashMap<u32, AbortHandle>,
}

/// Shared by the event loop and the host functions of one context.
pub(super) struct State {
    pub(super) clock: Clock,
    log_bytes: usize,
    /// Whether a promise was rejected with nobody to notice.
    rejected: Cell<bool>,
    job: RefCell<Job>,
}

impl State {
    pub(super) fn new(log_bytes: usize) -> Self {
        Self {
            clock: Clock::default(),
            log_bytes,
            rejected: Cell::new(false),
            job: RefCell::default(),
        }
    }

    /// Begins a job; what the one before left is dropped.
    pub(super) fn begin(&self, environment: Environment, on_log: Option<OnLog>) {
        self.rejected.set(false);
        self.job.replace(Job {
            environment: Some(environment),
            on_log,
            ..Job::default()
        });
    }

    /// Ends the job and hands out its logs.
    pub(super) fn end(&self) -> String {
        mem::take(&mut *self.job.borrow_mut()).logs.text
    }

    /// The job's environment as JSON.
    pub(super) fn environment(&self) -> String {
        let environment = self.job.borrow().environment.clone();
        let environment = environment.map(|make| make()).unwrap_or_default();
        // A map of texts is always JSON.
        serde_json::to_string(&environment).unwrap_or_else(|_| "{}".to_owned())
    }

    /// Adds a line to the logs, as far as it fits.
    pub(super) fn log(&self, line: &str) {
        let mut piece = String::with_capacity(line.len() + 1);
        let on_log = {
            let mut job = self.job.borrow_mut();
            if job.logs.is_cut {
                return;
            }
            let room = self.log_bytes.saturating_sub(job.logs.text.len());
            if line.len() < room {
                piece.push_str(line);
            } else {
                piece.push_str(&line[..line.floor_char_boundary(room.saturating_sub(1))]);
                piece.push_str("\n[logs are cut here: more than ");
                piece.push_str(&self.log_bytes.to_string());
                piece.push_str(" bytes]");
                job.logs.is_cut = true;
            }
            piece.push('\n');
            job.logs.text.push_str(&piece);
            job.on_log.clone()
        };
        if let Some(on_log) = on_log {
            on_log(&piece);
        }
    }

    /// Takes the outcome of the script's function; the first one counts.
    pub(super) fn settle(&self, settled: Settled) {
        self.job.borrow_mut().settled.get_or_insert(settled);
    }

    pub(super) fn is_settled(&self) -> bool {
        self.job.borrow().settled.is_some()
    }

    pub(super) fn take_settled(&self) -> Option<Settled> {
        self.job.borrow_mut().settled.take()
    }

    /// Called while the engine runs.
    pub(super) fn note_rejected(&self) {
        self.rejected.set(true);
    }

    pub(super) fn has_rejected(&self) -> bool {
        self.rejected.get()
    }

    /// Whether promises were rejected since the last call; somebody may have come for them meanwhile.
    pub(super) fn take_rejected(&self) -> bool {
        self.rejected.take()
    }

    pub(super) fn set_timer(&self, id: u32, delay: Duration) {
        let at = Instant::now() + delay;
        let mut job = self.job.borrow_mut();
        job.timers.insert((at, id));
        job.timer_times.insert(id, at);
    }

    pub(super) fn clear_timer(&self, id: u32) {
        let mut job = self.job.borrow_mut();
        if let Some(at) = job.timer_times.remove(&id) {
            job.timers.remove(&(at, id));
        }
    }

    /// When the next timer is due.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.job.borrow().timers.first().map(|(at, _)| *at)
    }

    /// Takes the timer that is due first, if one is due.
    pub(super) fn take_due_timer(&self) -> Option<u32> {
        let mut job = self.job.borrow_mut();
        let (at, id) = job.timers.first().copied()?;
        if at > Instant::now() {
            return None;
        }
        job.timers.pop_first();
        job.timer_times.remove(&id);
        Some(id)
    }

    pub(super) fn add_fetch(&self, id: u32, request: FetchRequest) {
        let (handle, abort) = AbortHandle::new_pair();
        let mut job = self.job.borrow_mut();
        job.aborts.insert(id, handle);
        job.new_fetches.push(NewFetch { id, request, abort });
    }

    pub(super) fn take_fetches(&self) -> Vec<NewFetch> {
        mem::take(&mut self.job.borrow_mut().new_fetches)
    }

    /// Ends a request, or forgets one that has ended.
    pub(super) fn cancel_fetch(&self, id: u32) {
        if let Some(handle) = self.job.borrow_mut().aborts.remove(&id) {
            handle.abort();
        }
    }
}
