//! One group commit: the operations that waited, in one transaction, and the news of it afterwards.
//! Runs on a thread that may block; owned by [`super::ledger`].

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use serde_json::json;

use super::{
    Args, Canceled, Finished, Job, JobFinished, JobState, NewJob, Outcome, QueueError, Runnable,
    kind_of,
    ledger::{Op, Waiting},
    shared::{Cancellation, Shared},
};
use crate::{
    config::Limits,
    db::{
        self, Conn, DbError, Pool,
        queue::{self, CompletedRow, HELD, QUEUED, ScriptVersion},
        vars,
    },
    types::Timestamp,
};

/// Lapsed jobs taken back in one go; the rest follows with the next upkeep.
const REQUEUE_AT_ONCE: i64 = 1_000;

/// What an operation did.
#[derive(Debug)]
pub(super) enum Done {
    /// The jobs are in the queue.
    Pushed,
    /// These jobs are this process's now.
    Claimed(Vec<Job>),
    /// It is written.
    Written,
    /// What became of the wish to cancel.
    Canceled(Canceled),
}

/// What happened in a transaction that others want to know once it is committed.
#[derive(Default)]
struct News {
    queued: Vec<Job>,
    running: Vec<Job>,
    ended: Vec<Finished>,
    cancellations: Vec<Cancellation>,
}

/// How a batch went.
pub(super) struct Committed {
    /// The connection, while it is good.
    pub(super) conn: Option<Conn>,
    /// Why the database failed; what was not done is in `undone` then.
    pub(super) failure: Option<DbError>,
    /// Operations that can be tried again, in their order.
    pub(super) undone: Vec<Waiting>,
}

/// Commits `batch` in one transaction, on `conn` or a new connection, and answers everybody. When a row of
/// it is refused, each operation gets a transaction of its own, so that one bad job harms no other.
pub(super) fn run(
    conn: Option<Conn>,
    pool: &Pool,
    shared: &Shared,
    limits: &Limits,
    mut batch: Vec<Waiting>,
) -> Committed {
    let failed = |failure, undone| Committed {
        conn: None,
        failure: Some(failure),
        undone,
    };
    let mut conn = match conn.map_or_else(|| pool.connect(), Ok) {
        Ok(conn) => conn,
        Err(error) => return failed(error, batch),
    };
    // Results first, so that a slot is free; claims last, so that they see what came in with them.
    batch.sort_by_key(|(op, _)| match op {
        Op::Finish(_) | Op::Log(..) => 0,
        Op::Push(..) | Op::GiveBack(_) | Op::Cancel { .. } | Op::Upkeep { .. } => 1,
        Op::Claim(_) => 2,
    });
    let scope = Scope { shared, limits };
    match scope.transact(&mut conn, &batch) {
        Ok(dones) => {
            for ((_, answer), done) in batch.into_iter().zip(dones) {
                // Whoever asked may have gone.
                let _ = answer.send(Ok(done));
            }
        }
        Err(error) if error.is_the_rows_fault() => {
            let mut rest = batch.into_iter();
            while let Some(waiting) = rest.next() {
                let single = std::slice::from_ref(&waiting);
                match scope.transact(&mut conn, single) {
                    Ok(mut dones) => {
                        let _ = waiting.1.send(Ok(dones.pop().unwrap_or(Done::Written)));
                    }
                    Err(error) if error.is_the_rows_fault() => {
                        let refused = QueueError::Refused(error.to_string());
                        let _ = waiting.1.send(Err(refused));
                    }
                    Err(error) => {
                        let undone = std::iter::once(waiting).chain(rest).collect();
                        return failed(error, undone);
                    }
                }
            }
        }
        Err(error) => return failed(error, batch),
    }
    Committed {
        conn: Some(conn),
        failure: None,
        undone: Vec::new(),
    }
}

struct Scope<'a> {
    shared: &'a Shared,
    limits: &'a Limits,
}

