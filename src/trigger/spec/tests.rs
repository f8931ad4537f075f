//! Reading, refusing, storing and compiling settings.

#![expect(clippy::too_many_lines, reason = "tables are read as a whole")]

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    queue::Lane,
    trigger::template::{Counter, Values},
};

/// The smallest body, with `extra` laid over it; a `null` on the right takes a field away.
fn body(extra: &Value) -> Map<String, Value> {
    let mut body = json!({
        "script_path": "f/x/s", "is_flow": false, "url": "wss://example.com/feed", "filters": [],
        "can_return_message": false, "can_return_error_result": false,
    });
    let map = body.as_object_mut().unwrap();
    map.extend(extra.as_object().unwrap().clone());
    map.clone()
}

fn read(extra: &Value) -> Result<TriggerSpec, String> {
    TriggerSpec::from_json(&body(extra)).map_err(|error| error.0)
}

fn plan(extra: &Value) -> Plan {
    read(extra).unwrap().compile().unwrap()
}

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
            "connect_rate: expected a number above 0, at most 1000, got 0",
        ),
        (
            json!({"connect_rate": "8/s"}),
            "connect_rate: expected a number above 0, at most 1000, got a string",
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

#[test]
fn urls() {
    for good in [
        "ws://h",
        "wss://h:443/p?q=1",
        "WSS://example.com",
        "ws://127.0.0.1:80/",
        "ws://[::1]:1/",
        "ws://u:p@h/",
        "$script:u/a/url",
        "$flow:f/b/url",
        "wss://h/?t=$var:u/a/t",
        "$var:f/x/url",
        "{{vars.url|raw}}",
        "wss://h/?c={{vars.cursor|urlencode}}",
    ] {
        assert!(read(&json!({"url": good})).is_ok(), "{good}");
    }
    for empty in ["", "  "] {
        assert_eq!(
            read(&json!({"url": empty})),
            Err("WebSocket URL cannot be empty".to_owned())
        );
    }
    for (bad, error) in [
        (
            "http://h",
            "url: must start with ws:// or wss://, or be $script:<path> or $flow:<path>",
        ),
        (
            "example.com",
            "url: must start with ws:// or wss://, or be $script:<path> or $flow:<path>",
        ),
        (
            "ws:/h",
            "url: must start with ws:// or wss://, or be $script:<path> or $flow:<path>",
        ),
        ("ws://", "url: is not a valid URL (empty host)"),
        (
            "ws://h:99999/",
            "url: is not a valid URL (invalid port number)",
        ),
        ("ws://h:0/", "url: port 0 cannot be connected to"),
        (
            "ws://h/a b",
            "url: holds a space or control character; encode it, like %20",
        ),
        (
            " ws://h",
            "url: holds a space or control character; encode it, like %20",
        ),
    ] {
        assert_eq!(read(&json!({"url": bad})), Err(error.to_owned()), "{bad}");
    }
    for bad in [
        "$script:x",
        "$script:",
        "$flow:f/a",
        "wss://h/?t=$var:x",
        "wss://h/{{",
        "wss://h/{{a b}}",
    ] {
        assert!(
            read(&json!({"url": bad})).unwrap_err().starts_with("url: "),
            "{bad}"
        );
    }
    let long = format!("ws://h/{}", "x".repeat(9_000));
    assert_eq!(
        read(&json!({"url": long})),
        Err("url: is longer than 8192 bytes".to_owned())
    );
    let url = plan(&json!({"url": "$flow:f/b/url", "url_runnable_args": {"a": 1}})).url;
    let UrlSource::Runnable(runnable) = url else {
        panic!("{url:?}")
    };
    assert_eq!(
        serde_json::to_value(runnable).unwrap(),
        json!({"path": "f/b/url", "args": {"a": 1}, "is_flow": true})
    );
}

#[test]
fn handshake_fields_are_checked() {
    let long: Vec<String> = (0..33).map(|n| format!("p{n}")).collect();
    for (extra, error) in [
        (
            json!({"headers": {"a b": ""}}),
            "headers.a b: is not a header name",
        ),
        (
            json!({"headers": {"": ""}}),
            "headers.: is not a header name",
        ),
        (
            json!({"headers": {"A": "x", "a": "y"}}),
            "headers.a: is given twice",
        ),
        (
            json!({"headers": {"Upgrade": "x"}}),
            "headers.Upgrade: is set by the handshake itself",
        ),
        (
            json!({"headers": {"Sec-WebSocket-Protocol": "x"}}),
            "headers.Sec-WebSocket-Protocol: is set by the field",
        ),
        (
            json!({"headers": {"A": "x\r\nB: y"}}),
            "headers.A: a header's value holds no control characters",
        ),
        (json!({"headers": {"A": "{{ x"}}), "headers.A: template: "),
        (
            json!({"headers": {"A": "$var:"}}),
            "headers.A: after $var: ",
        ),
        (
            json!({"subprotocols": ["a", "b c"]}),
            "subprotocols[1]: is not a sub-protocol",
        ),
        (
            json!({"subprotocols": [""]}),
            "subprotocols[0]: is not a sub-protocol",
        ),
        (
            json!({"subprotocols": ["a\n"]}),
            "subprotocols[0]: is not a sub-protocol",
        ),
        (
            json!({"subprotocols": ["a", "b", "a"]}),
            "subprotocols[2]: 'a' is given twice",
        ),
        (
            json!({"subprotocols": long}),
            "subprotocols: has more than 32 items",
        ),
        (json!({"proxy": "socks5://h"}), "proxy: expected http://"),
        (json!({"proxy": "h:3128"}), "proxy: expected http://"),
        (
            json!({"tls": {"ca_pem": "abc"}}),
            "tls.ca_pem: expected PEM text",
        ),
        (
            json!({"tls": {"ca_pem": "$var:u/a/ca more"}}),
            "tls.ca_pem: ",
        ),
        (
            json!({"tls": {"client_cert_pem": "$var:u/a/c"}}),
            "tls: client_cert_pem and client_key_pem go together",
        ),
    ] {
        let message = read(&extra).unwrap_err();
        assert!(message.starts_with(error), "{extra}: {message}");
    }
    let plan = plan(&json!({
        "headers": {"Authorization": "Bearer $var:u/a/t", "X-C": "{{vars.c}}"}, "subprotocols": ["graphql-ws", "v1.a"],
        "tls": {"ca_pem": "-----BEGIN CERTIFICATE-----\n", "client_cert_pem": "$var:u/a/c", "client_key_pem": "$var:u/a/k"},
        "proxy": "http://u:p@proxy:3128", "url": "wss://h/$var:f/x/y", "connect_rate": 0.5,
    }));
    assert_eq!(plan.subprotocols, ["graphql-ws", "v1.a"]);
    assert_eq!(
        plan.tls.ca,
        Some(PemSource::Text("-----BEGIN CERTIFICATE-----\n".to_owned()))
    );
    assert_eq!(
        plan.tls.client_key,
        Some(PemSource::Variable("u/a/k".parse().unwrap()))
    );
    let names: Vec<String> = plan.variables().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["f/x/y", "u/a/c", "u/a/k", "u/a/t"]);
}

