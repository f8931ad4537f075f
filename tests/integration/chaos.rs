//! Two hundred triggers on a server that does everything wrong: nothing is lost, doubled, miscounted or left over.
//!
//! What befalls which attempt depends on the seed alone. Only how many attempts there are depends on the machine, and
//! nothing here asks for that.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::harness::{
    Database, Need, Peer, TestApp, all,
    footprint::{Footprint, sockets_to},
    ready, wait_at_most,
};

/// The seed of the chaos; another one with `WINDSOCK_TEST_SEED`.
const SEED: u64 = 20_261_127;

const TRIGGERS: u64 = 200;
const SCRIPT: &str = "u/admin/measure";

/// Two hundred connections have to be made, and thousands of jobs to be run, beside other tests.
const PATIENCE: Duration = Duration::from_secs(300);

/// Descriptors that may come and go: connections of the API's clients and of the database.
const SPARE_DESCRIPTORS: usize = 40;

/// Threads for blocking calls come and go as well.
const SPARE_THREADS: usize = 24;

/// What thousands of attempts may leave in the allocator's hands; one gigabyte is announced again and again.
const SPARE_KIB: usize = 150 * 1024;

/// What is counted of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Matched,
    Unmatched,
    Handled,
    Binary,
}

const FATES: [Fate; 4] = [Fate::Matched, Fate::Unmatched, Fate::Handled, Fate::Binary];

fn path(n: u64) -> String {
    format!("f/chaos/t{n}")
}

/// Every fourth trigger takes everything, the others what they want.
fn takes_all(n: u64) -> bool {
    n.is_multiple_of(4)
}

fn replies(n: u64) -> bool {
    n.is_multiple_of(10)
}

fn settings(n: u64) -> Value {
    let filters = json!([{"key": "want", "value": true}]);
    let mut more = json!({
        "filters": if takes_all(n) { json!([]) } else { filters },
        "binary": if takes_all(n) { "base64" } else { "ignore" },
        "conversation": [{"on": {"filters": [{"key": "ack", "value": true}]}, "trigger": false}],
        "can_return_message": replies(n), "max_message_bytes": 65_536, "ping_interval_secs": 2,
        "reconnect": {"initial_delay_ms": 10, "max_delay_ms": 1000},
    });
    match n % 5 {
        1 => {
            let greeting = json!({"filters": [{"key": "noise", "value": true}], "timeout_secs": 2});
            more["initial_messages"] = json!([{"await_message": greeting}]);
        }
        2 => more["initial_messages"] = json!([{"raw_message": "hello"}]),
        _ => {}
    }
    more
}

/// What a trigger makes of a message of this sort.
fn fate(n: u64, sort: &str) -> Fate {
    match sort {
        "ack" => Fate::Handled,
        "binary" if !takes_all(n) => Fate::Binary,
        "noise" if !takes_all(n) => Fate::Unmatched,
        _ => Fate::Matched,
    }
}

/// Names of messages by what should become of them.
type Names = BTreeMap<Fate, BTreeSet<String>>;

fn names(n: u64, listed: &Value) -> Names {
    let mut names = Names::new();
    for message in listed[n.to_string()].as_array().into_iter().flatten() {
        let (name, sort) = (message[0].as_str().unwrap(), message[1].as_str().unwrap());
        let fresh = names.entry(fate(n, sort)).or_default().insert(name.into());
        assert!(fresh, "{name} is told twice");
    }
    names
}

async fn report(peer: &mut Peer, with_names: bool) -> Value {
    peer.command(json!({"do": "report", "names": with_names}))
        .await;
    peer.events("report").pop().unwrap()
}

async fn statuses(app: &TestApp) -> Vec<Value> {
    let all = stream::iter(0..TRIGGERS).map(|n| async move { app.status(&path(n)).await });
    all.buffered(8).collect().await
}

/// Every trigger listens on a connection of its own, and everything sent on these has been read.
async fn settle(app: &TestApp, peer: &mut Peer) {
    wait_at_most(PATIENCE, "every trigger listens", async || {
        let statuses = statuses(app).await;
        let away = statuses.iter().find(|s| s["state"] != "listening");
        let report = report(peer, false).await;
        let seen = format!(
            "{} open, {} unread, {:?}",
            report["open"], report["unread"], away
        );
        let quiet = report["open"] == TRIGGERS && report["unread"] == 0;
        let sockets = sockets_to(app.pid(), peer.port());
        let exact = usize::try_from(TRIGGERS).unwrap() == sockets;
        let settled = away.is_none() && quiet && exact;
        settled
            .then_some(())
            .ok_or(format!("{seen}, {sockets} sockets"))
    })
    .await;
}

