//! When a failed job is run again, and what is called when it has failed for good (windmill-facts §5). The queue
//! applies both.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    parts::MAX_SECS,
    read::{self, Fields},
};
use crate::{
    queue::{self, Constant, ErrorHandler, Exponential, RetryPolicy},
    types::{Invalid, ObjectPath},
};

/// When a failed job is run again (windmill-facts §5).
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Retry {
    /// First: so many times at equal distance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constant: Option<ConstantRetry>,
    /// Then: so many times at growing distance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential: Option<ExponentialRetry>,
    /// Only while this holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_if: Option<RetryIf>,
}

/// Retries at equal distance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConstantRetry {
    /// How many.
    pub attempts: u32,
    /// Seconds between two.
    pub seconds: u32,
}

/// Retries at growing distance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ExponentialRetry {
    /// How many.
    pub attempts: u32,
    /// Factor of every wait.
    pub multiplier: u32,
    /// The base of the growth, in seconds.
    #[schema(minimum = 1)]
    pub seconds: u32,
    /// Jitter in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub random_factor: Option<u32>,
}

/// A JavaScript condition on `result` and `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RetryIf {
    /// The expression.
    pub expr: String,
}

/// A script or a flow that is called when a job has failed for good: Windmill's bare path of a script, or
/// `script/<path>` or `flow/<path>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerPath {
    /// Where it is saved.
    pub path: ObjectPath,
    /// A flow, else a script.
    pub is_flow: bool,
    text: String,
}

impl Serialize for HandlerPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl HandlerPath {
    pub(super) fn read(place: &str, value: &Value) -> Result<Self, Invalid> {
        let text = read::text(place, value)?;
        let (is_flow, path) = match text.split_once('/') {
            Some(("flow", path)) => (true, path),
            Some(("script", path)) => (false, path),
            _ => (false, text.as_str()),
        };
        let path = path
            .parse()
            .map_err(|error: Invalid| read::invalid(place, &error.0))?;
        Ok(Self {
            path,
            is_flow,
            text,
        })
    }

    /// As the queue calls it.
    pub(super) fn with(&self, args: Map<String, Value>) -> ErrorHandler {
        ErrorHandler {
            path: self.path.to_string(),
            is_flow: self.is_flow,
            args,
        }
    }
}

impl Retry {
    /// As the queue applies it; none when nothing is ever run again.
    #[must_use]
    pub fn policy(&self) -> Option<RetryPolicy> {
        let policy = RetryPolicy {
            constant: self.constant.as_ref().map(|constant| Constant {
                attempts: constant.attempts,
                seconds: constant.seconds,
            }),
            exponential: self.exponential.as_ref().map(|growing| Exponential {
                attempts: growing.attempts,
                multiplier: growing.multiplier,
                seconds: growing.seconds,
                random_factor: growing.random_factor,
            }),
            retry_if: self.retry_if.as_ref().map(|condition| queue::RetryIf {
                expr: condition.expr.clone(),
            }),
        };
        Some(policy).filter(|policy| policy.retries() > 0)
    }

    /// Reads one that stands at `place`.
    ///
    /// # Errors
    /// Names the field below `place` that does not fit.
    pub fn read(place: &str, value: &Value) -> Result<Self, Invalid> {
        let count = |place: &str, value: &Value| read::whole(place, value, 0..=10_000);
        let secs = |place: &str, value: &Value| read::whole(place, value, 0..=MAX_SECS);
        let fields = Fields::at(place.to_owned(), value)?;
        Ok(Self {
            constant: fields.may("constant", |place, value| {
                let fields = Fields::at(place.to_owned(), value)?;
                Ok(ConstantRetry {
                    attempts: fields.may("attempts", count)?.unwrap_or(0),
                    seconds: fields.may("seconds", secs)?.unwrap_or(0),
                })
            })?,
            exponential: fields.may("exponential", |place, value| {
                let fields = Fields::at(place.to_owned(), value)?;
                Ok(ExponentialRetry {
                    attempts: fields.may("attempts", count)?.unwrap_or(0),
                    multiplier: fields.may("multiplier", count)?.unwrap_or(1),
                    seconds: fields
                        .may("seconds", |place, value| {
                            read::whole(place, value, 1..=MAX_SECS)
                        })?
                        .unwrap_or(1),
                    random_factor: fields.may("random_factor", |place, value| {
                        read::whole(place, value, 0..=100)
                    })?,
                })
            })?,
            retry_if: fields.may("retry_if", |place, value| {
                let fields = Fields::at(place.to_owned(), value)?;
                let expr = fields.need("expr", read::text)?;
                Ok(RetryIf { expr })
            })?,
        })
    }
}
