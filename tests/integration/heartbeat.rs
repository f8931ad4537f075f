//! Texts sent at intervals: what they say, how often, and what happens when nobody answers.

use serde_json::{Value, json};

use crate::harness::{Database, Need, Peer, TestApp, ready};

const SCRIPT: &str = "u/admin/take";
const TRIGGER: &str = "f/beats/one";

/// An interval that never passes in a test.
const NEVER_SECS: u64 = 86_400;

async fn start() -> (TestApp, Peer) {
    let app = TestApp::start(Database::sqlite()).await;
    let content = "export async function main(msg: string) { return msg; }";
    app.create_script(SCRIPT, "nativets", content).await;
    (app, Peer::start().await)
}

async fn create(app: &TestApp, path: &str, url: &str, heartbeat: Value) {
    let more = json!({
        "heartbeat": heartbeat, "reconnect": {"initial_delay_ms": 10, "max_delay_ms": 50},
    });
    app.create_trigger(path, SCRIPT, url, more).await;
}

#[actix::test]
async fn interval_and_state_come_from_messages() {
    if !ready("interval_and_state", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = start().await;
    let heartbeat = json!({
        "interval_secs": NEVER_SECS, "interval_field": "hello.every_ms",
        "message": r#"{"beat":{{state}},"n":{{counter()}}}"#, "state_field": "s",
    });
    create(&app, TRIGGER, &peer.url("/"), heartbeat).await;
    let connection = peer.accept().await;
    peer.send(&connection, &[r#"{"hello":{"every_ms":100}}"#])
        .await;
    let beats = peer.said(&connection, 2).await;
    assert_eq!(beats[0], r#"{"beat":null,"n":1}"#);
    assert_eq!(beats[1], r#"{"beat":null,"n":2}"#);
    peer.send(&connection, &[r#"{"s":"a \"quoted\" state"}"#])
        .await;
    peer.event("a heartbeat with the state", |event| {
        let text = event["text"].as_str().unwrap_or_default();
        text.starts_with(r#"{"beat":"a \"quoted\" state","n":"#)
    })
    .await;
    // The state is what a session is resumed with: it outlives the connection.
    let gone = json!({"do": "drop", "to": connection.number});
    peer.command(gone).await;
    let second = peer.accept().await;
    peer.send(&second, &[r#"{"hello":{"every_ms":100}}"#]).await;
    let beats = peer.said(&second, 1).await;
    assert_eq!(beats[0], r#"{"beat":"a \"quoted\" state","n":1}"#);
}

/// Each message asks for another interval: what has passed of the last one counts.
#[actix::test]
async fn intervals_that_change_with_each_message_hold_no_heartbeat_back() {
    if !ready("changing_intervals", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = start().await;
    let heartbeat = json!({
        "interval_secs": NEVER_SECS, "interval_field": "every_ms", "message": "beat",
    });
    create(&app, TRIGGER, &peer.url("/"), heartbeat).await;
    let connection = peer.accept().await;
    // From 500 ms on, and never the same; longer than the test may take.
    let asks = json!({"texts": [r#"{"every_ms":{n}}"#], "pause_ms": 20});
    peer.stream(&connection, 500..100_000, asks).await;
    peer.said(&connection, 3).await;
}

#[actix::test]
async fn unanswered_heartbeat_closes_with_4000() {
    if !ready("unanswered_heartbeat", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = start().await;
    let expect = json!({"filters": [{"key": "pong", "value": true}], "timeout_secs": 1});
    let heartbeat = |interval_secs: u64| json!({"interval_secs": interval_secs, "message": "ping", "expect": expect});
    create(
        &app,
        "f/beats/rare",
        &peer.url("/rare"),
        heartbeat(NEVER_SECS),
    )
    .await;
    peer.accept().await;
    create(&app, TRIGGER, &peer.url("/often"), heartbeat(1)).await;
    for _ in 0..2 {
        let connection = peer.accept().await;
        assert_eq!(peer.close_code(&connection).await, Some(4000));
    }
    app.wait_for_error(TRIGGER, "no expected message for 1 s")
        .await;
    // Where no heartbeat has been sent yet no answer is missing, however long that takes.
    let paths = peer.connections();
    let rare = paths.iter().filter(|other| other.path == "/rare").count();
    assert_eq!(rare, 1);
    let status = app.status("f/beats/rare").await;
    assert_eq!(status["state"], "listening", "{status}");
}

#[actix::test]
async fn answered_heartbeats_keep_the_connection() {
    if !ready("answered_heartbeats", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = start().await;
    peer.command(json!({"do": "behave", "echo": true})).await;
    let heartbeat = json!({
        "interval_secs": 1, "message": r#"{"pong":true}"#,
        "expect": {"filters": [{"key": "pong", "value": true}], "timeout_secs": 4},
    });
    create(&app, TRIGGER, &peer.url("/"), heartbeat).await;
    let connection = peer.accept().await;
    // More of them than fit into the time one answer may take.
    peer.said(&connection, 6).await;
    assert_eq!(peer.connections().len(), 1);
}

/// Both texts carry windsock's own clock, so that no delay on the way counts.
#[actix::test]
async fn idle_only_heartbeat_waits_for_silence() {
    if !ready("idle_only_heartbeat", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = start().await;
    let more = json!({
        "heartbeat": {"interval_secs": 1, "message": r#"{"beat":{{now_ms()}}}"#, "idle_only": true},
        "conversation": [{
            "on": {"filters": [{"key": "ask", "value": true}]},
            "send": r#"{"answer":{{now_ms()}}}"#, "trigger": false,
        }],
    });
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    let asks = json!({"texts": [r#"{"ask":true,"n":{n}}"#], "pause_ms": 50});
    peer.stream(&connection, 0..50, asks).await;
    let texts = peer.said(&connection, 52).await;
    let sent = |text: &Value| {
        let text: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        let (kind, at) = text.as_object().unwrap().iter().next().unwrap();
        (kind == "beat", at.as_i64().unwrap())
    };
    let texts: Vec<(bool, i64)> = texts.iter().map(sent).collect();
    for pair in texts.windows(2) {
        let ((_, before), (is_beat, at)) = (pair[0], pair[1]);
        let silence = at - before;
        assert!(!is_beat || silence >= 900, "after {silence} ms: {texts:?}");
    }
}
