//! The languages: how a program is started for a script, what is said to its wrapper, what its answers mean.
//!
//! One file a language. Processes and channels are in `super::warm`; nothing here waits for an answer.

pub(crate) mod bash;
pub(crate) mod javascript;
pub mod nativets;
pub(crate) mod python3;
pub mod typescript;

use std::{
    borrow::Cow,
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::contain::users;

/// The environment of a job: windmill-facts §8. The order is always the same.
pub(crate) type JobEnv = Vec<(&'static str, String)>;

/// One job as a language sees it.
pub(crate) struct Call<'a> {
    /// A JSON object.
    pub(crate) args: &'a str,
    /// The whole environment of the job.
    pub(crate) env: JobEnv,
    /// Whether `preprocessor` makes the arguments of `main` first.
    pub(crate) preprocess: bool,
    /// Whether that is all, and what it made the result.
    pub(crate) only_preprocess: bool,
}

/// How a job ended in its process.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The result as JSON, or the error as JSON `{message, name, stack?}`.
    pub(crate) result: Result<String, String>,
    /// What the preprocessor made, a JSON object.
    pub(crate) preprocessed_args: Option<String>,
    /// Whether the process can take another job.
    pub(crate) reusable: bool,
}

/// The error of a job: `{"message", "name"}`.
pub(crate) fn error_json(name: &str, message: &str) -> String {
    json!({"message": message, "name": name}).to_string()
}

/// The error of a job whose result is larger than `max` bytes.
pub(crate) fn too_large(max: usize) -> String {
    let message =
        format!("the result is larger than {max} bytes: return less, or store it elsewhere");
    error_json("ResultTooLarge", &message)
}

/// What of `wanted` the process does not have yet; `now` becomes `wanted`.
fn environment_changes(now: &mut JobEnv, wanted: JobEnv) -> JobEnv {
    if now.len() != wanted.len() {
        now.clone_from(&wanted);
        return wanted;
    }
    let mut changes = JobEnv::new();
    for (has, wants) in now.iter_mut().zip(wanted) {
        if has.1 != wants.1 {
            has.1.clone_from(&wants.1);
            changes.push(wants);
        }
    }
    changes
}

/// JSON on one line: outside of its strings a line break is as good as a space, inside there is none.
fn one_line(json: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
        return json.into();
    }
    json.replace(['\n', '\r'], " ").into()
}

/// JSON with U+FFFD for every escaped half of a character (`\ud83d` with no other half behind it): JavaScript has
/// such texts and writes them, nobody else can read them.
pub(crate) fn well_formed(json: &str) -> Cow<'_, str> {
    let has = |escape: &[u8]| memchr::memmem::find(json.as_bytes(), escape).is_some();
    if !has(b"\\ud") && !has(b"\\uD") {
        return json.into();
    }
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (before, escape) = rest.split_at(at);
        text.push_str(before);
        let length = match surrogate(escape) {
            None => escape
                .char_indices()
                .nth(2)
                .map_or(escape.len(), |(at, _)| at),
            Some(0xd800..=0xdbff)
                if matches!(escape.get(6..).and_then(surrogate), Some(0xdc00..=0xdfff)) =>
            {
                12
            }
            Some(_) => {
                text.push(char::REPLACEMENT_CHARACTER);
                rest = &escape[6..];
                continue;
            }
        };
        text.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    text.push_str(rest);
    text.into()
}

/// The half of a character that `text` begins with an escape of.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let half = digits.starts_with(['d', 'D']).then_some(digits)?;
    let half = u16::from_str_radix(half, 16).ok()?;
    (0xd800..=0xdfff).contains(&half).then_some(half)
}

/// ` at line 3, column 5`, as far as it is known.
fn place(line: Option<u64>, column: Option<u64>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!(" at line {line}, column {column}"),
        (Some(line), None) => format!(" at line {line}"),
        (None, _) => String::new(),
    }
}

/// A JSON Schema of parameters, as windmill-facts §2.2 shows it; `order` is that of the script.
fn schema(properties: Map<String, Value>, required: Vec<Value>, order: Vec<Value>) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": required,
        "order": order,
    })
}

/// The file of `program` in the folders of `path`.
fn resolve(program: &str, path: Option<&OsStr>) -> Result<PathBuf, String> {
    let runs = |file: &Path| {
        file.metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
            && users::can_run(file)
    };
    path.into_iter()
        .flat_map(std::env::split_paths)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|file| runs(file))
        .ok_or_else(|| {
            let whom = if users::all().is_ok() { " that every user may run" } else { "" };
            format!("this machine has no {program}{whom}: install it, or add its folder to the PATH of windsock")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_says_what_to_do() {
        let error = resolve("python3", Some(OsStr::new("/nowhere:relative"))).unwrap_err();
        assert!(
            error.contains("no python3") && error.contains("PATH"),
            "{error}"
        );
        assert!(resolve("sh", Some(OsStr::new("/nowhere:/bin"))).is_ok());
    }

    #[test]
    fn halves_of_characters_are_replaced() {
        for (json, wanted) in [
            (
                r#""plain \u00e9 \\ \ud83d\ude00""#,
                r#""plain \u00e9 \\ \ud83d\ude00""#,
            ),
            (r#""ab\ud83d""#, "\"ab\u{fffd}\""),
            (
                r#""\uDE00\uD83D\uD83D\uDE00é""#,
                "\"\u{fffd}\u{fffd}\\uD83D\\uDE00é\"",
            ),
            // The backslash is escaped: a text about such things.
            (r#""\\ud83d \\\ud83d""#, "\"\\\\ud83d \\\\\u{fffd}\""),
            (r#"{"\udc00": "\ud7ff"}"#, "{\"\u{fffd}\": \"\\ud7ff\"}"),
            // No JSON is left as it is.
            ("\\ud8 \\é \\", "\\ud8 \\é \\"),
        ] {
            assert_eq!(well_formed(json), wanted);
        }
    }

    #[test]
    fn only_changes_of_the_environment_travel() {
        let env = |id: &str| vec![("A", "1".to_owned()), ("B", id.to_owned())];
        let mut now = Vec::new();
        assert_eq!(environment_changes(&mut now, env("x")), env("x"));
        assert_eq!(
            environment_changes(&mut now, env("y")),
            [("B", "y".to_owned())]
        );
        assert_eq!(environment_changes(&mut now, env("y")), []);
    }
}
