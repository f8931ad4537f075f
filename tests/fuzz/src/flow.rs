//! OpenFlow: read, or refused in one sentence.

use std::collections::BTreeSet;

use windsock::flow::FlowValue;

pub(crate) fn run(data: &[u8]) {
    let Ok(value) = serde_json::from_slice(data) else {
        return;
    };
    match FlowValue::from_json(&value) {
        Ok(flow) => {
            let ids: Vec<&str> = flow.all().iter().map(|module| module.id.as_str()).collect();
            let once: BTreeSet<&str> = ids.iter().copied().collect();
            assert_eq!(ids.len(), once.len(), "two steps share an id");
            assert!(flow.places().len() >= ids.len());
        }
        Err(error) => assert!(!error.0.trim().is_empty()),
    }
}
