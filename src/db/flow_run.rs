//! Tables `flow_runs` and `flow_values`: where each run of a flow is. Written by the queue's ledger alone, in the
//! transaction that commits the step it came from.

use diesel::{
    dsl::{exists, sql},
    prelude::*,
    sql_query,
    sql_types::{BigInt, Bool},
};

use super::{
    Conn, DbError,
    queue::{PARKED, QUEUED, QueueRow, RUNNING},
    schema::{completed, flow_runs, flow_values, queue},
};
use crate::types::{JobId, Timestamp};

/// Where a run is.
#[derive(Debug, Clone, Queryable)]
pub(crate) struct FlowRun {
    /// Grows with every change.
    pub(crate) revision: i64,
    /// JSON, see `FlowStatus`.
    pub(crate) status: String,
}

/// The run of a flow's job.
pub(crate) fn find(conn: &mut Conn, job: JobId) -> Result<Option<FlowRun>, DbError> {
    Ok(flow_runs::table
        .find(job)
        .select((flow_runs::revision, flow_runs::status))
        .first(conn)
        .optional()?)
}

/// Those of `jobs` whose status holds `text`, with the status.
pub(crate) fn holding(
    conn: &mut Conn,
    jobs: &[JobId],
    text: &str,
) -> Result<Vec<(JobId, String)>, DbError> {
    Ok(flow_runs::table
        .filter(flow_runs::job_id.eq_any(jobs.to_vec()))
        .filter(flow_runs::status.like(format!("%{text}%")))
        .select((flow_runs::job_id, flow_runs::status))
        .load(conn)?)
}

/// Name of the value that holds what a flow has answered before its end, behind a `!` when its step had failed. No
/// module is called so.
const ANSWER: &str = "/answer";

/// Name of the value that holds, as a list, the outermost jobs whose steps' results a restarted flow has taken over.
pub(crate) const TAKEN: &str = "/taken";

/// The outermost jobs whose results flows that have not ended have taken over.
pub(crate) fn taken(conn: &mut Conn) -> Result<Vec<JobId>, DbError> {
    let open = queue::table.filter(queue::id.eq(flow_values::job_id));
    let lists: Vec<String> = flow_values::table
        // As text: SQLite does not see through a bound value, and would not take the index.
        .filter(sql::<Bool>("name = '/taken'"))
        .filter(exists(open))
        .select(flow_values::value)
        .load(conn)?;
    let mut jobs: Vec<JobId> = lists
        .iter()
        .filter_map(|list| serde_json::from_str::<Vec<JobId>>(list).ok())
        .flatten()
        .collect();
    jobs.sort_unstable();
    jobs.dedup();
    Ok(jobs)
}

/// The result that a flow gave before its end (`early_return`), and whether its step had succeeded.
pub(crate) fn early(conn: &mut Conn, job: JobId) -> Result<Option<(String, bool)>, DbError> {
    let early = value(conn, job, ANSWER)?;
    Ok(early.map(|early| match early.strip_prefix('!') {
        Some(result) => (result.to_owned(), false),
        None => (early, true),
    }))
}

/// The revisions of runs; until the transaction ends nobody else changes them.
pub(crate) fn lock(conn: &mut Conn, jobs: &[JobId]) -> Result<Vec<(JobId, i64)>, DbError> {
    let query = flow_runs::table
        .filter(flow_runs::job_id.eq_any(jobs.to_vec()))
        .order(flow_runs::job_id)
        .select((flow_runs::job_id, flow_runs::revision));
    Ok(match conn {
        // One writer.
        Conn::Sqlite(conn) => query.load(conn)?,
        Conn::Postgres(conn) => query.for_update().load(conn)?,
    })
}

/// Which of `jobs` this worker holds, and whether somebody wants them to stop; until the transaction ends that stays so.
pub(crate) fn lock_held(
    conn: &mut Conn,
    worker: &str,
    jobs: &[JobId],
) -> Result<Vec<(JobId, bool)>, DbError> {
    let query = queue::table
        .filter(queue::id.eq_any(jobs.to_vec()))
        .filter(queue::worker.eq(worker))
        .filter(queue::state.eq(RUNNING))
        .order(queue::id)
        .select((queue::id, queue::canceled_by.is_not_null()));
    Ok(match conn {
        Conn::Sqlite(conn) => query.load(conn)?,
        Conn::Postgres(conn) => query.for_update().load(conn)?,
    })
}

