//! [`JobSource`]: what the runner needs of the rest of windsock. [`Live`] is the real one (queue, database,
//! tokens); tests put their own in its place.
//!
//! Nothing here decides; it passes on.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, broadcast};

use super::remote::{Link, Links};
use crate::{
    access::references::{self, ReferenceError, Starting},
    db::{DbError, Pool, alert, job_note, job_secret, script_content::ScriptContent},
    flow::{FlowValue, Step},
    queue::{Appetite, Cancellation, Claimed, Job, Outcome, Queue, QueueError},
    secret::mask,
    types::{JobId, Language, Timestamp},
};

/// Who a job acts as when it calls back: facts §8, `WM_TOKEN`, `WM_USERNAME`, `WM_EMAIL`.
#[derive(Debug, Clone, Default)]
pub struct JobIdentity {
    /// A short-lived token with the run's rights.
    pub token: String,
    /// The user's name.
    pub username: String,
    /// The user's address.
    pub email: String,
}

/// Mints the identity of a job. Called once a run on a worker's thread: it must not block.
pub type Identify = Arc<dyn Fn(&Job) -> JobIdentity + Send + Sync>;

/// A script that is part of a version of a flow: its language, its text and its lock.
pub(crate) type FlowScript = (Language, String, Option<String>);

/// Where jobs come from and where their results go.
pub(crate) trait JobSource: Send + Sync + 'static {
    /// See [`Queue::await_jobs`].
    fn await_jobs(
        &self,
        appetite: Appetite,
        look: bool,
    ) -> BoxFuture<'static, Result<Claimed, QueueError>>;
    /// See [`Queue::look`].
    fn look(&self);
    /// See [`Queue::claim_below`].
    fn claim_below(&self, waiting: Vec<JobId>) -> BoxFuture<'static, Result<Vec<Job>, QueueError>>;
    /// See [`Queue::finish`].
    fn finish(&self, done: Vec<(Arc<Job>, Outcome)>) -> BoxFuture<'static, Result<(), QueueError>>;
    /// See [`Queue::give_back`].
    fn give_back(&self, ids: Vec<JobId>) -> BoxFuture<'static, Result<(), QueueError>>;
    /// See [`Queue::append_log`].
    fn append_log(
        &self,
        id: JobId,
        piece: i32,
        text: String,
    ) -> BoxFuture<'static, Result<(), QueueError>>;
    /// See [`Queue::ready`].
    fn ready(&self) -> Arc<Notify>;
    /// See [`Queue::cancellations`].
    fn cancellations(&self) -> broadcast::Receiver<Cancellation>;
    /// One version of a script.
    fn script(
        &self,
        workspace: String,
        hash: i64,
    ) -> BoxFuture<'static, Result<Option<ScriptContent>, DbError>>;
    /// See [`FlowScript`].
    fn flow_script(
        &self,
        workspace: String,
        version: i64,
        module: String,
    ) -> BoxFuture<'static, Result<Option<FlowScript>, DbError>>;
    /// Who the job acts as.
    fn identify(&self, job: &Job) -> JobIdentity;
    /// The arguments of a job that starts, with what those that were given refer to. Inside: why that cannot be had.
    fn fill_in(
        &self,
        job: &Job,
        given: Vec<String>,
    ) -> BoxFuture<'static, Result<Result<String, String>, DbError>>;
    /// Makes known (`secret::mask`) what other processes have given the job to read.
    fn learn_secrets(&self, id: JobId) -> BoxFuture<'static, Result<(), DbError>>;
    /// Looks which workspaces run their jobs elsewhere, if that was not done lately.
    fn refresh_links(&self) -> BoxFuture<'_, Result<(), DbError>>;
    /// Where the job runs, if not here.
    fn link(&self, job: &Job) -> Option<Arc<Link>>;
    /// Whether the jobs of a workspace run elsewhere.
    fn is_linked(&self, workspace: &str) -> bool;
    /// See [`Queue::outboxes`].
    fn outboxes(&self) -> BoxFuture<'static, Result<Vec<String>, QueueError>>;
    /// See [`Queue::claim_outbox`].
    fn claim_outbox(
        &self,
        workspace: String,
        max: usize,
    ) -> BoxFuture<'static, Result<Vec<Job>, QueueError>>;
    /// See [`Queue::put_in_outbox`].
    fn put_in_outbox(&self, ids: Vec<JobId>) -> BoxFuture<'static, Result<(), QueueError>>;
    /// See [`Queue::release_outbox`].
    fn release_outbox(&self, workspace: String) -> BoxFuture<'static, Result<(), QueueError>>;
    /// The id under which the job was sent elsewhere.
    fn remote_id(&self, id: JobId) -> BoxFuture<'static, Result<Option<JobId>, DbError>>;
    /// Commits the id under which the job is about to be sent elsewhere.
    fn note_remote_id(&self, id: JobId, there: JobId) -> BoxFuture<'static, Result<(), DbError>>;
    /// Raises the alert of a workspace's link, unless it stands, or takes it back if it does.
    fn alert(
        &self,
        workspace: String,
        raised: bool,
        message: String,
    ) -> BoxFuture<'static, Result<(), DbError>>;
}

