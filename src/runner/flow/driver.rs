//! [`Flows`]: brings what happened to flows to a plan, and what that changes to the queue. Lives on the runner's
//! thread; plans run on threads that may block, few at a time.
//!
//! Events of one outermost flow wait in one line and are planned in their order; different flows do not wait for each
//! other. Bounded: claimed flows by a number, ended steps by the permits they came with.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{
    plan::{Plan, Tools},
    run::Event,
};
use crate::{
    db::{DbError, Pool},
    queue::{FlowChange, Job, Outcome, Queue, QueueError, retry_condition},
    types::{JobId, Timestamp},
};

/// Claimed flows that may wait for their plan: more would only wait here instead of in the queue.
const CLAIMED: usize = 1_024;
/// Plans at a time: each has a connection and may compute.
const PLANS: usize = 2;
/// Events in one plan: the list of a wide parallel loop is written once for all of them.
const EVENTS_PER_PLAN: usize = 512;
/// Changes that may be stale one after the other before a breath is taken.
const STALE_AT_ONCE: u32 = 8;
/// Wait after the database gave no answer, and after too many stale changes.
const PAUSE: Duration = Duration::from_millis(250);
/// Plans of the same events that may fail for a reason of windsock's own.
const BROKEN_PLANS: u32 = 3;

/// An event, and its share of a bound.
struct Waiting {
    event: Event,
    _permit: OwnedSemaphorePermit,
}

/// See the file's documentation. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Flows(Arc<Inner>);

struct Inner {
    queue: Queue,
    pool: Pool,
    tools: Arc<Tools>,
    /// Events by the outermost flow; an entry is there while its line is worked on.
    lines: Mutex<HashMap<JobId, VecDeque<Waiting>>>,
    room: Arc<Semaphore>,
    plans: Semaphore,
    quiet: Notify,
}

impl Flows {
    /// For the flows of `queue`.
    pub(crate) fn new(queue: Queue, pool: Pool, result_bytes: usize) -> Self {
        let tools = Tools {
            cache: super::cache::FlowCache::default(),
            worker: queue.worker().to_owned(),
            result_bytes,
        };
        Self(Arc::new(Inner {
            queue,
            pool,
            tools: Arc::new(tools),
            lines: Mutex::default(),
            room: Arc::new(Semaphore::new(CLAIMED)),
            plans: Semaphore::new(PLANS),
            quiet: Notify::new(),
        }))
    }

    /// Takes the flows out of what this process has claimed: they need no worker. Waits while too many wait.
    pub(crate) async fn take_out(&self, jobs: Vec<Job>) -> Vec<Job> {
        let mut rest = Vec::with_capacity(jobs.len());
        for job in jobs {
            if !super::is_for_machine(&job.kind) {
                rest.push(job);
            } else if let Ok(permit) = Arc::clone(&self.0.room).acquire_owned().await {
                self.put(Event::Claimed(Arc::new(job)), permit);
            }
        }
        rest
    }

    /// Takes a step that has ended; `permit` stands for its size.
    pub(crate) fn ended(&self, job: Arc<Job>, outcome: Outcome, permit: OwnedSemaphorePermit) {
        self.put(Event::Ended(job, Arc::new(outcome)), permit);
    }

    /// Whether the end of `job` is for a flow.
    pub(crate) fn wants(job: &Job) -> bool {
        job.parent_job.is_some() && job.flow_step_id.is_some()
    }

    /// Waits until nothing is left to be planned or committed.
    pub(crate) async fn quiet(&self) {
        loop {
            let quiet = self.0.quiet.notified();
            if self.0.lines.lock().is_empty() {
                return;
            }
            quiet.await;
        }
    }

    fn put(&self, event: Event, permit: OwnedSemaphorePermit) {
        let job = match &event {
            Event::Claimed(job) | Event::Ended(job, _) => job,
        };
        let root = job.root_job.unwrap_or(job.id);
        let waiting = Waiting {
            event,
            _permit: permit,
        };
        let mut lines = self.0.lines.lock();
        if let Some(line) = lines.get_mut(&root) {
            line.push_back(waiting);
            return;
        }
        lines.insert(root, VecDeque::from([waiting]));
        drop(lines);
        let inner = Arc::clone(&self.0);
        actix_rt::spawn(async move { inner.work(root).await });
    }
}

