//! Fields that are missing, of another type or out of range.

use super::*;

#[test]
fn required_fields_are_named_when_missing() {
    for field in [
        "script_path",
        "is_flow",
        "url",
        "filters",
        "can_return_message",
        "can_return_error_result",
    ] {
        let mut body = body(&json!({}));
        body.remove(field);
        let error = TriggerSpec::from_json(&body).unwrap_err().0;
        assert_eq!(error, format!("missing field {field}"));
    }
}

#[test]
fn wrong_types_say_what_was_expected() {
    for (extra, error) in [
        (
            json!({"script_path": 1}),
            "script_path: expected a string, got a number",
        ),
        (
            json!({"script_path": null}),
            "script_path: expected a string, got null",
        ),
        (
            json!({"is_flow": "yes"}),
            "is_flow: expected true or false, got a string",
        ),
        (
            json!({"url": ["a"]}),
            "url: expected a string, got an array",
        ),
        (
            json!({"url_runnable_args": [1]}),
            "url_runnable_args: expected an object, got an array",
        ),
        (
            json!({"filters": {}}),
            "filters: expected an array, got an object",
        ),
        (
            json!({"filter_logic": "xor"}),
            "filter_logic: 'xor' is not one of: and, or",
        ),
        (
            json!({"initial_messages": {}}),
            "initial_messages: expected an array, got an object",
        ),
        (
            json!({"heartbeat": []}),
            "heartbeat: expected an object, got an array",
        ),
        (
            json!({"headers": {"X-A": 1}}),
            "headers.X-A: expected a string, got a number",
        ),
        (
            json!({"ordered": 1}),
            "ordered: expected true or false, got a number",
        ),
        (
            json!({"binary": "hex"}),
            "binary: 'hex' is not one of: ignore, base64",
        ),
        (
            json!({"max_in_flight": 1.5}),
            "max_in_flight: expected a whole number from 1 to 1000000, got 1.5",
        ),
        (
            json!({"ping_interval_secs": "30"}),
            "ping_interval_secs: expected a whole number from 0 to 86400, got a string",
        ),
        (
            json!({"error_handler_args": 1}),
            "error_handler_args: expected an object, got a number",
        ),
        (
            json!({"retry": {"constant": {"attempts": -1}}}),
            "retry.constant.attempts: expected a whole number from 0 to 10000, got -1",
        ),
    ] {
        assert_eq!(read(&extra), Err(error.to_owned()), "{extra}");
    }
    assert!(
        read(&json!({"script_path": "s"}))
            .unwrap_err()
            .starts_with("script_path: 's' is not a path")
    );
}

#[test]
fn values_out_of_range_are_refused() {
    for (extra, start) in [
        (
            json!({"reconnect": {"initial_delay_ms": 9}}),
            "reconnect.initial_delay_ms: expected a whole number from 10 ",
        ),
        (
            json!({"reconnect": {"max_delay_ms": 100}}),
            "reconnect.max_delay_ms: 100 is less than initial_delay_ms (500)",
        ),
        (
            json!({"reconnect": {"max_attempts": 0}}),
            "reconnect.max_attempts: expected a whole number from 1 ",
        ),
        (
            json!({"idle_timeout_secs": 0}),
            "idle_timeout_secs: expected a whole number from 1 to 86400, got 0",
        ),
        (
            json!({"max_message_bytes": 0}),
            "max_message_bytes: expected a whole number from 1 to 268435456, got 0",
        ),
        (
            json!({"max_message_bytes": 1_u64 << 40}),
            "max_message_bytes: ",
        ),
        (json!({"max_in_flight": 0}), "max_in_flight: "),
        (
            json!({"connect_rate": 0}),
            "connect_rate: expected a number from 0.001 to 1000, got 0",
        ),
        (
            json!({"connect_rate": "8/s"}),
            "connect_rate: expected a number from 0.001 to 1000, got a string",
        ),
        (
            json!({"heartbeat": {"interval_secs": 0, "message": "x"}}),
            "heartbeat.interval_secs: expected a whole number from 1 to 86400, got 0",
        ),
        (
            json!({"heartbeat": {"message": "x"}}),
            "heartbeat: missing field interval_secs",
        ),
        (
            json!({"heartbeat": {"interval_secs": 5}}),
            "heartbeat: missing field message",
        ),
        (
            json!({"heartbeat": {"interval_secs": 5, "message": "{{"}}),
            "heartbeat.message: template: ",
        ),
        (
            json!({"heartbeat": {"interval_secs": 5, "message": "", "interval_field": "a..b"}}),
            "heartbeat.interval_field: path 'a..b' has an empty segment",
        ),
        (
            json!({"heartbeat": {"interval_secs": 5, "message": "", "expect": {"filters": []}}}),
            "heartbeat.expect: missing field timeout_secs",
        ),
        (
            json!({"heartbeat": {"interval_secs": 5, "message": "", "expect": {"filters": [1], "timeout_secs": 1}}}),
            "heartbeat.expect.filters[0]: expected an object",
        ),
        (
            json!({"retry": {"exponential": {"seconds": 0}}}),
            "retry.exponential.seconds: ",
        ),
        (
            json!({"retry": {"exponential": {"random_factor": 101}}}),
            "retry.exponential.random_factor: ",
        ),
        (
            json!({"retry": {"retry_if": {}}}),
            "retry.retry_if: missing field expr",
        ),
        (
            json!({"on_close": {"999": "disable"}}),
            "on_close.999: expected a close code from 1000 to 4999, or default",
        ),
        (
            json!({"on_close": {"4004": "stop"}}),
            "on_close.4004: 'stop' is not one of: reconnect, reset, disable",
        ),
        (
            json!({"filters": [{"key": "a", "vlaue": 1}]}),
            "filters[0]: unknown field 'vlaue'",
        ),
    ] {
        let error = read(&extra).unwrap_err();
        assert!(error.starts_with(start), "{extra}: {error}");
    }
}
