//! `deno`: how it is started.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::WRAPPER;
use crate::runner::{language::resolve, limits::RunLimits, warm::Launch};

/// The program.
///
/// # Errors
/// There is none.
pub(crate) fn program() -> Result<PathBuf, String> {
    resolve("deno", std::env::var_os("PATH").as_deref())
        .map_err(|error| format!("{error} (npm install -g deno, or https://deno.com); nativets runs TypeScript without it"))
}

/// How a process for a script is started; `packages` is the folder of what it imports.
///
/// # Errors
/// There is no `deno`.
pub(crate) fn launch(
    content: &str,
    packages: Option<&Path>,
    limits: &RunLimits,
) -> Result<Launch, String> {
    // V8 ends a process that needs more; half of what a job may take is left for what is not its heap.
    let heap = limits.memory_bytes / 2 / (1024 * 1024);
    let flags = format!("--v8-flags=--max-old-space-size={heap}");
    let args = [
        "run",
        "--quiet",
        // windsock keeps the job in, as it does with every language.
        "--allow-all",
        "--no-prompt",
        "--no-config",
        "--no-lock",
        "--no-code-cache",
        "--node-modules-dir=none",
        // What is not fetched is an error, and not fetched while a job waits.
        "--cached-only",
        &flags,
        "../wrapper.mjs",
    ];
    let mut env = vec![
        ("NO_COLOR".to_owned(), "1".to_owned()),
        ("DENO_NO_UPDATE_CHECK".to_owned(), "1".to_owned()),
        ("DENO_NO_PACKAGE_JSON".to_owned(), "1".to_owned()),
    ];
    env.extend(
        packages.map(|folder| ("DENO_DIR".to_owned(), folder.to_string_lossy().into_owned())),
    );
    Ok(Launch {
        program: program()?,
        args: args.map(OsString::from).to_vec(),
        files: vec![
            ("wrapper.mjs", WRAPPER.to_owned()),
            ("main.ts", content.to_owned()),
        ],
        link: None,
        env,
        reads: packages.map(Path::to_owned).into_iter().collect(),
        bounded_address_space: false,
    })
}
