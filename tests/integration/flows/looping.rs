//! Loops: over lists, one after the other or at the same time, and until something stops them.

use serde_json::{Value, json};

use super::{echo, error, fail, result, run, with};
use crate::harness::{Database, Settings, TestApp, on_both_databases};

on_both_databases!(needs: [], tests: [iterations_at_the_same_time]);

/// A loop over what the expression gives.
fn each(iterator: &str, modules: Value, more: Value) -> Value {
    let mut value = json!({"type": "forloopflow", "iterator": {"type": "javascript", "expr": iterator},
        "skip_failures": false, "modules": modules});
    for (name, more) in more.as_object().unwrap() {
        value[name] = more.clone();
    }
    json!({"id": "l", "value": value})
}

fn while_loop(modules: Value, more: Value) -> Value {
    let mut value = json!({"type": "whileloopflow", "skip_failures": false, "modules": modules});
    for (name, more) in more.as_object().unwrap() {
        value[name] = more.clone();
    }
    json!({"id": "w", "value": value})
}

/// A step that fails for the item 2.
fn not_two() -> Value {
    super::step(
        "x",
        "export function main(v: number) { if (v == 2) throw new Error('two'); return v * 10 }",
        &[("v", "flow_input.iter.value")],
    )
}

#[actix_web::test]
async fn iterations_one_after_the_other() {
    let app = TestApp::start(Database::sqlite()).await;
    let args = json!({"list": [1, 2, 3], "name": "n"});
    let body = json!([
        echo(
            "x",
            "[flow_input.iter.index, flow_input.iter.value, flow_input.name, results.a, previous_result]"
        ),
        echo("y", "previous_result.concat(results.x.length)"),
    ]);
    let modules = json!([
        echo("a", "'before'"),
        each("flow_input.list", body, json!({})),
        echo("b", "results.l")
    ]);
    let value = result(&app, modules, args.clone()).await;
    let wanted: Vec<Value> = (0..3)
        .map(|i| json!([i, i + 1, "n", "before", "before", 5]))
        .collect();
    assert_eq!(value, json!(wanted));

    // An empty list is an empty result; what is no list is an error; a failure ends the loop, or is null.
    let empty = json!([
        each("[]", json!([echo("x", "1")]), json!({})),
        echo("b", "[previous_result]")
    ]);
    let job = run(&app, json!({"modules": empty}), json!({})).await;
    assert_eq!(job["result"], json!([[]]), "{job}");
    // Clients go on when a job stands here, as in Windmill.
    let module = &job["flow_status"]["modules"][0];
    let none = "00000000-0000-0000-0000-000000000000";
    assert_eq!(
        (&module["job"], &module["flow_jobs"]),
        (&json!(none), &json!([]))
    );
    let failed = error(
        &app,
        json!([each("flow_input.name", json!([]), json!({}))]),
        args.clone(),
    )
    .await;
    assert_eq!(failed["message"], "iterator: must be a list");
    let failed = error(
        &app,
        json!([each("flow_input.list", json!([not_two()]), json!({}))]),
        args.clone(),
    )
    .await;
    assert_eq!(
        (&failed["message"], &failed["step_id"]),
        (&json!("two"), &json!("x"))
    );
    let tolerant = json!([each(
        "flow_input.list",
        json!([not_two()]),
        json!({"skip_failures": true})
    )]);
    let job = run(&app, json!({"modules": tolerant}), args.clone()).await;
    assert_eq!(job["result"], json!([10, null, 30]));
    let module = &job["flow_status"]["modules"][0];
    assert_eq!(module["flow_jobs"].as_array().unwrap().len(), 3);
    assert_eq!(module["job"], module["flow_jobs"][2]);
    assert_eq!(module["flow_jobs_success"], json!([true, false, true]));
    assert_eq!(
        (
            &module["iterator"]["index"],
            &module["iterator"]["itered_len"]
        ),
        (&json!(2), &json!(3))
    );

    // Stops: of a step inside, of the loop between iterations, behind all iterations.
    let inner = with(
        echo("x", "flow_input.iter.value"),
        json!({"stop_after_if": {"expr": "result == 2"}}),
    );
    let stops = |l: Value| json!([l, echo("b", "[previous_result]")]);
    let l = each(
        "flow_input.list",
        json!([inner, echo("y", "previous_result * 10")]),
        json!({}),
    );
    assert_eq!(result(&app, stops(l), args.clone()).await, json!([[10, 2]]));
    let plain = each(
        "flow_input.list",
        json!([echo("x", "flow_input.iter.value")]),
        json!({}),
    );
    let l = with(
        plain.clone(),
        json!({"stop_after_if": {"expr": "result >= 2"}}),
    );
    assert_eq!(result(&app, stops(l), args.clone()).await, json!([[1, 2]]));
    let l = with(
        plain,
        json!({"stop_after_all_iters_if": {"expr": "result.length == 3"}}),
    );
    assert_eq!(result(&app, stops(l), args).await, json!([1, 2, 3]));
}

