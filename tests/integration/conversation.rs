//! What windsock says by itself: initial messages, rules, stored values, and what a close code means.

use serde_json::json;

use crate::harness::{Database, Need, Peer, TestApp, app::trigger, ready, wait_for};

const SCRIPT: &str = "u/admin/take";
const TRIGGER: &str = "f/talks/one";

async fn app() -> TestApp {
    let app = TestApp::start(Database::sqlite()).await;
    let content = "export async function main(msg: string) { return msg; }";
    app.create_script(SCRIPT, "nativets", content).await;
    app
}

#[actix::test]
async fn initial_messages_wait_for_each_other() {
    if !ready("initial_messages", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (app().await, Peer::start().await);
    let token = "export async function main(user: string) { return {token: user}; }";
    app.create_script("u/admin/token", "nativets", token).await;
    let more = json!({"initial_messages": [
        {"raw_message": "\"hi\""},
        {"await_message": {"filters": [{"key": "type", "value": "hello"}]}},
        {"runnable_result": {"path": "u/admin/token", "args": {"user": "me"}, "is_flow": false}},
    ]});
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    assert_eq!(peer.said(&connection, 1).await, ["hi"]);
    assert_ne!(app.status(TRIGGER).await["state"], "listening");
    peer.send(&connection, &[r#"{"type":"hello"}"#]).await;
    let texts = peer.said(&connection, 2).await;
    assert_eq!(texts, ["hi", r#"{"token":"me"}"#]);
    app.wait_until_listening(TRIGGER).await;
}

#[actix::test]
async fn stored_values_survive_a_restart_and_a_reset_forgets_them() {
    if !ready("stored_values", &[Need::Peer]) {
        return;
    }
    let (mut app, mut peer) = (app().await, Peer::start().await);
    let more = json!({
        "initial_messages": [{"raw_message": r#"{"after":{{vars.seq}}}"#}],
        "conversation": [{
            "on": {"filters": [{"key": "t", "value": "event"}]},
            "set": {"seq": "seq"}, "send": r#"{"id":{{counter()}},"ack":{{msg.seq}}}"#,
        }],
        "on_close": {"4009": "reset", "4004": "disable"},
        "reconnect": {"initial_delay_ms": 10, "max_delay_ms": 50},
    });
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let first = peer.accept().await;
    peer.said(&first, 1).await;
    peer.send(&first, &[r#"{"t":"event","seq":7}"#]).await;
    let texts = peer.said(&first, 2).await;
    assert_eq!(texts, [r#"{"after":null}"#, r#"{"id":1,"ack":7}"#]);
    // The answer was sent, so the value is durable: no goodbye is needed.
    app.kill();
    app.start_again().await;
    let second = peer.accept().await;
    assert_eq!(peer.said(&second, 1).await, [r#"{"after":7}"#]);
    app.wait_until_listening(TRIGGER).await;
    peer.close(&second, 4009, "session over").await;
    let third = peer.accept().await;
    assert_eq!(peer.said(&third, 1).await, [r#"{"after":null}"#]);
    app.wait_until_listening(TRIGGER).await;
    peer.close(&third, 4004, "bad token").await;
    wait_for("the trigger is disabled", async || {
        let status = app.status(TRIGGER).await;
        let disabled = status["state"] == "disabled";
        disabled.then_some(()).ok_or(status.to_string())
    })
    .await;
    wait_for("its history says so", async || {
        let path = format!("triggers_history/list?path={TRIGGER}");
        let newest = app.get(&path).await.expect(200).json()[0].clone();
        let said = newest["operation"] == "disable" && newest["source"] == "worker";
        said.then_some(()).ok_or(newest.to_string())
    })
    .await;
}

/// Stored values go with their trigger: to another path, and away when it is deleted; kept messages, too.
#[actix::test]
async fn what_is_stored_of_a_trigger_follows_it_and_ends_with_it() {
    if !ready("stored_values_follow", &[Need::Peer]) {
        return;
    }
    const MOVED: &str = "f/talks/two";
    let (mut app, mut peer) = (app().await, Peer::start().await);
    let url = peer.url("/{{vars.n}}");
    let more = json!({"conversation": [{"on": {"filters": []}, "set": {"n": "n"}}]});
    app.create_trigger(TRIGGER, SCRIPT, &url, more.clone())
        .await;
    let first = peer.accept().await;
    assert_eq!(first.path, "/");
    peer.send(&first, &[r#"{"n":1}"#]).await;
    app.wait_for_status(TRIGGER, "it is kept", |status| status["enqueued"] == 1)
        .await;
    let sample = json!({"kind": "trigger", "path": MOVED, "name": "n", "text": "{}"});

    let moved = trigger(MOVED, SCRIPT, &url, more.clone());
    app.post(&format!("websocket_triggers/update/{TRIGGER}"), &moved)
        .await
        .expect(200);
    // Its counters follow, too, and go on when it is disabled for a while.
    for mode in ["disabled", "enabled"] {
        let status = app.status(MOVED).await;
        assert_eq!(status["enqueued"], 1, "{status}");
        let set = format!("websocket_triggers/setmode/{MOVED}");
        app.post(&set, &json!({"mode": mode})).await.expect(200);
    }
    assert_eq!(peer.accept().await.path, "/1", "enabled again");
    assert_eq!(app.status(MOVED).await["enqueued"], 1);
    app.create_trigger(TRIGGER, SCRIPT, &url, more.clone())
        .await;
    assert_eq!(peer.accept().await.path, "/", "another trigger has its own");

    app.post("message_samples/create", &sample)
        .await
        .expect(201);
    app.delete(&format!("websocket_triggers/delete/{MOVED}"))
        .await
        .expect(200);
    app.create_trigger(MOVED, SCRIPT, &url, more).await;
    assert_eq!(peer.accept().await.path, "/", "made anew");
    let samples = format!("message_samples/list/trigger/{MOVED}");
    assert_eq!(app.get(&samples).await.expect(200).json(), json!([]));
    app.stop().await;
}

/// What was stored just before is under way to the database when the connection ends.
#[actix::test]
async fn what_a_reset_forgets_does_not_come_back() {
    if !ready("reset", &[Need::Peer, Need::Postgres]) {
        return;
    }
    let mut peer = Peer::start().await;
    let mut app = TestApp::start(Database::postgres()).await;
    let content = "export async function main(msg: string) { return msg; }";
    app.create_script(SCRIPT, "nativets", content).await;
    let more = json!({
        "conversation": [{"on": {"filters": []}, "set": {"n": "n"}}],
        "on_close": {"4009": "reset"},
        "reconnect": {"initial_delay_ms": 10, "max_delay_ms": 10},
    });
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/{{vars.n}}"), more)
        .await;
    let mut connection = peer.accept().await;
    for round in 0..3 {
        app.wait_until_listening(TRIGGER).await;
        let messages: Vec<String> = (0..30).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
        peer.send(&connection, &messages).await;
        peer.close(&connection, 4009, "session over").await;
        assert_eq!(peer.accept().await.path, "/", "at once, round {round}");
        app.wait_until_listening(TRIGGER).await;
        app.stop().await;
        app.start_again().await;
        connection = peer.accept().await;
        assert_eq!(connection.path, "/", "from the database, round {round}");
    }
}

#[actix::test]
async fn only_an_edit_of_the_connection_reconnects() {
    if !ready("edits", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (app().await, Peer::start().await);
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/a"), json!({}))
        .await;
    let first = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    let update = async |url: &str| {
        let more = json!({"filters": [{"key": "a", "value": 1}]});
        let body = trigger(TRIGGER, SCRIPT, url, more);
        app.post(&format!("websocket_triggers/update/{TRIGGER}"), &body)
            .await
            .expect(200);
    };
    update(&peer.url("/a")).await;
    // The new filters count once a message that does not fit is told apart.
    wait_for("the new filters count", async || {
        let other = app.status(TRIGGER).await["unmatched"].as_u64();
        peer.send(&first, &["{}"]).await;
        (other > Some(0)).then_some(()).ok_or("not yet".into())
    })
    .await;
    assert_eq!(peer.connections().len(), 1);
    update(&peer.url("/b")).await;
    assert_eq!(peer.close_code(&first).await, Some(1000));
    assert_eq!(peer.accept().await.path, "/b");
}
