//! What operators rely on: ended jobs go, metrics and curves tell what happens, failing triggers raise alerts.

use serde_json::{Value, json};

use crate::harness::{Database, Peer, Settings, TestApp, on_both_databases, wait_for};

const SCRIPT: &str = "u/admin/work";
const TRIGGER: &str = "f/operations/one";

async fn script(app: &TestApp) {
    let content = "export async function main(msg: string) { console.log('seen'); return msg; }";
    app.create_script(SCRIPT, "nativets", content).await;
}

on_both_databases!(needs: [], tests: [ended_jobs_go_when_there_are_enough]);

async fn ended_jobs_go_when_there_are_enough(database: Database) {
    let mut app = TestApp::start(database).await;
    script(&app).await;
    let mut ids = Vec::new();
    for number in 0..12 {
        let id = app.run_script(SCRIPT, &json!({ "msg": number })).await;
        app.wait_for_job(&id).await;
        ids.push(id);
    }
    app.stop().await;
    // The first look is taken at the start.
    app.start_again_with(Settings::new().env("JOB_RETENTION_COUNT", "5"))
        .await;
    wait_for("five jobs are left", async || {
        let left = app.completed("").await.len();
        (left == 5).then_some(()).ok_or(format!("{left} jobs"))
    })
    .await;
    for (number, id) in ids.iter().enumerate() {
        let status = if number < 7 { 404 } else { 200 };
        app.get(&format!("jobs_u/completed/get/{id}"))
            .await
            .expect(status);
        let logs = app.get(&format!("jobs_u/get_logs/{id}")).await;
        assert_eq!(logs.status, status, "the log of job {number}");
    }
    app.stop().await;
}

/// The value of a metric, with its labels as they are written.
fn value(text: &str, metric: &str) -> f64 {
    let line = text.lines().find_map(|line| {
        let rest = line.strip_prefix(metric)?;
        rest.strip_prefix(' ')
    });
    let line = line.unwrap_or_else(|| panic!("no {metric} in\n{text}"));
    line.parse().unwrap()
}

on_both_databases!(needs: [Need::Peer], tests: [metrics_and_the_last_hour_tell_what_happens]);

async fn metrics_and_the_last_hour_tell_what_happens(database: Database) {
    let mut app = TestApp::start(database).await;
    let mut peer = Peer::start().await;
    script(&app).await;
    let more = json!({"filters": [{"key": "k", "value": 1}]});
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    peer.send(&connection, &[r#"{"k":1}"#, r#"{"k":2}"#, r#"{"k":1}"#])
        .await;
    wait_for("the jobs are done", async || {
        let done = app.completed("").await.len();
        (done == 2).then_some(()).ok_or(format!("{done} jobs"))
    })
    .await;
    let answer = app.get("/metrics").await.expect(200);
    assert!(answer.content_type.starts_with("text/plain; version=0.0.4"));
    let text = answer.text;
    for (metric, wanted) in [
        ("windsock_messages_received_total", 3.0),
        (
            r#"windsock_message_verdicts_total{verdict="unmatched"}"#,
            1.0,
        ),
        ("windsock_messages_enqueued_total", 2.0),
        (
            r#"windsock_job_runs_total{language="nativets",outcome="success"}"#,
            2.0,
        ),
        ("windsock_job_seconds_count", 2.0),
        (r#"windsock_triggers{state="listening"}"#, 1.0),
        ("windsock_database_up", 1.0),
        ("windsock_queue_ready", 0.0),
    ] {
        assert_eq!(value(&text, metric), wanted, "{metric}");
    }
    assert!(value(&text, "windsock_commits_total") >= 2.0);
    // Nothing in it names anything.
    assert!(!text.contains(TRIGGER) && !text.contains(SCRIPT), "{text}");

    let points = wait_for("a step of the curve with the jobs", async || {
        let stats = app.get("stats").await.expect(200).json();
        let points = stats["points"].as_array().unwrap().clone();
        let jobs: i64 = points
            .iter()
            .filter_map(|point| point["jobs"].as_i64())
            .sum();
        (jobs == 2).then_some(points).ok_or(stats.to_string())
    })
    .await;
    let sum = |name: &str| -> i64 { points.iter().filter_map(|p| p[name].as_i64()).sum() };
    assert_eq!((sum("messages"), sum("failures")), (3, 0));
    assert_eq!(points.last().unwrap()["connections"], 1);
    app.stop().await;
}

on_both_databases!(needs: [Need::Peer], tests: [a_trigger_that_fails_for_long_raises_an_alert]);

async fn a_trigger_that_fails_for_long_raises_an_alert(database: Database) {
    let settings = Settings::new().env("ALERT_AFTER_SECS", "1");
    let mut app = TestApp::start_with(database, settings).await;
    let mut peer = Peer::start().await;
    script(&app).await;
    let (url, more) = (
        peer.url("/"),
        json!({"reconnect": {"initial_delay_ms": 50, "max_delay_ms": 200}}),
    );
    peer.kill();
    app.create_trigger(TRIGGER, SCRIPT, &url, more).await;
    let alerts = async |kind: &str| {
        let what = format!("an alert {kind}");
        wait_for(&what, async || {
            let page = app.get("workspaces/critical_alerts").await.expect(200);
            let page = page.json();
            let first = page["alerts"][0].clone();
            let is_so = first["alert_type"] == kind;
            is_so.then_some(page.clone()).ok_or(page.to_string())
        })
        .await
    };
    let page = alerts("critical_error").await;
    assert_eq!(
        (&page["total_rows"], &page["total_pages"]),
        (&json!(1), &json!(1))
    );
    let alert = &page["alerts"][0];
    assert_eq!(alert["workspace_id"], "main");
    assert_eq!(alert["acknowledged"], false);
    let message = alert["message"].as_str().unwrap();
    assert!(message.contains(TRIGGER), "{message}");
    let acknowledge = format!("workspaces/critical_alerts/{}/acknowledge", alert["id"]);
    app.post(&acknowledge, &Value::Null).await.expect(200);
    let left = app
        .get("workspaces/critical_alerts?acknowledged=false")
        .await
        .json();
    assert_eq!(left["total_rows"], 0);
    app.post(
        "workspaces/critical_alerts/999999/acknowledge",
        &Value::Null,
    )
    .await
    .expect(404);

    peer.start_again().await;
    let page = alerts("recovered_critical_error").await;
    assert_eq!(page["total_rows"], 2);
    let all = app.get("/api/settings/critical_alerts").await.expect(200);
    assert_eq!(all.json()["total_rows"], 2);
    app.stop().await;
}