/// Every trigger hears something new, however many connections die of the chaos meanwhile.
async fn everybody_hears(app: &TestApp, peer: &mut Peer) {
    let heard = |report: &Value| -> Vec<u64> {
        let of = |n: u64| report["heard"][n.to_string()].as_u64().unwrap_or(0);
        (0..TRIGGERS).map(of).collect()
    };
    let before = heard(&report(peer, false).await);
    wait_at_most(PATIENCE, "everybody hears a last message", async || {
        settle(app, peer).await;
        peer.command(json!({"do": "last"})).await;
        settle(app, peer).await;
        let now = heard(&report(peer, false).await);
        let deaf = before.iter().zip(&now).filter(|(b, n)| b == n).count();
        (deaf == 0)
            .then_some(())
            .ok_or(format!("{deaf} have heard nothing"))
    })
    .await;
}

/// The names in the messages of all jobs; each once.
async fn job_names(app: &TestApp) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let query = format!("jobs/list?script_path_exact={SCRIPT}&include_args=true");
    for job in app.list(&query).await {
        let text = job["args"]["msg"]
            .as_str()
            .unwrap_or_else(|| panic!("{job}"));
        let text = match text.starts_with('{') {
            true => text.to_owned(),
            false => String::from_utf8(STANDARD.decode(text).unwrap()).unwrap(),
        };
        let message: Value = serde_json::from_str(&text).unwrap();
        let name = message["m"].as_str().unwrap().to_owned();
        assert!(names.insert(name), "two jobs for one message: {text}");
    }
    names
}

fn counted(status: &Value, fate: Fate) -> u64 {
    let counter = match fate {
        Fate::Matched => &status["matched"],
        Fate::Unmatched => &status["unmatched"],
        Fate::Handled => &status["handled"],
        Fate::Binary => &status["dropped"]["binary"],
    };
    counter.as_u64().unwrap()
}

/// Counters add up (contract §5) and lie between what was surely read and what was sent; so do the jobs' names.
fn check(n: u64, status: &Value, report: &Value, jobs: &BTreeSet<String>) {
    let (sent, read) = (names(n, &report["sent"]), names(n, &report["read"]));
    let number = |name: &str| status[name].as_u64().unwrap();
    let mut sum = status["dropped"]["too_large"].as_u64().unwrap();
    for fate in FATES {
        let count = |names: &Names| names.get(&fate).map_or(0, |names| names.len() as u64);
        let counted = counted(status, fate);
        let (least, most) = (count(&read), count(&sent));
        assert!(
            (least..=most).contains(&counted),
            "{n}: {counted} {fate:?} of {least} to {most}: {status}"
        );
        sum += counted;
    }
    assert_eq!(number("received"), sum, "{n}: {status}");
    assert_eq!(number("matched"), number("enqueued"), "{n}: {status}");
    let own: BTreeSet<&String> = jobs
        .iter()
        .filter(|name| name.split('-').next() == Some(&n.to_string()))
        .collect();
    assert_eq!(own.len() as u64, number("enqueued"), "{n}: {status}");
    let nobody = BTreeSet::new();
    let lost: Vec<_> = read
        .get(&Fate::Matched)
        .unwrap_or(&nobody)
        .iter()
        .filter(|name| !own.contains(name))
        .collect();
    assert!(lost.is_empty(), "{n}: read, and no job: {lost:?}");
    let sent = sent.get(&Fate::Matched).unwrap_or(&nobody);
    let strange: Vec<_> = own.iter().filter(|name| !sent.contains(**name)).collect();
    assert!(strange.is_empty(), "{n}: jobs nobody sent: {strange:?}");
}

