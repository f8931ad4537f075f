//! Tables `queue`, `completed` and `job_logs`: the hot path, written by the queue's ledger alone.
//!
//! Batches differ by database: SQLite takes one prepared insert a row (cached, no network), PostgreSQL takes
//! `COPY`, the fastest way in that was measured, which has to be asked for three times; so a few rows go as with SQLite. Where a partial index must serve, its condition stands in
//! the query as text: SQLite does not see through a bound value. Nothing here decides; see `crate::queue`.

use diesel::{dsl::sql, prelude::*, sql_types::Bool};

use super::{
    Conn, DbError,
    fixed::{InsertEnded, InsertQueued, TakeOff},
    schema::{completed, job_logs, queue},
};
use crate::types::{JobId, Timestamp};

/// `queue.state`: waits for a worker.
pub(crate) const QUEUED: i32 = 0;
/// `queue.state`: a worker has it.
pub(crate) const RUNNING: i32 = 1;
/// `queue.state`: a suspended trigger holds it.
pub(crate) const HELD: i32 = 2;
/// `queue.state`: a flow that has begun and waits for its steps; no worker has it. It wakes at `lease_until`.
pub(crate) const PARKED: i32 = 3;
/// `queue.state`: waits for room in what is under way to the Windmill of its workspace; keeps its turn and its slot.
pub(crate) const OUTBOX: i32 = 4;

/// `queue.state`: has its trigger's turn, waits for a slot of its concurrency key.
pub(crate) const LIMITED: i32 = 8;
/// `queue.state`: waits for its time, keeps its trigger's turn.
pub(crate) const LATER_IN_TURN: i32 = 9;
/// `queue.state`: waits in its trigger's line.
pub(crate) const IN_LINE: i32 = 10;
/// `queue.state`: waits for its time, keeps nothing.
pub(crate) const LATER: i32 = 11;

/// A job that has not ended.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, QueryableByName)]
#[diesel(table_name = queue)]
#[diesel(treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns, as the migration explains them")]
pub struct QueueRow {
    pub id: JobId,
    pub workspace_id: String,
    pub kind: String,
    pub runnable_path: Option<String>,
    pub runnable_hash: Option<i64>,
    pub raw: Option<String>,
    pub args: String,
    pub preprocess: bool,
    pub trigger_kind: Option<String>,
    pub trigger_path: Option<String>,
    pub created_by: String,
    pub permissioned_as: String,
    pub parent_job: Option<JobId>,
    pub root_job: Option<JobId>,
    pub flow_step_id: Option<String>,
    pub tag: Option<String>,
    pub priority: i32,
    pub created_at: Timestamp,
    pub scheduled_at: Timestamp,
    pub timeout_secs: Option<i32>,
    pub reply_to: Option<i64>,
    pub options: Option<String>,
    pub state: i32,
    pub worker: Option<String>,
    pub started_at: Option<Timestamp>,
    pub lease_until: Option<Timestamp>,
    pub lost: i32,
    pub canceled_by: Option<String>,
    pub cancel_reason: Option<String>,
    pub turn: Option<i64>,
    pub concurrency_key: Option<String>,
    pub depth: i32,
}

/// A job that has ended.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = completed)]
#[expect(missing_docs, reason = "the columns, as the migration explains them")]
pub struct CompletedRow {
    pub id: JobId,
    pub workspace_id: String,
    pub kind: String,
    pub runnable_path: Option<String>,
    pub runnable_hash: Option<i64>,
    pub raw: Option<String>,
    pub args: String,
    pub preprocessed: bool,
    pub trigger_kind: Option<String>,
    pub trigger_path: Option<String>,
    pub created_by: String,
    pub permissioned_as: String,
    pub parent_job: Option<JobId>,
    pub root_job: Option<JobId>,
    pub flow_step_id: Option<String>,
    pub tag: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Timestamp,
    pub completed_at: Timestamp,
    pub success: bool,
    pub canceled_by: Option<String>,
    pub cancel_reason: Option<String>,
    pub result: String,
    pub worker: Option<String>,
}

