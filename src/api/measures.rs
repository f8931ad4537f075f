//! `/metrics` and the last hour of a workspace: what is counted, never what is said.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt::Write,
    sync::Arc,
};

use actix_web::{HttpResponse, web};
use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;

use super::{State, answer::Json, error::Error, extract::At};
use crate::{
    access::Caller,
    db::stat::{self, Point},
    metrics::metrics,
    trigger::status::Totals,
    types::Timestamp,
};

/// Seconds of a step.
const STEP_SECS: u32 = 10;
/// Steps kept: an hour.
const STEPS: usize = 360;
/// Prometheus' text format.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The last hour of this process, by workspace. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct History(Arc<Mutex<HashMap<String, VecDeque<Point>>>>);

impl History {
    /// Adds a step of each workspace.
    pub fn add(&self, points: &[(String, Point)]) {
        let mut all = self.0.lock();
        for (workspace, point) in points {
            let steps = all.entry(workspace.clone()).or_default();
            steps.push_back(*point);
            while steps.len() > STEPS {
                steps.pop_front();
            }
        }
    }

    fn of(&self, workspace: &str) -> Vec<Point> {
        let all = self.0.lock();
        all.get(workspace)
            .map(|steps| steps.iter().copied().collect())
            .unwrap_or_default()
    }
}

/// The last hour of a workspace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stats {
    /// How long a step is.
    step_secs: u32,
    /// Oldest first, at most 360; steps in which no process ran are left out.
    points: Vec<Step>,
}

/// What happened in a step, on all processes together.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Step {
    /// When it began.
    #[schema(value_type = String)]
    at: Timestamp,
    /// Connections that listened at its end.
    connections: i64,
    /// Messages received.
    messages: i64,
    /// Jobs ended.
    jobs: i64,
    /// Of them, failed.
    failures: i64,
    /// How long the job that is due next had waited at its end (of all workspaces).
    queue_age_ms: i64,
    /// Jobs that waited at its end, counted up to 100,000: for a worker, their turn or their time.
    jobs_waiting: i64,
}

/// The last hour in steps of ten seconds: connections, messages, jobs, failures, age and length of the queue.
pub(crate) async fn stats(
    _: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Stats>, Error> {
    let points = if state.pool.is_sqlite() {
        state.history.of(&at.workspace)
    } else {
        state
            .run(move |conn| Ok(stat::of_workspace(conn, &at.workspace)?))
            .await?
    };
    let points = points
        .into_iter()
        .map(|point| Step {
            at: point.at,
            connections: point.connections,
            messages: point.messages,
            jobs: point.jobs,
            failures: point.failures,
            queue_age_ms: point.queue_age_ms,
            jobs_waiting: point.jobs_waiting,
        })
        .collect();
    Ok(Json(Stats {
        step_secs: STEP_SECS,
        points,
    }))
}

/// Everything this process counts, in Prometheus' text format. Needs no token: nothing in it names anything.
pub(crate) async fn metrics_text(state: web::Data<State>) -> Result<HttpResponse, Error> {
    let mut text = metrics().text();
    of_triggers(&state, &mut text);
    let now = Timestamp::now();
    let queue = state.pool.run(move |conn| stat::queue(conn, now)).await;
    let (open, idle) = state.pool.connections();
    one(
        &mut text,
        "database_up",
        "gauge",
        "Whether the database answered.",
        u64::from(queue.is_ok()),
    );
    one(
        &mut text,
        "database_connections",
        "gauge",
        "Open connections of the pool.",
        open.into(),
    );
    one(
        &mut text,
        "database_connections_idle",
        "gauge",
        "Of them, unused.",
        idle.into(),
    );
    if let Ok((ready, running, due)) = queue {
        let number = |n: i64| u64::try_from(n).unwrap_or(0);
        one(
            &mut text,
            "queue_ready",
            "gauge",
            "Jobs that could start, counted up to 100000.",
            number(ready),
        );
        one(
            &mut text,
            "queue_running",
            "gauge",
            "Jobs that run, counted up to 100000.",
            number(running),
        );
        let age = due.map_or(0.0, |due| (now.0 - due.0).max(0) as f64 / 1e6);
        head(
            &mut text,
            "queue_age_seconds",
            "gauge",
            "How long the job that is due next has waited.",
        );
        // Writing to memory does not fail.
        let _ = writeln!(text, "windsock_queue_age_seconds {age}");
    }
    Ok(HttpResponse::Ok().content_type(FORMAT).body(text))
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(
        text,
        "# HELP windsock_{name} {help}\n# TYPE windsock_{name} {kind}"
    );
}

fn one(text: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    head(text, name, kind, help);
    let _ = writeln!(text, "windsock_{name} {value}");
}

fn labelled(
    text: &mut String,
    (name, kind, help): (&str, &str, &str),
    label: &str,
    values: &[(&str, u64)],
) {
    head(text, name, kind, help);
    for (of, value) in values {
        let _ = writeln!(text, "windsock_{name}{{{label}=\"{of}\"}} {value}");
    }
}

fn of_triggers(state: &State, text: &mut String) {
    let mut states = BTreeMap::new();
    for ((_, of), count) in state.board.states() {
        *states.entry(of).or_default() += count;
    }
    let states: Vec<(String, u64)> = states
        .into_iter()
        .map(|(of, count): (_, u64)| (format!("{of:?}").to_lowercase(), count))
        .collect();
    let states: Vec<(&str, u64)> = states
        .iter()
        .map(|(of, count)| (of.as_str(), *count))
        .collect();
    let about = ("triggers", "gauge", "Triggers of this server, by state.");
    labelled(text, about, "state", &states);
    let all = Totals::sum(state.board.totals().values());
    one(
        text,
        "messages_received_total",
        "counter",
        "Whole messages received.",
        all.received,
    );
    one(
        text,
        "message_bytes_received_total",
        "counter",
        "Bytes of them.",
        all.bytes_received,
    );
    let about = (
        "message_verdicts_total",
        "counter",
        "What became of messages.",
    );
    let verdicts = [
        ("unmatched", all.unmatched),
        ("handled", all.handled),
        ("matched", all.matched),
        ("dropped", all.dropped),
    ];
    labelled(text, about, "verdict", &verdicts);
    one(
        text,
        "messages_enqueued_total",
        "counter",
        "Messages committed as jobs.",
        all.enqueued,
    );
    let about = (
        "replies_total",
        "counter",
        "Results for connections, by what became of them.",
    );
    let replies = [
        ("sent", all.replied),
        ("undeliverable", all.reply_undeliverable),
        ("failed", all.reply_failed),
    ];
    labelled(text, about, "outcome", &replies);
}
