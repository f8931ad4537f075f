//! Deletes ended jobs that are past their time, oldest first, in batches: with them their logs, notes and, of flows, states.
//! Erases what is in those whose script, flow or step says `delete_after_secs`.

use std::{collections::HashSet, time::Duration};

use diesel::{dsl::exists, prelude::*, sql_query, sql_types::BigInt};

use super::{
    Conn, DbError,
    alone::{ERASING, PRUNING, try_alone},
    flow_run,
    job_list::id_at,
    queue::{ERASED, EndedRow, insert_log},
    schema::{completed, erasures, flow_runs, flow_values, job_logs, job_notes, queue},
};
use crate::types::{JobId, Timestamp};

/// Free pages of a SQLite file that stay, for what comes: past a quarter of the file they go back to the disk.
const FREE_SHARE: i64 = 4;
/// Pages given back at once: 2 MiB.
const VACUUM_PAGES: i64 = 512;
/// `PRAGMA auto_vacuum`: free pages are given back when told to. A file made before this was set has 0, and keeps
/// them for what comes.
const INCREMENTAL: i64 = 2;

/// What may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// Jobs that were made and ended before.
    pub(crate) ended_before: Option<Timestamp>,
    /// Jobs whose id is smaller, whenever they ended.
    pub(crate) ids_before: Option<JobId>,
}

/// Deletes up to `max` jobs in one transaction; answers how many. None while another process deletes.
pub(crate) fn prune(conn: &mut Conn, cut: Cut, max: i64) -> Result<usize, DbError> {
    super::transaction(conn, |conn| {
        if !try_alone(conn, PRUNING)? {
            return Ok(0);
        }
        let mut ids = match cut.ids_before {
            Some(id) => oldest(conn, id, None, max)?,
            None => Vec::new(),
        };
        if ids.is_empty()
            && let Some(before) = cut.ended_before
        {
            ids = oldest(conn, id_at(before), Some(before), max)?;
        }
        if ids.is_empty() {
            return Ok(0);
        }
        contents(conn, &ids)?;
        Ok(diesel::delete(completed::table.filter(completed::id.eq_any(&ids))).execute(conn)?)
    })
}

/// Deletes what stands beside ended jobs: logs, notes, states and values.
fn contents(conn: &mut Conn, ids: &[JobId]) -> Result<(), DbError> {
    diesel::delete(job_logs::table.filter(job_logs::job_id.eq_any(ids))).execute(conn)?;
    diesel::delete(job_notes::table.filter(job_notes::job_id.eq_any(ids))).execute(conn)?;
    diesel::delete(flow_values::table.filter(flow_values::job_id.eq_any(ids))).execute(conn)?;
    diesel::delete(flow_runs::table.filter(flow_runs::job_id.eq_any(ids))).execute(conn)?;
    Ok(())
}

/// Ended jobs named in one statement; SQLite binds at most 32,766 values.
const AT_ONCE: usize = 1_000;
/// What the logs of a job say whose contents somebody has deleted.
const ERASED_LOGS: &str = "##DELETED##";

/// The ended jobs among `ids` that flows which have not ended still need: as their steps, or because they go on from them.
pub(crate) fn needed(conn: &mut Conn, ids: &[JobId]) -> Result<Vec<JobId>, DbError> {
    let taken = flow_run::taken(conn)?;
    let mut needed = Vec::new();
    for ids in ids.chunks(AT_ONCE) {
        let parent = queue::table.filter(queue::id.nullable().eq(completed::parent_job));
        let root = queue::table.filter(queue::id.nullable().eq(completed::root_job));
        let step = completed::flow_step_id
            .is_not_null()
            .and(exists(parent).or(exists(root)));
        let from = completed::id.eq_any(&taken).or(completed::root_job
            .is_not_null()
            .and(completed::root_job.assume_not_null().eq_any(&taken)));
        let some: Vec<JobId> = completed::table
            .filter(completed::id.eq_any(ids))
            .filter(step.or(from))
            .select(completed::id)
            .load(conn)?;
        needed.extend(some);
    }
    Ok(needed)
}

/// Ended jobs with the steps of those that are flows, however deep.
pub(crate) fn with_steps(conn: &mut Conn, ids: &[JobId]) -> Result<Vec<JobId>, DbError> {
    let mut all: HashSet<JobId> = ids.iter().copied().collect();
    let mut outer = ids.to_vec();
    while !outer.is_empty() {
        let mut steps = Vec::new();
        for outer in outer.chunks(AT_ONCE) {
            let some: Vec<JobId> = completed::table
                .filter(completed::parent_job.is_not_null())
                .filter(completed::parent_job.assume_not_null().eq_any(outer))
                .filter(completed::flow_step_id.is_not_null())
                .select(completed::id)
                .load(conn)?;
            steps.extend(some);
        }
        steps.retain(|step| all.insert(*step));
        outer = steps;
    }
    Ok(all.into_iter().collect())
}

/// Deletes ended jobs; answers how many there were.
pub(crate) fn remove(conn: &mut Conn, ids: &[JobId]) -> Result<usize, DbError> {
    let mut count = 0;
    for ids in ids.chunks(AT_ONCE) {
        contents(conn, ids)?;
        count +=
            diesel::delete(completed::table.filter(completed::id.eq_any(ids))).execute(conn)?;
    }
    Ok(count)
}

