//! Lanes: how many jobs of a trigger (`max_in_flight`, `ordered`), or with the same concurrency key, run at once, exactly,
//! over all workers and processes.
//!
//! A job in a lane is not ready when it is committed: it waits in line, in a state that claims never look at, so a claim
//! costs the same however many wait. Whatever takes a job out of a lane (its end, a cancellation, a retry that gives up
//! its place) makes as many of the next ones ready as there is room for, in the same transaction. On PostgreSQL all
//! changes of lanes follow each other under one lock; claims of ready jobs need none.
//!
//! Jobs of the future wait apart as well, with and without a lane, so that claims do not walk over them.
//!
//! A job passes its trigger's line first, then its script's: nobody holds the second while waiting for the first.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use super::{ConcurrencyLimit, Job, Lane, NewJob};
use crate::{
    db::{
        Conn, DbError,
        lanes::{self, LaneRow},
        queue::{HELD, IN_LINE, LATER, LATER_IN_TURN, LIMITED, QUEUED},
    },
    types::{JobId, Timestamp},
};

/// Jobs of one lane made ready in one go, when its bound was just lifted: the others must not wait for their commit.
const FILL_AT_ONCE: i64 = 1_000;
/// Jobs whose time has come that are put into their lanes in one go.
const LATER_AT_ONCE: i64 = 1_000;
/// Lanes looked at in one go because their time has come.
const WAKE_AT_ONCE: i64 = 100;

/// Times a trigger may get another path while one of its jobs runs, before its end is noticed with the next message only.
const MOVES: u32 = 8;

/// The limits of the concurrency keys that new jobs have.
pub(super) type Limits = HashMap<String, ConcurrencyLimit>;

/// The lanes that a transaction touches.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    locked: bool,
    triggers: BTreeSet<(String, String)>,
    keys: BTreeSet<String>,
    ended: Vec<(String, JobId)>,
}

fn trigger_key(workspace: &str, path: &str) -> String {
    format!("trigger/{workspace}/{path}")
}

/// The workspace and path that a key stands for.
fn trigger_of(key: &str) -> Option<(String, String)> {
    let (workspace, path) = key.strip_prefix("trigger/")?.split_once('/')?;
    Some((workspace.to_owned(), path.to_owned()))
}

/// The lane of a trigger, which may have moved since the job that asks for it began; and its key.
fn lane_of(conn: &mut Conn, mut key: String) -> Result<(String, Option<LaneRow>), DbError> {
    for _ in 0..MOVES {
        if let Some(lane) = lanes::find(conn, &key)? {
            return Ok((key, Some(lane)));
        }
        match lanes::moved_to(conn, &key)? {
            Some(to) => key = to,
            None => break,
        }
    }
    Ok((key, None))
}

fn runs_key(concurrency_key: &str) -> String {
    format!("runs/{concurrency_key}")
}

impl Lanes {
    /// Takes the right to change lanes. Whoever will need it takes it before anything is written.
    pub(super) fn lock(&mut self, conn: &mut Conn) -> Result<(), DbError> {
        if !std::mem::replace(&mut self.locked, true) {
            lanes::lock(conn)?;
        }
        Ok(())
    }

    /// Gives new jobs, and those that are released, their place: `rows` are what `jobs` became, not yet written.
    pub(super) fn place(
        &mut self,
        conn: &mut Conn,
        jobs: &[NewJob],
        rows: &mut [Job],
        limits: &Limits,
    ) -> Result<(), DbError> {
        // Read here, after the rows were made: a job without a time of its own is never of the future.
        let now = Timestamp::now();
        let mut open: HashMap<String, LaneRow> = HashMap::new();
        for (job, row) in jobs.iter().zip(rows.iter_mut()) {
            if let (Some(lane), Some(path)) = (job.lane, &row.trigger_path) {
                self.lock(conn)?;
                let key = trigger_key(&row.workspace_id, path);
                let known = match open.remove(&key) {
                    Some(known) => known,
                    None => bounded(conn, key, lane, now)?,
                };
                let turn = known.last_turn + 1;
                // A job that was held has its place already.
                row.turn = row.turn.or(Some(turn));
                let known = LaneRow {
                    last_turn: turn,
                    ..known
                };
                open.insert(known.key.clone(), known);
            }
            row.state = first_state(row, now);
            self.touch(conn, row)?;
        }
        for lane in open.values() {
            lanes::put(conn, lane)?;
        }
        for (key, limit) in limits {
            self.lock(conn)?;
            let key = runs_key(key);
            let known = lanes::find(conn, &key)?;
            let row = LaneRow {
                max_jobs: Some(i64::from(limit.runs)),
                ordered: false,
                window_us: i64::try_from(limit.window.as_micros()).unwrap_or(i64::MAX),
                last_turn: 0,
                wake_at: known.as_ref().and_then(|known| known.wake_at),
                key,
            };
            if known.as_ref() != Some(&row) {
                lanes::put(conn, &row)?;
            }
        }
        Ok(())
    }

