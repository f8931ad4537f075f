//! What a job carries besides what it runs: column `options` of the queue, a JSON object. Pure.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The options of a job. What is left out is not stored; a job without any stores nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// The message a held job was made of, so that its arguments can be made anew when it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<HeldMessage>,
}

/// What of a message does not stand in the arguments of a held job, which are `{"msg": text}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldMessage {
    /// The trigger's URL as configured when the message came.
    pub(super) url: Arc<str>,
    /// Whether the text stands for a binary message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_base64: bool,
}

impl Options {
    /// The options in a column.
    pub(super) fn read(column: Option<&str>) -> Self {
        column
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// The column; none when there is nothing to keep.
    pub(super) fn column(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        serde_json::to_string(self).ok()
    }
}
