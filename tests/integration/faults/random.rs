//! Two servers and two workers on a PostgreSQL, and at random moments one of them, the database or the network fails:
//! every number that was said to be kept has a finished job, none has two, and `ordered` stays in order.
//!
//! What befalls whom, for how long and after which pause depends on the seed alone; 25 s of it by default, five minutes
//! with `--all`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{PATIENCE, world::World};
use crate::harness::{Cluster, Need, Peer, Settings, TestApp, all, ready, wait_at_most};

/// The seed; another one with `WINDSOCK_TEST_SEED`, and another duration with `WINDSOCK_TEST_SECONDS`.
const SEED: u64 = 20_261_127;

const TRIGGERS: u64 = 12;
const SCRIPT: &str = "u/admin/number";
const NUMBER: &str = "export async function main(msg: string) { return JSON.parse(msg).n; }";

/// How often is looked what has ended and what is due.
const TICK: Duration = Duration::from_millis(20);

fn path(n: u64) -> String {
    format!("f/faults/t{n}")
}

fn is_ordered(n: u64) -> bool {
    n.is_multiple_of(3)
}

fn replies(n: u64) -> bool {
    n % 3 == 1
}

/// A number that went out, and what came back.
struct Sent {
    n: u64,
    connection: u64,
    at: f64,
    kept: bool,
    answers: u64,
}

