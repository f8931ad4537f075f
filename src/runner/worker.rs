//! Actor `Worker`: takes a job from the board, runs it, passes its end on; one at a time. Lives alone on a
//! thread of its own, because scripts of the embedded engine occupy it while they compute.
//!
//! Started, watched and replaced by `Runner`. It never talks to the queue itself: ends go to the `Runner`'s
//! finisher, which commits them in groups.

use std::{
    panic::AssertUnwindSafe,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures_util::FutureExt;

use super::{
    board::{Assignment, Board, Next},
    environment::Environment,
    executor::{Executor, LazyEnv, Run},
    finish::FinishSender,
    flow::Flows,
    job_log::LogSink,
    language::nativets::Host,
    limits::RunLimits,
    native::NativeContexts,
    packages::Packages,
    parking::Parking,
    process,
    remote::Carrier,
    script::{NoScript, ScriptCache},
    source::JobSource,
};
use crate::{
    db::DbError,
    metrics::metrics,
    queue::{self, Job, Outcome},
    secret::mask::{Masks, Watch},
    types::{JobId, Timestamp},
};

/// Pause after the database had no script to give: it is asked for each job anew.
const DATABASE_PAUSE: Duration = Duration::from_millis(500);

/// How often the database is asked for a job's secrets: for as long as a stop waits for running jobs, and longer.
const SECRET_TRIES: u32 = 60;

/// How long a spare worker waits for one more job: those who wait for jobs often wait for several.
const SPARE_WAITS: Duration = Duration::from_secs(1);

/// What all workers share.
pub(crate) struct Shared {
    /// Jobs.
    pub(crate) board: Board,
    /// Scripts.
    pub(crate) scripts: ScriptCache,
    /// The rest of windsock.
    pub(crate) source: Arc<dyn JobSource>,
    /// Takes flows on; none where there is nothing but scripts to be run.
    pub(crate) flows: Option<Flows>,
    /// Bounds.
    pub(crate) limits: Arc<RunLimits>,
    /// What jobs find in their environment.
    pub(crate) environment: Arc<Environment>,
    /// What scripts import.
    pub(crate) packages: Packages,
    /// Jobs that wait for it.
    pub(crate) parking: Arc<Parking>,
    /// Jobs that run elsewhere.
    pub(crate) carrier: Carrier,
    /// Makes, on a worker's thread, what its scripts fetch through.
    pub(crate) host: Box<dyn Fn() -> Rc<dyn Host> + Send + Sync>,
}

/// See the file's documentation.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    number: usize,
    finish: FinishSender,
}

