//! The database goes away while messages flow, and comes back: no restart, no new connection, nothing lost or doubled.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use super::one_job_each;
use crate::harness::{Cluster, Need, Peer, Settings, TestApp, all, ready, wait_for};

const SCRIPT: &str = "u/admin/number";
const TRIGGER: &str = "f/faults/away";
const NUMBER: &str = "export async function main(msg: string) { return JSON.parse(msg).n; }";

/// Longer than a lease; with `--all` the minute of the promise (contract §5).
fn away() -> Duration {
    Duration::from_secs(if all() { 60 } else { 5 })
}

/// More than may wait for its commit (10,000), so that in the end the socket is not read any more.
const MESSAGES: u64 = 12_000;

/// Ends its sessions first.
#[actix::test]
async fn the_database_stops_and_starts() {
    if ready("faults::the_database_stops_and_starts", NEEDS) {
        goes_and_comes(Signal::SIGINT).await;
    }
}

/// Recovers from its log when it starts.
#[actix::test]
async fn the_database_crashes_and_starts() {
    if ready("faults::the_database_crashes_and_starts", NEEDS) {
        goes_and_comes(Signal::SIGQUIT).await;
    }
}

const NEEDS: &[Need] = &[Need::Peer, Need::Postgres];

async fn goes_and_comes(how: Signal) {
    let cluster = Cluster::start();
    let mut app = TestApp::start(cluster.database()).await;
    let mut peer = Peer::start().await;
    app.create_script(SCRIPT, "nativets", NUMBER).await;
    let kept =
        json!([{"on": {"filters": [{"key": "ask", "value": true}]}, "send": "{{msg.n}} is kept"}]);
    app.create_trigger(
        TRIGGER,
        SCRIPT,
        &peer.url("/"),
        json!({"conversation": kept}),
    )
    .await;
    let connection = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    let plain = r#"{"n":{n}}"#;
    peer.stream(&connection, 0..100, json!({"texts": [plain]}))
        .await;
    app.wait_for_status(TRIGGER, "the first are kept", |s| s["enqueued"] == 100)
        .await;

    let stream = json!({"texts": [plain], "pause_ms": 0.2});
    peer.stream(&connection, 100..MESSAGES, stream).await;
    cluster.go_away(how);
    wait_for("its health says so", async || {
        let health = app.get("/api/health/status").await;
        (health.status == 503).then_some(()).ok_or(health.text)
    })
    .await;
    // What is tested is this long.
    actix::clock::sleep(away()).await;
    let streamed = peer.events("streamed");
    println!("while the database is away: {streamed:?}");
    cluster.come_back().await;
    // A question behind everything else: its answer says that all before it are committed, too.
    peer.event("all have been sent", |event| {
        event["event"] == "streamed" && event["next"] == MESSAGES
    })
    .await;
    peer.send(
        &connection,
        &[json!({"n": MESSAGES, "ask": true}).to_string()],
    )
    .await;
    let answer = peer.said(&connection, 1).await;
    assert_eq!(answer, [json!(format!("{MESSAGES} is kept"))]);
    let status = app.status(TRIGGER).await;
    assert_eq!(
        (&status["enqueued"], &status["attempts"], &status["state"]),
        (&json!(MESSAGES + 1), &json!(0), &json!("listening")),
        "{status}"
    );
    assert_eq!(peer.connections().len(), 1);
    one_job_each(&app, 0..MESSAGES + 1).await;
    app.stop().await;
}

/// Jobs that were claimed ahead and could not be given back while the database was away do not stay where they are.
#[actix::test]
async fn what_was_claimed_ahead_runs_when_the_database_is_back() {
    let name = "faults::what_was_claimed_ahead_runs_when_the_database_is_back";
    if !ready(name, NEEDS) {
        return;
    }
    let cluster = Cluster::start();
    let workers = |count: &str| Settings::new().env("NUM_WORKERS", count);
    let mut app = TestApp::start_with(cluster.database(), workers("0")).await;
    let script = "export async function main(n: number) { if (n === 30) await new Promise(r => setTimeout(r, 8000)); return n; }";
    app.create_script(SCRIPT, "nativets", script).await;
    // The quick ones make the worker look ahead; behind them one takes its time, and holds up what was claimed with it.
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(app.run_script(SCRIPT, &json!({"n": n})).await);
    }
    app.stop().await;
    app.start_again_with(workers("1")).await;
    wait_for("the long one runs", async || {
        let job = app
            .get(&format!("jobs_u/get/{}", ids[30]))
            .await
            .expect(200);
        (job.json()["running"] == true)
            .then_some(())
            .ok_or(job.text)
    })
    .await;
    cluster.go_away(Signal::SIGINT);
    // Longer than a job may wait for the worker that has claimed it.
    actix::clock::sleep(Duration::from_secs(3)).await;
    cluster.come_back().await;
    for (n, id) in ids.iter().enumerate() {
        let job = app.wait_for_job(id).await;
        assert_eq!(job["result"], n, "{job}");
    }
    app.stop().await;
}

/// Also a server that cannot commit what it has read says goodbye, and ends by itself (contract §2).
#[actix::test]
async fn a_server_stops_while_the_database_is_away() {
    let name = "faults::a_server_stops_while_the_database_is_away";
    if !ready(name, NEEDS) {
        return;
    }
    let cluster = Cluster::start();
    let mut app = TestApp::start(cluster.database()).await;
    let mut peer = Peer::start().await;
    app.create_script(SCRIPT, "nativets", NUMBER).await;
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), json!({}))
        .await;
    let connection = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    // Some of them are read and not committed when it goes.
    let stream = json!({"texts": [r#"{"n":{n}}"#], "pause_ms": 1});
    peer.stream(&connection, 0..1_000_000, stream).await;
    app.wait_for_status(TRIGGER, "messages flow", |s| {
        s["enqueued"].as_u64() > Some(100)
    })
    .await;
    cluster.go_away(Signal::SIGQUIT);
    wait_for("its health says so", async || {
        let health = app.get("/api/health/status").await;
        (health.status == 503).then_some(()).ok_or(health.text)
    })
    .await;
    app.stop().await;
    assert_eq!(peer.close_code(&connection).await, Some(1001));
    cluster.come_back().await;
}

/// A close code says `disable` while nobody can write it down.
#[actix::test]
async fn a_trigger_that_is_to_be_disabled_while_the_database_is_away_is_disabled_after() {
    let name = "faults::a_trigger_that_is_to_be_disabled_while_the_database_is_away";
    if !ready(name, NEEDS) {
        return;
    }
    let cluster = Cluster::start();
    let mut app = TestApp::start(cluster.database()).await;
    let mut peer = Peer::start().await;
    app.create_script(SCRIPT, "nativets", NUMBER).await;
    let more = json!({"on_close": {"4004": "disable"}});
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    cluster.go_away(Signal::SIGQUIT);
    wait_for("its health says so", async || {
        let health = app.get("/api/health/status").await;
        (health.status == 503).then_some(()).ok_or(health.text)
    })
    .await;
    peer.close(&connection, 4004, "bad token").await;
    wait_for("it cannot be written", async || {
        let output = app.output();
        let said = output.contains("not disabled yet");
        said.then_some(()).ok_or(output)
    })
    .await;
    cluster.come_back().await;
    wait_for("it is disabled", async || {
        let answer = app.get(&format!("websocket_triggers/get/{TRIGGER}")).await;
        let disabled = answer.status == 200 && answer.json()["mode"] == "disabled";
        disabled.then_some(()).ok_or(answer.text)
    })
    .await;
    assert_eq!(peer.connections().len(), 1);
    app.stop().await;
}