    /// Notes that a job came into its lanes, or may have made room in them.
    pub(super) fn touch(&mut self, conn: &mut Conn, job: &Job) -> Result<(), DbError> {
        if job.turn.is_none() && job.concurrency_key.is_none() {
            return Ok(());
        }
        self.lock(conn)?;
        if let (Some(_), Some(path)) = (job.turn, &job.trigger_path) {
            self.triggers
                .insert((job.workspace_id.clone(), path.clone()));
        }
        self.keys.extend(job.concurrency_key.clone());
        Ok(())
    }

    /// Notes that a run of a job has ended.
    pub(super) fn ended(&mut self, conn: &mut Conn, job: &Job) -> Result<(), DbError> {
        self.touch(conn, job)?;
        self.ended
            .extend(job.concurrency_key.clone().map(|key| (key, job.id)));
        Ok(())
    }

    /// The state a job goes to that is to run again at a time in the future: in an `ordered` trigger it keeps its
    /// turn, so that the next one waits for it; elsewhere it makes room and comes back first in line.
    pub(super) fn state_until(&mut self, conn: &mut Conn, job: &Job) -> Result<i32, DbError> {
        self.touch(conn, job)?;
        let ordered = match (job.turn, &job.trigger_path) {
            (Some(_), Some(path)) => {
                let (_, lane) = lane_of(conn, trigger_key(&job.workspace_id, path))?;
                lane.is_some_and(|lane| lane.ordered)
            }
            _ => false,
        };
        Ok(if ordered { LATER_IN_TURN } else { LATER })
    }

    /// Bounds a trigger's jobs anew; none = no bound any more.
    pub(super) fn bound(
        &mut self,
        conn: &mut Conn,
        (workspace, path): (&str, &str),
        lane: Option<Lane>,
    ) -> Result<(), DbError> {
        self.lock(conn)?;
        let Some(known) = lanes::find(conn, &trigger_key(workspace, path))? else {
            return Ok(());
        };
        let row = LaneRow {
            max_jobs: lane.map(|lane| i64::from(lane.max_jobs)),
            ordered: lane.is_some_and(|lane| lane.ordered),
            ..known
        };
        lanes::put(conn, &row)?;
        self.triggers
            .insert((workspace.to_owned(), path.to_owned()));
        Ok(())
    }

    /// Gives the lane of a trigger its new name; jobs that run end under the old one, which leads to the new one.
    pub(super) fn rename(
        &mut self,
        conn: &mut Conn,
        (workspace, path): (&str, &str),
        to: &str,
    ) -> Result<(), DbError> {
        self.lock(conn)?;
        let (key, old_key) = (trigger_key(workspace, to), trigger_key(workspace, path));
        let known = lanes::find(conn, &key)?.map_or(0, |known| known.last_turn);
        if let Some(old) = lanes::find(conn, &old_key)? {
            lanes::moved(conn, &old_key, &key)?;
            let row = LaneRow {
                key,
                last_turn: old.last_turn.max(known),
                ..old
            };
            lanes::put(conn, &row)?;
            self.triggers.insert((workspace.to_owned(), to.to_owned()));
        }
        Ok(())
    }

    /// Puts jobs whose time has come into their lanes, and looks at lanes whose time has come; answers whether a job
    /// without a lane became ready. Another process that changes lanes just now is not waited for: it, or the next
    /// call, sees them too.
    pub(super) fn wake(&mut self, conn: &mut Conn, now: Timestamp) -> Result<bool, DbError> {
        let mut ready = false;
        let woken = lanes::to_wake(conn, now, WAKE_AT_ONCE)?;
        let later = lanes::any_later_due(conn, now)?;
        if woken.is_empty() && !later {
            return Ok(false);
        }
        if !self.locked {
            if !lanes::try_lock(conn)? {
                return Ok(false);
            }
            self.locked = true;
        }
        if later {
            for moved in lanes::move_later(conn, now, LATER_AT_ONCE)? {
                ready |= moved.turn.is_none() && moved.concurrency_key.is_none();
                if let (Some(_), Some(path)) = (moved.turn, moved.trigger_path) {
                    self.triggers.insert((moved.workspace_id, path));
                }
                self.keys.extend(moved.concurrency_key);
            }
        }
        for key in woken {
            lanes::set_wake(conn, &key, None)?;
            if let Some(key) = key.strip_prefix("runs/") {
                self.keys.insert(key.to_owned());
            } else if let Some(place) = trigger_of(&key) {
                self.triggers.insert(place);
            }
        }
        Ok(ready)
    }

