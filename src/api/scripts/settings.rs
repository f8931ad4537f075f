//! Fields of a script besides its text: those that are acted on are checked, those that would change whose rights or
//! whose eyes are refused, and the rest is kept and given back (docs/clients.md). Pure.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::super::{error::Error, labels};
use crate::queue::{ConcurrencyLimit, script_envs};

/// Longest time until a job's contents are erased: a year.
const ERASE_SECS: RangeInclusive<i64> = 0..=31_536_000;
/// Windmill's priorities.
const PRIORITIES: RangeInclusive<i64> = 0..=100;

/// Checks the settings of a script that is to be saved.
pub(super) fn check(settings: &Map<String, Value>) -> Result<(), Error> {
    ConcurrencyLimit::read(settings)?;
    labels::read(settings.get("labels"))?;
    whole(settings, "delete_after_secs", ERASE_SECS)?;
    whole(settings, "priority", PRIORITIES)?;
    if let Some(envs) = settings.get("envs") {
        script_envs(envs).map_err(|error| Error::field("envs", error))?;
    }
    let told = |name: &str| {
        let value = settings.get(name);
        value.is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)) && value != "")
    };
    for (name, why) in [
        (
            "on_behalf_of_email",
            "a script runs with the rights of whoever starts it, or of its trigger's permissioned_as; leave it out",
        ),
        (
            "visible_to_runner_only",
            "jobs are seen by all who may see their script; leave it out",
        ),
    ] {
        if told(name) {
            return Err(Error::field(name, format!("is not supported: {why}")));
        }
    }
    Ok(())
}

fn whole(
    settings: &Map<String, Value>,
    name: &str,
    range: RangeInclusive<i64>,
) -> Result<(), Error> {
    let Some(value) = settings.get(name) else {
        return Ok(());
    };
    if value.as_i64().is_some_and(|number| range.contains(&number)) {
        return Ok(());
    }
    let text = format!(
        "expected a whole number from {} to {}",
        range.start(),
        range.end()
    );
    Err(Error::field(name, text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_acted_on_or_refused() {
        let check = |settings: Value| match check(settings.as_object().unwrap()) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        for good in [
            json!({}),
            json!({"envs": ["A=1", "B_2=x=y", "C="], "priority": 100, "delete_after_secs": 0}),
            json!({"on_behalf_of_email": "", "visible_to_runner_only": false, "cache_ttl": 5}),
        ] {
            assert_eq!(check(good), "");
        }
        for (bad, said) in [
            (json!({"envs": ["A"]}), "envs"),
            (json!({"envs": ["1A=2"]}), "envs"),
            (json!({"envs": ["A=\u{0}"]}), "envs"),
            (json!({"envs": "A=1"}), "envs"),
            (json!({"priority": 101}), "priority"),
            (json!({"delete_after_secs": -1}), "delete_after_secs"),
            (json!({"delete_after_secs": "5"}), "delete_after_secs"),
            (json!({"on_behalf_of_email": "a@b.c"}), "on_behalf_of_email"),
            (
                json!({"visible_to_runner_only": true}),
                "visible_to_runner_only",
            ),
            (json!({"labels": [1]}), "labels"),
        ] {
            let error = check(bad.clone());
            assert!(error.starts_with(said), "{bad}: {error}");
        }
    }
}
