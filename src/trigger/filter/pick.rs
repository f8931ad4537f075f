//! Values taken out of a message: a heartbeat's state, what a conversation stores.

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::{contain, explain, rule};
use crate::types::Invalid;

/// A place in a message whose value is wanted, whatever it is.
#[derive(Debug, Clone)]
pub struct Picker {
    path: Vec<String>,
    /// The last key with its quotes: a message without it, and without a backslash, has nothing to pick.
    needle: Option<Finder<'static>>,
}

impl Picker {
    /// A top-level field, whatever characters its name has.
    #[must_use]
    pub fn key(key: &str) -> Self {
        Self::new(vec![key.to_owned()])
    }

    /// A dotted path like `d.session_id`; it does not cross arrays. `place` names the setting in the error.
    ///
    /// # Errors
    /// When a segment is empty or there are more than 32.
    pub fn path(place: &str, path: &str) -> Result<Self, Invalid> {
        rule::segments(place, path).map(Self::new)
    }

    fn new(path: Vec<String>) -> Self {
        let needle = path
            .last()
            .and_then(|key| serde_json::to_string(key).ok())
            .filter(|quoted| !quoted.contains('\\'))
            .map(|quoted| Finder::new(&quoted).into_owned());
        Self { path, needle }
    }

    /// The value, as it is written, in a message that is one whole, valid JSON object.
    /// A present `null` is a value.
    #[must_use]
    pub fn pick<'m>(&self, message: &'m str) -> Option<&'m RawValue> {
        if let Some(needle) = &self.needle
            && needle.find(message.as_bytes()).is_none()
            && memchr::memchr(b'\\', message.as_bytes()).is_none()
        {
            return None;
        }
        let text = contain::lookup(explain::object(message)?, &self.path)?;
        serde_json::from_str(text).ok()
    }
}
