//! THE DATA PLANE, OUT: claimed jobs are run by workers, their ends go back to the queue.
//!
//! ```text
//! Queue ──claim──▶ Runner ──▶ board (look-ahead) ──▶ Worker × K, a thread each ──▶ finisher ──finish──▶ Queue
//!                    │ cancel, drain, re-create            │ Executor: process or context per script version and run-as
//! ```
//!
//! `Runner` (one per process) claims in batches when workers are free or the look-ahead runs low, passes on
//! cancellations, replaces a worker that is lost, and hands everything back when the process stops. `worker`
//! runs one job at a time; `executor` turns a job into an outcome; `process` and `warm` own child processes, `packages`
//! installs what scripts import and `parking` holds the jobs that wait for it,
//! `remote` has a Windmill elsewhere run the jobs of a workspace that is linked to one,
//! `native` the embedded engine's contexts; `language` knows what each language expects. `check` reads a
//! script's text for the API when it is saved. Flows need no worker: `flow` takes their steps on. Everybody may send [`Stop`]; nobody else is talked to but the queue.

mod board;
mod channel;
mod check;
mod contain;
mod environment;
mod executor;
mod fetch;
mod finish;
mod flow;
mod folders;
mod job_log;
pub mod language;
mod limits;
mod native;
mod needs;
pub mod packages;
mod parking;
mod process;
mod remote;
mod script;
mod source;
mod spare;
mod stop;
#[cfg(test)]
mod tests;
mod warm;
mod worker;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message,
    MessageResult, ResponseActFuture, WrapFuture,
};
use actix_rt::Arbiter;
use futures_util::future::OptionFuture;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    task::JoinHandle,
};

pub(crate) use self::folders::leave as leave_folders;
use self::{
    board::Board,
    contain::files::Readable,
    environment::Environment,
    fetch::Fetcher,
    finish::{End, FinishSender, commit_ends},
    flow::Flows,
    packages::Packages,
    parking::{Parked, Parking, give_back_when_built},
    remote::{Carrier, Links},
    script::ScriptCache,
    source::{JobSource, Live},
    stop::StopReason,
    worker::{Shared, Worker},
};
pub use self::{
    check::{Preprocessor, ScriptFacts, check},
    fetch::{AddressCheck, FetchSettings},
    flow::{FlowFacts, check_condition, check_flow},
    limits::RunLimits,
    needs::install,
    source::{Identify, JobIdentity},
};
use crate::{
    config::{Config, DatabaseUrl, ProxyEnvironment},
    db::Pool,
    queue::{Appetite, Claimed, Job, Outcome, Queue, QueueError, Wanted},
    types::{JobId, Timestamp},
};

/// How often jobs are looked for without being called: those that were scheduled, those of other processes.
const POLL: Duration = Duration::from_millis(250);
/// How often lost workers are looked for.
const WATCH: Duration = Duration::from_millis(500);
/// What stays of the time to stop for killing what still runs and for committing the last results.
const LAST_STEPS: Duration = Duration::from_secs(2);

/// What the runner is told by the system.
#[derive(Debug, Clone)]
pub struct RunnerSettings {
    /// Jobs that run at once.
    pub workers: usize,
    /// Bounds of a run.
    pub limits: RunLimits,
    /// Where people reach the page: `WM_BASE_URL`.
    pub base_url: String,
    /// Where jobs reach the API: `BASE_INTERNAL_URL`.
    pub base_internal_url: String,
    /// Whether that may be another process of the same database.
    pub api_is_shared: bool,
    /// The proxies jobs are told of.
    pub proxies: ProxyEnvironment,
    /// What scripts import.
    pub packages: Packages,
    /// What `fetch` in `nativets` may reach.
    pub fetch: FetchSettings,
}

/// Where this process serves the API, as `http(s)://host:port`.
#[derive(Debug, Clone, Copy)]
pub struct Addresses<'a> {
    /// For everybody.
    pub own: &'a str,
    /// For its jobs, where they could not check the certificate of the other.
    pub inside: Option<&'a str>,
}

impl RunnerSettings {
    /// From the settings of the process; `addresses` are where the API is served,
    /// `check` decides which addresses scripts in `nativets` may connect to.
    #[must_use]
    pub fn new(
        config: &Config,
        addresses: Addresses<'_>,
        check: AddressCheck,
        packages: Packages,
    ) -> Self {
        let base_url = config
            .base_url
            .clone()
            .unwrap_or_else(|| addresses.own.to_owned());
        let own = addresses.inside.unwrap_or(addresses.own);
        let internal = config
            .base_internal_url
            .clone()
            .or_else(|| addresses.inside.map(str::to_owned))
            .unwrap_or_else(|| base_url.clone());
        Self {
            workers: config.num_workers,
            limits: RunLimits {
                job_timeout: config.limits.job_timeout,
                readable: Arc::new(Readable::without(&not_for_jobs(config))),
                ..RunLimits::default()
            },
            fetch: FetchSettings {
                check,
                own_api: internal.parse().ok(),
            },
            packages,
            api_is_shared: internal != own,
            base_internal_url: internal,
            base_url,
            proxies: config.proxies.clone(),
        }
    }
}

