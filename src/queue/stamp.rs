//! What a job carries of its script's settings: `priority` in its own column; `delete_after_secs` and `labels` in the
//! column `raw`, so that a job of a script without them costs nothing; and how `envs` is read. Pure.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Job;

/// The settings that go with a job.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Stamp {
    delete_after_secs: Option<i64>,
    labels: Option<Vec<String>>,
    priority: Option<i32>,
}

/// Most variables that a script adds to its environment, and longest one.
const ENVS: usize = 100;
const ENV_BYTES: usize = 32 * 1024;
/// Windmill's priorities go to 100; that one is kept for what connections wait for.
const MOST_PRIORITY: i32 = 99;

impl Stamp {
    /// From the settings of a script as they are stored.
    pub(super) fn stored(settings: &str) -> Self {
        let names = ["\"delete_after_secs\"", "\"labels\"", "\"priority\""];
        if !names.iter().any(|name| settings.contains(name)) {
            return Self::default();
        }
        serde_json::from_str(settings).unwrap_or_default()
    }

    /// Puts it on a new job. A priority that was given with the job counts more.
    pub(super) fn put_on(&self, job: &mut Job) {
        if let Some(priority) = self.priority.filter(|_| job.priority == 0) {
            job.priority = priority.clamp(0, MOST_PRIORITY);
        }
        let labels = self.labels.as_ref().filter(|labels| !labels.is_empty());
        if self.delete_after_secs.is_none() && labels.is_none() {
            return;
        }
        let parsed = job.raw.as_deref().map(serde_json::from_str);
        let mut fields: Map<String, Value> = parsed.and_then(Result::ok).unwrap_or_default();
        if let Some(secs) = self.delete_after_secs {
            // A step of a flow may have its own.
            let known = fields.get("delete_after_secs").and_then(Value::as_i64);
            let secs = secs.min(known.unwrap_or(i64::MAX));
            fields.insert("delete_after_secs".to_owned(), secs.into());
        }
        if let Some(labels) = labels {
            fields.insert("labels".to_owned(), labels.clone().into());
        }
        job.raw = Some(Value::Object(fields).to_string());
    }
}

/// The names and values of a script's `envs`, a list of `NAME=value`.
///
/// # Errors
/// Another shape, or a name that no environment has.
pub(crate) fn script_envs(envs: &Value) -> Result<Vec<(String, String)>, String> {
    let list = envs.as_array().ok_or("expected a list of NAME=value")?;
    let read = |(index, env): (usize, &Value)| {
        let (name, value) = env.as_str().and_then(|env| env.split_once('='))?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let fits = !name.is_empty()
            && name.chars().all(word)
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !value.contains('\0')
            && index < ENVS
            && name.len() + value.len() <= ENV_BYTES;
        fits.then(|| (name.to_owned(), value.to_owned()))
    };
    let read = list.iter().enumerate().map(|one| {
        read(one).ok_or_else(|| {
            format!(
                "[{}]: expected NAME=value, at most {ENVS} of up to {ENV_BYTES} bytes",
                one.0
            )
        })
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_not_there_cost_nothing() {
        assert!(Stamp::stored(r#"{"cache_ttl": 1}"#).labels.is_none());
        let stamp = Stamp::stored(r#"{"labels": ["a"], "delete_after_secs": 0, "priority": 100}"#);
        assert_eq!(stamp.labels.unwrap(), ["a"]);
        assert_eq!(
            (stamp.delete_after_secs, stamp.priority),
            (Some(0), Some(100))
        );
    }
}
