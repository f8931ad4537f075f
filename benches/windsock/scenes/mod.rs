//! One scene a file; what they share stands here: a server with a script and a trigger, and waiting for it.

pub mod big;
pub mod commit;
pub mod filter;
pub mod idle;
pub mod jobs;
pub mod languages;
pub mod latency;
pub mod takeover;

use std::{future::Future, pin::Pin, time::Duration};

use serde_json::{Value, json};

use super::{
    harness::{Database, Settings, TestApp},
    measure,
    source::Source,
};

/// A scene under way.
pub type Running = Pin<Box<dyn Future<Output = ()>>>;

/// The trigger most scenes look at.
pub const TRIGGER: &str = "u/admin/bench";

/// The script it runs.
pub const SCRIPT: &str = "u/admin/bench";

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// Between two looks: often enough for the figures, seldom enough not to be what is measured.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How often the queue is asked for: a part in a hundred of what the shortest run takes.
const LOOK_AT_QUEUE: Duration = Duration::from_millis(50);

/// A release server with `workers` slots that says little.
pub async fn server(database: Database, workers: usize) -> TestApp {
    let settings = Settings::new()
        .env("RUST_LOG", "warn")
        .env("NUM_WORKERS", &workers.to_string());
    TestApp::start_with(database, settings).await
}

/// Lets the trigger listen to `source`, with a script that does nothing unless one is given.
pub async fn listen(app: &TestApp, source: &Source, script: Option<(&str, &str)>, more: Value) {
    let (language, content) =
        script.unwrap_or(("nativets", "export function main(msg: string) {}"));
    app.create_script(SCRIPT, language, content).await;
    app.create_trigger(TRIGGER, SCRIPT, &source.url(), more)
        .await;
    app.wait_until_listening(TRIGGER).await;
}

/// A filter on the symbol every message of the source has; `ETHUSDT` matches none.
pub fn symbol(name: &str) -> Value {
    json!({"filters": [{"key": "s", "value": name}]})
}

/// Waits until a counter of the trigger's status has reached `number`.
pub async fn wait_for_counter(app: &TestApp, counter: &str, number: u64) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let status = app.status(TRIGGER).await;
        if status[counter].as_u64() >= Some(number) {
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{counter} never was {number}: {status}"
        );
        actix_rt::time::sleep(LOOK_AGAIN).await;
    }
}

/// Waits until no job waits or runs.
pub async fn wait_until_idle(app: &TestApp) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        // Seldom, and one row: who looks must not take the machine from who works.
        let first = app
            .get("jobs/queue/list?per_page=1")
            .await
            .expect(200)
            .json();
        if first.as_array().is_some_and(Vec::is_empty) {
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the queue never was empty: {first}"
        );
        actix_rt::time::sleep(LOOK_AT_QUEUE).await;
    }
}

/// CPU seconds of the cluster behind a PostgreSQL database; 0 for SQLite, which has no process of its own.
pub fn database_cpu(database: &str) -> f64 {
    let Ok(url) = url::Url::parse(database) else {
        return 0.0;
    };
    let cluster = url.port().and_then(measure::listener);
    cluster.map_or(0.0, measure::cpu_of_family)
}

/// The time for one message in microseconds.
pub fn micros(seconds: f64, messages: u64) -> String {
    format!("{:.2}", seconds * 1e6 / messages as f64)
}
