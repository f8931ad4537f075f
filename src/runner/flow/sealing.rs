//! What expressions compute from secrets: kept sealed in arguments and lists (`secret::sealed`), and opened where other
//! expressions of the same outermost flow look at it, and when a step starts. So what is stored of a step, of a called
//! flow and of a loop holds no secret, however it was made.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::{Value, value::RawValue};

use super::{
    jobs::{Fault, wrong},
    plan::Plan,
    run::Run,
    scope::{Uses, members_used},
};
use crate::{
    db::DbError,
    secret::sealed::{self, Sealed},
    types::JobId,
};

/// Shorter texts say nothing.
const SHORTEST: usize = 4;
/// Texts that are kept out of an error.
const MOST: usize = 1_000;
/// What stands in their place.
const MASK: &str = "***";

/// What the expression that was evaluated last has learned.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// References it has read, itself or by way of what was computed from them before.
    pub(super) read: BTreeSet<String>,
    is_secret: bool,
    texts: BTreeSet<String>,
}

impl Learned {
    /// It has read a secret: `json`, or something in it.
    pub(super) fn secret(&mut self, json: &str) {
        self.is_secret = true;
        let mut left = vec![serde_json::from_str(json).unwrap_or_default()];
        while let Some(value) = left.pop() {
            match value {
                Value::String(text) => {
                    // An error may quote a part of it.
                    let words = text.split(|c: char| !c.is_alphanumeric());
                    let long = words.chain([text.as_str()]);
                    let long = long.filter(|text| text.len() >= SHORTEST);
                    let room = MOST.saturating_sub(self.texts.len());
                    self.texts.extend(long.take(room).map(str::to_owned));
                }
                Value::Array(items) => left.extend(items),
                Value::Object(fields) => left.extend(fields.into_iter().map(|(_, value)| value)),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    }

    /// Whether what it came to is to be kept sealed.
    pub(super) fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// The text of an error without secrets.
    pub(super) fn masked(&self, mut text: String) -> String {
        let mut secrets: Vec<&String> = self.texts.iter().collect();
        // The longest first: it may hold another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), MASK);
            }
        }
        text
    }
}

impl Plan<'_> {
    /// `json`, the value of `name`, as an expression sees it: what stands sealed in what it uses of it is open.
    pub(super) fn opened(
        &mut self,
        id: JobId,
        (expr, name): (&str, &str),
        json: Arc<str>,
    ) -> Arc<str> {
        if !sealed::is_in(&json) || !looks_at_sealed(expr, name, &json) {
            return json;
        }
        let Some(root) = self.runs.get(&id).map(Run::root) else {
            return json;
        };
        let learned = &mut self.learned;
        let opened = sealed::replace(&json, |text| {
            let found = sealed::open(root, text)?;
            learned.read.extend(found.read);
            learned.secret(found.value.get());
            Some(found.value.get().to_owned())
        });
        opened.into()
    }

    /// What the last expression came to, as it is kept. Inside: why that cannot be.
    pub(super) fn keep(&self, id: JobId, field: &str, json: String) -> Result<String, Fault> {
        if !self.learned.is_secret() {
            return Ok(json);
        }
        let value = RawValue::from_string(json).map_err(|error| wrong(field, error))?;
        let value = Sealed {
            value,
            read: self.learned.read.iter().cloned().collect(),
        };
        let run = self.runs.get(&id);
        let sealed = run.and_then(|run| sealed::seal(run.root(), &value));
        sealed.ok_or_else(|| wrong(field, DbError::NoKey))
    }

    /// The same of a list: each item is kept for itself.
    pub(super) fn keep_items(&self, id: JobId, field: &str, list: String) -> Result<String, Fault> {
        if !self.learned.is_secret() {
            return Ok(list);
        }
        let items: Vec<&RawValue> =
            serde_json::from_str(&list).map_err(|error| wrong(field, error))?;
        let items = items.into_iter().map(|item| {
            let item = item.get().to_owned();
            self.keep(id, field, item)
        });
        let items: Vec<String> = items.collect::<Result<_, _>>()?;
        Ok(format!("[{}]", items.join(",")))
    }
}

/// Whether something that stands sealed is in what an expression uses of `json`.
fn looks_at_sealed(expr: &str, name: &str, json: &str) -> bool {
    let Uses::Members(members) = members_used(expr, name) else {
        return true;
    };
    let parsed: Result<HashMap<String, &RawValue>, _> = serde_json::from_str(json);
    parsed.map_or(true, |fields| {
        let mut used = members.iter().filter_map(|member| fields.get(member));
        used.any(|value| sealed::is_in(value.get()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_hold_no_secrets() {
        let mut learned = Learned::default();
        assert_eq!(learned.masked("s3cret".to_owned()), "s3cret");
        learned.secret(r#"{"a": ["s3cret-value", "abc"], "b": 12345, "c": "s3cret-value-2"}"#);
        for (text, wanted) in [
            ("'s3cret-value-2' is no number", "'***' is no number"),
            ("unexpected token: s3cret", "unexpected token: ***"),
            ("abc 12345", "abc 12345"),
        ] {
            assert_eq!(learned.masked(text.to_owned()), wanted);
        }
    }

    #[test]
    fn only_what_is_used_counts() {
        let json = r#"{"a": "$sealed:x", "b": 1}"#;
        for (expr, looks) in [
            ("x.b + 1", false),
            ("x.a", true),
            ("Object.keys(x)", true),
            ("x.c", false),
        ] {
            assert_eq!(looks_at_sealed(expr, "x", json), looks, "{expr}");
        }
    }
}
