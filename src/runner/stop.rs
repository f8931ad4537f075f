//! [`Stop`]: the wish that one running job ends early, seen by whatever runs it.
//!
//! Set by the `Runner` (a cancellation, the end of the process), read by `Worker`s: waited for where a child
//! runs, looked at between instructions where the embedded engine does. Pure but for the wake-up.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// Why a job is to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Somebody canceled it.
    Canceled {
        /// Who.
        by: String,
        /// Why, in their words.
        reason: Option<String>,
    },
    /// windsock stops: the job goes back to the queue.
    Shutdown,
}

/// One job's wish to stop. The first reason counts.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    reason: OnceLock<StopReason>,
    raised: Arc<AtomicBool>,
    wake: Notify,
}

impl Stop {
    /// Asks the job to stop.
    pub(crate) fn raise(&self, reason: StopReason) {
        if self.reason.set(reason).is_ok() {
            self.raised.store(true, Ordering::Release);
            self.wake.notify_one();
        }
    }

    /// Why it is to stop, if so.
    pub(crate) fn reason(&self) -> Option<&StopReason> {
        self.reason.get()
    }

    /// Waits until it is to stop. One waiter at a time.
    pub(crate) async fn raised(&self) {
        if self.reason.get().is_none() {
            self.wake.notified().await;
        }
    }

    /// True once it is to stop; for engines that cannot wait.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.raised)
    }
}
