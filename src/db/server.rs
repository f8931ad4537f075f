//! Tables `servers`, `trigger_leases` and `replies`: what several processes on one PostgreSQL agree by.
//!
//! All of it is PostgreSQL only; a SQLite file has one process. Moments are the database's clock, so that no two
//! machines' clocks are ever compared. Nothing here decides when a process counts as dead: see `crate::presence`.

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{Array, BigInt, Binary, Bool, Integer, Text},
};

use super::{Conn, DbError, fixed::Holds};
use crate::types::JobId;

/// The present moment of the database, in microseconds.
pub(super) const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
/// How long the deletion of a dead server waits for a commit of it that is under way.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '500ms'";
/// Only one process at a time shares triggers out, so that the shares come out even.
const SHARING: i64 = 0x7773_6c73;

/// What a process says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its name; every connection of it carries it as `application_name`.
    pub(crate) id: String,
    /// Whether it listens for triggers.
    pub(crate) listens: bool,
    /// How many jobs it runs at once.
    pub(crate) workers: i32,
}

/// A process as others see it.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct ServerRow {
    #[diesel(sql_type = BigInt)]
    pub(crate) fence: i64,
    #[diesel(sql_type = Text)]
    pub(crate) id: String,
    #[diesel(sql_type = Bool)]
    pub(crate) listens: bool,
    #[diesel(sql_type = Integer)]
    pub(crate) workers: i32,
    #[diesel(sql_type = Bool)]
    pub(crate) watched: bool,
    /// Microseconds since it was last renewed.
    #[diesel(sql_type = BigInt)]
    pub(crate) silent: i64,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = Text)]
    workspace_id: String,
    #[diesel(sql_type = Text)]
    path: String,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    workspace_id: String,
    #[diesel(sql_type = Text)]
    path: String,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    fence: i64,
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// Enters a process; answers its fence number, larger than any before.
pub(crate) fn enter(conn: &mut Conn, entry: &Entry) -> Result<i64, DbError> {
    let enter = sql_query(format!(
        "INSERT INTO servers (id, listens, workers, watched, started_at, ping_at) \
         VALUES ($1, $2, $3, FALSE, {NOW}, {NOW}) RETURNING fence AS value"
    ));
    super::commits::forget_old(conn)?;
    let number: Number = enter
        .bind::<Text, _>(&entry.id)
        .bind::<Bool, _>(entry.listens)
        .bind::<Integer, _>(entry.workers)
        .get_result(conn)?;
    Ok(number.value)
}

/// Renews the row, and with it every lease of the process. Answers whether the row still stood.
pub(crate) fn renew(conn: &mut Conn, fence: i64, watched: bool) -> Result<bool, DbError> {
    let renew = sql_query(format!(
        "UPDATE servers SET ping_at = {NOW}, watched = $1 WHERE fence = $2"
    ));
    Ok(renew
        .bind::<Bool, _>(watched)
        .bind::<BigInt, _>(fence)
        .execute(conn)?
        == 1)
}

/// Whether the number is still good, until the end of the transaction: the row cannot be deleted before.
pub(crate) fn holds(conn: &mut Conn, fence: i64) -> Result<bool, DbError> {
    match conn {
        // It has one process, which nobody takes anything from.
        Conn::Sqlite(_) => Ok(true),
        Conn::Postgres(conn) => {
            let found: Vec<i64> = Holds { fence: &fence }.load(conn)?;
            Ok(!found.is_empty())
        }
    }
}

/// Whether another process than that of the number has the trigger's lease.
pub(crate) fn is_elsewhere(
    conn: &mut Conn,
    fence: i64,
    (workspace, path): (&str, &str),
) -> Result<bool, DbError> {
    let found: Vec<Number> = sql_query(
        "SELECT fence AS value FROM trigger_leases WHERE workspace_id = $1 AND path = $2 AND fence <> $3",
    )
    .bind::<Text, _>(workspace)
    .bind::<Text, _>(path)
    .bind::<BigInt, _>(fence)
    .load(conn)?;
    Ok(!found.is_empty())
}

/// Whether a process of this name is entered.
pub(crate) fn is_entered(conn: &mut Conn, id: &str) -> Result<bool, DbError> {
    let found: Vec<Number> = sql_query("SELECT fence AS value FROM servers WHERE id = $1")
        .bind::<Text, _>(id)
        .load(conn)?;
    Ok(!found.is_empty())
}

