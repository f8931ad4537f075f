//! Triggers with something wrong in them: read and planned, or refused by a field's name; never a panic.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::TriggerSpec;
use crate::mutate;

/// One with every field.
fn whole() -> Value {
    json!({
        "script_path": "f/x/s", "is_flow": false, "url": "wss://example.com/feed?c={{vars.cursor|urlencode}}&t=$var:u/a/t",
        "url_runnable_args": {"a": 1}, "filter_logic": "or",
        "filters": [{"key": "e", "value": "trade"}, {"any_of": [{"path": "a.b", "value": [1]}]}],
        "initial_messages": [
            {"raw_message": "\"{\\\"op\\\": \\\"sub\\\", \\\"id\\\": {{counter()}}}\""},
            {"runnable_result": {"path": "u/a/first", "args": {"x": [1]}, "is_flow": true}},
            {"await_message": {"filters": [{"key": "type", "value": "welcome"}], "filter_logic": "and", "timeout_secs": 5}},
        ],
        "heartbeat": {"interval_secs": 30, "message": "{\"d\": {{state}}}", "state_field": "s", "interval_field": "d.heartbeat_interval",
            "idle_only": true, "expect": {"filters": [{"key": "op", "value": 11}], "timeout_secs": 10}},
        "can_return_message": true, "can_return_error_result": false, "error_handler_path": "flow/u/a/h", "error_handler_args": {"x": 1},
        "retry": {"constant": {"attempts": 2, "seconds": 1}, "exponential": {"attempts": 3, "multiplier": 2, "seconds": 1, "random_factor": 20},
            "retry_if": {"expr": "error.name == 'X'"}},
        "headers": {"Authorization": "Bearer $var:u/a/token", "X-N": "{{now_ms()}}"}, "subprotocols": ["graphql-transport-ws", "v2"],
        "tls": {"ca_pem": "$var:u/a/ca"}, "proxy": "http://u:p@127.0.0.1:3128",
        "reconnect": {"initial_delay_ms": 500, "max_delay_ms": 60000, "max_attempts": 4},
        "ping_interval_secs": 30, "idle_timeout_secs": 60, "binary": "base64", "max_message_bytes": 16777216, "max_in_flight": 4, "ordered": true,
        "conversation": [
            {"on": {"filters": [{"key": "op", "value": 10}], "filter_logic": "and"}, "send": "{\"op\": 2, \"s\": {{msg.d.s}}}", "set": {"cursor": "d.seq"},
                "once": true, "trigger": false},
            {"on": {"filters": [{"key": "q", "value": 1}]}, "send_runnable": {"path": "u/a/answer", "args": {"y": 2}, "is_flow": false}},
        ],
        "on_close": {"4004": "disable", "4009": "reset", "default": "reconnect"}, "connect_rate": 3,
    })
}

fn check(body: &Map<String, Value>) -> Result<(), TestCaseError> {
    match TriggerSpec::from_json(body) {
        Ok(spec) => {
            let text = json!(spec);
            let again = TriggerSpec::from_json(text.as_object().unwrap());
            prop_assert_eq!(
                again.map_err(|error| error.0),
                Ok(spec.clone()),
                "what was saved is not read again"
            );
            // What was taken at save can be planned at every connect; a plan never surprises.
            let plan = spec.compile();
            prop_assert!(plan.is_ok(), "{:?}: {}", plan.err(), text);
        }
        Err(error) => {
            let named = body.keys().any(|field| error.0.contains(field.trim()));
            let missing = whole()
                .as_object()
                .unwrap()
                .keys()
                .any(|field| error.0.contains(field.as_str()));
            prop_assert!(named || missing || error.0.contains("URL"), "{}", error.0);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(mutate::cases(3_000))]

    #[test]
    fn a_trigger_is_read_and_planned_or_refused(seed in any::<u64>()) {
        let body = mutate::json(&whole(), seed);
        if let Some(body) = body.as_object() {
            check(body)?;
        }
    }

    #[test]
    fn one_field_is_read_and_planned_or_refused(seed in any::<u64>(), field in any::<prop::sample::Index>()) {
        let mut body = whole();
        let fields = body.as_object_mut().unwrap();
        let name = fields.keys().nth(field.index(fields.len())).unwrap().clone();
        fields.insert(name.clone(), mutate::json(&fields[&name], seed));
        check(fields)?;
    }
}

#[test]
fn the_example_itself_is_taken() {
    check(whole().as_object().unwrap()).unwrap();
    TriggerSpec::from_json(whole().as_object().unwrap()).unwrap();
}