/// What no job may read, even where it lies in a folder that languages need.
fn not_for_jobs(config: &Config) -> Vec<PathBuf> {
    let key = config.tls.as_ref().map(|files| files.key.clone());
    let folder = match &config.database {
        DatabaseUrl::Sqlite(file) => {
            let folder = file.parent().filter(|folder| *folder != Path::new(""));
            Some(folder.unwrap_or(Path::new(".")).to_owned())
        }
        DatabaseUrl::Postgres(_) => None,
    };
    key.into_iter().chain(folder).collect()
}

/// Ends the runner: running jobs may go on for nearly `within`, then they are stopped and handed back.
/// Answered when every end is committed, or the time is over.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop {
    /// How long it may take altogether.
    pub within: Duration,
}

/// What runs, for people who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct RunnerStatus {
    /// Workers there are.
    pub workers: usize,
    /// Workers that run a job.
    pub running: usize,
    /// Jobs claimed ahead.
    pub waiting: usize,
    /// Workers that were lost and replaced since the start.
    pub replaced: u64,
}

/// Asks for what runs.
#[derive(Debug, Message)]
#[rtype(result = "RunnerStatus")]
pub struct Observe;

/// See the file's documentation.
pub struct Runner {
    shared: Arc<Shared>,
    finish: FinishSender,
    ends: Option<mpsc::Receiver<End>>,
    parked: Option<Parked>,
    workers: Vec<(Addr<Worker>, Arbiter)>,
    /// Those that stand in for others, by their numbers.
    spares: HashMap<usize, (Addr<Worker>, Arbiter)>,
    /// Claims jobs; waited for when the process stops, so that what it has just claimed is given back.
    claiming: Option<JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
    replaced: u64,
}

impl Runner {
    /// A runner of the jobs of `queue`; `identify` mints what jobs call back with. Start it on a thread
    /// where nothing blocks: every job passes it twice.
    #[must_use]
    pub fn new(settings: RunnerSettings, queue: Queue, pool: Pool, identify: Identify) -> Self {
        let flows = Flows::new(queue.clone(), pool.clone(), settings.limits.result_bytes);
        let is_sqlite = pool.is_sqlite();
        let source = Live {
            queue,
            pool,
            identify,
            links: Links::default(),
            api_is_shared: settings.api_is_shared && !is_sqlite,
        };
        Self::with_source(settings, Arc::new(source), Some(flows))
    }

    fn with_source(
        settings: RunnerSettings,
        source: Arc<dyn JobSource>,
        flows: Option<Flows>,
    ) -> Self {
        let (finish, ends) = FinishSender::channel();
        let (parking, parked) = Parking::new();
        let host_settings = settings.fetch.clone();
        let shared = Shared {
            board: Board::new(settings.workers),
            scripts: ScriptCache::new(Arc::clone(&source)),
            environment: Arc::new(Environment::new(&settings)),
            limits: Arc::new(settings.limits),
            packages: settings.packages,
            parking: Arc::new(parking),
            carrier: Carrier::new(finish.clone()),
            host: Box::new(move || Rc::new(Fetcher::new(host_settings.clone()))),
            source,
            flows,
        };
        Self {
            shared: Arc::new(shared),
            finish,
            ends: Some(ends),
            parked: Some(parked),
            workers: Vec::with_capacity(settings.workers),
            spares: HashMap::new(),
            claiming: None,
            tasks: Vec::new(),
            replaced: 0,
        }
    }

    fn start_worker(&self, number: usize) -> (Addr<Worker>, Arbiter) {
        let arbiter = Arbiter::new();
        let (shared, finish) = (Arc::clone(&self.shared), self.finish.clone());
        let addr = Worker::start_in_arbiter(&arbiter.handle(), move |_| {
            Worker::new(shared, number, finish)
        });
        (addr, arbiter)
    }

