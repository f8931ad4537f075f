//! What is read, and the text of every refusal.

use serde_json::{Value, json};

use super::*;

fn raw(id: &str) -> Value {
    json!({"id": id, "value": {"type": "rawscript", "language": "bash", "content": "echo 1", "input_transforms": {}}})
}

/// A step with more fields.
fn with(id: &str, more: Value) -> Value {
    let mut module = raw(id);
    for (name, value) in more.as_object().unwrap() {
        module[name] = value.clone();
    }
    module
}

fn refusal(value: Value) -> String {
    match FlowValue::from_json(&value) {
        Ok(_) => panic!("accepted: {value}"),
        Err(error) => error.0,
    }
}

fn two(second: Value) -> Value {
    json!({"modules": [raw("a"), second]})
}

#[test]
fn a_whole_flow_is_read() {
    let value = json!({
        "modules": [
            with("a", json!({
                "summary": "first", "priority": 5, "timeout": 7, "sleep": {"type": "javascript", "expr": "1 + 1"},
                "retry": {"constant": {"attempts": 2, "seconds": 1}, "retry_if": {"expr": "error.name == 'X'"}},
                "stop_after_if": {"expr": "result == 1", "skip_if_stopped": true},
                "skip_if": {"expr": "flow_input.skip"}, "continue_on_error": true,
                "suspend": null, "cache_ttl": 0, "mock": {"enabled": false, "return_value": 1},
            })),
            {"id": "b", "value": {"type": "script", "path": "f/x/s", "hash": "00000000000000ff", "input_transforms": {
                "x": {"type": "static", "value": [1]}, "y": {"type": "javascript", "expr": "results.a"}}}},
            {"id": "c", "value": {"type": "forloopflow", "iterator": {"type": "static", "value": [1]}, "modules": [raw("d")],
                "skip_failures": true, "parallel": true, "parallelism": 3, "squash": true}},
            {"id": "e", "value": {"type": "whileloopflow", "modules": [raw("f")], "skip_failures": false, "max_iterations": 5}},
            {"id": "g", "value": {"type": "branchone", "branches": [{"expr": "true", "modules": [raw("h")]}], "default": [raw("i")]}},
            {"id": "j", "value": {"type": "branchall", "branches": [{"modules": [raw("k")], "skip_failure": true}], "parallel": true}},
            {"id": "l", "value": {"type": "flow", "path": "f/x/other", "input_transforms": {}}},
            {"id": "m", "value": {"type": "identity"}},
        ],
        "failure_module": {"id": "failure", "value": {"type": "script", "path": "f/x/oops", "input_transforms": {}}},
        "preprocessor_module": with("preprocessor", json!({})),
        "early_return": "b", "same_worker": false, "notes": [{"text": "x"}], "groups": [],
    });
    let flow = FlowValue::from_json(&value).unwrap();
    let ids: Vec<&str> = flow.all().iter().map(|module| module.id.as_str()).collect();
    let wanted = "a b c d e f g h i j k l m preprocessor failure";
    assert_eq!(ids.join(" "), wanted);
    let first = &flow.modules[0];
    assert_eq!(first.priority, Some(5));
    assert_eq!(first.timeout, Some(Input::Static("7".to_owned())));
    assert!(first.continue_on_error && first.stop_after_if.as_ref().unwrap().skip);
    assert_eq!(first.retry.as_ref().unwrap().constant, (2, 1));
    let nest = |module: &str, branch| Nest {
        module: module.to_owned(),
        branch,
    };
    for (nest, id) in [
        (nest("c", None), "d"),
        (nest("g", Some(0)), "h"),
        (nest("g", None), "i"),
        (nest("j", Some(0)), "k"),
    ] {
        assert_eq!(flow.list(Some(&nest)).unwrap()[0].id, id);
    }
    assert!(flow.list(Some(&nest("j", Some(1)))).is_none());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_not_supported_is_refused_by_module_and_field() {
    let b = |more: Value| refusal(two(with("b", more)));
    let flow = |field: &str, value: Value| refusal(json!({"modules": [raw("a")], field: value}));
    for (text, wanted) in [
        (
            b(json!({"suspend": {"required_events": 1}})),
            "modules[1] (id b): suspend is not supported; ",
        ),
        (
            b(json!({"cache_ttl": 5})),
            "modules[1] (id b): cache_ttl is not supported; ",
        ),
        (
            b(json!({"delete_after_secs": -1})),
            "modules[1] (id b): delete_after_secs must be a whole number from 0 to ",
        ),
        (
            b(json!({"delete_after_use": 1})),
            "modules[1] (id b): delete_after_use must be true or false",
        ),
        (
            b(json!({"debouncing": {"debounce_delay_s": 1}})),
            "modules[1] (id b): debouncing is not supported; ",
        ),
        (
            b(json!({"mock": {"enabled": true}})),
            "modules[1] (id b): mock is not supported; ",
        ),
        (
            b(json!({"shiny": 1})),
            "modules[1] (id b): shiny is not a known field",
        ),
        (
            b(json!({"stop_after_all_iters_if": {"expr": "true"}})),
            "modules[1] (id b): stop_after_all_iters_if is for loops",
        ),
        (
            flow("same_worker", json!(true)),
            "value: same_worker is not supported; ",
        ),
        (
            flow("concurrent_limit", json!(1)),
            "value: concurrent_limit is not supported; ",
        ),
        (
            flow("concurrency_key", json!("x")),
            "value: concurrency_key is not supported; ",
        ),
        (
            flow("concurrency_time_window_s", json!(1)),
            "value: concurrency_time_window_s is not supported; ",
        ),
        (
            flow("debounce_delay_s", json!(1)),
            "value: debounce_delay_s is not supported; ",
        ),
        (
            flow("debounce_key", json!("x")),
            "value: debounce_key is not supported; ",
        ),
        (
            flow("debounce_args_to_accumulate", json!(["x"])),
            "value: debounce_args_to_accumulate is not supported; ",
        ),
        (
            flow("max_total_debouncing_time", json!(1)),
            "value: max_total_debouncing_time is not supported; ",
        ),
        (
            flow("max_total_debounces_amount", json!(1)),
            "value: max_total_debounces_amount is not supported; ",
        ),
        (
            flow("cache_ttl", json!(1)),
            "value: cache_ttl is not supported; ",
        ),
        (
            flow("delete_after_secs", json!("1")),
            "value: delete_after_secs must be a whole number from 0 to ",
        ),
        (
            flow("delete_after_use", json!("yes")),
            "value: delete_after_use must be true or false",
        ),
        (
            flow("flow_env", json!({"A": "b"})),
            "value: flow_env is not supported; ",
        ),
        (
            flow("chat_input_enabled", json!(true)),
            "value: chat_input_enabled is not supported; ",
        ),
        (flow("shiny", json!(1)), "value: shiny is not a known field"),
        (
            flow("early_return", json!("x")),
            "value: early_return must be the id of a top-level module",
        ),
    ] {
        assert!(text.starts_with(wanted), "{text}\n{wanted}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn values_of_modules_are_refused_by_field() {
    let b = |value: Value| refusal(two(json!({"id": "b", "value": value})));
    let script = |field: &str, value: Value| {
        let mut step = json!({"type": "rawscript", "language": "bash", "content": ""});
        step[field] = value;
        b(step)
    };
    let input = |value: Value| script("input_transforms", json!({"x": value}));
    let each = |field: &str, value: Value| {
        let mut step = json!({"type": "forloopflow", "iterator": {"type": "static", "value": []}, "modules": [], "skip_failures": false});
        step[field] = value;
        b(step)
    };
    for (text, wanted) in [
        (
            b(json!({"type": "aiagent"})),
            "value.type 'aiagent' is not supported; use rawscript, script, flow, ",
        ),
        (b(json!({})), "value.type is missing"),
        (
            script("language", json!("go")),
            "language 'go' is not supported; use one of: python3, bash, ",
        ),
        (
            script("concurrent_limit", json!(1)),
            "concurrent_limit is not supported; ",
        ),
        (
            script("concurrency_time_window_s", json!(1)),
            "concurrency_time_window_s is not supported; ",
        ),
        (
            script("custom_concurrency_key", json!("x")),
            "custom_concurrency_key is not supported; ",
        ),
        (script("content", json!(3)), "content must be a text"),
        (script("shiny", json!(3)), "shiny is not a known field"),
        (
            input(json!({"type": "ai"})),
            "input_transforms.x.type 'ai' is not supported; ",
        ),
        (
            input(json!({"type": "javascript"})),
            "input_transforms.x.expr is missing",
        ),
        (
            input(json!({"type": "javascript", "expr": " "})),
            "input_transforms.x.expr must not be empty",
        ),
        (input(json!(3)), "input_transforms.x: must be an object"),
        (
            b(json!({"type": "script", "path": "hub/1/x"})),
            "path 'hub/1/x' is not supported; ",
        ),
        (
            b(json!({"type": "script", "path": "x"})),
            "path: 'x' is not a path",
        ),
        (
            b(json!({"type": "script", "path": "f/a/b", "hash": "1"})),
            "hash must be 16 hexadecimal digits",
        ),
        (
            b(json!({"type": "flow", "path": "f/a/b", "hash": "1"})),
            "hash is not a known field",
        ),
        (
            each("parallelism", json!(0)),
            "parallelism must be a whole number from 1",
        ),
        (each("iterator", json!(null)), "iterator is missing"),
        (each("modules", json!(null)), "modules is missing"),
        (each("shiny", json!(1)), "shiny is not a known field"),
        (
            b(json!({"type": "whileloopflow", "modules": [], "parallel": true})),
            "parallel is not supported; ",
        ),
        (
            b(json!({"type": "whileloopflow", "modules": [], "parallelism": 2})),
            "parallelism is not supported; ",
        ),
        (b(json!({"type": "branchone"})), "branches is missing"),
    ] {
        let wanted = format!("modules[1] (id b): {wanted}");
        assert!(text.starts_with(&wanted), "{text}\n{wanted}");
    }
}

#[test]
fn places_inside_loops_and_branches_are_named() {
    let inner = with("x", json!({"suspend": {"required_events": 1}}));
    let each = json!({"id": "b", "value": {"type": "forloopflow", "iterator": {"type": "static", "value": []},
        "skip_failures": false, "modules": [raw("c"), inner]}});
    let branches = |modules: Value| json!({"id": "b", "value": {"type": "branchone", "branches": [{"expr": "1", "modules": modules}], "default": []}});
    for (text, wanted) in [
        (
            refusal(two(each)),
            "modules[1].modules[1] (id x): suspend is not supported",
        ),
        (
            refusal(two(branches(json!([inner_of("y")])))),
            "modules[1].branches[0].modules[0] (id y): suspend is not supported",
        ),
        (
            refusal(two(branches(json!([raw("a")])))),
            "modules[1].branches[0].modules[0] (id a): id is used twice",
        ),
        (
            refusal(two(
                json!({"id": "b", "value": {"type": "branchone", "default": [], "branches": [{"modules": []}]}}),
            )),
            "modules[1].branches[0]: expr is missing",
        ),
        (
            refusal(two(
                json!({"id": "b", "value": {"type": "branchone", "default": [],
                "branches": [{"modules": [], "expr": "1", "skip_failure": true}]}}),
            )),
            "modules[1].branches[0]: skip_failure is not supported; ",
        ),
    ] {
        assert!(text.starts_with(wanted), "{text}\n{wanted}");
    }
}

fn inner_of(id: &str) -> Value {
    with(id, json!({"suspend": {"required_events": 1}}))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn other_mistakes_are_named() {
    let special = |name: &str, module: Value| refusal(json!({"modules": [], name: module}));
    for (text, wanted) in [
        (refusal(json!({})), "value: modules is missing"),
        (refusal(json!([])), "value: must be an object"),
        (
            refusal(json!({"modules": [{"value": {}}]})),
            "modules[0]: id is missing",
        ),
        (
            refusal(json!({"modules": [raw("a b")]})),
            "modules[0]: id must have 1 to 64 letters",
        ),
        (
            refusal(json!({"modules": [raw("failure")]})),
            "modules[0]: id 'failure' is kept for failure_module",
        ),
        (
            refusal(two(raw("a"))),
            "modules[1] (id a): id is used twice in this flow",
        ),
        (
            refusal(two(with("b", json!({"sleep": -1})))),
            "modules[1] (id b): sleep must be a number of seconds",
        ),
        (
            refusal(two(with("b", json!({"priority": 101})))),
            "modules[1] (id b): priority must be a whole number from 0 to 100",
        ),
        (
            refusal(two(with(
                "b",
                json!({"retry": {"constant": {"attempts": -1}}}),
            ))),
            "modules[1] (id b): retry.constant: attempts must be",
        ),
        (
            refusal(two(with("b", json!({"retry": {"sometimes": 1}})))),
            "modules[1] (id b): retry: sometimes is not a known field",
        ),
        (
            refusal(two(with("b", json!({"skip_if": {}})))),
            "modules[1] (id b): skip_if.expr is missing",
        ),
        (
            refusal(two(with(
                "b",
                json!({"stop_after_if": {"expr": "1", "x": 1}}),
            ))),
            "modules[1] (id b): stop_after_if: x is not a known",
        ),
        (
            special(
                "failure_module",
                json!({"id": "failure", "value": {"type": "identity"}}),
            ),
            "failure_module (id failure): value.type must be rawscript or script",
        ),
        (
            special(
                "failure_module",
                with("failure", json!({"skip_if": {"expr": "1"}})),
            ),
            "failure_module (id failure): skip_if is not supported here",
        ),
        (
            special(
                "preprocessor_module",
                with(
                    "preprocessor",
                    json!({"retry": {"constant": {"attempts": 1}}}),
                ),
            ),
            "preprocessor_module (id preprocessor): retry is not supported here",
        ),
        (
            special("preprocessor_module", raw("p")),
            "preprocessor_module: id must be 'preprocessor'",
        ),
    ] {
        assert!(text.starts_with(wanted), "{text}\n{wanted}");
    }
    let deep = (0..30).fold(json!([]), |modules, level| {
        json!([{"id": format!("m{level}"), "value": {"type": "whileloopflow", "modules": modules, "skip_failures": false}}])
    });
    assert!(refusal(json!({"modules": deep})).contains("may be nested 20 deep"));
}

#[test]
fn a_status_keeps_windmills_shape() {
    let flow = FlowValue::from_json(&json!({"modules": [raw("a")]})).unwrap();
    let mut status = FlowStatus::of(&flow, true, crate::types::Timestamp(0));
    let job = crate::types::JobId::next();
    status.modules[0].state = ModuleState::InProgress;
    status.modules[0].job = Some(job);
    assert_eq!(status.open_steps(), [(job, "a".to_owned())]);
    let shown = serde_json::to_value(&status).unwrap();
    assert_eq!(shown["step"], 0);
    assert_eq!(
        shown["modules"][0],
        json!({"type": "InProgress", "id": "a", "job": job})
    );
    assert_eq!(
        shown["failure_module"],
        json!({"type": "WaitingForPriorSteps", "id": "failure"})
    );
    let read: FlowStatus = serde_json::from_value(shown).unwrap();
    assert_eq!(read, status);
}
