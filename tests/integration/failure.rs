//! A trigger's `retry` and error handler: what follows when a job fails.

use serde_json::{Value, json};

use crate::flows::{create, echo, fail};
use crate::harness::{
    Database, Peer, Settings, TestApp, app::trigger, on_both_databases, wait_for,
};

on_both_databases!(
    needs: [Need::Peer],
    tests: [
        a_job_is_tried_again_and_its_error_handler_called_at_last,
        a_wait_for_the_next_try_survives_a_kill,
        a_flow_is_tried_again_whole_and_a_flow_handles_its_error,
    ]
);

const SCRIPT: &str = "u/admin/flaky";
const HANDLER: &str = "u/admin/on_error";
const TRIGGER: &str = "f/orders/flaky";

/// Fails as the message says; remembers its tries, for there is one worker, and it stays warm.
const FLAKY: &str = "
let tries = 0;
export async function main(msg: string) {
  if (msg === 'never') throw new RangeError('never');
  tries += 1;
  console.log(`try ${tries}`);
  if (tries < 3) throw new Error('try again');
  return `after ${tries} tries`;
}";

/// Passes when somebody has opened.
const GATED: &str = r#"
import { getVariable } from "windmill-client";
export async function main(msg: string) {
  if ((await getVariable("u/admin/gate")) !== "open") throw new Error("shut");
  return msg;
}"#;

async fn start(database: Database, script: &str, more: Value) -> (TestApp, Peer) {
    let one_worker = Settings::new().flag("--num-workers").flag("1");
    let (app, mut peer) = (
        TestApp::start_with(database, one_worker).await,
        Peer::start().await,
    );
    app.create_script(SCRIPT, "nativets", script).await;
    let handler = "export async function main(job_id: string, path: string, trigger_path: string, error: any, team: string) {
  return { job_id, path, trigger_path, error: error.name, team };
}";
    app.create_script(HANDLER, "nativets", handler).await;
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    (app, peer)
}

/// The first job of the script that has not ended, once its first run has failed.
async fn waiting(app: &TestApp) -> Value {
    wait_for("a job waits for its next try", async || {
        let jobs = app
            .list(&format!(
                "jobs/queue/list?script_path_exact={SCRIPT}&order_desc=false"
            ))
            .await;
        let job = jobs.first().ok_or("there is none")?;
        let logs = format!("jobs_u/get_logs/{}", job["id"].as_str().unwrap());
        let logs = app.get(&logs).await;
        let waits = logs.text.contains("run 1 has failed");
        waits.then(|| job.clone()).ok_or(job.to_string())
    })
    .await
}

async fn a_job_is_tried_again_and_its_error_handler_called_at_last(database: Database) {
    let more = json!({
        "retry": {"constant": {"attempts": 2, "seconds": 0}, "retry_if": {"expr": "error.message.includes('again')"}},
        "error_handler_path": HANDLER, "error_handler_args": {"team": "ops"},
        "can_return_message": true, "can_return_error_result": true,
    });
    let (mut app, mut peer) = start(database, FLAKY, more).await;
    let connection = peer.connections()[0].clone();
    peer.send(&connection, &["please"]).await;
    let reply = peer.event("the first reply", |event| event["event"] == "message");
    assert_eq!(reply.await["text"], "after 3 tries");
    peer.send(&connection, &["never"]).await;
    let replies = wait_for("the second reply", async || {
        let replies = peer.events("message");
        let count = format!("{} replies", replies.len());
        (replies.len() == 2).then_some(replies).ok_or(count)
    })
    .await;
    assert!(replies[1]["text"].as_str().unwrap().contains("RangeError"));

    let jobs = app.completed(&format!("script_path_exact={SCRIPT}")).await;
    assert_eq!(jobs.len(), 2, "a job is one job, however often it runs");
    let (failed, passed): (Vec<Value>, Vec<Value>) =
        jobs.into_iter().partition(|job| job["success"] == false);
    let logs = format!("jobs_u/get_logs/{}", passed[0]["id"].as_str().unwrap());
    let logs = app.get(&logs).await.expect(200).text;
    let lines: Vec<&str> = logs.lines().collect();
    assert_eq!(
        (lines[0], lines[2], lines[4]),
        ("try 1", "try 2", "try 3"),
        "{logs}"
    );
    assert!(
        lines[1].contains("run 1 has failed") && lines[3].contains("run 2 has failed"),
        "{logs}"
    );
    for job in [&failed[0], &passed[0]] {
        assert_eq!(job["job_kind"], "singlestepflow");
    }
    let calls = wait_for("the error handler has run", async || {
        let calls = app.completed(&format!("script_path_exact={HANDLER}")).await;
        (calls.len() == 1)
            .then_some(calls)
            .ok_or("it has not".into())
    })
    .await;
    let call = app.wait_for_job(calls[0]["id"].as_str().unwrap()).await;
    let told = json!({
        "job_id": failed[0]["id"], "path": SCRIPT, "trigger_path": format!("websocket_trigger/{TRIGGER}"),
        "error": "RangeError", "team": "ops",
    });
    assert_eq!(
        (&call["result"], &call["parent_job"]),
        (&told, &failed[0]["id"])
    );
    assert_bad_settings_name_their_field(&app, &peer).await;
    app.stop().await;
}

