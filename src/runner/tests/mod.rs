//! The rules of a run, each with a job that breaks it; the runner's life, against a queue that is not ours.

mod contained;
mod javascript;
mod layers;
mod life;
mod packages;
mod python3;
mod shells;

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast};

use super::{
    RunLimits, RunnerSettings,
    environment::Environment,
    executor::{Executor, Run},
    fetch::{FetchSettings, Fetcher},
    job_log::LogSink,
    native::NativeContexts,
    needs,
    packages::Packages,
    remote::Link,
    script::{Script, ScriptCache},
    source::{FlowScript, JobIdentity, JobSource},
    stop::Stop,
};
use crate::{
    config::ProxyEnvironment,
    db::{DbError, script_content::ScriptContent},
    queue::{Appetite, Cancellation, Claimed, Job, Outcome, QueueError},
    types::{JobId, JobKind, Language, Timestamp},
};

/// Longer than anything here takes on a machine that is busy with other things.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn limits() -> RunLimits {
    RunLimits {
        job_timeout: PATIENCE,
        log_bytes: 10_000,
        result_bytes: 10_000,
        ..RunLimits::default()
    }
}

pub(super) fn settings(limits: RunLimits, workers: usize) -> RunnerSettings {
    RunnerSettings {
        workers,
        limits,
        base_url: "http://windsock.test".to_owned(),
        base_internal_url: "http://127.0.0.1:9".to_owned(),
        api_is_shared: false,
        proxies: ProxyEnvironment::default(),
        packages: packages(),
        fetch: fetch_settings(),
    }
}

/// Kept between runs of the tests, so that each package is downloaded once.
pub(super) fn packages() -> Packages {
    let folder = std::env::var_os("WINDSOCK_TEST_PACKAGES").map(std::path::PathBuf::from);
    let here = || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-packages");
    Packages::new(Some(folder.unwrap_or_else(here)))
}

/// Has what `script` imports installed. A registry that hiccups is asked again.
pub(super) async fn installed(script: &Script) {
    let wanted = needs::wanted(script, &limits()).await.unwrap();
    let wanted = wanted.expect("the script imports packages");
    let mut left = 10;
    while let Err(error) = packages().ensure(&wanted).await {
        left -= 1;
        assert!(left > 0, "this takes a registry of packages: {error}");
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Whether `program` is on `PATH`; where it must be, a missing one fails the test.
pub(super) fn has(program: &str, test: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return true;
    }
    assert!(
        std::env::var_os("WINDSOCK_TEST_MUST_RUN").is_none(),
        "{test} cannot run: {program} is missing"
    );
    eprintln!("skipped: {test}: {program} is missing");
    false
}

fn fetch_settings() -> FetchSettings {
    FetchSettings {
        check: Arc::new(|_, _| Err("no network in tests".to_owned())),
        own_api: None,
    }
}

pub(super) fn identity() -> JobIdentity {
    JobIdentity {
        token: "t0ken".to_owned(),
        username: "admin".to_owned(),
        email: "admin@windsock.test".to_owned(),
    }
}

/// A job of the script with the hash `hash`.
pub(super) fn job(hash: i64, args: &Value) -> Job {
    let now = Timestamp::now();
    Job {
        id: JobId::next(),
        workspace_id: "main".to_owned(),
        kind: JobKind::Script.to_string(),
        runnable_path: Some("f/test/script".to_owned()),
        runnable_hash: Some(hash),
        raw: None,
        args: args.to_string(),
        preprocess: false,
        trigger_kind: None,
        trigger_path: None,
        created_by: "admin".to_owned(),
        permissioned_as: "u/admin".to_owned(),
        parent_job: None,
        root_job: None,
        flow_step_id: None,
        tag: None,
        priority: 0,
        created_at: now,
        scheduled_at: now,
        timeout_secs: None,
        reply_to: None,
        options: None,
        state: 1,
        worker: Some("test".to_owned()),
        started_at: Some(now),
        lease_until: None,
        lost: 0,
        canceled_by: None,
        cancel_reason: None,
        turn: None,
        concurrency_key: None,
        depth: 0,
    }
}

/// A worker's inside without the worker: runs one job after another.
pub(super) struct Bench {
    pub(super) executor: Executor,
    environment: Arc<Environment>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(limits())
    }

    pub(super) fn with(limits: RunLimits) -> Self {
        let environment = Arc::new(Environment::new(&settings(limits.clone(), 1)));
        let contexts = NativeContexts::new(&limits, Rc::new(Fetcher::new(fetch_settings())));
        let limits = Arc::new(limits);
        Self {
            executor: Executor::new(limits, Arc::clone(&environment), contexts, packages()),
            environment,
        }
    }

    /// Runs `job` with `script`.
    pub(super) async fn run(&mut self, script: &Script, job: &Job) -> Outcome {
        match self.run_until(script, job, &Stop::default()).await {
            Run::Done(outcome) => *outcome,
            Run::GiveBack => panic!("the job was given back"),
        }
    }

    pub(super) async fn run_until(&mut self, script: &Script, job: &Job, stop: &Stop) -> Run {
        let mut sink = LogSink::none();
        let env = self.environment.of_job(job, identity());
        let env = Rc::new(move || env.clone());
        let run = self.executor.run(job, script, env, stop, &mut sink);
        tokio::time::timeout(PATIENCE, run)
            .await
            .expect("the run takes for ever")
    }

    /// Calls `main` with `args`; the outcome as `(success, result, logs)`.
    pub(super) async fn call(&mut self, script: &Script, args: Value) -> (bool, Value, String) {
        let hash = script.key.as_ref().map_or(0, |key| key.1);
        parts(self.run(script, &job(hash, &args)).await)
    }

    /// The result of a call that succeeds.
    pub(super) async fn result(&mut self, script: &Script, args: Value) -> Value {
        let (success, result, logs) = self.call(script, args).await;
        assert!(success, "{result}\n{logs}");
        result
    }

    /// The error of a call that fails.
    pub(super) async fn error(&mut self, script: &Script, args: Value) -> Value {
        let (success, result, logs) = self.call(script, args).await;
        assert!(!success, "{result}\n{logs}");
        result["error"].clone()
    }
}

