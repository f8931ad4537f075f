//! An upgrade of two servers one after the other, under load: of a feed that can be read again nothing is lost, and no
//! job that has ended runs again.

use std::collections::{BTreeMap, BTreeSet};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::PATIENCE;
use crate::harness::{Database, Need, Peer, TestApp, ready, wait_at_most};

const SCRIPT: &str = "u/admin/number";
const TRIGGER: &str = "f/faults/rolling";

/// What a second run would give differs.
const NUMBER: &str =
    "export async function main(msg: string) { return [JSON.parse(msg).time_us, Math.random()]; }";

const ROUNDS: usize = 2;

#[actix::test]
async fn a_rolling_restart_loses_nothing_and_repeats_nothing() {
    let name = "faults::a_rolling_restart_loses_nothing_and_repeats_nothing";
    if !ready(name, &[Need::Peer, Need::Postgres]) {
        return;
    }
    let database = Database::postgres();
    let mut peer = Peer::play("jetstream.py", &[]).await;
    let mut apps = [
        TestApp::start(database.again()).await,
        TestApp::start(database.again()).await,
    ];
    apps[0].create_script(SCRIPT, "nativets", NUMBER).await;
    let url = "/subscribe{% if vars.cursor %}?cursor={{vars.cursor + 1}}{% endif %}";
    let more = json!({
        "conversation": [{"on": {"filters": []}, "set": {"cursor": "time_us"}}],
        "reconnect": {"initial_delay_ms": 10, "max_delay_ms": 50},
    });
    apps[0]
        .create_trigger(TRIGGER, SCRIPT, &peer.url(url), more)
        .await;
    // Before there is a cursor the feed begins now.
    peer.accept().await;
    apps[0].wait_until_listening(TRIGGER).await;

    let mut published = publish(&mut peer).await;
    apps[0]
        .wait_for_status(TRIGGER, "there is a cursor", |s| {
            s["enqueued"].as_u64() >= Some(1)
        })
        .await;
    let mut ended = BTreeMap::<String, Value>::new();
    for round in 0..ROUNDS {
        for n in [0, 1] {
            published += publish(&mut peer).await;
            apps[n].signal(Signal::SIGTERM);
            published += publish(&mut peer).await;
            apps[n].stop().await;
            published += publish(&mut peer).await;
            // Some of those that have ended by now.
            for id in ended_jobs(&apps[1 - n]).await.into_iter().take(100) {
                let result = result(&apps[1 - n], &id).await;
                ended.insert(id, result);
            }
            apps[n].start_again().await;
        }
        println!(
            "round {round}: {published} published, {} ended",
            ended.len()
        );
    }
    published += publish(&mut peer).await;
    let jobs = wait_at_most(
        PATIENCE,
        "every message is a job that has ended",
        async || {
            let jobs = ended_jobs(&apps[0]).await;
            let seen = format!("{} of {published}", jobs.len());
            (jobs.len() >= published).then_some(jobs).ok_or(seen)
        },
    )
    .await;
    let mut moments = BTreeSet::new();
    for id in &jobs {
        let result = result(&apps[0], id).await;
        if let Some(before) = ended.get(id) {
            assert_eq!(&result, before, "job {id} had ended and ran again");
        }
        moments.insert(result[0].as_u64().unwrap());
    }
    assert_eq!((jobs.len(), moments.len()), (published, published));
    for app in &mut apps {
        app.stop().await;
    }
}

async fn publish(peer: &mut Peer) -> usize {
    peer.command(json!({"do": "publish", "count": 200})).await;
    200
}

/// The ids of the jobs that have ended, all of them well.
async fn ended_jobs(app: &TestApp) -> Vec<String> {
    let jobs = app.completed(&format!("trigger_path={TRIGGER}")).await;
    let id = |job: &Value| {
        assert_eq!(job["success"], true, "{job}");
        job["id"].as_str().unwrap().to_owned()
    };
    jobs.iter().map(id).collect()
}

async fn result(app: &TestApp, id: &str) -> Value {
    let path = format!("jobs_u/completed/get_result/{id}");
    app.get(&path).await.expect(200).json()
}
