//! What scripts in `bun` and `deno` import from elsewhere, and how it is installed.
//!
//! bun: packages of npm, `lodash`, `lodash@4.17.21`, `@scope/name/path`, also behind `npm:`. deno: what stands
//! behind `npm:`, `jsr:` and `https:`. No install script of a package is ever run.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use serde_json::json;

use super::{Wanted, lock, tool::Tool};

/// Modules of node that bun has built in, besides those behind `node:` and `bun:`.
const BUILT_IN: [&str; 43] = [
    "assert",
    "async_hooks",
    "buffer",
    "bun",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "undici",
    "url",
    "util",
    "v8",
    "vm",
    "worker_threads",
    "zlib",
];

/// What an import of a bun script means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Import<'a> {
    /// Of bun itself.
    BuiltIn,
    /// A package, the version that is wanted of it, and the path within it.
    Package {
        /// `lodash`, `@scope/name`.
        name: &'a str,
        /// `latest` when none is named.
        version: &'a str,
        /// `/fp`, or nothing.
        path: &'a str,
    },
    /// A file or an address: there is nothing beside a script.
    Foreign,
}

/// Reads `specifier` as bun would, with a version where Windmill allows one.
pub(crate) fn import(specifier: &str) -> Import<'_> {
    let bare = specifier.strip_prefix("npm:").unwrap_or(specifier);
    if bare.starts_with("node:") || bare.starts_with("bun:") {
        return Import::BuiltIn;
    }
    if bare.is_empty() || bare.starts_with(['.', '/']) || bare.contains(':') {
        return Import::Foreign;
    }
    let scope = if bare.starts_with('@') {
        match bare.find('/') {
            Some(slash) => slash + 1,
            None => return Import::Foreign,
        }
    } else {
        0
    };
    let end = bare[scope..].find('/').map_or(bare.len(), |at| scope + at);
    let (whole, path) = bare.split_at(end);
    let (name, version) = match whole[scope..].find('@') {
        Some(at) => (&whole[..scope + at], &whole[scope + at + 1..]),
        None => (whole, "latest"),
    };
    if name.len() == whole.len() && BUILT_IN.contains(&name) {
        return Import::BuiltIn;
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "@/._-~".contains(c);
    if name.len() == scope || !name.chars().all(fits) || version.is_empty() {
        return Import::Foreign;
    }
    Import::Package {
        name,
        version,
        path,
    }
}

/// The packages a bun script needs, in the versions that `pinned`, its lock, names; none = it imports nothing.
///
/// # Errors
/// An import that means a file or an address, or one package in two versions.
pub(crate) fn of_bun(
    imports: &[String],
    pinned: &str,
    program: PathBuf,
) -> Result<Option<Wanted>, String> {
    let mut packages: BTreeMap<&str, &str> = BTreeMap::new();
    for specifier in imports {
        match import(specifier) {
            Import::BuiltIn => {}
            Import::Foreign => {
                return Err(format!(
                    "a bun script cannot import \"{specifier}\": there are no files beside it; import a package of npm"
                ));
            }
            Import::Package { name, version, .. } => {
                let before = packages.get(name).copied().unwrap_or("latest");
                if before != "latest" && version != "latest" && before != version {
                    return Err(format!(
                        "\"{name}\" is imported in two versions, {before} and {version}: name one"
                    ));
                }
                let version = if version == "latest" { before } else { version };
                packages.insert(name, version);
            }
        }
    }
    let what: Vec<String> = packages
        .into_iter()
        .map(|(name, version)| {
            let version = lock::of_bun(pinned, name).unwrap_or(version);
            format!("{name}@{version}")
        })
        .collect();
    Ok((!what.is_empty()).then_some(Wanted {
        kind: "bun",
        what,
        program,
    }))
}

/// What a deno script needs from elsewhere; none = nothing.
///
/// # Errors
/// An import that deno cannot resolve.
pub(crate) fn of_deno(imports: &[String], program: PathBuf) -> Result<Option<Wanted>, String> {
    let mut what = Vec::new();
    for specifier in imports {
        if specifier.starts_with("node:") {
            continue;
        }
        let known = ["npm:", "jsr:", "https://", "http://"];
        if !known.iter().any(|start| specifier.starts_with(start)) {
            return Err(format!(
                "a deno script cannot import \"{specifier}\": write \"npm:{specifier}\" for a package of npm, \
                 \"jsr:…\" for one of JSR, or an https address"
            ));
        }
        what.push(specifier.clone());
    }
    what.sort();
    Ok((!what.is_empty()).then_some(Wanted {
        kind: "deno",
        what,
        program,
    }))
}