#[test]
fn initial_messages_have_one_of_three_shapes() {
    let ok = json!({"initial_messages": [
        {"raw_message": "\"{\\\"op\\\": {{counter()}}}\""},
        {"runnable_result": {"path": "f/x/login", "args": {}, "is_flow": false}},
        {"await_message": {"filters": [{"key": "type", "value": "auth_ok"}]}},
        {"await_message": {"filters": [], "filter_logic": "or", "timeout_secs": 5}},
    ]});
    let plan = plan(&ok);
    let FirstStep::Send(text) = &plan.first[0] else {
        panic!("{:?}", plan.first[0])
    };
    assert_eq!(
        text.render(&Values::default()).as_deref(),
        Ok("{\"op\": 1}")
    );
    let timeouts: Vec<Duration> = plan
        .first
        .iter()
        .filter_map(|step| match step {
            FirstStep::Await { timeout, .. } => Some(*timeout),
            _ => None,
        })
        .collect();
    assert_eq!(timeouts, [Duration::from_secs(30), Duration::from_secs(5)]);
    let shape = "expected an object with one of: raw_message, runnable_result, await_message";
    for (item, error) in [
        (json!("x"), format!("initial_messages[1]: {shape}")),
        (json!({}), format!("initial_messages[1]: {shape}")),
        (json!({"raw": "x"}), format!("initial_messages[1]: {shape}")),
        (json!({"raw_message": "x", "runnable_result": {}}), format!("initial_messages[1]: {shape}")),
        (json!({"raw_message": {"a": 1}}), "initial_messages[1].raw_message: expected a string, got an object".into()),
        (json!({"runnable_result": {"path": "f/x/y", "is_flow": false}}),
            "initial_messages[1].runnable_result: missing field args".into()),
        (json!({"runnable_result": {"path": "f/x/y", "args": {}, "is_flow": false, "x": 1}}),
            "initial_messages[1].runnable_result: unknown field 'x'; expected path, args, is_flow".into()),
        (json!({"await_message": {"timeout_secs": 1}}), "initial_messages[1].await_message: missing field filters".into()),
        (json!({"await_message": {"filters": [], "timeout_secs": 0}}),
            "initial_messages[1].await_message.timeout_secs: expected a whole number from 1 to 86400, got 0".into()),
        (json!({"await_message": {"filters": [{"all_of": []}]}}),
            "initial_messages[1].await_message.filters[0].all_of: an empty group decides nothing: give at least one filter".into()),
    ] {
        assert_eq!(read(&json!({"initial_messages": [{"raw_message": "a"}, item]})), Err(error), "{item}");
    }
    let error = read(&json!({"initial_messages": [{"raw_message": "{{ x"}]})).unwrap_err();
    assert!(
        error.starts_with("initial_messages[0].raw_message: template: "),
        "{error}"
    );
}

