//! [`Board`]: the jobs this process has claimed, from their claim to their end: a small look-ahead, which
//! worker runs what, and how much to claim next.
//!
//! Shared by the `Runner` (puts jobs in, cancels, drains) and its `Worker`s (take them). The look-ahead holds
//! what the workers run in [`AHEAD`], by how long jobs took lately: with jobs of 50 µs some thousand, with jobs
//! of a second none. It never waits for anything and makes no I/O; the lock is held for moments.

mod spares;

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::stop::{Stop, StopReason};
use crate::{
    queue::{Job, MAX_DEPTH},
    types::JobId,
};

/// How far ahead jobs are claimed: several commits' time, so that no worker waits for the database.
const AHEAD: Duration = Duration::from_millis(50);
/// Most jobs claimed ahead: 50 ms at 80,000/s. With fewer the workers would wait while the results of the last ones
/// are committed, which takes longer than running them.
const MAX_AHEAD: usize = 4096;
/// How long a claimed job may wait for a worker before it is given back for others to run.
const HOLD: Duration = Duration::from_millis(500);

/// Workers that stand in for those whose jobs wait for jobs: one for each that may wait for another.
const SPARES: usize = MAX_DEPTH as usize;

/// A job that a worker is to run.
#[derive(Clone)]
pub(crate) struct Assignment {
    /// The job.
    pub(crate) job: Arc<Job>,
    /// Whether it is to stop.
    pub(crate) stop: Arc<Stop>,
}

/// What a worker is to do next.
pub(crate) enum Next {
    /// Run this.
    Run(Assignment),
    /// Wait.
    Wait,
    /// End: the process stops.
    End,
}

/// See the file's documentation.
pub(crate) struct Board {
    state: Mutex<State>,
    /// Rings when more could be claimed.
    low: Notify,
    /// Rings when nothing is to be claimed any more.
    closing: Notify,
    /// Rings when no job is running any more.
    quiet: Notify,
    /// One per worker: rings when it has something to do.
    wake: Vec<Notify>,
}

struct State {
    /// How many of the workers are there all the time; the others are spares.
    regular: usize,
    waiting: VecDeque<(Job, Instant)>,
    workers: Vec<Slot>,
    /// Who waits for a job; the one that worked last stands last and is asked first.
    idle: Vec<usize>,
    /// Spares that wait for one more job before they end.
    idle_spares: Vec<usize>,
    /// How long jobs took lately.
    average: Option<Duration>,
    closed: bool,
}

#[derive(Default)]
struct Slot {
    /// Given, not yet taken up.
    assigned: Option<Assignment>,
    running: Option<(Assignment, Instant)>,
    /// Hashes of the scripts it holds a process or a context of.
    warm: HashSet<i64>,
}

impl Board {
    /// For so many workers, and spares.
    pub(crate) fn new(regular: usize) -> Self {
        let workers = regular + SPARES;
        Self {
            state: Mutex::new(State {
                regular,
                waiting: VecDeque::new(),
                workers: (0..workers).map(|_| Slot::default()).collect(),
                idle: Vec::with_capacity(regular),
                idle_spares: Vec::new(),
                average: None,
                closed: false,
            }),
            low: Notify::new(),
            closing: Notify::new(),
            quiet: Notify::new(),
            wake: (0..workers).map(|_| Notify::new()).collect(),
        }
    }

    /// How many workers it is for, without spares.
    pub(crate) fn workers(&self) -> usize {
        self.wake.len() - SPARES
    }

