//! A trigger's body, initial messages and rules included: what is taken is read again as it was, and can be planned.

use serde_json::{Map, Value, json};
use windsock::trigger::spec::TriggerSpec;

pub(crate) fn run(data: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Map<String, Value>>(data) else {
        return;
    };
    match TriggerSpec::from_json(&body) {
        Ok(spec) => {
            let text = json!(spec);
            let again = TriggerSpec::from_json(text.as_object().expect("an object"));
            assert_eq!(
                again.as_ref(),
                Ok(&spec),
                "what was saved is not read again"
            );
            spec.compile()
                .expect("what was taken at save can be planned");
        }
        Err(error) => assert!(!error.0.trim().is_empty()),
    }
}