/// Every job has ended, and every result that was to go back has gone, or is counted.
async fn all_is_done(app: &TestApp) -> Vec<Value> {
    wait_at_most(
        PATIENCE,
        "every job ends and is accounted for",
        async || {
            let waiting = app.get("jobs/queue/count").await.expect(200).json();
            let statuses = statuses(app).await;
            let open = statuses.iter().zip(0..).find(|(status, n)| {
                let number = |name: &str| status[name].as_u64().unwrap();
                let gone =
                    number("replied") + number("reply_undeliverable") + number("reply_failed");
                let owed = if replies(*n) { number("enqueued") } else { 0 };
                number("pending") > 0 || gone != owed
            });
            let seen = format!("{waiting} wait; {open:?}");
            let done = waiting["database_length"] == 0 && open.is_none();
            done.then_some(statuses).ok_or(seen)
        },
    )
    .await
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[actix::test]
async fn two_hundred_triggers_in_chaos() {
    if ready("two_hundred_triggers_in_chaos", &[Need::Peer]) {
        chaos(Database::sqlite()).await;
    }
}

/// Only with `--all`: the way of the frames is the same, and the time is long.
#[actix::test]
async fn two_hundred_triggers_in_chaos_on_postgres() {
    let needs = [Need::Peer, Need::Postgres];
    if all() && ready("two_hundred_triggers_in_chaos_on_postgres", &needs) {
        chaos(Database::postgres()).await;
    }
}

async fn chaos(database: Database) {
    let seed = std::env::var("WINDSOCK_TEST_SEED");
    let seed = seed.map_or(SEED, |seed| seed.parse().unwrap()).to_string();
    let mut peer = Peer::play("chaos.py", &["--seed", &seed]).await;
    let mut app = TestApp::start(database).await;
    let content = "export async function main(msg: string) { return msg.length; }";
    app.create_script(SCRIPT, "nativets", content).await;
    stream::iter(0..TRIGGERS)
        .for_each_concurrent(8, |n| {
            let kind = if takes_all(n) { "all" } else { "some" };
            let url = peer.url(&format!("/{kind}/{n}"));
            let app = &app;
            async move {
                app.create_trigger(&path(n), SCRIPT, &url, settings(n))
                    .await
            }
        })
        .await;
    settle(&app, &mut peer).await;
    all_is_done(&app).await;
    let before = Footprint::of(app.pid());

    peer.command(json!({"do": "mode", "mode": "chaos"})).await;
    actix::clock::sleep(Duration::from_secs(if all() { 60 } else { 6 })).await;
    everything_has_happened(&mut peer).await;
    peer.command(json!({"do": "mode", "mode": "calm"})).await;
    everybody_hears(&app, &mut peer).await;

    let statuses = all_is_done(&app).await;
    let (report, jobs) = (report(&mut peer, true).await, job_names(&app).await);
    for (status, n) in statuses.iter().zip(0..) {
        check(n, status, &report, &jobs);
    }
    let failed = app.completed("success=false").await;
    assert_eq!(failed, Vec::<Value>::new());
    let after = Footprint::of(app.pid());
    say(&format!(
        "chaos with seed {seed}: {} attempts of {TRIGGERS} triggers, {} jobs, each once; before {before:?}, after {after:?}; {}",
        report["attempts"],
        jobs.len(),
        report["done"]
    ));
    assert!(after.descriptors <= before.descriptors + SPARE_DESCRIPTORS);
    assert!(after.threads <= before.threads + SPARE_THREADS);
    assert!(after.resident_kib <= before.resident_kib + SPARE_KIB);
    nothing_stays_behind_deleted_triggers(&app, &peer).await;
    app.stop().await;
}

/// Each way to go wrong has been met, and each legal code has been heard; the chaos lasts until then.
async fn everything_has_happened(peer: &mut Peer) {
    let refused = "refuse hang_up garbage bad_accept status_503 status_401 status_429";
    let broken = "stay close close_empty abort half_open bad_utf8 bad_utf8_in_pieces huge too_large reserved cut_frame slow";
    let codes = (1000..=1014).filter(|code| !(1004..=1006).contains(code));
    let codes = codes.chain([3000, 3003, 3999, 4000, 4009, 4999]);
    let wanted: Vec<String> = refused
        .split(' ')
        .chain(broken.split(' '))
        .map(str::to_owned)
        .chain(codes.map(|code| format!("closed {code}")))
        // What the client answered to broken text, to too much of it and to a broken frame.
        .chain([1007, 1009, 1002].map(|code| format!("heard {code}")))
        .collect();
    wait_at_most(PATIENCE, "everything goes wrong once", async || {
        let done = report(peer, false).await["done"].clone();
        let missing: Vec<_> = wanted.iter().filter(|what| done[what].is_null()).collect();
        let all = missing.is_empty();
        all.then_some(()).ok_or(format!("not yet: {missing:?}"))
    })
    .await;
}

async fn nothing_stays_behind_deleted_triggers(app: &TestApp, peer: &Peer) {
    stream::iter(0..TRIGGERS)
        .for_each_concurrent(8, |n| async move {
            let route = format!("websocket_triggers/delete/{}", path(n));
            app.delete(&route).await.expect(200);
        })
        .await;
    wait_at_most(PATIENCE, "no socket is left", async || {
        let left = sockets_to(app.pid(), peer.port());
        (left == 0).then_some(()).ok_or(format!("{left} are"))
    })
    .await;
}
