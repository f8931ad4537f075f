//! T1: from the wire through the filter, where nothing matches; and the bare loops beside it.

use std::time::Instant;

use super::{Database, listen, measure, micros, server, symbol, wait_for_counter};
use crate::{peers::Peer, source::Source};

const MESSAGES: u64 = 3_000_000;

/// One frame a read: a rate at which the reader is always done before the next frame comes.
const PACED: (u64, u64) = (15_000, 75_000);

/// How often each is measured, in turn: what the machine does besides then falls on all alike.
const ROUNDS: u64 = 5;

/// Who reads: by its name in [`Peer`], or windsock itself.
const FLOODED: [(Option<&str>, &str); 4] = [
    (Some("tcp"), "plain TCP read of the same bytes"),
    (Some("awc"), "awc, decode and count"),
    (
        Some("filter-none"),
        "tokio-tungstenite + serde filter, 0 % match",
    ),
    (None, "**windsock**, 0 % match"),
];
const ONE_BY_ONE: [(Option<&str>, &str); 2] = [
    (Some("awc"), "awc, one frame a read"),
    (None, "**windsock**, one frame a read, 0 % match"),
];

/// Runs the scene.
pub async fn run() {
    let mut rows = Vec::new();
    compare(&FLOODED, &format!("flood {MESSAGES}"), MESSAGES, &mut rows).await;
    let (rate, messages) = PACED;
    let paced = format!("pace {rate} {messages}");
    compare(&ONE_BY_ONE, &paced, messages, &mut rows).await;
    measure::table(
        "Listening and filtering, one connection, text frames of about 200 B",
        &["who", "CPU µs a message", "messages/s"],
        &rows,
    );
}

/// A row for each of `readers`, who read what `command` sends, over all rounds.
async fn compare(
    readers: &[(Option<&str>, &str)],
    command: &str,
    messages: u64,
    rows: &mut Vec<Vec<String>>,
) {
    let mut sums = vec![(0.0, 0.0); readers.len()];
    for _ in 0..ROUNDS {
        for ((reader, _), (cpu, seconds)) in readers.iter().zip(&mut sums) {
            let took = match reader {
                Some(kind) => peer(kind, command, messages),
                None => windsock(command, messages).await,
            };
            *cpu += took.0;
            *seconds += took.1;
        }
    }
    for ((_, who), (cpu, seconds)) in readers.iter().zip(sums) {
        let rate = measure::grouped((ROUNDS * messages) as f64 / seconds);
        let each = micros(cpu, ROUNDS * messages);
        rows.push(vec![(*who).to_owned(), each, rate]);
    }
}

/// CPU and wall seconds of a bare loop.
fn peer(kind: &str, command: &str, messages: u64) -> (f64, f64) {
    let mut source = Source::start();
    let peer = Peer::start(kind, &source.url(), messages, "");
    source.tell(command);
    let took = peer.finish();
    let figure = |name: &str| took[name].as_f64().expect("a figure");
    (figure("cpu"), figure("seconds"))
}

/// CPU and wall seconds of the whole server.
async fn windsock(command: &str, messages: u64) -> (f64, f64) {
    let mut source = Source::start();
    let app = server(Database::sqlite(), 0).await;
    listen(&app, &source, None, symbol("ETHUSDT")).await;
    let (cpu, start) = (measure::cpu(app.process_id()), Instant::now());
    source.tell(command);
    wait_for_counter(&app, "received", messages).await;
    (
        measure::cpu(app.process_id()) - cpu,
        start.elapsed().as_secs_f64(),
    )
}
