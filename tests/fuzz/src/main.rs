//! Fuzz targets for what reads bytes that others wrote. `WINDSOCK_FUZZ_TARGET` says which; `./tests/fuzz/run` starts them.
//!
//! A target never returns an error: what must hold and does not is a panic, and libFuzzer keeps the bytes that led to it.
//! Bytes are changed as libFuzzer likes, or, where they hold JSON, as a whole value (`mutate.rs`): that gets further into
//! what reads objects.

#![no_main]

mod bodies;
mod filter;
mod flow;
#[path = "../../../src/mutate.rs"]
mod mutate;
mod script;
mod template;
mod trigger;
mod values;
mod wire;

use std::{panic, sync::OnceLock, thread};

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use serde_json::Value;

/// What is tried, and where in its bytes JSON stands.
struct Target {
    run: fn(&[u8]),
    json: Json,
}

/// The part of the bytes that is JSON.
enum Json {
    /// None.
    Nowhere,
    /// None, but all of it is text.
    Text,
    /// Everything behind so many bytes.
    Behind(usize),
    /// The first line.
    FirstLine,
}

fn target() -> &'static Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("WINDSOCK_FUZZ_TARGET").unwrap_or_default();
        let (run, json): (fn(&[u8]), Json) = match name.as_str() {
            "bodies" => (bodies::run, Json::Behind(1)),
            "filter" => (filter::run, Json::FirstLine),
            "flow" => (flow::run, Json::Behind(0)),
            "script" => (script::run, Json::Text),
            "template" => (template::run, Json::Text),
            "trigger" => (trigger::run, Json::Behind(0)),
            "values" => (values::run, Json::Behind(0)),
            "wire" => (wire::run, Json::Nowhere),
            _ => panic!("WINDSOCK_FUZZ_TARGET names no target: '{name}'"),
        };
        Target { run, json }
    })
}

fuzz_target!(
    init: {
        // The compiler of scripts runs on a thread of its own whose panic is an error like others.
        let abort = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().name() != Some("compile") {
                abort(info);
            }
        }));
    },
    |data: &[u8]| (target().run)(data)
);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    match changed(&data[..size], seed) {
        Some(whole) if whole.len() <= max_size => {
            data[..whole.len()].copy_from_slice(&whole);
            whole.len()
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});

/// `data` with its JSON or its text changed as a whole; every third time none, so that libFuzzer does as it likes.
fn changed(data: &[u8], seed: u32) -> Option<Vec<u8>> {
    if seed % 3 == 0 {
        return None;
    }
    let end = match target().json {
        Json::FirstLine => data
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(data.len()),
        _ => data.len(),
    };
    let start = match target().json {
        Json::Nowhere => return None,
        Json::Behind(start) => start.min(end),
        Json::FirstLine | Json::Text => 0,
    };
    let part = &data[start..end];
    let seed = u64::from(seed);
    let new = match target().json {
        Json::Text => mutate::text(std::str::from_utf8(part).ok()?, seed),
        _ => mutate::json(&serde_json::from_slice::<Value>(part).ok()?, seed).to_string(),
    };
    Some([&data[..start], new.as_bytes(), &data[end..]].concat())
}
