//! What follows when a run has failed: another run, or the call of the error handler (windmill-facts §5). Both happen in
//! the transaction that takes the run's end, so neither is forgotten nor done twice. A job that somebody canceled is
//! followed by nothing.

use std::sync::Arc;

use rand::RngExt;
use serde_json::{Map, Value, json};

use super::{
    Args, Job, NewJob, Outcome, Runnable,
    ended::completed,
    flow::{self, Wish},
    given::references_in,
    lanes::Lanes,
    news::News,
    options::Options,
    rows::rows,
};
use crate::{
    db::{Conn, DbError, again, queue},
    types::{JobId, JobKind, Timestamp},
};

/// Log pieces that one run of a job may have; the next run starts behind them.
pub(super) const PIECES_PER_RUN: i32 = 100_000;
/// Runs whose logs are kept: nobody reads more of one job, and each may be a megabyte.
const LOGGED_RUNS: i32 = 100;

/// The number of the first log piece of this run: every earlier run has had its own, whether it failed or was lost.
pub(super) fn first_piece(job: &Job) -> i32 {
    let failed = job.options.as_deref().map_or(0, |options| {
        let failed = Options::read(Some(options)).failed;
        i32::try_from(failed).unwrap_or(i32::MAX)
    });
    let run = job.lost.saturating_add(failed);
    run.min(i32::MAX / PIECES_PER_RUN - 1) * PIECES_PER_RUN
}

/// Jobs end with the last log piece of a run, which is never given while it goes on.
pub(super) fn last_piece(job: &Job) -> i32 {
    first_piece(job) + PIECES_PER_RUN - 1
}

/// Has a job run again if its policy says so; answers whether it does. `worker` must still hold it.
pub(super) fn run_again(
    conn: &mut Conn,
    worker: &str,
    (job, outcome): (&Job, &Outcome),
    lanes: &mut Lanes,
    news: &mut News,
) -> Result<bool, DbError> {
    let now = Timestamp::now();
    let Some((at, options)) = next_run(job, outcome, now) else {
        return Ok(false);
    };
    let state = lanes.state_until(conn, job)?;
    let requeued = again::requeue(
        conn,
        (worker, job.id),
        (state, at),
        options.column().as_deref(),
    )?;
    if !requeued {
        return Ok(false);
    }
    lanes.ended(conn, job)?;
    let piece = last_piece(job);
    let mut logs = outcome.logs.clone();
    if !logs.is_empty() && !logs.ends_with('\n') {
        logs.push('\n');
    }
    logs.push_str(&format!(
        "[windsock: run {} has failed; the job runs again at {at}]\n",
        options.failed
    ));
    queue::insert_log(conn, job.id, piece, &logs)?;
    again::drop_logs(conn, job.id, piece - LOGGED_RUNS * PIECES_PER_RUN)?;
    news.queued.push(Job {
        state,
        scheduled_at: at,
        ..job.clone()
    });
    Ok(true)
}

/// When the next run is, and the options it carries; none when there is no next one.
fn next_run(job: &Job, outcome: &Outcome, now: Timestamp) -> Option<(Timestamp, Options)> {
    if outcome.success || outcome.canceled.is_some() {
        return None;
    }
    let mut options = Options::read(Some(job.options.as_deref()?));
    let policy = options.retry.as_ref()?;
    // Nobody evaluated the condition: it is not known to hold.
    if policy.retry_if.is_some() && outcome.retry_if != Some(true) {
        return None;
    }
    let failed = options.failed.saturating_add(1);
    let wait = policy.wait(failed, rand::rng().random())?;
    options.failed = failed;
    Some((now.plus(wait), options))
}

/// The condition under which a job that has failed now is run again, if there is one and a run is left.
#[must_use]
pub fn retry_condition(job: &Job) -> Option<String> {
    let options = Options::read(Some(job.options.as_deref()?));
    let policy = options.retry?;
    policy.wait(options.failed.saturating_add(1), 0.5)?;
    policy.retry_if.map(|condition| condition.expr)
}

/// Whether a job that ends so has its error handler called.
pub(super) fn is_handled(job: &Job, outcome: &Outcome) -> bool {
    !outcome.success && outcome.canceled.is_none() && job.options.is_some()
}

/// Calls the error handler of a job that has failed for good, if it has one.
pub(super) fn call_handler(
    conn: &mut Conn,
    job: &Job,
    outcome: &Outcome,
    lanes: &mut Lanes,
    news: &mut News,
) -> Result<(), DbError> {
    if !is_handled(job, outcome) {
        return Ok(());
    }
    let Some(call) = handler_job(job, outcome) else {
        return Ok(());
    };
    let calls = [call];
    let (mut rows, limits) = rows(conn, &calls)?;
    lanes.place(conn, &calls, &mut rows, &limits)?;
    queue::insert(conn, &rows)?;
    news.queued.extend(rows);
    Ok(())
}

fn handler_job(job: &Job, outcome: &Outcome) -> Option<NewJob> {
    let handler = Options::read(job.options.as_deref()).error_handler?;
    let mut result: Value = serde_json::from_str(&outcome.result).unwrap_or_default();
    let error = result.get_mut("error").map(Value::take).unwrap_or(result);
    let trigger = job.trigger_path.as_deref().unwrap_or_default();
    let kind = job.trigger_kind.as_deref().unwrap_or_default();
    let mut given = references_in(&Value::Object(handler.args.clone()).to_string());
    let mut args: Map<String, Value> = handler.args;
    for (name, value) in [
        ("workspace_id", json!(job.workspace_id)),
        ("job_id", json!(job.id)),
        ("path", json!(job.runnable_path)),
        ("is_flow", json!(job.kind == JobKind::Flow.as_str())),
        ("trigger_path", json!(format!("{kind}_trigger/{trigger}"))),
        ("error", error),
        ("started_at", json!(outcome.started_at)),
    ] {
        // What the failed job left is no more than a text.
        given.retain(|known| known != name);
        args.insert(name.to_owned(), value);
    }
    let path = handler.path.into();
    let runnable = if handler.is_flow {
        Runnable::Flow {
            path,
            version: None,
        }
    } else {
        Runnable::Script { path, hash: None }
    };
    let args = Args::Object(Value::Object(args).to_string());
    Some(NewJob {
        id: JobId::next(),
        created_by: job.created_by.as_str().into(),
        permissioned_as: job.permissioned_as.as_str().into(),
        parent: Some(job.id),
        given,
        ..NewJob::new(job.workspace_id.as_str().into(), runnable, args, "")
    })
}

/// Ends a job that nobody runs any more, and calls its error handler.
pub(super) fn give_up(
    conn: &mut Conn,
    (job, outcome): (Job, Outcome),
    lanes: &mut Lanes,
    news: &mut News,
) -> Result<(), DbError> {
    if queue::end_unheld(conn, &completed(&job, &outcome, Timestamp::now()))? {
        lanes.ended(conn, &job)?;
        call_handler(conn, &job, &outcome, lanes, news)?;
        let wish = Wish::of_windsock(job.id, "its flow has lost its workers".to_owned());
        flow::ended_here(conn, &job, wish, lanes, news)?;
        news.ended.push(super::Finished {
            job: Arc::new(job),
            outcome: Arc::new(outcome),
        });
    }
    Ok(())
}
