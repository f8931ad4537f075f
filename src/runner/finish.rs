//! The way of results to the queue: workers send ends here, [`commit_ends`] hands them to the queue in groups.
//! What came in while the last group was committed is the next one; a lone result goes at once.
//!
//! Bounded by count and by bytes: past that workers wait, so results cannot pile up while the database is away.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    flow::{self, Flows},
    source::JobSource,
};
use crate::queue::{Job, Outcome, retry_condition};

/// Ends that may wait for their commit: what one commit takes.
const WAITING_ENDS: usize = 2048;
/// Kilobytes of results that may wait for their commit: 64 MiB, some dozens of the largest.
const WAITING_KB: usize = 64 * 1024;

/// Something for the finisher.
pub(crate) enum End {
    /// A job has ended. The permit stands for its bytes.
    Job(Box<(Arc<Job>, Outcome)>, OwnedSemaphorePermit),
    /// Answer when everything before this is committed.
    Flush(oneshot::Sender<()>),
}

/// Where workers send ends.
#[derive(Clone)]
pub(crate) struct FinishSender {
    ends: mpsc::Sender<End>,
    room: Arc<Semaphore>,
}

impl FinishSender {
    /// The sender, and what [`commit_ends`] takes.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<End>) {
        let (ends, receiver) = mpsc::channel(WAITING_ENDS);
        let room = Arc::new(Semaphore::new(WAITING_KB));
        (Self { ends, room }, receiver)
    }

    /// Passes the end of a job on; waits while too much waits.
    pub(crate) async fn send(&self, job: Arc<Job>, mut outcome: Outcome) {
        judge(&job, &mut outcome).await;
        let bytes = outcome.result.len() + outcome.logs.len() + job.args.len();
        let kilobytes = (bytes / 1024 + 1).min(WAITING_KB);
        let permits = u32::try_from(kilobytes).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.room).acquire_many_owned(permits).await else {
            return;
        };
        // The receiver lives as long as the process runs jobs; a lost end is run again after its lease.
        let _ = self
            .ends
            .send(End::Job(Box::new((job, outcome)), permit))
            .await;
    }

    /// Waits until everything sent before is committed.
    pub(crate) async fn flush(&self) {
        let (done, waiting) = oneshot::channel();
        if self.ends.send(End::Flush(done)).await.is_ok() {
            // The other end going away means the same: nothing is left to wait for.
            let _ = waiting.await;
        }
    }
}

/// Evaluates the condition under which a failed job is run again, if it has one: a broken one does not hold.
async fn judge(job: &Job, outcome: &mut Outcome) {
    if outcome.success || outcome.canceled.is_some() {
        return;
    }
    let Some(expr) = retry_condition(job) else {
        return;
    };
    let verdict = flow::holds(expr, outcome).await;
    if let Err(error) = &verdict {
        let log =
            format!("[windsock: retry_if cannot be evaluated, so it does not hold: {error}]\n");
        outcome.logs.push_str(&log);
    }
    outcome.retry_if = Some(verdict.unwrap_or(false));
}

/// Hands ends to the queue until all senders are gone; those of steps by way of their flows.
pub(crate) async fn commit_ends(
    mut ends: mpsc::Receiver<End>,
    source: Arc<dyn JobSource>,
    flows: Option<Flows>,
) {
    let mut batch = Vec::with_capacity(WAITING_ENDS);
    while ends.recv_many(&mut batch, WAITING_ENDS).await > 0 {
        let mut done = Vec::with_capacity(batch.len());
        let mut permits = Vec::with_capacity(batch.len());
        let mut flushed = Vec::new();
        for end in batch.drain(..) {
            match end {
                End::Job(ended, permit) => match &flows {
                    Some(flows) if Flows::wants(&ended.0) => flows.ended(ended.0, ended.1, permit),
                    _ => {
                        done.push(*ended);
                        permits.push(permit);
                    }
                },
                End::Flush(answer) => flushed.push(answer),
            }
        }
        if !done.is_empty()
            && let Err(error) = source.finish(done).await
        {
            log::warn!(error:% = error; "results could not be committed, their jobs will run again");
        }
        drop(permits);
        if let Some(flows) = flows.as_ref().filter(|_| !flushed.is_empty()) {
            flows.quiet().await;
        }
        for answer in flushed {
            // Whoever asked may have stopped waiting.
            let _ = answer.send(());
        }
    }
}
