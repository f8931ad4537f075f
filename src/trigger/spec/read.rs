//! Reads settings out of JSON with errors that name the field and say what was expected.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use crate::types::{Invalid, ObjectPath};

/// An object and where it stands; at the top `place` is empty.
pub(super) struct Fields<'a> {
    place: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The body itself.
    pub(super) fn top(map: &'a Map<String, Value>) -> Self {
        Self {
            place: String::new(),
            map,
        }
    }

    /// The object `value` found at `place`.
    pub(super) fn at(place: String, value: &'a Value) -> Result<Self, Invalid> {
        let map = object(&place, value)?;
        Ok(Self { place, map })
    }

    /// Where `field` stands.
    pub(super) fn place(&self, field: &str) -> String {
        if self.place.is_empty() {
            field.to_owned()
        } else {
            format!("{}.{field}", self.place)
        }
    }

    /// Refuses fields that are not `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Invalid> {
        match self.map.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(unknown) => Err(invalid(
                &self.place,
                &format!("unknown field '{unknown}'; expected {}", known.join(", ")),
            )),
        }
    }

    /// A required field.
    pub(super) fn need<T>(
        &self,
        field: &str,
        read: impl FnOnce(&str, &'a Value) -> Result<T, Invalid>,
    ) -> Result<T, Invalid> {
        match self.map.get(field) {
            Some(value) => read(&self.place(field), value),
            None if self.place.is_empty() => Err(Invalid(format!("missing field {field}"))),
            None => Err(invalid(&self.place, &format!("missing field {field}"))),
        }
    }

    /// An optional field; `null` counts as left out.
    pub(super) fn may<T>(
        &self,
        field: &str,
        read: impl FnOnce(&str, &'a Value) -> Result<T, Invalid>,
    ) -> Result<Option<T>, Invalid> {
        match self.map.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(&self.place(field), value).map(Some),
        }
    }
}

/// `place: what`.
pub(super) fn invalid(place: &str, what: &str) -> Invalid {
    Invalid(format!("{place}: {what}"))
}

fn wrong_type(place: &str, expected: &str, value: &Value) -> Invalid {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    invalid(place, &format!("expected {expected}, got {got}"))
}

pub(super) fn text(place: &str, value: &Value) -> Result<String, Invalid> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(wrong_type(place, "a string", value)),
    }
}

pub(super) fn flag(place: &str, value: &Value) -> Result<bool, Invalid> {
    value
        .as_bool()
        .ok_or_else(|| wrong_type(place, "true or false", value))
}

pub(super) fn object<'a>(place: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Invalid> {
    value
        .as_object()
        .ok_or_else(|| wrong_type(place, "an object", value))
}

pub(super) fn array<'a>(place: &str, value: &'a Value) -> Result<&'a Vec<Value>, Invalid> {
    value
        .as_array()
        .ok_or_else(|| wrong_type(place, "an array", value))
}

/// An array of at most `max` items, each read with its own place.
pub(super) fn items<T>(
    place: &str,
    value: &Value,
    max: usize,
    read: impl Fn(&str, &Value) -> Result<T, Invalid>,
) -> Result<Vec<T>, Invalid> {
    let items = array(place, value)?;
    if items.len() > max {
        return Err(invalid(place, &format!("has more than {max} items")));
    }
    items
        .iter()
        .enumerate()
        .map(|(index, item)| read(&format!("{place}[{index}]"), item))
        .collect()
}

pub(super) fn path(place: &str, value: &Value) -> Result<ObjectPath, Invalid> {
    text(place, value)?
        .parse()
        .map_err(|error: Invalid| invalid(place, &error.0))
}

/// A whole number in `range`.
pub(super) fn whole<T: TryFrom<u64>>(
    place: &str,
    value: &Value,
    range: RangeInclusive<u64>,
) -> Result<T, Invalid> {
    let expected = format!("a whole number from {} to {}", range.start(), range.end());
    let Value::Number(number) = value else {
        return Err(wrong_type(place, &expected, value));
    };
    number
        .as_u64()
        .filter(|number| range.contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| invalid(place, &format!("expected {expected}, got {number}")))
}

/// A number in `range`.
pub(super) fn rate(
    place: &str,
    value: &Value,
    range: RangeInclusive<f64>,
) -> Result<Number, Invalid> {
    let expected = format!("a number from {} to {}", range.start(), range.end());
    let Value::Number(number) = value else {
        return Err(wrong_type(place, &expected, value));
    };
    if number.as_f64().is_some_and(|rate| range.contains(&rate)) {
        Ok(number.clone())
    } else {
        Err(invalid(
            place,
            &format!("expected {expected}, got {number}"),
        ))
    }
}

/// One of the texts of an enum; `choices` lists them for the error.
pub(super) fn choice<T: DeserializeOwned>(
    place: &str,
    value: &Value,
    choices: &str,
) -> Result<T, Invalid> {
    let text = text(place, value)?;
    serde_json::from_value(value.clone())
        .map_err(|_| invalid(place, &format!("'{text}' is not one of: {choices}")))
}
