//! From what the engine throws to errors people read: Windmill's shape, lines of the TypeScript source.

use std::time::Duration;

use rquickjs::{CatchResultExt, CaughtError, Error, Module, Runtime};

use super::modules::{BUILT_IN, BuiltIns, SCRIPT};
use super::state::Stop;
use super::{Limits, ScriptError};
use crate::runner::language::typescript::{Compiled, LineMap, SyntaxError};

/// Checks that the engine accepts the script, without running any of it.
pub(super) fn check(script: &Compiled) -> Result<(), SyntaxError> {
    let failed = |message: String| SyntaxError {
        line: 1,
        column: 1,
        message,
    };
    let start = |error: Error| failed(format!("cannot start the engine: {error}"));
    let runtime = Runtime::new().map_err(start)?;
    runtime.set_memory_limit(Limits::default().memory_bytes);
    runtime.set_max_stack_size(Limits::default().stack_bytes);
    runtime.set_loader(BuiltIns, BuiltIns);
    let context = rquickjs::Context::full(&runtime).map_err(start)?;
    context.with(|ctx| {
        match Module::declare(ctx.clone(), SCRIPT, script.javascript.as_str()).catch(&ctx) {
            Ok(_) => Ok(()),
            Err(caught) => {
                let error = engine_error(&caught, &script.lines);
                let place = error.stack.split_once("script.ts:").and_then(|(_, place)| {
                    let mut numbers = place.split(|c: char| !c.is_ascii_digit());
                    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
                });
                let (line, column) = place.unwrap_or((1, 1));
                Err(SyntaxError {
                    line,
                    column,
                    message: error.message,
                })
            }
        }
    })
}

/// An error thrown outside the reach of `prelude.js`.
pub(super) fn engine_error(caught: &CaughtError<'_>, lines: &LineMap) -> ScriptError {
    let mut error = match caught {
        CaughtError::Exception(exception) => ScriptError {
            name: exception.get("name").unwrap_or_else(|_| "Error".to_owned()),
            message: exception.message().unwrap_or_default(),
            stack: exception.stack().unwrap_or_default(),
        },
        other => ScriptError::new("Error", other.to_string()),
    };
    error.stack = readable_stack(&error, lines);
    error
}

/// A stack in lines of the source, without windsock's own part, headed by the error as elsewhere.
pub(super) fn readable_stack(error: &ScriptError, lines: &LineMap) -> String {
    let mut text = error.to_string();
    for line in error.stack.lines() {
        let is_own = line.contains(BUILT_IN) || line.trim_end().ends_with("(native)");
        if !is_own && !line.trim().is_empty() {
            text.push('\n');
            text.push_str(&source_place(line, lines).unwrap_or_else(|| line.to_owned()));
        }
    }
    text
}

/// The line of a stack with its place in the JavaScript replaced by the one in the source.
fn source_place(line: &str, lines: &LineMap) -> Option<String> {
    let (before, after) = line.split_once("script.ts:")?;
    let end = after.find(|c: char| c != ':' && !c.is_ascii_digit());
    let (place, rest) = after.split_at(end.unwrap_or(after.len()));
    let mut numbers = place.split(':');
    let row = numbers.next()?.parse().ok()?;
    let column = numbers.next().and_then(|column| column.parse().ok());
    let (row, column) = lines.source(row, column.unwrap_or(1))?;
    Some(format!("{before}script.ts:{row}:{column}{rest}"))
}

/// Whether the engine had no memory left; then it often has none for an error either, and throws one without a text,
/// or null.
pub(super) fn is_out_of_memory(caught: &CaughtError<'_>) -> bool {
    match caught {
        CaughtError::Value(value) => value.is_null(),
        CaughtError::Exception(exception) => {
            let name: Option<String> = exception.get("name").ok();
            let text = exception.message().unwrap_or_default();
            name.as_deref() == Some("InternalError")
                && matches!(text.as_str(), "" | "out of memory")
        }
        CaughtError::Error(_) => false,
    }
}

/// The error of a job that was stopped.
pub(super) fn stop_error(stop: Stop, timeout: Duration) -> ScriptError {
    match stop {
        Stop::TimedOut => ScriptError::new(
            "TimeoutError",
            format!("execution timed out after {} s", timeout.as_secs_f64()),
        ),
        Stop::Canceled => ScriptError::new("Canceled", "the job was canceled"),
    }
}
