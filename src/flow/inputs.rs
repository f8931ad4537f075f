//! Conditions and inputs: the parts of a flow that may be expressions.

use serde_json::{Map, Value};

use super::{
    fields::{Place, check_fields, expr, given, object},
    value::{Expr, Input},
};
use crate::types::Invalid;

/// Longest wait and longest run: a year.
const MAX_SECS: u64 = 365 * 24 * 3600;

/// `{"expr": …}`.
pub(super) fn condition(place: &Place, name: &str, value: &Value) -> Result<Expr, Invalid> {
    let inner = Place(format!("{}: {name}", place.0));
    let fields = object(&inner, value)?;
    check_fields(&inner, fields, (&["expr"], &[]), &[])?;
    match fields.get("expr") {
        Some(value) => expr(place, &format!("{name}.expr"), value),
        None => place.wrong(format!("{name}.expr is missing")),
    }
}

/// An input transform.
pub(super) fn input(place: &Place, name: &str, value: &Value) -> Result<Input, Invalid> {
    let inner = Place(format!("{}: {name}", place.0));
    let fields = object(&inner, value)?;
    match fields.get("type").and_then(Value::as_str) {
        Some("static") => {
            check_fields(&inner, fields, (&["type", "value"], &["expr"]), &[])?;
            let value = fields.get("value").unwrap_or(&Value::Null);
            Ok(Input::Static(value.to_string()))
        }
        Some("javascript") => {
            check_fields(&inner, fields, (&["type", "expr"], &["value"]), &[])?;
            match fields.get("expr") {
                Some(value) => Ok(Input::Javascript(expr(
                    place,
                    &format!("{name}.expr"),
                    value,
                )?)),
                None => place.wrong(format!("{name}.expr is missing")),
            }
        }
        Some("ai") => place.wrong(format!(
            "{name}.type 'ai' is not supported; use static or javascript"
        )),
        _ => place.wrong(format!("{name}.type must be static or javascript")),
    }
}

/// An input that is a number of seconds, or becomes one; a bare number is taken too.
pub(super) fn secs(
    place: &Place,
    fields: &Map<String, Value>,
    name: &str,
) -> Result<Option<Input>, Invalid> {
    let number = |value: &Value| {
        value
            .as_f64()
            .is_some_and(|secs| (0.0..=MAX_SECS as f64).contains(&secs))
    };
    let wrong = || {
        place.wrong(format!(
            "{name} must be a number of seconds from 0 to {MAX_SECS}"
        ))
    };
    match given(fields, name) {
        None => Ok(None),
        Some(value @ Value::Number(_)) if number(value) => {
            Ok(Some(Input::Static(value.to_string())))
        }
        Some(Value::Number(_)) => wrong(),
        Some(value) => {
            let input = input(place, name, value)?;
            match &input {
                Input::Static(text) => match serde_json::from_str(text).unwrap_or_default() {
                    Value::Null => Ok(None),
                    value if number(&value) => Ok(Some(input)),
                    _ => wrong(),
                },
                Input::Javascript(_) => Ok(Some(input)),
            }
        }
    }
}
