//! A connection to PostgreSQL that breaks after `COMMIT` has arrived and before its answer: what was done stays done.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Cluster, Cutter, Need, Peer, TestApp, ready, wait_for};

const SCRIPT: &str = "u/admin/number";
const TRIGGER: &str = "f/faults/unanswered";
const NUMBER: &str = "export async function main(msg: string) { return JSON.parse(msg).n; }";

/// A message takes three commits: of its job, of the claim, of the result. Each round loses the answers to the next
/// one, two, three or four, so that each of them is hit, and more than one in a row.
const ROUNDS: usize = 16;

#[actix::test]
async fn a_commit_that_nobody_answered_is_done_once() {
    let name = "faults::a_commit_that_nobody_answered_is_done_once";
    if !ready(name, &[Need::Peer, Need::Postgres]) {
        return;
    }
    let cluster = Cluster::start();
    let cable = Cutter::to(cluster.port()).await;
    let mut app = TestApp::start(cluster.through(cable.port())).await;
    let mut peer = Peer::start().await;
    app.create_script(SCRIPT, "nativets", NUMBER).await;
    let more = json!({
        "can_return_message": true,
        "conversation": [{"on": {"filters": []}, "send": r#"{"kept": {{msg.n}}}"#}],
    });
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    for round in 0..ROUNDS {
        cable.lose_answers_to("COMMIT", 1 + round % 4);
        peer.send(&connection, &[json!({"n": round}).to_string()])
            .await;
        // That it is kept, and its result.
        peer.said(&connection, 2 * (round + 1)).await;
        wait_for("every answer to be lost is lost", async || {
            let left = cable.answers_to_lose();
            (left == 0).then_some(()).ok_or(left.to_string())
        })
        .await;
    }
    let expected: Vec<Value> = (0..ROUNDS)
        .flat_map(|n| [format!(r#"{{"kept": {n}}}"#).into(), n.to_string().into()])
        .collect();
    let said = peer.said(&connection, 2 * ROUNDS).await;
    assert_eq!(said, expected);

    let mut jobs = BTreeMap::<String, usize>::new();
    for job in app.completed("include_args=true").await {
        assert_eq!(job["success"], true, "{job}");
        *jobs.entry(job["args"]["msg"].to_string()).or_default() += 1;
    }
    assert_eq!(jobs.len(), ROUNDS, "{jobs:?}");
    assert!(jobs.values().all(|times| *times == 1), "{jobs:?}");
    let waiting = app.get("jobs/queue/count").await.expect(200).json();
    assert_eq!(waiting["database_length"], 0, "{waiting}");
    let status = app.status(TRIGGER).await;
    for name in ["received", "enqueued", "replied"] {
        assert_eq!(status[name], ROUNDS, "{name} of {status}");
    }
    app.stop().await;
}
