//! Triggers with something wrong in them: read and planned, or refused by a field's name; never a panic.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::TriggerSpec;
use crate::mutate;

/// One with every field; the fuzz target begins with it as well.
fn whole() -> Value {
    serde_json::from_str(include_str!("../../../tests/fuzz/seeds/trigger/whole.json")).unwrap()
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