/// Deletes what ended jobs got, came to and printed; that they ran, and how they ended, stays.
pub(crate) fn erase(conn: &mut Conn, ids: &[JobId]) -> Result<(), DbError> {
    for ids in ids.chunks(AT_ONCE) {
        contents(conn, ids)?;
        diesel::update(completed::table.filter(completed::id.eq_any(ids)))
            .set((
                completed::args.eq("{}"),
                completed::result.eq("null"),
                completed::raw.eq(ERASED),
            ))
            .execute(conn)?;
        for id in ids {
            insert_log(conn, *id, 0, ERASED_LOGS)?;
        }
    }
    Ok(())
}

/// The first ended jobs before `id`, and of them only those that ended before `ended`. Ids sort by the moment they were
/// given, so they stand at the start of the primary key. A step stays as long as its flow, or one that was
/// restarted from it, has not ended: that needs it.
fn oldest(
    conn: &mut Conn,
    id: JobId,
    ended: Option<Timestamp>,
    max: i64,
) -> Result<Vec<JobId>, DbError> {
    let ended = ended.unwrap_or(Timestamp(i64::MAX));
    let taken = flow_run::taken(conn)?;
    let parent = queue::table.filter(queue::id.nullable().eq(completed::parent_job));
    let root = queue::table.filter(queue::id.nullable().eq(completed::root_job));
    Ok(completed::table
        .filter(completed::id.lt(id))
        .filter(completed::completed_at.lt(ended))
        .filter(diesel::dsl::not(exists(parent)))
        .filter(diesel::dsl::not(exists(root)))
        .filter(completed::id.ne_all(taken.clone()))
        .filter(
            completed::root_job
                .is_null()
                .or(completed::root_job.assume_not_null().ne_all(taken)),
        )
        .order(completed::id)
        .select(completed::id)
        .limit(max)
        .load(conn)?)
}

/// The id of the oldest of the `keep` newest ended jobs; none when there are no more than that.
pub(crate) fn oldest_kept(conn: &mut Conn, keep: u32) -> Result<Option<JobId>, DbError> {
    Ok(completed::table
        .select(completed::id)
        .order(completed::id.desc())
        .offset((i64::from(keep) - 1).max(0))
        .first(conn)
        .optional()?)
}

/// At the earliest so long after its end a job's contents go: whoever waits for the result has read it by then.
const GRACE_SECS: u64 = 5;
/// How much later a step is looked at again whose flow has not ended: it needs the result.
const NOT_YET: Duration = Duration::from_secs(30);

/// Notes when the contents of jobs that have just ended are to go, if they say so (`queue::stamp`).
pub(super) fn note_erasures(conn: &mut Conn, rows: &[EndedRow<'_>]) -> Result<(), DbError> {
    for row in rows {
        let Some(secs) = row.raw.and_then(delete_after_secs) else {
            continue;
        };
        let after = Duration::from_secs(secs.max(GRACE_SECS));
        diesel::insert_into(erasures::table)
            .values((
                erasures::due_at.eq(row.completed_at.plus(after)),
                erasures::job_id.eq(row.id),
            ))
            .execute(conn)?;
    }
    Ok(())
}

fn delete_after_secs(raw: &str) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Stamped {
        delete_after_secs: Option<u64>,
    }
    // Of most jobs it says nothing.
    memchr::memmem::find(raw.as_bytes(), b"\"delete_after_secs\"")?;
    serde_json::from_str::<Stamped>(raw).ok()?.delete_after_secs
}

/// Erases the ended jobs whose time for that has come, up to `max`; answers how many were looked at.
pub(crate) fn erase_due(conn: &mut Conn, now: Timestamp, max: i64) -> Result<usize, DbError> {
    let due = |conn: &mut Conn| -> Result<Vec<JobId>, DbError> {
        Ok(erasures::table
            .filter(erasures::due_at.le(now))
            .order(erasures::due_at)
            .select(erasures::job_id)
            .limit(max)
            .load(conn)?)
    };
    // Mostly there is nothing, and nobody has to wait for that.
    if due(conn)?.is_empty() {
        return Ok(0);
    }
    super::transaction(conn, |conn| {
        if !try_alone(conn, ERASING)? {
            return Ok(0);
        }
        let ids = due(conn)?;
        let needed = needed(conn, &ids)?;
        let later = erasures::table.filter(erasures::job_id.eq_any(&needed));
        diesel::update(later.filter(erasures::due_at.le(now)))
            .set(erasures::due_at.eq(now.plus(NOT_YET)))
            .execute(conn)?;
        let free = completed::table.filter(completed::id.eq_any(&ids));
        let free: Vec<JobId> = free
            .filter(completed::id.ne_all(&needed))
            .select(completed::id)
            .load(conn)?;
        // What a flow got and came to is in its steps, too.
        let all = with_steps(conn, &free)?;
        erase(conn, &all)?;
        let done = erasures::table.filter(erasures::job_id.eq_any(&ids));
        diesel::delete(done.filter(erasures::due_at.le(now))).execute(conn)?;
        Ok(ids.len())
    })
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// Gives free pages of a SQLite file back to the disk, a few at a time; answers whether there are more.
/// PostgreSQL uses them again by itself (autovacuum).
pub(crate) fn shrink(conn: &mut Conn) -> Result<bool, DbError> {
    use diesel::connection::SimpleConnection;
    let Conn::Sqlite(conn) = conn else {
        return Ok(false);
    };
    let mut ask = |what: &str| -> Result<i64, DbError> {
        let row: Number =
            sql_query(format!("SELECT {what} AS value FROM pragma_{what}")).get_result(conn)?;
        Ok(row.value)
    };
    let (way, free, all) = (
        ask("auto_vacuum")?,
        ask("freelist_count")?,
        ask("page_count")?,
    );
    if way != INCREMENTAL || free <= VACUUM_PAGES || free <= all / FREE_SHARE {
        return Ok(false);
    }
    conn.batch_execute(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    Ok(true)
}
