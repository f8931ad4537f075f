//! [`Sample`]: a message as people who follow a trigger see it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::types::Timestamp;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It becomes a job.
    Matched,
    /// The filters did not want it.
    Unmatched,
    /// A conversation rule kept it.
    Handled,
    /// A rule dropped it.
    Dropped,
}

impl Verdict {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Unmatched => "unmatched",
            Self::Handled => "handled",
            Self::Dropped => "dropped",
        }
    }
}

/// A message as people who follow a trigger see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    /// The trigger's workspace.
    pub workspace: Arc<str>,
    /// The trigger's path.
    pub path: Arc<str>,
    /// When it came.
    pub at: Timestamp,
    /// Its first 4 KiB.
    pub text: Arc<str>,
    /// Its whole length.
    pub bytes: usize,
    /// What became of it.
    pub verdict: Verdict,
    /// Messages not shown since the one before.
    pub skipped: u64,
    /// Why the filters want it or not, where that is told.
    pub why: Option<Value>,
}
