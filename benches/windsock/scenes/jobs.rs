//! T3: every message becomes a job that runs to its stored result.

use std::time::Instant;

use super::{
    Database, database_cpu, listen, measure, micros, server, symbol, wait_for_counter,
    wait_until_idle,
};
use crate::source::Source;

/// Languages with a script that does next to nothing, and how many messages it gets.
const LANGUAGES: [(&str, &str, u64); 3] = [
    (
        "nativets",
        "export function main(msg: string) { return msg.length }",
        100_000,
    ),
    (
        "python3",
        "def main(msg: str):\n    return len(msg)\n",
        40_000,
    ),
    ("bash", "msg=\"$1\"\necho ${#msg}\n", 4_000),
];

/// Runs the scene.
pub async fn run() {
    let mut rows = Vec::new();
    let slots = std::thread::available_parallelism().map_or(1, usize::from);
    for (language, content, messages) in LANGUAGES {
        for database in [Database::sqlite(), Database::postgres()] {
            let name = if matches!(database, Database::Postgres(_)) {
                "PostgreSQL"
            } else {
                "SQLite"
            };
            let url = database.url();
            let app = server(database, slots).await;
            let mut source = Source::start();
            listen(&app, &source, Some((language, content)), symbol("BTCUSDT")).await;
            source.tell("flood 500");
            wait_for_counter(&app, "enqueued", 500).await;
            wait_until_idle(&app).await;
            let cpu = measure::cpu_of_family(app.process_id()) + database_cpu(&url);
            let start = Instant::now();
            source.tell(&format!("flood {messages}"));
            wait_for_counter(&app, "enqueued", 500 + messages).await;
            wait_until_idle(&app).await;
            let seconds = start.elapsed().as_secs_f64();
            let cpu = measure::cpu_of_family(app.process_id()) + database_cpu(&url) - cpu;
            let rate = measure::grouped(messages as f64 / seconds);
            rows.push(vec![
                language.to_owned(),
                name.to_owned(),
                rate,
                micros(cpu, messages),
            ]);
        }
    }
    measure::table(
        &format!("Messages to finished jobs with stored results, {slots} workers"),
        &[
            "language",
            "database",
            "jobs/s",
            "CPU µs a job (all processes)",
        ],
        &rows,
    );
}