/// Every process.
pub(crate) fn all(conn: &mut Conn) -> Result<Vec<ServerRow>, DbError> {
    let all = sql_query(format!(
        "SELECT fence, id, listens, workers, watched, {NOW} - ping_at AS silent FROM servers ORDER BY fence"
    ));
    Ok(all.load(conn)?)
}

/// How many connections a process has, and for how many microseconds the database has been up.
pub(crate) fn connections(conn: &mut Conn, id: &str) -> Result<(i64, i64), DbError> {
    let open: Number =
        sql_query("SELECT count(*) AS value FROM pg_stat_activity WHERE application_name = $1")
            .bind::<Text, _>(id)
            .get_result(conn)?;
    let up: Number = sql_query(
        "SELECT (extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000000)::bigint AS value",
    )
    .get_result(conn)?;
    Ok((open.value, up.value))
}

/// Takes a process out that was silent for at least `silent` microseconds: its connections are ended, its leases
/// are free, its number is worthless. Answers whether it was; false also when it has been renewed meanwhile.
pub(crate) fn remove_dead(conn: &mut Conn, row: &ServerRow, silent: i64) -> Result<bool, DbError> {
    // A process that was stopped in the middle of a commit would hold its row for as long as it is stopped.
    let ended = sql_query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = $1 AND pid <> pg_backend_pid() AND usename = current_user",
    )
    .bind::<Text, _>(&row.id)
    .execute(conn);
    if let Err(error) = ended {
        log::debug!("connections of {} were not ended: {error}", row.id);
    }
    super::transaction(conn, |conn| {
        sql_query(LOCK_TIMEOUT).execute(conn)?;
        let remove = sql_query(format!(
            "DELETE FROM servers WHERE fence = $1 AND {NOW} - ping_at >= $2"
        ));
        let removed = remove
            .bind::<BigInt, _>(row.fence)
            .bind::<BigInt, _>(silent)
            .execute(conn)?;
        if removed == 1 {
            forget_replies(conn, row.fence)?;
            super::notify(conn, super::trigger::CHANGED)?;
        }
        Ok(removed == 1)
    })
}

/// Takes one's own row out: others may take the leases at once.
pub(crate) fn leave(conn: &mut Conn, fence: i64) -> Result<(), DbError> {
    super::transaction(conn, |conn| {
        sql_query("DELETE FROM servers WHERE fence = $1")
            .bind::<BigInt, _>(fence)
            .execute(conn)?;
        forget_replies(conn, fence)?;
        super::notify(conn, super::trigger::CHANGED)
    })
}

fn forget_replies(conn: &mut Conn, fence: i64) -> Result<(), DbError> {
    sql_query("DELETE FROM replies WHERE connection >= $1 AND connection < $2")
        .bind::<BigInt, _>(fence << 32)
        .bind::<BigInt, _>((fence + 1) << 32)
        .execute(conn)?;
    Ok(())
}

/// Waits until no other process shares triggers out, until the end of the transaction.
pub(crate) fn share_alone(conn: &mut Conn) -> Result<(), DbError> {
    sql_query("SELECT pg_advisory_xact_lock($1)")
        .bind::<BigInt, _>(SHARING)
        .execute(conn)?;
    Ok(())
}

/// How many triggers each listening process holds.
pub(crate) fn holdings(conn: &mut Conn) -> Result<Vec<(i64, i64)>, DbError> {
    let counts: Vec<Count> = sql_query(
        "SELECT s.fence, count(l.path) AS value FROM servers s LEFT JOIN trigger_leases l USING (fence) \
         WHERE s.listens GROUP BY s.fence ORDER BY s.fence",
    )
    .load(conn)?;
    Ok(counts
        .into_iter()
        .map(|row| (row.fence, row.value))
        .collect())
}

/// How many triggers want to listen and have nobody who does.
pub(crate) fn count_free(conn: &mut Conn) -> Result<i64, DbError> {
    let free: Number = sql_query(
        "SELECT count(*) AS value FROM triggers t WHERE t.mode <> 'disabled' AND NOT EXISTS \
         (SELECT 1 FROM trigger_leases l WHERE l.workspace_id = t.workspace_id AND l.path = t.path)",
    )
    .get_result(conn)?;
    Ok(free.value)
}

