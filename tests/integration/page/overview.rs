//! The overview: the last hour as charts, also from before the page was opened, and alerts until somebody acknowledges
//! them.

use serde_json::json;

use super::open;
use crate::harness::{Database, Need, Settings, TestApp, ready, wait_for};

const NOWHERE: &str = "ws://127.0.0.1:9/";

#[actix::test]
async fn the_last_hour_and_alerts_are_shown() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let settings = Settings::new().env("ALERT_AFTER_SECS", "1");
    let mut app = TestApp::start_with(Database::sqlite(), settings).await;
    app.create_script("f/a/work", "nativets", "export function main() {}")
        .await;
    for _ in 0..30 {
        app.run_script("f/a/work", &json!({})).await;
    }
    app.create_trigger("f/a/bad", "f/a/work", NOWHERE, json!({}))
        .await;
    wait_for("a step of the last hour has the jobs", async || {
        let stats = app.get("stats").await.expect(200).json();
        let points = stats["points"].as_array().unwrap().iter();
        let jobs: i64 = points.filter_map(|point| point["jobs"].as_i64()).sum();
        (jobs == 30).then_some(()).ok_or(stats.to_string())
    })
    .await;

    let browser = open(&app, "/").await;
    let of = |title: &str| {
        format!("return document.querySelector('section[aria-label=\"{title}\"]').innerText")
    };
    let shows = async |title: &str, part: &str| {
        wait_for(&format!("{title}: {part}"), async || {
            let seen = browser.run(&of(title), vec![]).await;
            let text = seen.as_str().unwrap_or_default();
            text.contains(part).then_some(()).ok_or(text.to_owned())
        })
        .await;
    };
    // Nothing has run since the page was opened: the most is from before.
    shows("Jobs a second", "Most ").await;
    shows("Jobs a second", "· the last").await;
    shows("Alerts", "Alerts (1)").await;
    shows("Alerts", "f/a/bad").await;
    browser.screenshot("overview-alert").await;
    browser.click("Acknowledge all").await;
    browser.see("Acknowledged").await;
    wait_for("the alerts are gone", async || {
        let hidden = "return document.querySelector('section[aria-label=\"Alerts\"]').hidden";
        let hidden = browser.run(hidden, vec![]).await;
        (hidden == true).then_some(()).ok_or(hidden.to_string())
    })
    .await;
    let left = app
        .get("workspaces/critical_alerts?acknowledged=false")
        .await;
    assert_eq!(left.expect(200).json()["total_rows"], 0);
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn how_many_jobs_waited_is_shown_from_before_the_page_was_opened() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let settings = Settings::new().env("NUM_WORKERS", "0");
    let mut app = TestApp::start_with(Database::sqlite(), settings).await;
    app.create_script("f/a/work", "nativets", "export function main() {}")
        .await;
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(app.run_script("f/a/work", &json!({})).await);
    }
    let waited = async |wanted: i64| {
        wait_for(
            &format!("a step in which {wanted} jobs waited"),
            async || {
                let stats = app.get("stats").await.expect(200).json();
                let last = &stats["points"].as_array().unwrap().last();
                let waiting = last.map(|point| point["jobs_waiting"].clone());
                (waiting == Some(json!(wanted)))
                    .then_some(())
                    .ok_or(stats.to_string())
            },
        )
        .await;
    };
    waited(3).await;
    let cancelled = app.post("jobs/queue/cancel_selection", &json!(jobs)).await;
    cancelled.expect(200);
    waited(0).await;
    let browser = open(&app, "/").await;
    let text = "return document.querySelector('section[aria-label=\"Jobs waiting\"]').innerText";
    wait_for("the chart tells of what has been", async || {
        let seen = browser.run(text, vec![]).await;
        let seen = seen.as_str().unwrap_or_default().to_owned();
        seen.contains("Most 3 · the last").then_some(()).ok_or(seen)
    })
    .await;
    browser.close().await;
    app.stop().await;
}
