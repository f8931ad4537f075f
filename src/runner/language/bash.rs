//! `bash`: a shell that stays and forks a subshell for each job.
//!
//! Conventions: windmill-facts §8: positional arguments in the order of `x="$1"` lines, `set -e`, the result
//! is `./result.json`, else `./result.out`, else the last line of output. The wrapper's half is
//! `bash_wrapper.sh`.

use std::{
    ffi::OsString, fmt::Write as _, fs::OpenOptions, io::Read, os::unix::fs::OpenOptionsExt,
};

use nix::libc;
use serde_json::{Map, Value, json};

use super::{Answer, Call, environment_changes, error_json, resolve, too_large, well_formed};
use crate::{
    runner::{
        job_log::JobLog,
        limits::RunLimits,
        process::{Once, run_once},
        script::Script,
        warm::{Launch, WarmProcess},
    },
    types::Invalid,
};

const WRAPPER: &str = include_str!("bash_wrapper.sh");
/// Requests up to this size go over the channel, which bash reads byte by byte; a file costs about as much.
const CHANNEL_BYTES: usize = 2048;
/// Lines and bytes of output that an error text repeats.
const ERROR_LINES: (usize, usize) = (10, 2048);

/// A parameter of the script, as its text declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Param {
    /// Which positional argument, from 1.
    position: usize,
    name: String,
    default: Option<String>,
}

/// How a process for a script is started.
///
/// # Errors
/// There is no `bash`.
pub(crate) fn launch(script: &Script) -> Result<Launch, String> {
    let program = resolve("bash", std::env::var_os("PATH").as_deref())?;
    let args = ["--noprofile", "--norc", "-c", WRAPPER, "bash"];
    Ok(Launch {
        program,
        args: args.map(OsString::from).to_vec(),
        files: vec![("main.sh", script.content.clone())],
        link: None,
        env: Vec::new(),
        reads: Vec::new(),
        bounded_address_space: true,
    })
}

/// The lines that make `process` run the job.
///
/// # Errors
/// The error JSON of the job: an argument that bash cannot take.
pub(crate) fn request(
    process: &mut WarmProcess,
    script: &Script,
    call: Call<'_>,
) -> Result<Vec<u8>, String> {
    let args: Map<String, Value> =
        serde_json::from_str(&well_formed(call.args)).map_err(|error| {
            error_json(
                "ExecutionErr",
                &format!("the arguments are no JSON object: {error}"),
            )
        })?;
    let mut env = String::new();
    for (name, value) in environment_changes(&mut process.env, call.env) {
        let _ = write!(env, " {name}={}", quoted(&value));
    }
    let mut job = String::from("set --");
    let last = script.bash_params.iter().map(|param| param.position).max();
    for position in 1..=last.unwrap_or(0) {
        let param = script
            .bash_params
            .iter()
            .find(|param| param.position == position);
        let value = match param.and_then(|param| args.get(&param.name)) {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        if value.contains('\0') {
            let name = param.map_or("", |param| &param.name);
            let message = format!("argument {name} holds a NUL character, which bash cannot take");
            return Err(error_json("ExecutionErr", &message));
        }
        job.push(' ');
        job.push_str(&quoted(&value));
    }
    job.push_str("; set -e; . ../main.sh");
    let mut lines = if env.is_empty() {
        String::new()
    } else {
        format!("env export{env}\n")
    };
    if job.len() > CHANNEL_BYTES {
        let stored = std::fs::write(process.folder().join("request"), &job);
        stored.map_err(|error| {
            error_json(
                "InternalError",
                &format!("the arguments could not be passed on: {error}"),
            )
        })?;
        lines.push_str("file\n");
    } else {
        lines.push_str(&job);
        lines.push('\n');
    }
    Ok(lines.into_bytes())
}

/// `text` as one word for bash, on one line.
fn quoted(text: &str) -> String {
    let mut word = String::with_capacity(text.len() + 2);
    word.push('\'');
    for letter in text.chars() {
        match letter {
            '\'' => word.push_str("'\\''"),
            '\n' => word.push_str("'$'\\n''"),
            letter => word.push(letter),
        }
    }
    word.push('\'');
    word
}

/// What the exit code in an answer line, the files and the output of the job say.
pub(crate) fn answer(
    line: &[u8],
    process: &WarmProcess,
    log: &JobLog,
    limits: &RunLimits,
) -> Option<Answer> {
    let code: i32 = std::str::from_utf8(line.strip_prefix(b"=")?)
        .ok()?
        .parse()
        .ok()?;
    let result = if code == 0 {
        result(process, log, limits)
    } else {
        let said = log.last_lines(ERROR_LINES.0, ERROR_LINES.1);
        let separator = if said.is_empty() { "" } else { "\n" };
        Err(error_json(
            "ExecutionErr",
            &format!("exit code {code}{separator}{said}"),
        ))
    };
    Some(Answer {
        result,
        preprocessed_args: None,
        reusable: true,
    })
}

fn result(process: &WarmProcess, log: &JobLog, limits: &RunLimits) -> Result<String, String> {
    if let Some(text) = result_file(process, "result.json", limits)? {
        return match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            Ok(_) => Ok(well_formed(&text).into_owned()),
            Err(error) => Err(error_json(
                "ExecutionErr",
                &format!("result.json is not JSON: {error}"),
            )),
        };
    }
    if let Some(text) = result_file(process, "result.out", limits)? {
        return Ok(Value::String(text.trim().to_owned()).to_string());
    }
    match log.last_line() {
        None => Ok("null".to_owned()),
        Some(Ok(line)) => Ok(Value::String(line).to_string()),
        Some(Err(())) => Err(too_large(limits.result_bytes)),
    }
}

