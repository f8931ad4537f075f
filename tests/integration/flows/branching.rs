//! Branches: the first that fits, and all of them.

use serde_json::{Value, json};

use super::{echo, error, fail, result, run, with};
use crate::harness::{Database, Settings, TestApp};

fn one(branches: Value, default: Value) -> Value {
    json!({"id": "o", "value": {"type": "branchone", "branches": branches, "default": default}})
}

fn all(branches: Value, parallel: bool) -> Value {
    json!({"id": "all", "value": {"type": "branchall", "branches": branches, "parallel": parallel}})
}

#[actix_web::test]
async fn the_first_branch_that_fits() {
    let app = TestApp::start(Database::sqlite()).await;
    let branches = json!([
        {"expr": "flow_input.n > 10", "modules": [echo("big", "'big'")]},
        {"expr": "flow_input.n > 5", "modules": [echo("mid", "['mid', previous_result, results.a]"), echo("mid2", "results.mid")]},
    ]);
    let modules = json!([
        echo("a", "'a'"),
        one(branches, json!([echo("small", "'small'")])),
        echo("b", "[results.o, previous_result]")
    ]);
    for (n, wanted, chosen) in [
        (
            11,
            json!(["big", "big"]),
            json!({"type": "branch", "branch": 0}),
        ),
        (
            6,
            json!([["mid", "a", "a"], ["mid", "a", "a"]]),
            json!({"type": "branch", "branch": 1}),
        ),
        (1, json!(["small", "small"]), json!({"type": "default"})),
    ] {
        let job = run(&app, json!({"modules": modules}), json!({"n": n})).await;
        assert_eq!(job["result"], wanted, "{job}");
        assert_eq!(job["flow_status"]["modules"][1]["branch_chosen"], chosen);
    }
    // A branch without steps passes the previous result on; a stop inside stops the flow.
    let empty = json!([
        echo("a", "'a'"),
        one(json!([]), json!([])),
        echo("b", "[previous_result]")
    ]);
    assert_eq!(result(&app, empty, json!({})).await, json!(["a"]));
    let stop = with(
        echo("x", "'stopped'"),
        json!({"stop_after_if": {"expr": "true"}}),
    );
    let stopped = json!([
        one(json!([{"expr": "true", "modules": [stop]}]), json!([])),
        echo("b", "'went on'")
    ]);
    assert_eq!(result(&app, stopped, json!({})).await, json!("stopped"));
    let failing = json!([one(
        json!([{"expr": "1", "modules": [fail("x", "'no'")]}]),
        json!([])
    )]);
    assert_eq!(error(&app, failing, json!({})).await["step_id"], "x");
    let broken = json!([one(json!([{"expr": "nothing", "modules": []}]), json!([]))]);
    let failed = error(&app, broken, json!({})).await;
    assert_eq!(
        failed["message"],
        "branches[0].expr: ReferenceError: nothing is not defined"
    );
}

#[actix_web::test]
async fn every_branch() {
    let app =
        TestApp::start_with(Database::sqlite(), Settings::new().env("NUM_WORKERS", "1")).await;
    let branches = |skip: bool| {
        json!([
            {"modules": [echo("x", "1"), echo("y", "results.x + 1")]},
            {"modules": [fail("z", "'no'")], "skip_failure": skip},
            {"modules": [echo("v", "3")]},
        ])
    };
    for parallel in [false, true] {
        let modules = json!([
            all(branches(true), parallel),
            echo("b", "results.all.map(r => r.error?.message ?? r)")
        ]);
        let job = run(&app, json!({"modules": modules}), json!({})).await;
        assert_eq!(job["result"], json!([2, "no", 3]), "{job}");
        let module = &job["flow_status"]["modules"][0];
        assert_eq!(module["branchall"]["len"], 3);
        assert_eq!(module["job"], module["flow_jobs"][2]);
        let failed = error(&app, json!([all(branches(false), parallel)]), json!({})).await;
        assert_eq!(
            (&failed["message"], &failed["step_id"]),
            (&json!("no"), &json!("z"))
        );
        assert_eq!(
            result(&app, json!([all(json!([]), parallel)]), json!({})).await,
            json!([])
        );
        let stop = with(echo("x", "1"), json!({"stop_after_if": {"expr": "true"}}));
        let stops = json!([{"modules": [stop]}, {"modules": [echo("y", "2")]}]);
        // Beside others a branch stops only itself; before others it stops them, and the flow.
        let wanted = if parallel {
            json!("went on")
        } else {
            json!([1])
        };
        assert_eq!(
            result(
                &app,
                json!([all(stops, parallel), echo("b", "'went on'")]),
                json!({})
            )
            .await,
            wanted
        );
    }
}
