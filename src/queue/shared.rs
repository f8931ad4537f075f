//! What the ledger and the handles share: wake-ups, who waits for which job, news for those who watch.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Instant,
};

use actix::Recipient;
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, oneshot};

use super::{Finished, JobEvent, JobFinished, JobState, job::Job, others};
use crate::{presence::Presence, types::JobId};

/// News that a slow watcher may be behind by; older ones are dropped for it alone.
const EVENTS: usize = 1_024;

/// A running job that somebody wants to stop: its id, who, and why.
pub type Cancellation = (JobId, String, Option<String>);

/// See the file's documentation.
pub(super) struct Shared {
    /// The name this process holds jobs under.
    pub(super) worker: String,
    pub(super) ready: Arc<Notify>,
    pub(super) events: broadcast::Sender<JobEvent>,
    pub(super) cancellations: broadcast::Sender<Cancellation>,
    /// Who waits for the end of a job in this process; an entry goes with its last waiter or the job's end.
    pub(super) waiters: Mutex<HashMap<JobId, Vec<oneshot::Sender<Finished>>>>,
    pub(super) replies: Mutex<Option<Recipient<JobFinished>>>,
    /// The processes on the same database; unset where there can be no other.
    pub(super) presence: OnceLock<Presence>,
    /// Why the last commit failed; none while the database answers.
    pub(super) failure: Mutex<Option<String>>,
    /// When lanes were looked at for what waits for its time.
    pub(super) woke: Mutex<Option<Instant>>,
}

impl Shared {
    pub(super) fn new(worker: String) -> Self {
        Self {
            worker,
            ready: Arc::new(Notify::new()),
            events: broadcast::channel(EVENTS).0,
            cancellations: broadcast::channel(EVENTS).0,
            waiters: Mutex::default(),
            replies: Mutex::default(),
            presence: OnceLock::new(),
            failure: Mutex::default(),
            woke: Mutex::default(),
        }
    }

    /// Keeps and logs the change of the database's state, once.
    pub(super) fn database_is(&self, failure: Option<String>) {
        let mut current = self.failure.lock();
        match (&*current, &failure) {
            (None, Some(error)) => log::error!("jobs cannot be committed, trying again: {error}"),
            (Some(_), None) => log::info!("jobs are committed again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        *current = failure;
    }

    /// Tells whoever watches.
    pub(super) fn tell(&self, job: &Job, state: JobState) {
        if self.events.receiver_count() > 0 {
            // An error only says that nobody listens any more.
            let _ = self.events.send(JobEvent {
                id: job.id,
                workspace: job.workspace_id.as_str().into(),
                runnable_path: job.runnable_path.as_deref().map(Into::into),
                trigger_path: job.trigger_path.as_deref().map(Into::into),
                state,
            });
        }
    }

    /// Gives those who wait for flows their answer before the end; answers which of them owe a reply on a connection.
    pub(super) fn answered(&self, flows: &[Finished]) -> Vec<Finished> {
        let mut waiters = self.waiters.lock();
        for flow in flows {
            for waiter in waiters.remove(&flow.job.id).into_iter().flatten() {
                // Whoever waited may have gone.
                let _ = waiter.send(flow.clone());
            }
        }
        let owes = |flow: &&Finished| flow.job.reply_to.is_some_and(others::is_connection);
        others::own_replies(self, flows.iter().filter(owes).cloned().collect())
    }

    /// Tells those who wait for these jobs; answers which of them owe a reply on a connection.
    pub(super) fn ended(&self, done: &[Finished]) -> Vec<Finished> {
        for finished in done {
            let success = finished.outcome.success;
            self.tell(&finished.job, JobState::Completed { success });
        }
        others::own_replies(self, self.settle(done))
    }

    /// Answers those who wait for these jobs in this process, and which of them owe a reply on a connection.
    pub(super) fn settle(&self, done: &[Finished]) -> Vec<Finished> {
        let mut replies = Vec::new();
        let mut waiters = self.waiters.lock();
        for finished in done {
            for waiter in waiters.remove(&finished.job.id).into_iter().flatten() {
                // Whoever waited may have gone.
                let _ = waiter.send(finished.clone());
            }
            if finished.job.reply_to.is_some_and(others::is_connection) {
                replies.push(finished.clone());
            }
        }
        replies
    }
}
