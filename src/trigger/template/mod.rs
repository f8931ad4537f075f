//! Texts with holes: URLs, headers and messages a trigger sends (contract §3).
//!
//! The trigger's plan holds them parsed; the socket renders them. Pure: the clock, the counter, stored values and the
//! values of `$var:` variables are handed in.
//!
//! - A text without `{{` is sent as it is, but for its `$var:<path>` references.
//! - With `{{` it is a minijinja template. Statements (`{% if %}`, `{% for %}`, `{% set %}`) and comments are part of
//!   the language; there is no loader, include, macro or `namespace`. Fuel bounds what a template can do, and all its
//!   tags together are at most 8 KiB long.
//! - `$var:<path>` is looked for in the text as saved only. A variable's value, like every value, is handed to the
//!   engine as a value: nothing that comes from outside is ever read as a template or as another reference.
//! - An object is written with its keys sorted, a number of more than 64 bits inside one as the nearest double.
//! - A path ends where its letters, digits, `_`, `-` and `/` end. Inside a tag a reference is a whole string:
//!   `{{ "$var:u/admin/token"|urlencode }}`.

mod reference;
mod render;

#[cfg(test)]
mod mutated;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::value::RawValue;

use self::reference::Piece;
use crate::types::{Invalid, ObjectPath};

pub use reference::{variable_only, variables_in};

/// Longest text a template renders to: a handshake or a subscription is far smaller, and it stays in memory at once.
const MAX_OUTPUT_BYTES: usize = 1024 * 1024;

/// Where a text is used; it decides how a value is written and what must not appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A message: values are JSON, what is missing is `null`.
    Message,
    /// The URL: values are text, what is missing is empty; no control characters.
    Url,
    /// A header's value: values are text, what is missing is empty; no control characters.
    Header,
}

/// Counts 1, 2, 3 … for `{{counter()}}`; one for each connection. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

/// What a template may show. A field left out is missing in the template.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'a> {
    /// `{{state}}`: the heartbeat's last state value.
    pub state: Option<&'a RawValue>,
    /// `{{vars.name}}`: what the conversation stored.
    pub vars: Option<&'a BTreeMap<String, Box<RawValue>>>,
    /// `{{counter()}}` counts on this one.
    pub counter: Option<&'a Counter>,
    /// `{{now_ms()}}`: milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// `{{msg.a.b}}`: the message that is answered; a text that is not JSON is one string.
    pub msg: Option<&'a str>,
    /// The values of the variables [`Template::variables`] names.
    pub variables: Option<&'a BTreeMap<ObjectPath, String>>,
}

/// Why a text could not be rendered. Never quotes a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The caller did not hand in this variable.
    #[error("variable '{0}' is not available")]
    Variable(ObjectPath),
    /// The engine stopped: a bad operation, an unknown name, or more work than is allowed.
    #[error("template: {0}")]
    Template(String),
    /// The text is longer than 1 MiB.
    #[error("the rendered text is longer than {MAX_OUTPUT_BYTES} bytes")]
    TooLong,
    /// A header's value or a URL must not hold this.
    #[error(
        "the rendered text holds a control character (U+{0:04X}), which a header or URL must not"
    )]
    Control(u32),
}

/// A text with its references and holes found.
#[derive(Debug, Clone)]
pub struct Template {
    place: Place,
    variables: Vec<ObjectPath>,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    Plain(Vec<Piece>),
    Engine(Box<render::Engine>),
}

impl Template {
    /// Reads a text as it was saved.
    ///
    /// # Errors
    /// When the template or a `$var:` reference in it does not parse.
    pub fn parse(text: &str, place: Place) -> Result<Self, Invalid> {
        let mut variables = Vec::new();
        let body = if text.contains("{{") {
            let source = reference::rewrite(text, &mut variables)?;
            Body::Engine(Box::new(render::Engine::new(source, place)?))
        } else {
            Body::Plain(reference::pieces(text, &mut variables)?)
        };
        Ok(Self {
            place,
            variables,
            body,
        })
    }

    /// The variables to hand in as [`Values::variables`], each once.
    #[must_use]
    pub fn variables(&self) -> &[ObjectPath] {
        &self.variables
    }

    /// Whether every rendering gives the text as it was saved.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        matches!(self.body, Body::Plain(_)) && self.variables.is_empty()
    }

    /// Fills in the values.
    ///
    /// # Errors
    /// See [`RenderError`].
    pub fn render(&self, values: &Values<'_>) -> Result<String, RenderError> {
        let variables = self
            .variables
            .iter()
            .map(|path| {
                values
                    .variables
                    .and_then(|variables| variables.get(path))
                    .map(String::as_str)
                    .ok_or_else(|| RenderError::Variable(path.clone()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let text = match &self.body {
            Body::Plain(pieces) => reference::join(pieces, &variables, self.place),
            Body::Engine(engine) => engine.render(values, &variables)?,
        };
        if text.len() > MAX_OUTPUT_BYTES && !self.is_literal() {
            return Err(RenderError::TooLong);
        }
        match text.chars().find(|c| c.is_control() && *c != '\t') {
            Some(control) if self.place != Place::Message => {
                Err(RenderError::Control(u32::from(control)))
            }
            _ => Ok(text),
        }
    }
}

/// A variable's value as it stands in a text: JSON-escaped (without quotes) in messages, as it is elsewhere.
fn escaped(value: &str, place: Place) -> String {
    match (place, serde_json::to_string(value)) {
        (Place::Message, Ok(quoted)) => quoted[1..quoted.len() - 1].to_owned(),
        _ => value.to_owned(),
    }
}
