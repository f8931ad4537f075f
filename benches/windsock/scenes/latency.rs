//! T4 and T5: how soon a warm script starts and how soon its answer is back on the socket, also beside scripts that
//! take all they can.

use serde_json::{Value, json};

use super::{Database, TRIGGER, TestApp, listen, measure, server, symbol, wait_for_counter};
use crate::source::Source;

/// Messages a second, and how many of them.
const PACE: (u64, u64) = (1_000, 20_000);

/// Answers with the message's number and the moment its first line ran (in TypeScript to the millisecond).
const ANSWERING: [(&str, &str); 2] = [
    (
        "nativets",
        "export function main(msg: string) { const start = Date.now();
         return { t: JSON.parse(msg).t, start } }",
    ),
    (
        "python3",
        "import time\ndef main(msg: str):\n    start = time.time_ns() / 1e6\n    import json\n    \
         return {'t': json.loads(msg)['t'], 'start': start}\n",
    ),
];

/// Burns a core, fills its memory and its log, and starts all over in as many processes as it may.
const BOMB: &str = "import os\ndef main():\n    for _ in range(50):\n        try:\n            os.fork()\n        except OSError:\n            break\n    data = []\n    while True:\n        data.append('x' * 1000000)\n        print('y' * 1000)\n";

/// Runs the scene.
pub async fn run() {
    let mut rows = Vec::new();
    for (language, content) in ANSWERING {
        let app = server(Database::sqlite(), 2).await;
        let mut source = Source::start();
        let mut more = symbol("BTCUSDT");
        more["can_return_message"] = json!(true);
        listen(&app, &source, Some((language, content)), more).await;
        source.tell("pace 100 200");
        let times = source.tell(&format!("pace {} {}", PACE.0, PACE.1));
        rows.push(row(language, &times));
    }
    rows.extend(beside_bombs().await);
    measure::table(
        &format!("Latency at {} messages/s, SQLite, 2 workers", PACE.0),
        &[
            "what",
            "first line p50 ms",
            "p99 ms",
            "answer p50 ms",
            "p99 ms",
            "answered",
        ],
        &rows,
    );
}

fn row(what: &str, times: &Value) -> Vec<String> {
    let list =
        |name: &str| serde_json::from_value::<Vec<f64>>(times[name].clone()).unwrap_or_default();
    let (began, answered) = (list("began"), list("answered"));
    let at = |list: &[f64], share| match list {
        [] => "–".to_owned(),
        list => format!("{:.2}", measure::percentile(list, share)),
    };
    vec![
        what.to_owned(),
        at(&began, 0.5),
        at(&began, 0.99),
        at(&answered, 0.5),
        at(&answered, 0.99),
        answered.len().to_string(),
    ]
}

/// Messages become durable and are answered while two workers run nothing but bombs.
async fn beside_bombs() -> Vec<Vec<String>> {
    let app = server(Database::sqlite(), 2).await;
    let mut source = Source::start();
    let more = json!({"conversation": [{
        "on": {"filters": [{"key": "s", "value": "BTCUSDT"}]}, "send": "{\"t\": {{msg.t}}}", "trigger": true
    }]});
    listen(&app, &source, None, more).await;
    source.tell("pace 100 200");
    let quiet = source.tell("pace 200 2000");
    app.create_script_with("u/admin/bomb", "python3", BOMB, &json!({"timeout": 5}))
        .await;
    for _ in 0..12 {
        app.run_script("u/admin/bomb", &json!({})).await;
    }
    wait_until_running(&app).await;
    let loud = source.tell("pace 200 2000");
    wait_for_counter(&app, "received", 4_200).await;
    let dropped = app.status(TRIGGER).await["dropped"].clone();
    assert_eq!(
        dropped["too_large"], 0,
        "nothing is lost beside a bomb: {dropped}"
    );
    vec![
        row("durable and answered by a rule, 200/s, quiet", &quiet),
        row(
            "durable and answered by a rule, 200/s, beside script bombs",
            &loud,
        ),
    ]
}

async fn wait_until_running(app: &TestApp) {
    crate::harness::wait_for("a bomb runs", async || {
        let running = app
            .jobs("script_path_exact=u/admin/bomb&running=true")
            .await;
        if running.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
}
