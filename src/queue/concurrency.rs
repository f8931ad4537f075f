//! How many runs of a script may happen at once: `concurrent_limit`, `concurrency_key`, `concurrency_time_window_s`, as
//! they stand among a script's settings. Pure; `lanes` keeps to it.

use std::{borrow::Cow, time::Duration};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::types::Invalid;

/// Longest key that is kept as it is; of a longer one (an argument may be a whole message) the end becomes a hash.
const KEY_BYTES: usize = 255;
/// Most runs at once, and longest window in seconds (a year): larger is a mistake.
const LIMITS: (u64, u64) = (1_000_000, 31_536_000);

/// A script's limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConcurrencyLimit {
    /// Runs that may count at once.
    pub runs: u32,
    /// A run counts while it lasts and for so long after its end.
    pub window: Duration,
    /// Which runs count together; a script's own ones when there is none. `$workspace` and `$args[name]` are replaced.
    pub key: Option<String>,
}

impl ConcurrencyLimit {
    /// Reads it from a script's settings; none when there is no limit.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn read(settings: &Map<String, Value>) -> Result<Option<Self>, Invalid> {
        let given = |name: &str| settings.get(name).filter(|value| !value.is_null());
        let number = |name: &str, range: std::ops::RangeInclusive<u64>| {
            let Some(value) = given(name) else {
                return Ok(None);
            };
            // Clients in JavaScript send 5.0 for 5.
            let whole = value.as_u64().or_else(|| {
                let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
                format!("{number:.0}").parse().ok()
            });
            match whole.filter(|number| range.contains(number)) {
                Some(number) => Ok(Some(number)),
                None => Err(Invalid(format!(
                    "{name}: expected a whole number from {} to {}",
                    range.start(),
                    range.end()
                ))),
            }
        };
        let runs = number("concurrent_limit", 1..=LIMITS.0)?;
        let window = number("concurrency_time_window_s", 0..=LIMITS.1)?;
        let key = match given("concurrency_key") {
            None => None,
            Some(Value::String(key)) => Some(key.clone()).filter(|key| !key.trim().is_empty()),
            Some(_) => return Err(Invalid("concurrency_key: expected a text".to_owned())),
        };
        Ok(runs.map(|runs| Self {
            runs: u32::try_from(runs).unwrap_or(u32::MAX),
            window: Duration::from_secs(window.unwrap_or(0)),
            key,
        }))
    }

    /// The limit in the settings as they are stored.
    pub(super) fn stored(settings: &str) -> Option<Self> {
        if !settings.contains("\"concurrent_limit\"") {
            return None;
        }
        let settings = serde_json::from_str(settings).ok()?;
        Self::read(&settings).ok().flatten()
    }

    /// The key of a run of the script at `path` with `args`, a JSON object.
    pub(super) fn key_of(&self, workspace: &str, path: &str, args: &str) -> String {
        let key = match &self.key {
            None => format!("{workspace}/script/{path}"),
            Some(template) => filled(template, workspace, args),
        };
        shortened(key)
    }
}

/// Replaces `$workspace` and `$args[a.b]`; what is replaced is not looked at again.
fn filled(template: &str, workspace: &str, args: &str) -> String {
    let mut args = (args, None);
    let mut key = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        key.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$workspace") {
            key.push_str(workspace);
            rest = after;
        } else if let Some((path, after)) = rest
            .strip_prefix("$args[")
            .and_then(|after| after.split_once(']'))
        {
            key.push_str(&argument(&mut args, path));
            rest = after;
        } else {
            key.push('$');
            rest = &rest[1..];
        }
    }
    key.push_str(rest);
    key
}

/// A value of the arguments, which are parsed at most once: a text as it is, else JSON; empty where there is none.
fn argument<'a>(args: &'a mut (&str, Option<Value>), path: &str) -> Cow<'a, str> {
    let text = args.0;
    let parse = || serde_json::from_str(text).unwrap_or_default();
    let mut value = &*args.1.get_or_insert_with(parse);
    for name in path.split('.') {
        match value.get(name.trim()) {
            Some(inner) => value = inner,
            None => return Cow::Borrowed(""),
        }
    }
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

fn shortened(key: String) -> String {
    if key.len() <= KEY_BYTES {
        return key;
    }
    let mut start = KEY_BYTES / 2;
    while !key.is_char_boundary(start) {
        start -= 1;
    }
    format!("{}…{}", &key[..start], hex::encode(Sha256::digest(&key)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(settings: &Value) -> Result<Option<ConcurrencyLimit>, String> {
        ConcurrencyLimit::read(settings.as_object().unwrap()).map_err(|error| error.0)
    }

    #[test]
    fn what_is_no_limit_and_what_is_wrong() {
        assert_eq!(read(&json!({})), Ok(None));
        assert_eq!(read(&json!({"concurrent_limit": null})), Ok(None));
        assert_eq!(read(&json!({"concurrency_time_window_s": 5})), Ok(None));
        let limit = read(
            &json!({"concurrent_limit": 2.0, "concurrency_time_window_s": 60, "concurrency_key": "x"}),
        );
        let limit = limit.unwrap().unwrap();
        assert_eq!((limit.runs, limit.window.as_secs()), (2, 60));
        for (settings, field) in [
            (json!({"concurrent_limit": 0}), "concurrent_limit: "),
            (json!({"concurrent_limit": 1.5}), "concurrent_limit: "),
            (json!({"concurrent_limit": "2"}), "concurrent_limit: "),
            (
                json!({"concurrent_limit": 1, "concurrency_time_window_s": -1}),
                "concurrency_time_window_s: ",
            ),
            (json!({"concurrency_key": 1}), "concurrency_key: "),
        ] {
            let error = read(&settings).unwrap_err();
            assert!(error.starts_with(field), "{settings}: {error}");
        }
    }

    #[test]
    fn keys() {
        let args = r#"{"user": "ann", "n": 3, "deep": {"a": {"b": "$workspace"}}, "list": [1]}"#;
        for (template, key) in [
            (None, "main/script/u/a/s"),
            (Some("api"), "api"),
            (Some("$workspace-$args[user]-$args[n]"), "main-ann-3"),
            (Some("$args[deep.a.b]"), "$workspace"),
            (Some("$args[list]$args[missing]$args[user.x]"), "[1]"),
            (Some("5$ $args $args[x"), "5$ $args $args[x"),
        ] {
            let limit = ConcurrencyLimit {
                runs: 1,
                window: Duration::ZERO,
                key: template.map(str::to_owned),
            };
            assert_eq!(limit.key_of("main", "u/a/s", args), key, "{template:?}");
        }
    }

    #[test]
    fn long_keys_stay_apart() {
        let (one, two) = ("é".repeat(200) + "1", "é".repeat(200) + "2");
        let keys = [shortened(one.clone()), shortened(two)];
        assert_ne!(keys[0], keys[1]);
        assert_eq!(keys[0], shortened(one));
        assert!(keys[0].len() <= KEY_BYTES, "{}", keys[0].len());
    }
}
