//! Initial messages and conversation rules.

use super::*;

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
