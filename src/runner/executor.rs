//! [`Executor`]: runs one job and says how it ended. Owned by one worker; holds its warm processes and contexts.
//!
//! Knows neither queue nor actors: a job and its script in, an [`Outcome`] out. Whatever a script does, the
//! answer is an outcome of that job, and the next job finds a process that works.

use std::{
    path::Path,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{
    environment::Environment,
    job_log::{JobLog, LogSink},
    language::{
        self, Answer, Call, JobEnv, bash,
        javascript::{self, bun, deno},
        python3,
    },
    limits::RunLimits,
    native::NativeContexts,
    needs,
    packages::{Packages, Wanted},
    script::Script,
    stop::{Stop, StopReason},
    warm::{CallContext, Ended, WarmProcess, WarmSet},
};
use crate::{
    queue::{Job, Outcome},
    types::{Language, Timestamp},
};

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Run {
    /// With an outcome.
    Done(Box<Outcome>),
    /// It was interrupted because windsock stops: the job goes back to the queue.
    GiveBack,
}

/// Makes what a job finds in its environment. Where the script may never look, it is not made before it does.
pub(crate) type LazyEnv = Rc<dyn Fn() -> JobEnv>;

/// What happens to a worker's set of warm scripts, for whoever hands out jobs.
pub(crate) type WarmChange = (i64, bool);

/// See the file's documentation.
pub(crate) struct Executor {
    limits: Arc<RunLimits>,
    environment: Arc<Environment>,
    pub(super) processes: WarmSet,
    contexts: NativeContexts,
    packages: Packages,
    changes: Vec<WarmChange>,
}

/// How long a job may run, and who says so.
struct Budget {
    time: Duration,
    whose: &'static str,
}

impl Executor {
    /// One without any process yet.
    pub(crate) fn new(
        limits: Arc<RunLimits>,
        environment: Arc<Environment>,
        contexts: NativeContexts,
        packages: Packages,
    ) -> Self {
        Self {
            processes: WarmSet::new(&limits),
            contexts,
            packages,
            limits,
            environment,
            changes: Vec::new(),
        }
    }

    /// Runs `job`, which is one of `script`.
    pub(crate) async fn run(
        &mut self,
        job: &Job,
        script: &Script,
        env: LazyEnv,
        stop: &Stop,
        sink: &mut LogSink,
    ) -> Run {
        let started_at = Timestamp::now();
        let budget = self.budget(job, script);
        let mut log = JobLog::new(self.limits.log_bytes);
        let mut context = CallContext {
            deadline: Instant::now() + budget.time,
            stop,
            log: &mut log,
            sink,
        };
        let ended = match script.language {
            Language::Python3 | Language::Bash | Language::Bun | Language::Deno => {
                self.run_in_process(job, script, env(), &mut context).await
            }
            Language::Nativets => {
                let envs = script.envs.clone();
                let env = Rc::new(move || {
                    let of_job = env().into_iter();
                    let of_job = of_job.map(|(name, value)| (name.to_owned(), value));
                    envs.iter().cloned().chain(of_job).collect()
                });
                self.contexts
                    .run(job, script, env, &mut context, &mut self.changes)
                    .await
            }
        };
        let (mut outcome, preprocessed_args) = match ended {
            Ok(answer) => (
                self.outcome(answer.result, started_at),
                answer.preprocessed_args,
            ),
            Err(Ended::Stopped(StopReason::Shutdown)) => return Run::GiveBack,
            Err(Ended::Stopped(StopReason::Canceled { by, reason })) => {
                (Outcome::canceled(&by, reason.as_deref(), started_at), None)
            }
            Err(Ended::TimedOut) => {
                let message = format!(
                    "timed out after {} ({})",
                    seconds(budget.time),
                    budget.whose
                );
                (Outcome::failed("TimeoutError", &message, started_at), None)
            }
            Err(Ended::Died(how)) => {
                let message = format!("the script's process {how} before the script had ended");
                (Outcome::failed("ExecutionErr", &message, started_at), None)
            }
            Err(Ended::TooLarge) => {
                let error = language::too_large(self.limits.result_bytes);
                (failed(&error, started_at), None)
            }
        };
        let held_back = sink.settled().await;
        outcome.logs = log.take_rest(held_back);
        outcome.preprocessed_args = preprocessed_args;
        Run::Done(Box::new(outcome))
    }

    /// Ends processes and contexts that wait for too long.
    pub(crate) fn end_idle(&mut self) {
        let now = Instant::now();
        let gone = self.processes.end_idle(now);
        self.changes
            .extend(gone.into_iter().map(|((_, hash), _)| (hash, false)));
        self.contexts.end_idle(now, &mut self.changes);
    }

    /// When a process or a context will have waited for too long.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        let ends = [self.processes.next_end(), self.contexts.next_end()];
        ends.into_iter().flatten().min()
    }

    /// What changed in the warm set since the last call.
    pub(crate) fn changes(&mut self) -> Vec<WarmChange> {
        std::mem::take(&mut self.changes)
    }

    fn budget(&self, job: &Job, script: &Script) -> Budget {
        let of_job = job.timeout_secs.and_then(|secs| u64::try_from(secs).ok());
        let (time, whose) = match (of_job.filter(|secs| *secs > 0), script.timeout) {
            (Some(secs), _) => (Duration::from_secs(secs), "the timeout of the job"),
            (None, Some(time)) => (time, "the timeout of the script"),
            (None, None) => (
                self.limits.job_timeout,
                "the default for scripts without a timeout of their own",
            ),
        };
        Budget { time, whose }
    }

    /// Runs the job in the script's process, which is started when there is none.
    async fn run_in_process(
        &mut self,
        job: &Job,
        script: &Script,
        env: JobEnv,
        context: &mut CallContext<'_>,
    ) -> Result<Answer, Ended> {
        let kept = script.warm_key(job);
        let kept = kept.and_then(|key| self.processes.take(&key));
        // One that died, or spoke, while nobody asked it anything is not worth a job.
        let mut process = match kept.filter(WarmProcess::is_ready) {
            Some(process) => process,
            None => match self.start_within(script, context).await? {
                Ok(process) => process,
                Err(error) => return Ok(Answer::failed("ExecutionErr", &error)),
            },
        };
        let call = Call {
            args: &job.args,
            env,
            preprocess: job.preprocess,
            only_preprocess: only_preprocess(job),
        };
        let answer = match script.language {
            Language::Bash => {
                context.log.remember_last_line(self.limits.result_bytes);
                match bash::request(&mut process, script, call) {
                    Ok(request) => {
                        let line = process.call(request, context).await;
                        line.map(|line| bash::answer(&line, &process, context.log, &self.limits))
                    }
                    Err(error) => Ok(Some(Answer::error(error))),
                }
            }
            Language::Bun | Language::Deno => {
                let compiled = match javascript::compiled(script).await {
                    Ok(compiled) => compiled,
                    Err(error) => return Ok(Answer::failed("SyntaxError", &error)),
                };
                let limits = &self.limits;
                let request = javascript::request(&mut process, script, &compiled, call, limits);
                process.call(request, context).await.map(python3::answer)
            }
            Language::Python3 | Language::Nativets => {
                let packages = process.packages.clone();
                let call = (call, packages.as_deref());
                let request = python3::request(&mut process, script, call, &self.limits);
                process.call(request, context).await.map(python3::answer)
            }
        };
        let answer = answer.map(|answer| answer.unwrap_or_else(Answer::garbled));
        let reusable = answer.as_ref().is_ok_and(|answer| answer.reusable);
        self.keep((script, job), process, reusable);
        answer
    }

    /// The packages of `script`, when building them takes time that a worker should not wait for.
    pub(crate) async fn waits_for(&self, script: &Script) -> Option<Arc<Wanted>> {
        // An error is told to the job when it runs.
        let wanted = needs::wanted(script, &self.limits).await.ok()??;
        self.packages.takes_time(&wanted).then_some(wanted)
    }

    /// Starts a process; the job's time counts meanwhile, and it may be stopped.
    async fn start_within(
        &self,
        script: &Script,
        context: &CallContext<'_>,
    ) -> Result<Result<WarmProcess, String>, Ended> {
        tokio::select! {
            started = self.start(script) => Ok(started),
            () = tokio::time::sleep_until(context.deadline.into()) => Err(Ended::TimedOut),
            () = context.stop.raised() => {
                let reason = context.stop.reason().cloned().unwrap_or(StopReason::Shutdown);
                Err(Ended::Stopped(reason))
            }
        }
    }

    async fn start(&self, script: &Script) -> Result<WarmProcess, String> {
        let packages = match needs::wanted(script, &self.limits).await? {
            Some(wanted) => {
                let built = self.packages.ensure(&wanted).await;
                Some(built.map_err(|error| format!("its packages cannot be installed: {error}"))?)
            }
            None => None,
        };
        let packages = packages.as_deref();
        let mut launch = match script.language {
            Language::Bash => bash::launch(script)?,
            Language::Python3 | Language::Nativets => {
                python3::launch(packages, &self.limits).await?
            }
            Language::Bun => {
                let compiled = javascript::compiled(script).await?;
                bun::launch(&script.content, &compiled, packages, &self.limits)?
            }
            Language::Deno => deno::launch(&script.content, packages, &self.limits)?,
        };
        launch.env.extend(script.envs.iter().cloned());
        // Stands behind: where programs are is not for a script to say.
        launch.env.extend(self.environment.of_process());
        let mut process = WarmProcess::start(launch, &self.limits)
            .map_err(|error| format!("the script's process cannot be started: {error}"))?;
        process.packages = packages.map(Path::to_owned);
        Ok(process)
    }

    /// Keeps the process for the next job of the script with the same rights, if it may be used again.
    fn keep(&mut self, (script, job): (&Script, &Job), process: WarmProcess, reusable: bool) {
        let Some(key) = script.warm_key(job).filter(|_| script.warm) else {
            return;
        };
        let hash = key.0.1;
        let fit = reusable && process.calls < self.limits.calls_per_process && process.tidy();
        if !fit {
            self.changes.push((hash, false));
            return;
        }
        let first = process.calls == 1;
        let gone = self.processes.keep(key, process);
        self.changes
            .extend(gone.map(|((_, hash), _)| (hash, false)));
        if first {
            self.changes.push((hash, true));
        }
    }

    /// What a result or an error means: it must be JSON, within its bound, and may say itself that it failed.
    fn outcome(&self, result: Result<String, String>, started_at: Timestamp) -> Outcome {
        let result = match result {
            Ok(result) => result,
            Err(error) => return failed(&error, started_at),
        };
        if result.len() > self.limits.result_bytes {
            return failed(&language::too_large(self.limits.result_bytes), started_at);
        }
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&result) {
            let message = format!("the result is not JSON: {error}");
            return Outcome::failed("ExecutionErr", &message, started_at);
        }
        if let Some(message) = own_failure(&result) {
            return Outcome::failed("ManualFailure", &message, started_at);
        }
        Outcome {
            success: true,
            result,
            started_at,
            logs: String::new(),
            preprocessed_args: None,
            canceled: None,
            retry_if: None,
        }
    }
}

