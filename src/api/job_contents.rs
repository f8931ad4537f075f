//! What is looked for inside a job's JSON, where no index can answer: arguments, result, labels, a flow's state. Pure.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use super::error::Error;
use crate::{db::job_list::AnyJob, types::JobId};

/// What a job's JSON must contain.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Arguments that contain this.
    pub(super) args: Option<Value>,
    /// A result that contains this.
    pub(super) result: Option<Value>,
    /// A label of the script or of the result.
    pub(super) label: Option<String>,
    /// A text somewhere in the arguments' values; small and capital letters are the same.
    pub(super) args_text: Option<String>,
    /// A flow that counts as skipped, or a job that does not.
    pub(super) skipped: Option<bool>,
}

impl Contents {
    /// Whether every job matches.
    pub(super) fn is_any(&self) -> bool {
        !self.is_in_bodies() && self.skipped.is_none()
    }

    /// Whether jobs have to be read whole.
    pub(super) fn is_in_bodies(&self) -> bool {
        self.args.is_some()
            || self.result.is_some()
            || self.label.is_some()
            || self.args_text.is_some()
    }

    /// Whether the job is what is looked for; `skipped` are the flows among its like that count so.
    pub(super) fn matches(&self, job: &AnyJob, skipped: &HashSet<JobId>) -> bool {
        let (id, args, result) = match job {
            AnyJob::Queued(row) => (row.id, row.args.as_str(), None),
            AnyJob::Completed(row) => (row.id, row.args.as_str(), Some(row.result.as_str())),
        };
        let fits = |wanted| skipped.contains(&id) == wanted;
        if !self.skipped.is_none_or(fits) {
            return false;
        }
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        if let Some(wanted) = &self.args_text
            && !holds(&parse(args), &wanted.to_lowercase())
        {
            return false;
        }
        if let Some(wanted) = &self.args
            && !contains(&parse(args), wanted)
        {
            return false;
        }
        let raw = match job {
            AnyJob::Queued(row) => row.raw.as_deref(),
            AnyJob::Completed(row) => row.raw.as_deref(),
        };
        if let Some(label) = &self.label
            && !labels(raw, result).contains(label)
        {
            return false;
        }
        self.result
            .as_ref()
            .is_none_or(|wanted| result.is_some_and(|result| contains(&parse(result), wanted)))
    }
}

/// The labels of a job: those its script gave it (`queue::stamp`), and those its result has in `wm_labels`.
pub(super) fn labels(raw: Option<&str>, result: Option<&str>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Labeled {
        #[serde(default, alias = "wm_labels")]
        labels: Vec<Value>,
    }
    let found = [(raw, "\"labels\""), (result, "\"wm_labels\"")].into_iter();
    let found = found.filter_map(|(json, name)| json.filter(|json| json.contains(name)));
    let read = found.filter_map(|json| serde_json::from_str::<Labeled>(json).ok());
    let mut labels = Vec::new();
    for label in read.flat_map(|read| read.labels) {
        if let Value::String(label) = label
            && !labels.contains(&label)
        {
            labels.push(label);
        }
    }
    labels
}

/// Whether `have` contains `wanted`: objects by key, arrays by element, all else by equality.
fn contains(have: &Value, wanted: &Value) -> bool {
    match (have, wanted) {
        (Value::Object(have), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| have.get(key).is_some_and(|have| contains(have, wanted))),
        (Value::Array(have), Value::Array(wanted)) => wanted
            .iter()
            .all(|wanted| have.iter().any(|have| contains(have, wanted))),
        _ => have == wanted,
    }
}

/// Whether a value inside `have` shows `wanted`, which is in small letters. A message is looked into as it came, not
/// in the form it has as a string of JSON.
fn holds(have: &Value, wanted: &str) -> bool {
    match have {
        Value::Object(map) => map.values().any(|have| holds(have, wanted)),
        Value::Array(list) => list.iter().any(|have| holds(have, wanted)),
        Value::String(text) => text.to_lowercase().contains(wanted),
        Value::Null | Value::Bool(_) | Value::Number(_) => have.to_string().contains(wanted),
    }
}

/// A parameter that is JSON.
pub(super) fn json(field: &str, text: Option<&String>) -> Result<Option<Value>, Error> {
    let Some(text) = text else { return Ok(None) };
    let value = serde_json::from_str(text).map_err(|_| Error::field(field, "is not JSON"))?;
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{contains, holds};

    #[test]
    fn containing() {
        for (have, wanted, yes) in [
            (
                json!({"a": 1, "b": {"c": [1, {"d": 2}]}}),
                json!({"b": {"c": [{"d": 2}]}}),
                true,
            ),
            (json!({"a": 1}), json!({"a": 2}), false),
            (json!({"a": null}), json!({"b": null}), false),
            (json!([1, 2]), json!([2]), true),
            (json!("a"), json!("a"), true),
            (json!(1), json!({}), false),
        ] {
            assert_eq!(contains(&have, &wanted), yes, "{have} {wanted}");
        }
    }
    #[test]
    fn texts_are_found_as_they_came() {
        let args = json!({"msg": "{\"symbol\":\"BTCusdt\"}", "n": [{"price": 12.5}]});
        for (wanted, yes) in [
            ("\"symbol\":\"btc", true),
            ("12.5", true),
            ("msg", false),
            ("eth", false),
        ] {
            assert_eq!(holds(&args, wanted), yes, "{wanted}");
        }
    }
}