/// The queue, the database and the tokens of this process.
pub(crate) struct Live {
    /// The queue.
    pub(crate) queue: Queue,
    /// The connections that requests share.
    pub(crate) pool: Pool,
    /// Mints tokens.
    pub(crate) identify: Identify,
    /// Who runs jobs elsewhere.
    pub(crate) links: Links,
    /// Whether what jobs ask of the API may be answered by another process.
    pub(crate) api_is_shared: bool,
}

impl JobSource for Live {
    fn await_jobs(
        &self,
        appetite: Appetite,
        look: bool,
    ) -> BoxFuture<'static, Result<Claimed, QueueError>> {
        let queue = self.queue.clone();
        Box::pin(async move { queue.await_jobs(appetite, look).await })
    }

    fn look(&self) {
        self.queue.look();
    }

    fn claim_below(&self, waiting: Vec<JobId>) -> BoxFuture<'static, Result<Vec<Job>, QueueError>> {
        let queue = self.queue.clone();
        Box::pin(async move { queue.claim_below(waiting).await })
    }

    fn finish(&self, done: Vec<(Arc<Job>, Outcome)>) -> BoxFuture<'static, Result<(), QueueError>> {
        let queue = self.queue.clone();
        Box::pin(async move { queue.finish(done).await })
    }

    fn give_back(&self, ids: Vec<JobId>) -> BoxFuture<'static, Result<(), QueueError>> {
        let queue = self.queue.clone();
        Box::pin(async move { queue.give_back(ids).await })
    }

    fn append_log(
        &self,
        id: JobId,
        piece: i32,
        text: String,
    ) -> BoxFuture<'static, Result<(), QueueError>> {
        let queue = self.queue.clone();
        Box::pin(async move { queue.append_log(id, piece, text).await })
    }

    fn ready(&self) -> Arc<Notify> {
        self.queue.ready()
    }

    fn cancellations(&self) -> broadcast::Receiver<Cancellation> {
        self.queue.cancellations()
    }

    fn script(
        &self,
        workspace: String,
        hash: i64,
    ) -> BoxFuture<'static, Result<Option<ScriptContent>, DbError>> {
        let pool = self.pool.clone();
        Box::pin(async move {
            pool.run(move |conn| crate::db::script_content::load(conn, &workspace, hash))
                .await
        })
    }

    fn flow_script(
        &self,
        workspace: String,
        version: i64,
        module: String,
    ) -> BoxFuture<'static, Result<Option<FlowScript>, DbError>> {
        let pool = self.pool.clone();
        Box::pin(async move {
            let row = pool
                .run(move |conn| crate::db::flow::by_version(conn, &workspace, version))
                .await?;
            let value = row.and_then(|row| serde_json::from_str(&row.value).ok());
            let flow = value.and_then(|value| FlowValue::from_json(&value).ok());
            Ok(flow.and_then(|flow| match &flow.module(&module)?.step {
                Step::RawScript {
                    language,
                    content,
                    lock,
                    ..
                } => Some((*language, content.clone(), lock.clone())),
                _ => None,
            }))
        })
    }

    fn identify(&self, job: &Job) -> JobIdentity {
        (self.identify)(job)
    }

    fn fill_in(
        &self,
        job: &Job,
        given: Vec<String>,
    ) -> BoxFuture<'static, Result<Result<String, String>, DbError>> {
        let (pool, id) = (self.pool.clone(), job.id);
        let root = job.root_job.unwrap_or(id);
        let (workspace, permissioned_as) = (job.workspace_id.clone(), job.permissioned_as.clone());
        let args = job.args.clone();
        Box::pin(async move {
            let filled = pool.run(move |conn| {
                let job = Starting {
                    id,
                    root,
                    workspace: &workspace,
                    permissioned_as: &permissioned_as,
                    args: &args,
                    given: &given,
                };
                match references::arguments(conn, &job) {
                    Ok(args) => Ok(Ok(args)),
                    Err(ReferenceError::Database(error)) => Err(error),
                    Err(error) => Ok(Err(error.to_string())),
                }
            });
            filled.await
        })
    }

    fn learn_secrets(&self, id: JobId) -> BoxFuture<'static, Result<(), DbError>> {
        if !self.api_is_shared && !self.queue.has_others() {
            return Box::pin(std::future::ready(Ok(())));
        }
        let pool = self.pool.clone();
        Box::pin(async move {
            let secrets = pool.run(move |conn| job_secret::of(conn, id)).await?;
            for secret in secrets {
                mask::note(id, &secret);
            }
            Ok(())
        })
    }

    fn refresh_links(&self) -> BoxFuture<'_, Result<(), DbError>> {
        Box::pin(self.links.refresh(&self.pool))
    }

    fn link(&self, job: &Job) -> Option<Arc<Link>> {
        self.links.of(job)
    }

    fn is_linked(&self, workspace: &str) -> bool {
        self.links.has(workspace)
    }

    fn outboxes(&self) -> BoxFuture<'static, Result<Vec<String>, QueueError>> {
        let queue = self.queue.clone();
        Box::pin(async move { queue.outboxes().await })
    }

    fn claim_outbox(
        &self,
        workspace: String,
        max: usize,
    ) -> BoxFuture<'static, Result<Vec<Job>, QueueError>> {
        let queue = self.queue.clone();
        Box::pin(async move { queue.claim_outbox(workspace, max).await })
    }

    fn put_in_outbox(&self, ids: Vec<JobId>) -> BoxFuture<'static, Result<(), QueueError>> {
        let queue = self.queue.clone();
        Box::pin(async move { queue.put_in_outbox(ids).await })
    }

    fn release_outbox(&self, workspace: String) -> BoxFuture<'static, Result<(), QueueError>> {
        let queue = self.queue.clone();
        Box::pin(async move { queue.release_outbox(workspace).await })
    }

    fn remote_id(&self, id: JobId) -> BoxFuture<'static, Result<Option<JobId>, DbError>> {
        let pool = self.pool.clone();
        Box::pin(async move {
            let note = pool.run(move |conn| job_note::get(conn, id, job_note::REMOTE));
            let note = note.await?;
            Ok(note.and_then(|note| serde_json::from_str(&note).ok()))
        })
    }

    fn note_remote_id(&self, id: JobId, there: JobId) -> BoxFuture<'static, Result<(), DbError>> {
        let pool = self.pool.clone();
        Box::pin(async move {
            let note = format!("\"{there}\"");
            pool.run(move |conn| {
                crate::db::transaction(conn, |conn| {
                    job_note::put(conn, id, job_note::REMOTE, &note)
                })
            })
            .await
        })
    }

    fn alert(
        &self,
        workspace: String,
        raised: bool,
        message: String,
    ) -> BoxFuture<'static, Result<(), DbError>> {
        let pool = self.pool.clone();
        Box::pin(async move {
            pool.run(move |conn| {
                // It is about no trigger.
                let (place, now) = ((workspace.as_str(), ""), Timestamp::now());
                if raised {
                    return alert::raise(conn, place, &message, now).map(|_| ());
                }
                let open = alert::open(conn)?;
                if open
                    .iter()
                    .any(|(of, path)| (of.as_str(), path.as_str()) == place)
                {
                    alert::recover(conn, place, &message, now)?;
                }
                Ok(())
            })
            .await
        })
    }
}
