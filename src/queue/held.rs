//! Jobs held by a suspended trigger: they wait until somebody releases or discards them (windmill-facts §5).
//!
//! A released job is committed anew, under its old id: with what its trigger runs now, the newest version of that, and
//! arguments made for it. So a script can be mended first, and what came meanwhile replayed. Large numbers go in
//! batches, each a commit of its own, so that listeners and workers get their turn in between.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Args, Job, Lane, NewJob, Outcome, Queue, QueueError, Runnable, commit::Done, ended::completed,
    lanes::Lanes, ledger::Op, news::News, options::Options, rows::rows,
};
use crate::{
    db::{
        Conn, DbError, held,
        queue::{self},
    },
    queue::Finished,
    types::{JobId, JobKind, Timestamp, TriggerKind},
};

/// Held jobs in one commit.
const BATCH: i64 = 500;
/// Why a discarded job did not run.
const DISCARDED: &str = "discarded while its trigger was suspended";

/// Which held jobs are meant.
#[derive(Debug, Clone)]
pub struct Held {
    /// The trigger's workspace.
    pub workspace: Arc<str>,
    /// The trigger.
    pub trigger_path: Arc<str>,
    /// Only these; none = all that are held now.
    pub ids: Option<Vec<JobId>>,
}

/// What released jobs run; the trigger as it is now.
#[derive(Debug, Clone)]
pub struct Release {
    /// The runnable.
    pub runnable: Runnable,
    /// Whose rights they have.
    pub permissioned_as: Arc<str>,
    /// As [`NewJob::options`].
    pub options: Option<String>,
    /// As [`NewJob::lane`].
    pub lane: Option<Lane>,
}

/// What becomes of held jobs.
#[derive(Debug, Clone)]
pub(super) enum Fate {
    /// They run; without a trigger as they would have.
    Run(Option<Arc<Release>>),
    /// They are completed as canceled by somebody.
    Discard(Arc<str>),
    /// They are another trigger's from now on, as are those in its line: it has a new name.
    Rename(Arc<str>),
}

/// One batch.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) of: Held,
    /// Jobs that came after the wish are not meant.
    pub(super) up_to: JobId,
    pub(super) fate: Fate,
}

impl Queue {
    /// Has held jobs run, in the order they came; `release` is none when the trigger is gone. Answers how many.
    ///
    /// # Errors
    /// The database gave no answer, or windsock is stopping; what was answered for in between stays released.
    pub async fn release(&self, held: Held, release: Option<Release>) -> Result<u64, QueueError> {
        self.decide(held, Fate::Run(release.map(Arc::new))).await
    }

    /// Completes held jobs as canceled by `by`. Answers how many.
    ///
    /// # Errors
    /// As [`Queue::release`].
    pub async fn discard(&self, held: Held, by: &str) -> Result<u64, QueueError> {
        self.decide(held, Fate::Discard(by.into())).await
    }

    /// Hands the jobs that wait, held or in line, over to the new name of their trigger; those that run end under the
    /// old one. Answers how many.
    ///
    /// # Errors
    /// As [`Queue::release`].
    pub async fn rename(&self, held: Held, to: &str) -> Result<u64, QueueError> {
        self.decide(held, Fate::Rename(to.into())).await
    }

    async fn decide(&self, held: Held, fate: Fate) -> Result<u64, QueueError> {
        let up_to = JobId::next();
        let batch = usize::try_from(BATCH).unwrap_or(1);
        let mut batches: Vec<Option<Vec<JobId>>> = match &held.ids {
            None => vec![None],
            Some(ids) => ids.chunks(batch).map(|ids| Some(ids.to_vec())).collect(),
        };
        batches.reverse();
        let mut count = 0;
        while let Some(ids) = batches.pop() {
            let all = ids.is_none();
            let of = Held {
                ids,
                ..held.clone()
            };
            let fate = fate.clone();
            let op = Op::Held(Box::new(Batch { of, up_to, fate }));
            let Done::Moved(moved) = self.submit(op).await? else {
                break;
            };
            count += u64::try_from(moved).unwrap_or(0);
            if all && moved == batch {
                batches.push(None);
            }
        }
        Ok(count)
    }
}

