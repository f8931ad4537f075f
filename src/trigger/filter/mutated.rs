//! Filters and messages with something wrong in them: never a panic, and the three ways to a verdict agree.

use proptest::prelude::*;
use serde_json::{Value, json, value::RawValue};

use super::CompiledFilter;
use crate::{mutate, types::FilterLogic};

fn filters() -> [Value; 4] {
    [
        json!([{"key": "e", "value": "trade"}, {"path": "data.0.symbol", "value": {"a": [1, 2.5, null]}}]),
        json!([{"any_of": [{"key": "a", "value": 1}, {"none_of": [{"path": "b.c", "value": "é\u{1F600}\n"}]}]}]),
        json!([{"all_of": [{"key": "", "value": null}, {"key": "n", "value": 18446744073709551615_u64}]}]),
        json!([{"path": "data.list", "value": [{"k": "v"}, true, -0.0, "\\\"/"]}]),
    ]
}

const MESSAGES: [&str; 4] = [
    r#"{"e":"trade","data":[{"symbol":{"a":[1,2.50,null,3],"b":0}}],"e":"other"}"#,
    r#"{ "a" : 1.0e0, "b": {"c": "\u00e9\ud83d\ude00\n"}, "n": 18446744073709551615, "": null }"#,
    r#"{"data":{"list":[{"k":"v","l":[]},true,0,"\\\"\/"]},"x":[[[{"a":1}]]]}"#,
    r#"{"a":1,"b":{"c":[1,2,3]}}"#,
];

proptest! {
    #![proptest_config(mutate::cases(4_000))]

    #[test]
    fn verdicts_agree_whatever_the_filter_and_the_message(
        filter in 0..4_usize, message in 0..4_usize, seeds in any::<(u64, u64)>(), plain in any::<bool>(), or in any::<bool>(),
    ) {
        let known = &filters()[filter];
        let filters = if plain { known.clone() } else { mutate::json(known, seeds.0) };
        let Some(filters) = filters.as_array() else { return Ok(()) };
        let logic = if or { FilterLogic::Or } else { FilterLogic::And };
        match CompiledFilter::compile(filters, logic) {
            Ok(compiled) => {
                for message in [MESSAGES[message].to_owned(), mutate::text(MESSAGES[message], seeds.1)] {
                    let verdict = compiled.matches(&message);
                    prop_assert_eq!(compiled.explain(&message).matched, verdict, "explain {:?} {}", filters, message);
                    prop_assert!(!verdict || !compiled.rejects_quickly(&message), "quick reject {:?} {}", filters, message);
                    // Whole and valid, as another reader sees it; values are not its matter (numbers, lone surrogates).
                    let object = serde_json::from_str::<&RawValue>(&message).is_ok_and(|raw| raw.get().starts_with('{'));
                    prop_assert!(!verdict || filters.is_empty() || object, "{}", message);
                }
            }
            Err(error) => prop_assert!(error.0.starts_with("filters"), "{}", error.0),
        }
    }
}
