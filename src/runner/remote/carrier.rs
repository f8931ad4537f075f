//! [`Carrier`]: the jobs this process has under way to linked Windmills. None holds a worker: they wait for answers, all
//! on one thread, which is started with the first of them.
//!
//! Bounded for each workspace. What is claimed past that goes into the outbox of its workspace (`queue::outbox`), where
//! claims do not see it, and is fetched from there when there is room ([`keep_up`]).

use std::{collections::HashMap, panic::AssertUnwindSafe, rc::Rc, sync::Arc, time::Duration};

use actix_rt::Arbiter;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::{Link, reach::Reach, run};
use crate::{
    queue::{Job, Outcome, QueueError},
    runner::{
        executor::Run,
        finish::FinishSender,
        language::nativets::Host,
        process,
        stop::{Stop, StopReason},
        worker::Shared,
    },
    types::{JobId, Timestamp},
};

/// Jobs of one workspace that are under way at once: each is asked after every 2 s at most.
const JOBS: usize = 256;
/// Bytes of their arguments, which are kept until the job has arrived for certain.
const ARGS_BYTES: usize = 32 * 1024 * 1024;
/// How often outboxes are looked at without being called: what other processes left there, links that are new or gone.
const LOOK: Duration = Duration::from_secs(1);

/// See the file's documentation.
pub(crate) struct Carrier {
    finish: FinishSender,
    state: Mutex<State>,
    /// Rings when there is room again.
    room: Notify,
    /// Rings when nothing is under way any more.
    quiet: Notify,
}

#[derive(Default)]
struct State {
    lines: HashMap<String, Line>,
    stops: HashMap<JobId, Arc<Stop>>,
    thread: Option<(Arbiter, mpsc::UnboundedSender<Load>)>,
    closed: bool,
}

/// What is under way of one workspace.
#[derive(Default)]
struct Line {
    jobs: usize,
    args_bytes: usize,
    reach: Arc<Reach>,
}

impl Line {
    fn room(&self) -> usize {
        if self.args_bytes >= ARGS_BYTES {
            return 0;
        }
        JOBS.saturating_sub(self.jobs)
    }
}

/// One job under way.
struct Load {
    job: Arc<Job>,
    link: Arc<Link>,
    stop: Arc<Stop>,
    reach: Arc<Reach>,
}

impl Carrier {
    /// One that carries nothing; what comes of jobs goes to `finish`.
    pub(crate) fn new(finish: FinishSender) -> Self {
        Self {
            finish,
            state: Mutex::default(),
            room: Notify::new(),
            quiet: Notify::new(),
        }
    }

    /// Takes claimed jobs of linked workspaces. What there is no room for goes into the outbox.
    pub(crate) async fn take(shared: &Arc<Shared>, jobs: Vec<Job>) {
        let rest = shared.carrier.load(shared, jobs);
        if rest.is_empty() {
            return;
        }
        if let Err(error) = shared.source.put_in_outbox(rest).await {
            log::warn!(error:% = error; "jobs could not be put into the outbox, their leases will lapse");
        }
    }

    /// The workspaces that have no room.
    pub(crate) fn full(&self) -> Vec<String> {
        let state = self.state.lock();
        let full = state.lines.iter().filter(|(_, line)| line.room() == 0);
        full.map(|(workspace, _)| workspace.clone()).collect()
    }

    /// Has a job stop, if it is under way.
    pub(crate) fn cancel(&self, id: JobId, reason: StopReason) {
        if let Some(stop) = self.state.lock().stops.get(&id) {
            stop.raise(reason);
        }
    }

