//! The `nativets` language: TypeScript or JavaScript in an embedded engine, so that a machine needs no program.
//!
//! A worker compiles a script once ([`compile`]), keeps one [`Context`] per script version on its own thread and
//! calls [`Context::run`] for each job. What reaches the network goes through [`Host`], which the worker supplies:
//! the guard against private addresses is there, never here. This folder knows no job, no queue and no database.
//!
//! While a script computes it occupies its thread (until the job's time is over), so the thread must be the
//! worker's own: listeners and request handlers never share it.
//!
//! - `context.rs` one engine, one script, job after job: the event loop and the limits
//! - `state.rs` what the loop and the functions called by scripts share: logs, timers, requests, the clock
//! - `errors.rs` what is thrown, made readable · `modules.rs` what can be imported
//! - `memory.rs` whether it was the memory that ran out
//! - `host.rs` the functions written in Rust that `prelude.js` and `web.js` build on
//! - `prelude.js` jobs, timers, `console`, `process`; on first use `web.js`, what scripts know from browsers,
//!   and `values.js`, printing and cloning
//! - `windmill.js` the module `windmill-client`

mod context;
mod errors;
mod host;
pub(crate) mod memory;
mod modules;
mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap, fmt, rc::Rc, sync::Arc, sync::atomic::AtomicBool, time::Duration,
};

use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use context::Context;

use super::typescript::{self, Compiled, SyntaxError};

/// What one job may use of its worker.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Memory of the engine, the script's data included.
    pub memory_bytes: usize,
    /// Stack of the script; the worker's thread needs at least 1 MiB more than this.
    pub stack_bytes: usize,
    /// Longest result, as JSON.
    pub result_bytes: usize,
    /// Most log text of one job; what comes after is cut, and a line says so.
    pub log_bytes: usize,
    /// Largest request body; the [`Host`] bounds the response's.
    pub body_bytes: usize,
    /// Requests under way at once; more is an error in the script.
    pub fetches: usize,
    /// Timers set at once; more is an error in the script.
    pub timers: usize,
}

impl Default for Limits {
    /// 128 MiB of memory, a stack for some thousand nested calls, results up to 2 MiB, logs up to 1 MiB.
    fn default() -> Self {
        Self {
            memory_bytes: 128 << 20,
            stack_bytes: 512 << 10,
            result_bytes: 2 << 20,
            log_bytes: 1 << 20,
            body_bytes: 16 << 20,
            fetches: 64,
            timers: 1000,
        }
    }
}

/// Which exported function of the script a job calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `main`.
    Main,
    /// `preprocessor`; its result is the arguments of `main`.
    Preprocessor,
}

/// Makes a job's environment, when its script asks for it: most never do.
pub type Environment = Rc<dyn Fn() -> BTreeMap<String, String>>;

/// Takes a piece of a job's logs.
pub type OnLog = Rc<dyn Fn(&str)>;

/// One job for a [`Context`].
pub struct Call {
    /// The arguments, a JSON object by parameter name. A missing one, or the text `<function call>`, is `undefined`.
    pub args: String,
    /// What to call.
    pub function: Function,
    /// The job's environment, `process.env` in the script.
    pub env: Environment,
    /// How long the job may take, waiting included.
    pub timeout: Duration,
    /// Set from elsewhere to end the job; noticed within 50 ms.
    pub cancel: Arc<AtomicBool>,
    /// What does the job's requests.
    pub host: Rc<dyn Host>,
    /// Gets each piece of the logs as it is printed, within the limit.
    pub on_log: Option<OnLog>,
}

/// How a job ended.
#[derive(Debug)]
pub struct Outcome {
    /// The result as JSON.
    pub result: Result<Box<RawValue>, ScriptError>,
    /// What the script printed, one line per call of `console`.
    pub logs: String,
    /// The context must be dropped: the script ran out of memory or time, or left something running.
    pub poisoned: bool,
}

/// An error in Windmill's shape (windmill-facts §5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct ScriptError {
    /// The error's text.
    pub message: String,
    /// The error's class; `TimeoutError` and `Canceled` for a job that was ended.
    pub name: String,
    /// Where it was thrown, in lines of the TypeScript source; empty when nothing is known.
    pub stack: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl ScriptError {
    /// An error without a place.
    pub(crate) fn new(name: &str, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            name: name.to_owned(),
            stack: String::new(),
        }
    }
}

/// What a script asks of the outside world.
pub trait Host {
    /// Does one HTTP request, within the rules for addresses and the size of answers. An `Err` is what
    /// the script's `fetch` is rejected with. Dropping the future ends the request.
    fn fetch(&self, request: FetchRequest) -> LocalBoxFuture<'_, Result<FetchResponse, String>>;
}

/// What to do when a server answers with another address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Redirect {
    /// Go there.
    #[default]
    Follow,
    /// Hand the answer to the script.
    Manual,
    /// Fail.
    Error,
}

/// One request of a script.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FetchRequest {
    /// The HTTP method, in upper case if it is a standard one.
    pub method: String,
    /// An absolute URL; its scheme is not checked yet.
    pub url: String,
    /// Names in lower case, and their values.
    pub headers: Vec<(String, String)>,
    /// How to treat redirects.
    pub redirect: Redirect,
    /// The body, at most [`Limits::body_bytes`].
    #[serde(skip)]
    pub body: Option<Vec<u8>>,
}

/// The answer to a [`FetchRequest`], read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FetchResponse {
    /// The HTTP status.
    pub status: u16,
    /// The text beside the status; may be empty.
    pub status_text: String,
    /// The headers as they came.
    pub headers: Vec<(String, String)>,
    /// The URL that was answered, after redirects.
    pub url: String,
    /// The body, decompressed.
    #[serde(skip)]
    pub body: Vec<u8>,
}

/// Compiles a script of this language: types stripped, imports checked, and accepted by the engine.
///
/// # Errors
/// What [`typescript::compile`] refuses, an import other than `windmill-client`, a name that this has not, or syntax the
/// engine lacks.
pub fn compile(source: &str) -> Result<Compiled, SyntaxError> {
    let compiled = typescript::compile(source)?;
    let foreign = compiled.imports.iter().position(|name| !is_client(name));
    if let Some(at) = foreign {
        let (line, column) = compiled.import_places.get(at).copied().unwrap_or((1, 1));
        let message = foreign_import(&compiled.imports[at]);
        return Err(SyntaxError {
            line,
            column,
            message,
        });
    }
    let mut taken = compiled.taken.iter();
    if let Some(unknown) = taken.find(|one| !modules::has(&one.name)) {
        let (line, column) = unknown.place;
        let message = format!(
            "windmill-client has no \"{}\" in nativets; where bun's has it, make this a bun script",
            unknown.name
        );
        return Err(SyntaxError {
            line,
            column,
            message,
        });
    }
    errors::check(&compiled)?;
    Ok(compiled)
}

/// Whether an import means the built-in module, with or without a version.
fn is_client(name: &str) -> bool {
    let name = name.strip_prefix("npm:").unwrap_or(name);
    name == "windmill-client" || name.starts_with("windmill-client@")
}

fn foreign_import(name: &str) -> String {
    format!("imports other than windmill-client need a bun script (found \"{name}\")")
}