async fn iterations_at_the_same_time(database: Database) {
    // One worker: iterations wait for it, not for each other.
    let app = TestApp::start_with(database, Settings::new().env("NUM_WORKERS", "1")).await;
    let args = json!({"list": (0..60).collect::<Vec<u32>>()});
    let body = json!([
        echo("x", "flow_input.iter.value"),
        echo("y", "results.x * 2")
    ]);
    let wanted: Vec<u32> = (0..60).map(|n| n * 2).collect();
    for more in [
        json!({"parallel": true}),
        json!({"parallel": true, "parallelism": 3}),
    ] {
        let modules = json!([
            each("flow_input.list", body.clone(), more),
            echo("b", "results.l")
        ]);
        assert_eq!(result(&app, modules, args.clone()).await, json!(wanted));
    }
    let failing = json!([each(
        "[1, 2, 3, 4]",
        json!([not_two()]),
        json!({"parallel": true})
    )]);
    let job = run(&app, json!({"modules": failing}), json!({})).await;
    assert_eq!(job["result"]["error"]["message"], "two", "{job}");
    let module = &job["flow_status"]["modules"][0];
    assert_eq!(module["job"], module["flow_jobs"][1], "{job}");
    let tolerant = json!([each(
        "[1, 2, 3]",
        json!([not_two()]),
        json!({"parallel": true, "skip_failures": true})
    )]);
    assert_eq!(
        result(&app, tolerant, json!({})).await,
        json!([10, null, 30])
    );
    let wrong = json!([each(
        "[1]",
        json!([]),
        json!({"parallel": true, "parallelism": {"type": "javascript", "expr": "'x'"}})
    )]);
    let failed = error(&app, wrong, json!({})).await;
    assert_eq!(
        failed["message"],
        "parallelism: must be a whole number from 1"
    );
}

#[actix_web::test]
async fn loops_until_something_stops_them() {
    let app = TestApp::start(Database::sqlite()).await;
    let body = json!([echo("x", "(results.x ?? 0) + flow_input.iter.index")]);
    let w = with(
        while_loop(body, json!({})),
        json!({"stop_after_if": {"expr": "result >= 6"}}),
    );
    assert_eq!(
        result(&app, json!([w]), json!({})).await,
        json!([0, 1, 3, 6])
    );
    let inner = with(
        echo("x", "flow_input.iter.value"),
        json!({"stop_after_if": {"expr": "result == 2"}}),
    );
    let w = while_loop(json!([inner]), json!({}));
    assert_eq!(
        result(
            &app,
            json!([w, echo("b", "previous_result.length")]),
            json!({})
        )
        .await,
        json!(3)
    );
    let w = while_loop(json!([echo("x", "1")]), json!({"max_iterations": 3}));
    let failed = error(&app, json!([w]), json!({})).await;
    assert_eq!(
        (&failed["name"], &failed["step_id"]),
        (&json!("LoopExhausted"), &json!("w"))
    );
    // Nothing inside needs a worker: the loop still takes its turns with others.
    let idle = json!({"id": "i", "value": {"type": "identity"}});
    let w = while_loop(json!([idle]), json!({"max_iterations": 300}));
    assert_eq!(
        error(&app, json!([w]), json!({})).await["name"],
        "LoopExhausted"
    );
    let w = while_loop(
        json!([fail("x", "flow_input.iter.index")]),
        json!({"skip_failures": true, "max_iterations": 2}),
    );
    assert_eq!(
        error(&app, json!([w]), json!({})).await["name"],
        "LoopExhausted"
    );
}

#[actix_web::test]
async fn loops_inside_loops() {
    let app = TestApp::start(Database::sqlite()).await;
    let inner = json!({"id": "m", "value": {"type": "forloopflow", "skip_failures": false,
        "iterator": {"type": "javascript", "expr": "Array.from({length: flow_input.iter.value}, (_, i) => i + results.o)"},
        "modules": [echo("x", "flow_input.iter.value")]}});
    let modules = json!([each(
        "[1, 2]",
        json!([echo("o", "flow_input.iter.value * 100"), inner]),
        json!({})
    )]);
    assert_eq!(
        result(&app, modules, json!({})).await,
        json!([[100], [200, 201]])
    );
}