    /// Replaces workers that are gone; the job one of them ran has failed, for good: it might do it again.
    fn watch(&mut self) {
        if self.shared.board.is_closed() {
            return;
        }
        self.watch_spares();
        for number in 0..self.workers.len() {
            if self.workers[number].0.connected() {
                continue;
            }
            log::error!(worker:% = number; "a worker was lost and is replaced");
            self.replaced += 1;
            if let Some(job) = self.shared.board.lost(number, Instant::now()) {
                fail_lost(&self.finish, job);
            }
            let fresh = self.start_worker(number);
            let (_, old) = std::mem::replace(&mut self.workers[number], fresh);
            old.stop();
        }
    }
}

/// Ends a job whose worker is gone.
fn fail_lost(finish: &FinishSender, job: Arc<Job>) {
    let message = "the worker was lost while it ran this job: please report it";
    let outcome = Outcome::failed("InternalError", message, Timestamp::now());
    let finish = finish.clone();
    actix_rt::spawn(async move { finish.send(job, outcome).await });
}

impl Actor for Runner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let source = Arc::clone(&self.shared.source);
        if let Some(ends) = self.ends.take() {
            actix_rt::spawn(commit_ends(ends, source, self.shared.flows.clone()));
        }
        if self.shared.board.workers() == 0 {
            return;
        }
        contain::report();
        let workers = i64::try_from(self.shared.board.workers()).unwrap_or(i64::MAX);
        crate::metrics::metrics().workers.set(workers);
        self.workers = (0..self.shared.board.workers())
            .map(|number| self.start_worker(number))
            .collect();
        let claiming = claim_jobs(Arc::clone(&self.shared), ctx.address());
        self.claiming = Some(actix_rt::spawn(claiming));
        self.tasks = vec![actix_rt::spawn(pass_cancellations(
            Arc::clone(&self.shared),
            self.finish.clone(),
        ))];
        if let Some(parked) = self.parked.take() {
            let parking = Arc::clone(&self.shared.parking);
            let source = Arc::clone(&self.shared.source);
            let packages = self.shared.packages.clone();
            let waiting = give_back_when_built(parking, parked, packages, source);
            self.tasks.push(actix_rt::spawn(waiting));
        }
        let carrying = remote::keep_up(Arc::clone(&self.shared));
        self.tasks.push(actix_rt::spawn(carrying));
        ctx.run_interval(WATCH, |runner, _| runner.watch());
    }
}

impl Handler<Stop> for Runner {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Stop { within }: Stop, _: &mut Self::Context) -> Self::Result {
        let end = Instant::now() + within;
        let claiming = self.claiming.take();
        let drained = drain(Arc::clone(&self.shared), claiming, self.finish.clone(), end);
        let drained = async move {
            if tokio::time::timeout_at(end.into(), drained).await.is_err() {
                log::warn!("stopping took too long: what was not committed runs again");
            }
        };
        Box::pin(drained.into_actor(self).map(|(), runner, ctx| {
            for task in runner.tasks.drain(..) {
                task.abort();
            }
            let spares = runner.spares.drain().map(|(_, spare)| spare);
            runner.shared.carrier.end();
            for (_, arbiter) in spares.chain(runner.workers.drain(..)) {
                arbiter.stop();
            }
            ctx.stop();
        }))
    }
}

impl Handler<Observe> for Runner {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let (running, waiting) = self.shared.board.counts();
        MessageResult(RunnerStatus {
            workers: self.workers.len(),
            running,
            waiting,
            replaced: self.replaced,
        })
    }
}

/// Claims jobs whenever workers are free or the look-ahead runs low; while there are none, its wish stands with the
/// queue.
async fn claim_jobs(shared: Arc<Shared>, runner: Addr<Runner>) {
    let ready = shared.source.ready();
    let appetite = appetite(&shared);
    let mut claiming = None;
    let mut look = true;
    let mut looked = Instant::now();
    while !shared.board.is_closed() {
        give_back(&shared, shared.board.stale(Instant::now())).await;
        let wanted = shared.board.wanted();
        if wanted > 0 && claiming.is_none() {
            let look = std::mem::take(&mut look);
            claiming = Some(shared.source.await_jobs(appetite.clone(), look));
        }
        if wanted == 0 && (looked.elapsed() >= POLL || shared.board.has_idle_spare()) {
            looked = Instant::now();
            spare::unblock(&shared, &runner).await;
        }
        tokio::select! {
            claimed = OptionFuture::from(claiming.as_mut()), if claiming.is_some() => {
                claiming = None;
                look = match claimed {
                    Some(claimed) => take_in(&shared, claimed).await,
                    None => true,
                };
                continue;
            }
            () = shared.board.closing() => {}
            () = shared.board.low(), if claiming.is_none() => {}
            () = ready.notified() => look = true,
            () = tokio::time::sleep(POLL) => look = true,
        }
        if claiming.is_some() && std::mem::take(&mut look) {
            shared.source.look();
        }
    }
    if let Some(claiming) = claiming {
        shared.source.look();
        take_in(&shared, claiming.await).await;
    }
}

