//! What the board knows of spare workers, which stand in for those whose jobs wait for jobs (`crate::runner::spare`).

use std::time::{Duration, Instant};

use super::{Board, Slot, assignment};
use crate::{queue::Job, types::JobId};

/// How long every worker has to be busy before it is asked whether they all wait for jobs.
const BLOCKED: Duration = Duration::from_millis(250);

impl Board {
    /// The numbers of the spare workers.
    pub(crate) fn spares(&self) -> std::ops::Range<usize> {
        self.workers()..self.wake.len()
    }

    /// The jobs that run, if every worker there is has been busy for a while and nothing is claimed ahead: if all of
    /// these wait for jobs, nothing goes on without a spare worker.
    pub(crate) fn perhaps_blocked(&self, now: Instant) -> Vec<JobId> {
        let state = self.state.lock();
        let slots = state.workers.iter().enumerate();
        let there = slots.filter(|(number, slot)| *number < state.regular || slot.is_busy());
        let long = |(_, slot): (usize, &Slot)| {
            let (assignment, since) = slot.running.as_ref()?;
            let long = slot.assigned.is_none() && now.duration_since(*since) >= BLOCKED;
            long.then_some(assignment.job.id)
        };
        if state.closed || !state.waiting.is_empty() {
            return Vec::new();
        }
        there.map(long).collect::<Option<_>>().unwrap_or_default()
    }

    /// Gives a job to a spare worker, which is about to be started for it.
    pub(crate) fn lend(&self, spare: usize, job: Job) {
        self.state.lock().workers[spare].assigned = Some(assignment(job));
    }

    /// Whether a spare worker waits for a job.
    pub(crate) fn has_idle_spare(&self) -> bool {
        !self.state.lock().idle_spares.is_empty()
    }

    /// Gives a job to a spare worker that waits for one; answers the job when none does.
    pub(crate) fn lend_to_idle(&self, job: Job) -> Option<Job> {
        let mut state = self.state.lock();
        let Some(spare) = state.idle_spares.pop() else {
            return Some(job);
        };
        state.workers[spare].assigned = Some(assignment(job));
        self.wake[spare].notify_one();
        None
    }

    /// Whether the spare `worker`, which has waited for long enough, may end: it has not been given a job meanwhile.
    pub(crate) fn retires(&self, worker: usize) -> bool {
        let idle = &mut self.state.lock().idle_spares;
        let place = idle.iter().position(|spare| *spare == worker);
        place.map(|place| idle.swap_remove(place)).is_some()
    }
}