pub(super) fn parts(outcome: Outcome) -> (bool, Value, String) {
    let result = serde_json::from_str(&outcome.result).expect("a result is JSON");
    (outcome.success, result, outcome.logs)
}

/// A saved script that stays warm; its hash is made of its text.
pub(super) fn script(language: Language, content: &str) -> Script {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let mut script = Script::new("f/test/script".to_owned(), content.to_owned(), language);
    script.key = Some(("main".into(), hasher.finish().cast_signed()));
    script.warm = true;
    script
}

/// A queue that remembers.
#[derive(Default)]
pub(super) struct FakeSource {
    pub(super) state: Arc<Mutex<FakeState>>,
    ready: Arc<Notify>,
    looks: Arc<Notify>,
    pub(super) changed: Notify,
    cancellations: Option<broadcast::Sender<Cancellation>>,
}

#[derive(Default)]
pub(super) struct FakeState {
    pub(super) queued: VecDeque<Job>,
    pub(super) finished: HashMap<JobId, Outcome>,
    pub(super) given_back: Vec<JobId>,
    pub(super) pieces: Vec<(JobId, i32, String)>,
    pub(super) scripts: HashMap<i64, ScriptContent>,
    pub(super) claims: Vec<usize>,
    pub(super) database_away: bool,
    /// What jobs have read is not to be had.
    pub(super) secrets_sealed: bool,
}

impl FakeSource {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            cancellations: Some(broadcast::channel(16).0),
            ..Self::default()
        })
    }

    pub(super) fn save(&self, hash: i64, language: Language, content: &str) {
        let row = ScriptContent {
            path: "f/test/script".to_owned(),
            content: content.to_owned(),
            language: language.to_string(),
            timeout_secs: None,
            dedicated_worker: None,
            settings: "{}".to_owned(),
            lock: None,
        };
        self.state.lock().scripts.insert(hash, row);
    }

    pub(super) fn push(&self, jobs: Vec<Job>) {
        self.state.lock().queued.extend(jobs);
        self.ready.notify_one();
    }

    pub(super) fn cancel(&self, id: JobId) {
        let sender = self.cancellations.as_ref().unwrap();
        let _ = sender.send((id, "ruben".to_owned(), Some("changed my mind".to_owned())));
    }

    /// Waits until `condition` holds.
    pub(super) async fn until(&self, what: &str, condition: impl Fn(&FakeState) -> bool) {
        let waited = async {
            loop {
                let changed = self.changed.notified();
                if condition(&self.state.lock()) {
                    return;
                }
                let _ = tokio::time::timeout(Duration::from_millis(20), changed).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waited).await;
        waited.unwrap_or_else(|_| panic!("never: {what}"));
    }

    /// Waits for the end of a job.
    pub(super) async fn end_of(&self, id: JobId) -> (bool, Value, String) {
        self.until("the job ends", |state| state.finished.contains_key(&id))
            .await;
        parts(self.state.lock().finished[&id].clone())
    }
}

