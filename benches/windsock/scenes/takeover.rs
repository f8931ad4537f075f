//! T8: two servers on one PostgreSQL share their triggers; one is killed.

use std::time::{Duration, Instant};

use super::{Database, SCRIPT, measure, server};
use crate::{harness::app::trigger, source::Source};

const TRIGGERS: u64 = 200;

/// Runs the scene.
pub async fn run() {
    let url = Database::postgres().url();
    let mut source = Source::start();
    let first = server(Database::Postgres(url.clone()), 0).await;
    let mut second = server(Database::Postgres(url), 0).await;
    first
        .create_script(SCRIPT, "nativets", "export function main() {}")
        .await;
    for n in 0..TRIGGERS {
        let body = trigger(
            &format!("u/admin/shared_{n}"),
            SCRIPT,
            &source.url(),
            serde_json::json!({}),
        );
        first
            .post("websocket_triggers/create", &body)
            .await
            .expect(201);
    }
    // Until the two have shared them out and nothing moves any more.
    let mut settled = Instant::now();
    let mut last = source.count();
    while last != TRIGGERS || settled.elapsed() < Duration::from_secs(10) {
        actix_rt::time::sleep(Duration::from_millis(50)).await;
        let count = source.count();
        if count != last {
            (last, settled) = (count, Instant::now());
        }
    }
    second.kill();
    let start = Instant::now();
    let mut gone = 0;
    loop {
        let count = source.count();
        gone = gone.max(TRIGGERS.saturating_sub(count));
        if count == TRIGGERS && gone > 0 {
            break;
        }
        assert!(
            start.elapsed() < super::PATIENCE,
            "{count} of {TRIGGERS} listen; {gone} were lost"
        );
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
    let took = format!("{:.2} s", start.elapsed().as_secs_f64());
    measure::table(
        "Two servers, one killed (SIGKILL)",
        &["triggers that lost their server", "all listen again after"],
        &[vec![format!("{gone} of {TRIGGERS}"), took]],
    );
}
