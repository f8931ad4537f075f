//! Table `stat_points` (the last hour, where processes share a database), and how full the queue is.

use std::collections::HashMap;

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Nullable, Text},
};

use super::{
    Conn, DbError,
    queue::{IN_LINE, LATER, LATER_IN_TURN, LIMITED, OUTBOX, QUEUED, RUNNING},
};
use crate::types::Timestamp;

/// Jobs counted at most: past it the queue is full enough to be seen, and counting would cost.
const COUNTED: i64 = 100_000;

/// What happened in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, QueryableByName)]
pub struct Point {
    /// When it began.
    #[diesel(sql_type = BigInt)]
    pub at: Timestamp,
    /// Connections that listened at its end.
    #[diesel(sql_type = BigInt)]
    pub connections: i64,
    /// Messages received.
    #[diesel(sql_type = BigInt)]
    pub messages: i64,
    /// Jobs ended.
    #[diesel(sql_type = BigInt)]
    pub jobs: i64,
    /// Of them, failed.
    #[diesel(sql_type = BigInt)]
    pub failures: i64,
    /// How long the job that is due next had waited at its end.
    #[diesel(sql_type = BigInt)]
    pub queue_age_ms: i64,
    /// Jobs that waited at its end.
    #[diesel(sql_type = BigInt)]
    pub jobs_waiting: i64,
}

/// Adds a step of this process, and forgets those before `oldest`.
pub(crate) fn insert(
    conn: &mut Conn,
    process: &str,
    points: &[(String, Point)],
    oldest: Timestamp,
) -> Result<(), DbError> {
    super::transaction(conn, |conn| {
        for (workspace, point) in points {
            sql_query(
                "INSERT INTO stat_points (workspace_id, at, process, connections, messages, jobs, failures, queue_age_ms, jobs_waiting) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
            )
            .bind::<Text, _>(workspace)
            .bind::<BigInt, _>(point.at)
            .bind::<Text, _>(process)
            .bind::<BigInt, _>(point.connections)
            .bind::<BigInt, _>(point.messages)
            .bind::<BigInt, _>(point.jobs)
            .bind::<BigInt, _>(point.failures)
            .bind::<BigInt, _>(point.queue_age_ms)
            .bind::<BigInt, _>(point.jobs_waiting)
            .execute(conn)?;
        }
        sql_query("DELETE FROM stat_points WHERE at < $1")
            .bind::<BigInt, _>(oldest)
            .execute(conn)?;
        Ok(())
    })
}

/// The steps of a workspace, of all processes together.
pub(crate) fn of_workspace(conn: &mut Conn, workspace: &str) -> Result<Vec<Point>, DbError> {
    Ok(sql_query(
        "SELECT at, CAST(sum(connections) AS BIGINT) AS connections, CAST(sum(messages) AS BIGINT) AS messages, \
         CAST(sum(jobs) AS BIGINT) AS jobs, CAST(sum(failures) AS BIGINT) AS failures, \
         max(queue_age_ms) AS queue_age_ms, max(jobs_waiting) AS jobs_waiting \
         FROM stat_points WHERE workspace_id = $1 GROUP BY at ORDER BY at",
    )
    .bind::<Text, _>(workspace)
    .load(conn)?)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Moment {
    #[diesel(sql_type = Nullable<BigInt>)]
    value: Option<i64>,
}

#[derive(QueryableByName)]
struct Waiting {
    #[diesel(sql_type = Text)]
    workspace_id: String,
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// How many jobs wait, by workspace: for a worker, for their turn or for their time; neither those that run nor those
/// that a suspended trigger holds. At most 100,000 are counted, which takes SQLite some 60 ms.
pub(crate) fn waiting(conn: &mut Conn) -> Result<HashMap<String, i64>, DbError> {
    // One part for each partial index: the table itself may hold gigabytes of arguments.
    let counts: Vec<Waiting> = sql_query(format!(
        "SELECT workspace_id, count(*) AS value FROM (\
         SELECT workspace_id FROM queue WHERE state = {QUEUED} \
         UNION ALL SELECT workspace_id FROM queue WHERE state = {OUTBOX} \
         UNION ALL SELECT workspace_id FROM queue WHERE state = {LATER_IN_TURN} OR state = {LATER} \
         UNION ALL SELECT workspace_id FROM queue WHERE turn IS NOT NULL AND state = {IN_LINE} \
         UNION ALL SELECT workspace_id FROM queue WHERE concurrency_key IS NOT NULL AND state = {LIMITED} \
         LIMIT {COUNTED}) AS waiting GROUP BY workspace_id"
    ))
    .load(conn)?;
    Ok(counts
        .into_iter()
        .map(|count| (count.workspace_id, count.value))
        .collect())
}

/// How many jobs are ready, how many run (at most 100,000 each are counted), and since when the next one is due.
pub(crate) fn queue(
    conn: &mut Conn,
    now: Timestamp,
) -> Result<(i64, i64, Option<Timestamp>), DbError> {
    let count = |conn: &mut Conn, state: i32| -> Result<i64, DbError> {
        // The state as text: SQLite's partial indices do not serve a bound value.
        let one: Count = sql_query(format!(
            "SELECT count(*) AS value FROM (SELECT 1 FROM queue WHERE state = {state} LIMIT {COUNTED}) AS counted"
        ))
        .get_result(conn)?;
        Ok(one.value)
    };
    let (ready, running) = (
        count(conn, QUEUED)? + count(conn, OUTBOX)?,
        count(conn, RUNNING)?,
    );
    let next: Option<Moment> = sql_query(
        "SELECT scheduled_at AS value FROM queue WHERE state = 0 AND scheduled_at <= $1 \
         ORDER BY priority DESC, scheduled_at, id LIMIT 1",
    )
    .bind::<BigInt, _>(now)
    .get_result(conn)
    .optional()?;
    Ok((
        ready,
        running,
        next.and_then(|row| row.value).map(Timestamp),
    ))
}