impl JobSource for FakeSource {
    fn await_jobs(
        &self,
        appetite: Appetite,
        _: bool,
    ) -> BoxFuture<'static, Result<Claimed, QueueError>> {
        let (state, looks) = (Arc::clone(&self.state), Arc::clone(&self.looks));
        Box::pin(async move {
            loop {
                let wanted = appetite.now().jobs;
                {
                    let mut state = state.lock();
                    state.claims.push(wanted);
                    let count = wanted.min(state.queued.len());
                    let jobs: Vec<Job> = state.queued.drain(..count).collect();
                    if wanted == 0 || !jobs.is_empty() {
                        let more = jobs.len() == wanted;
                        return Ok(Claimed { jobs, more });
                    }
                }
                looks.notified().await;
            }
        })
    }

    fn look(&self) {
        self.looks.notify_one();
    }

    fn claim_below(&self, _: Vec<JobId>) -> BoxFuture<'static, Result<Vec<Job>, QueueError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn finish(&self, done: Vec<(Arc<Job>, Outcome)>) -> BoxFuture<'static, Result<(), QueueError>> {
        let ends = done.into_iter().map(|(job, outcome)| (job.id, outcome));
        self.state.lock().finished.extend(ends);
        self.changed.notify_one();
        Box::pin(std::future::ready(Ok(())))
    }

    fn give_back(&self, ids: Vec<JobId>) -> BoxFuture<'static, Result<(), QueueError>> {
        self.state.lock().given_back.extend(ids);
        self.changed.notify_one();
        Box::pin(std::future::ready(Ok(())))
    }

    fn append_log(
        &self,
        id: JobId,
        piece: i32,
        text: String,
    ) -> BoxFuture<'static, Result<(), QueueError>> {
        self.state.lock().pieces.push((id, piece, text));
        self.changed.notify_one();
        Box::pin(std::future::ready(Ok(())))
    }

    fn ready(&self) -> Arc<Notify> {
        Arc::clone(&self.ready)
    }

    fn cancellations(&self) -> broadcast::Receiver<Cancellation> {
        self.cancellations.as_ref().unwrap().subscribe()
    }

    fn script(
        &self,
        _: String,
        hash: i64,
    ) -> BoxFuture<'static, Result<Option<ScriptContent>, DbError>> {
        let state = self.state.lock();
        let found = if state.database_away {
            Err(DbError::Lost)
        } else {
            Ok(state.scripts.get(&hash).cloned())
        };
        Box::pin(std::future::ready(found))
    }

    fn flow_script(
        &self,
        _: String,
        _: i64,
        _: String,
    ) -> BoxFuture<'static, Result<Option<FlowScript>, DbError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn identify(&self, _: &Job) -> JobIdentity {
        identity()
    }

    fn fill_in(
        &self,
        job: &Job,
        _: Vec<String>,
    ) -> BoxFuture<'static, Result<Result<String, String>, DbError>> {
        Box::pin(std::future::ready(Ok(Ok(job.args.clone()))))
    }

    fn learn_secrets(&self, _: JobId) -> BoxFuture<'static, Result<(), DbError>> {
        let sealed = self.state.lock().secrets_sealed;
        let known = if sealed { Err(DbError::NoKey) } else { Ok(()) };
        Box::pin(std::future::ready(known))
    }

    fn refresh_links(&self) -> BoxFuture<'_, Result<(), DbError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn link(&self, _: &Job) -> Option<Arc<Link>> {
        None
    }

    fn is_linked(&self, _: &str) -> bool {
        false
    }

    fn outboxes(&self) -> BoxFuture<'static, Result<Vec<String>, QueueError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn claim_outbox(
        &self,
        _: String,
        _: usize,
    ) -> BoxFuture<'static, Result<Vec<Job>, QueueError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn put_in_outbox(&self, _: Vec<JobId>) -> BoxFuture<'static, Result<(), QueueError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn release_outbox(&self, _: String) -> BoxFuture<'static, Result<(), QueueError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn remote_id(&self, _: JobId) -> BoxFuture<'static, Result<Option<JobId>, DbError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn note_remote_id(&self, _: JobId, _: JobId) -> BoxFuture<'static, Result<(), DbError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn alert(&self, _: String, _: bool, _: String) -> BoxFuture<'static, Result<(), DbError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[actix_rt::test]
async fn a_job_that_cannot_be_run_fails_and_says_why() {
    let source = FakeSource::new();
    source.save(7, Language::Python3, "def main(): pass");
    let scripts = ScriptCache::new(source);
    let with = |change: &dyn Fn(&mut Job)| {
        let mut job = job(7, &json!({}));
        change(&mut job);
        job
    };
    for (job, text) in [
        (
            with(&|job| job.runnable_hash = None),
            "script not found at path f/test/script",
        ),
        (
            with(&|job| job.runnable_hash = Some(8)),
            "script not found at path f/test/script",
        ),
        (with(&|job| job.kind = "flow".to_owned()), "kind 'flow'"),
        (
            with(&|job| job.kind = "preview".to_owned()),
            "the preview cannot be read",
        ),
        (
            with(&|job| job.kind = "identity".to_owned()),
            "kind 'identity'",
        ),
    ] {
        match scripts.of(&job).await {
            Err(super::script::NoScript::Fails(error)) => assert!(error.contains(text), "{error}"),
            other => panic!("{text}: {:?}", other.map(|script| script.path.clone())),
        }
    }
    let preview = with(&|job| {
        job.kind = "preview".to_owned();
        job.runnable_hash = None;
        job.raw = Some(json!({"language": "bash", "content": "echo hi"}).to_string());
    });
    let script = scripts.of(&preview).await.unwrap();
    assert_eq!((script.language, script.warm), (Language::Bash, false));
    assert_eq!(Bench::new().result(&script, json!({})).await, json!("hi"));
}
