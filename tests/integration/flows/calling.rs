//! Flows call flows and scripts, scripts call flows, and none of it goes on for ever.

use serde_json::json;

use super::{create, echo, error, result, run, start, step, with};
use crate::harness::{Database, Settings, TestApp, on_both_databases, wait_for};

#[actix_web::test]
async fn flows_and_scripts_call_each_other() {
    let app =
        TestApp::start_with(Database::sqlite(), Settings::new().env("NUM_WORKERS", "2")).await;
    create(
        &app,
        "f/flows/inner",
        json!({"modules": [echo("a", "flow_input.n + 1"), echo("b", "Object.keys(results)")]}),
    )
    .await;
    let call = json!({"id": "c", "value": {"type": "flow", "path": "f/flows/inner",
        "input_transforms": {"n": {"type": "javascript", "expr": "results.outer"}}}});
    // The inner flow sees its own steps only.
    assert_eq!(
        result(
            &app,
            json!([echo("outer", "1"), call, echo("d", "previous_result")]),
            json!({})
        )
        .await,
        json!(["a"])
    );
    let missing = json!({"id": "c", "value": {"type": "flow", "path": "f/flows/none", "input_transforms": {}}});
    let failed = error(&app, json!([missing]), json!({})).await;
    assert_eq!(failed["message"], "flow not found at path f/flows/none");
    let missing = json!({"id": "c", "value": {"type": "script", "path": "f/flows/none", "input_transforms": {}}});
    let failed = error(&app, json!([missing]), json!({})).await;
    assert_eq!(failed["message"], "script not found at path f/flows/none");
    let script = "import * as wmill from 'windmill-client'\n\
        export const main = async () => await wmill.runFlow('f/flows/inner', {n: 5})";
    let called = result(&app, json!([step("s", script, &[])]), json!({})).await;
    assert_eq!(called, json!(["a"]));
}

/// Who calls a flow goes on with what it came to, whether it came to its end or stopped before.
#[actix_web::test]
async fn a_called_flow_stops_itself_alone() {
    let app = TestApp::start(Database::sqlite()).await;
    let call = |path: &str| {
        json!({"id": "c", "value": {"type": "flow", "path": path,
        "input_transforms": {"n": {"type": "javascript", "expr": "flow_input.iter?.value ?? 0"}}}})
    };
    for (path, stop) in [
        ("f/flows/stops", json!({"expr": "result < 2"})),
        (
            "f/flows/skips",
            json!({"expr": "result < 2", "skip_if_stopped": true}),
        ),
    ] {
        let stops = with(echo("a", "flow_input.n"), json!({"stop_after_if": stop}));
        let inner = json!({"modules": [stops, echo("b", "'to its end'")]});
        create(&app, path, inner).await;
        let modules = json!([call(path), echo("d", "[previous_result, 'went on']")]);
        let job = run(&app, json!({"modules": modules}), json!({})).await;
        assert_eq!(job["result"], json!([0, "went on"]), "{job}");
        assert_eq!(job["is_skipped"], false, "{job}");
        let each = json!({"id": "l", "value": {"type": "forloopflow", "skip_failures": false,
            "iterator": {"type": "static", "value": [1, 2, 1]}, "modules": [call(path)]}});
        let looped = result(&app, json!([each]), json!({})).await;
        assert_eq!(looped, json!([1, "to its end", 1]));
    }
}

#[actix_web::test]
async fn recursion_ends() {
    let app =
        TestApp::start_with(Database::sqlite(), Settings::new().env("NUM_WORKERS", "2")).await;
    let itself = json!({"id": "again", "value": {"type": "flow", "path": "f/flows/itself", "input_transforms": {}}});
    create(&app, "f/flows/itself", json!({"modules": [itself]})).await;
    let id = start(&app, "f/flows/itself", &json!({})).await;
    let job = app.wait_for_job(&id).await;
    assert_eq!(job["result"]["error"]["name"], "RecursionError", "{job}");
    // A script that starts the next one and does not wait for it.
    let script = "import * as wmill from 'windmill-client'\n\
        export const main = async () => await wmill.runScriptAsync('f/flows/chain', null, {})";
    app.create_script("f/flows/chain", "nativets", script).await;
    app.run_script("f/flows/chain", &json!({})).await;
    wait_for("the chain ends", async || {
        let failed = app
            .completed("success=false&script_path_exact=f/flows/chain")
            .await;
        match failed.first() {
            Some(job) => Ok(job["id"].as_str().unwrap().to_owned()),
            None => Err("no run has failed".to_owned()),
        }
    })
    .await;
    assert_eq!(
        app.completed("script_path_exact=f/flows/chain").await.len(),
        51
    );
}