impl Scope<'_> {
    fn transact(&self, conn: &mut Conn, batch: &[Waiting]) -> Result<Vec<Done>, DbError> {
        let mut news = News::default();
        let dones = db::transaction(conn, |conn| {
            batch
                .iter()
                .map(|(op, _)| self.apply(conn, op, &mut news))
                .collect::<Result<Vec<Done>, DbError>>()
        })?;
        self.publish(news);
        Ok(dones)
    }

    fn apply(&self, conn: &mut Conn, op: &Op, news: &mut News) -> Result<Done, DbError> {
        let worker = self.shared.worker.as_str();
        match op {
            Op::Push(jobs, stored) => {
                let rows = rows(conn, jobs)?;
                queue::insert(conn, &rows)?;
                if let Some(stored) = stored {
                    vars::store(conn, &stored.workspace, &stored.path, &stored.values)?;
                }
                news.queued.extend(rows);
                Ok(Done::Pushed)
            }
            Op::Claim(max) => {
                let now = Timestamp::now();
                let lease = now.plus(self.limits.job_lease);
                let jobs = queue::claim(conn, worker, *max, now, lease)?;
                if self.shared.events.receiver_count() > 0 {
                    news.running.extend(jobs.iter().cloned());
                }
                Ok(Done::Claimed(jobs))
            }
            Op::Finish(jobs) => {
                let now = Timestamp::now();
                let rows: Vec<CompletedRow> = jobs
                    .iter()
                    .map(|(job, outcome)| completed(job, outcome, now))
                    .collect();
                let held = queue::finish(conn, worker, &rows)?;
                for (job, outcome) in jobs {
                    if held.len() == jobs.len() || held.contains(&job.id) {
                        if !outcome.logs.is_empty() {
                            queue::insert_log(conn, job.id, last_piece(job), &outcome.logs)?;
                        }
                        news.ended.push(Finished {
                            job: Arc::clone(job),
                            outcome: Arc::clone(outcome),
                        });
                    }
                }
                Ok(Done::Written)
            }
            Op::GiveBack(ids) => {
                queue::give_back(conn, worker, ids)?;
                Ok(Done::Written)
            }
            Op::Log(id, piece, text) => {
                queue::insert_log(conn, *id, *piece, text)?;
                Ok(Done::Written)
            }
            Op::Cancel {
                workspace,
                id,
                by,
                reason,
            } => cancel(conn, workspace, (*id, by.clone(), reason.clone()), news),
            Op::Upkeep { everybody } => self.upkeep(conn, *everybody, news),
        }
    }

    fn upkeep(&self, conn: &mut Conn, everybody: bool, news: &mut News) -> Result<Done, DbError> {
        let worker = self.shared.worker.as_str();
        let now = Timestamp::now();
        if !everybody {
            queue::renew(conn, worker, now.plus(self.limits.job_lease))?;
            news.cancellations.extend(queue::flagged(conn, worker)?);
        }
        for job in queue::requeue_lost(conn, now, everybody, REQUEUE_AT_ONCE)? {
            if job.lost < self.limits.lost_workers {
                news.queued.push(job);
                continue;
            }
            let message = format!("the job has lost {} workers and is not run again", job.lost);
            let outcome = Outcome::failed("WorkersLost", &message, now);
            if queue::end_unheld(conn, &completed(&job, &outcome, now))? {
                news.ended.push(Finished {
                    job: Arc::new(job),
                    outcome: Arc::new(outcome),
                });
            }
        }
        Ok(Done::Written)
    }

    fn publish(&self, news: News) {
        for job in &news.queued {
            self.shared.tell(job, JobState::Queued);
        }
        for job in &news.running {
            self.shared.tell(job, JobState::Running);
        }
        if news.queued.iter().any(|job| job.state == QUEUED) {
            self.shared.ready.notify_one();
        }
        let replies = self.shared.ended(&news.ended);
        if !replies.is_empty()
            && let Some(recipient) = &*self.shared.replies.lock()
        {
            // Not bounded by the mailbox but by the jobs that workers hold, and who gets it only passes it on.
            recipient.do_send(JobFinished(replies));
        }
        for cancellation in news.cancellations {
            // An error only says that no worker listens.
            let _ = self.shared.cancellations.send(cancellation);
        }
    }
}

/// Jobs end with the first log piece number that no running piece of the same run takes.
fn last_piece(job: &Job) -> i32 {
    job.lost.saturating_add(1).saturating_mul(PIECES_PER_RUN) - 1
}

