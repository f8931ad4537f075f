//! Lists of jobs over `queue` and `completed`, newest or oldest id first: ids are UUIDs v7, so that order is
//! the order in which jobs came, and every index of `completed` ends in it.
//!
//! Bounds on the moment of creation become bounds on the id, which keeps a page cheap with 10 million rows.
//! Reads only; the queue's ledger writes.

mod filter;
mod rows;

use std::time::Duration;

use diesel::{BoxableExpression, dsl::sql, prelude::*, sql_types::Bool};
use uuid::{Timestamp as UuidTime, Uuid};

pub(crate) use self::{
    filter::{JobFilter, Person, Visible, Within},
    rows::{AnyJob, by_id, by_ids, logs},
};
use super::{
    Backend, Conn, DbError,
    queue::{HELD, PARKED, RUNNING},
    schema::{completed, queue},
    starts_with,
};
use crate::types::{JobId, Timestamp};

/// How far the moment in an id may be from the row's `created_at`: ids are given before the commit, and
/// clients may bring their own, which the API holds to the same minute.
const ID_SLACK: Duration = Duration::from_secs(120);
/// The condition of the index that knows held jobs, as text: SQLite does not see through a bound value.
const IS_HELD: &str = "state = 2";

/// A stretch of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) offset: i64,
    pub(crate) limit: i64,
    /// Newest first.
    pub(crate) descending: bool,
}

/// The id of the first job that could have been made at `moment`.
pub(super) fn id_at(moment: Timestamp) -> JobId {
    let micros = u64::try_from(moment.0).unwrap_or(0);
    let time = UuidTime::from_unix_time(micros / 1_000_000, 0, 0, 0);
    let mut bytes = *Uuid::new_v7(time).as_bytes();
    bytes[6..].fill(0);
    JobId(Uuid::from_bytes(bytes))
}

/// The jobs at some paths; those without a path are at none.
macro_rules! within {
    ($table:ident, $within:expr) => {{
        let within: &Within = $within;
        let exact = $table::runnable_path.is_not_null().and(
            $table::runnable_path
                .assume_not_null()
                .eq_any(within.exact.clone()),
        );
        let mut any: Box<dyn BoxableExpression<$table::table, Backend, SqlType = Bool>> =
            Box::new(exact);
        for start in &within.starts {
            let here = $table::runnable_path
                .is_not_null()
                .and(starts_with($table::runnable_path.assume_not_null(), start));
            any = Box::new(any.or(here));
        }
        any
    }};
}

/// The conditions that `queue` and `completed` share; both name the columns alike.
macro_rules! filtered {
    ($table:ident, $filter:expr) => {{
        let filter: &JobFilter = $filter;
        let mut query = $table::table
            .filter($table::workspace_id.eq(&filter.workspace))
            .into_boxed::<Backend>();
        if let Some(path) = &filter.path_exact {
            query = query.filter($table::runnable_path.eq(path));
        }
        if let Some(start) = &filter.path_start {
            query = query.filter(starts_with($table::runnable_path.assume_not_null(), start));
        }
        if let Some(hash) = filter.hash {
            query = query.filter($table::runnable_hash.eq(hash));
        }
        if let Some(kinds) = &filter.kinds {
            query = query.filter($table::kind.eq_any(kinds));
        }
        if let Some(after) = filter.created_after {
            query = query
                .filter($table::id.ge(id_at(after.minus(ID_SLACK))))
                .filter($table::created_at.gt(after));
        }
        if let Some(before) = filter.created_before {
            query = query
                .filter($table::id.lt(id_at(before.plus(ID_SLACK))))
                .filter($table::created_at.lt(before));
        }
        if let Some(kind) = &filter.trigger_kind {
            query = query.filter($table::trigger_kind.eq(kind));
        }
        if let Some(path) = &filter.trigger_path {
            query = query.filter($table::trigger_path.eq(path));
        }
        if let Some(tag) = &filter.tag {
            query = query.filter($table::tag.eq(tag));
        }
        if let Some(worker) = &filter.worker {
            query = query.filter($table::worker.eq(worker));
        }
        if let Some(created_by) = &filter.created_by {
            query = query.filter($table::created_by.eq(created_by));
        }
        if let Some(parent) = filter.parent_job {
            query = query.filter($table::parent_job.eq(parent));
        }
        if filter.without_parent {
            query = query.filter($table::parent_job.is_null());
        }
        match filter.flow_step {
            Some(true) => query = query.filter($table::flow_step_id.is_not_null()),
            Some(false) => query = query.filter($table::flow_step_id.is_null()),
            None => {}
        }
        if let Some(run_as) = &filter.permissioned_as {
            query = query.filter($table::permissioned_as.eq(run_as));
        }
        if let Some(paths) = &filter.visible_to.within {
            query = query.filter(within!($table, paths));
        }
        if let Some(person) = &filter.visible_to.person {
            // A job without a path is not seen through a folder.
            let own = std::iter::once(format!("u/{}/", person.username));
            let folders = person.folders.iter().map(|name| format!("f/{name}/"));
            let readable = Within {
                exact: Vec::new(),
                starts: own.chain(folders).collect(),
            };
            let mut others = within!($table, &readable);
            if let Some(paths) = &person.reads {
                others = Box::new(others.and(within!($table, paths)));
            }
            let mine = $table::created_by
                .eq(person.username.clone())
                .or($table::permissioned_as.eq(person.run_as.clone()));
            query = query.filter(mine.or(others));
        }
        query
    }};
}