/// Keeps a run that has just begun.
pub(crate) fn insert(conn: &mut Conn, job: JobId, status: &str) -> Result<(), DbError> {
    diesel::insert_into(flow_runs::table)
        .values((
            flow_runs::job_id.eq(job),
            flow_runs::revision.eq(1),
            flow_runs::status.eq(status),
        ))
        .execute(conn)?;
    Ok(())
}

/// Replaces the state of a run.
pub(crate) fn update(conn: &mut Conn, job: JobId, status: &str) -> Result<(), DbError> {
    diesel::update(flow_runs::table.find(job))
        .set((
            flow_runs::revision.eq(flow_runs::revision + 1),
            flow_runs::status.eq(status),
        ))
        .execute(conn)?;
    Ok(())
}

/// Makes whoever computes with the run's state begin anew.
pub(crate) fn outdate(conn: &mut Conn, job: JobId) -> Result<(), DbError> {
    diesel::update(flow_runs::table.find(job))
        .set(flow_runs::revision.eq(flow_runs::revision + 1))
        .execute(conn)?;
    Ok(())
}

/// Notes the result that was given before the end; the end owes no reply then.
pub(crate) fn answered(
    conn: &mut Conn,
    job: JobId,
    (result, success): (&str, bool),
) -> Result<(), DbError> {
    let mark = if success { "" } else { "!" };
    set_value(conn, job, ANSWER, &format!("{mark}{result}"))?;
    diesel::update(queue::table.find(job))
        .set(queue::reply_to.eq(None::<i64>))
        .execute(conn)?;
    Ok(())
}

/// A value of a run.
pub(crate) fn value(conn: &mut Conn, job: JobId, name: &str) -> Result<Option<String>, DbError> {
    Ok(flow_values::table
        .find((job, name))
        .select(flow_values::value)
        .first(conn)
        .optional()?)
}

/// Keeps a value of a run, or replaces it.
pub(crate) fn set_value(
    conn: &mut Conn,
    job: JobId,
    name: &str,
    value: &str,
) -> Result<(), DbError> {
    let row = (
        flow_values::job_id.eq(job),
        flow_values::name.eq(name),
        flow_values::value.eq(value),
    );
    let key = (flow_values::job_id, flow_values::name);
    let insert = diesel::insert_into(flow_values::table).values(row);
    match conn {
        Conn::Sqlite(conn) => insert
            .on_conflict(key)
            .do_update()
            .set(flow_values::value.eq(value))
            .execute(conn)?,
        Conn::Postgres(conn) => insert
            .on_conflict(key)
            .do_update()
            .set(flow_values::value.eq(value))
            .execute(conn)?,
    };
    Ok(())
}

/// Makes a flow that `worker` has begun wait for its steps, or until `wake`.
pub(crate) fn park(
    conn: &mut Conn,
    worker: &str,
    job: JobId,
    wake: Option<Timestamp>,
) -> Result<(), DbError> {
    diesel::update(
        queue::table
            .find(job)
            .filter(queue::worker.eq(worker))
            .filter(queue::state.eq(RUNNING)),
    )
    .set((
        queue::state.eq(PARKED),
        queue::worker.eq(None::<String>),
        queue::lease_until.eq(wake),
        queue::lost.eq(0),
    ))
    .execute(conn)?;
    Ok(())
}

/// Has a flow that waits looked at: something happened to one of its steps. Answers whether it did wait.
pub(crate) fn wake(conn: &mut Conn, job: JobId) -> Result<bool, DbError> {
    let woken = diesel::update(queue::table.find(job).filter(queue::state.eq(PARKED)))
        .set((
            queue::state.eq(QUEUED),
            queue::lease_until.eq(None::<Timestamp>),
        ))
        .execute(conn)?;
    Ok(woken == 1)
}

