//! Flows with something wrong in them: read, or refused in one sentence; never a panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::FlowValue;
use crate::mutate;

fn whole() -> Value {
    let raw = |id: &str| json!({"id": id, "value": {"type": "rawscript", "language": "bash", "content": "echo 1", "input_transforms": {}}});
    json!({
        "modules": [
            {"id": "a", "summary": "first", "timeout": 7, "sleep": {"type": "javascript", "expr": "1 + 1"},
                "retry": {"constant": {"attempts": 2, "seconds": 1}, "retry_if": {"expr": "error.name == 'X'"}},
                "stop_after_if": {"expr": "result == 1", "skip_if_stopped": true, "error_message": "x"}, "skip_if": {"expr": "flow_input.skip"},
                "continue_on_error": true, "cache_ttl": 0, "value": {"type": "rawscript", "language": "python3", "content": "def main(x): return x",
                    "input_transforms": {"x": {"type": "static", "value": [1]}}}},
            {"id": "b", "value": {"type": "script", "path": "f/x/s", "hash": "00000000000000ff", "input_transforms": {
                "x": {"type": "static", "value": [1]}, "y": {"type": "javascript", "expr": "results.a"}}}},
            {"id": "c", "value": {"type": "forloopflow", "iterator": {"type": "javascript", "expr": "[1, 2]"}, "modules": [raw("d")],
                "skip_failures": true, "parallel": true, "parallelism": 3}},
            {"id": "e", "value": {"type": "whileloopflow", "modules": [raw("f")], "skip_failures": false, "max_iterations": 5}},
            {"id": "g", "value": {"type": "branchone", "branches": [{"expr": "true", "modules": [raw("h")]}], "default": [raw("i")]}},
            {"id": "j", "value": {"type": "branchall", "branches": [{"modules": [raw("k")], "skip_failure": true}], "parallel": true}},
            {"id": "l", "value": {"type": "flow", "path": "f/x/other", "input_transforms": {}}},
            {"id": "m", "value": {"type": "identity"}},
        ],
        "failure_module": {"id": "failure", "value": {"type": "script", "path": "f/x/oops", "input_transforms": {}}},
        "preprocessor_module": raw("preprocessor"), "early_return": "b", "same_worker": false, "notes": [{"text": "x"}], "groups": [],
    })
}

proptest! {
    #![proptest_config(mutate::cases(3_000))]

    #[test]
    fn a_flow_is_read_or_refused(seed in any::<u64>()) {
        let value = mutate::json(&whole(), seed);
        match FlowValue::from_json(&value) {
            Ok(flow) => {
                let ids: Vec<&str> = flow.all().iter().map(|module| module.id.as_str()).collect();
                let once: std::collections::BTreeSet<&str> = ids.iter().copied().collect();
                prop_assert_eq!(ids.len(), once.len(), "two steps share an id: {}", value);
                prop_assert!(flow.places().len() >= ids.len());
            }
            Err(error) => prop_assert!(!error.0.trim().is_empty()),
        }
    }
}

#[test]
fn the_example_itself_is_taken() {
    FlowValue::from_json(&whole()).unwrap();
}
