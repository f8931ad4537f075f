//! Trying a connection out: each step as it happens, the first messages with their verdict, and why.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};

use crate::harness::{Database, Need, Peer, Settings, TestApp, ready};

const TRIGGER: &str = "f/tried/one";

/// The steps that `events` tell, as `<type> <step>`.
fn steps(events: &[Value]) -> Vec<String> {
    let named = events.iter().filter(|event| event["step"].is_string());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    named
        .map(|event| format!("{} {}", text(&event["type"]), text(&event["step"])))
        .collect()
}

fn is(kind: &str) -> impl Fn(&Value) -> bool + '_ {
    move |event| event["type"] == kind
}

#[actix::test]
async fn each_step_of_a_draft_is_told_as_it_happens() {
    if !ready("each_step_of_a_draft", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (
        TestApp::start(Database::sqlite()).await,
        Peer::start().await,
    );
    peer.command(json!({"do": "behave", "subprotocol": "v2"}))
        .await;
    let draft = json!({
        "url": peer.url("/feed"), "subprotocols": ["v2"],
        "filters": [{"key": "e", "value": "trade"}],
        "initial_messages": [
            {"await_message": {"filters": [{"key": "op", "value": "hello"}]}},
            {"raw_message": "subscribe"},
        ],
        "conversation": [
            {"on": {"filters": [{"key": "op", "value": "ping"}]}, "send": "pong", "trigger": false},
            {"on": {"filters": [{"key": "e", "value": "trade"}]}, "send": "ack"},
        ],
    });
    let mut told = app.post_lines("websocket_triggers/try", &draft).await;
    let connection = peer.accept().await;
    let begun = |event: &Value| event["type"] == "begun" && event["step"] == "initial_messages[0]";
    let events = told.until("the awaited message is awaited", begun).await;
    assert_eq!(
        steps(&events),
        [
            "begun resolve",
            "done resolve",
            "begun connect",
            "done connect",
            "begun handshake",
            "done handshake",
            "begun initial_messages[0]",
        ]
    );
    assert_eq!(events[1]["note"], "127.0.0.1");
    let note = events[5]["note"].as_str().unwrap();
    assert!(note.contains("101") && note.contains("v2"), "{note}");

    peer.send(&connection, &[r#"{"op":"hello"}"#]).await;
    let events = told.until("it listens", is("listening")).await;
    let first = [
        "done initial_messages[0]",
        "begun initial_messages[1]",
        "done initial_messages[1]",
    ];
    assert_eq!(steps(&events), first);
    let came = events
        .iter()
        .find(|event| event["step"] == "initial_messages[0]");
    assert_eq!(came.unwrap()["note"], r#"{"op":"hello"}"#);
    peer.event("the subscription arrives", |event| {
        event["text"] == "subscribe"
    })
    .await;

    let texts = [
        r#"{"e":"trade","p":1}"#,
        r#"{"e":"book"}"#,
        r#"{"op":"ping"}"#,
    ];
    peer.send(&connection, &texts).await;
    // The first message may be told before or after `listening`, and a verdict that needs the whole message after that
    // of the next message.
    let mut seen = events;
    let mut verdicts = BTreeMap::new();
    while verdicts.len() < 4 {
        if seen.is_empty() {
            seen.push(told.next().await.expect("the trial goes on"));
        }
        for event in seen.drain(..).filter(is("message")) {
            let why = event["why"]["filters"][0]["found"].clone();
            let text = event["text"].as_str().unwrap().to_owned();
            verdicts.insert(text, (event["verdict"].clone(), why));
        }
    }
    let expected = [
        (r#"{"e":"book"}"#, "unmatched", json!("\"book\"")),
        (r#"{"e":"trade","p":1}"#, "matched", json!("\"trade\"")),
        (r#"{"op":"hello"}"#, "unmatched", Value::Null),
        (r#"{"op":"ping"}"#, "handled", Value::Null),
    ];
    for (text, verdict, why) in expected {
        assert_eq!(verdicts[text], (json!(verdict), why), "{text}");
    }
    for answer in ["ack", "pong"] {
        peer.event("the conversation is kept up", |event| {
            event["text"] == answer
        })
        .await;
    }

    drop(told);
    assert_eq!(
        peer.close_code(&connection).await,
        Some(1000),
        "it ends with its reader"
    );
    assert!(app.jobs("").await.is_empty(), "nothing becomes a job");
}

#[actix::test]
async fn the_step_that_failed_comes_with_the_servers_answer() {
    if !ready("the_step_that_failed", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (
        TestApp::start(Database::sqlite()).await,
        Peer::start().await,
    );
    let refuse = json!({
        "status": 403, "headers": {"X-Why": "plan", "Retry-After": "7"}, "text": "upgrade your plan",
    });
    peer.command(json!({"do": "behave", "refuse": refuse}))
        .await;
    let draft = json!({"url": peer.url("/")});
    let mut told = app.post_lines("websocket_triggers/try", &draft).await;
    let failed = told.until("it fails", is("failed")).await.pop().unwrap();
    assert_eq!(failed["step"], "handshake");
    assert_eq!(failed["answer"]["status"], 403);
    assert_eq!(failed["answer"]["body"], "upgrade your plan");
    assert_eq!(failed["answer"]["retry_after_secs"], 7);
    let headers = failed["answer"]["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-why", "plan"])), "{failed}");
    assert_eq!(told.next().await, None, "nothing follows");
    let tested = app
        .post("websocket_triggers/test", &draft)
        .await
        .expect(400);
    assert!(
        tested
            .text
            .ends_with("status 403; it said: upgrade your plan"),
        "{}",
        tested.text
    );

    peer.command(json!({"do": "behave", "refuse": null, "close_after_greeting": 4001}))
        .await;
    let waits =
        json!({"url": peer.url("/"), "initial_messages": [{"await_message": {"filters": []}}]});
    let mut told = app.post_lines("websocket_triggers/try", &waits).await;
    let failed = told.until("it fails", is("failed")).await.pop().unwrap();
    assert_eq!(failed["step"], "initial_messages[0]");
    assert!(
        failed["error"].as_str().unwrap().contains("4001"),
        "{failed}"
    );

    let nowhere = json!({"url": "ws://127.0.0.1:1/"});
    let mut told = app.post_lines("websocket_triggers/try", &nowhere).await;
    let failed = told.until("it fails", is("failed")).await.pop().unwrap();
    assert_eq!(failed["step"], "connect");
    assert_eq!(failed["answer"], Value::Null);
}

#[actix::test]
async fn a_refusal_in_chunks_is_shown_decoded() {
    let app = TestApp::start(Database::sqlite()).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let head = "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = "6\r\nno key\r\n7;x=1\r\n, no go\r\n0\r\n\r\n";
        write!(stream, "{head}{body}").unwrap();
        // It stays open: the end is told by the last chunk.
        let _ = stream.read(&mut [0]);
    });
    let draft = json!({"url": format!("ws://127.0.0.1:{port}/")});
    let mut told = app.post_lines("websocket_triggers/try", &draft).await;
    let failed = told.until("it fails", is("failed")).await.pop().unwrap();
    assert_eq!(failed["answer"]["body"], "no key, no go");
    server.join().unwrap();
}

#[actix::test]
async fn a_fast_feed_is_sampled_and_bounded() {
    if !ready("a_fast_feed", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (
        TestApp::start(Database::sqlite()).await,
        Peer::start().await,
    );
    app.create_script(
        "u/admin/take",
        "nativets",
        "export async function main() {}",
    )
    .await;
    app.create_trigger(
        TRIGGER,
        "u/admin/take",
        &peer.url("/"),
        json!({"mode": "disabled"}),
    )
    .await;
    // At most 20 a second are told: as many as these take seconds, and a rate is told each second.
    let path = format!("websocket_triggers/try/{TRIGGER}?messages=100&seconds=600");
    let mut told = app.post_lines(&path, &json!({})).await;
    let connection = peer.accept().await;
    told.until("it listens", is("listening")).await;
    let feed = json!({"texts": ["{n}"], "pause_ms": 1});
    peer.stream(&connection, 0..1_000_000, feed).await;
    let events = told.until("it ends", is("ended")).await;
    assert_eq!(events.last().unwrap()["by"], "messages");
    let (mut next, mut shown) = (0, 0);
    for event in events.iter().filter(|event| event["type"] == "message") {
        let number: u64 = event["text"].as_str().unwrap().parse().unwrap();
        assert_eq!(
            number,
            next + event["skipped"].as_u64().unwrap(),
            "every message counts"
        );
        (next, shown) = (number + 1, shown + 1);
    }
    assert_eq!(shown, 100);
    let rates: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "rate")
        .collect();
    assert!(
        rates.iter().any(|rate| rate["received"].as_u64() > Some(0)),
        "{rates:?}"
    );
    assert_eq!(peer.close_code(&connection).await, Some(1000));
    let status = app.status(TRIGGER).await;
    assert_eq!(
        (&status["state"], &status["received"]),
        (&json!("disabled"), &json!(0))
    );
}

#[actix::test]
async fn private_targets_behind_a_proxy_are_refused() {
    if !ready("private_targets_behind_a_proxy", &[Need::Peer]) {
        return;
    }
    let peer = Peer::start().await;
    let proxy = format!("127.0.0.1:{}", peer.port());
    let settings = Settings::new().env("ALLOW_PRIVATE_WEBSOCKET_URLS", &proxy);
    let app = TestApp::start_with(Database::sqlite(), settings).await;
    for host in ["127.0.0.1:9", "localhost:9", "[::1]:9"] {
        let draft = json!({"url": format!("ws://{host}/"), "proxy": format!("http://{proxy}")});
        let mut told = app.post_lines("websocket_triggers/try", &draft).await;
        let failed = told.until("it fails", is("failed")).await.pop().unwrap();
        assert_eq!(failed["step"], "private address", "{host}: {failed}");
    }
}

#[actix::test]
async fn filters_are_explained_on_any_messages() {
    let app = TestApp::start(Database::sqlite()).await;
    let body = json!({
        "filters": [{"any_of": [{"key": "e", "value": "trade"}, {"path": "a.b", "value": 1}]}],
        "messages": [r#"{"e":"book","a":{"b":1.0}}"#, "no JSON"],
    });
    let explained = app
        .post("websocket_triggers/explain", &body)
        .await
        .expect(200)
        .json();
    let leaf = |place: &str, kind: &str, at: &str, found: &str, matched: bool| json!({"place": place, "kind": kind, "at": at, "found": found, "matched": matched});
    let leaves = json!([
        leaf("filters[0].any_of[0]", "key", "e", "\"book\"", false),
        leaf("filters[0].any_of[1]", "path", "a.b", "1.0", true),
    ]);
    let group =
        json!({"place": "filters[0]", "kind": "any_of", "matched": true, "filters": leaves});
    assert_eq!(explained[0], json!({"matched": true, "filters": [group]}));
    assert_eq!(explained[1]["matched"], false);
    assert!(explained[1]["reason"].as_str().unwrap().contains("JSON"));
    for (body, text) in [
        (json!({"filters": []}), "messages: missing field"),
        (
            json!({"filters": [{"key": "e"}], "messages": []}),
            "filters[0]: missing field value",
        ),
        (
            json!({"filters": [], "messages": vec!["x"; 201]}),
            "messages: at most 200",
        ),
        (
            json!({"filters": [], "messages": [], "filter_logic": "xor"}),
            "filter_logic: ",
        ),
    ] {
        let refused = app
            .post("websocket_triggers/explain", &body)
            .await
            .expect(400);
        assert!(refused.text.starts_with(text), "{}", refused.text);
    }
    for (query, text) in [("seconds=0", "seconds: "), ("messages=99999", "messages: ")] {
        let path = format!("websocket_triggers/try?{query}");
        let refused = app
            .post(&path, &json!({"url": "ws://127.0.0.1:9/"}))
            .await
            .expect(400);
        assert!(refused.text.starts_with(text), "{}", refused.text);
    }
    let refused = app
        .post("websocket_triggers/try", &json!({}))
        .await
        .expect(400);
    assert_eq!(refused.text, "missing field url");
    app.post("websocket_triggers/try/f/no/where", &json!({}))
        .await
        .expect(404);
}
