//! What steps and flows got, came to and printed goes when they say so.

use serde_json::{Value, json};

use super::{create, echo, result, run, start, step, with};
use crate::harness::{Database, TestApp, on_both_databases, wait_for};

on_both_databases!(needs: [], tests: [the_contents_of_steps_and_flows_go]);

/// A job, once its contents have gone.
async fn erased(app: &TestApp, id: &str) -> Value {
    wait_for("the contents have gone", async || {
        let job = app.wait_for_job(id).await;
        let gone = job["args"] == json!({}) && job["result"].is_null();
        gone.then_some(()).ok_or_else(|| job.to_string())
    })
    .await;
    let logs = app.get(&format!("jobs_u/get_logs/{id}")).await;
    assert_eq!(logs.expect(200).text.trim(), "##DELETED##", "{id}");
    app.wait_for_job(id).await
}

/// The jobs of a flow by the ids of their steps.
async fn job_of(app: &TestApp, root: &str, step: &str) -> String {
    let jobs = app.list("jobs/list").await;
    let mut of = jobs
        .iter()
        .filter(|job| job["root_job"] == root && job["flow_step_id"] == step);
    of.next().unwrap()["id"].as_str().unwrap().to_owned()
}

async fn the_contents_of_steps_and_flows_go(database: Database) {
    let mut app = TestApp::start(database).await;
    let prints = |id: &str, expr: &str| {
        let content = "export function main(x: any) { console.log('printed'); return x }";
        step(id, content, &[("x", expr)])
    };
    let now = json!({"delete_after_secs": 0});
    let each = json!({"id": "l", "delete_after_use": true, "value": {"type": "forloopflow", "skip_failures": false,
        "iterator": {"type": "javascript", "expr": "[results.a]"}, "modules": [prints("i", "flow_input.iter.value")]}});
    let modules = json!([
        with(prints("a", "'private'"), now.clone()),
        each,
        prints("kept", "results.l.concat(results.a)"),
    ]);
    // The steps behind it have what they need.
    let wanted = json!(["private", "private"]);
    let job = run(&app, json!({"modules": modules}), json!({})).await;
    assert_eq!(job["result"], wanted, "{job}");
    let id = job["id"].as_str().unwrap();
    for step in ["a", "l", "i"] {
        erased(&app, &job_of(&app, id, step).await).await;
    }
    assert_eq!(app.wait_for_job(id).await["result"], wanted);
    let kept = job_of(&app, id, "kept").await;
    assert_eq!(app.wait_for_job(&kept).await["result"], wanted);

    // A flow's own goes with that of all its steps: saved, called, tried out, canceled while it runs.
    let value = |seconds: &str| {
        let sleep = format!("sleep {seconds}; echo private");
        let waits = json!({"id": "w", "value": {"type": "rawscript", "language": "bash", "content": sleep, "input_transforms": {}}});
        json!({"delete_after_secs": 0, "modules": [prints("a", "flow_input.x"), waits]})
    };
    create(&app, "f/flows/gone", value("0")).await;
    let args = json!({"x": "private"});
    let saved = start(&app, "f/flows/gone", &args).await;
    assert_eq!(app.wait_for_job(&saved).await["result"], "private");
    let tried = run(&app, value("0"), args.clone()).await;
    let call = json!({"id": "c", "value": {"type": "flow", "path": "f/flows/gone",
        "input_transforms": {"x": {"type": "static", "value": "private"}}}});
    let modules = json!([call, echo("kept", "results.c")]);
    let caller = run(&app, json!({"modules": modules}), json!({})).await;
    let caller = caller["id"].as_str().unwrap();
    let called = job_of(&app, caller, "c").await;
    create(&app, "f/flows/long", value("600")).await;
    let canceled = start(&app, "f/flows/long", &args).await;
    wait_for("the second step runs", async || {
        let job = app.get(&format!("jobs_u/get/{canceled}")).await.json();
        let found = &job["flow_status"]["modules"][1]["type"];
        (found == "InProgress")
            .then_some(())
            .ok_or_else(|| job.to_string())
    })
    .await;
    let cancel = format!("jobs_u/queue/cancel/{canceled}");
    app.post(&cancel, &json!({})).await.expect(200);
    for id in [&saved, tried["id"].as_str().unwrap(), &called, &canceled] {
        erased(&app, id).await;
    }
    for id in [&saved, &canceled] {
        erased(&app, &job_of(&app, id, "a").await).await;
    }
    erased(&app, &job_of(&app, caller, "w").await).await;
    assert_eq!(app.wait_for_job(caller).await["result"], "private");
    let plain = result(&app, json!([echo("a", "'stays'")]), json!({})).await;
    assert_eq!(plain, "stays");
    app.stop().await;
}