macro_rules! queue_filtered {
    ($filter:expr) => {{
        let mut query = filtered!(queue, $filter);
        if let Some(running) = $filter.running {
            query = if running {
                query.filter(queue::state.eq_any([RUNNING, PARKED]))
            } else {
                query.filter(queue::state.ne_all([RUNNING, PARKED]))
            };
        }
        match $filter.held {
            Some(true) => query = query.filter(sql::<Bool>(IS_HELD)),
            Some(false) => query = query.filter(queue::state.ne(HELD)),
            None => {}
        }
        // The kinds of held jobs alone.
        let held_kind = |kind: &String| kind.starts_with("unassigned_");
        if $filter
            .kinds
            .as_ref()
            .is_some_and(|kinds| kinds.iter().all(held_kind))
        {
            query = query.filter(sql::<Bool>(IS_HELD));
        }
        if let Some(moment) = $filter.due_by {
            query = query.filter(queue::scheduled_at.le(moment));
        }
        if let Some(after) = $filter.started_after {
            query = query.filter(queue::started_at.gt(after));
        }
        if let Some(before) = $filter.started_before {
            query = query.filter(queue::started_at.lt(before));
        }
        if let Some(after) = $filter.created_or_started_after {
            let waits = queue::started_at.is_null().and(queue::created_at.gt(after));
            query = query.filter(queue::started_at.assume_not_null().gt(after).or(waits));
        }
        if let Some(before) = $filter.created_or_started_before {
            let waits = queue::started_at
                .is_null()
                .and(queue::created_at.lt(before));
            query = query.filter(queue::started_at.assume_not_null().lt(before).or(waits));
        }
        query
    }};
}

macro_rules! completed_filtered {
    ($filter:expr) => {{
        let mut query = filtered!(completed, $filter);
        // As text: SQLite does not see that a bound value is the condition of its partial index.
        match $filter.success {
            Some(true) => query = query.filter(sql::<Bool>("success = TRUE")),
            Some(false) => query = query.filter(sql::<Bool>("success = FALSE")),
            None => {}
        }
        if $filter.perhaps_skipped {
            query = query
                .filter(sql::<Bool>("success = TRUE"))
                .filter(completed::kind.like("flow%"));
        }
        match $filter.canceled {
            Some(true) => query = query.filter(completed::canceled_by.is_not_null()),
            Some(false) => query = query.filter(completed::canceled_by.is_null()),
            None => {}
        }
        if let Some(after) = $filter.started_after {
            query = query.filter(completed::started_at.gt(after));
        }
        if let Some(before) = $filter.started_before {
            query = query.filter(completed::started_at.lt(before));
        }
        if let Some(after) = $filter.created_or_started_after {
            query = query.filter(completed::started_at.gt(after));
        }
        if let Some(before) = $filter.created_or_started_before {
            query = query.filter(completed::started_at.lt(before));
        }
        if let Some(after) = $filter.completed_after {
            query = query.filter(completed::completed_at.gt(after));
        }
        if let Some(before) = $filter.completed_before {
            query = query.filter(completed::completed_at.lt(before));
        }
        query
    }};
}

/// Fewer are not asked for: SQLite would rather read the whole queue than walk along its ids (seen with 1).
const FEWEST: i64 = 100;

/// The ids of the jobs in a stretch of the queue.
pub(crate) fn queue_ids(
    conn: &mut Conn,
    filter: &JobFilter,
    window: Window,
) -> Result<Vec<JobId>, DbError> {
    if filter.is_about_ended() {
        return Ok(Vec::new());
    }
    let query = queue_filtered!(filter);
    let query = if window.descending {
        query.order(queue::id.desc())
    } else {
        query.order(queue::id.asc())
    };
    let mut ids: Vec<JobId> = query
        .select(queue::id)
        .offset(window.offset)
        .limit(window.limit.max(FEWEST))
        .load(conn)?;
    ids.truncate(usize::try_from(window.limit).unwrap_or(0));
    Ok(ids)
}

