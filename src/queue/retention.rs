//! Ended jobs go when they are past their time or their number (what a super admin chose, else `--job-retention-secs` and
//! `--job-retention-count`): oldest first, in small batches with pauses many times as long, so that nobody waits for it.
//! The queue is never pruned. The audit log goes the same way.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{
    config::Retention,
    db::{
        Conn, DbError, Pool, audit,
        retention::{self, Cut},
        setting,
    },
    types::Timestamp,
};

/// The setting of what was chosen.
const CHOSEN: &str = "job_retention";
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
/// Pause between two looks for something to erase.
const ERASE_LOOK: Duration = Duration::from_secs(1);

/// What was chosen for all processes of an installation.
#[derive(Serialize, Deserialize)]
struct Chosen {
    age_secs: Option<u64>,
    count: Option<u32>,
}

/// What a super admin chose; none = what each process was started with counts.
pub(crate) fn chosen(conn: &mut Conn) -> Result<Option<Retention>, DbError> {
    let text = setting::get(conn, CHOSEN)?;
    let chosen: Option<Chosen> = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(chosen.map(|chosen| Retention {
        age: chosen.age_secs.map(Duration::from_secs),
        count: chosen.count,
    }))
}

/// Has all processes follow `policy` within half a minute; none = what they were started with.
pub(crate) fn choose(conn: &mut Conn, policy: Option<Retention>) -> Result<(), DbError> {
    let Some(policy) = policy else {
        return setting::remove(conn, CHOSEN);
    };
    let chosen = Chosen {
        age_secs: policy.age.map(|age| age.as_secs()),
        count: policy.count,
    };
    let text = serde_json::to_string(&chosen).unwrap_or_default();
    setting::store(conn, CHOSEN, &text)
}

/// Deletes what is past its time, for ever. One process does it at a time; others find nothing left.
pub async fn keep_pruning(pool: Pool, started_with: Retention) {
    loop {
        match prune_jobs(&pool, started_with).await {
            Ok(0) => {}
            Ok(deleted) => log::info!("deleted {deleted} ended jobs past their time"),
            Err(error) => {
                log::warn!("ended jobs past their time cannot be deleted now: {error}");
            }
        }
        if let Err(error) = prune_audit(&pool).await {
            log::warn!("old entries of the audit log cannot be deleted now: {error}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Deletes the jobs that are past what was chosen, or past `started_with`; answers how many.
pub(super) async fn prune_jobs(pool: &Pool, started_with: Retention) -> Result<usize, DbError> {
    let policy = pool.run(chosen).await?.unwrap_or(started_with);
    if policy.age.is_none() && policy.count.is_none() {
        return Ok(0);
    }
    prune(pool, policy).await
}

/// Erases what is in the jobs of scripts that say `delete_after_secs`, for ever.
pub async fn keep_erasing(pool: Pool) {
    loop {
        let begun = Instant::now();
        let batch = pool.run(|conn| retention::erase_due(conn, Timestamp::now(), BATCH));
        match batch.await {
            Ok(0) => {}
            Ok(_) => {
                pause(begun).await;
                continue;
            }
            Err(error) => log::warn!("the contents of ended jobs cannot be erased now: {error}"),
        }
        tokio::time::sleep(ERASE_LOOK).await;
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