/// Does one batch; answers how many jobs it was.
pub(super) fn apply(
    conn: &mut Conn,
    batch: &Batch,
    lanes: &mut Lanes,
    news: &mut News,
) -> Result<usize, DbError> {
    let now = Timestamp::now();
    let of = &batch.of;
    let place = (&*of.workspace, &*of.trigger_path);
    if let Fate::Rename(to) = &batch.fate {
        lanes.rename(conn, place, to)?;
        return held::rename(conn, place, to, BATCH);
    }
    let jobs = held::take(conn, place, of.ids.as_deref(), batch.up_to, BATCH)?;
    let count = jobs.len();
    match &batch.fate {
        Fate::Run(release) => {
            let new: Vec<NewJob> = jobs
                .iter()
                .map(|job| released(job, release.as_deref()))
                .collect();
            let (mut rows, limits) = rows(conn, &new)?;
            for (row, job) in rows.iter_mut().zip(&jobs) {
                row.created_at = job.created_at;
                // Its place in line from when it came, if there still is a line.
                row.turn = job
                    .turn
                    .filter(|_| release.as_ref().is_some_and(|r| r.lane.is_some()));
            }
            lanes.place(conn, &new, &mut rows, &limits)?;
            queue::insert(conn, &rows)?;
            news.queued.extend(rows);
        }
        Fate::Rename(_) => {}
        Fate::Discard(by) => {
            let outcome = Arc::new(Outcome::canceled(by, Some(DISCARDED), now));
            let rows: Vec<_> = jobs
                .iter()
                .map(|job| completed(job, &outcome, now))
                .collect();
            queue::insert_completed(conn, &rows)?;
            news.ended.extend(jobs.into_iter().map(|job| Finished {
                job: Arc::new(job),
                outcome: Arc::clone(&outcome),
            }));
        }
    }
    Ok(count)
}

/// A held job as a new one.
fn released(job: &Job, release: Option<&Release>) -> NewJob {
    let path: Arc<str> = job.runnable_path.as_deref().unwrap_or_default().into();
    let options = Options::read(job.options.as_deref());
    let args = match &options.held {
        Some(message) => Args::Message {
            text: text_of(&job.args),
            url: Arc::clone(&message.url),
            is_base64: message.is_base64,
        },
        None => Args::Object(job.args.clone()),
    };
    let as_it_came = match job.kind.parse() {
        Ok(JobKind::UnassignedFlow) => Runnable::Flow {
            path,
            version: None,
        },
        _ => Runnable::Script { path, hash: None },
    };
    let workspace = job.workspace_id.as_str().into();
    let runnable = release.map_or(as_it_came, |release| release.runnable.clone());
    NewJob {
        id: job.id,
        created_by: job.created_by.as_str().into(),
        permissioned_as: release.map_or_else(
            || job.permissioned_as.as_str().into(),
            |release| Arc::clone(&release.permissioned_as),
        ),
        trigger: Some((
            TriggerKind::Websocket,
            job.trigger_path.as_deref().map(Into::into),
        )),
        tag: job.tag.clone(),
        priority: job.priority,
        timeout_secs: job.timeout_secs,
        options: match release {
            Some(release) => release.options.clone(),
            None => Options {
                held: None,
                ..options
            }
            .column(),
        },
        lane: release.and_then(|release| release.lane),
        ..NewJob::new(workspace, runnable, args, "")
    }
}

/// The text of a held message.
fn text_of(args: &str) -> String {
    match serde_json::from_str::<Value>(args) {
        Ok(Value::Object(mut args)) => match args.remove("msg") {
            Some(Value::String(text)) => text,
            _ => String::new(),
        },
        _ => String::new(),
    }
}
