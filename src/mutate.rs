//! For tests: valid examples with something wrong somewhere. That reaches further into what reads them than random
//! values, which are refused at the door.
//!
//! Everything depends on a seed alone, so a failure is told by it.

#[cfg(test)]
use proptest::test_runner::{Config, RngSeed};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Map, Value, json};

/// Values that break what was only thought of in the middle.
const ODD: [&str; 44] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "1.0",
    "1.5",
    "-0.0",
    "1e308",
    "5e-324",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "4294967296",
    "65536",
    "\"\"",
    "\" \"",
    "\"0\"",
    "\"a\"",
    "\"\\u0000\"",
    "\"\\ud83d\\ude00\"",
    "\"\\uffff\\u202e\"",
    "\"é\"",
    "\"%00%zz\"",
    "\"../../x\"",
    "\"u/a/b\"",
    "\"f/\"",
    "\"$var:u/a/b\"",
    "\"$var:\"",
    "\"{{\"",
    "\"{{ vars.a.b }}\"",
    "\"{% for x in range(9999) %}{{x}}{% endfor %}\"",
    "\"1970-01-01T00:00:00Z\"",
    "\"ws://[::1\"",
    "\"http://u:p@x:99999/\"",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "{\"\": null}",
    "{\"type\": \"x\"}",
    "{\"path\": \"a..b\"}",
];

/// How many cases a property is tried with: a few seconds, always the same ones; minutes with `WINDSOCK_TEST_ALL`; and
/// where somebody has the time, `WINDSOCK_TEST_CASES` times as many, others each time.
#[cfg(test)]
pub(crate) fn cases(short: u32) -> Config {
    let all = std::env::var_os("WINDSOCK_TEST_ALL").map_or(1, |_| 20);
    let asked = std::env::var("WINDSOCK_TEST_CASES").ok();
    let times: Option<u32> = asked.and_then(|times| times.parse().ok());
    Config {
        cases: short.saturating_mul(times.unwrap_or(all)),
        rng_seed: times.map_or(RngSeed::Fixed(1), |_| RngSeed::Random),
        // What was found becomes a test of its own, by name.
        failure_persistence: None,
        ..Config::default()
    }
}

/// `value` after one to four changes.
pub(crate) fn json(value: &Value, seed: u64) -> Value {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut value = value.clone();
    for _ in 0..chance.random_range(1..=4) {
        change(&mut value, &mut chance);
    }
    value
}

/// `text` after one to six changes, still UTF-8.
pub(crate) fn text(text: &str, seed: u64) -> String {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..chance.random_range(1..=6) {
        change_text(&mut letters, &mut chance);
    }
    letters.into_iter().collect()
}

/// Any of what `chance` gives.
fn pick<'a, T>(from: &'a [T], chance: &mut StdRng) -> &'a T {
    &from[chance.random_range(0..from.len())]
}

fn odd(chance: &mut StdRng) -> Value {
    match chance.random_range(0..50) {
        0 => json!("x".repeat(70_000)),
        1 => (0..100).fold(json!(1), |inner, _| json!([inner])),
        2 => (0..100).fold(json!(1), |inner, _| json!({"a": inner})),
        3 => json!(vec![0; 2_000]),
        4 => json!(chance.random::<i64>()),
        _ => serde_json::from_str(pick::<&str>(&ODD, chance)).unwrap(),
    }
}

/// How many values there are in `value`, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// The value at a place, counted as [`count`] does.
fn at(value: &mut Value, place: usize) -> &mut Value {
    if place == 0 {
        return value;
    }
    let mut left = place - 1;
    let inner: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        _ => Vec::new(),
    };
    for one in inner {
        let within = count(one);
        if left < within {
            return at(one, left);
        }
        left -= within;
    }
    unreachable!("a place within the value")
}

fn change(value: &mut Value, chance: &mut StdRng) {
    let places = count(value);
    let (one, other) = (
        chance.random_range(0..places),
        chance.random_range(0..places),
    );
    let elsewhere = at(value, other).clone();
    let found = at(value, one);
    match chance.random_range(0..8) {
        0 | 1 => *found = odd(chance),
        2 => *found = elsewhere,
        3 => *found = json!([found.take()]),
        4 => *found = json!({"a": found.take()}),
        _ => match found {
            Value::Array(items) => change_list(items, chance),
            Value::Object(fields) => change_fields(fields, chance),
            Value::String(text) => {
                let mut letters: Vec<char> = text.chars().collect();
                change_text(&mut letters, chance);
                *text = letters.into_iter().collect();
            }
            Value::Number(number) => {
                let near = number.as_i64().unwrap_or_default();
                *found = json!(near.wrapping_add(chance.random_range(-2..=2)));
            }
            other => *other = odd(chance),
        },
    }
}

fn change_list(items: &mut Vec<Value>, chance: &mut StdRng) {
    if items.is_empty() {
        return items.push(odd(chance));
    }
    let one = chance.random_range(0..items.len());
    match chance.random_range(0..3) {
        0 => drop(items.remove(one)),
        1 => items.push(items[one].clone()),
        _ => items.insert(one, odd(chance)),
    }
}

fn change_fields(fields: &mut Map<String, Value>, chance: &mut StdRng) {
    let names: Vec<String> = fields.keys().cloned().collect();
    if names.is_empty() {
        fields.insert("a".to_owned(), odd(chance));
        return;
    }
    let name = pick(&names, chance);
    match chance.random_range(0..3) {
        0 => drop(fields.remove(name)),
        1 => drop(fields.insert(name.clone(), odd(chance))),
        _ => {
            let value = fields.remove(name).unwrap_or_default();
            let other = pick(&names, chance).clone();
            fields.insert(
                if other == *name {
                    format!("{name} ")
                } else {
                    other
                },
                value,
            );
        }
    }
}

fn change_text(letters: &mut Vec<char>, chance: &mut StdRng) {
    const LETTERS: [char; 24] = [
        '\0', '\u{1b}', '\n', ' ', '"', '\'', '\\', '/', '{', '}', '[', ']', '%', '$', ':', ',',
        '.', '0', '-', 'e', 'é', '\u{feff}', '\u{202e}', '😀',
    ];
    if letters.is_empty() {
        return letters.push(*pick(&LETTERS, chance));
    }
    let (one, other) = (
        chance.random_range(0..letters.len()),
        chance.random_range(0..letters.len()),
    );
    match chance.random_range(0..6) {
        0 => drop(letters.remove(one)),
        1 => letters.insert(one, *pick(&LETTERS, chance)),
        2 => letters[one] = *pick(&LETTERS, chance),
        3 => letters.swap(one, other),
        4 => letters.truncate(one),
        _ => {
            let piece = letters[one.min(other)..one.max(other)].to_vec();
            letters.splice(one..one, piece);
        }
    }
}
