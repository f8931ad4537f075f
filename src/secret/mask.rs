//! [`Masks`]: the secrets a running job has read, to be kept out of what it prints. The API notes a value when a
//! job's token reads it; the worker of the same process asks for them whenever it stores a piece of the log.
//!
//! Bounded: only jobs that run here are noted for, each up to a bound. What another process's API gives away it writes
//! down (`db::job_secret`), and the worker notes it here before it asks.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use parking_lot::Mutex;

use crate::types::JobId;

/// What stands in a secret's place.
const MASK: &str = "***";
/// Shorter values are no secrets: masking `1` or `ok` would only make logs unreadable.
const SHORTEST: usize = 4;
/// Secrets that are kept of one job.
const MOST: usize = 100;

static RUNNING: LazyLock<Mutex<HashMap<JobId, Vec<Arc<str>>>>> = LazyLock::new(Mutex::default);

/// A job that runs here; dropped, what it has read is forgotten.
#[derive(Debug)]
pub(crate) struct Watch(JobId);

impl Watch {
    /// From now on secrets that `job` reads are noted.
    pub(crate) fn begin(job: JobId) -> Self {
        RUNNING.lock().insert(job, Vec::new());
        Self(job)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        RUNNING.lock().remove(&self.0);
    }
}

/// Notes that `job` has read the secret `value`; answers whether it runs here.
pub(crate) fn note(job: JobId, value: &str) -> bool {
    let mut running = RUNNING.lock();
    let Some(values) = running.get_mut(&job) else {
        return false;
    };
    // Logs come in lines: each line of a key file is a secret of its own.
    for part in std::iter::once(value).chain(value.lines()) {
        let part = part.trim();
        let known = values.iter().any(|value| **value == *part);
        if part.len() >= SHORTEST && !known && values.len() < MOST {
            values.push(part.into());
        }
    }
    // The longest first: it may hold another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    true
}

/// The secrets one job has read.
#[derive(Debug, Default)]
pub(crate) struct Masks(Vec<Arc<str>>);

impl Masks {
    /// Those `job` has read by now.
    pub(crate) fn of(job: JobId) -> Self {
        Self(RUNNING.lock().get(&job).cloned().unwrap_or_default())
    }

    /// `text` with a mask in place of each secret.
    pub(crate) fn apply(&self, mut text: String) -> String {
        for value in &self.0 {
            if text.contains(&**value) {
                text = text.replace(&**value, MASK);
            }
        }
        text
    }

    /// The same for JSON, in which a text may be written with escapes.
    pub(crate) fn apply_to_json(&self, json: String) -> String {
        let mut json = self.apply(json);
        for value in &self.0 {
            let quoted = serde_json::Value::from(&**value).to_string();
            let inner = &quoted[1..quoted.len() - 1];
            if inner != &**value && json.contains(inner) {
                json = json.replace(inner, MASK);
            }
        }
        json
    }

    /// How many bytes at the end of `text` may be the beginning of a secret.
    pub(crate) fn begun(&self, text: &[u8]) -> usize {
        let of = |value: &Arc<str>| {
            let value = value.as_bytes();
            let most = (value.len() - 1).min(text.len());
            (1..=most)
                .rev()
                .find(|length| text.ends_with(&value[..*length]))
        };
        self.0.iter().filter_map(of).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_while_their_job_runs() {
        let job = JobId::next();
        assert!(!note(job, "too early"));
        let watch = Watch::begin(job);
        for value in [
            "s3cret",
            "line one\nline two\n",
            "ok",
            "a\"b\"c",
            "s3cret-and-more",
        ] {
            note(job, value);
        }
        let masks = Masks::of(job);
        let text = "s3cret-and-more s3cret line two ok too early";
        assert_eq!(masks.apply(text.to_owned()), "*** *** *** ok too early");
        assert_eq!(
            masks.apply_to_json(r#"{"m":"a\"b\"c s3cret"}"#.to_owned()),
            r#"{"m":"*** ***"}"#
        );
        for (text, begun) in [
            ("x s3c", 3),
            ("x s3cret", 6),
            ("x", 0),
            ("", 0),
            ("line on", 7),
        ] {
            assert_eq!(masks.begun(text.as_bytes()), begun, "{text}");
        }
        drop(watch);
        assert_eq!(Masks::of(job).apply("s3cret".to_owned()), "s3cret");
    }
}
