//! Deletes ended jobs that are past their time, oldest first, in batches: with them their logs, notes and, of flows, states.

use diesel::{dsl::exists, prelude::*, sql_query, sql_types::BigInt};

use super::{
    Conn, DbError,
    alone::{PRUNING, try_alone},
    job_list::id_at,
    schema::{completed, flow_runs, flow_values, job_logs, job_notes, queue},
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
        diesel::delete(job_logs::table.filter(job_logs::job_id.eq_any(&ids))).execute(conn)?;
        diesel::delete(job_notes::table.filter(job_notes::job_id.eq_any(&ids))).execute(conn)?;
        diesel::delete(flow_values::table.filter(flow_values::job_id.eq_any(&ids)))
            .execute(conn)?;
        diesel::delete(flow_runs::table.filter(flow_runs::job_id.eq_any(&ids))).execute(conn)?;
        Ok(diesel::delete(completed::table.filter(completed::id.eq_any(&ids))).execute(conn)?)
    })
}

/// The first ended jobs before `id`, and of them only those that ended before `ended`. Ids sort by the moment they were
/// given, so they stand at the start of the primary key. A step stays as long as its flow has not ended: that needs it.
fn oldest(
    conn: &mut Conn,
    id: JobId,
    ended: Option<Timestamp>,
    max: i64,
) -> Result<Vec<JobId>, DbError> {
    let ended = ended.unwrap_or(Timestamp(i64::MAX));
    let parent = queue::table.filter(queue::id.nullable().eq(completed::parent_job));
    let root = queue::table.filter(queue::id.nullable().eq(completed::root_job));
    Ok(completed::table
        .filter(completed::id.lt(id))
        .filter(completed::completed_at.lt(ended))
        .filter(diesel::dsl::not(exists(parent)))
        .filter(diesel::dsl::not(exists(root)))
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
