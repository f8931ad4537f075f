//! What a commit did that others in this process want to know.

use super::{
    Finished, Job, JobFinished, JobState,
    shared::{Cancellation, Shared},
};
use crate::db::queue::QUEUED;

/// How much of what is ready somebody of this process took in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Taken {
    /// Nobody looked.
    #[default]
    Nothing,
    /// As much as was wanted; who took it knows that there may be more.
    Some,
    /// Everything.
    All,
}

/// What happened in a transaction that others want to know once it is committed.
#[derive(Default)]
pub(super) struct News {
    /// Jobs that waited in a lane, or for their steps, are ready now.
    pub(super) ready: bool,
    pub(super) queued: Vec<Job>,
    pub(super) running: Vec<Job>,
    pub(super) ended: Vec<Finished>,
    /// Flows that gave their answer and go on.
    pub(super) answered: Vec<Finished>,
    pub(super) cancellations: Vec<Cancellation>,
    /// A running job was flagged to be stopped; its worker may be another process.
    pub(super) flagged: bool,
    /// Fence numbers that were checked in this transaction, and whether they hold.
    pub(super) fences: Vec<(i64, bool)>,
    pub(super) taken: Taken,
}

impl News {
    /// Whether jobs have become ready in this transaction.
    pub(super) fn has_ready(&self) -> bool {
        self.ready || self.queued.iter().any(|job| job.state == QUEUED)
    }

    /// Tells everybody in this process.
    pub(super) fn publish(self, shared: &Shared) {
        for job in &self.queued {
            shared.tell(job, JobState::Queued);
        }
        for job in &self.running {
            shared.tell(job, JobState::Running);
        }
        if self.taken == Taken::Nothing && self.has_ready() {
            shared.ready.notify_one();
        }
        let mut replies = shared.answered(&self.answered);
        replies.extend(shared.ended(&self.ended));
        if !replies.is_empty()
            && let Some(recipient) = &*shared.replies.lock()
        {
            // Not bounded by the mailbox but by the jobs that workers hold, and who gets it only passes it on.
            recipient.do_send(JobFinished(replies));
        }
        for cancellation in self.cancellations {
            // An error only says that no worker listens.
            let _ = shared.cancellations.send(cancellation);
        }
    }
}
