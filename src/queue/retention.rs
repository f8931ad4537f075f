//! Ended jobs go when they are past their time or their number (`--job-retention-secs`, `--job-retention-count`): oldest
//! first, in small batches with pauses many times as long, so that nobody waits for it. The queue is never pruned.
//! The audit log goes the same way.

use std::time::{Duration, Instant};

use crate::{
    config::Retention,
    db::{
        DbError, Pool, audit,
        retention::{self, Cut},
    },
    types::Timestamp,
};

/// Jobs deleted in one transaction: a few milliseconds.
const BATCH: i64 = 200;
/// How long the audit log tells who changed what.
const AUDIT_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Entries of the audit log kept of one workspace: some 20 MB.
const AUDIT_ENTRIES: i64 = 100_000;
/// Pause after a batch, in lengths of the batch: at most a fifth of the database's time.
const PAUSE: u32 = 4;
/// Shortest and longest pause between two batches.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(5));
/// Pause between two looks for something to delete.
const LOOK: Duration = Duration::from_secs(30);

/// Deletes what is past its time, for ever. One process does it at a time; others find nothing left.
pub async fn keep_pruning(pool: Pool, policy: Retention) {
    loop {
        if policy.age.is_some() || policy.count.is_some() {
            match prune(&pool, policy).await {
                Ok(0) => {}
                Ok(deleted) => log::info!("deleted {deleted} ended jobs past their time"),
                Err(error) => {
                    log::warn!("ended jobs past their time cannot be deleted now: {error}");
                }
            }
        }
        if let Err(error) = prune_audit(&pool).await {
            log::warn!("old entries of the audit log cannot be deleted now: {error}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Deletes everything that is past its time now; answers how many jobs that were.
pub(super) async fn prune(pool: &Pool, policy: Retention) -> Result<usize, DbError> {
    let ids_before = match policy.count {
        Some(keep) => {
            let kept = pool.run(move |conn| retention::oldest_kept(conn, keep));
            kept.await?
        }
        None => None,
    };
    let cut = Cut {
        ended_before: policy.age.map(|age| Timestamp::now().minus(age)),
        ids_before,
    };
    let mut deleted = 0;
    loop {
        let begun = Instant::now();
        let batch = pool.run(move |conn| retention::prune(conn, cut, BATCH));
        let count = batch.await?;
        deleted += count;
        if count == 0 {
            break;
        }
        pause(begun).await;
    }
    loop {
        let begun = Instant::now();
        if !pool.run(retention::shrink).await? {
            return Ok(deleted);
        }
        pause(begun).await;
    }
}

/// Deletes the entries of the audit log that are past their time or number.
async fn prune_audit(pool: &Pool) -> Result<(), DbError> {
    let before = Timestamp::now().minus(AUDIT_AGE);
    loop {
        let begun = Instant::now();
        let batch = pool.run(move |conn| audit::prune(conn, before, AUDIT_ENTRIES, BATCH));
        if batch.await? == 0 {
            return Ok(());
        }
        pause(begun).await;
    }
}

async fn pause(begun: Instant) {
    tokio::time::sleep((begun.elapsed() * PAUSE).clamp(PAUSES.0, PAUSES.1)).await;
}