    /// Jobs that run, and jobs that wait for a worker.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        let running = state.workers.iter().filter(|slot| slot.running.is_some());
        (running.count(), state.waiting.len())
    }

    /// The jobs that run.
    pub(crate) fn running(&self) -> Vec<JobId> {
        let state = self.state.lock();
        let running = state
            .workers
            .iter()
            .filter_map(|slot| slot.running.as_ref());
        running.map(|(assignment, _)| assignment.job.id).collect()
    }

    /// How many jobs to claim now.
    pub(crate) fn wanted(&self) -> usize {
        self.state.lock().wanted()
    }

    /// Waits until more could be claimed.
    pub(crate) async fn low(&self) {
        self.low.notified().await;
    }

    /// Takes claimed jobs in: to idle workers first, to those that are warm for the script before all.
    /// Answers what cannot be taken any more because the process stops.
    pub(crate) fn offer(&self, jobs: Vec<Job>, now: Instant) -> Vec<JobId> {
        let mut state = self.state.lock();
        if state.closed {
            return jobs.into_iter().map(|job| job.id).collect();
        }
        for job in jobs {
            match state.idle_worker(&job) {
                Some(worker) => {
                    state.workers[worker].assigned = Some(assignment(job));
                    self.wake[worker].notify_one();
                }
                None => state.wait(job, now),
            }
        }
        Vec::new()
    }

    /// What `worker` is to do; [`Next::Wait`] puts it on the list of the idle.
    pub(crate) fn next(&self, worker: usize, now: Instant) -> Next {
        let mut state = self.state.lock();
        let given = state.workers[worker].assigned.take();
        let is_spare = worker >= state.regular;
        let next = match given {
            None if !is_spare => state.waiting.pop_front().map(|(job, _)| assignment(job)),
            given => given,
        };
        if let Some(assignment) = next {
            state.workers[worker].running = Some((assignment.clone(), now));
            if state.wanted() > 0 {
                self.low.notify_one();
            }
            return Next::Run(assignment);
        }
        if state.closed {
            return Next::End;
        }
        let idle = if is_spare {
            &mut state.idle_spares
        } else {
            &mut state.idle
        };
        if !idle.contains(&worker) {
            idle.push(worker);
            self.low.notify_one();
        }
        Next::Wait
    }

    /// Waits until `worker` has something to do.
    pub(crate) async fn woken(&self, worker: usize) {
        self.wake[worker].notified().await;
    }

    /// `worker` has ended its job, `warm` tells which scripts it is warm for when that changed.
    pub(crate) fn ended(&self, worker: usize, now: Instant) {
        let mut state = self.state.lock();
        if let Some((_, since)) = state.workers[worker].running.take() {
            let took = now.duration_since(since);
            state.average = Some(
                state
                    .average
                    .map_or(took, |average| (average * 7 + took) / 8),
            );
        }
        if state.is_quiet() {
            self.quiet.notify_one();
        }
    }

    /// `worker` now holds a process or a context of the script, or does not any more.
    pub(crate) fn warmed(&self, worker: usize, hash: i64, warm: bool) {
        let warm_for = &mut self.state.lock().workers[worker].warm;
        if warm {
            warm_for.insert(hash);
        } else {
            warm_for.remove(&hash);
        }
    }

    /// Has a job stop. Answers the job itself when no worker has it yet.
    pub(crate) fn cancel(&self, id: JobId, reason: StopReason) -> Option<Job> {
        let mut state = self.state.lock();
        if let Some(place) = state.waiting.iter().position(|(job, _)| job.id == id) {
            return state.waiting.remove(place).map(|(job, _)| job);
        }
        let held = state.workers.iter().flat_map(Slot::holds);
        if let Some(assignment) = held.into_iter().find(|assignment| assignment.job.id == id) {
            assignment.stop.raise(reason);
        }
        None
    }

    /// Jobs that have waited too long while all workers are busy: they are to be given back.
    pub(crate) fn stale(&self, now: Instant) -> Vec<JobId> {
        let mut state = self.state.lock();
        let old = |(_, since): &(Job, Instant)| now.duration_since(*since) >= HOLD;
        if !state.waiting.front().is_some_and(old) {
            return Vec::new();
        }
        // What runs now is what the next ones would wait for.
        let running = state
            .workers
            .iter()
            .filter_map(|slot| slot.running.as_ref());
        let longest = running.map(|(_, since)| now.duration_since(*since)).max();
        state.average = state.average.max(longest);
        state.waiting.drain(..).map(|(job, _)| job.id).collect()
    }

    /// Takes nothing more in; answers what waits, to be given back. Workers end when they are idle.
    pub(crate) fn close(&self) -> Vec<JobId> {
        let mut state = self.state.lock();
        state.closed = true;
        self.closing.notify_one();
        for wake in &self.wake {
            wake.notify_one();
        }
        self.low.notify_one();
        if state.is_quiet() {
            self.quiet.notify_one();
        }
        state.waiting.drain(..).map(|(job, _)| job.id).collect()
    }

    /// Waits until nothing is to be claimed any more.
    pub(crate) async fn closing(&self) {
        self.closing.notified().await;
    }

    /// Whether the process stops.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Waits until no job runs.
    pub(crate) async fn quiet(&self) {
        while !self.state.lock().is_quiet() {
            self.quiet.notified().await;
        }
    }

    /// Has every running job stop; answers their ids.
    pub(crate) fn stop_all(&self) -> Vec<JobId> {
        let state = self.state.lock();
        let held: Vec<Assignment> = state.workers.iter().flat_map(Slot::holds).collect();
        for assignment in &held {
            assignment.stop.raise(StopReason::Shutdown);
        }
        held.into_iter()
            .map(|assignment| assignment.job.id)
            .collect()
    }

    /// `worker` is gone; answers the job it ran, if any. What it was given but had not begun waits again.
    pub(crate) fn lost(&self, worker: usize, now: Instant) -> Option<Arc<Job>> {
        let mut state = self.state.lock();
        state.idle.retain(|idle| *idle != worker);
        state.idle_spares.retain(|idle| *idle != worker);
        let slot = std::mem::take(&mut state.workers[worker]);
        if let Some(assignment) = slot.assigned {
            let job = Arc::unwrap_or_clone(assignment.job);
            state.wait(job, now);
        }
        slot.running.map(|(assignment, _)| assignment.job)
    }
}

