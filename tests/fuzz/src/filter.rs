//! Filters against a slow, obvious reference. The first line is `{"filters": […], "or": bool}`, the rest the message.
//!
//! The reference reads the contract (section 4) word by word over the text of the message: duplicate keys, the spelling of
//! numbers and escapes stay as they came.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};
use windsock::{trigger::filter::CompiledFilter, types::FilterLogic};

#[derive(Deserialize)]
struct Setting {
    filters: Vec<Value>,
    #[serde(default)]
    or: bool,
}

/// An object's entries as they come, duplicates included.
struct Entries<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsTheyCome;
        impl<'de> Visitor<'de> for AsTheyCome {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(AsTheyCome)
    }
}

fn entries(text: &RawValue) -> Option<Entries<'_>> {
    serde_json::from_str(text.get()).ok()
}

/// The value of the first entry of that name.
fn first<'a>(entries: &Entries<'a>, name: &str) -> Option<&'a RawValue> {
    let named =
        |key: &RawValue| serde_json::from_str::<String>(key.get()).is_ok_and(|key| key == name);
    entries
        .0
        .iter()
        .find(|(key, _)| named(key))
        .map(|(_, value)| *value)
}

/// The integer that a number's text stands for, as digits without zeros in front and a sign.
fn integer(text: &str) -> Option<i128> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.bytes().all(|digit| digit == b'0') {
        return Some(0);
    }
    let exponent: i64 = exponent.parse().ok()?;
    let point = i64::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let point = usize::try_from(point)
        .ok()
        .filter(|point| *point < 10_000)?;
    let digits = format!("{digits:0<point$}");
    let (whole, fraction) = digits.split_at(point);
    let whole = whole.trim_start_matches('0');
    let is_whole = fraction.bytes().all(|digit| digit == b'0');
    let value: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    is_whole.then_some(sign * value)
}

/// Integers of 64 bits exactly; where the filter's own number was rounded to a double, the message's is rounded as well.
fn same_number(wanted: &serde_json::Number, text: &str) -> bool {
    let exact = i128::from(i64::MIN)..=i128::from(u64::MAX);
    let found = integer(text).filter(|whole| exact.contains(whole));
    let double = wanted.as_f64().unwrap_or(f64::NAN);
    let whole = wanted
        .as_i64()
        .map(i128::from)
        .or_else(|| wanted.as_u64().map(i128::from));
    let whole =
        whole.or_else(|| (double.fract() == 0.0 && double.abs() < 1e20).then_some(double as i128));
    match whole.filter(|whole| exact.contains(whole)) {
        Some(whole) => found == Some(whole),
        None => found.is_none() && text.parse() == Ok(double),
    }
}

fn contains(wanted: &Value, found: &RawValue) -> bool {
    let text = found.get();
    match wanted {
        Value::Null => text == "null",
        Value::Bool(wanted) => text == wanted.to_string(),
        Value::Number(wanted) => {
            text.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
                && same_number(wanted, text)
        }
        Value::String(wanted) => {
            serde_json::from_str::<String>(text).is_ok_and(|found| found == *wanted)
        }
        Value::Array(wanted) => serde_json::from_str::<Vec<&RawValue>>(text).is_ok_and(|found| {
            wanted
                .iter()
                .all(|wanted| found.iter().any(|found| contains(wanted, found)))
        }),
        Value::Object(wanted) => entries(found).is_some_and(|found| {
            let there = |(name, wanted): (&String, &Value)| {
                first(&found, name).is_some_and(|found| contains(wanted, found))
            };
            wanted.iter().all(there)
        }),
    }
}

fn holds(filter: &Value, message: &RawValue) -> bool {
    let fields = filter.as_object().expect("it was compiled");
    let group = |name: &str| {
        fields
            .get(name)
            .map(|list| list.as_array().expect("it was compiled"))
    };
    if let Some(list) = group("any_of") {
        return list.iter().any(|filter| holds(filter, message));
    }
    if let Some(list) = group("all_of") {
        return list.iter().all(|filter| holds(filter, message));
    }
    if let Some(list) = group("none_of") {
        return !list.iter().any(|filter| holds(filter, message));
    }
    let names: Vec<&str> = match leaf(fields, "key") {
        Some(key) => vec![key],
        None => leaf(fields, "path")
            .expect("it was compiled")
            .split('.')
            .collect(),
    };
    let found = names
        .iter()
        .try_fold(message, |at, name| first(&entries(at)?, name));
    found.is_some_and(|found| contains(&fields["value"], found))
}

fn leaf<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

fn expected(setting: &Setting, message: &str) -> bool {
    if setting.filters.is_empty() {
        return true;
    }
    // Its grammar alone; what it stands for is nobody's matter yet.
    let Ok(whole) = serde_json::from_str::<&RawValue>(message) else {
        return false;
    };
    let mut verdicts = setting.filters.iter().map(|filter| holds(filter, whole));
    whole.get().starts_with('{')
        && if setting.or {
            verdicts.any(|it| it)
        } else {
            verdicts.all(|it| it)
        }
}

pub(crate) fn run(data: &[u8]) {
    let end = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (Ok(setting), Ok(message)) = (
        serde_json::from_slice::<Setting>(&data[..end]),
        std::str::from_utf8(data.get(end + 1..).unwrap_or_default()),
    ) else {
        return;
    };
    let logic = if setting.or {
        FilterLogic::Or
    } else {
        FilterLogic::And
    };
    match CompiledFilter::compile(&setting.filters, logic) {
        Ok(filter) => {
            let expected = expected(&setting, message);
            assert_eq!(filter.matches(message), expected, "the verdict");
            assert_eq!(filter.explain(message).matched, expected, "the explanation");
            assert!(
                !(expected && filter.rejects_quickly(message)),
                "the quick reject"
            );
        }
        Err(error) => assert!(error.0.starts_with("filters"), "{}", error.0),
    }
}
