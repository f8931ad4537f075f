//! Looks that this process takes at itself: how late its timers are, what happened in the last ten seconds (the page's
//! curve), which triggers have failed for too long (alerts).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use actix_rt::ArbiterHandle;

use crate::{
    api::History,
    db::{Conn, DbError, Pool, alert, stat},
    metrics::metrics,
    presence::Presence,
    trigger::{Board, TriggerState},
    types::Timestamp,
};

/// A step of the page's curve.
const STEP: Duration = Duration::from_secs(10);
/// How far back the curve goes.
const REACH: Duration = Duration::from_secs(3_600);
/// How often a thread's lag is measured.
const LAG: Duration = Duration::from_secs(1);
/// Longest pause between two looks for triggers that fail.
const ALARM: Duration = Duration::from_secs(5);

/// Measures for ever how long it takes each thread of `arbiters` to come to what is new, and how late the timers of
/// this one are. The others need no timer of their own for it, which their sleep would have to look after.
pub(super) async fn measure_lag(arbiters: Vec<(ArbiterHandle, &'static str)>) {
    let lag = |thread| metrics().loop_lag_seconds.with_label_values(&[thread]);
    let own = lag("main");
    loop {
        let begun = Instant::now();
        tokio::time::sleep(LAG).await;
        own.observe(begun.elapsed().saturating_sub(LAG).as_secs_f64());
        for (arbiter, thread) in &arbiters {
            let (lag, asked) = (lag(thread), Instant::now());
            // A thread that has ended has no lag.
            arbiter.spawn(async move { lag.observe(asked.elapsed().as_secs_f64()) });
        }
    }
}

/// How full the queue is; nothing where the database does not say.
#[derive(Debug, Default)]
struct Queue {
    age_ms: i64,
    waiting: HashMap<String, i64>,
}

impl Queue {
    fn look(conn: &mut Conn) -> Result<Self, DbError> {
        let now = Timestamp::now();
        let (_, _, due) = stat::queue(conn, now)?;
        Ok(Self {
            age_ms: due.map_or(0, |due| ((now.0 - due.0) / 1_000).max(0)),
            waiting: stat::waiting(conn)?,
        })
    }
}

/// Adds a step to the curve every ten seconds, for ever.
pub(super) async fn keep_history(pool: Pool, board: Board, presence: Presence, history: History) {
    let mut before: HashMap<String, (u64, u64, u64)> = HashMap::new();
    loop {
        // Steps begin at full tens of seconds, so that those of several processes add up.
        let step = i64::try_from(STEP.as_micros()).unwrap_or(i64::MAX);
        let now = Timestamp::now();
        let at = Timestamp(now.0 - now.0.rem_euclid(step));
        let rest = u64::try_from(step - now.0.rem_euclid(step)).unwrap_or(0);
        tokio::time::sleep(Duration::from_micros(rest)).await;
        let queue = pool.run(Queue::look).await.unwrap_or_default();
        let points = points(&board, &mut before, at, &queue);
        history.add(&points);
        if presence.is_shared() && !points.is_empty() {
            let process = pool.name().to_owned();
            let written = pool
                .run(move |conn| stat::insert(conn, &process, &points, at.minus(REACH)))
                .await;
            if let Err(error) = written {
                log::debug!("a step of the curve was not written: {error}");
            }
        }
    }
}

/// What happened since `before` (which is brought up to date), by workspace.
fn points(
    board: &Board,
    before: &mut HashMap<String, (u64, u64, u64)>,
    at: Timestamp,
    queue: &Queue,
) -> Vec<(String, stat::Point)> {
    let mut now: HashMap<String, (u64, u64, u64)> = HashMap::new();
    for (workspace, totals) in board.totals() {
        now.entry(workspace.to_string()).or_default().0 = totals.received;
    }
    for (workspace, (ended, failed)) in metrics().ended_by_workspace() {
        let counts = now.entry(workspace).or_default();
        (counts.1, counts.2) = (ended, failed);
    }
    for workspace in queue.waiting.keys() {
        now.entry(workspace.clone()).or_default();
    }
    let states = board.states();
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let mut points = Vec::new();
    for (workspace, (received, ended, failed)) in &now {
        let old = before.get(workspace).copied().unwrap_or_default();
        let name: Arc<str> = workspace.as_str().into();
        let listening: u64 = [TriggerState::Listening, TriggerState::Suspended]
            .into_iter()
            .filter_map(|state| states.get(&(Arc::clone(&name), state)))
            .sum();
        points.push((
            workspace.clone(),
            stat::Point {
                at,
                connections: number(listening),
                messages: number(received.saturating_sub(old.0)),
                jobs: number(ended.saturating_sub(old.1)),
                failures: number(failed.saturating_sub(old.2)),
                queue_age_ms: queue.age_ms,
                jobs_waiting: queue.waiting.get(workspace).copied().unwrap_or(0),
            },
        ));
    }
    *before = now;
    points
}

/// Raises an alert for each trigger of this server that has not listened for `after`, and takes it back when it does.
pub(super) async fn keep_alarming(pool: Pool, board: Board, after: Duration) {
    let mut failing: HashMap<(Arc<str>, Arc<str>), Instant> = HashMap::new();
    let pause = (after / 4).clamp(Duration::from_millis(100), ALARM);
    loop {
        tokio::time::sleep(pause).await;
        let (mut down, mut well) = (HashMap::new(), HashSet::new());
        for live in board.all() {
            let status = live.status(board.server_id());
            let place = (Arc::clone(&live.workspace), Arc::clone(&live.path));
            match status.state {
                TriggerState::Connecting | TriggerState::Handshaking | TriggerState::Backoff => {
                    down.insert(place, status.error);
                }
                TriggerState::Listening | TriggerState::Suspended => {
                    well.insert(place);
                }
                TriggerState::Disabled => {}
            }
        }
        failing.retain(|place, _| down.contains_key(place));
        for place in down.keys() {
            failing.entry(place.clone()).or_insert_with(Instant::now);
        }
        down.retain(|place, _| {
            failing
                .get(place)
                .is_some_and(|since| since.elapsed() >= after)
        });
        if let Err(error) = pool
            .run(move |conn| settle(conn, &down, &well, after))
            .await
        {
            log::debug!("alerts cannot be looked at: {error}");
        }
    }
}

type Place = (Arc<str>, Arc<str>);

fn settle(
    conn: &mut Conn,
    down: &HashMap<Place, Option<String>>,
    well: &HashSet<Place>,
    after: Duration,
) -> Result<(), DbError> {
    let open: HashSet<Place> = alert::open(conn)?
        .into_iter()
        .map(|(workspace, path)| (workspace.into(), path.into()))
        .collect();
    let now = Timestamp::now();
    for (place, error) in down.iter().filter(|(place, _)| !open.contains(*place)) {
        let (workspace, path) = (&*place.0, &*place.1);
        let secs = after.as_secs();
        let error = error.as_deref().unwrap_or("no connection yet");
        let message = format!("websocket trigger {path} has not listened for {secs} s: {error}");
        if alert::raise(conn, (workspace, path), &message, now)? {
            log::warn!(trigger = path; "alert: {message}");
        }
    }
    for place in open.intersection(well) {
        let (workspace, path) = (&*place.0, &*place.1);
        let message = format!("websocket trigger {path} listens again");
        alert::recover(conn, (workspace, path), &message, now)?;
        log::info!(trigger = path; "alert over: {message}");
    }
    Ok(())
}
