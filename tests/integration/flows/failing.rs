//! Steps fail: they are tried again, the flow goes on, stops, or its failure module runs.

use serde_json::{Value, json};

use super::{create, echo, error, fail, result, run, start, step, with};
use crate::harness::{Database, TestApp, wait_for};

/// A step that fails until it was tried for the third time; it counts in a variable.
const THIRD_TIME: &str = "import * as wmill from 'windmill-client'
export async function main() {
  const tries = Number(await wmill.getVariable('f/flows/tries')) + 1;
  await wmill.setVariable('f/flows/tries', String(tries));
  if (tries < 3) throw new Error(`try ${tries}`);
  return tries;
}";

#[actix_web::test]
async fn steps_are_tried_again() {
    let app = TestApp::start(Database::sqlite()).await;
    let variable =
        json!({"path": "f/flows/tries", "value": "0", "is_secret": false, "description": ""});
    app.post("variables/create", &variable).await.expect(201);
    let third = with(
        step("a", THIRD_TIME, &[]),
        json!({"retry": {"constant": {"attempts": 5, "seconds": 0}}}),
    );
    let job = run(
        &app,
        json!({"modules": [third, echo("b", "results.a * 10")]}),
        json!({}),
    )
    .await;
    assert_eq!(job["result"], 30, "{job}");
    let retries = job["flow_status"]["modules"][0]["failed_retries"]
        .as_array()
        .unwrap();
    assert_eq!(retries.len(), 2);
    let first = app
        .completed_job(retries[0].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(first["result"]["error"]["message"], "try 1");

    // As often as it says, and only while its condition holds.
    for (retry, tries) in [
        (json!({"constant": {"attempts": 2, "seconds": 0}}), 2),
        (
            json!({"constant": {"attempts": 1, "seconds": 0}, "exponential": {"attempts": 1, "multiplier": 0, "seconds": 1}}),
            2,
        ),
        (
            json!({"constant": {"attempts": 9, "seconds": 0}, "retry_if": {"expr": "error.message == 'other'"}}),
            0,
        ),
    ] {
        let step = with(fail("a", "'no'"), json!({"retry": retry}));
        let job = run(&app, json!({"modules": [step]}), json!({})).await;
        assert_eq!(job["result"]["error"]["message"], "no");
        let module = &job["flow_status"]["modules"][0];
        assert_eq!(module["type"], "Failure");
        assert_eq!(
            module["failed_retries"].as_array().map_or(0, Vec::len),
            tries,
            "{module}"
        );
    }
}

#[actix_web::test]
async fn a_failed_step_ends_the_flow_or_does_not() {
    let app = TestApp::start(Database::sqlite()).await;
    let failed = error(
        &app,
        json!([echo("a", "1"), fail("b", "'no'"), echo("c", "2")]),
        json!({}),
    )
    .await;
    let wanted = (&json!("RangeError"), &json!("no"), &json!("b"));
    assert_eq!(
        (&failed["name"], &failed["message"], &failed["step_id"]),
        wanted
    );

    let goes_on = with(fail("a", "'no'"), json!({"continue_on_error": true}));
    let seen = result(
        &app,
        json!([
            goes_on,
            echo("b", "[previous_result.error.message, results.a.error.name]")
        ]),
        json!({}),
    )
    .await;
    assert_eq!(seen, json!(["no", "RangeError"]));

    let handler = step(
        "failure",
        "export const main = (e: any, step: string, a: any) => ({handled: e.message, step, a})",
        &[
            ("e", "previous_result.error"),
            ("step", "error.step_id"),
            ("a", "results.a"),
        ],
    );
    let value =
        json!({"modules": [echo("a", "1"), fail("b", "'no'")], "failure_module": handler.clone()});
    let job = run(&app, value, json!({})).await;
    assert_eq!(job["success"], false);
    assert_eq!(job["result"], json!({"handled": "no", "step": "b", "a": 1}));
    assert_eq!(job["flow_status"]["failure_module"]["type"], "Success");
    assert_eq!(job["flow_status"]["failure_module"]["parent_module"], "b");

    // The failure of an inner step is the outer flow's, and handled there, once.
    let each = json!({"id": "l", "value": {"type": "forloopflow", "iterator": {"type": "static", "value": [1]},
        "skip_failures": false, "modules": [fail("x", "'deep'")]}});
    let job = run(
        &app,
        json!({"modules": [each], "failure_module": handler}),
        json!({}),
    )
    .await;
    assert_eq!(
        job["result"],
        json!({"handled": "deep", "step": "x", "a": null})
    );
}

#[actix_web::test]
async fn steps_and_flows_have_their_time() {
    let app = TestApp::start(Database::sqlite()).await;
    let slow = json!({"id": "a", "value": {"type": "rawscript", "language": "bash", "content": "sleep 600", "input_transforms": {}}});
    let modules = json!([with(
        slow.clone(),
        json!({"timeout": {"type": "static", "value": 1}})
    )]);
    assert_eq!(
        error(&app, modules, json!({})).await["name"],
        "TimeoutError"
    );

    let body = json!({"path": "f/flows/slow", "summary": "", "timeout": 1, "value": {"modules": [slow.clone()]}});
    app.post("flows/create", &body).await.expect(201);
    let id = start(&app, "f/flows/slow", &json!({})).await;
    let job = app.wait_for_job(&id).await;
    assert_eq!(job["result"]["error"]["name"], "TimeoutError", "{job}");
    let step = job["flow_status"]["modules"][0]["job"].as_str().unwrap();
    assert_eq!(app.wait_for_job(step).await["canceled"], true);

    let each = json!({"id": "l", "timeout": 1, "value": {"type": "whileloopflow", "skip_failures": false, "modules": [slow]}});
    let failed = error(&app, json!([each]), json!({})).await;
    assert_eq!(failed["name"], "TimeoutError");
}

#[actix_web::test]
async fn a_failure_module_may_recover_the_flow() {
    let app = TestApp::start(Database::sqlite()).await;
    let gives = |result: &str| {
        step(
            "failure",
            &format!("export const main = () => ({result})"),
            &[],
        )
    };
    let value = |result: &str| json!({"modules": [fail("a", "'no'"), echo("b", "'behind it'")], "failure_module": gives(result)});
    for (result, success) in [
        ("{recover: true, n: 1}", true),
        ("{recover: 'yes'}", false),
        ("{recover: false}", false),
        ("[{recover: true}]", false),
    ] {
        let job = run(&app, value(result), json!({})).await;
        assert_eq!(job["success"], success, "{result}: {job}");
    }
    let job = run(&app, value("{recover: true, n: 1}"), json!({})).await;
    assert_eq!(job["result"], json!({"recover": true, "n": 1}));
    assert_eq!(job["flow_status"]["modules"][0]["type"], "Failure");
    assert_eq!(
        job["flow_status"]["modules"][1]["type"],
        "WaitingForPriorSteps"
    );
    // Who calls the flow goes on with that.
    create(&app, "f/flows/recovers", value("{recover: true}")).await;
    let call = json!({"id": "c", "value": {"type": "flow", "path": "f/flows/recovers", "input_transforms": {}}});
    let seen = result(
        &app,
        json!([call, echo("d", "previous_result.recover")]),
        json!({}),
    )
    .await;
    assert_eq!(seen, true);
}

#[actix_web::test]
async fn a_canceled_flow_stops_its_steps() {
    let app = TestApp::start(Database::sqlite()).await;
    let slow = json!({"id": "a", "value": {"type": "rawscript", "language": "bash", "content": "sleep 600", "input_transforms": {}}});
    let branch = json!({"modules": [slow]});
    let all = json!({"id": "all", "value": {"type": "branchall", "parallel": true, "branches": [branch]}});
    create(&app, "f/flows/long", json!({"modules": [all]})).await;
    let id = start(&app, "f/flows/long", &json!({})).await;
    let step = wait_for("the step runs", async || {
        let jobs = app.jobs("running=true&job_kinds=flowscript").await;
        let step = jobs.first().and_then(|job| job["id"].as_str());
        step.map(str::to_owned).ok_or_else(|| format!("{jobs:?}"))
    })
    .await;
    let seen = chrono::Utc::now();
    let shown = app
        .get(&format!("jobs_u/get/{id}"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&shown["type"], &shown["running"]),
        (&json!("QueuedJob"), &json!(true))
    );
    let module = &shown["flow_status"]["modules"][0];
    assert_eq!(module["job"], module["flow_jobs"][0], "{shown}");
    app.post(
        &format!("jobs_u/queue/cancel/{id}"),
        &json!({"reason": "enough"}),
    )
    .await
    .expect(200);
    let branch = module["job"].as_str().unwrap().to_owned();
    for job in [&id, &branch, &step] {
        let job = app.wait_for_job(job).await;
        assert_eq!(
            (&job["canceled"], &job["result"]["error"]["name"]),
            (&json!(true), &json!("Canceled")),
            "{job}"
        );
    }
    // They began before that, though they only waited for their steps.
    for job in [&id, &branch] {
        let job = app.wait_for_job(job).await;
        let began = job["started_at"].as_str().unwrap();
        let began = chrono::DateTime::parse_from_rfc3339(began).unwrap();
        assert!(began <= seen, "{job}");
    }
    wait_for("nothing is left", async || {
        let left = app.jobs("running=true").await;
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await;

    // A step that is canceled fails its flow, without another try.
    let slow = json!({"id": "a", "retry": {"constant": {"attempts": 5, "seconds": 0}}, "value": {
        "type": "rawscript", "language": "bash", "content": "sleep 600", "input_transforms": {}}});
    create(&app, "f/flows/other", json!({"modules": [slow]})).await;
    let id = start(&app, "f/flows/other", &json!({})).await;
    let step = wait_for("the step runs", async || {
        let jobs: Vec<Value> = app.jobs("running=true&job_kinds=flowscript").await;
        let step = jobs.first().and_then(|job| job["id"].as_str());
        step.map(str::to_owned).ok_or_else(|| format!("{jobs:?}"))
    })
    .await;
    app.post(&format!("jobs_u/queue/cancel/{step}"), &json!({}))
        .await
        .expect(200);
    let job = app.wait_for_job(&id).await;
    assert_eq!(job["result"]["error"]["name"], "Canceled", "{job}");
}
