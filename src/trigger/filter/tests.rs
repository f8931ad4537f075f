//! Every rule of the filters in tables, and all of them at once against a slow, obvious reference.

#![expect(clippy::too_many_lines, reason = "tables are read as a whole")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn compile(filters: &Value, logic: FilterLogic) -> CompiledFilter {
    CompiledFilter::compile(filters.as_array().unwrap(), logic).unwrap()
}

fn matches(filters: &Value, message: &str) -> bool {
    let filter = compile(filters, FilterLogic::And);
    let verdict = filter.matches(message);
    assert_eq!(
        filter.explain(message).matched,
        verdict,
        "explain {message}"
    );
    assert!(
        !(verdict && filter.rejects_quickly(message)),
        "quick reject of a match: {filters} {message}"
    );
    verdict
}

#[test]
fn leaves_match_what_contains_them() {
    for (filter, message, expected) in [
        (
            json!({"key": "e", "value": "trade"}),
            r#"{"e":"trade","p":1}"#,
            true,
        ),
        (
            json!({"key": "e", "value": "trade"}),
            r#"{"e":"depth"}"#,
            false,
        ),
        (
            json!({"key": "e", "value": "trade"}),
            r#"{"p":{"e":"trade"}}"#,
            false,
        ),
        (json!({"key": "e", "value": "trade"}), r#"{}"#, false),
        (
            json!({"key": "e", "value": "trade"}),
            r#"{"e":"tr\u0061de"}"#,
            true,
        ),
        (
            json!({"key": "e", "value": "trade"}),
            r#"{"\u0065":"trade"}"#,
            true,
        ),
        (
            json!({"key": "e", "value": "a\"b"}),
            r#"{"e":"a\"b"}"#,
            true,
        ),
        (json!({"key": "e", "value": "é"}), r#"{"e":"é"}"#, true),
        (json!({"key": "", "value": 1}), r#"{"":1}"#, true),
        (json!({"key": "a.b", "value": 1}), r#"{"a.b":1}"#, true),
        (json!({"key": "a.b", "value": 1}), r#"{"a":{"b":1}}"#, false),
        (json!({"path": "a.b", "value": 1}), r#"{"a":{"b":1}}"#, true),
        (json!({"path": "a.b", "value": 1}), r#"{"a.b":1}"#, false),
        (
            json!({"path": "a.b", "value": 1}),
            r#"{"a":[{"b":1}]}"#,
            false,
        ),
        (json!({"path": "a.0", "value": 1}), r#"{"a":[1]}"#, false),
        (json!({"path": "a.0", "value": 1}), r#"{"a":{"0":1}}"#, true),
        (json!({"key": "a", "value": null}), r#"{"a":null}"#, true),
        (json!({"key": "a", "value": null}), r#"{}"#, false),
        (json!({"key": "a", "value": false}), r#"{"a":false}"#, true),
        (json!({"key": "a", "value": false}), r#"{"a":null}"#, false),
        (json!({"key": "a", "value": 1}), r#"{"a":1.0}"#, true),
        (json!({"key": "a", "value": 1}), r#"{"a":"1"}"#, false),
        (
            json!({"key": "a", "value": 9_007_199_254_740_993_u64}),
            r#"{"a":9007199254740992}"#,
            false,
        ),
        (json!({"key": "a", "value": {}}), r#"{"a":{"x":1}}"#, true),
        (json!({"key": "a", "value": {}}), r#"{"a":[]}"#, false),
        (
            json!({"key": "a", "value": {"x": {"y": 1}}}),
            r#"{"a":{"z":0,"x":{"y":1,"z":2}}}"#,
            true,
        ),
        (
            json!({"key": "a", "value": {"x": {"y": 1}}}),
            r#"{"a":{"x":{"y":2}}}"#,
            false,
        ),
        (json!({"key": "a", "value": []}), r#"{"a":[1]}"#, true),
        (json!({"key": "a", "value": []}), r#"{"a":{}}"#, false),
        (
            json!({"key": "a", "value": [3, 1]}),
            r#"{"a":[1,2,3.0]}"#,
            true,
        ),
        (json!({"key": "a", "value": [1, 1]}), r#"{"a":[1]}"#, true),
        (json!({"key": "a", "value": [4]}), r#"{"a":[1,2,3]}"#, false),
        (json!({"key": "a", "value": 1}), r#"{"a":[1]}"#, false),
        (
            json!({"key": "a", "value": [{"x": 1}]}),
            r#"{"a":[{"y":1},{"x":1,"y":2}]}"#,
            true,
        ),
        (
            json!({"key": "a", "value": [["q"]]}),
            r#"{"a":[["p","q"]]}"#,
            true,
        ),
    ] {
        assert_eq!(
            matches(&json!([filter]), message),
            expected,
            "{filter} {message}"
        );
    }
}

#[test]
fn the_first_of_duplicate_keys_counts() {
    let filter = json!([{"key": "a", "value": {"b": 1}}]);
    assert!(matches(&filter, r#"{"a":{"b":1,"b":2},"a":0}"#));
    assert!(!matches(&filter, r#"{"a":{"b":2,"b":1}}"#));
    assert!(!matches(&filter, r#"{"a":0,"a":{"b":1}}"#));
    let both = json!([{"path": "a.b", "value": "x"}, {"key": "z", "value": true}]);
    assert!(matches(&both, r#"{"a":{"b":"x","b":"y"},"a":0,"z":true}"#));
    assert!(!matches(&both, r#"{"z":true,"a":{"c":1},"a":{"b":"x"}}"#));
    let list = json!([{"key": "a", "value": [{"b": 1}]}]);
    assert!(!matches(&list, r#"{"a":[{"b":2,"b":1}]}"#));
}

#[test]
fn only_one_whole_json_object_can_match() {
    let never = json!([{"none_of": [{"key": "a", "value": 1}]}]);
    assert!(matches(&never, " {\"b\":1}\r\n"));
    assert!(matches(&never, "{}"));
    for message in [
        "",
        " ",
        "x",
        "1",
        "null",
        "[]",
        "[{\"b\":1}]",
        "\"{}\"",
        "{",
        "{\"b\":1",
        "{\"b\":1}x",
        "{}{}",
        "{\"b\":01}",
        "{\"b\":1,}",
        "{b:1}",
        "{'b':1}",
        "{\"b\":\"\n\"}",
        "{\"b\":\"\\x\"}",
        "\u{feff}{}",
        "{\"b\":NaN}",
    ] {
        assert!(!matches(&never, message), "{message:?}");
        let equal = json!([{"key": "b", "value": 1}]);
        assert!(!matches(&equal, message), "{message:?}");
    }
}

#[test]
fn what_the_parser_cannot_represent_is_still_valid_json() {
    let never = json!([{"none_of": [{"key": "a", "value": "x"}]}]);
    for message in [r#"{"a":1e400}"#, r#"{"a":"\ud800"}"#, r#"{"\ud800":"x"}"#] {
        assert!(matches(&never, message), "{message}");
    }
    let deep = format!(
        "{{\"b\":{}1{},\"a\":\"y\"}}",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    assert!(matches(&never, &deep));
}

#[test]
fn groups_join_their_filters() {
    let (a, b) = (
        json!({"key": "a", "value": 1}),
        json!({"key": "b", "value": 1}),
    );
    for (group, both, only_a, neither) in [
        (json!({"any_of": [a, b]}), true, true, false),
        (json!({"all_of": [a, b]}), true, false, false),
        (json!({"none_of": [a, b]}), false, false, true),
        (json!({"none_of": [{"none_of": [a, b]}]}), true, true, false),
        (json!({"all_of": [a, {"none_of": [b]}]}), false, true, false),
        (
            json!({"any_of": [{"all_of": [a, b]}, {"none_of": [a, b]}]}),
            true,
            false,
            true,
        ),
    ] {
        let group = json!([group]);
        assert_eq!(matches(&group, r#"{"a":1,"b":1}"#), both, "{group}");
        assert_eq!(matches(&group, r#"{"a":1}"#), only_a, "{group}");
        assert_eq!(matches(&group, r#"{"c":1}"#), neither, "{group}");
    }
    let either = compile(&json!([a, b]), FilterLogic::Or);
    assert!(either.matches(r#"{"b":1}"#) && !either.matches(r#"{"b":2}"#));
}

#[test]
fn no_filter_accepts_everything() {
    for logic in [FilterLogic::And, FilterLogic::Or] {
        let filter = compile(&json!([]), logic);
        assert!(filter.accepts_everything());
        assert!(filter.matches("not json") && !filter.rejects_quickly("not json"));
        assert!(filter.explain("not json").matched);
    }
}

#[test]
fn quick_reject_is_exact() {
    let rejects = |filters: Value, message: &str| {
        let filter = compile(&filters, FilterLogic::And);
        let rejected = filter.rejects_quickly(message);
        assert!(
            !(rejected && filter.matches(message)),
            "{filters} {message}"
        );
        rejected
    };
    let trade = json!([{"key": "e", "value": "trade"}]);
    assert!(rejects(trade.clone(), r#"{"e":"depth"}"#));
    assert!(!rejects(trade.clone(), r#"{"e":"trade"}"#));
    assert!(
        !rejects(trade.clone(), r#"{"x":"trade"}"#),
        "left to the parser"
    );
    assert!(!rejects(trade.clone(), r#"{"e":"tr\u0061de"}"#));
    assert!(
        !rejects(trade.clone(), r#"{"e":"de\\pth"}"#),
        "a backslash is left to the parser"
    );
    assert!(rejects(trade, "[1]"));
    let number = json!([{"key": "price", "value": 1}]);
    assert!(rejects(number.clone(), r#"{"p":1}"#), "the key is a needle");
    assert!(!rejects(number, r#"{"price":1e0}"#), "the number is not");
    let nested = json!([{"key": "a", "value": [{"k": "needle"}]}]);
    assert!(rejects(nested, r#"{"a":[{"k":"hay"}]}"#));
    let any = json!([{"any_of": [{"key": "s", "value": "AA"}, {"key": "s", "value": "BB"}]}]);
    assert!(rejects(any.clone(), r#"{"s":"CC"}"#));
    assert!(!rejects(any, r#"{"s":"BB"}"#));
    let half = json!([{"any_of": [{"key": "s", "value": "AA"}, {"none_of": [{"key": "s", "value": "BB"}]}]}]);
    assert!(!rejects(half, r#"{"s":"CC"}"#), "one alternative may hold");
    let quoted = json!([{"key": "s", "value": "a\"b"}]);
    assert!(!rejects(quoted, r#"{"s":"a\"b"}"#));
}

#[test]
fn bad_filters_name_their_place() {
    let many: Vec<Value> = (0..1001).map(|n| json!({"key": "a", "value": n})).collect();
    let mut deep = json!({"key": "a", "value": 1});
    for _ in 0..17 {
        deep = json!({"all_of": [deep]});
    }
    for (filters, error) in [
        (
            json!([1]),
            "filters[0]: expected an object: {key,value}, {path,value}, {any_of}, {all_of} or {none_of}",
        ),
        (
            json!([{}]),
            "filters[0]: has neither key nor path; give one of them",
        ),
        (
            json!([{"key": "a"}]),
            "filters[0]: missing field value (null is allowed)",
        ),
        (
            json!([{"value": 1}]),
            "filters[0]: has neither key nor path; give one of them",
        ),
        (
            json!([{"key": "a", "path": "a", "value": 1}]),
            "filters[0]: has both key and path; give one of them",
        ),
        (
            json!([{"key": 1, "value": 1}]),
            "filters[0]: key: expected a string",
        ),
        (
            json!([{"path": null, "value": 1}]),
            "filters[0]: path: expected a string",
        ),
        (
            json!([{"key": "a", "value": 1, "op": "eq"}]),
            "filters[0]: unknown field 'op'; a filter has key or path, and value",
        ),
        (
            json!([{"path": "a..b", "value": 1}]),
            "filters[0]: path 'a..b' has an empty segment; write it like a.b.c",
        ),
        (
            json!([{"path": "", "value": 1}]),
            "filters[0]: path '' has an empty segment; write it like a.b.c",
        ),
        (
            json!([{"key": "a", "value": 1}, {"any_of": []}]),
            "filters[1].any_of: an empty group decides nothing: give at least one filter",
        ),
        (
            json!([{"any_of": {}}]),
            "filters[0].any_of: expected an array of filters",
        ),
        (
            json!([{"any_of": [{"key": "a", "value": 1}], "key": "a"}]),
            "filters[0]: any_of stands alone, without 'key'",
        ),
        (
            json!([{"key": "a", "value": 1}, {"any_of": [{"path": "a."}]}]),
            "filters[1].any_of[0]: path 'a.' has an empty segment; write it like a.b.c",
        ),
        (
            json!([{"none_of": [{"all_of": [{"key": "a", "vlaue": 1}]}]}]),
            "filters[0].none_of[0].all_of[0]: unknown field 'vlaue'; a filter has key or path, and value",
        ),
        (
            json!(many),
            "filters[1000]: more than 1000 filters; use fewer, or filter in the script",
        ),
    ] {
        let list = filters.as_array().unwrap();
        let result = CompiledFilter::compile(list, FilterLogic::And).map(|_| ());
        assert_eq!(result, Err(Invalid(error.to_owned())));
    }
    let error = CompiledFilter::compile(&[deep], FilterLogic::And).unwrap_err();
    assert!(
        error.0.ends_with("groups are nested deeper than 16"),
        "{error}"
    );
    let error =
        CompiledFilter::compile_at("heartbeat.expect.filters", &[json!(1)], FilterLogic::And);
    assert!(
        error
            .unwrap_err()
            .0
            .starts_with("heartbeat.expect.filters[0]: ")
    );
}

#[test]
fn explanations_show_each_verdict_and_what_was_found() {
    let filters = json!([
        {"key": "e", "value": "trade"},
        {"any_of": [{"path": "d.n", "value": 2}, {"key": "gone", "value": null}]},
    ]);
    let explanation = compile(&filters, FilterLogic::And).explain(r#"{"e":"trade","d":{"n":1}}"#);
    assert_eq!(
        serde_json::to_value(&explanation).unwrap(),
        json!({"matched": false, "filters": [
            {"place": "filters[0]", "kind": "key", "matched": true, "at": "e", "found": "\"trade\""},
            {"place": "filters[1]", "kind": "any_of", "matched": false, "filters": [
                {"place": "filters[1].any_of[0]", "kind": "path", "matched": false, "at": "d.n", "found": "1"},
                {"place": "filters[1].any_of[1]", "kind": "key", "matched": false, "at": "gone"},
            ]},
        ]})
    );
    let explanation = compile(&filters, FilterLogic::And).explain("{");
    assert!(!explanation.matched && explanation.reason.is_some());
}

#[test]
fn pickers_take_values_as_they_are_written() {
    let pick = |picker: Picker, message: &str| picker.pick(message).map(|raw| raw.get().to_owned());
    let path = |path: &str| Picker::path("set.x", path).unwrap();
    assert_eq!(
        pick(Picker::key("s"), r#"{"s": 42 ,"t":null}"#).as_deref(),
        Some("42")
    );
    assert_eq!(
        pick(Picker::key("t"), r#"{"s":42,"t":null}"#).as_deref(),
        Some("null")
    );
    assert_eq!(
        pick(Picker::key("d.s"), r#"{"d.s":"x\u0041"}"#).as_deref(),
        Some(r#""x\u0041""#)
    );
    assert_eq!(
        pick(path("d.s"), r#"{"d":{"s":12345678901234567890123}}"#).as_deref(),
        Some("12345678901234567890123")
    );
    assert_eq!(
        pick(path("d.s"), r#"{"d":{"\u0073":1}}"#).as_deref(),
        Some("1")
    );
    assert_eq!(pick(path("d.s"), r#"{"d":[{"s":1}]}"#), None);
    assert_eq!(pick(Picker::key("s"), r#"{"s":1"#), None);
    assert_eq!(pick(Picker::key("s"), "s"), None);
    assert!(
        Picker::path("set.x", "a..b")
            .unwrap_err()
            .0
            .starts_with("set.x: ")
    );
}

/// JSON that keeps order, duplicate keys and the spelling of numbers and strings.
#[derive(Debug, Clone)]
enum Doc {
    Null,
    Bool(bool),
    /// An index into [`NUMBERS`].
    Number(usize),
    Text(Text),
    List(Vec<Doc>),
    Object(Vec<(Text, Doc)>),
}

/// A string, written with or without escapes.
#[derive(Debug, Clone)]
struct Text {
    value: &'static str,
    escaped: bool,
}

/// Spellings of numbers with the value they stand for.
const NUMBERS: &[(&str, u8)] = &[
    ("1", 1),
    ("1.0", 1),
    ("1e0", 1),
    ("10E-1", 1),
    ("0", 0),
    ("-0.0", 0),
    ("2", 2),
    ("-1", 3),
    ("0.5", 4),
    ("5e-1", 4),
    ("9007199254740992", 5),
    ("9007199254740992.0", 5),
    ("9007199254740993", 6),
    ("18446744073709551615", 7),
    ("18446744073709551616", 8),
    ("1.8446744073709551616e19", 8),
];

const TEXTS: &[&str] = &["", "a", "b", "c", "a\"b", "é", "\\", "1"];

fn write_text(text: &Text, out: &mut String) {
    if text.escaped {
        out.push('"');
        text.value
            .encode_utf16()
            .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text.value).unwrap());
    }
}

fn write(doc: &Doc, out: &mut String) {
    match doc {
        Doc::Null => out.push_str("null"),
        Doc::Bool(value) => out.push_str(&value.to_string()),
        Doc::Number(index) => out.push_str(NUMBERS[*index].0),
        Doc::Text(text) => write_text(text, out),
        Doc::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { " ," });
                write(item, out);
            }
            out.push(']');
        }
        Doc::Object(entries) => {
            out.push('{');
            for (index, (name, value)) in entries.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_text(name, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}

fn first<'d>(entries: &'d [(Text, Doc)], name: &str) -> Option<&'d Doc> {
    entries
        .iter()
        .find(|(key, _)| key.value == name)
        .map(|(_, value)| value)
}

fn slow_contains(wanted: &Doc, found: &Doc) -> bool {
    match (wanted, found) {
        (Doc::Null, Doc::Null) => true,
        (Doc::Bool(a), Doc::Bool(b)) => a == b,
        (Doc::Number(a), Doc::Number(b)) => NUMBERS[*a].1 == NUMBERS[*b].1,
        (Doc::Text(a), Doc::Text(b)) => a.value == b.value,
        (Doc::List(a), Doc::List(b)) => a.iter().all(|a| b.iter().any(|b| slow_contains(a, b))),
        (Doc::Object(a), Doc::Object(b)) => a.iter().all(|(name, _)| {
            first(b, name.value).is_some_and(|b| slow_contains(first(a, name.value).unwrap(), b))
        }),
        _ => false,
    }
}

/// A filter as it is generated.
#[derive(Debug, Clone)]
enum Spec {
    Leaf(Vec<&'static str>, Doc),
    Group(&'static str, Vec<Spec>),
}

fn slow_matches(spec: &Spec, message: &Doc) -> bool {
    match spec {
        Spec::Leaf(path, wanted) => {
            let mut at = Some(message);
            for key in path {
                at = match at {
                    Some(Doc::Object(entries)) => first(entries, key),
                    _ => None,
                };
            }
            at.is_some_and(|found| slow_contains(wanted, found))
        }
        Spec::Group(join, specs) => {
            let count = specs
                .iter()
                .filter(|spec| slow_matches(spec, message))
                .count();
            match *join {
                "all_of" => count == specs.len(),
                "any_of" => count > 0,
                _ => count == 0,
            }
        }
    }
}

fn to_json(spec: &Spec) -> Value {
    match spec {
        Spec::Leaf(path, wanted) => {
            let mut text = String::new();
            write(wanted, &mut text);
            let value: Value = serde_json::from_str(&text).unwrap();
            if path.len() == 1 {
                json!({"key": path[0], "value": value})
            } else {
                json!({"path": path.join("."), "value": value})
            }
        }
        Spec::Group(join, specs) => json!({*join: specs.iter().map(to_json).collect::<Vec<_>>()}),
    }
}

fn text() -> impl Strategy<Value = Text> {
    (
        proptest::sample::select(TEXTS),
        proptest::bool::weighted(0.1),
    )
        .prop_map(|(value, escaped)| Text { value, escaped })
}

fn doc() -> impl Strategy<Value = Doc> {
    let scalar = prop_oneof![
        Just(Doc::Null),
        any::<bool>().prop_map(Doc::Bool),
        (0..NUMBERS.len()).prop_map(Doc::Number),
        text().prop_map(Doc::Text),
    ];
    scalar.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Doc::List),
            proptest::collection::vec((text(), inner), 0..4).prop_map(Doc::Object),
        ]
    })
}

/// A wanted value: an object has each key once, as serde_json's map keeps only the last; numbers that reading rounds
/// are refused.
fn wanted(doc: Doc) -> Doc {
    match doc {
        Doc::List(items) => Doc::List(items.into_iter().map(wanted).collect()),
        Doc::Object(entries) => {
            let mut once: Vec<(Text, Doc)> = Vec::new();
            for (name, value) in entries {
                if first(&once, name.value).is_none() {
                    once.push((name, wanted(value)));
                }
            }
            Doc::Object(once)
        }
        Doc::Number(index) => {
            let number = serde_json::from_str(NUMBERS[index].0).unwrap();
            Doc::Number(if number::Wanted::new(&number).is_ok() {
                index
            } else {
                0
            })
        }
        scalar => scalar,
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    let leaf = prop_oneof![
        proptest::sample::select(TEXTS).prop_map(|key| vec![key]),
        proptest::collection::vec(proptest::sample::select(&["a", "b", "c"][..]), 2..4),
    ];
    (leaf, doc())
        .prop_map(|(path, doc)| Spec::Leaf(path, wanted(doc)))
        .prop_recursive(3, 12, 3, |inner| {
            (
                proptest::sample::select(&["any_of", "all_of", "none_of"][..]),
                proptest::collection::vec(inner, 1..4),
            )
                .prop_map(|(join, specs)| Spec::Group(join, specs))
        })
}

/// Puts what the filter wants into the message now and then, else hardly anything would match.
fn planted(message: Vec<(Text, Doc)>, specs: &[Spec]) -> Vec<(Text, Doc)> {
    let mut entries = Vec::new();
    for spec in specs {
        let mut spec = spec;
        while let Spec::Group(_, specs) = spec {
            spec = &specs[0];
        }
        if let Spec::Leaf(path, wanted) = spec {
            let plain = |value| Text {
                value,
                escaped: false,
            };
            let value = path[1..].iter().rev().fold(wanted.clone(), |value, key| {
                Doc::Object(vec![(plain(*key), value)])
            });
            entries.push((plain(path[0]), value));
        }
    }
    entries.extend(message);
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn agrees_with_the_reference(
        specs in proptest::collection::vec(spec(), 1..4),
        or in any::<bool>(),
        message in proptest::collection::vec((text(), doc()), 0..6),
        plant in any::<bool>(),
        damage in proptest::option::weighted(0.15, any::<proptest::sample::Index>()),
    ) {
        let message = Doc::Object(if plant { planted(message, &specs) } else { message });
        let mut text = String::new();
        write(&message, &mut text);
        if let Some(at) = damage {
            let mut end = at.index(text.len());
            while !text.is_char_boundary(end) { end -= 1; }
            text.truncate(end);
        }
        let filters: Vec<Value> = specs.iter().map(to_json).collect();
        let filter = CompiledFilter::compile(&filters, if or { FilterLogic::Or } else { FilterLogic::And }).unwrap();
        let top = Spec::Group(if or { "any_of" } else { "all_of" }, specs);
        let expected = damage.is_none() && slow_matches(&top, &message);
        prop_assert_eq!(filter.matches(&text), expected, "{}", text);
        prop_assert_eq!(filter.explain(&text).matched, expected, "{}", text);
        prop_assert!(!(expected && filter.rejects_quickly(&text)), "{}", text);
    }

    #[test]
    fn never_panics(text in ".{0,60}", json in "[\\[\\]{}:,\"a1e.\\\\ -]{0,40}") {
        let filter = compile(&json!([{"key": "a", "value": 1}, {"path": "a.b", "value": [{"a": "1"}]}]), FilterLogic::Or);
        for message in [text, json] {
            let verdict = filter.matches(&message);
            prop_assert_eq!(filter.explain(&message).matched, verdict);
            prop_assert!(!(verdict && filter.rejects_quickly(&message)));
        }
    }
}