/// What the board wants, and what the carrier has no room for.
fn appetite(shared: &Arc<Shared>) -> Appetite {
    let shared = Arc::downgrade(shared);
    Appetite::new(move || {
        let Some(shared) = shared.upgrade() else {
            return Wanted::default();
        };
        let mut no_room = shared.carrier.full();
        // What is under way of a link that has ended is no reason to keep the others waiting.
        no_room.retain(|workspace| shared.source.is_linked(workspace));
        let jobs = shared.board.wanted();
        Wanted { jobs, no_room }
    })
}

/// Takes claimed jobs in, once it is known which of them run elsewhere. Answers whether more may be due.
async fn take_in(shared: &Arc<Shared>, claimed: Result<Claimed, QueueError>) -> bool {
    let claimed = match claimed {
        Ok(claimed) => claimed,
        Err(error) => {
            log::debug!(error:% = error; "no jobs can be claimed, they wait");
            tokio::time::sleep(POLL).await;
            return true;
        }
    };
    if claimed.jobs.is_empty() {
        return claimed.more;
    }
    if let Err(error) = shared.source.refresh_links().await {
        log::warn!(error:% = error; "it cannot be seen which jobs run elsewhere, they wait");
        give_back(shared, claimed.jobs.iter().map(|job| job.id).collect()).await;
        tokio::time::sleep(POLL).await;
        return true;
    }
    let jobs = for_workers(shared, claimed.jobs).await;
    give_back(shared, shared.board.offer(jobs, Instant::now())).await;
    claimed.more
}

/// Those of `jobs` that take a worker: flows do not, nor what runs elsewhere.
async fn for_workers(shared: &Arc<Shared>, jobs: Vec<Job>) -> Vec<Job> {
    let elsewhere = |job: &Job| shared.source.link(job).is_some();
    let (there, here): (Vec<_>, Vec<_>) = jobs.into_iter().partition(elsewhere);
    Carrier::take(shared, there).await;
    match &shared.flows {
        Some(flows) => flows.take_out(here).await,
        None => here,
    }
}

/// Has jobs stop that somebody wants to stop.
async fn pass_cancellations(shared: Arc<Shared>, finish: FinishSender) {
    let mut cancellations = shared.source.cancellations();
    loop {
        match cancellations.recv().await {
            Ok((id, by, reason)) => {
                let wish = StopReason::Canceled {
                    by: by.clone(),
                    reason: reason.clone(),
                };
                shared.carrier.cancel(id, wish.clone());
                if let Some(job) = shared.board.cancel(id, wish) {
                    let now = Timestamp::now();
                    let outcome = Outcome::canceled(&by, reason.as_deref(), now);
                    finish.send(Arc::new(job), outcome).await;
                }
            }
            // They are repeated until the jobs have stopped.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Lets running jobs end until shortly before `end`, then has them stop; commits what they came to.
async fn drain(
    shared: Arc<Shared>,
    claiming: Option<JoinHandle<()>>,
    finish: FinishSender,
    end: Instant,
) {
    give_back(&shared, shared.board.close()).await;
    give_back(&shared, shared.parking.close()).await;
    shared.carrier.close();
    if let Some(claiming) = claiming {
        // What it has just claimed it gives back itself; past its time the lease lapses.
        let _ = tokio::time::timeout_at(end.into(), claiming).await;
    }
    let patience = end.checked_sub(LAST_STEPS).unwrap_or(end);
    // Each is given back at once; a database that is away must not take the time of the others.
    let _ = tokio::time::timeout_at(patience.into(), shared.carrier.quiet()).await;
    if tokio::time::timeout_at(patience.into(), shared.board.quiet())
        .await
        .is_err()
    {
        let stopped = shared.board.stop_all();
        log::info!(jobs:% = stopped.len(); "jobs still run and are handed back");
        let killed = tokio::time::timeout(LAST_STEPS / 2, shared.board.quiet()).await;
        if killed.is_err() {
            // A script that computes inside one native call; its thread ends with the process.
            give_back(&shared, shared.board.running()).await;
        }
    }
    finish.flush().await;
}

async fn give_back(shared: &Shared, jobs: Vec<JobId>) {
    if jobs.is_empty() {
        return;
    }
    if let Err(error) = shared.source.give_back(jobs).await {
        log::warn!(error:% = error; "jobs could not be given back, their leases will lapse");
    }
}
