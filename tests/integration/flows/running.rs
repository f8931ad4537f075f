//! Steps run one after the other, each as a job, and see what came before.

use serde_json::{Value, json};

use super::{create, echo, result, run, start, step, with};
use crate::harness::{Database, Settings, TestApp, on_both_databases, wait_for};

on_both_databases!(needs: [], tests: [steps_run_one_after_the_other_as_jobs]);

async fn steps_run_one_after_the_other_as_jobs(database: Database) {
    let app = TestApp::start(database).await;
    let saved = "def main(n: int, word: str = 'x'):\n    return {'n': n, 'word': word}\n";
    app.create_script("f/flows/saved", "python3", saved).await;
    let shell = json!({"id": "c", "value": {"type": "rawscript", "language": "bash", "content": "n=\"$1\"\necho \"n is $n\"",
        "input_transforms": {"n": {"type": "javascript", "expr": "results.b.n"}}}});
    let env = "export const main = () => ['WM_FLOW_PATH', 'WM_FLOW_STEP_ID', 'WM_FLOW_JOB_ID', 'WM_ROOT_FLOW_JOB_ID', \
               'WM_STATE_PATH'].map((name) => process.env[name])";
    let value = json!({"modules": [
        step("a", "export const main = (x: number) => x + 1", &[("x", "flow_input.n")]),
        {"id": "b", "value": {"type": "script", "path": "f/flows/saved", "input_transforms": {
            "n": {"type": "javascript", "expr": "previous_result * 10"}, "word": {"type": "static", "value": "é"}}}},
        shell,
        {"id": "d", "value": {"type": "identity"}},
        step("e", env, &[]),
        echo("f", "{a: results.a, b: results['b'], c: results.c, d: results.d, e: results.e, all: Object.keys(results)}"),
    ]});
    create(&app, "f/flows/six", value).await;
    let id = start(&app, "f/flows/six", &json!({"n": 1})).await;
    let job = app.wait_for_job(&id).await;
    assert_eq!(job["success"], true, "{job}");
    let wanted = json!({
        "a": 2, "b": {"n": 20, "word": "é"}, "c": "n is 20", "d": "n is 20",
        "e": ["f/flows/six", "e", id, id, "f/flows/six/e_user"], "all": ["a", "b", "c", "d", "e"],
    });
    assert_eq!(job["result"], wanted);
    assert_eq!(
        (&job["job_kind"], &job["script_path"]),
        (&json!("flow"), &json!("f/flows/six"))
    );

    assert_shape(&app, &id, &job).await;
    let outer = app.completed("has_null_parent=true").await;
    assert_eq!(outer.len(), 1, "{outer:?}");
    assert_eq!(app.completed(&format!("parent_job={id}")).await.len(), 6);
    let waited = app
        .post("jobs/run_wait_result/f/f/flows/six", &json!({"n": 2}))
        .await
        .expect(200);
    assert_eq!(waited.json()["a"], 3);
    assert_eq!(
        app.get("jobs/queue/count").await.expect(200).json()["database_length"],
        0
    );
}