impl State {
    fn wanted(&self) -> usize {
        if self.closed {
            return 0;
        }
        let ahead = self.ahead();
        let waiting = self.waiting.len();
        // In halves, so that claims are large.
        if self.idle.is_empty() && (ahead == 0 || waiting > ahead / 2) {
            return 0;
        }
        (self.idle.len() + ahead).saturating_sub(waiting)
    }

    /// How many jobs the workers run within [`AHEAD`]; none while it is not known, or less than one.
    fn ahead(&self) -> usize {
        let Some(average) = self.average else {
            return 0;
        };
        let each = AHEAD.as_nanos() / average.as_nanos().max(1);
        let all = each.saturating_mul(self.regular as u128);
        usize::try_from(all).unwrap_or(MAX_AHEAD).min(MAX_AHEAD)
    }

    fn idle_worker(&mut self, job: &Job) -> Option<usize> {
        let hash = job.runnable_hash.unwrap_or_default();
        let warm = |worker: &usize| self.workers[*worker].warm.contains(&hash);
        let place = self
            .idle
            .iter()
            .rposition(warm)
            .or_else(|| self.idle.len().checked_sub(1))?;
        Some(self.idle.remove(place))
    }

    /// Behind the last one that is not less urgent.
    fn wait(&mut self, job: Job, now: Instant) {
        let urgent = |(other, _): &(Job, Instant)| other.priority >= job.priority;
        let place = self
            .waiting
            .iter()
            .rposition(urgent)
            .map_or(0, |place| place + 1);
        self.waiting.insert(place, (job, now));
    }

    fn is_quiet(&self) -> bool {
        !self.workers.iter().any(Slot::is_busy)
    }
}

impl Slot {
    fn is_busy(&self) -> bool {
        self.running.is_some() || self.assigned.is_some()
    }

    fn holds(&self) -> Vec<Assignment> {
        let running = self.running.as_ref().map(|(assignment, _)| assignment);
        self.assigned.iter().chain(running).cloned().collect()
    }
}

fn assignment(job: Job) -> Assignment {
    Assignment {
        job: Arc::new(job),
        stop: Arc::new(Stop::default()),
    }
}