#[test]
fn conversation_rules_are_strict() {
    let on = json!({"filters": [{"key": "type", "value": "ping"}]});
    let plan = plan(&json!({"conversation": [
        {"on": on, "send": "{\"ack\":{{msg.id}}}", "trigger": false},
        {"on": on, "set": {"session_id": "d.session_id"}, "once": true},
        {"on": on, "send_runnable": {"path": "f/x/y", "args": {"a": 1}, "is_flow": true}},
    ]}));
    let [ack, set, run] = &plan.conversation[..] else {
        panic!()
    };
    let values = Values {
        msg: Some(r#"{"id":7}"#),
        ..Values::default()
    };
    assert_eq!(
        ack.send.as_ref().unwrap().render(&values).as_deref(),
        Ok("{\"ack\":7}")
    );
    assert!(!ack.trigger && !ack.once && ack.on.matches(r#"{"type":"ping"}"#));
    assert!(set.trigger && set.once);
    assert_eq!(
        set.set[0]
            .1
            .pick(r#"{"d":{"session_id":"s"}}"#)
            .unwrap()
            .get(),
        "\"s\""
    );
    assert!(run.send_runnable.as_ref().unwrap().is_flow);
    for (rule, start) in [
        (json!({"on": on}), "conversation[0]: does nothing"),
        (json!({"send": "x"}), "conversation[0]: missing field on"),
        (
            json!({"on": {}, "send": "x"}),
            "conversation[0].on: missing field filters",
        ),
        (
            json!({"on": {"filters": [], "x": 1}, "send": "x"}),
            "conversation[0].on: unknown field 'x'",
        ),
        (
            json!({"on": {"filters": [{}]}, "send": "x"}),
            "conversation[0].on.filters[0]: has neither",
        ),
        (
            json!({"on": on, "send": "x", "reply": 1}),
            "conversation[0]: unknown field 'reply'",
        ),
        (
            json!({"on": on, "send": "{{"}),
            "conversation[0].send: template: ",
        ),
        (
            json!({"on": on, "set": {"a-b": "x"}}),
            "conversation[0].set.a-b: a name is letters",
        ),
        (
            json!({"on": on, "set": {"1": "x"}}),
            "conversation[0].set.1: a name is letters",
        ),
        (
            json!({"on": on, "set": {"a": "x..y"}}),
            "conversation[0].set.a: path 'x..y' has an empty segment",
        ),
        (
            json!({"on": on, "set": {"a": 1}}),
            "conversation[0].set.a: expected a string, got a number",
        ),
        (
            json!({"on": on, "send_runnable": {"path": "x"}}),
            "conversation[0].send_runnable.path: ",
        ),
    ] {
        let error = read(&json!({"conversation": [rule]})).unwrap_err();
        assert!(error.starts_with(start), "{rule}: {error}");
    }
}

#[test]
fn left_out_fields_have_the_contracts_defaults() {
    let plan = plan(&json!({}));
    assert_eq!(
        plan.backoff,
        Backoff {
            initial: Duration::from_millis(500),
            max: Duration::from_secs(60),
            max_attempts: None
        }
    );
    assert_eq!(plan.ping_interval, Some(Duration::from_secs(30)));
    assert_eq!((plan.idle_timeout, plan.lane), (None, None));
    assert_eq!(
        (plan.binary, plan.max_message_bytes),
        (Binary::Ignore, 16 * 1024 * 1024)
    );
    assert!(plan.filter.accepts_everything() && plan.first.is_empty() && plan.heartbeat.is_none());
    assert_eq!(plan.on_close(Some(4004)), OnClose::Reconnect);
}

#[test]
fn given_fields_reach_the_plan() {
    let plan = plan(&json!({
        "ping_interval_secs": 0, "idle_timeout_secs": 90, "binary": "base64", "max_message_bytes": 100,
        "max_in_flight": 8, "ordered": true, "reconnect": {"initial_delay_ms": 10, "max_delay_ms": 20, "max_attempts": 3},
        "on_close": {"4004": "disable", "4009": "reset", "default": "disable"},
        "heartbeat": {"interval_secs": 5, "message": "{\"op\":1,\"d\":{{state}}}", "state_field": "s", "idle_only": true,
            "interval_field": "d.heartbeat_interval",
            "expect": {"filters": [{"key": "op", "value": 11}], "timeout_secs": 2}},
    }));
    assert_eq!(
        (plan.ping_interval, plan.idle_timeout),
        (None, Some(Duration::from_secs(90)))
    );
    assert_eq!(
        (plan.lane, plan.max_message_bytes, plan.binary),
        (
            Some(Lane {
                max_jobs: 1,
                ordered: true
            }),
            100,
            Binary::Base64
        )
    );
    assert!(!plan.backoff.gives_up(2) && plan.backoff.gives_up(3));
    let closes = [Some(4004), Some(4009), Some(1000), None].map(|code| plan.on_close(code));
    assert_eq!(
        closes,
        [
            OnClose::Disable,
            OnClose::Reset,
            OnClose::Disable,
            OnClose::Disable
        ]
    );
    let heartbeat = plan.heartbeat.unwrap();
    assert_eq!(
        heartbeat.message.render(&Values::default()).as_deref(),
        Ok("{\"op\":1,\"d\":null}")
    );
    let hello = r#"{"s":"a\"b","d":{"heartbeat_interval":41250}}"#;
    let state = heartbeat.state.unwrap().pick(hello).unwrap();
    let values = Values {
        state: Some(state),
        ..Values::default()
    };
    assert_eq!(
        heartbeat.message.render(&values).as_deref(),
        Ok(r#"{"op":1,"d":"a\"b"}"#)
    );
    assert_eq!(
        heartbeat.interval_field.unwrap().pick(hello).unwrap().get(),
        "41250"
    );
    let (expect, within) = heartbeat.expect.unwrap();
    assert!(
        heartbeat.idle_only && expect.matches(r#"{"op":11}"#) && within == Duration::from_secs(2)
    );
}

#[test]
fn what_is_saved_is_read_back() {
    let full = json!({
        "script_path": "f/x/s", "is_flow": true, "url": "$script:u/a/url", "url_runnable_args": {"z": 1, "a": [1.5]},
        "filters": [{"any_of": [{"path": "a.b", "value": 0.30000000000000004}]}], "filter_logic": "or",
        "can_return_message": true, "can_return_error_result": true,
        "initial_messages": [{"raw_message": "\"x\""}, {"await_message": {"filters": [], "timeout_secs": 9}},
            {"runnable_result": {"path": "f/x/y", "args": {"k": null}, "is_flow": true}}],
        "heartbeat": {"interval_secs": 3, "message": "m", "state_field": "s", "interval_field": "a.b", "idle_only": false,
            "expect": {"filters": [], "filter_logic": "and", "timeout_secs": 4}},
        "error_handler_path": "f/x/e", "error_handler_args": {"q": true},
        "retry": {"constant": {"attempts": 1, "seconds": 2},
            "exponential": {"attempts": 1, "multiplier": 2, "seconds": 3, "random_factor": 4}, "retry_if": {"expr": "true"}},
        "headers": {"A": "b"}, "subprotocols": ["p"], "tls": {"ca_pem": "$var:u/a/ca"}, "proxy": "http://p:1",
        "reconnect": {"initial_delay_ms": 10, "max_delay_ms": 1000, "max_attempts": 5}, "ping_interval_secs": 0,
        "idle_timeout_secs": 5, "binary": "base64", "max_message_bytes": 1000, "max_in_flight": 2, "ordered": false,
        "conversation": [{"on": {"filters": []}, "send": "x", "set": {"a": "b.c"}, "once": true, "trigger": false}],
        "on_close": {"default": "reset"}, "connect_rate": 2,
    });
    let spec: TriggerSpec = serde_json::from_value(full.clone()).unwrap();
    assert_eq!(serde_json::to_value(&spec).unwrap(), full);
    let mut minimal = body(&json!({}));
    minimal.insert("filter_logic".to_owned(), json!("and"));
    assert_eq!(
        json!(read(&json!({"heartbeat": null, "retry": null, "label": 1})).unwrap()),
        json!(minimal)
    );
    assert!(
        serde_json::from_value::<TriggerSpec>(json!({}))
            .unwrap_err()
            .to_string()
            .contains("missing field")
    );
}

#[test]
fn the_schema_asks_for_windmills_required_fields() {
    let schema = json!(<TriggerSpec as utoipa::PartialSchema>::schema());
    assert_eq!(
        schema["required"],
        json!([
            "script_path",
            "is_flow",
            "url",
            "filters",
            "can_return_message",
            "can_return_error_result"
        ])
    );
    let mut parts = Vec::new();
    <TriggerSpec as utoipa::ToSchema>::schemas(&mut parts);
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    for part in ["ConversationRule", "Heartbeat", "InitialMessage", "Retry"] {
        assert!(names.contains(&part), "{names:?}");
    }
}

#[test]
fn only_what_makes_the_connection_reconnects() {
    let old = read(&json!({})).unwrap();
    for (extra, differs) in [
        (json!({"url": "ws://other"}), true),
        (json!({"url_runnable_args": {}}), true),
        (json!({"headers": {"A": "b"}}), true),
        (json!({"tls": {"ca_pem": "$var:u/a/ca"}}), true),
        (json!({"proxy": "http://p:1"}), true),
        (json!({"subprotocols": ["p"]}), true),
        (json!({"initial_messages": [{"raw_message": "x"}]}), true),
        (
            json!({"conversation": [{"on": {"filters": []}, "trigger": false}]}),
            true,
        ),
        (
            json!({"heartbeat": {"interval_secs": 5, "message": ""}}),
            true,
        ),
        (
            json!({"filters": [{"key": "a", "value": 1}], "filter_logic": "or", "script_path": "f/x/other"}),
            false,
        ),
        (
            json!({"can_return_message": true, "ordered": true, "retry": {}, "reconnect": {}, "on_close": {}}),
            false,
        ),
        (
            json!({"ping_interval_secs": 5, "idle_timeout_secs": 5, "max_message_bytes": 5, "binary": "base64"}),
            false,
        ),
    ] {
        assert_eq!(
            connection_differs(&old, &read(&extra).unwrap()),
            differs,
            "{extra}"
        );
    }
}

#[test]
fn texts_to_send() {
    for (raw, text) in [
        ("hello", "hello"),
        ("\"a\\\"b\\n\"", "a\"b\n"),
        ("\"\"", ""),
        ("{\"a\": 1}", "{\"a\": 1}"),
        ("\"open", "\"open"),
        ("\"a\" \"b\"", "\"a\" \"b\""),
        ("null", "null"),
        ("", ""),
    ] {
        assert_eq!(raw_message_text(raw), text);
    }
    for (json, text) in [
        ("\"a\\nb\"", Some("a\nb")),
        ("\"null\"", Some("null")),
        ("null", None),
        (" null\n", None),
        ("{\"a\": 1}", Some("{\"a\": 1}")),
        ("false", Some("false")),
        ("0", Some("0")),
    ] {
        assert_eq!(result_text(json).as_deref(), text, "{json}");
    }
}

#[test]
fn waits_grow_to_the_maximum() {
    let backoff = Backoff {
        initial: Duration::from_millis(500),
        max: Duration::from_secs(60),
        max_attempts: None,
    };
    for (attempt, longest_ms) in [
        (0, 500),
        (1, 1_000),
        (2, 2_000),
        (6, 32_000),
        (7, 60_000),
        (31, 60_000),
        (u32::MAX, 60_000),
    ] {
        assert_eq!(
            backoff.wait(attempt, 1.0),
            Duration::from_millis(longest_ms),
            "{attempt}"
        );
        assert_eq!(
            backoff.wait(attempt, 0.5),
            Duration::from_millis(longest_ms / 2),
            "{attempt}"
        );
        assert_eq!(backoff.wait(attempt, 0.0), Duration::ZERO);
    }
    assert!(!backoff.gives_up(u32::MAX));
}

#[test]
fn the_counter_is_the_connections() {
    let plan = plan(
        &json!({"initial_messages": [{"raw_message": "{{counter()}}"}, {"raw_message": "{{counter()}}"}]}),
    );
    let counter = Counter::default();
    let values = Values {
        counter: Some(&counter),
        ..Values::default()
    };
    let sent: Vec<String> = plan
        .first
        .iter()
        .filter_map(|step| match step {
            FirstStep::Send(text) => text.render(&values).ok(),
            _ => None,
        })
        .collect();
    assert_eq!(sent, ["1", "2"]);
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused(field in 0..24_usize, text in ".{0,20}", number in any::<i64>(), kind in 0..6) {
        let names = ["script_path", "is_flow", "url", "url_runnable_args", "filters", "filter_logic", "initial_messages",
            "heartbeat", "error_handler_path", "retry", "headers", "subprotocols", "tls", "proxy", "reconnect", "binary",
            "ping_interval_secs", "idle_timeout_secs", "max_message_bytes", "max_in_flight", "ordered", "conversation",
            "on_close", "connect_rate"];
        let value = match kind {
            0 => json!(text),
            1 => json!(number),
            2 => json!([text]),
            3 => json!({text.clone(): number}),
            4 => json!([{"raw_message": text, "on": {"filters": [number]}}]),
            _ => json!({"ca_pem": text, "initial_delay_ms": number, "interval_secs": number, "message": text}),
        };
        let extra = json!({names[field]: value});
        match read(&extra) {
            Ok(spec) => prop_assert_eq!(TriggerSpec::from_json(json!(spec).as_object().unwrap()).unwrap(), spec),
            Err(error) => prop_assert!(error.contains(names[field]) || error.contains("URL"), "{}: {}", extra, error),
        }
    }
}
