//! `ordered`, `max_in_flight` and limits of scripts: exact, over all workers and over several processes.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
};

use serde_json::{Value, json};

use crate::harness::{
    Database, PATIENCE, Peer, Settings, TestApp, app::trigger, on_both_databases, peer::Connection,
    server::Server, wait_at_most, wait_for,
};

on_both_databases!(
    needs: [Need::Peer],
    tests: [
        ordered_jobs_and_their_replies_keep_the_order_of_arrival,
        so_many_jobs_of_a_trigger_run_at_once_and_others_go_on,
        a_limited_script_runs_once_per_key,
        jobs_in_line_survive_a_kill,
        a_trigger_that_gets_another_path_stays_ordered,
    ]
);

const SCRIPT: &str = "u/admin/tracked";
const TRIGGER: &str = "f/orders/tracked";
const NUMBERED: [&str; 1] = [r#"{"n":{n}}"#];

/// Where running jobs report, one event after the other, each acknowledged before the job goes on. So what is counted
/// here as running does run.
#[derive(Clone)]
struct Tracker {
    port: u16,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

#[derive(Default)]
struct Seen {
    running: usize,
    peak: usize,
    begun: Vec<u64>,
    /// Jobs stay where they are while this is not so.
    open: bool,
}

impl Tracker {
    fn start(open: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tracker = Self {
            port: listener.local_addr().unwrap().port(),
            seen: Arc::default(),
        };
        tracker.seen.0.lock().unwrap().open = open;
        let accepting = tracker.clone();
        thread::spawn(move || {
            for job in listener.incoming().map_while(Result::ok) {
                let tracker = accepting.clone();
                thread::spawn(move || tracker.follow(&job));
            }
        });
        tracker
    }

    /// One job from its first line to its last; `None` when it went away in between.
    fn follow(&self, job: &TcpStream) -> Option<()> {
        let mut lines = BufReader::new(job).lines().map_while(Result::ok);
        let number = lines.next()?.parse().ok()?;
        let (seen, opened) = &*self.seen;
        let mut now = seen.lock().unwrap();
        now.running += 1;
        now.peak = now.peak.max(now.running);
        now.begun.push(number);
        drop(opened.wait_while(now, |now| !now.open).unwrap());
        let mut answers = job;
        let _ = answers.write_all(b"go\n");
        // Whether it says goodbye or is killed: it does not run any more.
        let _ = lines.next();
        seen.lock().unwrap().running -= 1;
        answers.write_all(b"bye\n").ok()
    }

    fn open(&self) {
        self.seen.0.lock().unwrap().open = true;
        self.seen.1.notify_all();
    }

    async fn wait_until_running(&self, count: usize) {
        wait_for(&format!("{count} jobs run"), async || {
            let running = self.seen.0.lock().unwrap().running;
            (running == count)
                .then_some(())
                .ok_or(format!("{running} do"))
        })
        .await;
    }

    fn peak(&self) -> usize {
        self.seen.0.lock().unwrap().peak
    }

    fn begun(&self) -> Vec<u64> {
        self.seen.0.lock().unwrap().begun.clone()
    }

    /// Reports its number; every third fails.
    fn script(&self) -> String {
        format!(
            r#"
import json, socket

def main(msg: str):
    n = json.loads(msg)["n"]
    with socket.create_connection(("127.0.0.1", {})) as tracker:
        lines = tracker.makefile("rw")
        for line in (str(n), "bye"):
            lines.write(line + "\n")
            lines.flush()
            lines.readline()
    if n % 3 == 2:
        raise ValueError(f"{{n}} fails")
    return n
"#,
            self.port
        )
    }
}

/// A server and, where the database allows it, a second process that runs jobs as well; two workers each, or four in one.
async fn start(database: Database) -> (TestApp, Option<Server>) {
    let workers = |count: &str| Settings::new().flag("--num-workers").flag(count);
    if matches!(database, Database::Sqlite(_)) {
        return (TestApp::start_with(database, workers("4")).await, None);
    }
    let app = TestApp::start_with(database, workers("2")).await;
    let worker = app.start_worker(workers("2")).await;
    (app, Some(worker))
}

async fn listen(
    app: &TestApp,
    peer: &mut Peer,
    (trigger, script): (&str, &str),
    more: Value,
) -> Connection {
    let path = format!("/{trigger}");
    app.create_trigger(trigger, script, &peer.url(&path), more)
        .await;
    let connection = peer.accept().await;
    app.wait_until_listening(trigger).await;
    connection
}

async fn wait_until_completed(app: &TestApp, script: &str, count: usize) -> Vec<Value> {
    let query = format!("script_path_exact={script}");
    wait_at_most(
        PATIENCE * 3,
        &format!("{count} jobs complete"),
        async || {
            let jobs = app.completed(&query).await;
            let seen = format!("{} of them", jobs.len());
            (jobs.len() >= count).then_some(jobs).ok_or(seen)
        },
    )
    .await
}

async fn ordered_jobs_and_their_replies_keep_the_order_of_arrival(database: Database) {
    let (mut app, worker) = start(database).await;
    let (mut peer, tracker) = (Peer::start().await, Tracker::start(true));
    app.create_script(SCRIPT, "python3", &tracker.script())
        .await;
    let replies = worker.is_none();
    let more =
        json!({"ordered": true, "can_return_message": replies, "can_return_error_result": replies});
    let connection = listen(&app, &mut peer, (TRIGGER, SCRIPT), more).await;
    peer.stream(&connection, 0..40, json!({"texts": NUMBERED}))
        .await;
    wait_until_completed(&app, SCRIPT, 40).await;
    assert_eq!(tracker.peak(), 1);
    assert_eq!(tracker.begun(), (0..40).collect::<Vec<_>>());
    if replies {
        let texts = wait_for("40 replies", async || {
            let texts = peer.events("message");
            (texts.len() >= 40)
                .then_some(texts.clone())
                .ok_or(format!("{}", texts.len()))
        })
        .await;
        for (n, event) in texts.iter().enumerate() {
            let text = event["text"].as_str().unwrap();
            let expected = match n % 3 {
                2 => format!("{n} fails"),
                _ => n.to_string(),
            };
            assert!(text.contains(&expected), "reply {n}: {text}");
        }
    }
    drop(worker);
    app.stop().await;
}

/// The job that runs meanwhile ends under the old path, and the next one waits for it.
async fn a_trigger_that_gets_another_path_stays_ordered(database: Database) {
    let (mut app, worker) = start(database).await;
    let (mut peer, tracker) = (Peer::start().await, Tracker::start(false));
    app.create_script(SCRIPT, "python3", &tracker.script())
        .await;
    let more = json!({"ordered": true});
    let first = listen(&app, &mut peer, (TRIGGER, SCRIPT), more.clone()).await;
    let numbered = json!({"texts": NUMBERED});
    peer.stream(&first, 0..3, numbered.clone()).await;
    app.wait_for_status(TRIGGER, "they are kept", |status| status["enqueued"] == 3)
        .await;
    tracker.wait_until_running(1).await;
    let moved = "f/orders/moved";
    let body = trigger(moved, SCRIPT, &peer.url("/moved"), more);
    app.post(&format!("websocket_triggers/update/{TRIGGER}"), &body)
        .await
        .expect(200);
    let second = peer.accept().await;
    peer.stream(&second, 3..6, numbered).await;
    app.wait_for_status(moved, "they are kept, too", |status| {
        status["enqueued"] == 6
    })
    .await;
    tracker.open();
    wait_until_completed(&app, SCRIPT, 6).await;
    assert_eq!(tracker.peak(), 1);
    assert_eq!(tracker.begun(), (0..6).collect::<Vec<_>>());
    drop(worker);
    app.stop().await;
}

/// Four workers; three are stuck with the trigger's jobs, so a fourth job of it would be taken by the one that is left,
/// which runs the jobs of another trigger meanwhile.
async fn so_many_jobs_of_a_trigger_run_at_once_and_others_go_on(database: Database) {
    let (mut app, worker) = start(database).await;
    let (mut peer, tracker) = (Peer::start().await, Tracker::start(false));
    app.create_script(SCRIPT, "python3", &tracker.script())
        .await;
    let free = "u/admin/free";
    app.create_script(free, "nativets", "export async function main() {}")
        .await;
    let more = json!({"max_in_flight": 3});
    let bounded = listen(&app, &mut peer, (TRIGGER, SCRIPT), more).await;
    let other = listen(&app, &mut peer, ("f/orders/free", free), json!({})).await;
    peer.stream(&bounded, 0..30, json!({"texts": NUMBERED}))
        .await;
    tracker.wait_until_running(3).await;
    peer.stream(&other, 0..300, json!({"texts": NUMBERED}))
        .await;
    wait_until_completed(&app, free, 300).await;
    let running = app
        .list(&format!(
            "jobs/queue/list?running=true&trigger_path={TRIGGER}"
        ))
        .await;
    assert_eq!((running.len(), tracker.peak()), (3, 3));
    tracker.open();
    wait_until_completed(&app, SCRIPT, 30).await;
    assert_eq!(tracker.peak(), 3);
    drop(worker);
    app.stop().await;
}

async fn a_limited_script_runs_once_per_key(database: Database) {
    let (mut app, worker) = start(database).await;
    let tracker = Tracker::start(false);
    let more = json!({"concurrent_limit": 1, "concurrency_key": "$workspace-$args[who]"});
    let script = tracker.script().replace("msg: str", "msg: str, who: str");
    app.create_script_with(SCRIPT, "python3", &script, &more)
        .await;
    for (n, who) in ["ann", "bob", "ann", "ann", "bob", "ann"]
        .iter()
        .enumerate()
    {
        let args = json!({"msg": json!({"n": n * 3}).to_string(), "who": who});
        app.run_script(SCRIPT, &args).await;
    }
    tracker.wait_until_running(2).await;
    // Two workers have nothing to do; they run what is not limited.
    app.create_script(
        "u/admin/free",
        "nativets",
        "export async function main() {}",
    )
    .await;
    for _ in 0..20 {
        app.run_script("u/admin/free", &json!({})).await;
    }
    wait_until_completed(&app, "u/admin/free", 20).await;
    assert_eq!(tracker.peak(), 2);
    let mut begun = tracker.begun();
    begun.sort_unstable();
    assert_eq!(begun, [0, 3], "the first of each");
    tracker.open();
    let jobs = wait_until_completed(&app, SCRIPT, 6).await;
    assert!(jobs.iter().all(|job| job["success"] == true), "{jobs:?}");
    assert_eq!(tracker.peak(), 2);
    drop(worker);
    app.stop().await;
}

/// What runs at the kill runs again, and only then the next one; nobody has to push the line on.
async fn jobs_in_line_survive_a_kill(database: Database) {
    let workers = Settings::new().flag("--num-workers").flag("2");
    let mut app = TestApp::start_with(database, workers).await;
    let (mut peer, tracker) = (Peer::start().await, Tracker::start(false));
    app.create_script(SCRIPT, "python3", &tracker.script())
        .await;
    let more = json!({"ordered": true});
    let connection = listen(&app, &mut peer, (TRIGGER, SCRIPT), more).await;
    peer.stream(&connection, 0..5, json!({"texts": NUMBERED}))
        .await;
    tracker.wait_until_running(1).await;
    wait_for("all are enqueued", async || {
        let status = app.status(TRIGGER).await;
        (status["enqueued"] == 5)
            .then_some(())
            .ok_or(status.to_string())
    })
    .await;
    app.kill();
    tracker.open();
    app.start_again().await;
    wait_until_completed(&app, SCRIPT, 5).await;
    assert_eq!(tracker.begun(), [0, 0, 1, 2, 3, 4]);
    app.stop().await;
}
