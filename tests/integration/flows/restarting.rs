//! A flow that has ended runs again from a step: what the steps before it came to is taken over.

use serde_json::{Value, json};

use super::{create, echo, run, start, step, with};
use crate::harness::{Database, TestApp, on_both_databases, wait_for};

on_both_databases!(
    needs: [],
    tests: [steps_that_have_finished_do_not_run_again, what_a_restarted_flow_needs_stays]
);

/// Counts its runs in a variable, and gives back what it gets; fails for as long as `f/flows/go` says no, and waits for
/// as long as it says wait.
const COUNT: &str = "import * as wmill from 'windmill-client'
export async function main(path: string, x: any, stops: boolean) {
  await wmill.setVariable(path, String(Number(await wmill.getVariable(path)) + 1));
  for (;;) {
    const go = stops ? await wmill.getVariable('f/flows/go') : 'yes';
    if (go == 'no') throw new Error('not yet');
    if (go == 'yes') return x;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}";

async fn set(app: &TestApp, path: &str, value: &str) {
    let body = json!({"path": path, "value": value, "is_secret": false, "description": ""});
    if app.post("variables/create", &body).await.status != 201 {
        let path = format!("variables/update/{path}");
        app.post(&path, &json!({"value": value})).await.expect(200);
    }
}

async fn value(app: &TestApp, path: &str) -> String {
    let value = app.get(&format!("variables/get_value/{path}")).await;
    value.expect(200).json().as_str().unwrap().to_owned()
}

/// A step that counts its runs below its id.
fn counted(id: &str, x: &str, stops: &str) -> Value {
    let path = format!("'f/flows/{id}'");
    step(id, COUNT, &[("path", &path), ("x", x), ("stops", stops)])
}

async fn restart(app: &TestApp, id: &str, wish: Value) -> String {
    let answer = app.post(&format!("jobs/restart/f/{id}"), &wish).await;
    answer.expect(201).text
}

async fn refused(app: &TestApp, id: &str, wish: Value) -> String {
    let answer = app.post(&format!("jobs/restart/f/{id}"), &wish).await;
    answer.expect(400).text
}

async fn steps_that_have_finished_do_not_run_again(database: Database) {
    let app = TestApp::start(database).await;
    for id in ["a", "b", "c"] {
        set(&app, &format!("f/flows/{id}"), "0").await;
    }
    set(&app, "f/flows/go", "no").await;
    let modules = json!([
        counted("a", "flow_input.x + 1", "false"),
        counted("b", "results.a + 1", "true"),
        counted(
            "c",
            "[results.a, results.b, previous_result, flow_input.x]",
            "false"
        ),
    ]);
    create(&app, "f/flows/three", json!({"modules": modules})).await;
    let first = start(&app, "f/flows/three", &json!({"x": 1})).await;
    let failed = app.wait_for_job(&first).await;
    assert_eq!(failed["success"], false, "{failed}");

    set(&app, "f/flows/go", "yes").await;
    let second = restart(&app, &first, json!({"step_id": "b"})).await;
    let job = app.wait_for_job(&second).await;
    assert_eq!(job["result"], json!([2, 3, 3, 1]), "{job}");
    assert_eq!(
        (&job["args"], &job["job_kind"]),
        (&json!({"x": 1}), &json!("flow"))
    );
    let (status, old) = (&job["flow_status"], &failed["flow_status"]);
    assert_eq!(status["modules"][0], old["modules"][0]);
    assert_ne!(status["modules"][1]["job"], old["modules"][1]["job"]);
    assert_eq!(status["restarted_from"]["flow_job_id"], first.as_str());
    assert_eq!(status["restarted_from"]["step_id"], "b");

    // Again, from a run that has taken over itself.
    let third = restart(&app, &second, json!({"step_id": "c"})).await;
    let job = app.wait_for_job(&third).await;
    assert_eq!(job["result"], json!([2, 3, 3, 1]), "{job}");
    for (id, runs) in [("a", "1"), ("b", "2"), ("c", "2")] {
        assert_eq!(value(&app, &format!("f/flows/{id}")).await, runs, "{id}");
    }

    // The newest version runs, or the one that is asked for.
    let version = job["flow_status"]["restarted_from"]["flow_version"].clone();
    let modules = json!([
        counted("a", "0", "false"),
        echo("b", "'new'"),
        echo("c", "[results.a, results.b]"),
    ]);
    let body = json!({"path": "f/flows/three", "summary": "", "value": {"modules": modules}});
    let saved = app.post("flows/update/f/flows/three", &body).await;
    saved.expect(200);
    let wish = json!({"step_id": "b", "nested_path": []});
    let newest = restart(&app, &first, wish).await;
    assert_eq!(app.wait_for_job(&newest).await["result"], json!([2, "new"]));
    let wish = json!({"step_id": "b", "flow_version": version});
    let same = restart(&app, &first, wish).await;
    let job = app.wait_for_job(&same).await;
    assert_eq!(job["result"], json!([2, 3, 3, 1]), "{job}");
    assert_eq!(value(&app, "f/flows/a").await, "1");
}

/// Only what is no step any more, and what no restarted flow goes on from, can be deleted.
async fn what_a_restarted_flow_needs_stays(database: Database) {
    let app = TestApp::start(database).await;
    for (path, value) in [("a", "0"), ("b", "0"), ("go", "no")] {
        set(&app, &format!("f/flows/{path}"), value).await;
    }
    let modules = json!([
        counted("a", "flow_input.s", "false"),
        counted("b", "results.a", "true"),
        echo("c", "results.a"),
    ]);
    create(&app, "f/flows/kept", json!({"modules": modules})).await;
    let first = start(&app, "f/flows/kept", &json!({"s": "secret-of-a"})).await;
    let failed = app.wait_for_job(&first).await;
    let step = failed["flow_status"]["modules"][0]["job"].as_str().unwrap();
    set(&app, "f/flows/go", "wait").await;
    let second = restart(&app, &first, json!({"step_id": "b"})).await;
    wait_for("the step runs", async || {
        let runs = value(&app, "f/flows/b").await;
        if runs == "2" { Ok(()) } else { Err(runs) }
    })
    .await;

    for id in [first.as_str(), step, second.as_str()] {
        for (path, body) in [
            ("jobs/delete".to_owned(), json!([id])),
            (format!("jobs/completed/delete/{id}"), json!(null)),
        ] {
            let answer = app.post(&path, &body).await.expect(400);
            assert!(answer.text.contains("has not ended"), "{}", answer.text);
        }
    }
    let unended = refused(&app, &second, json!({"step_id": "b"})).await;
    assert!(unended.contains("has not ended; cancel it"), "{unended}");
    set(&app, "f/flows/go", "yes").await;
    let job = app.wait_for_job(&second).await;
    assert_eq!(job["result"], "secret-of-a", "{job}");

    // What it held goes, with what its steps held; that it ran stays.
    let path = format!("jobs/completed/delete/{first}");
    let erased = app.post(&path, &json!({})).await.expect(200).json();
    assert_eq!(erased["deleted"], true, "{erased}");
    for id in [first.as_str(), step] {
        let job = app.get(&format!("jobs_u/get/{id}")).await.expect(200);
        assert!(!job.text.contains("secret-of-a"), "{}", job.text);
        let job = job.json();
        let kept = (&job["logs"], &job["args"], &job["result"]);
        assert_eq!(kept, (&json!("##DELETED##"), &json!({}), &json!(null)));
        assert_eq!(job["success"], id == step, "{job}");
    }
    let gone = refused(&app, &first, json!({"step_id": "b"})).await;
    assert!(gone.contains("was deleted"), "{gone}");

    // Deleted whole: the flow and its three steps.
    let unknown = "01890000-0000-7000-8000-000000000000";
    let answer = app.post("jobs/delete", &json!([second, unknown])).await;
    assert_eq!(answer.expect(200).text, "Deleted 3 jobs");
    app.get(&format!("jobs_u/get/{second}")).await.expect(404);
    let steps = app.completed(&format!("parent_job={second}")).await;
    assert!(steps.is_empty(), "{steps:?}");
    app.get(&format!("jobs_u/get/{first}")).await.expect(200);
}

#[actix_web::test]
async fn loops_and_branches_go_on_where_they_are_told() {
    let app = TestApp::start(Database::sqlite()).await;
    for path in ["x", "y", "z"] {
        set(&app, &format!("f/flows/{path}"), "0").await;
    }
    let each = |parallel: bool| {
        let count = counted("x", "flow_input.iter.value", "flow_input.iter.index == 2");
        json!({"id": "l", "value": {"type": "forloopflow", "skip_failures": false, "parallel": parallel,
            "iterator": {"type": "javascript", "expr": "[5, 6, 7, 8]"}, "modules": [count]}})
    };
    for parallel in [false, true] {
        set(&app, "f/flows/go", "no").await;
        let flow = json!({"modules": [each(parallel), echo("end", "results.l")]});
        let failed = run(&app, flow, json!({})).await;
        assert_eq!(failed["success"], false, "{failed}");
        set(&app, "f/flows/go", "yes").await;
        let id = failed["id"].as_str().unwrap();
        let wish = json!({"step_id": "l", "branch_or_iteration_n": 2});
        let again = restart(&app, id, wish).await;
        let job = app.wait_for_job(&again).await;
        assert_eq!(job["result"], json!([5, 6, 7, 8]), "{job}");
        let jobs = |job: &Value| job["flow_status"]["modules"][0]["flow_jobs"].clone();
        let (old, new) = (jobs(&failed), jobs(&job));
        assert_eq!([&new[0], &new[1]], [&old[0], &old[1]]);
        let begun = app.completed(&format!("parent_job={again}")).await;
        let count = |step: &str| {
            begun
                .iter()
                .filter(|job| job["flow_step_id"] == step)
                .count()
        };
        assert_eq!((count("l"), count("end")), (2, 1), "parallel: {parallel}");
    }

    set(&app, "f/flows/go", "no").await;
    let branch = |step: Value| json!({"summary": "", "skip_failure": false, "modules": [step]});
    let branches = json!({"id": "l", "value": {"type": "branchall", "parallel": false, "branches": [
        branch(counted("y", "'first'", "false")), branch(counted("z", "'second'", "true")),
    ]}});
    let failed = run(&app, json!({"modules": [branches]}), json!({})).await;
    set(&app, "f/flows/go", "yes").await;
    let id = failed["id"].as_str().unwrap();
    let wish = json!({"step_id": "l", "branch_or_iteration_n": 1});
    let job = app.wait_for_job(&restart(&app, id, wish).await).await;
    assert_eq!(job["result"], json!(["first", "second"]), "{job}");
    assert_eq!(value(&app, "f/flows/y").await, "1");
    let wish = json!({"step_id": "l", "branch_or_iteration_n": 2});
    let text = refused(&app, id, wish).await;
    assert_eq!(
        text,
        "branch_or_iteration_n: number 1 failed; restart from it"
    );
}

#[actix_web::test]
async fn a_loop_that_is_stopped_early_and_one_without_end_go_on() {
    let app = TestApp::start(Database::sqlite()).await;
    let stop = json!({"stop_after_if": {"expr": "result == 3", "skip_if_stopped": false}});
    let value = json!({"type": "whileloopflow", "skip_failures": false,
        "modules": [echo("x", "flow_input.iter.index")]});
    let flow = json!({"modules": [with(json!({"id": "w", "value": value}), stop)]});
    let ended = run(&app, flow, json!({})).await;
    assert_eq!(ended["result"], json!([0, 1, 2, 3]), "{ended}");
    let id = ended["id"].as_str().unwrap();
    let wish = json!({"step_id": "w", "branch_or_iteration_n": 3});
    let job = app.wait_for_job(&restart(&app, id, wish).await).await;
    assert_eq!(job["result"], json!([0, 1, 2, 3]), "{job}");
    // Nothing stops it at 3 any more, and so it goes on: the number of the iteration is what it sees.
    let wish = json!({"step_id": "w", "branch_or_iteration_n": 0});
    let job = app.wait_for_job(&restart(&app, id, wish).await).await;
    assert_eq!(job["result"], json!([0, 1, 2, 3]), "{job}");
}

#[actix_web::test]
async fn what_cannot_go_on_is_refused_with_the_reason() {
    let app = TestApp::start(Database::sqlite()).await;
    let boom = super::fail("b", "'boom'");
    let modules = json!([echo("a", "1"), boom, echo("c", "2")]);
    create(&app, "f/flows/some", json!({"modules": modules})).await;
    let flow = start(&app, "f/flows/some", &json!({})).await;
    app.wait_for_job(&flow).await;
    let preview = run(&app, json!({"modules": [echo("a", "1")]}), json!({})).await;
    let preview = preview["id"].as_str().unwrap();
    let script = app.create_script("f/flows/script", "bash", "echo 1").await;
    assert!(!script.is_empty());
    let script = app.run_script("f/flows/script", &json!({})).await;
    app.wait_for_job(&script).await;
    let never = app
        .post("jobs/run/f/f/flows/some?scheduled_in_secs=3600", &json!({}))
        .await
        .expect(201)
        .text;
    let cancel = format!("jobs_u/queue/cancel/{never}");
    app.post(&cancel, &json!({})).await.expect(200);

    for (id, wish, text) in [
        (&*flow, json!({}), "step_id: missing field"),
        (
            &*flow,
            json!({"step_id": "x"}),
            "step_id: the flow has no step 'x' outside of loops",
        ),
        (
            &*flow,
            json!({"step_id": "c"}),
            "step_id: step 'b', which is before 'c', failed in that run",
        ),
        (
            &*flow,
            json!({"step_id": "b", "nested_path": [{"step_id": "y"}]}),
            "nested_path: restarting inside of a step is not supported",
        ),
        (
            &*flow,
            json!({"step_id": "b", "branch_or_iteration_n": 1}),
            "branch_or_iteration_n: step 'b' is no loop and no branchall",
        ),
        (
            &*flow,
            json!({"step_id": "b", "branch_or_iteration_n": -1}),
            "branch_or_iteration_n: invalid value",
        ),
        (
            &*flow,
            json!({"step_id": "b", "flow_version": 7}),
            "flow_version: 7 is no version of f/flows/some",
        ),
        (
            preview,
            json!({"step_id": "a", "flow_version": 7}),
            "flow_version: a flow that is not saved",
        ),
        (&*script, json!({"step_id": "a"}), "is not that of a flow"),
        (
            &*never,
            json!({"step_id": "a"}),
            "has never begun; run it anew",
        ),
    ] {
        let answer = refused(&app, id, wish.clone()).await;
        assert!(answer.contains(text), "{wish}: {answer}");
    }
    // A new version has a step before it that has never run.
    let modules = json!([echo("new", "0"), echo("a", "1"), echo("b", "2")]);
    let body = json!({"path": "f/flows/some", "summary": "", "value": {"modules": modules}});
    let saved = app.post("flows/update/f/flows/some", &body).await;
    saved.expect(200);
    let text = refused(&app, &flow, json!({"step_id": "b"})).await;
    assert!(
        text.contains("step 'new', which is before 'b', has not ended in that run"),
        "{text}"
    );
    app.post("flows/archive/f/flows/some", &json!({"archived": true}))
        .await
        .expect(200);
    let path = format!("jobs/restart/f/{flow}");
    let gone = app.post(&path, &json!({"step_id": "b"})).await.expect(404);
    assert_eq!(gone.text, "flow not found at path: f/flows/some");
}

/// What a message or a job brought does not become a reference because somebody restarts the flow.
#[actix_web::test]
async fn only_what_was_given_is_replaced_in_a_restarted_flow() {
    let app = TestApp::start(Database::sqlite()).await;
    set(&app, "f/flows/secret", "s3cret").await;
    create(
        &app,
        "f/flows/echo",
        json!({"modules": [echo("a", "flow_input.x")]}),
    )
    .await;
    let call = "import * as wmill from 'windmill-client'
export const main = () => wmill.runFlowAsync('f/flows/echo', {x: '$var:f/flows/secret'})";
    app.create_script("f/flows/call", "nativets", call).await;
    let caller = app.run_script("f/flows/call", &json!({})).await;
    let brought = app.wait_for_job(&caller).await["result"].clone();
    let brought = brought.as_str().unwrap().to_owned();
    let given = start(&app, "f/flows/echo", &json!({"x": "$var:f/flows/secret"})).await;
    for (id, result) in [(brought, "$var:f/flows/secret"), (given, "s3cret")] {
        assert_eq!(app.wait_for_job(&id).await["result"], result);
        let again = restart(&app, &id, json!({"step_id": "a"})).await;
        assert_eq!(app.wait_for_job(&again).await["result"], result);
    }
}

/// While a flow is being written its first steps need not run again, whatever has become of the rest.
#[actix_web::test]
async fn an_edited_flow_goes_on_from_a_run_without_being_saved() {
    let app = TestApp::start(Database::sqlite()).await;
    set(&app, "f/flows/a", "0").await;
    let broken = super::fail("b", "'boom'");
    let modules = json!([counted("a", "flow_input.x", "false"), broken]);
    create(&app, "f/flows/draft", json!({"modules": modules})).await;
    let failed = start(&app, "f/flows/draft", &json!({"x": 5})).await;
    app.wait_for_job(&failed).await;

    let modules = json!([
        counted("a", "flow_input.x", "false"),
        echo("b", "[results.a, flow_input.x]"),
    ]);
    let preview = json!({
        "value": {"modules": modules}, "path": "f/flows/draft", "args": {"x": 6},
        "restarted_from": {"flow_job_id": failed, "step_id": "b"},
    });
    let id = app.post("jobs/run/preview_flow", &preview).await;
    let job = app.wait_for_job(&id.expect(201).text).await;
    assert_eq!(job["result"], json!([5, 6]), "{job}");
    assert_eq!(value(&app, "f/flows/a").await, "1");
    let from = &job["flow_status"]["restarted_from"];
    assert_eq!(
        (&from["flow_job_id"], &from["step_id"]),
        (&json!(failed), &json!("b"))
    );
    let waited = app
        .post("jobs/run_wait_result/preview_flow", &preview)
        .await;
    assert_eq!(waited.expect(200).json(), json!([5, 6]));

    let none = "01890000-0000-7000-8000-000000000000";
    for (from, text) in [
        (json!("x"), "restarted_from: "),
        (
            json!({"step_id": "b"}),
            "restarted_from.flow_job_id: missing field",
        ),
        (
            json!({"flow_job_id": none, "step_id": "b"}),
            "restarted_from.flow_job_id: job 01890000-0000-7000-8000-000000000000 not found",
        ),
        (
            json!({"flow_job_id": failed, "step_id": "z"}),
            "restarted_from.step_id: the flow has no step 'z'",
        ),
        (
            json!({"flow_job_id": failed, "step_id": "b", "branch_or_iteration_n": 1}),
            "restarted_from.branch_or_iteration_n: step 'b' is no loop",
        ),
    ] {
        let mut bad = preview.clone();
        bad["restarted_from"] = from;
        let answer = app.post("jobs/run/preview_flow", &bad).await.expect(400);
        assert!(answer.text.starts_with(text), "{}", answer.text);
    }
}

/// Whoever may see a flow's run, but not what a step came to, does not learn it by giving another flow its result.
#[actix_web::test]
async fn only_what_may_be_seen_is_taken_over_by_an_edited_flow() {
    let mut app = TestApp::start(Database::sqlite()).await;
    let dev = app.somebody("dev").await;
    let shared = json!({"name": "shared", "extra_perms": {"g/all": false}});
    app.post("folders/create", &shared).await.expect(200);
    let hidden = "export const main = () => 's3cret'";
    app.create_script("u/admin/hidden", "nativets", hidden)
        .await;
    let value = json!({"type": "script", "path": "u/admin/hidden", "input_transforms": {}});
    let modules = json!([{"id": "a", "value": value}, echo("b", "'done'")]);
    create(&app, "f/shared/flow", json!({"modules": modules})).await;
    let run = start(&app, "f/shared/flow", &json!({})).await;
    let ended = app.wait_for_job(&run).await;
    let step = ended["flow_status"]["modules"][0]["job"].as_str().unwrap();

    app.set_token(Some(&dev));
    app.get(&format!("jobs_u/get/{run}")).await.expect(200);
    app.get(&format!("jobs_u/get/{step}")).await.expect(404);
    let mut preview = json!({
        "value": {"modules": [echo("a", "1"), echo("b", "results.a")]},
        "restarted_from": {"flow_job_id": run, "step_id": "b"},
    });
    let refused = app.post("jobs/run/preview_flow", &preview).await;
    assert_eq!(
        refused.expect(403).text,
        "restarted_from: you may not see what some of the steps before came to"
    );
    // From the first step on nothing is taken over.
    preview["restarted_from"]["step_id"] = json!("a");
    let id = app.post("jobs/run/preview_flow", &preview).await;
    let job = app.wait_for_job(&id.expect(201).text).await;
    assert_eq!(job["result"], 1, "{job}");
}
