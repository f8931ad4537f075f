//! Frames as a foreign server sends them: whole, in pieces, broken, compressed; and how they are counted.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_tungstenite::accept_async;

use crate::harness::{Database, Need, Peer, TestApp, peer::Connection, ready, wait_for};

const SCRIPT: &str = "u/admin/take";
const TRIGGER: &str = "f/frames/one";

async fn listening(options: &[&str], more: Value) -> (TestApp, Peer, Connection) {
    let app = TestApp::start(Database::sqlite()).await;
    let mut peer = Peer::start_with(options).await;
    let content = "export async function main(msg: string) { return msg; }";
    app.create_script(SCRIPT, "nativets", content).await;
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    (app, peer, connection)
}

async fn wait_for_jobs(app: &TestApp, count: usize) -> Vec<Value> {
    let query = format!("script_path_exact={SCRIPT}");
    let jobs = wait_for("the jobs complete", async || {
        let jobs = app.completed(&query).await;
        let seen = format!("{} jobs", jobs.len());
        (jobs.len() >= count).then_some(jobs).ok_or(seen)
    })
    .await;
    assert_eq!(jobs.len(), count);
    jobs
}

async fn result(app: &TestApp, job: &Value) -> Value {
    app.wait_for_job(job["id"].as_str().unwrap()).await["result"].clone()
}

#[actix::test]
async fn fragments_with_a_ping_between_them_are_one_message() {
    if !ready("fragments", &[Need::Peer]) {
        return;
    }
    let (app, mut peer, connection) = listening(&[], json!({})).await;
    // "one " unfinished, a ping, " two" as its continuation.
    let hex = "01046f6e6520890170800374776f";
    peer.command(json!({"do": "raw", "to": connection.number, "hex": hex}))
        .await;
    let jobs = wait_for_jobs(&app, 1).await;
    assert_eq!(result(&app, &jobs[0]).await, "one two");
    peer.command(json!({"do": "ping", "to": connection.number}))
        .await;
    peer.event("the ping is answered", |event| event["event"] == "pong")
        .await;
}

/// Its sender reads nothing meanwhile, and could not answer a ping in the middle of a frame.
#[actix::test]
async fn a_message_that_takes_longer_than_pings_may_go_unanswered_arrives() {
    if !ready("a_slow_message", &[Need::Peer]) {
        return;
    }
    let (app, mut peer, connection) = listening(&[], json!({"ping_interval_secs": 2})).await;
    peer.command(json!({"do": "freeze", "to": connection.number}))
        .await;
    // A frame of 24 bytes in pieces, over almost twice the four seconds after which a silent line is dead.
    let mut pieces = vec!["8118".to_owned()];
    pieces.extend(std::iter::repeat_n("78".to_owned(), 24));
    peer.command(
        json!({"do": "trickle", "to": connection.number, "pieces": pieces, "pause_ms": 300}),
    )
    .await;
    let jobs = wait_for_jobs(&app, 1).await;
    assert_eq!(result(&app, &jobs[0]).await, "x".repeat(24));
    assert_eq!(peer.connections().len(), 1);
}

#[actix::test]
async fn invalid_utf8_closes_with_1007() {
    if !ready("invalid_utf8", &[Need::Peer]) {
        return;
    }
    let (app, mut peer, connection) = listening(&[], json!({})).await;
    peer.command(json!({"do": "raw", "to": connection.number, "hex": "8102c328"}))
        .await;
    assert_eq!(peer.close_code(&connection).await, Some(1007));
    peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
}

#[actix::test]
async fn what_was_sent_before_a_broken_frame_is_not_taken_back_by_a_reset() {
    let app = TestApp::start(Database::sqlite()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let more = json!({"initial_messages": [{"raw_message": "hello"}]});
    app.create_trigger(TRIGGER, SCRIPT, &url, more).await;
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = accept_async(stream).await.unwrap().into_inner();
    app.wait_until_listening(TRIGGER).await;
    // A frame of an opcode that does not exist, and far more behind it than was read along with it.
    let mut broken = vec![0x87];
    broken.resize(4 << 20, 0);
    stream.write_all(&broken).await.expect("it is all taken");
    stream.shutdown().await.unwrap();
    let mut heard = Vec::new();
    let end = stream.read_to_end(&mut heard).await;
    end.expect("the connection ends without a reset");
    // A masked text of 5 bytes, and a masked close frame with its code.
    assert_eq!(heard.len(), (2 + 4 + 5) + (2 + 4 + 2), "{heard:02x?}");
    let close = &heard[11..];
    assert_eq!(close[..2], [0x88, 0x82]);
    let code = [close[6] ^ close[2], close[7] ^ close[3]];
    assert_eq!(u16::from_be_bytes(code), 1002);
}

#[actix::test]
async fn too_large_closes_with_1009_and_counters_add_up() {
    if !ready("too_large", &[Need::Peer]) {
        return;
    }
    let more = json!({
        "max_message_bytes": 2000, "filters": [{"key": "a", "value": 1}],
        "conversation": [{
            "on": {"filters": [{"key": "ack", "value": true}]}, "trigger": false,
        }],
    });
    let (app, mut peer, connection) = listening(&[], more).await;
    peer.send(
        &connection,
        &[r#"{"a":1}"#, r#"{"a":2}"#, r#"{"ack":true}"#],
    )
    .await;
    let blob = json!({"do": "send", "to": connection.number, "blobs": ["AAEC"]});
    peer.command(blob).await;
    wait_for_jobs(&app, 1).await;
    peer.command(json!({"do": "send_big", "to": connection.number, "bytes": 3000}))
        .await;
    assert_eq!(peer.close_code(&connection).await, Some(1009));
    let expected = json!([5, 1, 1, 1, 0, 1, 1, 1]);
    wait_for("the counters add up", async || {
        let s = app.status(TRIGGER).await;
        let seen = json!([
            s["received"],
            s["unmatched"],
            s["handled"],
            s["matched"],
            s["pending"],
            s["enqueued"],
            s["dropped"]["binary"],
            s["dropped"]["too_large"]
        ]);
        (seen == expected).then_some(()).ok_or(s.to_string())
    })
    .await;
}

#[actix::test]
async fn compressed_messages_and_binary_as_base64() {
    if !ready("compressed", &[Need::Peer]) {
        return;
    }
    let (app, mut peer, connection) =
        listening(&["--compression", "deflate"], json!({"binary": "base64"})).await;
    let offered = connection.header("sec-websocket-extensions");
    assert!(offered.is_some_and(|offer| offer.contains("permessage-deflate")));
    let blob = json!({"do": "send", "to": connection.number, "blobs": ["AAEC"]});
    peer.command(blob).await;
    let jobs = wait_for_jobs(&app, 1).await;
    assert_eq!(result(&app, &jobs[0]).await, "AAEC");
}

#[actix::test]
async fn frozen_peer_is_noticed() {
    if !ready("frozen", &[Need::Peer]) {
        return;
    }
    let more = json!({"ping_interval_secs": 1, "reconnect": {"initial_delay_ms": 10}});
    let (app, mut peer, connection) = listening(&[], more).await;
    peer.command(json!({"do": "freeze", "to": connection.number}))
        .await;
    peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
}

#[actix::test]
async fn silence_is_noticed() {
    if !ready("silence", &[Need::Peer]) {
        return;
    }
    let more = json!({"idle_timeout_secs": 1, "reconnect": {"initial_delay_ms": 10}});
    let (_app, mut peer, _) = listening(&[], more).await;
    peer.accept().await;
}
