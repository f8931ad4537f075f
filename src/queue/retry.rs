//! When a failed job is run again: Windmill's retry object (windmill-facts §5). Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest wait between two runs, in seconds: a week. Exponential waits meet it after some twenty runs.
const MAX_WAIT_SECS: f64 = 7.0 * 24.0 * 3600.0;

/// When a failed job is run again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// First: so many times at equal distance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<Constant>,
    /// Then: so many times at growing distance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exponential: Option<Exponential>,
    /// Only while this holds; whoever runs the job evaluates it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_if: Option<RetryIf>,
}

/// Runs at equal distance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constant {
    /// How many.
    #[serde(default)]
    pub attempts: u32,
    /// Seconds between two.
    #[serde(default)]
    pub seconds: u32,
}

/// Runs at growing distance: the n-th waits `multiplier` × `seconds`ⁿ, where n counts the constant ones too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exponential {
    /// How many.
    #[serde(default)]
    pub attempts: u32,
    /// Factor of every wait.
    #[serde(default = "one")]
    pub multiplier: u32,
    /// The base of the growth, in seconds.
    #[serde(default = "one")]
    pub seconds: u32,
    /// Each wait is longer or shorter by up to so many percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_factor: Option<u32>,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryIf {
    /// JavaScript, on `result` and `error`.
    pub expr: String,
}

fn one() -> u32 {
    1
}

impl RetryPolicy {
    /// How long to wait after the `failed`-th run has failed, the first being 1; none = that was the last one.
    /// `chance`, from 0 to 1, decides where within `random_factor` the wait is.
    #[must_use]
    pub fn wait(&self, failed: u32, chance: f64) -> Option<Duration> {
        let constant = self.constant.as_ref();
        let first = constant.map_or(0, |constant| constant.attempts);
        if let Some(constant) = constant.filter(|_| failed <= first) {
            return Some(Duration::from_secs(constant.seconds.into()));
        }
        let growing = self.exponential.as_ref()?;
        if failed - first > growing.attempts {
            return None;
        }
        let growth = f64::from(growing.seconds).powi(i32::try_from(failed).unwrap_or(i32::MAX));
        let jitter = f64::from(growing.random_factor.unwrap_or(0)) / 100.0;
        let secs = f64::from(growing.multiplier) * growth * (1.0 + (chance * 2.0 - 1.0) * jitter);
        Some(Duration::from_secs_f64(secs.clamp(0.0, MAX_WAIT_SECS)))
    }

    /// How many runs there may be besides the first.
    #[must_use]
    pub fn retries(&self) -> u32 {
        let constant = self.constant.as_ref().map_or(0, |some| some.attempts);
        let growing = self.exponential.as_ref().map_or(0, |some| some.attempts);
        constant.saturating_add(growing)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn waits(policy: &serde_json::Value, chance: f64) -> Vec<f64> {
        let policy: RetryPolicy = serde_json::from_value(policy.clone()).unwrap();
        let waits = (1..).map_while(|failed| policy.wait(failed, chance));
        let waits: Vec<f64> = waits.take(50).map(|wait| wait.as_secs_f64()).collect();
        assert_eq!(
            u32::try_from(waits.len()).unwrap(),
            policy.retries().min(50)
        );
        waits
    }

    #[test]
    fn waits_of_each_kind() {
        let constant = json!({"attempts": 2, "seconds": 5});
        let growing = json!({"attempts": 3, "multiplier": 3, "seconds": 2});
        for (policy, wanted) in [
            (json!({}), vec![]),
            (json!({"retry_if": {"expr": "true"}}), vec![]),
            (json!({ "constant": constant }), vec![5.0, 5.0]),
            (json!({"constant": {"attempts": 0, "seconds": 5}}), vec![]),
            (json!({ "exponential": growing }), vec![6.0, 12.0, 24.0]),
            // The n of the growth counts the constant ones too.
            (
                json!({"constant": constant, "exponential": growing}),
                vec![5.0, 5.0, 24.0, 48.0, 96.0],
            ),
            (json!({"exponential": {"attempts": 2}}), vec![1.0, 1.0]),
            (json!({"constant": {"attempts": 1}}), vec![0.0]),
        ] {
            assert_eq!(waits(&policy, 0.9), wanted, "{policy}");
        }
    }

    #[test]
    fn jitter_and_the_longest_wait() {
        let policy = json!({"exponential": {"attempts": 1, "multiplier": 10, "seconds": 10, "random_factor": 50}});
        for (chance, secs) in [(0.0, 50.0), (0.5, 100.0), (1.0, 150.0)] {
            assert_eq!(waits(&policy, chance), [secs]);
        }
        let long =
            json!({"exponential": {"attempts": 10_000, "multiplier": 1000, "seconds": 1000}});
        assert_eq!(*waits(&long, 0.5).last().unwrap(), MAX_WAIT_SECS);
    }
}
