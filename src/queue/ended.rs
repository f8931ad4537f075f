//! Jobs that have ended: as rows of `completed`, and from there as news for those who wait.

use std::sync::Arc;

use super::{Finished, Job, Outcome};
use crate::{
    db::{
        Conn, DbError, flow_run,
        queue::{self, CompletedRow, EndedRow},
    },
    types::{JobId, Timestamp},
};

/// The row of a job that has ended.
pub(super) fn completed<'a>(job: &'a Job, outcome: &'a Outcome, now: Timestamp) -> EndedRow<'a> {
    let canceled = outcome.canceled.as_ref();
    EndedRow {
        id: job.id,
        workspace_id: &job.workspace_id,
        kind: &job.kind,
        runnable_path: job.runnable_path.as_deref(),
        runnable_hash: job.runnable_hash,
        raw: job.raw.as_deref(),
        args: outcome.preprocessed_args.as_ref().unwrap_or(&job.args),
        preprocessed: outcome.preprocessed_args.is_some(),
        trigger_kind: job.trigger_kind.as_deref(),
        trigger_path: job.trigger_path.as_deref(),
        created_by: &job.created_by,
        permissioned_as: &job.permissioned_as,
        parent_job: job.parent_job,
        root_job: job.root_job,
        flow_step_id: job.flow_step_id.as_deref(),
        tag: job.tag.as_deref(),
        created_at: job.created_at,
        started_at: outcome.started_at,
        completed_at: now,
        success: outcome.success,
        canceled_by: canceled.map(|(by, _)| by.as_str()),
        cancel_reason: canceled.and_then(|(_, reason)| reason.as_deref()),
        result: &outcome.result,
        worker: job.worker.as_deref(),
    }
}

/// What a job owes those who wait for it: the answer that a flow gave before its end, else the end.
pub(super) fn owed(conn: &mut Conn, id: JobId) -> Result<Option<Finished>, DbError> {
    let ended = queue::find_completed(conn, id)?.map(finished);
    let early = flow_run::early(conn, id)?;
    let Some((result, success)) = early else {
        return Ok(ended);
    };
    let job = match (ended, flow_run::find_queued(conn, id)?) {
        (Some(ended), _) => Arc::unwrap_or_clone(ended.job),
        (None, Some(job)) => job,
        // It has ended between two of these looks.
        (None, None) => match queue::find_completed(conn, id)? {
            Some(row) => Arc::unwrap_or_clone(finished(row).job),
            None => return Ok(None),
        },
    };
    let outcome = Outcome {
        success,
        result,
        started_at: job.started_at.unwrap_or(job.created_at),
        logs: String::new(),
        preprocessed_args: None,
        canceled: None,
        retry_if: None,
    };
    Ok(Some(Finished {
        job: Arc::new(job),
        outcome: Arc::new(outcome),
    }))
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
        retry_if: None,
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
        turn: None,
        concurrency_key: None,
        depth: 0,
    };
    Finished {
        job: Arc::new(job),
        outcome: Arc::new(outcome),
    }
}
