//! Fields of a flow's JSON, each with the place that people find it at.

use serde_json::{Map, Value};

use super::value::Expr;
use crate::types::Invalid;

/// Longest expression.
const MAX_EXPR_BYTES: usize = 64 * 1024;

/// Where something stands in a flow, for people: `modules[1] (id b)`.
#[derive(Debug, Clone)]
pub(super) struct Place(pub(super) String);

impl Place {
    /// What is wrong there.
    pub(super) fn wrong<T>(&self, what: impl std::fmt::Display) -> Result<T, Invalid> {
        Err(Invalid(format!("{}: {what}", self.0)))
    }

    pub(super) fn at_list(&self, list: &str, index: usize) -> String {
        let head = self.0.split(" (id ").next().unwrap_or_default();
        if head == "value" || head.is_empty() {
            format!("{list}[{index}]")
        } else {
            format!("{head}.{list}[{index}]")
        }
    }
}

/// Whether a value stands for "not used".
pub(super) fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}

/// Refuses what is not supported and what is not known.
pub(super) fn check_fields(
    place: &Place,
    fields: &Map<String, Value>,
    (read, decor): (&[&str], &[&str]),
    refused: &[(&str, &str)],
) -> Result<(), Invalid> {
    for (name, value) in fields {
        if read.contains(&name.as_str()) || decor.contains(&name.as_str()) {
            continue;
        }
        match refused.iter().find(|(known, _)| known == name) {
            Some(_) if is_off(value) => {}
            Some((_, instead)) => {
                return place.wrong(format!("{name} is not supported; {instead}"));
            }
            None => return place.wrong(format!("{name} is not a known field")),
        }
    }
    Ok(())
}

pub(super) fn object<'a>(
    place: &Place,
    value: &'a Value,
) -> Result<&'a Map<String, Value>, Invalid> {
    match value.as_object() {
        Some(fields) => Ok(fields),
        None => place.wrong("must be an object"),
    }
}

/// A field that is there and not null.
pub(super) fn given<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

pub(super) fn flag(
    place: &Place,
    fields: &Map<String, Value>,
    name: &str,
) -> Result<bool, Invalid> {
    match given(fields, name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => place.wrong(format!("{name} must be true or false")),
    }
}

pub(super) fn text(
    place: &Place,
    fields: &Map<String, Value>,
    name: &str,
) -> Result<Option<String>, Invalid> {
    match given(fields, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => place.wrong(format!("{name} must be a text")),
    }
}

pub(super) fn whole(
    place: &Place,
    fields: &Map<String, Value>,
    name: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, Invalid> {
    let Some(value) = given(fields, name) else {
        return Ok(None);
    };
    match value.as_u64().filter(|number| range.contains(number)) {
        Some(number) => Ok(Some(number)),
        None => place.wrong(format!(
            "{name} must be a whole number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

pub(super) fn list<'a>(
    place: &Place,
    fields: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a [Value], Invalid> {
    match given(fields, name) {
        Some(Value::Array(items)) => Ok(items),
        Some(_) => place.wrong(format!("{name} must be a list")),
        None => place.wrong(format!("{name} is missing")),
    }
}

/// The text of an expression.
pub(super) fn expr(place: &Place, name: &str, value: &Value) -> Result<Expr, Invalid> {
    match value {
        Value::String(text) if text.trim().is_empty() => {
            place.wrong(format!("{name} must not be empty"))
        }
        Value::String(text) if text.len() > MAX_EXPR_BYTES => place.wrong(format!(
            "{name} must not be longer than {MAX_EXPR_BYTES} bytes"
        )),
        Value::String(text) => Ok(Expr(text.clone())),
        _ => place.wrong(format!("{name} must be a JavaScript expression as text")),
    }
}
