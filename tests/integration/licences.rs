//! What windsock is built from: every licence allows its use under MIT, and no crate is there twice without a reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::Command,
};

use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};

/// Licences that ask for no more than to be named with the program.
const ALLOWED: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "PostgreSQL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    // A list of certificates, not a program.
    "CDLA-Permissive-2.0",
];

/// Crates with another licence, and why they may be there.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "webdriver",
    "MPL-2.0",
    "drives the browser of the tests (through fantoccini); is in no program that is handed on",
)];

/// Crates that are there in more than one version, by what keeps the older one. Look here after `cargo update`:
/// what is gone from the build goes from this list.
const TWICE: [(&str, &[&str]); 9] = [
    (
        "actix-web, awc and h2 are of the time before http 1",
        &["base64", "cookie", "http"],
    ),
    (
        "actix, tokio and r2d2 have not followed parking_lot yet",
        &["lock_api", "parking_lot", "parking_lot_core"],
    ),
    ("ring has the older getrandom", &["getrandom"]),
    ("tokio-postgres has the older phf", &["phf", "phf_shared"]),
    (
        "derive macros, which are in no program: half of them have moved to syn 3",
        &["syn", "synstructure"],
    ),
    (
        "parts of rcgen that are not asked for",
        &["bit-vec", "num-bigint"],
    ),
    (
        "webdriver, for the browser of the tests, has the older ICU and thiserror",
        &[
            "icu_collections",
            "icu_provider",
            "icu_segmenter",
            "icu_segmenter_data",
            "litemap",
            "thiserror",
            "thiserror-impl",
            "tinystr",
            "writeable",
            "yoke",
            "yoke-derive",
            "zerovec",
            "zerovec-derive",
        ],
    ),
    (
        "postcard offers both, and takes neither here",
        &["embedded-io"],
    ),
    (
        "diesel_migrations reads TOML with an older crate than proc-macro-crate",
        &["toml_datetime", "winnow"],
    ),
];

/// The packages of a build for this machine, tests included; nothing where cargo knows them only with the network.
fn packages(test: &str) -> Option<Vec<Value>> {
    let said = |command: &mut Command| {
        let output = command.output().expect("the toolchain is here");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(text)
        } else {
            Err(error)
        }
    };
    let about = said(Command::new("rustc").arg("-vV")).expect("rustc tells its version");
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let metadata = said(
        Command::new(env!("CARGO"))
            .args(["metadata", "--locked", "--offline", "--format-version", "1"])
            .args(["--filter-platform", host.expect("rustc tells its host")])
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    );
    let metadata: Value = match metadata {
        Ok(text) => serde_json::from_str(&text).expect("cargo writes JSON"),
        Err(error) => {
            let line = error.lines().next().unwrap_or_default();
            let _ = writeln!(
                std::io::stderr(),
                "skipped: {test}: cargo metadata --offline: {line}"
            );
            return None;
        }
    };
    let nodes = metadata["resolve"]["nodes"].as_array().expect("a list");
    let used: Vec<&Value> = nodes.iter().map(|node| &node["id"]).collect();
    let packages = metadata["packages"].as_array().expect("a list").iter();
    Some(
        packages
            .filter(|package| used.contains(&&package["id"]))
            .cloned()
            .collect(),
    )
}

fn allowed(requirement: &LicenseReq) -> bool {
    ALLOWED.contains(&requirement.to_string().as_str())
}

/// Whether the licences that are allowed satisfy an expression; cargo's old `A/B` means `A OR B`.
fn fits(expression: &str) -> bool {
    let read = Expression::parse_mode(expression, ParseMode::LAX);
    read.is_ok_and(|read| read.evaluate(allowed))
}

#[test]
fn every_dependency_may_be_used() {
    let Some(packages) = packages("licences::every_dependency_may_be_used") else {
        return;
    };
    assert!(packages.len() > 100, "{} packages", packages.len());
    let mut met = BTreeSet::new();
    let mut wrong = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        let excepted = EXCEPTIONS
            .iter()
            .any(|(known, its, _)| (*known, *its) == (name, licence));
        if excepted {
            met.insert(name);
        } else if !fits(licence) {
            wrong.push(format!("{name} {}: {licence}", package["version"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        met.len(),
        EXCEPTIONS.len(),
        "an exception is not needed any more: {met:?}"
    );
}

#[test]
fn no_crate_is_there_twice_without_a_reason() {
    let Some(packages) = packages("licences::no_crate_is_there_twice_without_a_reason") else {
        return;
    };
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &packages {
        let text = |field: &str| package[field].as_str().unwrap();
        versions
            .entry(text("name"))
            .or_default()
            .insert(text("version"));
    }
    versions.retain(|_, versions| versions.len() > 1);
    let known: BTreeSet<&str> = TWICE
        .iter()
        .flat_map(|(_, names)| *names)
        .copied()
        .collect();
    let found: BTreeSet<&str> = versions.keys().copied().collect();
    let unknown: Vec<_> = found
        .difference(&known)
        .map(|name| (name, &versions[name]))
        .collect();
    assert!(
        unknown.is_empty(),
        "give a reason, or use the version that is there: {unknown:?}"
    );
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "take these from the list: {gone:?}");
}

#[test]
fn licence_expressions_are_read_as_a_lawyer_does() {
    for (expression, expected) in [
        ("MIT", true),
        ("MIT OR GPL-3.0-only", true),
        ("MIT AND GPL-3.0-only", false),
        ("(MIT OR GPL-2.0-only) AND Unicode-3.0", true),
        ("GPL-2.0-only WITH Classpath-exception-2.0", false),
        ("LGPL-2.1-or-later", false),
        ("AGPL-3.0-only OR MPL-2.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0/MIT", true),
        ("no licence", false),
        ("none", false),
    ] {
        assert_eq!(fits(expression), expected, "{expression}");
    }
}