/// Log pieces that one run of a job may have; a run after a lost worker starts behind them.
pub(super) const PIECES_PER_RUN: i32 = 1_000_000;

fn cancel(
    conn: &mut Conn,
    workspace: &str,
    (id, by, reason): Cancellation,
    news: &mut News,
) -> Result<Done, DbError> {
    let Some(job) = queue::find(conn, workspace, id)? else {
        let ended =
            queue::find_completed(conn, id)?.is_some_and(|row| row.workspace_id == workspace);
        return Ok(Done::Canceled(if ended {
            Canceled::TooLate
        } else {
            Canceled::NotFound
        }));
    };
    if queue::flag_canceled(conn, id, &by, reason.as_deref())? {
        news.cancellations.push((id, by, reason));
        return Ok(Done::Canceled(Canceled::WhileRunning));
    }
    let now = Timestamp::now();
    let outcome = Outcome::canceled(&by, reason.as_deref(), now);
    queue::end_unheld(conn, &completed(&job, &outcome, now))?;
    news.ended.push(Finished {
        job: Arc::new(job),
        outcome: Arc::new(outcome),
    });
    Ok(Done::Canceled(Canceled::BeforeItRan))
}

/// The rows of new jobs. A script's version, and with it the shape of a message's arguments, is fixed here.
fn rows(conn: &mut Conn, jobs: &[NewJob]) -> Result<Vec<Job>, DbError> {
    let mut newest: HashMap<(&str, &str), Option<ScriptVersion>> = HashMap::new();
    let now = Timestamp::now();
    let mut rows = Vec::with_capacity(jobs.len());
    for job in jobs {
        let version = match &job.runnable {
            Runnable::Script { path, hash: None } => {
                let key = (&*job.workspace, &**path);
                match newest.entry(key) {
                    Entry::Occupied(known) => known.get().clone(),
                    Entry::Vacant(unknown) => {
                        let version = queue::newest_script(conn, key.0, key.1)?;
                        unknown.insert(version).clone()
                    }
                }
            }
            Runnable::Script {
                hash: Some(hash), ..
            } => queue::script_version(conn, &job.workspace, *hash)?,
            Runnable::Flow { .. } | Runnable::Preview { .. } => None,
        };
        rows.push(row(job, version.as_ref(), now));
    }
    Ok(rows)
}

fn row(job: &NewJob, version: Option<&ScriptVersion>, now: Timestamp) -> Job {
    let (path, raw) = match &job.runnable {
        Runnable::Script { path, .. } | Runnable::Flow { path } => (Some(path.to_string()), None),
        Runnable::Preview {
            path,
            language,
            content,
        } => {
            let raw = json!({"language": language, "content": content});
            (
                path.as_ref().map(ToString::to_string),
                Some(raw.to_string()),
            )
        }
    };
    let trigger_path = job.trigger.as_ref().and_then(|(_, path)| path.as_deref());
    let preprocessor = version
        .filter(|_| !job.skip_preprocessor)
        .and_then(|version| version.preprocessor.as_deref());
    let (args, preprocess) = args(&job.args, preprocessor, trigger_path.unwrap_or(""));
    let hash = match &job.runnable {
        Runnable::Script { hash, .. } => hash.or(version.map(|version| version.hash)),
        Runnable::Flow { .. } | Runnable::Preview { .. } => None,
    };
    Job {
        id: job.id,
        workspace_id: job.workspace.to_string(),
        kind: kind_of(&job.runnable, job.held).as_str().to_owned(),
        runnable_path: path,
        runnable_hash: hash,
        raw,
        args,
        preprocess,
        trigger_kind: job.trigger.as_ref().map(|(kind, _)| kind.to_string()),
        trigger_path: trigger_path.map(str::to_owned),
        created_by: job.created_by.to_string(),
        permissioned_as: job.permissioned_as.to_string(),
        parent_job: job.parent,
        root_job: job.root,
        flow_step_id: job.flow_step_id.clone(),
        tag: job.tag.clone(),
        priority: job.priority,
        created_at: now,
        scheduled_at: job.scheduled_at.unwrap_or(now),
        timeout_secs: job.timeout_secs,
        reply_to: job.reply_to,
        options: job.options.clone(),
        state: if job.held { HELD } else { QUEUED },
        worker: None,
        started_at: None,
        lease_until: None,
        lost: 0,
        canceled_by: None,
        cancel_reason: None,
    }
}

