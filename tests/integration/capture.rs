//! Messages kept for the editor of a runnable while it is open, and messages kept under a name.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    Database, Need, Peer, TOKEN, TestApp, footprint::sockets_to, on_both_databases,
    peer::Connection, ready, wait_for,
};

const SCRIPT: &str = "u/admin/take";

on_both_databases! {
    needs: [Need::Peer],
    tests: [what_comes_while_the_editor_is_open_is_kept, an_unsaved_preprocessor_can_be_tried, bad_configurations_are_refused, named_messages_are_kept]
}

/// Pings as an open editor does, whatever the test waits for, until the task is aborted.
async fn keep_open(url: String) {
    let ping = format!("{url}/api/w/main/capture/ping_config/websocket/script/{SCRIPT}");
    let client = awc::Client::default();
    loop {
        let pinged = client.post(&ping).bearer_auth(TOKEN).send_body("{}").await;
        assert_eq!(pinged.expect("the server answers").status(), 200);
        actix::clock::sleep(Duration::from_millis(500)).await;
    }
}

/// Waits until `enough` of the captured messages are there; gives them, the newest first.
async fn captured(app: &TestApp, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    wait_for("messages are captured", async || {
        let list = app.get(&format!("capture/list/script/{SCRIPT}")).await;
        let list = list.expect(200).json();
        let messages = list.as_array().expect("a list").clone();
        if enough(&messages) {
            Ok(messages)
        } else {
            Err(list.to_string())
        }
    })
    .await
}

/// What is captured in these tests.
fn config(url: &str) -> Value {
    json!({
        "trigger_kind": "websocket", "path": SCRIPT, "is_flow": false,
        "trigger_config": {
            "url": url, "headers": {"x-from": "capture"},
            "filters": [{"key": "e", "value": "trade"}],
            "initial_messages": [
                {"await_message": {"filters": [{"key": "op", "value": "hello"}]}},
                {"raw_message": "subscribe"},
            ],
        },
    })
}

