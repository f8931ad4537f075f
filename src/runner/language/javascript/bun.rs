//! `bun`: how it is started, and the names under which a script finds its packages.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::WRAPPER;
use crate::runner::{
    language::{resolve, typescript::Compiled},
    limits::RunLimits,
    packages::npm::{self, Import},
    warm::Launch,
};

/// Moves the channel, which comes as standard input, out of the way of scripts and of what they start.
const MOVE_CHANNEL: &str = "exec 3<&0 </dev/null; exec \"$@\"";

/// The program.
///
/// # Errors
/// There is none.
pub(crate) fn program() -> Result<PathBuf, String> {
    resolve("bun", std::env::var_os("PATH").as_deref()).map_err(|error| {
        format!(
            "{error} (npm install -g bun, or https://bun.sh); nativets runs TypeScript without it"
        )
    })
}

/// How a process for a script is started; `packages` is the folder of what it imports.
///
/// # Errors
/// There is no `bun`.
pub(crate) fn launch(
    content: &str,
    compiled: &Compiled,
    packages: Option<&Path>,
    limits: &RunLimits,
) -> Result<Launch, String> {
    let program = program()?;
    // The shell is what is started; bun and its packages are read besides.
    let mut reads = limits.readable.beside(&program);
    reads.extend(packages.map(Path::to_owned));
    let args = [
        "-c",
        MOVE_CHANNEL,
        "sh",
        &program.to_string_lossy(),
        // Less memory for a little more work of the collector.
        "--smol",
        // What is not installed is an error, and not fetched while a job waits.
        "--no-install",
        "../wrapper.mjs",
    ];
    Ok(Launch {
        program: PathBuf::from("/bin/sh"),
        args: args.map(OsString::from).to_vec(),
        files: vec![
            ("wrapper.mjs", WRAPPER.to_owned()),
            ("main.ts", bare_imports(content, &super::imports(compiled))),
        ],
        link: packages.map(|folder| ("node_modules", folder.join("node_modules"))),
        env: vec![
            ("NO_COLOR".to_owned(), "1".to_owned()),
            // Nothing is told to anybody, and no file is written beside the script.
            ("DO_NOT_TRACK".to_owned(), "1".to_owned()),
            (
                "BUN_RUNTIME_TRANSPILER_CACHE_PATH".to_owned(),
                "0".to_owned(),
            ),
        ],
        reads,
        bounded_address_space: false,
    })
}

/// The source with `"lodash@4/fp"` and `"npm:lodash"` as bun finds them: `"lodash/fp"`, `"lodash"`.
fn bare_imports(source: &str, imports: &[String]) -> String {
    let mut text = source.to_owned();
    for specifier in imports {
        let Import::Package { name, path, .. } = npm::import(specifier) else {
            continue;
        };
        let bare = format!("{name}{path}");
        if bare == *specifier {
            continue;
        }
        for quote in ['"', '\''] {
            let from = format!("{quote}{specifier}{quote}");
            let to = format!("{quote}{bare}{quote}");
            text = replace_imports(&text, &from, &to);
        }
    }
    text
}

/// Replaces `from` where it is imported; elsewhere it is a text of the script.
fn replace_imports(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let stands_after = out.trim_end();
        let imported = ["from", "import", "import(", "require("]
            .iter()
            .any(|word| stands_after.ends_with(word));
        out.push_str(if imported { to } else { from });
        rest = &after[from.len()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_leave_the_imports_and_nothing_else() {
        let source = "import a from \"a@1.2/fp\";\nexport * from 'b@2'\nconst c = await import( \"npm:c\");\n\
                      const text = \"a@1.2/fp\"; import x from \"x\";";
        let imports = ["a@1.2/fp", "b@2", "npm:c", "x"].map(str::to_owned);
        assert_eq!(
            bare_imports(source, &imports),
            "import a from \"a/fp\";\nexport * from 'b'\nconst c = await import( \"c\");\n\
             const text = \"a@1.2/fp\"; import x from \"x\";"
        );
    }
}
