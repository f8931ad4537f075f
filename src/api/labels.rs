//! Labels of objects: checked when they come, kept as a JSON array, asked for by a comma list. Pure.

use serde_json::{Value, value::RawValue};

use super::{error::Error, raw};

/// Most labels of an object.
const LABELS: usize = 100;
/// Longest label.
const LABEL_BYTES: usize = 255;

fn wrong() -> Error {
    Error::field(
        "labels",
        format!("expected up to {LABELS} strings of {LABEL_BYTES} bytes"),
    )
}

/// Labels as a body brings them; none = they stay.
pub(super) fn read(value: Option<&Value>) -> Result<Option<Vec<String>>, Error> {
    let list = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(wrong()),
    };
    let texts = list.iter().map(|label| label.as_str().map(str::to_owned));
    let labels: Vec<String> = texts.collect::<Option<_>>().ok_or_else(wrong)?;
    check(Some(&labels))?;
    Ok(Some(labels))
}

/// Checks how many there are, and how long.
pub(super) fn check(labels: Option<&Vec<String>>) -> Result<(), Error> {
    let fits = labels.is_none_or(|labels| {
        labels.len() <= LABELS && labels.iter().all(|label| label.len() <= LABEL_BYTES)
    });
    if fits { Ok(()) } else { Err(wrong()) }
}

/// As they are kept.
pub(super) fn kept(labels: Vec<String>) -> String {
    Value::from(labels).to_string()
}

/// As they are shown: an object without labels says nothing of them.
pub(super) fn shown(kept: String) -> Option<Box<RawValue>> {
    (kept != "[]").then(|| raw(kept))
}

/// Whether an object has every label of a comma list.
pub(super) fn all_of(kept: &str, wanted: &str) -> bool {
    let labels: Vec<String> = serde_json::from_str(kept).unwrap_or_default();
    let mut wanted = wanted.split(',').map(str::trim);
    wanted.all(|label| labels.iter().any(|one| one == label))
}

/// As [`all_of`], of the settings that a script or flow is kept with.
pub(super) fn of_settings(settings: &str, wanted: &str) -> bool {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    all_of(&settings["labels"].to_string(), wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_wanted_label_is_there() {
        for (wanted, fits) in [("a", true), ("a, b", true), ("a,c", false), ("", false)] {
            assert_eq!(all_of(r#"["a","b"]"#, wanted), fits, "{wanted}");
            let settings = r#"{"labels":["a","b"],"priority":1}"#;
            assert_eq!(of_settings(settings, wanted), fits, "{wanted}");
            assert!(!of_settings("{}", wanted), "{wanted}");
        }
    }

    #[test]
    fn labels_are_a_bounded_list_of_texts() {
        assert_eq!(read(Some(&json!(["a"]))).unwrap().unwrap(), ["a"]);
        assert!(read(None).unwrap().is_none());
        let long = "x".repeat(LABEL_BYTES + 1);
        for bad in [
            json!("a"),
            json!([1]),
            json!([long]),
            json!(vec!["a"; LABELS + 1]),
        ] {
            assert!(read(Some(&bad)).is_err(), "{bad}");
        }
    }
}