    /// Makes as many jobs ready as the touched lanes have room for; answers whether there were any.
    pub(super) fn fill(&mut self, conn: &mut Conn, now: Timestamp) -> Result<bool, DbError> {
        let mut ready = false;
        for (workspace, path) in std::mem::take(&mut self.triggers) {
            let (key, lane) = lane_of(conn, trigger_key(&workspace, &path))?;
            let (workspace, path) = trigger_of(&key).unwrap_or((workspace, path));
            let bound = lane.and_then(|lane| lane.max_jobs);
            let free = match bound {
                Some(max) => max - lanes::turns_taken(conn, &workspace, &path)?,
                None => i64::MAX,
            };
            if free <= 0 {
                continue;
            }
            let moved = lanes::give_turns(conn, (&workspace, &path), free.min(FILL_AT_ONCE))?;
            if free > FILL_AT_ONCE && is_full(moved.len()) {
                lanes::set_wake(conn, &key, Some(now))?;
            }
            for moved in moved {
                match moved.concurrency_key {
                    Some(key) => drop(self.keys.insert(key)),
                    None => ready = true,
                }
            }
        }
        for key in std::mem::take(&mut self.keys) {
            ready |= self.fill_runs(conn, &key, now)?;
        }
        self.ended.clear();
        Ok(ready)
    }

    fn fill_runs(&self, conn: &mut Conn, key: &str, now: Timestamp) -> Result<bool, DbError> {
        let lane_key = runs_key(key);
        let Some(lane) = lanes::find(conn, &lane_key)? else {
            return Ok(lanes::give_slots(conn, key, FILL_AT_ONCE)? > 0);
        };
        let window = Duration::from_micros(u64::try_from(lane.window_us).unwrap_or(0));
        let (mut lately, mut oldest) = (0, None);
        if !window.is_zero() {
            for (_, job) in self.ended.iter().filter(|(ended, _)| ended == key) {
                lanes::insert_end(conn, &lane_key, *job, now)?;
            }
            (lately, oldest) = lanes::ends_since(conn, &lane_key, now.minus(window))?;
        }
        let taken = lanes::slots_taken(conn, key)?;
        let free = lane.max_jobs.map_or(i64::MAX, |max| max - taken - lately);
        let given = if free > 0 {
            lanes::give_slots(conn, key, free.min(FILL_AT_ONCE))?
        } else {
            0
        };
        let wake_at = if free > FILL_AT_ONCE && is_full(given) {
            Some(now)
        } else {
            oldest.map(|oldest| oldest.plus(window))
        };
        if wake_at != lane.wake_at {
            lanes::set_wake(conn, &lane_key, wake_at)?;
        }
        if taken == 0 && given == 0 && lately == 0 {
            lanes::remove_unused(conn, &lane_key, key)?;
        }
        Ok(given > 0)
    }
}

fn is_full(count: usize) -> bool {
    i64::try_from(count).is_ok_and(|count| count >= FILL_AT_ONCE)
}

/// The lane of a trigger as it is to be: turns go on where they were, and never back after the clock.
fn bounded(conn: &mut Conn, key: String, lane: Lane, now: Timestamp) -> Result<LaneRow, DbError> {
    let known = lanes::find(conn, &key)?;
    Ok(LaneRow {
        max_jobs: Some(i64::from(lane.max_jobs)),
        ordered: lane.ordered,
        window_us: 0,
        last_turn: known.as_ref().map_or(now.0, |known| known.last_turn),
        wake_at: known.and_then(|known| known.wake_at),
        key,
    })
}

/// Where a job begins.
fn first_state(row: &Job, now: Timestamp) -> i32 {
    match (row.turn, &row.concurrency_key) {
        _ if row.state == HELD => HELD,
        _ if row.scheduled_at > now => LATER,
        (None, None) => QUEUED,
        (Some(_), _) => IN_LINE,
        (None, Some(_)) => LIMITED,
    }
}
