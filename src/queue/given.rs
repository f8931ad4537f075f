//! Arguments that may refer to variables and resources (`$var:<path>`, `$res:<path>`): replaced when the job starts, and
//! only where the job says so. It says it of arguments that somebody gave who is known, or wrote down: a caller of the
//! API, a trigger's settings, a static input of a flow. The text of a message, and what was computed, stays what it is.
//!
//! Stands in the column `raw`, so that a job that gives nothing costs nothing.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Job;

/// What texts begin with that refer to something.
const MARKS: [&str; 2] = ["$var:", "$res:"];

/// The arguments of a JSON object that refer to something, at whatever depth.
#[must_use]
pub fn references_in(args: &str) -> Vec<String> {
    if !MARKS.iter().any(|mark| args.contains(mark)) {
        return Vec::new();
    }
    let args: Map<String, Value> = serde_json::from_str(args).unwrap_or_default();
    let refer = args.into_iter().filter(|(_, value)| refers(value));
    refer.map(|(name, _)| name).collect()
}

/// Whether a text refers to something.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    MARKS.iter().any(|mark| text.starts_with(mark))
}

/// Whether a value refers to something, at whatever depth.
#[must_use]
pub fn refers(value: &Value) -> bool {
    match value {
        Value::String(text) => is_reference(text),
        Value::Array(items) => items.iter().any(refers),
        Value::Object(fields) => fields.values().any(refers),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The arguments of `job` in which references are replaced when it starts.
#[must_use]
pub fn given(job: &Job) -> Vec<String> {
    given_in(job.raw.as_deref())
}

/// As [`given`], of a job's column `raw`.
#[must_use]
pub fn given_in(raw: Option<&str>) -> Vec<String> {
    #[derive(Default, Deserialize)]
    struct Given {
        #[serde(default)]
        given: Vec<String>,
    }
    let raw = raw.filter(|raw| raw.contains("\"given\""));
    let given = raw.and_then(|raw| serde_json::from_str::<Given>(raw).ok());
    given.unwrap_or_default().given
}

/// The column `raw` with the names of such arguments in it.
pub(super) fn with_given(raw: Option<String>, given: &[String]) -> Option<String> {
    if given.is_empty() {
        return raw;
    }
    let parsed = raw.as_deref().map(serde_json::from_str);
    let mut fields: Map<String, Value> = parsed.and_then(Result::ok).unwrap_or_default();
    fields.insert("given".to_owned(), given.into());
    Some(Value::Object(fields).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_wherever_they_stand() {
        let args =
            r#"{"a": "$var:u/a/x", "b": {"c": [1, "$res:f/a/y"]}, "d": "see $var:u/a/x", "e": 1}"#;
        assert_eq!(references_in(args), ["a", "b"]);
        for none in ["{}", "no JSON $var:", r#"["$var:u/a/x"]"#] {
            assert!(references_in(none).is_empty(), "{none}");
        }
    }
}
