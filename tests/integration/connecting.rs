//! What may go wrong before a trigger listens, and how it gets there in the end.

use serde_json::json;

use crate::harness::{
    Database, Need, Peer, Settings, TestApp, app::trigger, footprint::sockets_to,
    on_both_databases, ready, wait_for,
};

on_both_databases!(
    needs: [Need::Peer],
    tests: [
        url_runnable_that_fails_is_run_again,
        without_a_worker_it_says_what_it_waits_for,
    ]
);

const SCRIPT: &str = "u/admin/take";
const TRIGGER: &str = "f/ways/one";

async fn app(database: Database) -> TestApp {
    let app = TestApp::start(database).await;
    let content = "export async function main(msg: string) { return msg; }";
    app.create_script(SCRIPT, "nativets", content).await;
    app
}

fn quick() -> serde_json::Value {
    json!({"reconnect": {"initial_delay_ms": 10, "max_delay_ms": 50}})
}

async fn url_runnable_that_fails_is_run_again(database: Database) {
    let (app, mut peer) = (app(database).await, Peer::start().await);
    app.create_trigger(TRIGGER, SCRIPT, "$script:u/admin/url", quick())
        .await;
    app.wait_for_error(TRIGGER, "u/admin/url").await;
    let mut parent = None;
    for (body, error) in [
        ("throw new Error('no ticket left')", "no ticket left"),
        ("return null", "url: u/admin/url returned null"),
        (
            "return {url: 1}",
            "url: u/admin/url must return the URL as a string",
        ),
        (
            "return 5",
            "url: u/admin/url must return the URL as a string",
        ),
        ("return 'https://example.com'", "url: must start with ws://"),
    ] {
        let content = format!("export async function main() {{ {body}; }}");
        let more = json!({"parent_hash": parent});
        let saved = app
            .create_script_with("u/admin/url", "nativets", &content, &more)
            .await;
        parent = Some(saved);
        app.wait_for_error(TRIGGER, error).await;
    }
    let content = format!(
        "export async function main() {{ return {:?}; }}",
        peer.url("/found")
    );
    let more = json!({"parent_hash": parent});
    app.create_script_with("u/admin/url", "nativets", &content, &more)
        .await;
    assert_eq!(peer.accept().await.path, "/found");
    let status = app.wait_until_listening(TRIGGER).await;
    assert_eq!(status["error"], serde_json::Value::Null, "{status}");
}

async fn without_a_worker_it_says_what_it_waits_for(database: Database) {
    let settings = Settings::new().env("NUM_WORKERS", "0");
    let mut app = TestApp::start_with(database, settings).await;
    let mut peer = Peer::start().await;
    let content = format!(
        "export async function main() {{ return {:?}; }}",
        peer.url("/found")
    );
    app.create_script("u/admin/url", "nativets", &content).await;
    app.create_trigger(TRIGGER, SCRIPT, "$script:u/admin/url", quick())
        .await;
    let status = app.wait_for_error(TRIGGER, "waits for u/admin/url").await;
    assert_eq!(status["state"], "connecting", "{status}");
    let mut more = quick();
    more["initial_messages"] =
        json!([{"runnable_result": {"path": "u/admin/url", "args": {}, "is_flow": false}}]);
    let first = "f/connecting/first_message";
    app.create_trigger(first, SCRIPT, &peer.url("/"), more)
        .await;
    app.wait_for_error(first, "initial_messages[0]: waits for u/admin/url")
        .await;
    app.stop().await;
    app.start_again_with(Settings::new()).await;
    peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
}