    /// Takes nothing more, and gives everything back: it goes on there, and whoever claims it next follows it.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        for stop in state.stops.values() {
            stop.raise(StopReason::Shutdown);
        }
        self.room.notify_one();
        self.quiet.notify_one();
    }

    /// Waits until nothing is under way, after [`Carrier::close`].
    pub(crate) async fn quiet(&self) {
        while !self.state.lock().stops.is_empty() {
            self.quiet.notified().await;
        }
    }

    /// Ends its thread.
    pub(crate) fn end(&self) {
        if let Some((arbiter, _)) = self.state.lock().thread.take() {
            arbiter.stop();
        }
    }

    fn room(&self, workspace: &str) -> usize {
        let state = self.state.lock();
        state.lines.get(workspace).map_or(JOBS, Line::room)
    }

    fn load(&self, shared: &Arc<Shared>, jobs: Vec<Job>) -> Vec<JobId> {
        let mut rest = Vec::new();
        let mut state = self.state.lock();
        for job in jobs {
            let link = shared.source.link(&job).filter(|_| !state.closed);
            let line = state.lines.entry(job.workspace_id.clone()).or_default();
            let Some(link) = link.filter(|_| line.room() > 0) else {
                rest.push(job.id);
                continue;
            };
            line.jobs += 1;
            line.args_bytes += job.args.len();
            let load = Load {
                stop: Arc::default(),
                reach: Arc::clone(&line.reach),
                job: Arc::new(job),
                link,
            };
            state.stops.insert(load.job.id, Arc::clone(&load.stop));
            let (_, sender) = state
                .thread
                .get_or_insert_with(|| start(Arc::clone(shared)));
            // The other end goes with the thread, which outlives everything under way.
            let _ = sender.send(load);
        }
        rest
    }

    fn left(&self, (workspace, id, args_bytes): (&str, JobId, usize)) {
        let mut state = self.state.lock();
        state.stops.remove(&id);
        if let Some(line) = state.lines.get_mut(workspace) {
            line.jobs -= 1;
            line.args_bytes -= args_bytes;
            if line.jobs == 0 {
                state.lines.remove(workspace);
            }
        }
        if state.stops.is_empty() {
            self.quiet.notify_one();
        }
        self.room.notify_one();
    }
}

/// Starts the thread that carries.
fn start(shared: Arc<Shared>) -> (Arbiter, mpsc::UnboundedSender<Load>) {
    // Bounded by the room of each line.
    let (sender, mut loads) = mpsc::unbounded_channel();
    let arbiter = Arbiter::new();
    arbiter.spawn_fn(move || {
        process::lower_priority_of_this_thread();
        let host = (shared.host)();
        actix_rt::spawn(async move {
            while let Some(load) = loads.recv().await {
                actix_rt::spawn(carry(Arc::clone(&shared), Rc::clone(&host), load));
            }
        });
    });
    (arbiter, sender)
}

/// Carries one job to its end. A panic on the way is that job's failure.
async fn carry(shared: Arc<Shared>, host: Rc<dyn Host>, load: Load) {
    let Load {
        job,
        link,
        stop,
        reach,
    } = load;
    let whose = (job.workspace_id.clone(), job.id, job.args.len());
    let way = (&*host, &link, &*reach);
    let run = run(way, &*shared.source, (&job, &stop), &shared.limits);
    let run = AssertUnwindSafe(run).catch_unwind().await;
    let run = run.unwrap_or_else(|_| {
        log::error!(job:% = job.id; "the runner panicked over a job that runs elsewhere");
        let message = "windsock itself failed over this job: please report it";
        let outcome = Outcome::failed("InternalError", message, Timestamp::now());
        Run::Done(Box::new(outcome))
    });
    match run {
        Run::Done(outcome) => shared.carrier.finish.send(job, *outcome).await,
        Run::GiveBack => {
            if let Err(error) = shared.source.give_back(vec![job.id]).await {
                log::warn!(job:% = job.id, error:% = error; "a job could not be given back, its lease will lapse");
            }
        }
    }
    shared.carrier.left((&whose.0, whose.1, whose.2));
}

/// Fetches jobs from outboxes while there is room; those of workspaces whose link is gone are run here. Ends with
/// [`Carrier::close`].
pub(crate) async fn keep_up(shared: Arc<Shared>) {
    let mut any = true;
    while !shared.carrier.state.lock().closed {
        match fetch(&shared).await {
            Ok(more) => any = more,
            Err(error) => log::debug!(error:% = error; "outboxes cannot be looked at"),
        }
        tokio::select! {
            () = shared.carrier.room.notified(), if any => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Looks at every outbox; answers whether there is one.
async fn fetch(shared: &Arc<Shared>) -> Result<bool, QueueError> {
    shared.source.refresh_links().await?;
    let workspaces = shared.source.outboxes().await?;
    let any = !workspaces.is_empty();
    for workspace in workspaces {
        if !shared.source.is_linked(&workspace) {
            shared.source.release_outbox(workspace).await?;
            continue;
        }
        let room = shared.carrier.room(&workspace);
        if room > 0 {
            let jobs = shared.source.claim_outbox(workspace, room).await?;
            Carrier::take(shared, jobs).await;
        }
    }
    Ok(any)
}