async fn assert_bad_settings_name_their_field(app: &TestApp, peer: &Peer) {
    for (more, wanted) in [
        (
            json!({"retry": {"constant": {"attempts": 1}, "retry_if": {"expr": "error."}}}),
            "retry.retry_if.expr: SyntaxError",
        ),
        (
            json!({"error_handler_path": "flow/nowhere"}),
            "error_handler_path: 'nowhere' is not a path",
        ),
    ] {
        let body = trigger("f/orders/bad", SCRIPT, &peer.url("/"), more);
        let answer = app.post("websocket_triggers/create", &body).await;
        let text = answer.expect(400).text;
        assert!(text.starts_with(wanted), "{text}");
    }
    let more = json!({"error_handler_path": format!("flow/{HANDLER}"), "mode": "disabled"});
    app.create_trigger("f/orders/fine", SCRIPT, &peer.url("/"), more)
        .await;
    let fine = app.get("websocket_triggers/get/f/orders/fine").await;
    let fine = fine.expect(200).json();
    assert_eq!(fine["error_handler_path"], format!("flow/{HANDLER}"));
}

/// Tried each second until somebody opens, which happens after the kill; the next one in line waits all the while.
async fn a_wait_for_the_next_try_survives_a_kill(database: Database) {
    let more = json!({
        "ordered": true, "retry": {"constant": {"attempts": 10_000, "seconds": 1}}, "error_handler_path": HANDLER,
    });
    let (mut app, mut peer) = start(database, GATED, more).await;
    let variable =
        json!({"path": "u/admin/gate", "value": "shut", "is_secret": false, "description": ""});
    app.post("variables/create", &variable).await.expect(201);
    let connection = peer.connections()[0].clone();
    peer.send(&connection, &["first", "second"]).await;
    let first = waiting(&app).await;
    assert_eq!(app.completed("").await, Vec::<Value>::new());
    app.kill();
    app.start_again().await;
    let open = json!({"value": "open"});
    app.post("variables/update/u/admin/gate", &open)
        .await
        .expect(200);
    let jobs = wait_for("both jobs complete", async || {
        let query = format!("script_path_exact={SCRIPT}&order_desc=false");
        let jobs = app.completed(&query).await;
        let count = format!("{} have", jobs.len());
        (jobs.len() == 2).then_some(jobs).ok_or(count)
    })
    .await;
    assert!(jobs.iter().all(|job| job["success"] == true), "{jobs:?}");
    let starts = jobs.iter().map(|job| job["started_at"].as_str().unwrap());
    let starts: Vec<&str> = starts.collect();
    assert!(
        first["scheduled_for"].as_str().unwrap() <= starts[0],
        "{first}"
    );
    assert!(
        starts[0] < starts[1],
        "the second waited for the first: {starts:?}"
    );
    let calls = app.jobs(&format!("script_path_exact={HANDLER}")).await;
    assert_eq!(calls, Vec::<Value>::new());
    app.stop().await;
}

async fn a_flow_is_tried_again_whole_and_a_flow_handles_its_error(database: Database) {
    let one_worker = Settings::new().flag("--num-workers").flag("1");
    let (mut app, mut peer) = (
        TestApp::start_with(database, one_worker).await,
        Peer::start().await,
    );
    let (flow, handler) = ("f/flows/flaky", "f/flows/on_error");
    let modules = [echo("a", "flow_input.msg"), fail("b", "results.a")];
    create(&app, flow, json!({ "modules": modules })).await;
    create(&app, handler, json!({"modules": [echo("a", "flow_input")]})).await;
    let more = json!({
        "is_flow": true, "retry": {"constant": {"attempts": 1, "seconds": 0}},
        "error_handler_path": format!("flow/{handler}"), "can_return_message": true, "can_return_error_result": true,
    });
    app.create_trigger(TRIGGER, flow, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    peer.send(&connection, &["down"]).await;
    let calls = wait_for("the error handler has run", async || {
        let calls = app.completed(&format!("script_path_exact={handler}")).await;
        (calls.len() == 1)
            .then_some(calls)
            .ok_or("it has not".into())
    })
    .await;
    let jobs = app.completed(&format!("script_path_exact={flow}")).await;
    assert_eq!((jobs.len(), &jobs[0]["success"]), (1, &json!(false)));
    let id = jobs[0]["id"].as_str().unwrap();
    let steps = app.completed(&format!("parent_job={id}")).await;
    let mut ids: Vec<&str> = steps
        .iter()
        .filter_map(|step| step["flow_step_id"].as_str())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a", "a", "b", "b"], "both steps ran twice");
    let call = app.wait_for_job(calls[0]["id"].as_str().unwrap()).await;
    let told = &call["result"];
    let seen = (
        &told["job_id"],
        &told["is_flow"],
        &told["path"],
        &told["error"]["message"],
    );
    assert_eq!(
        seen,
        (&json!(id), &json!(true), &json!(flow), &json!("down"))
    );
    let replies = wait_for("the reply", async || {
        let replies = peer.events("message");
        (!replies.is_empty())
            .then_some(replies)
            .ok_or("none".into())
    })
    .await;
    assert_eq!(replies.len(), 1, "one message, one answer: {replies:?}");
    app.stop().await;
}
