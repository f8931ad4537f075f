//! Values in the arguments of jobs that expressions have computed from secrets: they stand there sealed, as a text, for
//! the jobs of one outermost job, with what they were computed from. Pure but for the key.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::types::JobId;

/// What such texts begin with, and the quote before it.
const BEGIN: &str = "\"$sealed:";
/// What stands in their place for people.
const HIDDEN: &str = "\"***\"";

/// What was sealed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// JSON.
    pub(crate) value: Box<RawValue>,
    /// The variables and resources it was computed from, as references.
    pub(crate) read: Vec<String>,
}

/// The text, as JSON, that stands for a value in the jobs of the outermost job `root`; none without a key.
pub(crate) fn seal(root: JobId, value: &Sealed) -> Option<String> {
    let text = serde_json::to_string(value).ok()?;
    let sealed = super::cipher()?.seal(("arguments", &root.to_string()), &text);
    Some(format!("{BEGIN}{sealed}\""))
}

/// What a text of JSON stands for; none when it is any other text, or one of other jobs.
pub(crate) fn open(root: JobId, json: &str) -> Option<Sealed> {
    let sealed = json.strip_prefix(BEGIN)?.strip_suffix('"')?;
    let opened = super::cipher()?.open(("arguments", &root.to_string()), sealed)?;
    serde_json::from_str(&opened).ok()
}

/// Whether anything may stand sealed in JSON.
pub(crate) fn is_in(json: &str) -> bool {
    memchr::memmem::find(json.as_bytes(), BEGIN.as_bytes()).is_some()
}

/// Whether a value is such a text.
pub(crate) fn is_whole(value: &Value) -> bool {
    let text = value.as_str();
    text.is_some_and(|text| text.starts_with(&BEGIN[1..]))
}

/// `json` with `instead` in place of what stands sealed in it, where that gives something.
pub(crate) fn replace(json: &str, mut instead: impl FnMut(&str) -> Option<String>) -> String {
    let mut made = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find(BEGIN) {
        let (before, from) = rest.split_at(at);
        let length = from[1..].find('"').map_or(from.len(), |end| end + 2);
        let (text, after) = from.split_at(length);
        made.push_str(before);
        // Not within another text, where quotes are escaped.
        let replaced = Some(text).filter(|_| !before.ends_with('\\'));
        match replaced.and_then(&mut instead) {
            Some(value) => made.push_str(&value),
            None => made.push_str(text),
        }
        rest = after;
    }
    made.push_str(rest);
    made
}

/// Arguments as people see them.
pub(crate) fn hidden(args: String) -> String {
    if !is_in(&args) {
        return args;
    }
    let is_sealed = |text: &str| super::cipher::Cipher::is_sealed(&text[BEGIN.len()..]);
    replace(&args, |text| is_sealed(text).then(|| HIDDEN.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(root: JobId, value: &str) -> String {
        let value = Sealed {
            value: RawValue::from_string(value.to_owned()).unwrap(),
            read: vec!["$var:u/a/b".to_owned()],
        };
        seal(root, &value).unwrap()
    }

    #[test]
    fn a_value_opens_in_the_jobs_it_was_sealed_for_alone() {
        let root = JobId::next();
        let text = sealed(root, r#"{"b": 1, "a": "s3cret"}"#);
        assert!(is_in(&text) && !text.contains("s3cret"));
        let opened = open(root, &text).unwrap();
        assert_eq!(opened.value.get(), r#"{"b": 1, "a": "s3cret"}"#);
        assert_eq!(opened.read, ["$var:u/a/b"]);
        assert!(open(JobId::next(), &text).is_none());
        for other in ["1", "\"\"", "\"$sealed:\"", "\"$sealed:x", "$sealed:x"] {
            assert!(open(root, other).is_none(), "{other}");
        }
    }

    #[test]
    fn what_is_sealed_is_found_wherever_it_stands() {
        let root = JobId::next();
        let text = sealed(root, "[1]");
        let quoted = serde_json::Value::from(format!("x{text}")).to_string();
        let json = format!(r#"{{"a":{text},"b":[{text},"$sealed:no","é"],"c":{quoted}}}"#);
        let opened = replace(&json, |text| Some(open(root, text)?.value.get().to_owned()));
        let wanted = format!(r#"{{"a":[1],"b":[[1],"$sealed:no","é"],"c":{quoted}}}"#);
        assert_eq!(opened, wanted);
        let wanted = format!(r#"{{"a":"***","b":["***","$sealed:no","é"],"c":{quoted}}}"#);
        assert_eq!(hidden(json), wanted);
        assert_eq!(hidden("\"$sealed:".to_owned()), "\"$sealed:");
        assert_eq!(hidden("{}".to_owned()), "{}");
    }
}
