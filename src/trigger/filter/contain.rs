//! The comparison itself, on JSON text that is known to be valid: exact for every number and every escape.
//!
//! `program` uses it where a plain visitor would lose something, `explain` and `pick` use it for everything.

use std::borrow::Cow;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::rule::Wanted;

/// Whether the value `text` contains (or equals) `wanted`. `text` is one valid JSON value without space around it.
pub(super) fn contains(wanted: &Wanted, text: &str) -> bool {
    let first = text.as_bytes().first();
    match wanted {
        Wanted::Null => text == "null",
        Wanted::Bool(value) => text == if *value { "true" } else { "false" },
        Wanted::Number(number) => matches!(first, Some(b'-' | b'0'..=b'9')) && number.equals(text),
        Wanted::Text(wanted) => unescape(text).is_some_and(|text| text == *wanted),
        Wanted::List(wanted) => first == Some(&b'[') && list_contains(wanted, text),
        Wanted::Object(wanted) => first == Some(&b'{') && object_contains(wanted, text),
    }
}

fn list_contains(wanted: &[Wanted], text: &str) -> bool {
    let mut open: Vec<&Wanted> = wanted.iter().collect();
    each_item(text, |item| {
        open.retain(|wanted| !contains(wanted, item));
        !open.is_empty()
    });
    open.is_empty()
}

fn object_contains(wanted: &[(String, Wanted)], text: &str) -> bool {
    let mut open: Vec<&(String, Wanted)> = wanted.iter().collect();
    let mut mismatch = false;
    each_entry(text, |name, value| {
        // Taken out at its first occurrence: a later duplicate finds nothing to compare with.
        if let Some(index) = open.iter().position(|(wanted, _)| *wanted == name) {
            let (_, wanted) = open.swap_remove(index);
            mismatch = !contains(wanted, value);
        }
        !mismatch && !open.is_empty()
    });
    !mismatch && open.is_empty()
}

/// The first value at `path`, without space around it; arrays are not crossed.
pub(super) fn lookup<'a>(object: &'a str, path: &[String]) -> Option<&'a str> {
    let mut text = object;
    for segment in path {
        let mut found = None;
        if text.starts_with('{') {
            each_entry(text, |name, value| {
                if name == segment.as_str() {
                    found = Some(value);
                }
                found.is_none()
            });
        }
        text = found?;
    }
    Some(text)
}

/// The text of a JSON string; `None` for other values and for a string that no Unicode text can equal
/// (it escapes half of a surrogate pair).
pub(super) fn unescape(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(text).ok().map(Cow::Owned)
}

/// Calls `visit` with the entries of a valid JSON object, in order, until it answers `false`.
/// A key that is no Unicode text is passed over.
pub(super) fn each_entry<'a>(object: &'a str, mut visit: impl FnMut(&str, &'a str) -> bool) {
    let visit = |key: &str, value: &'a str| unescape(key).is_none_or(|name| visit(&name, value));
    // The text is valid, so an error can only be the visitor's wish to stop.
    let _ = serde_json::Deserializer::from_str(object).deserialize_map(Parts(visit));
}

/// Calls `visit` with the items of a valid JSON array, in order, until it answers `false`.
fn each_item<'a>(array: &'a str, mut visit: impl FnMut(&'a str) -> bool) {
    let visit = |_: &str, value: &'a str| visit(value);
    let _ = serde_json::Deserializer::from_str(array).deserialize_seq(Parts(visit));
}

/// Hands out the parts of an array or object as they are written; keys with their quotes.
struct Parts<F>(F);

impl<'de, F: FnMut(&str, &'de str) -> bool> Parts<F> {
    fn visit<E: Error>(&mut self, key: &str, value: &'de RawValue) -> Result<(), E> {
        if (self.0)(key, value.get()) {
            Ok(())
        } else {
            Err(E::custom("seen enough"))
        }
    }
}

impl<'de, F: FnMut(&str, &'de str) -> bool> Visitor<'de> for Parts<F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array or object")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(value) = items.next_element()? {
            self.visit("", value)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        while let Some((key, value)) = entries.next_entry::<&RawValue, _>()? {
            self.visit(key.get(), value)?;
        }
        Ok(())
    }
}
