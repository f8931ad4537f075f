//! What an expression says it needs, read from its text; and expressions that only pick a value, which need no engine.
//! Pure.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// Whether `name` stands in the expression as a word of its own.
pub(super) fn mentions(expr: &str, name: &str) -> bool {
    words(expr, name).next().is_some()
}

/// Where `name` stands as a word of its own: what follows it.
fn words<'a>(expr: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    expr.match_indices(name).filter_map(move |(at, _)| {
        let (before, after) = (&expr[..at], &expr[at + name.len()..]);
        let alone = !before.ends_with(part) && !before.ends_with('.') && !after.starts_with(part);
        // A spread is no member: `...results`.
        (alone || (before.ends_with("...") && !after.starts_with(part))).then_some(after)
    })
}

/// The members of an object that an expression uses.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Uses {
    /// These.
    Members(Vec<String>),
    /// It cannot be told.
    Any,
}

/// Which members of the object `name` an expression uses, by `results.a`, `results?.a` or `results["a"]`.
pub(super) fn members_used(expr: &str, name: &str) -> Uses {
    let mut members = Vec::new();
    for after in words(expr, name) {
        match first_segment(after.trim_start()) {
            Some((Segment::Key(key), _)) => members.push(key.into_owned()),
            Some((Segment::Index(_), _)) | None => return Uses::Any,
        }
    }
    members.sort();
    members.dedup();
    Uses::Members(members)
}

/// A step on the way to a value.
#[derive(Debug, PartialEq, Eq)]
enum Segment<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

/// `.a`, `?.a`, `["a"]`, `['a']`, `?.["a"]`, `[1]`, and what follows.
fn first_segment(text: &str) -> Option<(Segment<'_>, &str)> {
    let (optional, rest) = match text.strip_prefix("?.") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if let Some(rest) = rest.strip_prefix('[') {
        if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            let rest = &rest[1..];
            let (key, rest) = rest.split_once(quote)?;
            let rest = rest.strip_prefix(']')?;
            return (!key.contains('\\')).then_some((Segment::Key(key.into()), rest));
        }
        let (index, rest) = rest.split_once(']')?;
        return Some((Segment::Index(index.parse().ok()?), rest));
    }
    let rest = if optional {
        rest
    } else {
        rest.strip_prefix('.')?
    };
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$'));
    let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let starts_well = name.starts_with(|c: char| !c.is_ascii_digit());
    starts_well.then_some((Segment::Key(name.into()), rest))
}

/// The value of an expression that is a name and a way to a value in it, such as `flow_input.order.lines[0]`; none when
/// it is anything else, or does not lead to a value (the engine knows what that is then). `value` gives the JSON
/// of a name.
pub(super) fn picked<'a>(
    expr: &str,
    value: impl FnOnce(&str) -> Option<&'a str>,
) -> Option<&'a str> {
    let expr = expr.trim();
    let end = expr.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let (name, mut way) = expr.split_at(end.unwrap_or(expr.len()));
    // Its form is checked to the end before a value is looked for.
    let mut segments = Vec::new();
    while !way.is_empty() {
        let (segment, rest) = first_segment(way)?;
        segments.push(segment);
        way = rest;
    }
    let mut json = value(name)?;
    for segment in segments {
        json = match segment {
            Segment::Key(key) => member(json, &key)?,
            Segment::Index(index) => item(json, index)?,
        };
    }
    Some(json)
}

/// The argument of the flow that an expression passes on, the whole or a part of it: `flow_input.order.lines[0]` does
/// `order`; none when it may do anything else.
pub(super) fn passed_on(expr: &str) -> Option<String> {
    let mut way = expr.trim().strip_prefix("flow_input")?;
    let mut first = None;
    while !way.is_empty() {
        let (segment, rest) = first_segment(way)?;
        if first.is_none() {
            first = match segment {
                Segment::Key(key) => Some(key),
                Segment::Index(_) => return None,
            };
        }
        way = rest;
    }
    first.map(Cow::into_owned)
}

/// The argument of the flow that an expression is: `flow_input.order`; none when it is anything else.
pub(super) fn argument(expr: &str) -> Option<String> {
    let way = expr.trim().strip_prefix("flow_input")?;
    match first_segment(way)? {
        (Segment::Key(key), "") => Some(key.into_owned()),
        _ => None,
    }
}

