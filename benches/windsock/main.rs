//! The benchmark: `cargo bench` prints every table, `cargo bench -- filter commit` only those.
//!
//! Everything is measured on the real release binary in a process of its own; the load comes from another process
//! ([`source`]), and what is compared with ([`peers`]) runs in a third one, in the same run, on the same bytes.
//! Absolute figures belong to the machine; the ratios within one table are what to look at.

#![expect(
    clippy::expect_used,
    reason = "a measurement that cannot be made ends the benchmark"
)]

// Shared with the integration tests: how windsock, PostgreSQL and their folders are started and ended.
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "browser, cutter and foreign peers are for tests alone"
)]
#[path = "../../tests/integration/harness/mod.rs"]
mod harness;
mod measure;
mod peers;
mod scenes;
mod source;

type Scene = fn() -> scenes::Running;

/// The scenes in the order they are run, with the words that choose them.
const SCENES: [(&str, Scene); 8] = [
    ("filter", || Box::pin(scenes::filter::run())),
    ("commit", || Box::pin(scenes::commit::run())),
    ("jobs", || Box::pin(scenes::jobs::run())),
    ("latency", || Box::pin(scenes::latency::run())),
    ("languages", || Box::pin(scenes::languages::run())),
    ("idle", || Box::pin(scenes::idle::run())),
    ("takeover", || Box::pin(scenes::takeover::run())),
    ("big", || Box::pin(scenes::big::run())),
];

fn main() {
    // What cargo adds (`--bench`) says nothing here.
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    words.retain(|word| !word.starts_with("--"));
    match words.first().map(String::as_str) {
        Some("source") => return source::serve(),
        Some("peer") => return peers::run(&words[1..]),
        _ => {}
    }
    if let Some(unknown) = words
        .iter()
        .find(|word| SCENES.iter().all(|(name, _)| name != word))
    {
        let known: Vec<&str> = SCENES.iter().map(|(name, _)| *name).collect();
        eprintln!("unknown scene {unknown}; known are {}", known.join(", "));
        std::process::exit(2);
    }
    measure::raise_open_files();
    println!("{}", measure::machine());
    for (name, scene) in SCENES {
        if words.is_empty() || words.iter().any(|word| word == name) {
            actix_rt::System::new().block_on(scene());
        }
    }
}