/// The state of the run, in Windmill's shape, and each step as a job of its own.
async fn assert_shape(app: &TestApp, id: &str, job: &Value) {
    let status = &job["flow_status"];
    assert_eq!(
        (&status["step"], &status["failure_module"]["type"]),
        (&json!(6), &json!("WaitingForPriorSteps"))
    );
    let modules = status["modules"].as_array().unwrap();
    let shown: Vec<(&str, &str)> = modules
        .iter()
        .map(|module| {
            (
                module["id"].as_str().unwrap(),
                module["type"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        ["a", "b", "c", "d", "e", "f"].map(|id| (id, "Success"))
    );
    let kinds = [
        "flowscript",
        "script",
        "flowscript",
        "identity",
        "flowscript",
        "flowscript",
    ];
    for (module, kind) in modules.iter().zip(kinds) {
        let step = app
            .completed_job(module["job"].as_str().unwrap())
            .await
            .unwrap();
        assert_eq!(step["job_kind"], kind, "{step}");
        assert_eq!(
            (&step["parent_job"], &step["root_job"]),
            (&json!(id), &json!(id))
        );
        assert_eq!(
            (&step["is_flow_step"], &step["flow_step_id"]),
            (&json!(true), &module["id"])
        );
    }
    assert_eq!(
        modules.len(),
        job["raw_flow"]["modules"].as_array().unwrap().len()
    );
}

#[actix_web::test]
async fn a_flow_runs_the_version_it_was_started_with_and_a_missing_one_fails() {
    let app = TestApp::start(Database::sqlite()).await;
    assert_eq!(
        app.post("jobs/run/f/f/flows/none", &json!({})).await.status,
        404
    );
    create(&app, "f/flows/v", json!({"modules": [echo("a", "1")]})).await;
    let first = start(&app, "f/flows/v", &json!({})).await;
    assert_eq!(app.wait_for_job(&first).await["result"], 1);
    let body = json!({"path": "f/flows/v", "summary": "", "value": {"modules": [echo("a", "2")]}});
    app.post("flows/update/f/flows/v", &body).await.expect(200);
    let second = start(&app, "f/flows/v", &json!({})).await;
    let (second, first) = (
        app.wait_for_job(&second).await,
        app.wait_for_job(&first).await,
    );
    assert_eq!(second["result"], 2);
    assert_ne!(second["script_hash"], first["script_hash"]);
    app.delete("flows/delete/f/flows/v").await.expect(200);
    assert_eq!(
        app.post("jobs/run/f/f/flows/v", &json!({})).await.status,
        404
    );
}

#[actix_web::test]
async fn expressions_see_what_they_name() {
    let app = TestApp::start(Database::sqlite()).await;
    let args = json!({"order": {"lines": [{"n": 1}, {"n": 2}], "big": 9_007_199_254_740_991_i64}, "a b": 3});
    for (expr, wanted) in [
        ("flow_input.order.lines[1].n", json!(2)),
        ("flow_input['a b']", json!(3)),
        ("flow_input.order.big", json!(9_007_199_254_740_991_i64)),
        ("flow_input.missing", Value::Null),
        ("flow_input.missing?.deeper", Value::Null),
        ("flow_input.order.lines.map(l => l.n * 2)", json!([2, 4])),
        (
            "let n = 0\nfor (const l of flow_input.order.lines) n += l.n\nn",
            json!(3),
        ),
        (
            "if (flow_input.order) { return 'yes' }\nreturn 'no'",
            json!("yes"),
        ),
        ("{previous: previous_result['a b']}", json!({"previous": 3})),
        (
            "`${typeof results} ${Object.keys(results).length}`",
            json!("object 0"),
        ),
    ] {
        assert_eq!(
            result(&app, json!([echo("a", expr)]), args.clone()).await,
            wanted,
            "{expr}"
        );
    }
    for (expr, wanted) in [
        (
            "nothing.here",
            "input_transforms.x: ReferenceError: nothing is not defined",
        ),
        (
            "flow_input.missing.deeper",
            "input_transforms.x: TypeError: ",
        ),
        ("results.later.x", "input_transforms.x: TypeError: "),
    ] {
        let error = super::error(
            &app,
            json!([echo("a", expr), echo("later", "1")]),
            args.clone(),
        )
        .await;
        let text = error["message"].as_str().unwrap();
        assert!(text.starts_with(wanted), "{text}");
        assert_eq!(
            (&error["name"], &error["step_id"]),
            (&json!("ExpressionError"), &json!("a"))
        );
    }
}

#[actix_web::test]
async fn steps_are_skipped_flows_stop_early_and_sleep() {
    let app = TestApp::start(Database::sqlite()).await;
    // A skipped step passes the previous result on.
    let skipped = with(
        echo("b", "'ran'"),
        json!({"skip_if": {"expr": "flow_input.skip"}}),
    );
    let modules = json!([
        echo("a", "'before'"),
        skipped,
        echo("c", "{now: previous_result, b: results.b}")
    ]);
    let job = run(&app, json!({"modules": modules}), json!({"skip": true})).await;
    assert_eq!(job["result"], json!({"now": "before", "b": "before"}));
    assert_eq!(job["flow_status"]["modules"][1]["skipped"], true);
    let ran = result(&app, modules, json!({"skip": false})).await;
    assert_eq!(ran, json!({"now": "ran", "b": "ran"}));

    let stop = |more: Value| with(echo("a", "flow_input.n"), json!({"stop_after_if": more}));
    let flow = |more: Value| json!({"modules": [stop(more), echo("b", "'went on'")]});
    let job = run(&app, flow(json!({"expr": "result > 1"})), json!({"n": 2})).await;
    assert_eq!(
        (&job["success"], &job["result"], &job["is_skipped"]),
        (&json!(true), &json!(2), &json!(false))
    );
    assert_eq!(
        job["flow_status"]["modules"][1]["type"],
        "WaitingForPriorSteps"
    );
    let job = run(&app, flow(json!({"expr": "result > 1"})), json!({"n": 1})).await;
    assert_eq!(job["result"], "went on");
    let job = run(
        &app,
        flow(json!({"expr": "true", "skip_if_stopped": true})),
        json!({"n": 2}),
    )
    .await;
    assert_eq!(
        (&job["result"], &job["is_skipped"]),
        (&json!(2), &json!(true))
    );
    let id = job["id"].as_str().unwrap();
    let listed = app.get("jobs/completed/list").await.expect(200).json();
    let skipped = |id: &Value| {
        let jobs = listed.as_array().unwrap().iter();
        jobs.clone().find(|job| job["id"] == *id).unwrap()["is_skipped"].clone()
    };
    assert_eq!(skipped(&job["id"]), true);
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .any(|job| job["is_skipped"] == false)
    );
    for list in ["jobs/list", "jobs/completed/list"] {
        let only = app.list(&format!("{list}?is_skipped=true")).await;
        assert_eq!(only.len(), 1, "{list}");
        assert_eq!(only[0]["id"], job["id"], "{list}");
        let others = app.list(&format!("{list}?is_skipped=false")).await;
        let all = listed.as_array().unwrap().len();
        assert_eq!(others.len(), all - 1, "{list}");
    }
    let count = app.get("jobs/completed/count?is_skipped=true").await;
    assert_eq!(count.expect(200).json()["database_length"], 1);
    let update = app.get(&format!("jobs_u/getupdate/{id}")).await;
    let update = update.expect(200).json();
    assert_eq!(update["flow_status"], job["flow_status"], "{update}");
    let more = json!({"expr": "true", "error_message": "too much", "error_include_result": true});
    let job = run(&app, flow(more), json!({"n": 2})).await;
    assert_eq!(job["success"], false);
    let wanted =
        json!({"name": "EarlyStopError", "message": "too much", "result": 2, "step_id": "a"});
    assert_eq!(job["result"]["error"], wanted);

    let value = json!({"modules": [echo("a", "1")], "skip_expr": "flow_input.n > 1"});
    let job = run(&app, value.clone(), json!({"n": 2})).await;
    assert_eq!(
        (&job["result"], &job["is_skipped"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(run(&app, value, json!({"n": 1})).await["result"], 1);

    let sleeper = with(
        echo("a", "1"),
        json!({"sleep": {"type": "javascript", "expr": "0.5 + 0.5"}}),
    );
    let job = run(
        &app,
        json!({"modules": [sleeper, echo("b", "2")]}),
        json!({}),
    )
    .await;
    assert_eq!(job["result"], 2);
    let moment = |index: usize, field: &str| {
        let id = job["flow_status"]["modules"][index]["job"]
            .as_str()
            .unwrap()
            .to_owned();
        let (app, field) = (&app, field.to_owned());
        async move {
            let step = app.completed_job(&id).await.unwrap();
            let text = step[&field].as_str().unwrap().to_owned();
            chrono::DateTime::parse_from_rfc3339(&text).unwrap()
        }
    };
    let slept = moment(1, "started_at").await - moment(0, "completed_at").await;
    assert!(slept.num_milliseconds() >= 900, "{slept}");
}

/// Clients read `flow_status.modules` at their first look.
#[actix::test]
async fn a_flow_says_where_it_is_before_it_begins_and_after_it_was_canceled() {
    let settings = Settings::new().env("NUM_WORKERS", "0");
    let app = TestApp::start_with(Database::sqlite(), settings).await;
    let value = json!({"modules": [echo("a", "1"), echo("b", "2")]});
    create(&app, "f/flows/waits", value.clone()).await;
    let saved = start(&app, "f/flows/waits", &json!({})).await;
    let body = json!({"value": value, "args": {}});
    let tried = app
        .post("jobs/run/preview_flow", &body)
        .await
        .expect(201)
        .text;
    let waits = json!([
        {"type": "WaitingForPriorSteps", "id": "a"}, {"type": "WaitingForPriorSteps", "id": "b"},
    ]);
    for id in [saved, tried] {
        let job = app
            .get(&format!("jobs_u/get/{id}"))
            .await
            .expect(200)
            .json();
        assert_eq!(job["flow_status"]["modules"], waits, "{job}");
        assert_eq!(job["flow_status"]["step"], 0, "{job}");
        let update = app.get(&format!("jobs_u/getupdate/{id}")).await.json();
        assert_eq!(update["flow_status"]["modules"], waits, "{update}");
        let cancel = format!("jobs_u/queue/cancel/{id}");
        app.post(&cancel, &json!({})).await.expect(200);
        let job = app.wait_for_job(&id).await;
        assert_eq!(job["canceled"], true, "{job}");
        assert_eq!(job["flow_status"]["modules"], waits, "{job}");
    }
}

#[actix::test]
async fn a_step_that_ran_when_its_flow_was_canceled_has_failed() {
    let app = TestApp::start(Database::sqlite()).await;
    let endless = "export const main = () => new Promise((done) => setTimeout(done, 3_600_000))";
    let modules = json!([echo("a", "1"), step("b", endless, &[]), echo("c", "2")]);
    create(&app, "f/flows/endless", json!({"modules": modules})).await;
    let id = start(&app, "f/flows/endless", &json!({})).await;
    let types = |job: &Value| {
        let modules = job["flow_status"]["modules"].as_array().cloned();
        let modules = modules.unwrap_or_default().into_iter();
        modules
            .map(|module| module["type"].clone())
            .collect::<Vec<_>>()
    };
    wait_for("the second step is in progress", async || {
        let job = app
            .get(&format!("jobs_u/get/{id}"))
            .await
            .expect(200)
            .json();
        let found = types(&job);
        let wanted = ["Success", "InProgress", "WaitingForPriorSteps"];
        if found == wanted {
            Ok(())
        } else {
            Err(job.to_string())
        }
    })
    .await;
    let cancel = format!("jobs_u/queue/cancel/{id}");
    app.post(&cancel, &json!({})).await.expect(200);
    let job = app.wait_for_job(&id).await;
    assert_eq!(job["canceled"], true, "{job}");
    assert_eq!(
        types(&job),
        ["Success", "Failure", "WaitingForPriorSteps"],
        "{job}"
    );
}
