//! Jobs by their ids, whole or without what may be large, and what they printed.

use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{Nullable, Text},
};

use crate::{
    db::{
        Conn, DbError,
        queue::{CompletedRow, QueueRow},
        schema::{completed, job_logs, queue},
    },
    types::JobId,
};

/// Ids asked for in one query; SQLite binds at most 32,766 values.
const IDS_PER_QUERY: usize = 1000;
/// `raw` of a list that shows no bodies: where it is small and may hold the labels of the script. Neither database
/// reads a text to tell its length.
const LABELED: &str =
    "CASE WHEN octet_length(raw) <= 16384 AND raw LIKE '%\"labels\"%' THEN raw END";
/// `result` of such a list, likewise.
const LABELING: &str = "CASE WHEN octet_length(result) <= 16384 AND result LIKE '%\"wm_labels\"%' \
     THEN result ELSE 'null' END";

/// A job, ended or not.
#[derive(Debug, Clone)]
pub(crate) enum AnyJob {
    Queued(QueueRow),
    Completed(CompletedRow),
}

/// Jobs by id, in the order of `ids`; ids of jobs that are gone are skipped. Without `bodies` the columns
/// `args`, `raw` and `result` come back empty, but for small ones that name labels: a page of 1,000 jobs may hold gigabytes of them.
pub(crate) fn by_ids(conn: &mut Conn, ids: &[JobId], bodies: bool) -> Result<Vec<AnyJob>, DbError> {
    let mut found = std::collections::HashMap::with_capacity(ids.len());
    for ids in ids.chunks(IDS_PER_QUERY) {
        // The queue first: a job moves from it to the ended ones, never back.
        for row in queue_rows(conn, ids, bodies)? {
            found.insert(row.id, AnyJob::Queued(row));
        }
        for row in completed_rows(conn, ids, bodies)? {
            found.insert(row.id, AnyJob::Completed(row));
        }
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

fn queue_rows(conn: &mut Conn, ids: &[JobId], bodies: bool) -> Result<Vec<QueueRow>, DbError> {
    let query = queue::table.filter(queue::id.eq_any(ids));
    if bodies {
        return Ok(query.load(conn)?);
    }
    let columns = ((
        queue::id,
        queue::workspace_id,
        queue::kind,
        queue::runnable_path,
        queue::runnable_hash,
        sql::<Nullable<Text>>(LABELED),
        sql::<Text>("'{}'"),
        queue::preprocess,
        queue::trigger_kind,
        queue::trigger_path,
        queue::created_by,
        queue::permissioned_as,
        queue::parent_job,
        queue::root_job,
        queue::flow_step_id,
        queue::tag,
        queue::priority,
        queue::created_at,
        queue::scheduled_at,
        queue::timeout_secs,
        queue::reply_to,
        queue::options,
        queue::state,
        queue::worker,
        queue::started_at,
        queue::lease_until,
        queue::lost,
        queue::canceled_by,
        queue::cancel_reason,
        queue::turn,
        queue::concurrency_key,
        queue::depth,
    ),);
    let rows: Vec<(QueueRow,)> = query.select(columns).load(conn)?;
    Ok(rows.into_iter().map(|(row,)| row).collect())
}

fn completed_rows(
    conn: &mut Conn,
    ids: &[JobId],
    bodies: bool,
) -> Result<Vec<CompletedRow>, DbError> {
    let query = completed::table.filter(completed::id.eq_any(ids));
    if bodies {
        return Ok(query.load(conn)?);
    }
    let columns = (
        completed::id,
        completed::workspace_id,
        completed::kind,
        completed::runnable_path,
        completed::runnable_hash,
        sql::<Nullable<Text>>(LABELED),
        sql::<Text>("'{}'"),
        completed::preprocessed,
        completed::trigger_kind,
        completed::trigger_path,
        completed::created_by,
        completed::permissioned_as,
        completed::parent_job,
        completed::root_job,
        completed::flow_step_id,
        completed::tag,
        completed::created_at,
        completed::started_at,
        completed::completed_at,
        completed::success,
        completed::canceled_by,
        completed::cancel_reason,
        sql::<Text>(LABELING),
        completed::worker,
    );
    Ok(query.select(columns).load(conn)?)
}

/// One job of a workspace.
pub(crate) fn by_id(
    conn: &mut Conn,
    workspace: &str,
    id: JobId,
) -> Result<Option<AnyJob>, DbError> {
    let queued: Option<QueueRow> = queue::table
        .find(id)
        .filter(queue::workspace_id.eq(workspace))
        .first(conn)
        .optional()?;
    if let Some(row) = queued {
        return Ok(Some(AnyJob::Queued(row)));
    }
    let ended: Option<CompletedRow> = completed::table
        .find(id)
        .filter(completed::workspace_id.eq(workspace))
        .first(conn)
        .optional()?;
    Ok(ended.map(AnyJob::Completed))
}

/// Everything a job printed so far; its size is capped where it is written.
pub(crate) fn logs(conn: &mut Conn, id: JobId) -> Result<String, DbError> {
    let pieces: Vec<String> = job_logs::table
        .filter(job_logs::job_id.eq(id))
        .order(job_logs::piece)
        .select(job_logs::text)
        .load(conn)?;
    Ok(pieces.concat())
}
