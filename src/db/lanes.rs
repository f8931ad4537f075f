//! Tables `lanes` and `lane_ends`, and the states of `queue` that they decide about: how many jobs of a trigger, or of a
//! concurrency key, may run at once. Written by the queue's ledger alone; the rules are in `crate::queue::lanes`.
//!
//! How many run is counted, never kept: a count cannot drift. Every query here is answered by an index that holds
//! only rows with a turn or a key, and looks at no more rows than may run or than it changes, however many wait.

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Integer, Nullable, Text},
};

use super::{
    Conn, DbError,
    queue::{HELD, IN_LINE, LATER, LATER_IN_TURN, LIMITED, QUEUED},
    schema::{lane_ends, lanes, queue},
};
use crate::types::{JobId, Timestamp};

/// The advisory lock under which processes on PostgreSQL change lanes, one at a time ("lane" in ASCII).
const LOCK: i64 = 0x6c61_6e65;

/// How long a process may do nothing in the middle of such a change before PostgreSQL ends its session: a commit takes
/// milliseconds, and what was ended is tried again.
const STALL_MS: u32 = 5_000;

/// One lane; the columns, as the migration explains them.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = lanes, primary_key(key), treat_none_as_null = true)]
#[diesel(treat_none_as_default_value = false)]
pub(crate) struct LaneRow {
    pub key: String,
    pub max_jobs: Option<i64>,
    pub ordered: bool,
    pub window_us: i64,
    pub last_turn: i64,
    pub wake_at: Option<Timestamp>,
}

/// A job that moved on in its lanes.
#[derive(Debug, QueryableByName)]
pub(crate) struct Moved {
    /// The job's workspace.
    #[diesel(sql_type = Text)]
    pub workspace_id: String,
    /// Its trigger.
    #[diesel(sql_type = Nullable<Text>)]
    pub trigger_path: Option<String>,
    /// Its place in the trigger's line.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub turn: Option<i64>,
    /// Its concurrency key.
    #[diesel(sql_type = Nullable<Text>)]
    pub concurrency_key: Option<String>,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    locked: bool,
}

/// Takes the right to change lanes until the end of the transaction; waits for other processes. Taken before any
/// row is locked, so that nobody waits in a circle. SQLite has one writer anyway.
pub(crate) fn lock(conn: &mut Conn) -> Result<(), DbError> {
    if let Conn::Postgres(conn) = conn {
        // A process that is stopped in mid-transaction must not hold up the others for long.
        sql_query(format!(
            "SELECT set_config('idle_in_transaction_session_timeout', '{STALL_MS}', true), \
                    pg_advisory_xact_lock({LOCK})"
        ))
        .execute(conn)?;
    }
    Ok(())
}

/// As [`lock`], but does not wait; answers whether it was free.
pub(crate) fn try_lock(conn: &mut Conn) -> Result<bool, DbError> {
    match conn {
        Conn::Sqlite(_) => Ok(true),
        Conn::Postgres(conn) => {
            let query = sql_query(format!(
                "SELECT pg_try_advisory_xact_lock({LOCK}) AS locked"
            ));
            Ok(query.get_result::<Locked>(conn)?.locked)
        }
    }
}

/// The lane of that key.
pub(crate) fn find(conn: &mut Conn, key: &str) -> Result<Option<LaneRow>, DbError> {
    Ok(lanes::table.find(key).first(conn).optional()?)
}

/// Writes a lane, new or not.
pub(crate) fn put(conn: &mut Conn, row: &LaneRow) -> Result<(), DbError> {
    let updated = diesel::update(lanes::table.find(&row.key))
        .set(row)
        .execute(conn)?;
    if updated == 0 {
        diesel::insert_into(lanes::table)
            .values(row)
            .execute(conn)?;
    }
    Ok(())
}