/// The text of a file the job left, if it is there and not empty. Links are not followed: what they lead to
/// may be for us to read but not for the job.
fn result_file(
    process: &WarmProcess,
    name: &str,
    limits: &RunLimits,
) -> Result<Option<String>, String> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let Ok(file) = options.open(process.scratch().join(name)) else {
        return Ok(None);
    };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let limit = limits.result_bytes as u64 + 1;
    if let Err(error) = file.take(limit).read_to_end(&mut bytes) {
        return Err(error_json(
            "ExecutionErr",
            &format!("{name} cannot be read: {error}"),
        ));
    }
    if bytes.len() > limits.result_bytes {
        return Err(too_large(limits.result_bytes));
    }
    let text = String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}");
    Ok((!text.is_empty()).then_some(text))
}

/// The parameters of a script: lines `name="$1"`, `name="${1}"` and `name="${1:-default}"`.
pub(crate) fn params(content: &str) -> Vec<Param> {
    let mut params: Vec<Param> = content.lines().filter_map(param).collect();
    params.sort_by_key(|param| param.position);
    params.dedup_by_key(|param| param.position);
    params
}

fn param(line: &str) -> Option<Param> {
    let line = line.strip_prefix("local ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let first = name.chars().next()?;
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if first.is_ascii_digit() || !name.chars().all(word) {
        return None;
    }
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?.0,
        None => value.split_whitespace().next()?,
    };
    let inner = value.strip_prefix('$')?;
    let (position, default) = match inner.strip_prefix('{') {
        None => (inner, None),
        Some(inner) => {
            let inner = inner.strip_suffix('}')?;
            inner
                .split_once(":-")
                .map_or((inner, None), |(position, default)| {
                    (position, Some(default.to_owned()))
                })
        }
    };
    let position = position
        .parse()
        .ok()
        .filter(|position| (1..=99).contains(position))?;
    Some(Param {
        position,
        name: name.to_owned(),
        default,
    })
}

/// The schema of the script's parameters: texts, those without a default are required.
pub(crate) fn schema(params: &[Param]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for param in params {
        let mut property = json!({"type": "string"});
        match &param.default {
            Some(default) => property["default"] = json!(default),
            None => required.push(json!(param.name)),
        }
        properties.insert(param.name.clone(), property);
    }
    let order = params.iter().map(|param| json!(param.name));
    super::schema(properties, required, order.collect())
}

/// Has bash read the script without running it.
///
/// # Errors
/// A syntax error with its line, or no `bash`.
pub(crate) async fn check(content: &str, limits: &RunLimits) -> Result<Value, Invalid> {
    let program = resolve("bash", std::env::var_os("PATH").as_deref())
        .map_err(|error| Invalid(format!("language: {error}")))?;
    if content.contains('\0') {
        return Err(Invalid(
            "content: bash cannot read a NUL character".to_owned(),
        ));
    }
    let args = ["--noprofile", "--norc", "-n"].map(OsString::from).to_vec();
    let once = Once {
        program,
        args,
        input: content,
        reads: Vec::new(),
    };
    let said = run_once(once, limits)
        .await
        .map_err(|error| Invalid(format!("content: bash could not check it: {error}")))?;
    if !said.success {
        return Err(Invalid(syntax_error(&said.stderr)));
    }
    Ok(schema(&params(content)))
}

/// `bash: line 3: syntax error near …` → `content: syntax error at line 3: near …`.
fn syntax_error(stderr: &str) -> String {
    let line = stderr.lines().next().unwrap_or_default();
    let found = line
        .split_once("line ")
        .and_then(|(_, rest)| rest.split_once(": "))
        .and_then(|(number, text)| Some((number.parse::<u64>().ok()?, text)));
    match found {
        Some((number, text)) => {
            let text = text
                .trim_start_matches("syntax error")
                .trim_start_matches([':', ' ']);
            format!("content: syntax error at line {number}: {text}")
        }
        None => format!("content: syntax error: {}", line.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_from_the_lines_that_declare_them() {
        let content = "#!/bin/bash\n# x=\"$9\"\nmsg=\"$1\"\nname=\"${2:-a b}\" # who\ncount=$3\nlocal y=\"${4}\"\n\
                       echo \"$5\"\nz=\"$msg\"\n  w=\"$6\"\n1a=\"$7\"\n";
        let found: Vec<_> = params(content)
            .into_iter()
            .map(|param| (param.position, param.name, param.default))
            .collect();
        let expected = [
            (1, "msg", None),
            (2, "name", Some("a b")),
            (3, "count", None),
            (4, "y", None),
        ]
        .map(|(position, name, default)| (position, name.to_owned(), default.map(str::to_owned)));
        assert_eq!(found, expected);
        let schema = schema(&params(content));
        assert_eq!(schema["required"], json!(["msg", "count", "y"]));
        assert_eq!(schema["order"], json!(["msg", "name", "count", "y"]));
        assert_eq!(
            schema["properties"]["name"],
            json!({"type": "string", "default": "a b"})
        );
    }

    #[test]
    fn words_survive_the_shell() {
        for text in ["", "a'b", "a\nb\n", "$(id) `id` \\ \" ! é", "''", "-n"] {
            let script = format!("printf %s {}", quoted(text));
            assert!(!script.contains('\n'));
            let output = std::process::Command::new("bash")
                .args(["-c", &script])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn syntax_errors_name_the_line() {
        assert_eq!(
            syntax_error(
                "bash: line 3: syntax error near unexpected token `fi'\nbash: line 3: `fi'"
            ),
            "content: syntax error at line 3: near unexpected token `fi'"
        );
    }
}
