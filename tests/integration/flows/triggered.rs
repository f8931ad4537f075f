//! Triggers run flows: for messages, for their URL, for what they say first; and answer before the flow has ended.

use serde_json::json;

use super::{create, echo, step, with};
use crate::harness::{Database, Need, Peer, Settings, TestApp, on_both_databases, ready, wait_for};

on_both_databases!(
    needs: [Need::Peer],
    tests: [a_flow_that_answered_early_does_not_answer_again_when_it_runs_again]
);

const TRIGGER: &str = "f/flows/trigger";

#[actix_web::test]
async fn a_message_runs_a_flow_and_gets_its_answer() {
    if !ready("flow_triggers", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (
        TestApp::start(Database::sqlite()).await,
        Peer::start().await,
    );
    create(&app, "f/flows/greet", json!({"modules": [echo("a", "JSON.parse(flow_input.msg).name"), echo("b", "`hello ${results.a}`")]})).await;
    create(
        &app,
        "f/flows/url",
        json!({"modules": [echo("a", "flow_input.at + '?from=flow'")]}),
    )
    .await;
    create(
        &app,
        "f/flows/first",
        json!({"modules": [echo("a", "({subscribe: flow_input.topic})")]}),
    )
    .await;
    let at = peer.url("/talk");
    let more = json!({"is_flow": true, "can_return_message": true, "url_runnable_args": {"at": at},
        "initial_messages": [{"runnable_result": {"path": "f/flows/first", "args": {"topic": "x"}, "is_flow": true}}]});
    app.create_trigger(TRIGGER, "f/flows/greet", "$flow:f/flows/url", more)
        .await;
    let connection = peer.accept().await;
    assert_eq!(connection.path, "/talk?from=flow");
    assert_eq!(peer.said(&connection, 1).await, [r#"{"subscribe":"x"}"#]);
    app.wait_until_listening(TRIGGER).await;
    peer.send(&connection, &[r#"{"name":"world"}"#]).await;
    assert_eq!(peer.said(&connection, 2).await[1], "hello world");
    let job = app
        .completed("script_path_exact=f/flows/greet")
        .await
        .remove(0);
    assert_eq!(
        (&job["trigger_kind"], &job["trigger_path"]),
        (&json!("websocket"), &json!(TRIGGER))
    );
    assert_eq!(
        (&job["job_kind"], &job["created_by"]),
        (&json!("flow"), &json!(format!("ws-{TRIGGER}")))
    );
    let args = app
        .get(&format!("jobs_u/get_args/{}", job["id"].as_str().unwrap()))
        .await
        .expect(200)
        .json();
    assert_eq!(args, json!({"msg": r#"{"name":"world"}"#}));
}

#[actix_web::test]
async fn an_early_answer_and_a_preprocessor() {
    if !ready("flow_answers", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (
        TestApp::start(Database::sqlite()).await,
        Peer::start().await,
    );
    // The step behind the answer ends only once the test lets it.
    let variable =
        json!({"path": "f/flows/go", "value": "no", "is_secret": false, "description": ""});
    app.post("variables/create", &variable).await.expect(201);
    let waits = "import * as wmill from 'windmill-client'
        export async function main() {
          while (await wmill.getVariable('f/flows/go') != 'yes') await new Promise((done) => setTimeout(done, 50));
          return 'the end';
        }";
    let content = "export async function preprocessor(event: any) {
        return {n: Number(event.msg), kind: event.kind, path: event.trigger_path, url: event.url}
    }";
    let value = json!({
        "preprocessor_module": with(step("preprocessor", content, &[]), json!({})),
        "modules": [echo("a", "`${flow_input.n + 1} ${flow_input.kind} ${flow_input.path}`"), step("b", waits, &[])],
        "early_return": "a",
    });
    create(&app, "f/flows/early", value).await;
    let more = json!({"is_flow": true, "can_return_message": true});
    app.create_trigger(TRIGGER, "f/flows/early", &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    peer.send(&connection, &["41"]).await;
    let answer = format!("42 websocket {TRIGGER}");
    assert_eq!(peer.said(&connection, 1).await, [answer.as_str()]);
    let job = app.jobs("script_path_exact=f/flows/early").await.remove(0);
    assert_eq!(
        job["type"], "QueuedJob",
        "it goes on behind its answer: {job}"
    );
    app.post("variables/update/f/flows/go", &json!({"value": "yes"}))
        .await
        .expect(200);
    let job = app.wait_for_job(job["id"].as_str().unwrap()).await;
    assert_eq!(
        (&job["result"], &job["preprocessed"]),
        (&json!("the end"), &json!(true))
    );
    assert_eq!(job["args"]["n"], 41);
    assert_eq!(job["flow_status"]["preprocessor_module"]["type"], "Success");
    // There is no second answer.
    peer.send(&connection, &["1"]).await;
    assert_eq!(
        peer.said(&connection, 2).await[1],
        format!("2 websocket {TRIGGER}")
    );

    // The same for a request that waits; a python preprocessor that makes no object fails the flow.
    let body = json!({"n": 1, "kind": "k", "path": "p"});
    let answer = app
        .post("jobs/run_wait_result/f/f/flows/early", &body)
        .await
        .expect(200);
    assert_eq!(answer.json(), json!("2 k p"));
    let python = json!({"id": "preprocessor", "value": {"type": "rawscript", "language": "python3", "input_transforms": {},
        "content": "def preprocessor(event):\n    return {'word': event['msg'].upper()}\n"}});
    create(
        &app,
        "f/flows/python",
        json!({"preprocessor_module": python, "modules": [echo("a", "flow_input.word")]}),
    )
    .await;
    let update = json!({"path": TRIGGER, "script_path": "f/flows/python", "is_flow": true, "url": peer.url("/"), "filters": [],
        "can_return_message": true, "can_return_error_result": true});
    app.post(&format!("websocket_triggers/update/{TRIGGER}"), &update)
        .await
        .expect(200);
    wait_for("the other flow answers", async || {
        peer.send(&connection, &["word"]).await;
        let said = peer.said(&connection, 3).await;
        if said.iter().any(|text| text == "WORD") {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        }
    })
    .await;
}

/// On PostgreSQL the flow runs in another process than the one that holds the connection.
async fn a_flow_that_answered_early_does_not_answer_again_when_it_runs_again(database: Database) {
    let workers = |count: &str| Settings::new().flag("--num-workers").flag(count);
    let (app, _worker) = match database {
        Database::Sqlite(_) => (TestApp::start(database).await, None),
        Database::Postgres(_) => {
            let app = TestApp::start_with(database, workers("0")).await;
            let worker = app.start_worker(workers("2")).await;
            (app, Some(worker))
        }
    };
    let mut peer = Peer::start().await;
    let fails_twice = r#"import { getState, setState } from "windmill-client";
export async function main() {
  const runs = ((await getState()) ?? 0) + 1;
  await setState(runs);
  if (runs % 3 != 0) throw new Error("not yet");
  return runs;
}"#;
    let value = json!({
        "modules": [echo("a", "`got ${flow_input.msg}`"), step("b", fails_twice, &[])],
        "early_return": "a",
    });
    create(&app, "f/flows/early", value).await;
    let more = json!({"is_flow": true, "can_return_message": true, "can_return_error_result": true,
        "retry": {"constant": {"attempts": 5, "seconds": 0}}});
    app.create_trigger(TRIGGER, "f/flows/early", &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    for (number, message) in ["one", "two"].into_iter().enumerate() {
        peer.send(&connection, &[message]).await;
        wait_for("the flow ends", async || {
            let ended = app.completed("script_path_exact=f/flows/early").await;
            let count = ended.len();
            if let Some(job) = ended.iter().find(|job| job["success"] != true) {
                panic!("{job}");
            }
            (count == number + 1).then_some(()).ok_or(count.to_string())
        })
        .await;
    }
    // Answers of the first one's other runs would stand between these two.
    assert_eq!(peer.said(&connection, 2).await, ["got one", "got two"]);
    let status = app.status(TRIGGER).await;
    assert_eq!(
        (&status["replied"], &status["reply_undeliverable"]),
        (&json!(2), &json!(0))
    );
    // Each has run three times.
    let steps = app.completed("script_path_start=f/flows/early/").await;
    let failed = steps.iter().filter(|job| job["success"] == false).count();
    assert_eq!(failed, 4, "{steps:?}");
}
