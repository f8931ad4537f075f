//! What a job carries besides what it runs: column `options` of the queue, a JSON object. Pure.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::retry::RetryPolicy;

/// What is done when a job fails, and what it remembers. What is left out is not stored; a job without any stores nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// When it is run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// What is called when it has failed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_handler: Option<ErrorHandler>,
    /// Runs that have failed and were followed by another.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub(super) failed: u32,
    /// The message a held job was made of, so that its arguments can be made anew when it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<HeldMessage>,
}

/// What is called when a job has failed for good (windmill-facts §5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorHandler {
    /// Where it is saved.
    pub path: String,
    /// A flow, else a script.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_flow: bool,
    /// Its additional arguments.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
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
    /// Those of a new job.
    #[must_use]
    pub fn new(retry: Option<RetryPolicy>, error_handler: Option<ErrorHandler>) -> Self {
        Self {
            retry,
            error_handler,
            ..Self::default()
        }
    }

    /// The options in a column.
    pub(crate) fn read(column: Option<&str>) -> Self {
        column
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// The column; none when there is nothing to keep.
    #[must_use]
    pub fn column(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        serde_json::to_string(self).ok()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none_yet(failed: &u32) -> bool {
    *failed == 0
}
