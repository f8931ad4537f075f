//! A flow survives a kill, inside a step and between two: what had finished is not run again, nothing is lost.

use serde_json::{Value, json};

use super::{create, echo, start, step};
use crate::harness::{Database, TestApp, on_both_databases, wait_at_most, wait_for};

on_both_databases!(
    needs: [],
    tests: [a_kill_inside_a_step, kills_between_steps]
);

/// Counts its runs in a variable, and gives back what it gets.
const COUNT: &str = "import * as wmill from 'windmill-client'
export async function main(path: string, x: any) {
  await wmill.setVariable(path, String(Number(await wmill.getVariable(path)) + 1));
  return x;
}";

/// As [`COUNT`], but it only ends once it is told that it may.
const COUNT_AND_WAIT: &str = "import * as wmill from 'windmill-client'
export async function main(path: string, x: any) {
  const may = await wmill.getVariable('f/flows/go');
  await wmill.setVariable(path, String(Number(await wmill.getVariable(path)) + 1));
  if (may != 'yes') await new Promise((resolve) => setTimeout(resolve, 600_000));
  return x;
}";

async fn variable(app: &TestApp, path: &str) -> String {
    let value = app
        .get(&format!("variables/get_value/{path}"))
        .await
        .expect(200)
        .json();
    value.as_str().unwrap().to_owned()
}

async fn a_kill_inside_a_step(database: Database) {
    let mut app = TestApp::start(database).await;
    for (path, value) in [
        ("f/flows/a", "0"),
        ("f/flows/b", "0"),
        ("f/flows/c", "0"),
        ("f/flows/go", "no"),
    ] {
        let body = json!({"path": path, "value": value, "is_secret": false, "description": ""});
        app.post("variables/create", &body).await.expect(201);
    }
    let modules = json!([
        step(
            "a",
            COUNT,
            &[("path", "'f/flows/a'"), ("x", "flow_input.x + 1")]
        ),
        step(
            "b",
            COUNT_AND_WAIT,
            &[("path", "'f/flows/b'"), ("x", "results.a + 1")]
        ),
        step(
            "c",
            COUNT,
            &[("path", "'f/flows/c'"), ("x", "results.b + 1")]
        ),
    ]);
    create(&app, "f/flows/three", json!({"modules": modules})).await;
    let id = start(&app, "f/flows/three", &json!({"x": 1})).await;
    wait_for("the second step runs", async || {
        let runs = variable(&app, "f/flows/b").await;
        if runs == "1" { Ok(()) } else { Err(runs) }
    })
    .await;
    app.post("variables/update/f/flows/go", &json!({"value": "yes"}))
        .await
        .expect(200);
    app.kill();
    app.start_again().await;
    let job = app.wait_for_job(&id).await;
    assert_eq!(job["result"], 4, "{job}");
    for (path, runs) in [("f/flows/a", "1"), ("f/flows/b", "2"), ("f/flows/c", "1")] {
        assert_eq!(variable(&app, path).await, runs, "{path}");
    }
}

/// Flows of several kinds, killed twice while they run: each ends once, with the right result, and has exactly the
/// steps it should have.
async fn kills_between_steps(database: Database) {
    const FLOWS: usize = 60;
    let mut app = TestApp::start(database).await;
    let each = json!({"id": "l", "value": {"type": "forloopflow", "skip_failures": false, "parallel": true,
        "iterator": {"type": "javascript", "expr": "[1, 2, 3]"},
        "modules": [echo("x", "flow_input.iter.value * results.a")]}});
    let modules = json!([
        echo("a", "flow_input.n"),
        each,
        echo("b", "results.l.concat(previous_result.length)")
    ]);
    create(&app, "f/flows/many", json!({"modules": modules})).await;
    let mut jobs = Vec::new();
    for n in 0..FLOWS {
        jobs.push((n, start(&app, "f/flows/many", &json!({"n": n})).await));
    }
    for part in [FLOWS / 6, FLOWS / 2] {
        wait_at_most(
            crate::harness::PATIENCE * 2,
            "some flows have ended",
            async || {
                let ended = app.completed("script_path_exact=f/flows/many").await.len();
                if ended >= part {
                    Ok(())
                } else {
                    Err(format!("{ended} of {part}"))
                }
            },
        )
        .await;
        app.kill();
        app.start_again().await;
    }
    for (n, id) in jobs {
        let job = app.wait_for_job(&id).await;
        assert_eq!(job["result"], json!([n, 2 * n, 3 * n, 3]), "{job}");
        let steps = app.completed(&format!("parent_job={id}")).await;
        let mut names: Vec<&str> = steps
            .iter()
            .map(|step| step["flow_step_id"].as_str().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "l", "l", "l"]);
        for iteration in steps.iter().filter(|step| step["flow_step_id"] == "l") {
            let inside = app
                .completed(&format!("parent_job={}", iteration["id"].as_str().unwrap()))
                .await;
            let names: Vec<&Value> = inside.iter().map(|step| &step["flow_step_id"]).collect();
            assert_eq!(names, [&json!("x")]);
        }
    }
    assert_eq!(
        app.get("jobs/queue/count").await.expect(200).json()["database_length"],
        0
    );
}