/// Column `raw` of an ended job whose arguments, result and logs somebody has deleted.
pub(crate) const ERASED: &str = r#"{"deleted":true}"#;

impl CompletedRow {
    /// Whether somebody has deleted its arguments, result and logs.
    pub(crate) fn is_erased(&self) -> bool {
        self.raw.as_deref() == Some(ERASED)
    }
}

/// A job that ends, as it is written.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = completed)]
#[diesel(treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns, as the migration explains them")]
pub struct EndedRow<'a> {
    pub id: JobId,
    pub workspace_id: &'a str,
    pub kind: &'a str,
    pub runnable_path: Option<&'a str>,
    pub runnable_hash: Option<i64>,
    pub raw: Option<&'a str>,
    pub args: &'a str,
    pub preprocessed: bool,
    pub trigger_kind: Option<&'a str>,
    pub trigger_path: Option<&'a str>,
    pub created_by: &'a str,
    pub permissioned_as: &'a str,
    pub parent_job: Option<JobId>,
    pub root_job: Option<JobId>,
    pub flow_step_id: Option<&'a str>,
    pub tag: Option<&'a str>,
    pub created_at: Timestamp,
    pub started_at: Timestamp,
    pub completed_at: Timestamp,
    pub success: bool,
    pub canceled_by: Option<&'a str>,
    pub cancel_reason: Option<&'a str>,
    pub result: &'a str,
    pub worker: Option<&'a str>,
}

/// Rows that PostgreSQL takes one by one: no more ways there and back than `COPY` needs.
const FEW: usize = 3;

/// Adds new jobs.
pub(crate) fn insert(conn: &mut Conn, rows: &[QueueRow]) -> Result<(), DbError> {
    match conn {
        Conn::Sqlite(conn) => {
            for row in rows {
                InsertQueued(row).execute(conn)?;
            }
        }
        Conn::Postgres(conn) if rows.len() <= FEW => {
            for row in rows {
                InsertQueued(row).execute(conn)?;
            }
        }
        Conn::Postgres(conn) => {
            diesel::copy_from(queue::table)
                .from_insertable(rows)
                .execute(conn)?;
        }
    }
    Ok(())
}

/// Whether a job has not ended.
pub(crate) fn is_there(conn: &mut Conn, id: JobId) -> Result<bool, DbError> {
    let one = queue::table.filter(queue::id.eq(id));
    Ok(diesel::select(diesel::dsl::exists(one)).get_result(conn)?)
}

/// Whether a job is due at `now`.
pub(crate) fn any_due(conn: &mut Conn, now: Timestamp) -> Result<bool, DbError> {
    let due = queue::table
        .filter(sql::<Bool>("state = 0"))
        .filter(queue::scheduled_at.le(now));
    Ok(diesel::select(diesel::dsl::exists(due)).get_result(conn)?)
}