#[actix::test]
async fn failing_first_message_closes_and_says_which() {
    if !ready("failing_first_message", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (app(Database::sqlite()).await, Peer::start().await);
    let fail = "export async function main() { throw new Error('no token today'); }";
    app.create_script("u/admin/token", "nativets", fail).await;
    let mut more = quick();
    more["initial_messages"] = json!([
        {"raw_message": "hello"},
        {"runnable_result": {"path": "u/admin/token", "args": {}, "is_flow": false}},
    ]);
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    assert_eq!(peer.said(&connection, 1).await, ["hello"]);
    assert_eq!(peer.close_code(&connection).await, Some(1000));
    // While the next attempt waits for the same message, its error names it as well.
    let status = app.wait_for_error(TRIGGER, "no token today").await;
    let error = status["error"].as_str().unwrap();
    assert!(error.contains("initial_messages[1]"), "{error}");
}

#[actix::test]
async fn awaited_message_that_does_not_come_is_a_failed_attempt() {
    if !ready("awaited_message", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (app(Database::sqlite()).await, Peer::start().await);
    let mut more = quick();
    let filters = json!([{"key": "type", "value": "hello"}]);
    more["initial_messages"] = json!([{"await_message": {"filters": filters, "timeout_secs": 1}}]);
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    // Another message is not the one, and is a job all the same.
    peer.send(&connection, &[r#"{"type":"other"}"#]).await;
    let what = "initial_messages[0]: no such message within 1 s";
    app.wait_for_error(TRIGGER, what).await;
    assert_eq!(peer.close_code(&connection).await, Some(1000));
    let greet = json!({"do": "behave", "greet": [r#"{"type":"hello"}"#]});
    peer.command(greet).await;
    let status = app.wait_until_listening(TRIGGER).await;
    assert_eq!(status["error"], serde_json::Value::Null, "{status}");
    app.wait_for_status(TRIGGER, "jobs", |s| s["enqueued"].as_u64() >= Some(2))
        .await;
}

#[actix::test]
async fn attempts_to_one_host_wait_their_turn() {
    if !ready("connect_rate", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (app(Database::sqlite()).await, Peer::start().await);
    // One in 100 s: however slow the machine, the second one has to wait while this test looks.
    let slow = json!({"connect_rate": 0.01});
    for path in ["f/ways/first", "f/ways/second"] {
        let url = peer.url(&format!("/{path}"));
        app.create_trigger(path, SCRIPT, &url, slow.clone()).await;
        // Whose turn is first is not said when both begin at once.
        if path == "f/ways/first" {
            app.wait_until_listening(path).await;
        }
    }
    let status = app.wait_for_error("f/ways/second", "turn").await;
    assert_eq!(status["state"], "connecting", "{status}");
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/unlimited"), json!({}))
        .await;
    app.wait_until_listening(TRIGGER).await;
    let paths = [peer.accept().await.path, peer.accept().await.path];
    assert_eq!(paths, ["/f/ways/first", "/unlimited"]);
    // An edit of where it goes begins anew, now without a limit.
    let body = trigger("f/ways/second", SCRIPT, &peer.url("/edited"), json!({}));
    app.post("websocket_triggers/update/f/ways/second", &body)
        .await
        .expect(200);
    assert_eq!(peer.accept().await.path, "/edited");
}

/// An edit may come in the very moment in which an attempt begins or succeeds.
#[actix::test]
async fn edits_during_attempts_leave_one_connection() {
    if !ready("edits_during_attempts", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (app(Database::sqlite()).await, Peer::start().await);
    let more = json!({"reconnect": {"initial_delay_ms": 10, "max_delay_ms": 10}});
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/0"), more.clone())
        .await;
    for edit in 1..=60 {
        let refuse = json!({"status": 503, "times": 2});
        peer.command(json!({"do": "behave", "refuse": refuse}))
            .await;
        let body = trigger(
            TRIGGER,
            SCRIPT,
            &peer.url(&format!("/{edit}")),
            more.clone(),
        );
        app.post(&format!("websocket_triggers/update/{TRIGGER}"), &body)
            .await
            .expect(200);
    }
    peer.event("the last edit is followed", |event| {
        event["event"] == "accepted" && event["path"] == "/60"
    })
    .await;
    app.wait_until_listening(TRIGGER).await;
    wait_for("one connection is left", async || {
        let sockets = sockets_to(app.pid(), peer.port());
        (sockets == 1).then_some(()).ok_or(format!("{sockets} are"))
    })
    .await;
}

/// Only what the connection is made from makes a new one; how large a message may be counts at once.
#[actix::test]
async fn edits_of_the_message_limit_keep_the_connection() {
    if !ready("connecting::edits_of_the_message_limit", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (app(Database::sqlite()).await, Peer::start().await);
    let mut more = quick();
    more["max_message_bytes"] = 1_000.into();
    more["filters"] = json!([{"key": "never", "value": true}]);
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more.clone())
        .await;
    let connection = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    let update = format!("websocket_triggers/update/{TRIGGER}");
    more["max_message_bytes"] = 5_000.into();
    more["filters"] = json!([]);
    app.post(&update, &trigger(TRIGGER, SCRIPT, &peer.url("/"), more))
        .await
        .expect(200);
    // That the edit counts is seen by its filters.
    wait_for("the edit counts", async || {
        peer.send(&connection, &["small"]).await;
        let status = app.status(TRIGGER).await;
        let counts = status["enqueued"].as_u64() >= Some(1);
        counts.then_some(()).ok_or(status.to_string())
    })
    .await;
    let large = json!({"do": "send_big", "to": connection.number, "bytes": 4_000});
    peer.command(large).await;
    wait_for("the large one is enqueued", async || {
        let jobs = app.jobs("include_args=true").await;
        let large = |job: &serde_json::Value| {
            job["args"]["msg"]
                .as_str()
                .is_some_and(|text| text.len() == 4_000)
        };
        let there = jobs.iter().any(large);
        there.then_some(()).ok_or(format!("{} jobs", jobs.len()))
    })
    .await;
    assert_eq!(peer.connections().len(), 1);
}
