//! Actors `Filter`: the JSON checks, on threads of their own, so that a large message of one trigger delays
//! no other trigger's socket. Sockets send them [`Decide`]; they hold no state.
//!
//! A trigger keeps to one thread and has one batch under way, so its order is kept and at most as many
//! batches wait as there are sockets. What clearly cannot match never comes here: the socket's quick reject
//! costs less than the way.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use actix::{Actor, Addr, Handler, Message, SyncArbiter, SyncContext};

use super::{filter::CompiledFilter, setup::Setup};
use crate::types::Timestamp;

/// A message that may match: whole, its text copied out of the read buffer.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The text.
    pub text: String,
    /// When it came.
    pub at: Timestamp,
    /// Whether the text stands for a binary message.
    pub is_base64: bool,
}

/// Which of these messages does the filter want?
#[derive(Message)]
#[rtype(result = "Vec<bool>")]
pub struct Decide {
    /// The trigger whose filter decides.
    pub setup: Arc<Setup>,
    /// In the order they came; shared, so that the socket still has them whatever happens here.
    pub messages: Arc<Vec<Candidate>>,
}

/// Whether the filter wants the message. A bug in it costs this message, not the thread: a sync actor is not restarted
/// after a panic.
pub(super) fn wants(filter: &CompiledFilter, text: &str) -> bool {
    let verdict = catch_unwind(AssertUnwindSafe(|| filter.matches(text)));
    verdict.unwrap_or_else(|_| {
        log::error!("a filter panicked; its message counts as not wanted");
        false
    })
}

/// See the file's documentation.
pub struct Filter;

impl Actor for Filter {
    type Context = SyncContext<Self>;
}

impl Handler<Decide> for Filter {
    type Result = Vec<bool>;

    fn handle(&mut self, decide: Decide, _: &mut Self::Context) -> Self::Result {
        let Decide { setup, messages } = decide;
        messages
            .iter()
            .map(|message| wants(&setup.plan.filter, &message.text))
            .collect()
    }
}

/// The threads, one actor each.
#[derive(Clone)]
pub struct FilterPool {
    threads: Arc<[Addr<Filter>]>,
    next: Arc<AtomicUsize>,
}

impl FilterPool {
    /// Starts `threads` threads, at least one. Call it where the system runs.
    #[must_use]
    pub fn start(threads: usize) -> Self {
        Self {
            threads: (0..threads.max(1))
                .map(|_| SyncArbiter::start(1, || Filter))
                .collect(),
            next: Arc::default(),
        }
    }

    /// The thread for a new socket: each in turn.
    #[must_use]
    pub fn assign(&self) -> Addr<Filter> {
        let turn = self.next.fetch_add(1, Relaxed);
        self.threads[turn % self.threads.len()].clone()
    }
}
