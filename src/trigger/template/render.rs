//! The engine behind `{{ }}`: minijinja, with a budget, without anything that reaches outside.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    io::{self, Write},
};

use minijinja::{Environment, ErrorKind, Output, UndefinedBehavior, Value, syntax::SyntaxConfig};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{MAX_OUTPUT_BYTES, Place, RenderError, Values, escaped};
use crate::types::Invalid;

/// Steps of one rendering; a byte of output is 1/64 step. Enough for 1 MiB of text and a loop over a thousand
/// values, and a template that never ends is stopped after a few milliseconds.
const FUEL: u64 = 50_000;

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Name of the one template in an environment; without an extension nothing is escaped as HTML.
const NAME: &str = "text";

/// A template ready to render.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    environment: Environment<'static>,
    place: Place,
    /// Building the message's value is the dearest part: only for a template that mentions it.
    uses_msg: bool,
}

impl Engine {
    /// Parses `source`, whose references are already names, and tries it without values so that a misspelt filter or
    /// function is found when it is saved.
    pub(super) fn new(source: String, place: Place) -> Result<Self, Invalid> {
        let invalid = |error: &minijinja::Error| Invalid(format!("template: {}", message(error)));
        let uses_msg = source.contains("msg");
        let mut environment = Environment::new();
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_fuel(Some(FUEL));
        environment.set_formatter(move |out, _, value| write_value(out, value, place));
        environment.add_filter("raw", raw);
        environment.add_filter("urlencode", urlencode);
        // With it a loop could nest a value without end; see the bound on tags in `reference`.
        environment.remove_global("namespace");
        environment
            .add_template_owned(NAME, source)
            .map_err(|error| invalid(&error))?;
        let engine = Self {
            environment,
            place,
            uses_msg,
        };
        match engine.run(&Values::default(), &[]) {
            Err(error) if is_misspelt(&error) => Err(invalid(&error)),
            _ => Ok(engine),
        }
    }

    /// Renders with `values`; `variables` are the references' values in order.
    pub(super) fn render(
        &self,
        values: &Values<'_>,
        variables: &[&str],
    ) -> Result<String, RenderError> {
        self.run(values, variables)
            .map_err(|error| match error.kind() {
                ErrorKind::WriteFailure => RenderError::TooLong,
                _ => RenderError::Template(message(&error)),
            })
    }

    fn run(&self, values: &Values<'_>, variables: &[&str]) -> Result<String, minijinja::Error> {
        let mut output = Limited(Vec::new());
        self.environment
            .get_template(NAME)?
            .render_captured_to(self.context(values, variables), &mut output)?;
        String::from_utf8(output.0)
            .map_err(|_| minijinja::Error::new(ErrorKind::BadSerialization, "not UTF-8"))
    }

    fn context(&self, values: &Values<'_>, variables: &[&str]) -> Value {
        let mut pairs: Vec<(String, Value)> = Vec::with_capacity(6 + 2 * variables.len());
        let mut name = |name: &str, value: Value| pairs.push((name.to_owned(), value));
        let counter = values.counter.cloned().unwrap_or_default();
        let now_ms = values.now_ms;
        name("counter", Value::from_function(move || counter.next()));
        name("now_ms", Value::from_function(move || now_ms));
        name("__open", Value::from_safe_string("{".to_owned()));
        if let Some(state) = values.state {
            name("state", json(state));
        }
        if let Some(vars) = values.vars {
            let vars = vars.iter().map(|(name, value)| (name.clone(), json(value)));
            name("vars", Value::from_pairs(vars));
        }
        if let Some(msg) = values.msg.filter(|_| self.uses_msg) {
            let value = first_of_each(msg).unwrap_or_else(|| Value::from(msg));
            name("msg", value);
        }
        for (index, value) in variables.iter().enumerate() {
            let safe = Value::from_safe_string(escaped(value, self.place));
            name(&format!("__var_{index}"), safe);
            name(&format!("__plain_{index}"), Value::from(*value));
        }
        Value::from_pairs(pairs)
    }
}

/// A JSON value for the engine; an integer keeps every digit up to 128 bits.
fn json(value: &RawValue) -> Value {
    let text = value.get();
    match text.parse::<i128>() {
        Ok(integer) => Value::from(integer),
        Err(_) => first_of_each(text).unwrap_or(Value::UNDEFINED),
    }
}

/// A JSON text for the engine. Of duplicate keys the first counts, as in filters (contract section 4).
fn first_of_each(text: &str) -> Option<Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = FirstOfEach.deserialize(&mut json).ok()?;
    json.end().ok().map(|()| value)
}

struct FirstOfEach;

impl<'de> DeserializeSeed<'de> for FirstOfEach {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FirstOfEach {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::from(()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(Value::from(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = BTreeMap::new();
        while let Some(key) = fields.next_key::<String>()? {
            match object.entry(key) {
                Entry::Vacant(first) => {
                    first.insert(fields.next_value_seed(Self)?);
                }
                Entry::Occupied(_) => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::from(object))
    }
}

/// `|raw`: a string without its quotes, in a message too.
fn raw(value: &Value) -> Value {
    match value.as_str() {
        Some(text) => Value::from_safe_string(text.to_owned()),
        None => value.clone(),
    }
}

/// `|urlencode`: fit for any place in a URL. The engine's own leaves `/` alone, which ends a user's name or a password
/// and lets a value add steps to a path.
fn urlencode(value: &Value) -> String {
    match value.as_str() {
        _ if value.is_undefined() || value.is_none() => String::new(),
        Some(text) => utf8_percent_encode(text, RESERVED).to_string(),
        None => utf8_percent_encode(&value.to_string(), RESERVED).to_string(),
    }
}

/// Writes what `{{ }}` gives.
fn write_value(out: &mut Output, value: &Value, place: Place) -> Result<(), minijinja::Error> {
    let text = match place {
        Place::Message if value.is_undefined() => return Ok(out.write_str("null")?),
        Place::Message => value.as_str().filter(|_| value.is_safe()),
        Place::Url | Place::Header if value.is_undefined() || value.is_none() => return Ok(()),
        Place::Url | Place::Header => value.as_str(),
    };
    match text {
        Some(text) => out.write_str(text)?,
        None => {
            let mut json = Limited(Vec::new());
            serde_json::to_writer(&mut json, value).map_err(|error| {
                let kind = if error.is_io() {
                    ErrorKind::WriteFailure
                } else {
                    ErrorKind::BadSerialization
                };
                minijinja::Error::new(kind, "value has no JSON form")
            })?;
            out.write_str(&String::from_utf8_lossy(&json.0))?;
        }
    }
    Ok(())
}

/// A filter, function or test that does not exist: wrong whatever the values are.
fn is_misspelt(error: &minijinja::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest
    )
}

/// The engine's complaint without its place in our own names; it quotes no value.
fn message(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" (line {line})"));
    let detail = error.detail().map(|detail| format!(": {detail}"));
    format!(
        "{}{}{}",
        error.kind(),
        detail.unwrap_or_default(),
        line.unwrap_or_default()
    )
}

/// Output that ends with an error past the limit.
struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT_BYTES {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
