//! What is enqueued is never lost: not when the process is killed while messages flow, not when nobody runs jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::harness::{
    Database, PATIENCE, Peer, Settings, TestApp, all, on_both_databases, wait_at_most, wait_for,
};

on_both_databases!(
    needs: [Need::Peer],
    tests: [
        enqueued_messages_survive_a_kill,
        jobs_running_at_a_kill_run_again,
        without_workers_jobs_wait_for_some,
        stop_says_goodbye_and_commits_what_was_read,
    ]
);

const SCRIPT: &str = "u/admin/keep";
const TRIGGER: &str = "f/orders/keep";

/// Gives the number in the message back.
const KEEP: &str = "export async function main(msg: string) { return JSON.parse(msg).n; }";

fn numbered() -> Value {
    json!({"texts": [r#"{"n":{n}}"#], "pause_ms": 1})
}

async fn listen(app: &TestApp, peer: &Peer) {
    app.create_script(SCRIPT, "nativets", KEEP).await;
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), json!({}))
        .await;
    app.wait_until_listening(TRIGGER).await;
}

/// The number in each job's message, by job.
async fn numbers_by_job(app: &TestApp, list: &str) -> BTreeMap<String, u64> {
    let jobs = app
        .list(&format!("{list}?script_path_exact={SCRIPT}"))
        .await;
    let mut numbers = BTreeMap::new();
    for job in jobs {
        let id = job["id"].as_str().unwrap().to_owned();
        let args = app.get(&format!("jobs_u/get_args/{id}")).await.expect(200);
        let message: Value = serde_json::from_str(args.json()["msg"].as_str().unwrap()).unwrap();
        numbers.insert(id, message["n"].as_u64().unwrap());
    }
    numbers
}

async fn wait_until_enqueued(app: &TestApp, count: u64) -> u64 {
    wait_for(&format!("{count} messages are enqueued"), async || {
        let status = app.status(TRIGGER).await;
        let enqueued = status["enqueued"].as_u64().unwrap_or(0);
        (enqueued >= count)
            .then_some(enqueued)
            .ok_or(status.to_string())
    })
    .await
}

async fn wait_until_queue_is_empty(app: &TestApp) {
    wait_at_most(PATIENCE * 2, "every job completes", async || {
        let waiting = app.list("jobs/queue/list").await.len();
        (waiting == 0)
            .then_some(())
            .ok_or(format!("{waiting} wait"))
    })
    .await;
}

async fn assert_all_succeeded(app: &TestApp) {
    let failed = app.completed("success=false").await;
    assert_eq!(failed, Vec::<Value>::new());
}

/// Numbers each round's messages begin with, so that no two rounds share one.
const ROUND: u64 = 1_000_000;

/// Messages of one connection are committed in order, so `enqueued` of them are exactly the first ones: in the end each
/// of these numbers is a completed job, and so is every job that was listed before a kill.
async fn enqueued_messages_survive_a_kill(database: Database) {
    let (mut app, mut peer) = (TestApp::start(database).await, Peer::start().await);
    listen(&app, &peer).await;
    let (mut listed, mut reported) = (BTreeSet::new(), Vec::new());
    for round in 0..if all() { 12 } else { 2 } {
        let connection = peer.accept().await;
        let numbers = round * ROUND..(round + 1) * ROUND;
        peer.stream(&connection, numbers, numbered()).await;
        wait_until_enqueued(&app, 300).await;
        let jobs = app.jobs(&format!("script_path_exact={SCRIPT}")).await;
        listed.extend(
            jobs.iter()
                .map(|job| job["id"].as_str().unwrap().to_owned()),
        );
        let enqueued = wait_until_enqueued(&app, 500).await;
        reported.extend((0..enqueued).map(|n| round * ROUND + n));
        app.kill();
        app.start_again().await;
    }
    wait_until_queue_is_empty(&app).await;

    let jobs = numbers_by_job(&app, "jobs/completed/list").await;
    let numbers: BTreeSet<u64> = jobs.values().copied().collect();
    assert_eq!(numbers.len(), jobs.len(), "a message became two jobs");
    let lost: Vec<_> = listed.iter().filter(|id| !jobs.contains_key(*id)).collect();
    assert!(lost.is_empty(), "listed before a kill, then gone: {lost:?}");
    let lost: Vec<_> = reported.iter().filter(|n| !numbers.contains(n)).collect();
    assert!(lost.is_empty(), "reported as enqueued, then lost: {lost:?}");
    assert_all_succeeded(&app).await;
    app.stop().await;
}

/// A job that had been taken by a worker when the process died is run again, and then completes.
async fn jobs_running_at_a_kill_run_again(database: Database) {
    let (mut app, gate) = (TestApp::start(database).await, Gate::shut());
    app.create_script("u/admin/gate", "python3", PASS_THE_GATE)
        .await;
    let args = json!({"host": "127.0.0.1", "port": gate.port});
    let id = app.run_script("u/admin/gate", &args).await;
    gate.wait_for_somebody().await;
    app.kill();

    gate.open();
    app.start_again().await;
    // The dead worker's lease has to run out first.
    let job = wait_at_most(PATIENCE * 3, "the job runs again", async || {
        app.completed_job(&id).await.ok_or("it has not".into())
    })
    .await;
    assert_eq!(job["success"], true, "{job}");
    assert_eq!(job["result"], "through");
    app.stop().await;
}

/// With `NUM_WORKERS=0` triggers listen and jobs queue; a restart with workers runs them all.
async fn without_workers_jobs_wait_for_some(database: Database) {
    let mut peer = Peer::start().await;
    let settings = Settings::new().env("NUM_WORKERS", "0");
    let mut app = TestApp::start_with(database, settings).await;
    listen(&app, &peer).await;
    let connection = peer.accept().await;
    peer.stream(&connection, 0..200, numbered()).await;
    wait_until_enqueued(&app, 200).await;
    let count = app.get("jobs/queue/count").await.expect(200).json();
    assert_eq!(count["database_length"], 200);
    let queued = numbers_by_job(&app, "jobs/queue/list").await;
    assert_eq!(queued.len(), 200);
    assert_eq!(app.completed("").await, Vec::<Value>::new());
    app.stop().await;
    assert_eq!(peer.close_code(&connection).await, Some(1001));

    app.start_again_with(Settings::new()).await;
    wait_until_queue_is_empty(&app).await;
    let completed = numbers_by_job(&app, "jobs/completed/list").await;
    assert_eq!(completed, queued);
    assert_all_succeeded(&app).await;
    app.stop().await;
}

/// SIGTERM in the middle of a stream: the peer gets 1001, and what was read is committed, so the jobs have no gap.
async fn stop_says_goodbye_and_commits_what_was_read(database: Database) {
    let mut peer = Peer::start().await;
    let settings = Settings::new().flag("--num-workers").flag("0");
    let mut app = TestApp::start_with(database, settings).await;
    listen(&app, &peer).await;
    let connection = peer.accept().await;
    peer.stream(&connection, 0..ROUND, numbered()).await;
    wait_until_enqueued(&app, 200).await;
    let received = app.status(TRIGGER).await["received"].as_u64().unwrap();
    app.stop().await;
    assert_eq!(peer.close_code(&connection).await, Some(1001));

    app.start_again_with(Settings::new()).await;
    wait_until_queue_is_empty(&app).await;
    let jobs = numbers_by_job(&app, "jobs/completed/list").await;
    let mut numbers: Vec<u64> = jobs.into_values().collect();
    numbers.sort_unstable();
    let committed = numbers.len() as u64;
    assert!(
        committed >= received,
        "{received} were read, {committed} committed"
    );
    assert_eq!(numbers, (0..committed).collect::<Vec<_>>());
    app.stop().await;
}

/// Asks at the gate again and again until it is open.
const PASS_THE_GATE: &str = r#"
import socket, time

def main(host: str, port: int):
    while True:
        with socket.create_connection((host, port)) as gate:
            if gate.recv(4) == b"open":
                return "through"
        time.sleep(0.05)
"#;

/// Something outside windsock that a running job waits for: a port that says `open` or `shut` to whoever connects.
struct Gate {
    port: u16,
    open: Arc<AtomicBool>,
    visits: Arc<AtomicU32>,
}

impl Gate {
    fn shut() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self {
            port: listener.local_addr().unwrap().port(),
            open: Arc::default(),
            visits: Arc::default(),
        };
        let (open, visits) = (gate.open.clone(), gate.visits.clone());
        thread::spawn(move || {
            for visitor in listener.incoming() {
                let word = if open.load(Ordering::SeqCst) {
                    "open"
                } else {
                    "shut"
                };
                visits.fetch_add(1, Ordering::SeqCst);
                let _ = visitor.unwrap().write_all(word.as_bytes());
            }
        });
        gate
    }

    fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    async fn wait_for_somebody(&self) {
        wait_for("somebody is at the gate", async || {
            let visits = self.visits.load(Ordering::SeqCst);
            (visits > 0).then_some(()).ok_or("nobody".into())
        })
        .await;
    }
}