/// A job's arguments (windmill-facts §3), and whether the script's preprocessor sees them first.
/// `encoding` is windsock's own, and only there when it says something (contract section 3, `binary`).
fn args(args: &Args, preprocessor: Option<&str>, trigger_path: &str) -> (String, bool) {
    let (text, url, is_base64) = match args {
        Args::Object(json) => return (json.clone(), false),
        Args::Message {
            text,
            url,
            is_base64,
        } => (text.as_str(), &**url, *is_base64),
    };
    let Some(preprocessor) = preprocessor else {
        return (json!({ "msg": text }).to_string(), false);
    };
    let mut about = json!({"url": url, "trigger_path": trigger_path});
    if is_base64 {
        about["encoding"] = "base64".into();
    }
    if preprocessor == "v1" {
        let trigger = json!({"kind": "websocket", "websocket": about});
        return (
            json!({"msg": text, "wm_trigger": trigger}).to_string(),
            true,
        );
    }
    about["kind"] = "websocket".into();
    about["msg"] = text.into();
    (json!({ "event": about }).to_string(), true)
}

fn completed(job: &Job, outcome: &Outcome, now: Timestamp) -> CompletedRow {
    let (canceled_by, cancel_reason) = outcome.canceled.clone().unzip();
    CompletedRow {
        id: job.id,
        workspace_id: job.workspace_id.clone(),
        kind: job.kind.clone(),
        runnable_path: job.runnable_path.clone(),
        runnable_hash: job.runnable_hash,
        raw: job.raw.clone(),
        args: outcome
            .preprocessed_args
            .clone()
            .unwrap_or_else(|| job.args.clone()),
        preprocessed: outcome.preprocessed_args.is_some(),
        trigger_kind: job.trigger_kind.clone(),
        trigger_path: job.trigger_path.clone(),
        created_by: job.created_by.clone(),
        permissioned_as: job.permissioned_as.clone(),
        parent_job: job.parent_job,
        root_job: job.root_job,
        flow_step_id: job.flow_step_id.clone(),
        tag: job.tag.clone(),
        created_at: job.created_at,
        started_at: outcome.started_at,
        completed_at: now,
        success: outcome.success,
        canceled_by,
        cancel_reason: cancel_reason.flatten(),
        result: outcome.result.clone(),
        worker: job.worker.clone(),
    }
}

/// What a job that ended before, perhaps in another process, has to tell those who wait for it.
pub(super) fn finished(row: CompletedRow) -> Finished {
    let outcome = Outcome {
        success: row.success,
        result: row.result,
        started_at: row.started_at,
        logs: String::new(),
        preprocessed_args: row.preprocessed.then(|| row.args.clone()),
        canceled: row.canceled_by.map(|by| (by, row.cancel_reason)),
    };
    let job = Job {
        id: row.id,
        workspace_id: row.workspace_id,
        kind: row.kind,
        runnable_path: row.runnable_path,
        runnable_hash: row.runnable_hash,
        raw: row.raw,
        args: row.args,
        preprocess: row.preprocessed,
        trigger_kind: row.trigger_kind,
        trigger_path: row.trigger_path,
        created_by: row.created_by,
        permissioned_as: row.permissioned_as,
        parent_job: row.parent_job,
        root_job: row.root_job,
        flow_step_id: row.flow_step_id,
        tag: row.tag,
        priority: 0,
        created_at: row.created_at,
        scheduled_at: row.created_at,
        timeout_secs: None,
        reply_to: None,
        options: None,
        state: queue::RUNNING,
        worker: row.worker,
        started_at: Some(row.started_at),
        lease_until: None,
        lost: 0,
        canceled_by: None,
        cancel_reason: None,
    };
    Finished {
        job: Arc::new(job),
        outcome: Arc::new(outcome),
    }
}
