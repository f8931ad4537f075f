//! What a trigger becomes: defaults, the plan, what is saved, when it reconnects.

use super::*;

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
    assert_eq!(plan.on_close(4004), OnClose::Reconnect);
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
    let closes = [4004, 4009, 1000, 1006].map(|code| plan.on_close(code));
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