#[actix::test]
async fn random_faults_lose_nothing() {
    let name = "faults::random_faults_lose_nothing";
    if !ready(name, &[Need::Peer, Need::Postgres]) {
        return;
    }
    let seed = std::env::var("WINDSOCK_TEST_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let cluster = Cluster::start();
    let mut peer = Peer::play("number_feed.py", &[]).await;
    // Looks on and runs nothing; it has a way to the database that is never cut.
    let onlooker = Settings::new().env("MODE", "worker");
    let onlooker = onlooker.env("NUM_WORKERS", "0");
    let onlooker = onlooker.env("BASE_INTERNAL_URL", "http://127.0.0.1:9");
    let mut app = TestApp::start_with(cluster.database(), onlooker).await;
    let mut world = World::start(cluster, &peer, app.url()).await;
    create(&app, &world).await;
    settle(&app, &mut world, &mut peer).await;

    let mut rng = StdRng::seed_from_u64(seed);
    let seconds = std::env::var("WINDSOCK_TEST_SECONDS");
    let seconds = seconds.map_or(if all() { 300 } else { 25 }, |text| text.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut next = Instant::now();
    while Instant::now() < end {
        if Instant::now() >= next {
            world.break_something(&mut rng);
            next = Instant::now() + Duration::from_millis(rng.random_range(100..1_500));
        }
        actix::clock::sleep(TICK).await;
        world.supervise();
        world.heal(false).await;
    }
    world.heal(true).await;
    settle(&app, &mut world, &mut peer).await;
    let report = all_is_kept(&app, &mut world, &mut peer).await;
    let summary = check(&app, &report).await;
    let faults = world.log.iter().filter(|line| line.contains(" has "));
    let _ = writeln!(
        std::io::stderr(),
        "faults with seed {seed}: {} faults, {} starts of 4 processes; {summary}",
        faults.count(),
        world.starts(),
    );
    app.stop().await;
}

async fn create(app: &TestApp, world: &World) {
    app.create_script(SCRIPT, "nativets", NUMBER).await;
    for n in 0..TRIGGERS {
        let url = format!("ws://127.0.0.1:{}/{n}", world.feed_port());
        let more = json!({
            "ordered": is_ordered(n), "can_return_message": replies(n), "ping_interval_secs": 1,
            "reconnect": {"initial_delay_ms": 50, "max_delay_ms": 1000},
            "conversation": [{"on": {"filters": []}, "send": r#"{"kept": {{msg.n}}}"#}],
        });
        app.create_trigger(&path(n), SCRIPT, &url, more).await;
    }
}

async fn report(peer: &mut Peer, numbers: bool) -> Value {
    peer.command(json!({"do": "report", "numbers": numbers}))
        .await;
    peer.events("report").pop().unwrap()
}

/// Waits until every trigger listens, on both servers, half of them each.
async fn settle(app: &TestApp, world: &mut World, peer: &mut Peer) {
    wait_at_most(PATIENCE, "two servers listen again", async || {
        world.supervise();
        let mut shares = BTreeMap::<String, u64>::new();
        for n in 0..TRIGGERS {
            let status = app.status(&path(n)).await;
            if status["state"] != "listening" {
                return Err(format!("{status}\n{}", tail(world)));
            }
            let server = status["server_id"].as_str().unwrap_or_default();
            *shares.entry(server.to_owned()).or_default() += 1;
        }
        let open = report(peer, false).await["open"].clone();
        let one_each = (0..TRIGGERS).all(|n| open[n.to_string()] == 1);
        let even = shares.len() == 2 && shares.values().all(|share| *share == TRIGGERS / 2);
        (even && one_each)
            .then_some(())
            .ok_or(format!("{shares:?}, connections: {open}\n{}", tail(world)))
    })
    .await;
}

/// What has happened last, for a failure's message.
fn tail(world: &World) -> String {
    let from = world.log.len().saturating_sub(30);
    format!("{}\n{}", world.log[from..].join("\n"), world.output())
}

/// Stops the feed and waits until all of it has been dealt with.
async fn all_is_kept(app: &TestApp, world: &mut World, peer: &mut Peer) -> Value {
    peer.command(json!({"do": "rest"})).await;
    // However many jobs a slow machine has let pile up: as long as there are fewer and fewer, it goes on.
    let (mut least, mut since) = (u64::MAX, Instant::now());
    loop {
        world.supervise();
        let unkept = report(peer, false).await["unkept"].as_u64().unwrap();
        let waiting = app.get("jobs/queue/count").await.expect(200).json();
        let left = unkept + waiting["database_length"].as_u64().unwrap();
        if left == 0 {
            break;
        }
        if left < least {
            (least, since) = (left, Instant::now());
        }
        assert!(
            since.elapsed() < PATIENCE,
            "nothing moves: {unkept} not kept, {waiting}\n{}\n{}",
            world.database(),
            tail(world)
        );
        actix::clock::sleep(TICK * 10).await;
    }
    report(peer, true).await
}

fn sent(report: &Value, n: u64) -> Vec<Sent> {
    let all = report["numbers"][n.to_string()].as_array();
    let read = |one: &Value| Sent {
        n: one[0].as_u64().unwrap(),
        connection: one[1].as_u64().unwrap(),
        at: one[2].as_f64().unwrap(),
        kept: one[3].is_number(),
        answers: one[4].as_u64().unwrap(),
    };
    all.unwrap().iter().map(read).collect()
}

async fn check(app: &TestApp, report: &Value) -> String {
    let (mut numbers, mut kept, mut jobs, mut lost) = (0, 0, 0, 0);
    for n in 0..TRIGGERS {
        let sent = sent(report, n);
        let query = format!("trigger_path={}&include_args=true", path(n));
        let mut ran = BTreeMap::new();
        for job in app.completed(&query).await {
            let message: Value =
                serde_json::from_str(job["args"]["msg"].as_str().unwrap()).unwrap();
            let number = message["n"].as_u64().unwrap();
            lost += u64::from(is_success_or_lost(&job));
            let before = ran.insert(number, job);
            assert!(before.is_none(), "{n}: two jobs for {number}: {before:?}");
        }
        let known: BTreeSet<u64> = sent.iter().map(|one| one.n).collect();
        let strange: Vec<_> = ran.keys().filter(|n| !known.contains(n)).collect();
        assert!(strange.is_empty(), "{n}: jobs of no number: {strange:?}");
        let gone: Vec<_> = sent
            .iter()
            .filter(|one| one.kept && !ran.contains_key(&one.n))
            .map(|one| one.n)
            .collect();
        assert!(gone.is_empty(), "{n}: kept, and no job: {gone:?}");
        let more = sent.iter().find(|one| one.answers > u64::from(replies(n)));
        assert!(
            more.is_none(),
            "{n}: too many answers to {:?}",
            more.map(|m| m.n)
        );
        only_one_listened(n, &sent, report);
        if is_ordered(n) {
            in_order(n, &ran);
        }
        numbers += sent.len();
        kept += sent.iter().filter(|one| one.kept).count();
        jobs += ran.len();
    }
    format!(
        "{numbers} numbers, {kept} kept, {jobs} jobs, each once, {lost} gave up after three lost workers"
    )
}

/// Whether the job gave up, as one that has lost three workers does.
fn is_success_or_lost(job: &Value) -> bool {
    if job["success"] == true {
        return false;
    }
    assert_eq!(job["result"]["error"]["name"], "WorkersLost", "{job}");
    true
}

/// What went out on a connection after the next one of the same trigger had come was never kept: whoever held the
/// older one had lost the trigger. (A connection of which nothing was kept is left out: a mended cable may bring one
/// that its client has long given up.)
fn only_one_listened(n: u64, sent: &[Sent], report: &Value) {
    let accepted = |connection: u64| report["accepted"][connection.to_string()].as_f64().unwrap();
    let kept = sent.iter().filter(|one| one.kept);
    let connections: BTreeSet<u64> = kept.map(|one| one.connection).collect();
    let mut in_order: Vec<u64> = connections.into_iter().collect();
    in_order.sort_by(|a, b| accepted(*a).total_cmp(&accepted(*b)));
    for pair in in_order.windows(2) {
        let since = accepted(pair[1]);
        let late: Vec<_> = sent
            .iter()
            .filter(|one| one.kept && one.connection == pair[0] && one.at > since)
            .map(|one| format!("{} at {:.3}", one.n, one.at))
            .collect();
        assert!(
            late.is_empty(),
            "{n}: kept from connection {} after {} had come at {since:.3}: {late:?}",
            pair[0],
            pair[1]
        );
    }
}

/// One at a time, in the order of the numbers (which is that of their arrival).
fn in_order(n: u64, ran: &BTreeMap<u64, Value>) {
    let moment = |job: &Value| {
        let text = job["started_at"].as_str()?;
        chrono::DateTime::parse_from_rfc3339(text).ok()
    };
    let began: Vec<_> = ran
        .iter()
        .filter_map(|(number, job)| Some((number, moment(job)?)))
        .collect();
    for pair in began.windows(2) {
        assert!(pair[0].1 <= pair[1].1, "{n}: out of order: {pair:?}");
    }
}
