//! A full disk under a SQLite file: nothing is taken for kept that is not, nothing is lost that was read, and once there
//! is room everything goes on by itself.

use std::{fs, process::Command};

use serde_json::{Value, json};

use super::one_job_each;
use crate::harness::{Database, Need, Peer, Settings, TestApp, ready, source, wait_for};

const SCRIPT: &str = "u/admin/number";
const TRIGGER: &str = "f/faults/full";
const NUMBER: &str = "export async function main(msg: string) { return JSON.parse(msg).n; }";
const MESSAGES: u64 = 3_000;

#[actix::test]
async fn a_full_disk_loses_nothing() {
    let name = "faults::a_full_disk_loses_nothing";
    if !ready(name, &[Need::Peer, Need::Program("cc")]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (library, full) = (folder.path().join("disk.so"), folder.path().join("full"));
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source("tests/peers/full_disk.c"))
        .arg("-ldl")
        .status();
    assert!(compiled.unwrap().success());
    let settings = Settings::new()
        .env("LD_PRELOAD", library.to_str().unwrap())
        .env("FULL_DISK_WHILE", full.to_str().unwrap());
    let mut app = TestApp::start_with(Database::sqlite(), settings).await;
    let mut peer = Peer::start().await;
    app.create_script(SCRIPT, "nativets", NUMBER).await;
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), json!({}))
        .await;
    let connection = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    let stream = json!({"texts": [r#"{"n":{n}}"#], "pause_ms": 0.2});
    peer.stream(&connection, 0..MESSAGES, stream).await;
    app.wait_for_status(TRIGGER, "some are kept", |status| {
        status["enqueued"].as_u64() >= Some(300)
    })
    .await;

    fs::write(&full, "").unwrap();
    wait_for("its health says so", async || {
        let health = app.get("/api/health/status").await;
        (health.status == 503).then_some(()).ok_or(health.text)
    })
    .await;
    peer.event("all have been sent", |event| {
        event["event"] == "streamed" && event["next"] == MESSAGES
    })
    .await;
    // Reading goes on, up to the bound; nothing of it counts as kept.
    let status = app
        .wait_for_status(TRIGGER, "all are read", |status| {
            status["received"] == MESSAGES
        })
        .await;
    assert!(status["enqueued"].as_u64() < Some(MESSAGES), "{status}");
    let refused = app.post("variables/create", &variable()).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(app.output().contains("full"), "{}", app.output());

    fs::remove_file(&full).unwrap();
    app.wait_for_status(TRIGGER, "all are kept", |status| {
        status["enqueued"] == MESSAGES
    })
    .await;
    app.post("variables/create", &variable()).await.expect(201);
    one_job_each(&app, 0..MESSAGES).await;
    assert_eq!(peer.connections().len(), 1);
    app.stop().await;
}

fn variable() -> Value {
    json!({"path": "u/admin/word", "value": "x".repeat(100_000), "is_secret": false, "description": ""})
}
