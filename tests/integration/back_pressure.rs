//! While the database cannot take more, a flood waits in the network, and nothing is mistaken for a dead connection.

use diesel::{Connection as _, RunQueryDsl, SqliteConnection, sql_query};
use serde_json::json;

use crate::harness::{Database, Need, Peer, Settings, TestApp, ready};

const TRIGGER: &str = "f/flood/one";

/// More than may wait for their commit (10,000).
const MESSAGES: u64 = 12_000;

/// Heartbeats, one a second, tell the time: longer than every limit below.
const BEATS: usize = 10;

#[actix::test]
async fn clocks_stand_still_while_reading_is_paused() {
    if !ready("clocks_stand_still", &[Need::Peer]) {
        return;
    }
    let database = Database::sqlite();
    let url = database.url();
    let file = url.strip_prefix("sqlite://").unwrap();
    let settings = Settings::new().env("NUM_WORKERS", "0");
    let app = TestApp::start_with(database, settings).await;
    let mut peer = Peer::start().await;
    // The connection comes, and with it the flood, when nothing can be written any more.
    peer.command(json!({"do": "behave", "hang": true})).await;
    let heartbeat = json!({
        "interval_secs": 1, "message": "beat", "expect": {"filters": [], "timeout_secs": 6},
    });
    let more = json!({
        "heartbeat": heartbeat, "ping_interval_secs": 3, "idle_timeout_secs": 6,
        "reconnect": {"initial_delay_ms": 10, "max_delay_ms": 50},
    });
    app.create_trigger(TRIGGER, "u/admin/nobody", &peer.url("/"), more)
        .await;
    let mut writer = SqliteConnection::establish(file).unwrap();
    sql_query("PRAGMA busy_timeout = 60000")
        .execute(&mut writer)
        .unwrap();
    sql_query("BEGIN IMMEDIATE").execute(&mut writer).unwrap();
    let texts: Vec<String> = (0..MESSAGES).map(|n| json!({"n": n}).to_string()).collect();
    peer.command(json!({"do": "behave", "greet": texts, "hang": false}))
        .await;
    let connection = peer.accept().await;
    peer.command(json!({"do": "behave", "greet": []})).await;
    let status = app
        .wait_for_status(TRIGGER, "it reads no more", |status| {
            status["pending"].as_u64() >= Some(10_000)
        })
        .await;
    assert_eq!(status["enqueued"], 0, "{status}");
    let before = peer.said(&connection, 1).await.len();
    // It goes on speaking while it does not read, and neither pings nor silence end the connection.
    peer.said(&connection, before + BEATS).await;
    let status = app.status(TRIGGER).await;
    assert_eq!(status["state"], "listening", "{status}");
    let received = status["received"].as_u64();
    assert!(received < Some(MESSAGES), "it is bounded: {status}");
    assert_eq!(peer.connections().len(), 1);
    sql_query("COMMIT").execute(&mut writer).unwrap();
    app.wait_for_status(TRIGGER, "all are committed", |status| {
        status["enqueued"] == MESSAGES
    })
    .await;
}