/// The folders of jobs' processes below `within`: those of a windsock, and of them the ones where a job has begun.
fn folders(within: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let inside = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.flatten().map(|entry| entry.path()).collect()
    };
    let all = inside(within);
    let begun = all
        .iter()
        .flat_map(|folder| inside(folder))
        .filter(|folder| folder.join("job/begun").exists());
    let begun = begun.collect();
    (all, begun)
}

#[actix_web::test]
async fn what_a_killed_windsock_left_of_its_jobs_is_removed() {
    let within = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    let path = within.path().to_str().unwrap();
    let settings = Settings::new().env("TMPDIR", path).env("NUM_WORKERS", "1");
    let mut app = TestApp::start_with(Database::sqlite(), settings).await;
    app.create_script(SCRIPT, "bash", "touch begun; sleep 1000")
        .await;
    app.run_script(SCRIPT, &json!({})).await;
    let begins = async || {
        let (all, begun) = folders(within.path());
        if begun.len() == 1 && all.len() == 1 {
            Ok(all)
        } else {
            Err(format!("{begun:?} of {all:?}"))
        }
    };
    let before = wait_for("the job begins", begins).await;
    app.kill();
    assert!(before[0].exists());
    app.start_again().await;
    // It runs again, in another folder.
    let goes = async || {
        let after = begins().await?;
        (after != before)
            .then_some(after)
            .ok_or("the old one".into())
    };
    let after = wait_for("the old folder goes", goes).await;
    assert_ne!(after, before);
    app.stop().await;
    assert_eq!(folders(within.path()).0, Vec::<PathBuf>::new());
}
