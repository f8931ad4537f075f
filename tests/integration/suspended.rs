//! A suspended trigger goes on listening; what comes is held until somebody has it run, or discards it.

use serde_json::{Value, json};

use crate::harness::{Answer, Database, Peer, TestApp, app::trigger, on_both_databases, wait_for};

on_both_databases!(
    needs: [Need::Peer],
    tests: [
        a_script_is_mended_and_what_came_meanwhile_replayed,
        held_jobs_can_be_chosen_and_discarded,
    ]
);

const SCRIPT: &str = "u/admin/parse";
const TRIGGER: &str = "f/orders/feed";
const KINDS: &str = "unassigned_script,unassigned_flow,unassigned_singlestepflow";

async fn held(app: &TestApp) -> Vec<Value> {
    let query = format!("trigger_kind=websocket&trigger_path={TRIGGER}&job_kinds={KINDS}");
    let list = format!("jobs/queue/list?{query}&order_desc=false&include_args=true");
    app.list(&list).await
}

async fn wait_until_held(app: &TestApp, count: usize) -> Vec<Value> {
    wait_for(&format!("{count} jobs are held"), async || {
        let jobs = held(app).await;
        let seen = format!("{} are", jobs.len());
        (jobs.len() == count).then_some(jobs).ok_or(seen)
    })
    .await
}

async fn act(app: &TestApp, what: &str, body: &Value) -> Answer {
    let path = format!("trigger/websocket/{what}_suspended_trigger_jobs/{TRIGGER}");
    app.post(&path, body).await
}

async fn set_mode(app: &TestApp, mode: &str) {
    let path = format!("websocket_triggers/setmode/{TRIGGER}");
    app.post(&path, &json!({ "mode": mode })).await.expect(200);
}

async fn suspended(app: &TestApp, peer: &mut Peer) -> crate::harness::peer::Connection {
    app.create_script(
        SCRIPT,
        "nativets",
        "export async function main(msg: string) { throw new Error('broken') }",
    )
    .await;
    let more = json!({"mode": "suspended", "can_return_message": true});
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    wait_for("the trigger listens, suspended", async || {
        let status = app.status(TRIGGER).await;
        (status["state"] == "suspended")
            .then_some(())
            .ok_or(status.to_string())
    })
    .await;
    connection
}

async fn a_script_is_mended_and_what_came_meanwhile_replayed(database: Database) {
    let (mut app, mut peer) = (TestApp::start(database).await, Peer::start().await);
    let connection = suspended(&app, &mut peer).await;
    let texts: Vec<String> = (0..20).map(|n| format!("message {n}")).collect();
    peer.send(&connection, &texts).await;
    let jobs = wait_until_held(&app, 20).await;
    assert_eq!(jobs[3]["args"], json!({"msg": "message 3"}));
    assert_eq!(jobs[3]["job_kind"], "unassigned_script");
    assert_eq!(jobs[3]["running"], false);
    let count = format!("jobs/queue/count?trigger_path={TRIGGER}");
    let count = app.get(&count).await.expect(200).json();
    assert_eq!(count, json!({"database_length": 0, "suspended": 20}));
    for (query, found) in [
        ("jobs/list?suspended=true", 20),
        ("jobs/queue/list?suspended=true", 20),
        ("jobs/queue/list?suspended=false", 0),
        ("jobs/completed/list?suspended=true", 0),
    ] {
        assert_eq!(app.list(query).await.len(), found, "{query}");
    }

    // A restart does not lose them, and the new script, with a preprocessor, gets them as if they came now.
    app.stop().await;
    app.start_again().await;
    let mended = "export async function preprocessor(event: {msg: string, trigger_path: string}) {
  return { text: event.msg, from: event.trigger_path };
}
export async function main(text: string, from: string) { return `${text} from ${from}`; }";
    app.create_script_with(SCRIPT, "nativets", mended, &json!({"auto_parent": true}))
        .await;
    let answer = act(&app, "resume", &json!({})).await.expect(200);
    assert_eq!(answer.json(), json!("Reassigned 20 jobs"));
    for (n, job) in jobs.iter().enumerate() {
        let ended = app.wait_for_job(job["id"].as_str().unwrap()).await;
        let result = json!(format!("message {n} from {TRIGGER}"));
        assert_eq!(
            (&ended["result"], &ended["success"]),
            (&result, &json!(true))
        );
        assert_eq!(ended["job_kind"], "script");
    }
    assert_eq!(held(&app).await, Vec::<Value>::new());

    // It is still suspended: the next message is held, until the mode changes; those after that run at once.
    let connection = peer.accept().await;
    peer.send(&connection, &["one more"]).await;
    let last = wait_until_held(&app, 1).await;
    set_mode(&app, "enabled").await;
    wait_for("the trigger is enabled", async || {
        let status = app.status(TRIGGER).await;
        (status["state"] == "listening")
            .then_some(())
            .ok_or(status.to_string())
    })
    .await;
    peer.send(&connection, &["at once"]).await;
    let reply = peer.event("the reply", |event| event["event"] == "message");
    assert_eq!(reply.await["text"], format!("at once from {TRIGGER}"));
    assert_eq!(held(&app).await[0]["id"], last[0]["id"]);
    app.stop().await;
}

