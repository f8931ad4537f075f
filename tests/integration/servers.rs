//! Several servers on one PostgreSQL: each trigger listens on one of them, evenly; one that dies, stalls or stops is
//! replaced, and what it would have written late is not written.
//!
//! The figures of contract §5 (5 s, 1 s) are printed here, not asserted: a test machine may be slow.

use std::{collections::BTreeMap, time::Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{Database, Need, Peer, Settings, TestApp, ready, wait_for};

/// Gives the number in the message back.
const NUMBER: &str = "export async function main(msg: string) { return JSON.parse(msg).n; }";
const SCRIPT: &str = "u/admin/number";

fn path(number: usize) -> String {
    format!("f/shared/t{number}")
}

async fn create_triggers(app: &TestApp, peer: &Peer, count: usize, more: Value) {
    app.create_script(SCRIPT, "nativets", NUMBER).await;
    for number in 0..count {
        let url = peer.url(&format!("/t{number}"));
        app.create_trigger(&path(number), SCRIPT, &url, more.clone())
            .await;
    }
}

/// Which server listens for each trigger, as `app` shows it.
async fn listeners(app: &TestApp) -> BTreeMap<String, String> {
    let mut listeners = BTreeMap::new();
    for trigger in app.list("websocket_triggers/list").await {
        let path = trigger["path"].as_str().unwrap().to_owned();
        let status = app.status(&path).await;
        if status["state"] == "listening" {
            let server = status["server_id"].as_str().unwrap_or_default();
            listeners.insert(path, server.to_owned());
        }
    }
    listeners
}

/// Waits until all `count` triggers listen, on `servers` servers whose shares differ by one at most.
async fn wait_until_shared(app: &TestApp, count: usize, servers: usize) {
    wait_for(
        &format!("{servers} servers share {count} triggers"),
        async || {
            let listeners = listeners(app).await;
            let mut shares = BTreeMap::<&str, usize>::new();
            for server in listeners.values() {
                *shares.entry(server).or_default() += 1;
            }
            let (least, most) = (shares.values().min(), shares.values().max());
            let is_even = most
                .zip(least)
                .is_some_and(|(most, least)| most - least <= 1);
            let is_so = listeners.len() == count && shares.len() == servers && is_even;
            is_so.then_some(()).ok_or(format!("{shares:?}"))
        },
    )
    .await
}

#[actix::test]
async fn triggers_are_shared_and_taken_over() {
    let name = "servers::triggers_are_shared_and_taken_over";
    if !ready(name, &[Need::Peer, Need::Postgres]) {
        return;
    }
    const COUNT: usize = 7;
    let database = Database::postgres();
    let peer = Peer::start().await;
    let first = TestApp::start(database.again()).await;
    create_triggers(&first, &peer, COUNT, json!({})).await;
    wait_until_shared(&first, COUNT, 1).await;

    let mut second = TestApp::start(database.again()).await;
    wait_until_shared(&first, COUNT, 2).await;
    wait_until_shared(&second, COUNT, 2).await;

    // An edit on one server is followed by the other, wherever the trigger listens.
    for number in 0..COUNT {
        let get = format!("websocket_triggers/get/{}", path(number));
        let mut trigger = second.get(&get).await.expect(200).json();
        trigger["url"] = peer.url("/edited").into();
        let update = format!("websocket_triggers/update/{}", path(number));
        first.post(&update, &trigger).await.expect(200);
    }
    wait_for("edits are followed everywhere", async || {
        let connections = peer.connections();
        let edited = connections
            .iter()
            .filter(|one| one.path == "/edited")
            .count();
        (edited >= COUNT).then_some(()).ok_or(format!("{edited}"))
    })
    .await;
    wait_until_shared(&first, COUNT, 2).await;

    let killed = Instant::now();
    second.kill();
    wait_until_shared(&first, COUNT, 1).await;
    println!("taken over {:?} after SIGKILL", killed.elapsed());

    let mut third = TestApp::start(database.again()).await;
    wait_until_shared(&first, COUNT, 2).await;
    let stopped = Instant::now();
    third.stop().await;
    wait_until_shared(&first, COUNT, 1).await;
    println!("taken over {:?} after SIGTERM", stopped.elapsed());
    let mut first = first;
    first.stop().await;
}

async fn queued(app: &TestApp) -> u64 {
    let count = app.get("jobs/queue/count").await.expect(200).json();
    count["database_length"].as_u64().unwrap()
}

/// SIGSTOP until another server listens, then SIGCONT: what the stalled server read meanwhile it cannot commit any
/// more, and it closes its connection.
#[actix::test]
async fn a_stalled_server_writes_nothing_once_it_was_replaced() {
    let name = "servers::a_stalled_server_writes_nothing_once_it_was_replaced";
    if !ready(name, &[Need::Peer, Need::Postgres]) {
        return;
    }
    let database = Database::postgres();
    let mut peer = Peer::start().await;
    let no_workers = || Settings::new().env("NUM_WORKERS", "0");
    let mut stalled = TestApp::start_with(database.again(), no_workers()).await;
    create_triggers(&stalled, &peer, 1, json!({})).await;
    let old = peer.accept().await;
    let mut other = TestApp::start_with(database.again(), no_workers()).await;
    let what = json!({"texts": [r#"{"n":{n}}"#], "pause_ms": 1});
    peer.stream(&old, 0..1_000_000, what).await;
    wait_for("messages are enqueued", async || {
        let count = queued(&other).await;
        (count > 100).then_some(()).ok_or(count.to_string())
    })
    .await;

    let begun = Instant::now();
    stalled.signal(Signal::SIGSTOP);
    let new = peer.accept().await;
    println!("taken over {:?} after SIGSTOP", begun.elapsed());
    other.wait_until_listening(&path(0)).await;
    let before = queued(&other).await;
    stalled.signal(Signal::SIGCONT);
    peer.close_code(&old).await;
    wait_for("it says why", async || {
        let output = stalled.output();
        let said = output.contains("this process was taken for dead");
        said.then_some(()).ok_or(output)
    })
    .await;
    assert_eq!(queued(&other).await, before, "a stalled server still wrote");

    // The one that took over writes; both go on as servers.
    peer.send(&new, &[r#"{"n":-1}"#]).await;
    wait_for("the new connection's message is enqueued", async || {
        let count = queued(&other).await;
        (count == before + 1).then_some(()).ok_or(count.to_string())
    })
    .await;
    stalled.wait_until_listening(&path(0)).await;
    other.stop().await;
    stalled.wait_until_listening(&path(0)).await;
    stalled.stop().await;
}

/// What the old connection says once another server has taken over is not followed: the trigger stays enabled, and what
/// was stored there stays.
#[actix::test]
async fn a_stalled_server_neither_disables_nor_forgets_what_was_taken_over() {
    let name = "servers::a_stalled_server_neither_disables_nor_forgets_what_was_taken_over";
    if !ready(name, &[Need::Peer, Need::Postgres]) {
        return;
    }
    for code in [4004, 4009] {
        let database = Database::postgres();
        let mut peer = Peer::start().await;
        let mut stalled = TestApp::start(database.again()).await;
        stalled.create_script(SCRIPT, "nativets", NUMBER).await;
        let more = json!({
            "conversation": [{"on": {"filters": []}, "set": {"n": "n"}}],
            "on_close": {"4004": "disable", "4009": "reset"},
        });
        let url = peer.url("/{{vars.n}}");
        stalled.create_trigger(&path(0), SCRIPT, &url, more).await;
        let old = peer.accept().await;
        stalled.wait_until_listening(&path(0)).await;
        let mut other = TestApp::start(database.again()).await;
        stalled.signal(Signal::SIGSTOP);
        let new = peer.accept().await;
        other.wait_until_listening(&path(0)).await;
        peer.send(&new, &[r#"{"n":2}"#]).await;
        other
            .wait_for_status(&path(0), "its message is kept", |status| {
                status["enqueued"] == 1
            })
            .await;
        peer.close(&old, code, "replaced").await;
        stalled.signal(Signal::SIGCONT);
        wait_for("it says why", async || {
            let output = stalled.output();
            let said = output.contains("this process was taken for dead");
            said.then_some(()).ok_or(output)
        })
        .await;
        // A trigger that was disabled would not be taken back.
        other.stop().await;
        stalled.wait_until_listening(&path(0)).await;
        // Before it knew that it was replaced it may have connected once more.
        wait_for("it goes on with what was stored", async || {
            let path = peer.connections().pop().unwrap().path;
            (path == "/2").then_some(()).ok_or(path)
        })
        .await;
        stalled.stop().await;
    }
}

/// A server that runs no jobs, and a worker that listens to nothing: answers find their way back to the connection, to
/// the request and to the trigger that waits for its URL; a cancellation reaches the worker.
#[actix::test]
async fn a_server_and_a_worker_work_hand_in_hand() {
    let name = "servers::a_server_and_a_worker_work_hand_in_hand";
    if !ready(name, &[Need::Peer, Need::Postgres]) {
        return;
    }
    let database = Database::postgres();
    let mut peer = Peer::start().await;
    let server = Settings::new().env("MODE", "server");
    let mut server = TestApp::start_with(database.again(), server).await;
    let worker = Settings::new().env("MODE", "worker");
    let worker = worker.env("BASE_INTERNAL_URL", server.url());
    let mut worker = TestApp::start_with(database.again(), worker).await;

    let address = format!(
        "export async function main() {{ return {:?}; }}",
        peer.url("/computed")
    );
    server
        .create_script("u/admin/address", "nativets", &address)
        .await;
    server.create_script(SCRIPT, "nativets", NUMBER).await;
    let more = json!({"can_return_message": true, "url_runnable_args": {}});
    server
        .create_trigger(&path(0), SCRIPT, "$script:u/admin/address", more)
        .await;
    let connection = peer.accept().await;
    assert_eq!(connection.path, "/computed");
    server.wait_until_listening(&path(0)).await;
    for number in 0..20 {
        let sent = Instant::now();
        peer.send(&connection, &[format!(r#"{{"n":{number}}}"#)])
            .await;
        let answer = number.to_string();
        let is_answer =
            |event: &Value| event["event"] == "message" && event["text"] == answer.as_str();
        peer.event("the answer comes back", is_answer).await;
        if number % 5 == 4 {
            println!("answered across two processes after {:?}", sent.elapsed());
        }
    }
    let status = server.status(&path(0)).await;
    assert_eq!(
        (&status["replied"], &status["reply_undeliverable"]),
        (&json!(20), &json!(0))
    );
    // The worker's own API knows where the trigger is, from the server's words.
    let seen = wait_for("the worker shows the counters", async || {
        let seen = worker.status(&path(0)).await;
        (seen["replied"] == 20)
            .then(|| seen.clone())
            .ok_or(seen.to_string())
    })
    .await;
    assert_eq!(seen["server_id"], status["server_id"]);
    let listed = worker.list("websocket_triggers/list").await;
    assert_eq!(listed[0]["server_id"], status["server_id"]);
    assert!(listed[0]["last_server_ping"].is_string(), "{}", listed[0]);

    let asked = Instant::now();
    let body = json!({"msg": r#"{"n":42}"#});
    let result = server
        .post(&format!("jobs/run_wait_result/p/{SCRIPT}"), &body)
        .await;
    assert_eq!(result.expect(200).json(), 42);
    println!("a request's result came after {:?}", asked.elapsed());

    let endless =
        "export async function main() { for (;;) { await new Promise(r => setTimeout(r, 50)); } }";
    server
        .create_script("u/admin/endless", "nativets", endless)
        .await;
    let id = server.run_script("u/admin/endless", &json!({})).await;
    wait_for("it runs", async || {
        let job = server
            .get(&format!("jobs_u/get/{id}"))
            .await
            .expect(200)
            .json();
        (job["running"] == true)
            .then_some(())
            .ok_or(job.to_string())
    })
    .await;
    let canceled = Instant::now();
    let cancel = format!("jobs_u/queue/cancel/{id}");
    server
        .post(&cancel, &json!({"reason": "enough"}))
        .await
        .expect(200);
    let job = server.wait_for_job(&id).await;
    assert_eq!(job["success"], false, "{job}");
    println!(
        "a job elsewhere was canceled after {:?}",
        canceled.elapsed()
    );
    worker.stop().await;
    server.stop().await;
}
