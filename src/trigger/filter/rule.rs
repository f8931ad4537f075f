//! A trigger's filters as its owner wrote them: checked, bounded, and still in their own shape.
//!
//! `program` and `needle` are made from these rules, `explain` walks them. Errors name the place in the JSON.

use serde_json::{Map, Value};

use super::number;
use crate::types::Invalid;

/// Groups inside groups; the explanation of a verdict is as deep, and nobody reads a deeper one.
const MAX_GROUP_DEPTH: usize = 16;

/// Leaves of one trigger. A list of a thousand names still costs a message only a few microseconds.
const MAX_LEAVES: usize = 1_000;

/// Names in one dotted path: far above any real message, far below serde_json's own limit of 128 levels.
const MAX_PATH_SEGMENTS: usize = 32;

/// Levels inside one wanted value; the comparison recurses as deep.
const MAX_VALUE_DEPTH: usize = 32;

/// Values wanted by all leaves together, objects' and arrays' members counted: with the paths it keeps every index
/// of the compiled form within 16 bits.
const MAX_VALUES: usize = 4_096;

/// One filter: a leaf or a group.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// `{key,value}` or `{path,value}`.
    Leaf(Leaf),
    /// `{any_of}`, `{all_of}` or `{none_of}`.
    Group(Join, Vec<Rule>),
}

/// A value wanted at a place.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// Object keys from the message down; never empty.
    pub(super) path: Vec<String>,
    /// Whether the place was given as `key`, for the explanation.
    pub(super) by_key: bool,
    /// What must be there.
    pub(super) wanted: Wanted,
}

/// How the rules of a group are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// Every rule holds.
    All,
    /// At least one rule holds.
    Any,
    /// No rule holds.
    None,
}

impl Join {
    /// The group's key in JSON.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::All => "all_of",
            Self::Any => "any_of",
            Self::None => "none_of",
        }
    }
}

/// A wanted value, ready to be compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    /// `null`, present.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number by value.
    Number(number::Wanted),
    /// A string, compared after unescaping.
    Text(String),
    /// Each of these is contained in some element.
    List(Vec<Wanted>),
    /// Each of these keys is there and contains its value.
    Object(Vec<(String, Wanted)>),
}

/// Reads filters and counts against the limits.
#[derive(Default)]
pub(super) struct Reader {
    leaves: usize,
    values: usize,
}

impl Reader {
    /// Reads the list found at `place`.
    pub(super) fn rules(
        &mut self,
        place: &str,
        filters: &[Value],
        depth: usize,
    ) -> Result<Vec<Rule>, Invalid> {
        filters
            .iter()
            .enumerate()
            .map(|(index, filter)| self.rule(&format!("{place}[{index}]"), filter, depth))
            .collect()
    }

    fn rule(&mut self, place: &str, filter: &Value, depth: usize) -> Result<Rule, Invalid> {
        let Value::Object(fields) = filter else {
            return Err(at(
                place,
                "expected an object: {key,value}, {path,value}, {any_of}, {all_of} or {none_of}",
            ));
        };
        let mut groups = [Join::Any, Join::All, Join::None]
            .into_iter()
            .filter_map(|join| fields.get(join.key()).map(|rules| (join, rules)));
        let Some((join, rules)) = groups.next() else {
            return self.leaf(place, fields).map(Rule::Leaf);
        };
        if let Some(extra) = fields.keys().find(|name| *name != join.key()) {
            return Err(at(
                place,
                &format!("{} stands alone, without '{extra}'", join.key()),
            ));
        }
        if depth == MAX_GROUP_DEPTH {
            return Err(at(
                place,
                &format!("groups are nested deeper than {MAX_GROUP_DEPTH}"),
            ));
        }
        let place = format!("{place}.{}", join.key());
        match rules {
            Value::Array(rules) if rules.is_empty() => Err(at(
                &place,
                "an empty group decides nothing: give at least one filter",
            )),
            Value::Array(rules) => Ok(Rule::Group(join, self.rules(&place, rules, depth + 1)?)),
            _ => Err(at(&place, "expected an array of filters")),
        }
    }

    fn leaf(&mut self, place: &str, fields: &Map<String, Value>) -> Result<Leaf, Invalid> {
        if let Some(unknown) = fields
            .keys()
            .find(|name| !["key", "path", "value"].contains(&name.as_str()))
        {
            return Err(at(
                place,
                &format!("unknown field '{unknown}'; a filter has key or path, and value"),
            ));
        }
        self.leaves += 1;
        if self.leaves > MAX_LEAVES {
            return Err(at(
                place,
                &format!("more than {MAX_LEAVES} filters; use fewer, or filter in the script"),
            ));
        }
        let (path, by_key) = match (fields.get("key"), fields.get("path")) {
            (Some(Value::String(key)), None) => (vec![key.clone()], true),
            (None, Some(Value::String(path))) => (segments(place, path)?, false),
            (Some(_), None) => return Err(at(place, "key: expected a string")),
            (None, Some(_)) => return Err(at(place, "path: expected a string")),
            (Some(_), Some(_)) => return Err(at(place, "has both key and path; give one of them")),
            (None, None) => {
                return Err(at(place, "has neither key nor path; give one of them"));
            }
        };
        let value = fields
            .get("value")
            .ok_or_else(|| at(place, "missing field value (null is allowed)"))?;
        Ok(Leaf {
            path,
            by_key,
            wanted: self.wanted(place, value, 0)?,
        })
    }

    fn wanted(&mut self, place: &str, value: &Value, depth: usize) -> Result<Wanted, Invalid> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(at(
                place,
                &format!("the filters' values have more than {MAX_VALUES} members"),
            ));
        }
        if depth > MAX_VALUE_DEPTH {
            return Err(at(
                place,
                &format!("value: nested deeper than {MAX_VALUE_DEPTH}"),
            ));
        }
        Ok(match value {
            Value::Null => Wanted::Null,
            Value::Bool(value) => Wanted::Bool(*value),
            Value::Number(number) => Wanted::Number(
                number::Wanted::new(number).map_err(|what| at(place, &format!("value: {what}")))?,
            ),
            Value::String(text) => Wanted::Text(text.clone()),
            Value::Array(items) => Wanted::List(
                items
                    .iter()
                    .map(|item| self.wanted(place, item, depth + 1))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(fields) => Wanted::Object(
                fields
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.wanted(place, value, depth + 1)?)))
                    .collect::<Result<_, Invalid>>()?,
            ),
        })
    }
}

/// The keys of a dotted path; `place` is where it stands, for the error.
pub(super) fn segments(place: &str, path: &str) -> Result<Vec<String>, Invalid> {
    let segments: Vec<String> = path.split('.').map(str::to_owned).collect();
    if segments.iter().any(String::is_empty) {
        return Err(at(
            place,
            &format!("path '{path}' has an empty segment; write it like a.b.c"),
        ));
    }
    if segments.len() > MAX_PATH_SEGMENTS {
        return Err(at(
            place,
            &format!("path has more than {MAX_PATH_SEGMENTS} segments"),
        ));
    }
    Ok(segments)
}

fn at(place: &str, what: &str) -> Invalid {
    Invalid(format!("{place}: {what}"))
}