/// Installs with `bun install`: `node_modules` in the set's folder.
pub(super) async fn install_for_bun(wanted: &Wanted, tool: &Tool) -> Result<(), String> {
    let packages: BTreeMap<&str, &str> = wanted
        .what
        .iter()
        .filter_map(|package| package.rsplit_once('@'))
        .collect();
    let manifest = json!({"private": true, "dependencies": packages}).to_string();
    write(tool, "package.json", &manifest).await?;
    let args = [
        "install",
        "--ignore-scripts",
        "--no-progress",
        "--no-summary",
    ];
    let downloads = tool.downloads.join("bun");
    let env = [("BUN_INSTALL_CACHE_DIR", downloads.as_path())];
    tool.run(&wanted.program, args.map(OsString::from).to_vec(), &env)
        .await
        .map(|_| ())
}

/// Fetches with `deno cache`: the set's folder is the `DENO_DIR` of its scripts.
pub(super) async fn install_for_deno(wanted: &Wanted, tool: &Tool) -> Result<(), String> {
    let imports = wanted.what.iter();
    let entry: String = imports
        .map(|specifier| format!("import {};\n", json!(specifier)))
        .collect();
    write(tool, "entry.ts", &entry).await?;
    let args = ["cache", "--quiet", "--node-modules-dir=none", "entry.ts"];
    let env = [("DENO_DIR", tool.place.as_path())];
    tool.run(&wanted.program, args.map(OsString::from).to_vec(), &env)
        .await
        .map(|_| ())
}

async fn write(tool: &Tool, name: &str, content: &str) -> Result<(), String> {
    let (file, content) = (tool.place.join(name), content.to_owned());
    super::blocking(move || std::fs::write(file, content))
        .await
        .map_err(|error| format!("the packages cannot be stored: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package<'a>(name: &'a str, version: &'a str, path: &'a str) -> Import<'a> {
        Import::Package {
            name,
            version,
            path,
        }
    }

    #[test]
    fn imports_of_bun_scripts_mean_packages() {
        for (specifier, wanted) in [
            ("lodash", package("lodash", "latest", "")),
            ("lodash/fp", package("lodash", "latest", "/fp")),
            ("lodash@4.17.21", package("lodash", "4.17.21", "")),
            ("npm:lodash@^4/fp", package("lodash", "^4", "/fp")),
            ("@s/x", package("@s/x", "latest", "")),
            ("@s/x@1.2/deep/er", package("@s/x", "1.2", "/deep/er")),
            ("fs", Import::BuiltIn),
            ("fs/promises", Import::BuiltIn),
            ("node:fs", Import::BuiltIn),
            ("bun:sqlite", Import::BuiltIn),
            ("bun", Import::BuiltIn),
            ("./other", Import::Foreign),
            ("/f/lib/x", Import::Foreign),
            ("https://esm.sh/x", Import::Foreign),
            ("@s", Import::Foreign),
            ("a b", Import::Foreign),
            ("", Import::Foreign),
        ] {
            assert_eq!(import(specifier), wanted, "{specifier}");
        }
    }

    #[test]
    fn a_set_is_the_same_however_its_imports_are_written() {
        let set = |imports: &[&str]| {
            let imports: Vec<String> = imports.iter().map(|&name| name.to_owned()).collect();
            of_bun(&imports, "", "/bin/bun".into())
        };
        let one = set(&["zod", "lodash/fp", "fs", "lodash@4"])
            .unwrap()
            .unwrap();
        let other = set(&["lodash@4", "zod"]).unwrap().unwrap();
        assert_eq!(one.what, ["lodash@4", "zod@latest"]);
        assert_eq!(one.name(), other.name());
        assert_eq!(set(&["fs"]), Ok(None));
        let lock = r#""packages": { "zod": ["zod@3.22.4", ""] }"#;
        let pinned = of_bun(&["zod".to_owned()], lock, "/bin/bun".into());
        assert_eq!(pinned.unwrap().unwrap().what, ["zod@3.22.4"]);
        assert!(set(&["./x"]).unwrap_err().contains("\"./x\""));
        assert!(set(&["a@1", "a@2"]).unwrap_err().contains("two versions"));
    }

    #[test]
    fn bare_imports_of_deno_scripts_say_what_to_write() {
        let error = of_deno(&["lodash".to_owned()], "/bin/deno".into()).unwrap_err();
        assert!(error.contains("npm:lodash"), "{error}");
        let imports = ["npm:lodash@4".to_owned(), "node:fs".to_owned()];
        let wanted = of_deno(&imports, "/bin/deno".into()).unwrap().unwrap();
        assert_eq!(wanted.what, ["npm:lodash@4"]);
    }
}