/// Leaves word under a lane's old key where it is now; what was left under the new one is void.
pub(crate) fn moved(conn: &mut Conn, key: &str, to: &str) -> Result<(), DbError> {
    for key in [key, to] {
        diesel::delete(lanes::table.filter(super::starts_with(lanes::key, &word(key))))
            .execute(conn)?;
    }
    diesel::delete(lanes::table.find(key)).execute(conn)?;
    let row = LaneRow {
        key: word(key) + to,
        max_jobs: None,
        ordered: false,
        window_us: 0,
        last_turn: 0,
        wake_at: None,
    };
    put(conn, &row)
}

/// The key of a lane that was moved away from `key`.
pub(crate) fn moved_to(conn: &mut Conn, key: &str) -> Result<Option<String>, DbError> {
    let start = word(key);
    let row: Option<String> = lanes::table
        .filter(super::starts_with(lanes::key, &start))
        .select(lanes::key)
        .first(conn)
        .optional()?;
    Ok(row.and_then(|row| row.strip_prefix(&start).map(str::to_owned)))
}

/// How word of a moved lane begins; no path holds a space.
fn word(key: &str) -> String {
    format!("moved {key} ")
}

/// Says when a lane is to be looked at next without an occasion.
pub(crate) fn set_wake(
    conn: &mut Conn,
    key: &str,
    wake_at: Option<Timestamp>,
) -> Result<(), DbError> {
    diesel::update(lanes::table.find(key))
        .set(lanes::wake_at.eq(wake_at))
        .execute(conn)?;
    Ok(())
}

/// Removes the lane of a concurrency key that no job has any more.
pub(crate) fn remove_unused(
    conn: &mut Conn,
    key: &str,
    concurrency_key: &str,
) -> Result<(), DbError> {
    let any = queue::table.filter(queue::concurrency_key.eq(concurrency_key));
    if !diesel::select(diesel::dsl::exists(any)).get_result(conn)? {
        diesel::delete(lanes::table.find(key)).execute(conn)?;
    }
    Ok(())
}