/// Whether the job is the preprocessor of a flow: its `main`, if it has one, is not called.
pub(crate) fn only_preprocess(job: &Job) -> bool {
    job.flow_step_id.as_deref() == Some(crate::flow::PREPROCESSOR)
}

impl Answer {
    /// An error, as JSON; the process had no part in it.
    fn error(error: String) -> Self {
        Self {
            result: Err(error),
            preprocessed_args: None,
            reusable: true,
        }
    }

    /// A failure before the script ran.
    pub(crate) fn failed(name: &str, message: &str) -> Self {
        Self {
            reusable: false,
            ..Self::error(language::error_json(name, message))
        }
    }

    /// An answer that no wrapper gives: the script wrote on the channel.
    fn garbled() -> Self {
        Self::failed(
            "ExecutionErr",
            "the script wrote on the descriptor that windsock reads its result from",
        )
    }
}

/// A failed run whose error is `{"message", "name", "stack"?}` already.
fn failed(error: &str, started_at: Timestamp) -> Outcome {
    let mut outcome = Outcome::failed("", "", started_at);
    outcome.result = format!("{{\"error\":{error}}}");
    outcome
}

/// The text of a top-level `wm_failure` (windmill-facts §5).
fn own_failure(result: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Failure {
        wm_failure: Option<String>,
    }
    let may = result.starts_with('{')
        && memchr::memmem::find(result.as_bytes(), b"\"wm_failure\"").is_some();
    if !may {
        return None;
    }
    serde_json::from_str::<Failure>(result).ok()?.wm_failure
}

/// `5 s`, `0.2 s`.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
