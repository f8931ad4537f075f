//! `python3`: CPython, warm. The wrapper imports the script once and calls `main` for each job.
//!
//! Conventions: windmill-facts §8. The wrapper's half is `python3_wrapper.py`; what a script needs from PyPI is
//! read by `python3_packages.py` and installed by `crate::runner::packages`.

use std::{
    collections::HashSet,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{Answer, Call, environment_changes, one_line, resolve, well_formed};
use crate::{
    runner::{
        limits::RunLimits,
        packages::{Wanted, lock},
        process::{Once, run_once},
        script::Script,
        warm::{Launch, WarmProcess},
    },
    types::Invalid,
};

const WRAPPER: &str = include_str!("python3_wrapper.py");
const CHECK: &str = concat!(
    include_str!("python3_packages.py"),
    include_str!("python3_check.py")
);

/// The interpreter itself: what `PATH` names may be the shim of a version manager, which costs 60 ms a start.
static INTERPRETER: OnceCell<Interpreter> = OnceCell::const_new();

/// A `python3`, and where its own files are.
#[derive(Debug, Clone)]
pub(crate) struct Interpreter {
    /// Its real path.
    pub(crate) program: PathBuf,
    /// What a process of it reads.
    pub(crate) reads: Vec<PathBuf>,
    /// `3.11`: packages of one version do not fit another.
    version: String,
    /// The names of its own modules.
    modules: Arc<HashSet<String>>,
}

/// Says what an interpreter is, and where its files are: a line each.
const WHAT: &str = "import sys; print(sys.executable, '%d.%d' % sys.version_info[:2], \
                    ' '.join(sys.stdlib_module_names), sys.prefix, sys.base_prefix, sys.exec_prefix, sep='\\n')";
/// What lies in the folder of an installation or of a virtual environment.
const INSTALLED: [&str; 4] = ["bin", "lib", "lib64", "pyvenv.cfg"];

/// The real path of `python3`; looked for once it is needed, until it is found.
///
/// # Errors
/// There is none, or it does not run.
pub(crate) async fn interpreter(limits: &RunLimits) -> Result<Interpreter, String> {
    let find = async || {
        let program = resolve("python3", std::env::var_os("PATH").as_deref())?;
        let args = ["-I", "-S", "-c", WHAT];
        let once = Once {
            program: program.clone(),
            args: args.map(OsString::from).to_vec(),
            input: "",
            // A shim reads what its version manager keeps, wherever that is. No script is run here.
            reads: vec![PathBuf::from("/")],
        };
        let said = run_once(once, limits)
            .await
            .map_err(|error| format!("python3 does not run: {error}"))?;
        if !said.success {
            return Err(format!("python3 does not run: {}", said.stderr.trim()));
        }
        let mut lines = said.stdout.lines();
        let real = PathBuf::from(lines.next().unwrap_or_default());
        let version = lines.next().unwrap_or_default().to_owned();
        let modules = lines.next().unwrap_or_default().split(' ');
        let modules = Arc::new(modules.map(str::to_owned).collect());
        let reads = lines.flat_map(|folder| INSTALLED.map(|name| Path::new(folder).join(name)));
        Ok(Interpreter {
            reads: reads.collect(),
            program: if real.is_file() { real } else { program },
            version,
            modules,
        })
    };
    INTERPRETER.get_or_try_init(find).await.cloned()
}

/// How a process for `script` is started.
///
/// # Errors
/// There is no `python3`.
pub(crate) async fn launch(packages: Option<&Path>, limits: &RunLimits) -> Result<Launch, String> {
    let interpreter = interpreter(limits).await?;
    let mut reads = interpreter.reads;
    reads.extend(packages.map(Path::to_owned));
    let args = ["-I", "-X", "utf8", "-c", WRAPPER];
    Ok(Launch {
        program: interpreter.program,
        args: args.map(OsString::from).to_vec(),
        files: Vec::new(),
        link: None,
        env: Vec::new(),
        reads,
        bounded_address_space: true,
    })
}

/// What the script needs from PyPI, in the versions that its lock names; none = nothing.
///
/// # Errors
/// There is no `python3`, or what the script declares or its lock says cannot be read.
pub(crate) async fn wanted(
    (content, lock): (&str, &str),
    limits: &RunLimits,
) -> Result<Option<Wanted>, String> {
    let python = interpreter(limits).await?;
    let found = if needs_nothing(content, &python.modules) {
        Value::Null
    } else {
        read(content, limits).await.map_err(|error| error.0)?
    };
    of_requirements(&found, lock, &python)
}

fn of_requirements(
    found: &Value,
    lock: &str,
    python: &Interpreter,
) -> Result<Option<Wanted>, String> {
    let wanted = found["requirements"].as_array().into_iter().flatten();
    let wanted = wanted.filter_map(|one| one.as_str().map(str::to_owned));
    let mut what = lock::of_python(lock, wanted.collect())?;
    if what.is_empty() {
        return Ok(None);
    }
    // Stands first: see `packages::python`.
    what.insert(0, python.version.clone());
    Ok(Some(Wanted {
        kind: "python",
        what,
        program: python.program.clone(),
    }))
}

/// Whether every line with the word `import` plainly imports the interpreter's own modules, and nothing is
/// declared. A quick answer for most scripts; `false` only means that the script must be read.
fn needs_nothing(content: &str, modules: &HashSet<String>) -> bool {
    let own = |name: &str| {
        let top = name.trim().split(['.', ' ']).next().unwrap_or_default();
        modules.contains(top)
    };
    content.lines().all(|line| {
        let line = line.trim();
        if line.starts_with('#') {
            return !(line.contains("requirements:") || line.starts_with("# ///"));
        }
        if !line.contains("import") {
            return true;
        }
        if line.contains([';', '\\', '(']) && !line.starts_with("from ") {
            return false;
        }
        match (line.strip_prefix("import "), line.strip_prefix("from ")) {
            (Some(names), _) => names.split(',').all(own),
            (None, Some(rest)) => !rest.contains(';') && own(rest),
            (None, None) => false,
        }
    })
}

/// The lines that make `process` run the job; the first call brings the script.
pub(crate) fn request(
    process: &mut WarmProcess,
    script: &Script,
    (call, packages): (Call<'_>, Option<&Path>),
    limits: &RunLimits,
) -> Vec<u8> {
    let mut lines = String::with_capacity(call.args.len() + 256);
    if process.calls == 0 {
        let setup = json!({
            "path": script.path,
            "content": script.content,
            "scratch": process.scratch(),
            "max_bytes": limits.result_bytes,
            "packages": packages.map(|folder| folder.join("packages")),
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

/// What an answer line says.
pub(crate) fn answer(line: Vec<u8>) -> Option<Answer> {
    let line = String::from_utf8(line).ok()?;
    let mut parts = line.split('\t');
    let (kind, first) = (parts.next()?, well_formed(parts.next()?).into_owned());
    let preprocessed_args = parts.next().map(|made| well_formed(made).into_owned());
    let (result, reusable) = match kind {
        "s" => (Ok(first), true),
        "e" => (Err(first), true),
        "x" => (Err(first), false),
        _ => return None,
    };
    Some(Answer {
        result,
        preprocessed_args,
        reusable,
    })
}

/// What the script's text says: the schema of `main`, the version of `preprocessor` (`v1`, `v2`).
///
/// # Errors
/// A syntax error with its place, no `main`, or no `python3`.
pub(crate) async fn check(
    content: &str,
    limits: &RunLimits,
) -> Result<(Option<Value>, Option<String>), Invalid> {
    let found = read(content, limits).await?;
    if let Some(error) = found.get("error") {
        let message = error["message"].as_str().unwrap_or("invalid syntax");
        let place = super::place(error["line"].as_u64(), error["column"].as_u64());
        return Err(Invalid(format!("content: syntax error{place}: {message}")));
    }
    if found.get("missing").is_some() {
        return Err(Invalid(
            "content: a python3 script needs a function 'main', for example: def main(msg: str):"
                .to_owned(),
        ));
    }
    let schema = found.get("schema").filter(|schema| !schema.is_null());
    let preprocessor = found["preprocessor"].as_str().map(str::to_owned);
    Ok((schema.cloned(), preprocessor))
}

/// What `python3_check.py` says of a script.
async fn read(content: &str, limits: &RunLimits) -> Result<Value, Invalid> {
    let python = interpreter(limits)
        .await
        .map_err(|error| Invalid(format!("language: {error}")))?;
    let args = ["-I", "-S", "-c", CHECK].map(OsString::from).to_vec();
    let once = Once {
        program: python.program,
        args,
        input: content,
        reads: python.reads,
    };
    let said = run_once(once, limits)
        .await
        .map_err(|error| Invalid(format!("content: python3 could not check it: {error}")))?;
    let found: Value = serde_json::from_str(&said.stdout).map_err(|_| {
        let why = said.stderr.lines().last().unwrap_or("no answer");
        Invalid(format!("content: python3 could not check it: {why}"))
    })?;
    match found["packages"].as_str() {
        Some(error) => Err(Invalid(format!("content: {error}"))),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_imports_of_the_standard_library_need_no_second_look() {
        let modules = ["os", "json", "typing"].map(str::to_owned).into();
        for content in [
            "def main(): pass",
            "import os\nimport json as j, os.path\nfrom typing import (\n  Any,\n)",
            "def main():\n    from os import path\n    return 'x'",
        ] {
            assert!(needs_nothing(content, &modules), "{content}");
        }
        for content in [
            "import requests",
            "import os, requests",
            "from requests import get",
            "import os; import requests",
            "x = __import__('requests')",
            "# requirements:\n# wmill\nimport os",
            "# /// script",
            "try: import requests\nexcept ImportError: pass",
            "from os import path; import requests",
            "import os, \\\n  requests",
        ] {
            assert!(!needs_nothing(content, &modules), "{content}");
        }
    }
}
