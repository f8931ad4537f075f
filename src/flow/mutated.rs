//! Flows with something wrong in them: read, or refused in one sentence; never a panic.

use proptest::prelude::*;
use serde_json::Value;

use super::FlowValue;
use crate::mutate;

/// One with every field that is taken; the fuzz target begins with it as well.
fn whole() -> Value {
    serde_json::from_str(include_str!("../../tests/fuzz/seeds/flow/whole.json")).unwrap()
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