impl Worker {
    /// The worker with the number `number` of the board.
    pub(crate) fn new(shared: Arc<Shared>, number: usize, finish: FinishSender) -> Self {
        Self {
            shared,
            number,
            finish,
        }
    }
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        process::lower_priority_of_this_thread();
        let work = work(Arc::clone(&self.shared), self.number, self.finish.clone());
        ctx.spawn(work.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

/// Job after job until the board is closed.
async fn work(shared: Arc<Shared>, number: usize, finish: FinishSender) {
    let host = (shared.host)();
    let contexts = NativeContexts::new(&shared.limits, Rc::clone(&host));
    let limits = Arc::clone(&shared.limits);
    let environment = Arc::clone(&shared.environment);
    let mut executor = Executor::new(limits, environment, contexts, shared.packages.clone());
    let mut swept = Instant::now();
    loop {
        let assignment = match shared.board.next(number, Instant::now()) {
            Next::Run(assignment) => assignment,
            Next::End => return,
            Next::Wait if shared.board.spares().contains(&number) => {
                let woken = shared.board.woken(number);
                if tokio::time::timeout(SPARE_WAITS, woken).await.is_err()
                    && shared.board.retires(number)
                {
                    return;
                }
                continue;
            }
            Next::Wait => {
                rest(&shared, number, &mut executor).await;
                continue;
            }
        };
        metrics().workers_busy.inc();
        let ended = run(&shared, &mut executor, &assignment).await;
        metrics().workers_busy.dec();
        let job = assignment.job.id;
        match ended {
            Some(Ran::Done(outcome)) => finish.send(assignment.job, *outcome).await,
            Some(Ran::Parked) => {}
            None => give_back(&shared, job).await,
        }
        shared.board.ended(number, Instant::now());
        if swept.elapsed() >= shared.limits.idle {
            swept = Instant::now();
            executor.end_idle();
        }
        tell_changes(&shared, number, &mut executor);
        // The child's output, timers and cancellations of this thread get their turn.
        tokio::task::yield_now().await;
    }
}

/// Waits for the next job, ends processes that wait for too long meanwhile.
async fn rest(shared: &Shared, number: usize, executor: &mut Executor) {
    let woken = shared.board.woken(number);
    match executor.next_end() {
        None => woken.await,
        Some(end) => tokio::select! {
            biased;
            () = woken => {}
            () = tokio::time::sleep_until(end.into()) => {
                executor.end_idle();
                tell_changes(shared, number, executor);
            }
        },
    }
}

fn tell_changes(shared: &Shared, number: usize, executor: &mut Executor) {
    for (hash, warm) in executor.changes() {
        shared.board.warmed(number, hash, warm);
    }
}

/// What became of a job.
enum Ran {
    /// It has ended.
    Done(Box<Outcome>),
    /// It waits for packages, or runs elsewhere, without a worker.
    Parked,
}

/// Runs one job; `None` = it goes back to the queue. A panic on the way is that job's failure.
async fn run(
    shared: &Arc<Shared>,
    executor: &mut Executor,
    assignment: &Assignment,
) -> Option<Ran> {
    let failed = |name: &str, message: &str, at| {
        Some(Ran::Done(Box::new(Outcome::failed(name, message, at))))
    };
    let started_at = Timestamp::now();
    let job = &assignment.job;
    if shared.source.link(job).is_some() {
        // Its workspace was linked since it was claimed.
        Carrier::take(shared, vec![Job::clone(job)]).await;
        return Some(Ran::Parked);
    }
    let script = match shared.scripts.of(job).await {
        Ok(script) => script,
        Err(NoScript::Fails(message)) => {
            return failed("ExecutionErr", &message, started_at);
        }
        Err(NoScript::Later(error)) => {
            log::warn!(job:% = job.id, error:% = error; "the script of a job cannot be read, it waits");
            tokio::time::sleep(DATABASE_PAUSE).await;
            return None;
        }
    };
    if let Some(wanted) = executor.waits_for(&script).await
        && shared.parking.park(job.id, wanted)
    {
        return Some(Ran::Parked);
    }
    let interval = shared.limits.log_interval;
    let _watch = Watch::begin(job.id);
    let filled_in = match filled_in(shared, job).await {
        Ok(filled_in) => filled_in,
        Err(NoScript::Fails(message)) => return failed("ExecutionErr", &message, started_at),
        Err(NoScript::Later(error)) => {
            log::warn!(job:% = job.id, error:% = error; "the arguments of a job cannot be had, it waits");
            tokio::time::sleep(DATABASE_PAUSE).await;
            return None;
        }
    };
    let mut sink = LogSink::new(Arc::clone(&shared.source), job, interval);
    let starting = filled_in.as_ref().unwrap_or(job);
    let env = environment(shared, job);
    let run = executor.run(starting, &script, env, &assignment.stop, &mut sink);
    match AssertUnwindSafe(run).catch_unwind().await {
        Ok(Run::Done(mut outcome)) => {
            mask_secrets(shared, job.id, &mut outcome).await;
            let how = if outcome.success {
                "success"
            } else {
                "failure"
            };
            let labels = [script.language.as_str(), how];
            metrics().jobs.with_label_values(&labels).inc();
            Some(Ran::Done(outcome))
        }
        Ok(Run::GiveBack) => None,
        Err(_) => {
            log::error!(job:% = job.id; "the runner panicked over a job");
            let message = "windsock itself failed over this job: please report it";
            failed("InternalError", message, started_at)
        }
    }
}

/// What the job finds in its environment.
fn environment(shared: &Arc<Shared>, job: &Arc<Job>) -> LazyEnv {
    let (shared, job) = (Arc::clone(shared), Arc::clone(job));
    Rc::new(move || {
        let identity = shared.source.identify(&job);
        shared.environment.of_job(&job, identity)
    })
}

/// The job with what its arguments refer to, if they may refer to anything. What is kept of it is the job as it was.
async fn filled_in(shared: &Shared, job: &Job) -> Result<Option<Job>, NoScript> {
    let given = queue::given(job);
    if given.is_empty() {
        return Ok(None);
    }
    let args = shared.source.fill_in(job, given).await;
    let args = args.map_err(NoScript::Later)?.map_err(NoScript::Fails)?;
    Ok(Some(Job {
        args,
        ..job.clone()
    }))
}

/// Keeps the secrets a job has read out of its log and of the text of its error. Where it cannot be known what is one,
/// neither is kept.
async fn mask_secrets(shared: &Shared, job: JobId, outcome: &mut Outcome) {
    let made = outcome.preprocessed_args.take();
    outcome.preprocessed_args = made.map(|args| Masks::of(job).apply_to_json(args));
    if outcome.success && outcome.logs.is_empty() {
        return;
    }
    let mut tries = 0;
    while let Err(error) = shared.source.learn_secrets(job).await {
        let is_final = matches!(error, DbError::NoKey | DbError::OtherKey(_));
        if is_final || tries >= SECRET_TRIES {
            log::error!(job:% = job, error:% = error; "the log of a job is not kept: its secrets cannot be masked");
            outcome.logs =
                "[windsock: the log is not kept, as the secrets in it cannot be masked]\n"
                    .to_owned();
            if !outcome.success {
                let message = "the job has failed; the error is not kept, as the secrets in it cannot be masked";
                *outcome = Outcome {
                    logs: std::mem::take(&mut outcome.logs),
                    ..Outcome::failed("ExecutionErr", message, outcome.started_at)
                };
            }
            return;
        }
        tries += 1;
        tokio::time::sleep(DATABASE_PAUSE).await;
    }
    let masks = Masks::of(job);
    outcome.logs = masks.apply(std::mem::take(&mut outcome.logs));
    if !outcome.success {
        outcome.result = masks.apply_to_json(std::mem::take(&mut outcome.result));
    }
}

async fn give_back(shared: &Shared, job: JobId) {
    if let Err(error) = shared.source.give_back(vec![job]).await {
        log::warn!(job:% = job, error:% = error; "a job could not be given back, its lease will lapse");
    }
}