/// The ids of the jobs in a stretch of the ended ones.
pub(crate) fn completed_ids(
    conn: &mut Conn,
    filter: &JobFilter,
    window: Window,
) -> Result<Vec<JobId>, DbError> {
    if filter.is_about_waiting() {
        return Ok(Vec::new());
    }
    let query = completed_filtered!(filter);
    let query = if window.descending {
        query.order(completed::id.desc())
    } else {
        query.order(completed::id.asc())
    };
    Ok(query
        .select(completed::id)
        .offset(window.offset)
        .limit(window.limit)
        .load(conn)?)
}

/// How many jobs that have not ended `filter` lets through.
pub(crate) fn count_queue(conn: &mut Conn, filter: &JobFilter) -> Result<i64, DbError> {
    if filter.is_about_ended() {
        return Ok(0);
    }
    Ok(queue_filtered!(filter).count().get_result(conn)?)
}

/// How many jobs that a suspended trigger holds `filter` lets through.
pub(crate) fn count_held(conn: &mut Conn, filter: &JobFilter) -> Result<i64, DbError> {
    if filter.is_about_ended() {
        return Ok(0);
    }
    Ok(queue_filtered!(filter)
        .filter(sql::<Bool>(IS_HELD))
        .count()
        .get_result(conn)?)
}

/// How many ended jobs `filter` lets through.
pub(crate) fn count_completed(conn: &mut Conn, filter: &JobFilter) -> Result<i64, DbError> {
    if filter.is_about_waiting() {
        return Ok(0);
    }
    Ok(completed_filtered!(filter).count().get_result(conn)?)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use diesel::{
        QueryableByName,
        connection::{Instrumentation, InstrumentationEvent},
        sql_query,
        sql_types::Text,
    };

    use super::*;
    use crate::{config::DatabaseUrl, db::Pool};

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// Keeps the last query, with its values.
    struct Last(Arc<Mutex<String>>);

    impl Instrumentation for Last {
        fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
            if let InstrumentationEvent::StartQuery { query, .. } = event {
                *self.0.lock().unwrap() = query.to_string();
            }
        }
    }

    /// With its values in place, as SQLite sees them when it decides.
    fn filled_in(query: &str) -> String {
        let (text, binds) = query.split_once(" -- binds: ").unwrap();
        let binds: Vec<serde_json::Value> = serde_json::from_str(binds).unwrap();
        let mut parts = text.split('?');
        let mut whole = parts.next().unwrap().to_owned();
        for (bind, part) in binds.iter().zip(parts) {
            whole += &bind.to_string().replace('"', "'");
            whole += part;
        }
        whole
    }

    #[test]
    fn the_newest_of_a_long_queue_are_found_by_their_ids() {
        let folder = tempfile::tempdir().unwrap();
        let pool = Pool::open(&DatabaseUrl::Sqlite(folder.path().join("q.db")), 1).unwrap();
        let mut conn = pool.connect().unwrap();
        let last = Arc::new(Mutex::new(String::new()));
        if let Conn::Sqlite(conn) = &mut conn {
            conn.set_instrumentation(Last(Arc::clone(&last)));
        }
        let filter = JobFilter {
            workspace: "main".to_owned(),
            ..JobFilter::default()
        };
        for limit in [1, 2, 30, 1000] {
            let window = Window {
                offset: 0,
                limit,
                descending: true,
            };
            queue_ids(&mut conn, &filter, window).unwrap();
            let text = filled_in(&last.lock().unwrap());
            let explain = sql_query(format!("EXPLAIN QUERY PLAN {text}"));
            let Conn::Sqlite(conn) = &mut conn else {
                unreachable!()
            };
            let plan: Vec<Step> = explain.load(conn).unwrap();
            assert_eq!(plan.len(), 1, "{limit}: {}", plan[1].detail);
            assert!(plan[0].detail.contains("USING INDEX"), "{}", plan[0].detail);
        }
    }

    #[test]
    fn ids_bound_moments() {
        let id = JobId::next();
        let now = Timestamp::now();
        assert!(id_at(now.minus(Duration::from_secs(2))) < id);
        assert!(id_at(now.plus(Duration::from_secs(2))) > id);
        assert!(id_at(Timestamp(-5)) < id);
    }
}