/// Has every lane looked at soon: after a start nothing is known of what the last process left undone.
pub(crate) fn wake_all(conn: &mut Conn, now: Timestamp) -> Result<(), DbError> {
    diesel::update(lanes::table)
        .set(lanes::wake_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// Lanes to be looked at now.
pub(crate) fn to_wake(conn: &mut Conn, now: Timestamp, max: i64) -> Result<Vec<String>, DbError> {
    Ok(lanes::table
        .filter(lanes::wake_at.le(now))
        .order(lanes::wake_at)
        .select(lanes::key)
        .limit(max)
        .load(conn)?)
}

/// How many jobs of a trigger have its turn: they run, are about to, or keep it over a wait.
pub(crate) fn turns_taken(conn: &mut Conn, workspace: &str, path: &str) -> Result<i64, DbError> {
    let rows = "SELECT count(*) FROM queue WHERE turn IS NOT NULL AND workspace_id = $1 AND trigger_path = $2 AND state";
    let query = sql_query(format!(
        "SELECT ({rows} < {HELD}) + ({rows} BETWEEN {} AND {LATER_IN_TURN}) AS count",
        HELD + 1
    ));
    let query = query.bind::<Text, _>(workspace).bind::<Text, _>(path);
    Ok(query.get_result::<Count>(conn)?.count)
}

/// Gives their turn to up to `max` jobs in a trigger's line, in their order.
pub(crate) fn give_turns(
    conn: &mut Conn,
    (workspace, path): (&str, &str),
    max: i64,
) -> Result<Vec<Moved>, DbError> {
    let query = sql_query(format!(
        "UPDATE queue SET state = CASE WHEN concurrency_key IS NULL THEN {QUEUED} ELSE {LIMITED} END \
         WHERE id IN (SELECT id FROM queue WHERE turn IS NOT NULL AND workspace_id = $1 AND trigger_path = $2 \
                      AND state = {IN_LINE} ORDER BY turn LIMIT $3) \
         RETURNING workspace_id, trigger_path, turn, concurrency_key"
    ));
    let query = query.bind::<Text, _>(workspace).bind::<Text, _>(path);
    Ok(query.bind::<BigInt, _>(max).load(conn)?)
}

/// How many jobs with a concurrency key run or are about to.
pub(crate) fn slots_taken(conn: &mut Conn, key: &str) -> Result<i64, DbError> {
    let rows = "SELECT count(*) FROM queue WHERE concurrency_key = $1 AND state";
    let query = sql_query(format!(
        "SELECT ({rows} < {HELD}) + ({rows} BETWEEN {} AND {}) AS count",
        HELD + 1,
        LIMITED - 1
    ));
    Ok(query.bind::<Text, _>(key).get_result::<Count>(conn)?.count)
}

/// Makes up to `max` jobs with a concurrency key ready to run; answers how many.
pub(crate) fn give_slots(conn: &mut Conn, key: &str, max: i64) -> Result<usize, DbError> {
    let query = sql_query(format!(
        "UPDATE queue SET state = {QUEUED} WHERE id IN (SELECT id FROM queue WHERE concurrency_key = $1 \
         AND state = {LIMITED} ORDER BY priority DESC, scheduled_at, id LIMIT $2)"
    ));
    let query = query.bind::<Text, _>(key);
    Ok(query.bind::<BigInt, _>(max).execute(conn)?)
}

/// Notes that a run counts for a while after its end.
pub(crate) fn insert_end(
    conn: &mut Conn,
    key: &str,
    job: JobId,
    ended_at: Timestamp,
) -> Result<(), DbError> {
    diesel::insert_into(lane_ends::table)
        .values((
            lane_ends::lane_key.eq(key),
            lane_ends::ended_at.eq(ended_at),
            lane_ends::job_id.eq(job),
        ))
        .execute(conn)?;
    Ok(())
}

/// Forgets ends before `since`; answers how many are left, and the oldest of them.
pub(crate) fn ends_since(
    conn: &mut Conn,
    key: &str,
    since: Timestamp,
) -> Result<(i64, Option<Timestamp>), DbError> {
    let of_lane = lane_ends::table.filter(lane_ends::lane_key.eq(key));
    diesel::delete(of_lane.filter(lane_ends::ended_at.le(since))).execute(conn)?;
    Ok(of_lane
        .select((
            diesel::dsl::count_star(),
            diesel::dsl::min(lane_ends::ended_at),
        ))
        .first(conn)?)
}

/// Whether the time has come for a job that waited for it.
pub(crate) fn any_later_due(conn: &mut Conn, now: Timestamp) -> Result<bool, DbError> {
    let query = sql_query(format!(
        "SELECT count(*) AS count FROM (SELECT 1 FROM queue WHERE (state = {LATER_IN_TURN} OR state = {LATER}) \
         AND scheduled_at <= $1 LIMIT 1) AS due"
    ));
    Ok(query
        .bind::<BigInt, _>(now)
        .get_result::<Count>(conn)?
        .count
        > 0)
}

/// Puts up to `max` jobs whose time has come into their lanes, or makes them ready when they have none; answers which.
pub(crate) fn move_later(conn: &mut Conn, now: Timestamp, max: i64) -> Result<Vec<Moved>, DbError> {
    let query = sql_query(format!(
        "UPDATE queue SET state = CASE WHEN state = {LATER} AND turn IS NOT NULL THEN {IN_LINE} \
                                       WHEN concurrency_key IS NULL THEN {QUEUED} ELSE {LIMITED} END \
         WHERE id IN (SELECT id FROM queue WHERE (state = {LATER_IN_TURN} OR state = {LATER}) \
                      AND scheduled_at <= $1 ORDER BY scheduled_at LIMIT $2) \
         RETURNING workspace_id, trigger_path, turn, concurrency_key"
    ));
    let query = query.bind::<BigInt, _>(now);
    Ok(query.bind::<BigInt, _>(max).load(conn)?)
}

/// Whether one of these jobs has a turn or a concurrency key.
pub(crate) fn any_in_lanes(conn: &mut Conn, ids: &[JobId]) -> Result<bool, DbError> {
    let rows = queue::table.filter(queue::id.eq_any(ids.to_vec())).filter(
        queue::turn
            .is_not_null()
            .or(queue::concurrency_key.is_not_null()),
    );
    Ok(diesel::select(diesel::dsl::exists(rows)).get_result(conn)?)
}

/// Whether a job with a turn or a concurrency key runs on a lease that ended before `now`, or, with `everybody`, at all.
pub(crate) fn any_lost(conn: &mut Conn, now: Timestamp, everybody: bool) -> Result<bool, DbError> {
    let query = sql_query(
        "SELECT count(*) AS count FROM (SELECT 1 FROM queue WHERE state = 1 AND (lease_until < $1 OR 1 = $2) \
         AND (turn IS NOT NULL OR concurrency_key IS NOT NULL) LIMIT 1) AS lost",
    );
    let query = query
        .bind::<BigInt, _>(now)
        .bind::<Integer, _>(i32::from(everybody));
    Ok(query.get_result::<Count>(conn)?.count > 0)
}

#[cfg(test)]
mod tests {
    use diesel::connection::{Instrumentation, InstrumentationEvent};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{
        config::DatabaseUrl,
        db::{self, Pool},
    };

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// Notes the texts of queries.
    struct Notes(Arc<Mutex<Vec<String>>>);

    impl Instrumentation for Notes {
        fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
            if let InstrumentationEvent::StartQuery { query, .. } = event {
                let text = query.to_string();
                let text = text.split(" -- binds").next().unwrap_or("").to_owned();
                self.0.lock().unwrap().push(text);
            }
        }
    }

    /// However many jobs wait in a line, no query of the hot path walks through them: each is answered by an index that
    /// begins with what it asks for and ends in the order it wants.
    #[test]
    fn every_query_has_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let pool = Pool::open(&DatabaseUrl::Sqlite(folder.path().join("q.db")), 1).unwrap();
        let mut conn = pool.connect().unwrap();
        let notes = Arc::new(Mutex::new(Vec::new()));
        let now = Timestamp(1);
        if let Conn::Sqlite(conn) = &mut conn {
            conn.set_instrumentation(Notes(Arc::clone(&notes)));
        }
        let conn = &mut conn;
        db::claim::claim(conn, "w", 1, now, now).unwrap();
        turns_taken(conn, "main", "u/a/t").unwrap();
        give_turns(conn, ("main", "u/a/t"), 1).unwrap();
        slots_taken(conn, "k").unwrap();
        give_slots(conn, "k", 1).unwrap();
        any_later_due(conn, now).unwrap();
        move_later(conn, now, 1).unwrap();
        to_wake(conn, now, 1).unwrap();
        remove_unused(conn, "runs/k", "k").unwrap();
        db::outbox::claim(conn, "w", ("main", 1), (now, now)).unwrap();
        db::outbox::release(conn, "main").unwrap();
        db::outbox::workspaces(conn).unwrap();
        let texts = std::mem::take(&mut *notes.lock().unwrap());
        assert!(texts.len() >= 9, "{texts:?}");
        for text in texts {
            let explain = sql_query(format!("EXPLAIN QUERY PLAN {text}"));
            let plan: Vec<Step> = match conn {
                Conn::Sqlite(conn) => explain.load(conn).unwrap(),
                Conn::Postgres(_) => unreachable!(),
            };
            for Step { detail } in plan {
                let walks = detail.contains("SCAN") && !detail.contains("INDEX queue_ready");
                let constant = detail.contains("CONSTANT ROW") || detail.contains("SCAN due");
                assert!(!walks || constant, "{detail} in {text}");
                assert!(!detail.contains("TEMP B-TREE"), "{detail} in {text}");
            }
        }
    }
}
