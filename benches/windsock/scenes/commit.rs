//! T2: every message matches and becomes a durable row; nobody runs it.

use std::time::Instant;

use serde_json::json;
use tempfile::TempDir;

use super::{Database, database_cpu, listen, measure, micros, server, symbol, wait_for_counter};
use crate::{peers::Peer, source::Source};

const MESSAGES: u64 = 200_000;

/// The model waits for a commit a message, so it gets fewer.
const MESSAGES_OF_THE_MODEL: u64 = 10_000;

/// Lone messages: far enough apart that each finds everything idle.
const LONE: (u64, u64) = (20, 200);

/// Runs the scene.
pub async fn run() {
    let mut rows = Vec::new();
    let mut lone = Vec::new();
    for database in [Database::sqlite(), Database::postgres()] {
        let is_postgres = matches!(database, Database::Postgres(_));
        let name = if is_postgres { "PostgreSQL" } else { "SQLite" };
        if is_postgres {
            rows.push(model());
        }
        let url = database.url();
        let app = server(database, 0).await;
        let mut source = Source::start();
        listen(&app, &source, None, symbol("BTCUSDT")).await;
        source.tell("flood 10000");
        wait_for_counter(&app, "enqueued", 10_000).await;
        let (cpu, of_database) = (measure::cpu(app.process_id()), database_cpu(&url));
        let start = Instant::now();
        source.tell(&format!("flood {MESSAGES}"));
        wait_for_counter(&app, "enqueued", 10_000 + MESSAGES).await;
        let seconds = start.elapsed().as_secs_f64();
        let cpu = measure::cpu(app.process_id()) - cpu;
        let of_database = database_cpu(&url) - of_database;
        rows.push(row(
            &format!("**windsock** on {name}"),
            cpu,
            of_database,
            seconds,
            MESSAGES,
        ));
        lone.push(lone_messages(name, &app).await);
    }
    let columns = [
        "who",
        "CPU µs a message (reader + database)",
        "messages/s",
        "fdatasync ms beside it",
    ];
    measure::table(
        "Every message a durable job (100 % match, nothing runs)",
        &columns,
        &rows,
    );
    let columns = [
        "database",
        "read → committed, mean ms",
        "wire → answer on the wire, p50 ms",
        "p99 ms",
        "fdatasync ms beside it",
    ];
    measure::table(
        "A lone message: until its commit, and until the answer that follows it",
        &columns,
        &lone,
    );
}

fn row(who: &str, cpu: f64, of_database: f64, seconds: f64, messages: u64) -> Vec<String> {
    let both = micros(cpu + of_database, messages);
    let parts = format!(
        "{both} ({} + {})",
        micros(cpu, messages),
        micros(of_database, messages)
    );
    vec![
        who.to_owned(),
        parts,
        measure::grouped(messages as f64 / seconds),
        sync(),
    ]
}

fn sync() -> String {
    let folder = TempDir::new().expect("a temporary folder can be made");
    format!(
        "{:.2}",
        measure::fdatasync(folder.path()).as_secs_f64() * 1e3
    )
}

/// One awaited transaction a message on the same PostgreSQL.
fn model() -> Vec<String> {
    let database = Database::postgres().url();
    let mut source = Source::start();
    let peer = Peer::start(
        "transaction",
        &source.url(),
        MESSAGES_OF_THE_MODEL,
        &database,
    );
    let before = database_cpu(&database);
    source.tell(&format!("flood {MESSAGES_OF_THE_MODEL}"));
    let took = peer.finish();
    let of_database = database_cpu(&database) - before;
    let figure = |name: &str| took[name].as_f64().expect("a figure");
    let who = "tokio-tungstenite + serde filter + one transaction a message, PostgreSQL";
    row(
        who,
        figure("cpu"),
        of_database,
        figure("seconds"),
        MESSAGES_OF_THE_MODEL,
    )
}

/// A rule answers each message once it is durable.
async fn lone_messages(name: &str, app: &super::TestApp) -> Vec<String> {
    let mut source = Source::start();
    let answer = json!({"conversation": [{
        "on": {"filters": [{"key": "s", "value": "BTCUSDT"}]}, "send": "{\"t\": {{msg.t}}}", "trigger": true
    }]});
    let path = "u/admin/lone";
    app.create_trigger(path, super::SCRIPT, &source.url(), answer)
        .await;
    app.wait_until_listening(path).await;
    let before = committing(app).await;
    let times = source.tell(&format!("pace {} {}", LONE.0, LONE.1));
    let after = committing(app).await;
    let commit = (after.0 - before.0) / (after.1 - before.1) * 1e3;
    let times: Vec<f64> = serde_json::from_value(times["answered"].clone()).expect("times");
    let at = |share| format!("{:.2}", measure::percentile(&times, share));
    vec![
        name.to_owned(),
        format!("{commit:.2}"),
        at(0.5),
        at(0.99),
        sync(),
    ]
}

/// Seconds that messages have waited for their commit so far, and how many messages.
async fn committing(app: &super::TestApp) -> (f64, f64) {
    let metrics = app.get("/metrics").await.expect(200).text;
    let figure = |name: &str| {
        let mut lines = metrics.lines();
        let figure = lines.find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        figure.expect("the histogram is there")
    };
    (
        figure("windsock_message_commit_seconds_sum "),
        figure("windsock_message_commit_seconds_count "),
    )
}
