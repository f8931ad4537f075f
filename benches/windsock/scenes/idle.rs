//! T6 and T7: five thousand connections that say next to nothing, and all of them gone at once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Database, SCRIPT, TestApp, measure, server};
use crate::{harness::app::trigger, source::Source};

const TRIGGERS: u64 = 5_000;

/// How long the connections are looked at, at one message each ten seconds.
const AT_REST: u64 = 30;

/// Runs the scene.
pub async fn run() {
    let mut source = Source::start();
    let mut app = server(Database::sqlite(), 0).await;
    app.create_script(SCRIPT, "nativets", "export function main() {}")
        .await;
    actix_rt::time::sleep(Duration::from_secs(1)).await;
    let empty = measure::resident(app.process_id());
    for n in 0..TRIGGERS {
        let more = json!({"filters": [{"key": "s", "value": "ETHUSDT"}]});
        let body = trigger(&format!("u/admin/idle_{n}"), SCRIPT, &source.url(), more);
        app.post("websocket_triggers/create", &body)
            .await
            .expect(201);
    }
    wait_for(&mut source, TRIGGERS).await;
    app.stop().await;
    wait_for(&mut source, 0).await;
    let start = Instant::now();
    app.start_again().await;
    let ready = start.elapsed();
    wait_for(&mut source, TRIGGERS).await;
    let listening = start.elapsed();
    actix_rt::time::sleep(Duration::from_secs(3)).await;
    let resident = (measure::resident(app.process_id()) - empty) / TRIGGERS as f64;
    let cpu = measure::cpu(app.process_id());
    let began = Instant::now();
    source.tell(&format!("trickle {AT_REST}"));
    let share = (measure::cpu(app.process_id()) - cpu) / began.elapsed().as_secs_f64() * 100.0;
    let (again, p99) = drop_all(&app, &mut source).await;
    measure::table(
        &format!(
            "{} triggers on one process, one connection each",
            measure::grouped(TRIGGERS as f64)
        ),
        &["what", "figure"],
        &[
            vec![
                "start of the process → API answers".into(),
                format!("{:.2} s", ready.as_secs_f64()),
            ],
            vec![
                "start of the process → all listen".into(),
                format!("{:.2} s", listening.as_secs_f64()),
            ],
            vec![
                "resident memory each, above the empty server".into(),
                format!("{resident:.1} KiB"),
            ],
            vec![
                "CPU at one message each 10 s on every connection".into(),
                format!("{share:.2} %"),
            ],
            vec![
                "all dropped at once → all listen again".into(),
                format!("{again:.2} s"),
            ],
            vec![
                "another trigger's answer meanwhile, p99".into(),
                format!("{p99:.1} ms"),
            ],
        ],
    );
}

async fn wait_for(source: &mut Source, connections: u64) {
    let deadline = Instant::now() + super::PATIENCE;
    while source.count() != connections {
        assert!(
            Instant::now() < deadline,
            "{} connections, not {connections}",
            source.count()
        );
        actix_rt::time::sleep(super::LOOK_AGAIN).await;
    }
}

/// Seconds until all are back, and the answers of a trigger with a server of its own meanwhile.
async fn drop_all(app: &TestApp, source: &mut Source) -> (f64, f64) {
    let mut other = Source::start();
    let more = json!({"conversation": [{
        "on": {"filters": [{"key": "s", "value": "BTCUSDT"}]}, "send": "{\"t\": {{msg.t}}}", "trigger": false
    }]});
    app.create_trigger("u/admin/other", SCRIPT, &other.url(), more)
        .await;
    app.wait_until_listening("u/admin/other").await;
    let meanwhile = std::thread::spawn(move || other.tell("pace 100 1000"));
    let start = Instant::now();
    // Some are back before the last one is gone.
    let all_anew = source.accepted() + TRIGGERS;
    source.tell("drop");
    while source.accepted() < all_anew {
        assert!(start.elapsed() < super::PATIENCE, "not all come back");
        actix_rt::time::sleep(super::LOOK_AGAIN).await;
    }
    wait_for(source, TRIGGERS).await;
    let again = start.elapsed().as_secs_f64();
    let times: Value = meanwhile.join().expect("the other source answers");
    let times: Vec<f64> = serde_json::from_value(times["answered"].clone()).expect("times");
    (again, measure::percentile(&times, 0.99))
}