/// Ends jobs that `worker` still holds; answers which. The others were taken from it and end elsewhere.
pub(crate) fn finish(
    conn: &mut Conn,
    worker: &str,
    rows: &[EndedRow<'_>],
) -> Result<Vec<JobId>, DbError> {
    let held = match conn {
        // One by one, as in `claim`.
        Conn::Sqlite(conn) => take_off(rows, worker, |off| off.execute(conn))?,
        Conn::Postgres(conn) if rows.len() <= FEW => {
            take_off(rows, worker, |off| off.execute(conn))?
        }
        Conn::Postgres(conn) => diesel::delete(
            queue::table
                .filter(queue::id.eq_any(rows.iter().map(|row| row.id)))
                .filter(queue::worker.eq(worker))
                .filter(queue::state.eq(RUNNING)),
        )
        .returning(queue::id)
        .get_results(conn)?,
    };
    if held.len() == rows.len() {
        insert_completed(conn, rows)?;
    } else {
        let mine: Vec<EndedRow<'_>> = rows
            .iter()
            .filter(|row| held.contains(&row.id))
            .cloned()
            .collect();
        insert_completed(conn, &mine)?;
    }
    Ok(held)
}

/// Takes these jobs off the queue one by one; answers which of them `worker` held.
fn take_off(
    rows: &[EndedRow<'_>],
    worker: &str,
    mut execute: impl FnMut(TakeOff<'_>) -> QueryResult<usize>,
) -> Result<Vec<JobId>, DbError> {
    let mut held = Vec::with_capacity(rows.len());
    for row in rows {
        let id = row.id;
        if execute(TakeOff { id, worker })? == 1 {
            held.push(id);
        }
    }
    Ok(held)
}

/// Whether one of these jobs has ended.
pub(crate) fn have_ended(conn: &mut Conn, ids: &[JobId]) -> Result<bool, DbError> {
    let found = completed::table
        .filter(completed::id.eq_any(ids.to_vec()))
        .select(completed::id)
        .first::<JobId>(conn);
    Ok(found.optional()?.is_some())
}

/// Adds ended jobs.
pub(crate) fn insert_completed(conn: &mut Conn, rows: &[EndedRow<'_>]) -> Result<(), DbError> {
    super::retention::note_erasures(conn, rows)?;
    match conn {
        Conn::Sqlite(conn) => {
            for row in rows {
                InsertEnded(row).execute(conn)?;
            }
        }
        Conn::Postgres(conn) if rows.len() <= FEW => {
            for row in rows {
                InsertEnded(row).execute(conn)?;
            }
        }
        Conn::Postgres(conn) => {
            diesel::copy_from(completed::table)
                .from_insertable(rows)
                .execute(conn)?;
        }
    }
    Ok(())
}

/// Adds a piece of a job's logs.
pub(crate) fn insert_log(
    conn: &mut Conn,
    job: JobId,
    piece: i32,
    text: &str,
) -> Result<(), DbError> {
    diesel::insert_into(job_logs::table)
        .values((
            job_logs::job_id.eq(job),
            job_logs::piece.eq(piece),
            job_logs::text.eq(text),
        ))
        .execute(conn)?;
    Ok(())
}

/// Ends a job that no worker holds, whatever it waits for. Answers whether it was still there.
pub(crate) fn end_unheld(conn: &mut Conn, row: &EndedRow<'_>) -> Result<bool, DbError> {
    let gone = diesel::delete(
        queue::table
            .filter(queue::id.eq(row.id))
            .filter(queue::state.ne(RUNNING)),
    )
    .execute(conn)?;
    if gone == 1 {
        insert_completed(conn, std::slice::from_ref(row))?;
    }
    Ok(gone == 1)
}

/// The job, while it has not ended.
pub(crate) fn find(
    conn: &mut Conn,
    workspace: &str,
    id: JobId,
) -> Result<Option<QueueRow>, DbError> {
    Ok(queue::table
        .filter(queue::id.eq(id))
        .filter(queue::workspace_id.eq(workspace))
        .select(QueueRow::as_select())
        .first(conn)
        .optional()?)
}

/// The job, once it has ended.
pub(crate) fn find_completed(conn: &mut Conn, id: JobId) -> Result<Option<CompletedRow>, DbError> {
    Ok(completed::table
        .filter(completed::id.eq(id))
        .select(CompletedRow::as_select())
        .first(conn)
        .optional()?)
}

/// Notes on a running job that somebody wants it to stop. Answers whether it runs.
pub(crate) fn flag_canceled(
    conn: &mut Conn,
    id: JobId,
    by: &str,
    reason: Option<&str>,
) -> Result<bool, DbError> {
    Ok(diesel::update(
        queue::table
            .filter(queue::id.eq(id))
            .filter(queue::state.eq(RUNNING)),
    )
    .set((queue::canceled_by.eq(by), queue::cancel_reason.eq(reason)))
    .execute(conn)?
        == 1)
}

/// Which of the jobs that `worker` holds somebody wants to stop.
pub(crate) fn flagged(
    conn: &mut Conn,
    worker: &str,
) -> Result<Vec<(JobId, String, Option<String>)>, DbError> {
    Ok(queue::table
        .filter(queue::worker.eq(worker))
        .filter(sql::<Bool>("state = 1"))
        .filter(queue::canceled_by.is_not_null())
        .select((
            queue::id,
            queue::canceled_by.assume_not_null(),
            queue::cancel_reason,
        ))
        .load(conn)?)
}