/// Has the flows looked at whose time has come, at most `max` at once.
pub(crate) fn wake_due(
    conn: &mut Conn,
    now: Timestamp,
    max: i64,
) -> Result<Vec<QueueRow>, DbError> {
    let locking = match conn {
        Conn::Sqlite(_) => "",
        Conn::Postgres(_) => "FOR UPDATE SKIP LOCKED",
    };
    let wake = sql_query(format!(
        "UPDATE queue SET state = {QUEUED}, lease_until = NULL \
         WHERE id IN (SELECT id FROM queue WHERE state = {PARKED} AND lease_until < $1 LIMIT $2 {locking}) \
         RETURNING *"
    ));
    Ok(wake
        .bind::<BigInt, _>(now)
        .bind::<BigInt, _>(max)
        .load(conn)?)
}

/// Replaces the arguments of a flow by what its preprocessor made.
pub(crate) fn set_args(conn: &mut Conn, job: JobId, args: &str) -> Result<(), DbError> {
    diesel::update(queue::table.find(job))
        .set((queue::args.eq(args), queue::preprocess.eq(false)))
        .execute(conn)?;
    Ok(())
}

/// Replaces what a flow's job carries.
pub(crate) fn set_raw(conn: &mut Conn, job: JobId, raw: &str) -> Result<(), DbError> {
    diesel::update(queue::table.find(job))
        .set(queue::raw.eq(raw))
        .execute(conn)?;
    Ok(())
}

/// Makes a flow's job this worker's, wherever it was.
pub(crate) fn hold(conn: &mut Conn, worker: &str, job: JobId) -> Result<(), DbError> {
    diesel::update(queue::table.find(job))
        .set((queue::state.eq(RUNNING), queue::worker.eq(worker)))
        .execute(conn)?;
    Ok(())
}

/// Forgets a run that begins anew; not what it has answered, which may be on its way to another process.
pub(crate) fn forget(conn: &mut Conn, job: JobId) -> Result<(), DbError> {
    diesel::delete(flow_runs::table.find(job)).execute(conn)?;
    let values = flow_values::table.filter(flow_values::job_id.eq(job));
    diesel::delete(values.filter(flow_values::name.ne(ANSWER))).execute(conn)?;
    Ok(())
}

/// Takes a flow's job out of the queue, whoever has it. Answers whether it was there.
pub(crate) fn take_out(conn: &mut Conn, job: JobId) -> Result<bool, DbError> {
    Ok(diesel::delete(queue::table.find(job)).execute(conn)? == 1)
}

/// The steps of flows that have not ended.
pub(crate) fn open_steps(conn: &mut Conn, flows: &[JobId]) -> Result<Vec<QueueRow>, DbError> {
    Ok(queue::table
        .filter(queue::parent_job.eq_any(flows.to_vec()))
        .filter(queue::flow_step_id.is_not_null())
        .select(QueueRow::as_select())
        .load(conn)?)
}

/// The job while it has not ended, in whatever workspace.
pub(crate) fn find_queued(conn: &mut Conn, job: JobId) -> Result<Option<QueueRow>, DbError> {
    Ok(queue::table
        .find(job)
        .select(QueueRow::as_select())
        .first(conn)
        .optional()?)
}

/// Result and success of an ended job.
pub(crate) fn result(conn: &mut Conn, job: JobId) -> Result<Option<(String, bool)>, DbError> {
    Ok(completed::table
        .find(job)
        .select((completed::result, completed::success))
        .first(conn)
        .optional()?)
}

/// Results of ended jobs, in any order.
pub(crate) fn results(conn: &mut Conn, jobs: &[JobId]) -> Result<Vec<(JobId, String)>, DbError> {
    let mut found = Vec::with_capacity(jobs.len());
    for jobs in jobs.chunks(1000) {
        let some: Vec<(JobId, String)> = completed::table
            .filter(completed::id.eq_any(jobs.to_vec()))
            .select((completed::id, completed::result))
            .load(conn)?;
        found.extend(some);
    }
    Ok(found)
}
