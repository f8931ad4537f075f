//! Bad values for the fields of a trigger and of a script. Data only.

use serde_json::{Value, json};

/// Leaves the field out.
const MISSING: &str = "(missing)";

/// One field of a good body, the bad value it gets, and what the answer must name.
pub type Case = (&'static str, Value, &'static str);

/// `good` with the bad value of a case.
pub fn changed(good: &Value, field: &str, value: Value) -> Value {
    let mut body = good.clone();
    if value == MISSING {
        body.as_object_mut().unwrap().remove(field);
    } else {
        body[field] = value;
    }
    body
}

pub fn fields() -> Vec<Case> {
    let long = format!("u/admin/{}", "x".repeat(300));
    vec![
        ("path", json!("hello"), "path"),
        ("path", json!("u/admin"), "path"),
        ("path", json!("x/admin/a"), "path"),
        ("path", json!("u/admin/a b"), "path"),
        ("path", json!("u/admin/../b"), "path"),
        ("path", json!("u/admin/a\u{0}b"), "path"),
        ("path", json!(long), "path"),
        ("path", json!(5), "path"),
        ("path", json!(MISSING), "path"),
        ("script_path", json!("hello"), "script_path"),
        ("script_path", json!(null), "script_path"),
        ("script_path", json!(MISSING), "script_path"),
        ("is_flow", json!("yes"), "is_flow"),
        ("is_flow", json!(MISSING), "is_flow"),
        ("mode", json!("paused"), "mode"),
        ("labels", json!("one"), "labels"),
        ("can_return_message", json!(1), "can_return_message"),
        ("can_return_message", json!(MISSING), "can_return_message"),
        (
            "can_return_error_result",
            json!(MISSING),
            "can_return_error_result",
        ),
    ]
}

pub fn connections() -> Vec<Case> {
    let too_often = json!({"interval_secs": 0, "message": "m"});
    let second = json!([{"raw_message": "a"}, {"raw_message": 5}]);
    vec![
        ("url", json!(""), "WebSocket URL cannot be empty"),
        ("url", json!("http://example.com/"), "url"),
        ("url", json!("ws://"), "url"),
        ("url", json!("example.com"), "url"),
        ("url", json!("ws://exa mple.com/"), "url"),
        ("url", json!("$script:"), "url"),
        ("url", json!("$flow:not a path"), "url"),
        ("url", json!(["ws://example.com/"]), "url"),
        ("url", json!(MISSING), "url"),
        ("url_runnable_args", json!([1]), "url_runnable_args"),
        ("heartbeat", too_often, "interval_secs"),
        ("heartbeat", json!({"interval_secs": 5}), "message"),
        ("initial_messages", second, "initial_messages[1]"),
        (
            "initial_messages",
            json!([{"say": "a"}]),
            "initial_messages[0]",
        ),
        (
            "reconnect",
            json!({"initial_delay_ms": 1}),
            "initial_delay_ms",
        ),
        ("headers", json!({"Authorization": 5}), "headers"),
    ]
}

/// Each names the place of the error, not only the field (contract §4).
pub fn filters() -> Vec<Case> {
    let good = json!({"key": "a", "value": 1});
    let both = json!([{"key": "a", "path": "b", "value": 1}]);
    let unknown = json!([{"key": "a", "value": 1, "op": "<"}]);
    let nested = json!([good, {"any_of": [{"key": 1, "value": 1}]}]);
    let deep = json!([{"none_of": [{"all_of": [{"path": "", "value": 1}]}]}]);
    vec![
        ("filter_logic", json!("xor"), "filter_logic"),
        ("filters", json!(MISSING), "filters"),
        ("filters", json!({}), "filters"),
        ("filters", json!([5]), "filters[0]"),
        ("filters", json!([{"key": "a"}]), "filters[0]"),
        ("filters", json!([{"value": 1}]), "filters[0]"),
        ("filters", both, "filters[0]"),
        ("filters", unknown, "filters[0]"),
        ("filters", json!([good, {"any_of": []}]), "filters[1]"),
        (
            "filters",
            json!([{"path": "a..b", "value": 1}]),
            "filters[0]",
        ),
        ("filters", nested, "filters[1].any_of[0]"),
        ("filters", deep, "filters[0].none_of[0].all_of[0]"),
    ]
}

pub fn scripts() -> Vec<Case> {
    vec![
        ("language", json!("cobol"), "language"),
        ("language", json!(3), "language"),
        ("language", json!(MISSING), "language"),
        ("path", json!("new"), "path"),
        ("path", json!(MISSING), "path"),
        ("content", json!(5), "content"),
        ("content", json!("echo \u{0}"), "content"),
        ("content", json!(MISSING), "content"),
        ("timeout", json!("long"), "timeout"),
        ("timeout", json!(-1), "timeout"),
    ]
}