#[actix_web::test]
async fn flows_that_wait_hold_no_worker() {
    let app =
        TestApp::start_with(Database::sqlite(), Settings::new().env("NUM_WORKERS", "1")).await;
    create(
        &app,
        "f/flows/leaf",
        json!({"modules": [echo("a", "flow_input.n"), echo("b", "results.a + 1")]}),
    )
    .await;
    let call = json!({"id": "c", "value": {"type": "flow", "path": "f/flows/leaf",
        "input_transforms": {"n": {"type": "javascript", "expr": "flow_input.n"}}}});
    create(
        &app,
        "f/flows/trunk",
        json!({"modules": [call, echo("d", "previous_result * 2")]}),
    )
    .await;
    let mut jobs = Vec::new();
    for n in 0..30 {
        jobs.push((n, start(&app, "f/flows/trunk", &json!({"n": n})).await));
    }
    for (n, id) in jobs {
        assert_eq!(app.wait_for_job(&id).await["result"], (n + 1) * 2);
    }
}

on_both_databases!(needs: [], tests: [jobs_that_wait_for_jobs_lend_them_their_worker]);

/// Waits in one request for a script, then for a flow.
const ASKS: &str = r#"
import json, os, urllib.request

def wait(what, args):
    url = f"{os.environ['BASE_INTERNAL_URL']}/api/w/main/jobs/run_wait_result/{what}"
    headers = {"Authorization": "Bearer " + os.environ["WM_TOKEN"], "Content-Type": "application/json"}
    return json.load(urllib.request.urlopen(urllib.request.Request(url, json.dumps(args).encode(), headers)))

def main():
    return wait("p/f/flows/down", {"n": 2}) + wait("f/f/flows/between", {"n": 4})
"#;

/// With one worker, which is held by who waits: what is waited for runs nevertheless, down to the last.
async fn jobs_that_wait_for_jobs_lend_them_their_worker(database: Database) {
    let settings = Settings::new().env("NUM_WORKERS", "1");
    let app = TestApp::start_with(database, settings).await;
    let countdown = "import * as wmill from 'windmill-client'\n\
        export const main = async (n: number) => n && 1 + await wmill.runScript('f/flows/down', null, {n: n - 1})";
    app.create_script("f/flows/down", "nativets", countdown)
        .await;
    // Also a flow, and requests that wait instead of asking again and again.
    create(
        &app,
        "f/flows/between",
        json!({"modules": [step("a", "export const main = (n) => n * 2", &[("n", "flow_input.n")])]}),
    )
    .await;
    app.create_script("f/flows/asks", "python3", ASKS).await;
    // One that has started many, and waits for the last.
    let many = "import * as wmill from 'windmill-client'\n\
        export async function main() {\n\
        let last; for (let i = 0; i < 40; i++) last = await wmill.runScriptAsync('f/flows/down', null, {n: 0});\n\
        return await wmill.waitJob(last) }";
    app.create_script("f/flows/many", "nativets", many).await;
    let mut ids = vec![(app.run_script("f/flows/many", &json!({})).await, json!(0))];
    for _ in 0..3 {
        ids.push((
            app.run_script("f/flows/down", &json!({"n": 4})).await,
            json!(4),
        ));
        ids.push((app.run_script("f/flows/asks", &json!({})).await, json!(10)));
    }
    for (id, expected) in ids {
        let job = app.wait_for_job(&id).await;
        assert_eq!(job["result"], expected, "{job}");
    }
}
