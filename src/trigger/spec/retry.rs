//! When a failed job is run again: Windmill's retry object (windmill-facts §5). The queue applies it.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    parts::MAX_SECS,
    read::{self, Fields},
};
use crate::types::Invalid;

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

impl Retry {
    pub(super) fn read(place: &str, value: &Value) -> Result<Self, Invalid> {
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
