//! What happened to a trigger's connection is kept, bounded, and tells why.

use serde_json::{Value, json};

use crate::harness::{Database, Peer, TestApp, on_both_databases, wait_for};

const SCRIPT: &str = "u/admin/take";
const TRIGGER: &str = "f/logs/one";

on_both_databases! {
    needs: [Need::Peer],
    tests: [events_tell_why_and_outlive_a_restart, a_storm_is_counted_and_goes_with_its_trigger]
}

async fn app(database: Database) -> TestApp {
    let app = TestApp::start(database).await;
    let content = "export async function main(msg: string) { return msg; }";
    app.create_script(SCRIPT, "nativets", content).await;
    app
}

/// The log, oldest first, as `<event> <text>`, once `enough` of it is there.
async fn log(app: &TestApp, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
    wait_for("the log tells it", async || {
        let path = format!("websocket_triggers/log/{TRIGGER}");
        let events = app.get(&path).await.expect(200).json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events = events.as_array().expect("a list").iter().rev();
        let told: Vec<String> = events
            .map(|event| format!("{} {}", text(&event["event"]), text(&event["text"])))
            .collect();
        let seen = format!("{told:?}");
        if enough(&told) { Ok(told) } else { Err(seen) }
    })
    .await
}

fn count(events: &[String], start: &str) -> usize {
    events
        .iter()
        .filter(|event| event.starts_with(start))
        .count()
}

async fn events_tell_why_and_outlive_a_restart(database: Database) {
    let (mut app, mut peer) = (app(database).await, Peer::start().await);
    let more = json!({"reconnect": {"initial_delay_ms": 10, "max_delay_ms": 10}});
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    peer.close(&connection, 4001, "try later").await;
    peer.accept().await;
    log(&app, |events| count(events, "connected") == 2).await;
    let path = format!("websocket_triggers/setmode/{TRIGGER}");
    app.post(&path, &json!({"mode": "disabled"}))
        .await
        .expect(200);
    let stopped = |events: &[String]| count(events, "closed") == 2;
    let events = log(&app, stopped).await;
    assert_eq!(
        events[..4],
        [
            "created by admin",
            "connected ",
            "closed the server closed the connection with 4001: try later",
            "connected ",
        ]
    );
    assert!(
        events.contains(&"mode disabled by admin".to_owned()),
        "{events:?}"
    );
    app.stop().await;
    app.start_again().await;
    assert_eq!(log(&app, stopped).await, events);
}

async fn a_storm_is_counted_and_goes_with_its_trigger(database: Database) {
    let (app, mut peer) = (app(database).await, Peer::start().await);
    peer.command(json!({"do": "behave", "refuse": {"status": 503}}))
        .await;
    let more = json!({"reconnect": {"initial_delay_ms": 10, "max_delay_ms": 10}});
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let path = format!("websocket_triggers/log/{TRIGGER}");
    let events = wait_for("attempts are counted", async || {
        let events = app.get(&path).await.expect(200).json();
        let times = events[0]["times"].as_i64().unwrap_or_default();
        if times >= 10 {
            Ok(events)
        } else {
            Err(events.to_string())
        }
    })
    .await;
    assert_eq!(events.as_array().unwrap().len(), 2, "{events}");
    assert_eq!(events[0]["event"], "failed");
    assert!(
        events[0]["text"].as_str().unwrap().contains("503"),
        "{events}"
    );
    assert!(events[0]["server_id"].is_string() && events[1]["server_id"].is_null());

    app.delete(&format!("websocket_triggers/delete/{TRIGGER}"))
        .await
        .expect(200);
    app.get(&path).await.expect(404);
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), json!({"mode": "disabled"}))
        .await;
    assert_eq!(
        log(&app, |events| !events.is_empty()).await,
        ["created by admin"]
    );
}
