//! What `bun` and `deno` share: TypeScript run by a program of the machine, warm. `wrapper.mjs` imports the script
//! once and calls `main` for each job; its lines are those of `python3`.
//!
//! `bun.rs` and `deno.rs` say how the program is started. Parameters, syntax and imports are read by
//! `super::typescript`, packages are built by `crate::runner::packages`.

pub(crate) mod bun;
pub(crate) mod deno;

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Call, environment_changes, one_line,
    typescript::{self, Compiled, Signature, SyntaxError},
};
use crate::runner::{limits::RunLimits, script::Script, warm::WarmProcess};

const WRAPPER: &str = include_str!("wrapper.mjs");

/// What was read of the script; read once for all its jobs.
///
/// # Errors
/// It cannot be read: the text for the job.
pub(crate) async fn compiled(script: &Script) -> Result<Arc<Compiled>, String> {
    let compiled = match script.compiled.get() {
        Some(compiled) => compiled.clone(),
        None => {
            let content = script.content.clone();
            // The compiler may take a second for a hostile source.
            let read = tokio::task::spawn_blocking(move || typescript::compile(&content)).await;
            let read = read.map_err(|_| "the compiler could not read the script".to_owned())?;
            script.compiled.get_or_init(|| read.map(Arc::new)).clone()
        }
    };
    compiled.map_err(|error: SyntaxError| format!("the script cannot be read: {error}"))
}

/// Everything a script imports, also within functions.
pub(crate) fn imports(compiled: &Compiled) -> Vec<String> {
    let mut all = compiled.imports.clone();
    all.extend(compiled.dynamic_imports.iter().cloned());
    all
}

/// The lines that make `process` run the job; the first call brings what is known of the script.
pub(crate) fn request(
    process: &mut WarmProcess,
    script: &Script,
    compiled: &Compiled,
    call: Call<'_>,
    limits: &RunLimits,
) -> Vec<u8> {
    let mut lines = String::with_capacity(call.args.len() + 256);
    if process.calls == 0 {
        let preprocessor = compiled.preprocessor_signature.as_ref();
        let setup = json!({
            "path": script.path,
            "scratch": process.scratch(),
            "max_bytes": limits.result_bytes,
            "main": parameters(&compiled.signature),
            "preprocessor": preprocessor.map(parameters).unwrap_or_default(),
        });
        lines.push_str(&setup.to_string());
        lines.push('\n');
    }
    let changes = environment_changes(&mut process.env, call.env);
    let changes: serde_json::Map<String, Value> = changes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    lines.push_str("{\"env\":");
    lines.push_str(&Value::Object(changes).to_string());
    lines.push_str(",\"args\":");
    lines.push_str(&one_line(call.args));
    lines.push_str(if call.only_preprocess {
        ",\"preprocess\":\"only\"}\n"
    } else if call.preprocess {
        ",\"preprocess\":true}\n"
    } else {
        ",\"preprocess\":false}\n"
    });
    lines.into_bytes()
}

/// Name and whether it is a date, one entry a parameter.
fn parameters(signature: &Signature) -> Vec<Value> {
    let params = signature.params.iter();
    params
        .map(|param| json!([param.name, param.is_date()]))
        .collect()
}