/// Takes up to `max` triggers that nobody listens for; answers how many.
pub(crate) fn take(conn: &mut Conn, fence: i64, max: i64) -> Result<usize, DbError> {
    Ok(sql_query(
        "INSERT INTO trigger_leases (workspace_id, path, fence) \
         SELECT t.workspace_id, t.path, $1 FROM triggers t WHERE t.mode <> 'disabled' AND NOT EXISTS \
         (SELECT 1 FROM trigger_leases l WHERE l.workspace_id = t.workspace_id AND l.path = t.path) \
         ORDER BY md5(t.workspace_id || '/' || t.path) LIMIT $2 \
         ON CONFLICT DO NOTHING",
    )
    .bind::<BigInt, _>(fence)
    .bind::<BigInt, _>(max)
    .execute(conn)?)
}

/// Gives back the leases of triggers that want to listen no more.
pub(crate) fn release_disabled(conn: &mut Conn, fence: i64) -> Result<(), DbError> {
    sql_query(
        "DELETE FROM trigger_leases l USING triggers t WHERE l.fence = $1 AND t.mode = 'disabled' \
         AND t.workspace_id = l.workspace_id AND t.path = l.path",
    )
    .bind::<BigInt, _>(fence)
    .execute(conn)?;
    Ok(())
}

/// Gives one trigger to whoever wants it.
pub(crate) fn release(
    conn: &mut Conn,
    fence: i64,
    (workspace, path): (&str, &str),
) -> Result<(), DbError> {
    sql_query("DELETE FROM trigger_leases WHERE fence = $1 AND workspace_id = $2 AND path = $3")
        .bind::<BigInt, _>(fence)
        .bind::<Text, _>(workspace)
        .bind::<Text, _>(path)
        .execute(conn)?;
    super::notify(conn, super::trigger::CHANGED)
}

/// Workspace, path and version of every trigger that this process listens for.
pub(crate) fn held_versions(
    conn: &mut Conn,
    fence: i64,
) -> Result<Vec<(String, String, i64)>, DbError> {
    let rows: Vec<Version> = sql_query(
        "SELECT t.workspace_id, t.path, t.version FROM trigger_leases l \
         JOIN triggers t ON t.workspace_id = l.workspace_id AND t.path = l.path \
         WHERE l.fence = $1 AND t.mode <> 'disabled'",
    )
    .bind::<BigInt, _>(fence)
    .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.workspace_id, row.path, row.version))
        .collect())
}

/// Up to `max` triggers of this process, the ones it would have taken last.
pub(crate) fn last_taken(
    conn: &mut Conn,
    fence: i64,
    max: i64,
) -> Result<Vec<(String, String)>, DbError> {
    let rows: Vec<Place> = sql_query(
        "SELECT workspace_id, path FROM trigger_leases WHERE fence = $1 \
         ORDER BY md5(workspace_id || '/' || path) DESC LIMIT $2",
    )
    .bind::<BigInt, _>(fence)
    .bind::<BigInt, _>(max)
    .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.workspace_id, row.path))
        .collect())
}

/// Leaves word for the processes that hold these connections that these jobs have ended.
pub(crate) fn insert_replies(conn: &mut Conn, owed: &[(i64, JobId)]) -> Result<(), DbError> {
    let Conn::Postgres(conn) = conn else {
        return Ok(());
    };
    let connections: Vec<i64> = owed.iter().map(|(connection, _)| *connection).collect();
    let jobs: Vec<&[u8]> = owed.iter().map(|(_, job)| &job.0.as_bytes()[..]).collect();
    sql_query(
        "INSERT INTO replies (connection, job_id) SELECT * FROM unnest($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind::<Array<BigInt>, _>(connections)
    .bind::<Array<Binary>, _>(jobs)
    .execute(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct ReplyRow {
    #[diesel(sql_type = BigInt)]
    connection: i64,
    #[diesel(sql_type = Binary)]
    job_id: JobId,
}

/// Takes up to `max` words that were left for this process, in the order of their jobs: connection and job.
pub(crate) fn take_replies(
    conn: &mut Conn,
    fence: i64,
    max: i64,
) -> Result<Vec<(i64, JobId)>, DbError> {
    let mut rows: Vec<ReplyRow> = sql_query(
        "DELETE FROM replies WHERE (connection, job_id) IN (SELECT connection, job_id FROM replies \
         WHERE connection >= $1 AND connection < $2 ORDER BY job_id LIMIT $3) RETURNING connection, job_id",
    )
    .bind::<BigInt, _>(fence << 32)
    .bind::<BigInt, _>((fence + 1) << 32)
    .bind::<BigInt, _>(max)
    .load(conn)?;
    rows.sort_by_key(|row| row.job_id);
    Ok(rows
        .into_iter()
        .map(|row| (row.connection, row.job_id))
        .collect())
}