async fn held_jobs_can_be_chosen_and_discarded(database: Database) {
    let (mut app, mut peer) = (TestApp::start(database).await, Peer::start().await);
    let connection = suspended(&app, &mut peer).await;
    peer.send(&connection, &["0", "1", "2", "3"]).await;
    let jobs = wait_until_held(&app, 4).await;
    let id = |n: usize| jobs[n]["id"].as_str().unwrap().to_owned();

    let bad = act(&app, "resume", &json!({"job_ids": [id(0), "x"]})).await;
    assert!(bad.expect(400).text.starts_with("job_ids[1]: "));
    let answer = act(&app, "resume", &json!({"job_ids": [id(1)]})).await;
    assert_eq!(answer.expect(200).json(), json!("Reassigned 1 jobs"));
    let ended = app.wait_for_job(&id(1)).await;
    assert_eq!(ended["result"]["error"]["message"], "broken");
    let answer = act(&app, "cancel", &json!({"job_ids": [id(2), id(1)]})).await;
    assert_eq!(answer.expect(200).json(), json!("Canceled 1 jobs"));
    let ended = app.wait_for_job(&id(2)).await;
    assert_eq!(
        (&ended["canceled"], &ended["canceled_by"]),
        (&json!(true), &json!("admin"))
    );

    // A trigger that is renamed takes them along.
    for (from, to) in [(TRIGGER, "f/orders/other"), ("f/orders/other", TRIGGER)] {
        let body = trigger(to, SCRIPT, &peer.url("/"), json!({"mode": "suspended"}));
        let update = format!("websocket_triggers/update/{from}");
        app.post(&update, &body).await.expect(200);
        let count = format!("jobs/queue/count?trigger_path={to}");
        let count = app.get(&count).await.expect(200).json();
        assert_eq!(count["suspended"], 2, "{count}");
    }

    // One held job is canceled like any other; without its trigger the rest can still be discarded, or run.
    let cancel = format!("jobs_u/queue/cancel/{}", id(3));
    app.post(&cancel, &json!({})).await.expect(200);
    let delete = format!("websocket_triggers/delete/{TRIGGER}");
    app.delete(&delete).await.expect(200);
    let answer = act(&app, "cancel", &json!({})).await;
    assert_eq!(answer.expect(200).json(), json!("Canceled 1 jobs"));
    let answer = act(&app, "cancel", &json!({})).await.expect(404);
    assert_eq!(answer.text, format!("Trigger not found at path: {TRIGGER}"));
    assert!(!app.wait_for_job(&id(0)).await["success"].as_bool().unwrap());
    app.stop().await;
}
