//! House rules as a test: which module may use which, where SQL and `fetch` live, how long a file may be.

use std::{fs, path::Path};

/// What a module may use besides itself and `types`. `main` uses the library alone.
const MAY_USE: [(&str, &str); 16] = [
    ("lib", "system"),
    (
        "system",
        "api trigger runner queue presence access identity db flow config secret demo metrics",
    ),
    ("demo", "queue access db config"),
    (
        "api",
        "trigger queue presence access db flow config secret metrics",
    ),
    ("trigger", "queue presence access db config wire metrics"),
    ("runner", "queue access db flow config secret metrics"),
    ("queue", "presence access db config metrics"),
    ("access", "identity db config secret"),
    ("presence", "db config"),
    ("identity", ""),
    ("metrics", ""),
    ("db", "config secret"),
    ("secret", ""),
    ("config", ""),
    ("flow", ""),
    ("wire", ""),
];

/// Longest source file, in lines before its tests; and those that are to be split by their concepts yet.
const LINES_MAX: usize = 400;
const LONGER: [&str; 2] = [
    // Made by diesel.
    "src/db/schema.rs",
    "src/runner/language/nativets/context.rs",
];

/// Name below the crate's root, and text before the tests, of every file below a folder.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(folder)).into_iter().flatten() {
        let name = format!("{folder}/{}", entry.unwrap().file_name().display());
        if root.join(&name).is_dir() {
            found.extend(files(&name, ending));
        } else if name.ends_with(ending) {
            let text = fs::read_to_string(root.join(&name)).unwrap();
            let tests = ["#[cfg(test)]\nmod", "#[cfg(test)]\npub(super) mod"];
            let end = tests.iter().filter_map(|start| text.find(start)).min();
            found.push((name, text[..end.unwrap_or(text.len())].into()));
        }
    }
    found
}

/// The first name after each `crate::`, also of `use crate::{a::b, c::{d, e}}`.
fn modules_used(code: &str) -> Vec<&str> {
    let mut used = Vec::new();
    for after in code.split("crate::").skip(1) {
        let (mut depth, grouped) = (0, after.starts_with('{'));
        let end = after.find(if grouped { ';' } else { ':' });
        let names = after[..end.unwrap_or(after.len())].split(|letter| {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            depth == 1 && matches!(letter, '{' | ',')
        });
        used.extend(names.filter_map(|name| {
            name.split(|c: char| !c.is_alphanumeric())
                .find(|w| !w.is_empty())
        }));
    }
    used
}

#[test]
fn house_rules() {
    for (name, text) in files("src", ".rs") {
        if name.contains("/tests") {
            continue; // a file of tests is as long as what it tests
        }
        let module = name[4..].split(['/', '.']).next().unwrap();
        let row = MAY_USE.iter().find(|(known, _)| *known == module);
        let allowed = row.map_or("", |(_, allowed)| allowed);
        let comment = |line: &&str| !line.trim_start().starts_with("//");
        let code: Vec<&str> = text.lines().filter(comment).collect();
        for used in modules_used(&code.join("\n")) {
            let ruled = used != module && MAY_USE.iter().any(|(known, _)| *known == used);
            assert!(
                !ruled || allowed.split(' ').any(|a| a == used),
                "{name} uses crate::{used}"
            );
        }
        let sql = code.iter().any(|line| line.contains("diesel::"));
        assert!(!sql || name.starts_with("src/db/"), "{name} names diesel");
        let lines = text.lines().count();
        assert!(
            lines <= LINES_MAX || LONGER.contains(&&*name),
            "{name} has {lines} lines"
        );
    }
    for (name, text) in files("static", ".js") {
        assert!(
            !text.contains("fetch(") || name == "static/js/api.js",
            "{name} calls fetch"
        );
    }
    let migrations = ["sqlite", "postgres"].map(|of| {
        let files = files(&format!("migrations/{of}"), ".sql").into_iter();
        let mut names: Vec<String> = files.map(|(name, _)| name.replace(of, "")).collect();
        names.sort();
        names
    });
    assert_eq!(migrations[0], migrations[1]);
}

#[test]
fn grouped_imports_are_read() {
    let code = "use crate::{config::{Config, Limits}, types};\nlet x = crate::db::run();\nuse crate::{\n    wire,\n};";
    assert_eq!(modules_used(code), ["config", "types", "db", "wire"]);
}