/// The reference that an expression stands for which only reads a variable or a resource: `variable('u/a/b')`,
/// `await resource("f/a/b")`; none when it is anything else.
pub(super) fn refers_to(expr: &str) -> Option<String> {
    let call = expr.trim().trim_end_matches(';').trim_end();
    let call = match call.strip_prefix("await") {
        Some(rest) if rest.starts_with(char::is_whitespace) => rest.trim_start(),
        _ => call,
    };
    let (mark, rest) = match (call.strip_prefix("variable"), call.strip_prefix("resource")) {
        (Some(rest), _) => ("$var:", rest),
        (None, rest) => ("$res:", rest?),
    };
    let path = rest
        .trim_start()
        .strip_prefix('(')?
        .strip_suffix(')')?
        .trim();
    let quote = path
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let path = path[1..].strip_suffix(quote)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.');
    (!path.is_empty() && path.chars().all(plain)).then(|| format!("{mark}{path}"))
}

/// A member of an object that has it; the last one of a name counts, as in JavaScript.
fn member<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    struct Find<'k>(&'k str);
    impl<'de> serde::de::Visitor<'de> for Find<'_> {
        type Value = Option<&'de RawValue>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                if key == self.0 {
                    found = Some(value);
                }
            }
            Ok(found)
        }
    }
    // Members every object has are the engine's business.
    if key == "__proto__" {
        return None;
    }
    let mut json = serde_json::Deserializer::from_str(json);
    let found = serde::Deserializer::deserialize_map(&mut json, Find(key));
    found.ok().flatten().map(RawValue::get)
}

fn item(json: &str, index: usize) -> Option<&str> {
    let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    items.get(index).map(|item| item.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words() {
        assert!(mentions("result.x", "result") && mentions("(result)", "result"));
        for other in ["results.x", "my_result", "a.result", "resulting", ""] {
            assert!(!mentions(other, "result"), "{other}");
        }
    }

    #[test]
    fn uses_of_results() {
        let steps = |names: &[&str]| Uses::Members(names.iter().map(|n| (*n).to_owned()).collect());
        for (expr, wanted) in [
            ("1", steps(&[])),
            ("results.a + results?.b.c", steps(&["a", "b"])),
            (
                r#"results["my-step"] ?? results['x']"#,
                steps(&["my-step", "x"]),
            ),
            ("results.a.results.b", steps(&["a"])),
            ("results[flow_input.which]", Uses::Any),
            ("Object.keys(results)", Uses::Any),
            ("{...results}", Uses::Any),
        ] {
            assert_eq!(members_used(expr, "results"), wanted, "{expr}");
        }
    }

    #[test]
    fn calls_that_only_read_are_references() {
        for (expr, wanted) in [
            ("variable('u/a/b')", Some("$var:u/a/b")),
            (" await resource ( \"f/a/b\" ) ;", Some("$res:f/a/b")),
            ("variable(`u/a/b`)", Some("$var:u/a/b")),
            ("variable('u/a/b') + 1", None),
            ("variable('u/a/b').length", None),
            ("variable('a') + variable('b')", None),
            ("variable(flow_input.x)", None),
            ("awaitvariable('u/a/b')", None),
            ("variable()", None),
            ("variable", None),
            ("'x'", None),
        ] {
            assert_eq!(refers_to(expr).as_deref(), wanted, "{expr}");
        }
    }

    #[test]
    fn values_are_picked_as_they_stand() {
        let json = r#"{"a": {"b": [1, {"c-d": 1e400}]}, "a b": null, "a": {"b": [10, {"c-d": 12345678901234567890}]}}"#;
        for (expr, wanted) in [
            ("x", Some(json)),
            (" x.a.b[0] ", Some("10")),
            (r#"x.a?.b[1]["c-d"]"#, Some("12345678901234567890")),
            ("x['a b']", Some("null")),
            ("x.missing", None),
            ("x.a.b.length", None),
            ("x.a.b[7]", None),
            ("x.a + 1", None),
            ("x.a()", None),
            ("x.1", None),
            ("y.a", None),
            ("'x'", None),
            ("", None),
        ] {
            let found = picked(expr, |name| (name == "x").then_some(json));
            assert_eq!(found, wanted, "{expr}");
        }
    }
}