impl Inner {
    /// Works on the line of one outermost flow until it is empty.
    async fn work(&self, root: JobId) {
        loop {
            let batch = {
                let mut lines = self.lines.lock();
                let Some(line) = lines.get_mut(&root) else {
                    return;
                };
                if line.is_empty() {
                    lines.remove(&root);
                    drop(lines);
                    self.quiet.notify_waiters();
                    return;
                }
                let many = line.len().min(EVENTS_PER_PLAN);
                line.drain(..many).collect::<Vec<Waiting>>()
            };
            let (events, permits): (Vec<Event>, Vec<OwnedSemaphorePermit>) = batch
                .into_iter()
                .map(|waiting| (waiting.event, waiting._permit))
                .unzip();
            self.take_on(Arc::new(events)).await;
            drop(permits);
        }
    }

    /// Plans and commits events, as often as it takes.
    async fn take_on(&self, mut events: Arc<Vec<Event>>) {
        let (mut tries, mut broken, mut refused) = (0, 0, false);
        loop {
            let change = {
                let Ok(_permit) = self.plans.acquire().await else {
                    return;
                };
                let (tools, events) = (Arc::clone(&self.tools), Arc::clone(&events));
                let anew = tries > 0;
                self.pool
                    .run(move |conn| Plan::of(conn, &tools, (&events, anew)))
                    .await
            };
            tries += 1;
            let change = match change {
                Ok(change) => change,
                Err(DbError::Lost) if broken < BROKEN_PLANS => {
                    broken += 1;
                    continue;
                }
                Err(DbError::Lost) => {
                    let why = "windsock itself failed over this flow: please report it";
                    return self.give_up(&events, why).await;
                }
                Err(error) => {
                    log::warn!(error:% = error; "flows wait for the database");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            if change.is_empty() {
                return;
            }
            let change = judged(change).await;
            match self.queue.advance(change).await {
                Ok(true) => return,
                Ok(false) if tries < STALE_AT_ONCE => {}
                Ok(false) => tokio::time::sleep(PAUSE).await,
                Err(QueueError::Refused(why)) if !refused => {
                    refused = true;
                    events = Arc::new(refusals(&events, &why));
                }
                Err(QueueError::Refused(why)) => return self.give_up(&events, &why).await,
                Err(QueueError::Closed) => return,
                Err(QueueError::Database(_) | QueueError::Fenced | QueueError::TooSlow(_)) => {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Ends what cannot be taken on: the steps, and the flows they are part of.
    async fn give_up(&self, events: &[Event], why: &str) {
        log::error!("a flow is given up: {why}");
        let now = Timestamp::now();
        for event in events {
            let outcome = Outcome::failed("InternalError", why, now);
            let (job, flow) = match event {
                Event::Claimed(job) => (job, None),
                Event::Ended(job, _) => (job, job.parent_job),
            };
            let ended = self.queue.finish(vec![(Arc::clone(job), outcome)]).await;
            let canceled = match flow {
                Some(flow) => {
                    let reason = Some(why.to_owned());
                    let workspace = &job.workspace_id;
                    let canceled = self.queue.cancel(workspace, flow, "windsock", reason);
                    canceled.await.map(|_| ())
                }
                None => Ok(()),
            };
            if let Err(error) = ended.and(canceled) {
                log::error!(job:% = job.id; "a flow that was given up could not be ended: {error}");
            }
        }
    }
}

/// Evaluates the conditions under which flows that have failed are run again by their triggers.
async fn judged(mut change: FlowChange) -> FlowChange {
    for (job, outcome) in &mut change.flows {
        if outcome.success || outcome.canceled.is_some() {
            continue;
        }
        if let Some(expr) = retry_condition(job) {
            let verdict = super::holds(expr, outcome).await.unwrap_or(false);
            Arc::make_mut(outcome).retry_if = Some(verdict);
        }
    }
    change
}

/// The same events, but what could not be stored has failed.
fn refusals(events: &[Event], why: &str) -> Vec<Event> {
    let refusal = |event: &Event| match event {
        Event::Claimed(job) => Event::Claimed(Arc::clone(job)),
        Event::Ended(job, outcome) => {
            let text = format!("the result cannot be stored: {why}");
            let failed = Outcome::failed("ExecutionErr", &text, outcome.started_at);
            Event::Ended(Arc::clone(job), Arc::new(failed))
        }
    };
    events.iter().map(refusal).collect()
}
