//! What a commit tells `metrics`.

use std::time::Instant;

use super::{Finished, ledger::Waiting};
use crate::{metrics::metrics, types::Timestamp};

/// Counts a committed transaction and the jobs it ended.
pub(super) fn measure(ended: &[Finished], begun: Instant, batch: &[Waiting]) {
    let metrics = metrics();
    metrics.commits.inc();
    metrics
        .commit_seconds
        .observe(begun.elapsed().as_secs_f64());
    let rows: usize = batch.iter().map(|(op, _)| op.rows()).sum();
    metrics.commit_rows.observe(rows as f64);
    let now = Timestamp::now();
    let seconds = |from: Timestamp, to: Timestamp| (to.0 - from.0).max(0) as f64 / 1e6;
    for Finished { job, outcome } in ended {
        let could_start = job.created_at.max(job.scheduled_at);
        metrics
            .job_wait_seconds
            .observe(seconds(could_start, outcome.started_at));
        metrics
            .job_run_seconds
            .observe(seconds(outcome.started_at, now));
        metrics.job_seconds.observe(seconds(job.created_at, now));
        metrics.ended(&job.workspace_id, outcome.success);
    }
}