async fn what_comes_while_the_editor_is_open_is_kept(database: Database) {
    let (app, mut peer) = (TestApp::start(database).await, Peer::start().await);
    let config = config(&peer.url("/feed"));
    let ping = format!("capture/ping_config/websocket/script/{SCRIPT}");
    app.post(&ping, &json!({})).await.expect(404);
    app.post("capture/set_config", &config).await.expect(200);
    let editor = actix::spawn(keep_open(app.url().to_owned()));
    let connection = peer.accept().await;
    assert_eq!(connection.header("x-from"), Some("capture"));
    peer.send(&connection, &[r#"{"op":"hello"}"#]).await;
    peer.event("the subscription arrives", |event| {
        event["text"] == "subscribe"
    })
    .await;
    peer.send(&connection, &[r#"{"e":"trade"}"#]).await;
    let messages = captured(&app, |messages| messages.len() >= 2).await;
    let told: Vec<(&Value, &Value)> = messages
        .iter()
        .map(|message| (&message["main_args"]["msg"], &message["verdict"]))
        .collect();
    let (trade, hello) = (json!(r#"{"e":"trade"}"#), json!(r#"{"op":"hello"}"#));
    assert_eq!(
        told,
        [(&trade, &json!("matched")), (&hello, &json!("unmatched"))]
    );
    let event = json!({
        "kind": "websocket", "msg": trade, "url": peer.url("/feed"), "trigger_path": SCRIPT,
    });
    assert_eq!(messages[0]["preprocessor_args"], json!({"event": event}));

    the_newest_are_kept(&app, &mut peer, &connection).await;
    let configs = app
        .get(&format!("capture/get_configs/script/{SCRIPT}"))
        .await
        .json();
    assert_eq!(configs[0]["trigger_config"], config["trigger_config"]);
    assert_eq!(configs[0]["error"], Value::Null);
    // The editor is closed: nobody pings any more.
    editor.abort();
    assert_eq!(peer.close_code(&connection).await, Some(1000));
    assert!(app.jobs("").await.is_empty(), "nothing becomes a job");

    let moved = json!({"new_path": "u/admin/other"});
    app.post(&format!("capture/move/script/{SCRIPT}"), &moved)
        .await
        .expect(200);
    let list = app.get("capture/list/script/u/admin/other").await.json();
    assert_eq!(list.as_array().unwrap().len(), 100);
}

/// Of two servers one captures, for the editors of both; when it dies the other one does.
#[actix::test]
async fn one_of_two_servers_captures() {
    let name = "capture::one_of_two_servers_captures";
    if !ready(name, &[Need::Peer, Need::Postgres]) {
        return;
    }
    let database = Database::postgres();
    let mut peer = Peer::start().await;
    let first = TestApp::start(database.again()).await;
    let second = TestApp::start(database.again()).await;
    let config = json!({
        "trigger_kind": "websocket", "path": SCRIPT, "is_flow": false, "trigger_config": {"url": peer.url("/")},
    });
    first.post("capture/set_config", &config).await.expect(200);
    // Both editors are open; the one at the server that dies closes with it.
    let editors = [&first, &second].map(|app| actix::spawn(keep_open(app.url().to_owned())));
    let old = peer.accept().await;
    peer.send(&old, &["before"]).await;
    for app in [&first, &second] {
        captured(app, |messages| messages.len() == 1).await;
    }
    let sockets = wait_for("one of them listens", async || {
        let sockets = [&first, &second].map(|app| sockets_to(app.pid(), peer.port()));
        (sockets[0] + sockets[1] == 1)
            .then_some(sockets)
            .ok_or(format!("{sockets:?}"))
    })
    .await;
    let (mut dies, stays, editor) = if sockets[0] == 1 {
        (first, second, &editors[0])
    } else {
        (second, first, &editors[1])
    };
    editor.abort();
    dies.kill();
    wait_for("the other one listens", async || {
        let sockets = sockets_to(stays.pid(), peer.port());
        (sockets == 1).then_some(()).ok_or(sockets.to_string())
    })
    .await;
    let new = peer.connections().pop().unwrap();
    peer.send(&new, &["after"]).await;
    let messages = captured(&stays, |messages| messages.len() == 2).await;
    let texts: Vec<&Value> = messages.iter().map(|m| &m["main_args"]["msg"]).collect();
    assert_eq!(texts, ["after", "before"]);
    for editor in editors {
        editor.abort();
    }
}

async fn the_newest_are_kept(app: &TestApp, peer: &mut Peer, connection: &Connection) {
    let texts: Vec<String> = (0..150).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    peer.send(connection, &texts).await;
    let newest = |messages: &[Value]| messages[0]["main_args"]["msg"] == texts[149].as_str();
    let messages = captured(app, newest).await;
    assert_eq!(messages.len(), 100, "the newest 100 are kept");
    assert_eq!(messages[99]["main_args"]["msg"], texts[50].as_str());
    let one = format!("capture/{}", messages[0]["id"]);
    assert_eq!(app.get(&one).await.expect(200).json(), messages[0]);
    app.delete(&one).await.expect(200);
    app.get(&one).await.expect(404);

    let big = "x".repeat(300_000);
    peer.send(connection, &[&big]).await;
    let too_big = |messages: &[Value]| messages[0]["main_args"] == "WINDMILL_TOO_BIG";
    let messages = captured(app, too_big).await;
    let one = app
        .get(&format!("capture/{}", messages[0]["id"]))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&one["bytes"], &one["truncated"]),
        (&json!(300_000), &json!(true))
    );
    assert_eq!(one["main_args"]["msg"].as_str().unwrap().len(), 256 * 1024);
}

/// The arguments that a captured message offers go through the preprocessor of what stands in the editor.
async fn an_unsaved_preprocessor_can_be_tried(database: Database) {
    let app = TestApp::start(database).await;
    let main = "export function main(word: string) { return word; }";
    let second = format!(
        "export function preprocessor(event: {{ msg: string }}) {{ return {{ word: event.msg }}; }} {main}"
    );
    let first = format!(
        "export function preprocessor(msg: string, wm_trigger: object) {{ return {{ word: msg + wm_trigger.kind }}; }} {main}"
    );
    let event = json!({"event": {"kind": "websocket", "msg": "hi", "url": "ws://x/", "trigger_path": "f/a/b"}});
    let older =
        json!({"msg": "hi ", "wm_trigger": {"kind": "websocket", "websocket": {"url": "ws://x/"}}});
    for (content, args, result, preprocessed) in [
        (&second, &event, json!("hi"), true),
        (&first, &older, json!("hi websocket"), true),
        (&second, &json!({"word": "plain"}), json!("plain"), false),
    ] {
        let preview = json!({"content": content, "language": "nativets", "args": args});
        let id = app.post("jobs/run/preview", &preview).await.expect(201);
        let job = app.wait_for_job(id.text.trim()).await;
        assert_eq!(
            (&job["result"], &job["preprocessed"]),
            (&result, &json!(preprocessed))
        );
    }
    let read =
        "export function preprocessor(event: { msg: string }) { return { word: event.msg }; }";
    let value = json!({
        "preprocessor_module": {"id": "preprocessor", "value": {"type": "rawscript", "language": "nativets", "content": read}},
        "modules": [{"id": "a", "value": {"type": "rawscript", "language": "nativets", "content": main,
            "input_transforms": {"word": {"type": "javascript", "expr": "flow_input.word"}}}}],
    });
    let preview = json!({"value": value, "args": event});
    let id = app
        .post("jobs/run/preview_flow", &preview)
        .await
        .expect(201);
    let job = app.wait_for_job(id.text.trim()).await;
    assert_eq!(job["result"], "hi", "{job}");
}

async fn bad_configurations_are_refused(database: Database) {
    let app = TestApp::start(database).await;
    let config = config("ws://127.0.0.1:9/");
    for (field, value, text) in [
        ("trigger_kind", json!("kafka"), "trigger_kind: "),
        ("path", json!("nowhere"), "path: "),
        (
            "trigger_config",
            json!({}),
            "trigger_config: missing field url",
        ),
        (
            "trigger_config",
            json!({"url": "http://x"}),
            "trigger_config: url: ",
        ),
    ] {
        let mut bad = config.clone();
        bad[field] = value;
        let refused = app.post("capture/set_config", &bad).await.expect(400);
        assert!(refused.text.starts_with(text), "{}", refused.text);
    }
}

async fn named_messages_are_kept(database: Database) {
    let app = TestApp::start(database).await;
    let sample =
        json!({"kind": "trigger", "path": "f/a/feed", "name": "a trade", "text": "{\"e\":1}"});
    app.post("message_samples/create", &sample)
        .await
        .expect(201);
    let again = app
        .post("message_samples/create", &sample)
        .await
        .expect(409);
    assert!(again.text.starts_with("name: "), "{}", again.text);
    let list = app
        .get("message_samples/list/trigger/f/a/feed")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&list[0]["name"], &list[0]["text"]),
        (&sample["name"], &sample["text"])
    );
    let none = app
        .get("message_samples/list/script/f/a/feed")
        .await
        .expect(200)
        .json();
    assert_eq!(none, json!([]));
    for (field, value, text) in [
        ("kind", json!("job"), "kind: "),
        ("path", json!("feed"), "path: "),
        ("name", json!(" "), "name: "),
        ("text", json!("x".repeat(256 * 1024 + 1)), "text: "),
    ] {
        let mut bad = sample.clone();
        bad[field] = value;
        let refused = app.post("message_samples/create", &bad).await.expect(400);
        assert!(refused.text.starts_with(text), "{}", refused.text);
    }
    // It follows its trigger to another path.
    let nowhere = "ws://127.0.0.1:9/";
    let off = json!({"mode": "disabled"});
    app.create_trigger("f/a/feed", "f/a/script", nowhere, off)
        .await;
    let mut moved = app.get("websocket_triggers/get/f/a/feed").await.json();
    moved["path"] = json!("f/a/moved");
    app.post("websocket_triggers/update/f/a/feed", &moved)
        .await
        .expect(200);
    let list = app
        .get("message_samples/list/trigger/f/a/moved")
        .await
        .json();
    assert_eq!(list[0]["name"], "a trade");
    let one = "message_samples/delete/trigger/f/a/moved?name=a%20trade";
    app.delete(one).await.expect(200);
    app.delete(one).await.expect(404);
}
