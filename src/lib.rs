//! windsock connects to WebSocket servers as a client and runs a script or a flow whenever a message arrives.
//!
//! Read on in this order and you have seen a message go **socket → filter → queue → runner → reply**:
//! [`trigger`], [`queue`], [`runner`]. `ARCHITECTURE.md` tells where to change what, and why it is so.
//!
//! # The supervision tree
//! ```text
//! system ─┬─ HTTP server       API, page, live socket; owns nothing
//!         ├─ Registry (1) ───── Socket × wanted trigger    connects, speaks, reads; replaced when it dies
//!         ├─ Tryouts (1) ────── Socket × trial or capture  connections of no saved trigger; nothing becomes a job
//!         ├─ Scribe (1)         writes down, a second at a time, what connections note for people
//!         ├─ FilterPool ─────── Filter × threads           JSON checks; no state
//!         ├─ Replies (1)        finished job → the socket its message came from
//!         ├─ Ledger (1)         the one writer of the jobs tables: group commit, on a thread of its own
//!         └─ Runner (1) ─────── Worker × K, a thread each  one warm process or context per script version and run-as
//! ```
//!
//! # The way of a message
//! ```text
//! peer ═frames═▶ Socket ─[512]─▶ Filter ─▶ Socket ─[2,000]─▶ Ledger ═commit═▶ jobs table
//!                  ▲   bounded until the commit: 10,000 messages, 32 MiB; past it the socket is not read
//!                  └── text ── Replies ◀─ results ── Ledger ◀═finish═ Worker ◀═claim═ Runner
//! ```
//! 1. The frame layer ([`wire`]) joins frames into messages, within `max_message_bytes`.
//! 2. The socket's rules see the message; a quick, exact reject on its own thread drops what cannot match.
//! 3. The rest goes to the filter's thread in batches; what it wants goes to the ledger in batches. Each step
//!    has one batch of a trigger under way, and the next one grows meanwhile: no timer, order kept.
//! 4. The ledger puts whatever waits, of all triggers, into one transaction. From here on it is durable.
//! 5. The runner claims jobs, a worker runs one, its result is committed together with others.
//! 6. A result that owes an answer goes back to its connection, if that still stands.
//!
//! A flow is a job too, and each of its steps is one: see `runner::flow`. It waits for them without a worker.
//!
//! # What can be lost, and when
//! - A message that was read but not yet committed, when the process dies, or was taken for dead by another one
//!   ([`presence`]; counted). Nothing else: what `status` calls `enqueued` is a committed row.
//! - A job that runs when its worker dies is run again (at least once); after three lost workers it fails.
//! - A reply is sent at most once. Without its connection it is counted as undeliverable.
//!
//! # What is never so
//! - Nothing outside [`db`] names diesel; nothing blocks an async thread that others share; no text goes into a query unbound.
//! - [`trigger`] and [`runner`] do not know each other: they meet in [`queue`].
//! - Imports run one way: `main → system → {api, trigger, runner} → queue → presence, access → db → config, metrics, secret, types`.

pub mod access;
pub mod api;
pub mod config;
pub mod db;
mod demo;
pub mod flow;
pub mod identity;
pub mod metrics;
#[cfg(test)]
mod mutate;
pub mod presence;
pub mod queue;
pub mod runner;
mod secret;
pub mod system;

pub mod trigger;
pub mod types;
pub mod wire;

use std::io::Write;

use config::{Command, Config};
use system::{StartError, System};

/// Does what `command` says (nothing = `serve`) and returns when it is done: for a server after a signal.
///
/// # Errors
/// It could not be started; nothing was changed.
pub fn run(config: Config, command: Option<Command>) -> Result<(), StartError> {
    actix_rt::System::new().block_on(async {
        if command == Some(Command::LoginLink) {
            return say(&system::login_link(&config).await?);
        }
        // Heard from the beginning: who starts it may stop it at any moment.
        let mut stop = system::StopSignal::heard();
        let starting = async {
            let system = System::start(config).await?;
            say(&system.greeting().await?)?;
            Ok::<_, StartError>(system)
        };
        let system = tokio::select! {
            started = starting => started?,
            () = stop.comes() => return Ok(()),
        };
        stop.comes().await;
        system.stop().await;
        runner::leave_folders();
        Ok(())
    })
}

/// Prints for people and for what waits for the address; a closed pipe must not end the server.
fn say(text: &str) -> Result<(), StartError> {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
    Ok(())
}
