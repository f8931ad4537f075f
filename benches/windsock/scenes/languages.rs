//! What each language costs: its start warm and cold, its jobs a second on one slot, its memory.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Database, SCRIPT, listen, measure, server, symbol, wait_for_counter, wait_until_idle};
use crate::{harness::process::in_path, source::Source};

/// Language, the program it needs, a script that says when it began, and how many messages it gets.
const LANGUAGES: [(&str, Option<&str>, &str, u64); 5] = [
    ("nativets", None, TYPESCRIPT, 50_000),
    ("python3", Some("python3"), PYTHON, 20_000),
    ("bash", Some("bash"), BASH, 2_000),
    ("bun", Some("bun"), TYPESCRIPT, 20_000),
    ("deno", Some("deno"), TYPESCRIPT, 20_000),
];
const TYPESCRIPT: &str = "export function main(msg: string) { const start = Date.now();
    return { t: JSON.parse(msg).t, start } }";
const PYTHON: &str = "import time\ndef main(msg: str):\n    start = time.time_ns() / 1e6\n    import json\n    \
    return {'t': json.loads(msg)['t'], 'start': start}\n";
const BASH: &str = "start=$EPOCHREALTIME\nmsg=\"$1\"\nt=${msg#*\\\"t\\\":}\nus=${start/[.,]/}\n\
    echo \"{\\\"t\\\": ${t%%,*}, \\\"start\\\": ${us%???}.${us: -3}}\"\n";

/// Runs the scene.
pub async fn run() {
    let mut rows = Vec::new();
    for (language, program, content, messages) in LANGUAGES {
        if let Some(program) = program
            && in_path(program).is_none()
        {
            println!("skipped: {language}: {program} is not in PATH");
            continue;
        }
        rows.push(row(language, program, content, messages).await);
    }
    measure::table(
        "Languages, one slot, SQLite",
        &[
            "language",
            "needs",
            "first line warm p50 ms",
            "cold p50 ms",
            "jobs/s on one slot",
            "MiB a runner",
        ],
        &rows,
    );
}

async fn row(language: &str, program: Option<&str>, content: &str, messages: u64) -> Vec<String> {
    let app = server(Database::sqlite(), 1).await;
    let mut source = Source::start();
    let mut more = symbol("BTCUSDT");
    more["can_return_message"] = json!(true);
    let before = measure::resident(app.process_id());
    listen(&app, &source, Some((language, content)), more).await;
    source.tell("pace 50 20");
    let warm = median(&source.tell("pace 20 100"));
    let memory = match program {
        Some(_) => measure::resident_of_children(app.process_id()),
        None => measure::resident(app.process_id()) - before,
    };
    let start = Instant::now();
    source.tell(&format!("flood {messages}"));
    wait_for_counter(&app, "enqueued", 120 + messages).await;
    wait_until_idle(&app).await;
    let rate = measure::grouped(messages as f64 / start.elapsed().as_secs_f64());
    app.create_script_with(
        SCRIPT,
        language,
        content,
        &json!({"dedicated_worker": false, "auto_parent": true}),
    )
    .await;
    source.tell("pace 2 2");
    let cold = median(&source.tell("pace 4 30"));
    vec![
        language.to_owned(),
        program.unwrap_or("nothing").to_owned(),
        warm,
        cold,
        rate,
        format!("{:.1}", memory / 1024.0),
    ]
}

fn median(times: &Value) -> String {
    let began: Vec<f64> = serde_json::from_value(times["began"].clone()).unwrap_or_default();
    format!("{:.2}", measure::percentile(&began, 0.5))
}
