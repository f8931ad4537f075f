//! T1: from the wire through the filter, where nothing matches; and the bare loops beside it.

use std::time::Instant;

use super::{Database, listen, measure, micros, server, symbol, wait_for_counter};
use crate::{peers::Peer, source::Source};

const MESSAGES: u64 = 3_000_000;

/// One frame a read: a rate at which the reader is always done before the next frame comes.
const PACED: (u64, u64) = (15_000, 150_000);

/// Runs the scene.
pub async fn run() {
    let mut rows = Vec::new();
    let mut row = |who: &str, cpu: f64, seconds: f64, messages: u64| {
        let rate = measure::grouped(messages as f64 / seconds);
        rows.push(vec![who.to_owned(), micros(cpu, messages), rate]);
    };
    for (kind, who) in [
        ("tcp", "plain TCP read of the same bytes"),
        ("awc", "awc, decode and count"),
        ("filter-none", "tokio-tungstenite + serde filter, 0 % match"),
    ] {
        let (cpu, seconds) = peer(kind, &format!("flood {MESSAGES}"), MESSAGES);
        row(who, cpu, seconds, MESSAGES);
    }
    let (cpu, seconds) = windsock(&format!("flood {MESSAGES}"), MESSAGES).await;
    row("**windsock**, 0 % match", cpu, seconds, MESSAGES);
    let (rate, messages) = PACED;
    let paced = format!("pace {rate} {messages}");
    let (cpu, seconds) = peer("awc", &paced, messages);
    row("awc, one frame a read", cpu, seconds, messages);
    let (cpu, seconds) = windsock(&paced, messages).await;
    row(
        "**windsock**, one frame a read, 0 % match",
        cpu,
        seconds,
        messages,
    );
    measure::table(
        "Listening and filtering, one connection, text frames of about 200 B",
        &["who", "CPU µs a message", "messages/s"],
        &rows,
    );
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
