//! What the integration tests stand on: the real binary, foreign servers, databases, a browser, a cable to cut.
//!
//! Nothing here expects anything of windsock beyond how it is started; expectations live in the capability files.

pub mod app;
pub mod authority;
pub mod browser;
pub mod cutter;
pub mod footprint;
pub mod peer;
pub mod postgres;
pub mod process;
pub mod server;

use std::{
    io::Write,
    time::{Duration, Instant},
};

pub use app::{Answer, TestApp};
pub use authority::Authority;
pub use browser::Browser;
pub use cutter::Cutter;
pub use peer::{Peer, source};
pub use postgres::{Cluster, Database};
pub use server::{Settings, TOKEN};

/// How long a condition may take to come true. A deadline against hanging, never a measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a test cannot do without besides Rust and python3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// python3 with the package `websockets`.
    Peer,
    /// `initdb` and `postgres`.
    Postgres,
    /// Chromium and chromedriver.
    Browser,
    /// node with the packages of `tests/peers/package.json`.
    Node,
    /// axe-core, one of the packages of `tests/peers/package.json`.
    Axe,
    /// A package of `tests/peers/requirements.txt`.
    Python(&'static str),
    /// A package of `tests/peers/package.json`.
    NodePackage(&'static str),
    /// A program on `PATH`.
    Program(&'static str),
}

impl Need {
    fn missing(self) -> Option<String> {
        match self {
            Need::Peer => peer::missing(),
            Need::Postgres => postgres::missing(),
            Need::Browser => browser::missing(),
            Need::Node => peer::node_missing(),
            Need::Axe => browser::axe_missing(),
            Need::Python(package) => peer::python_missing(package),
            Need::NodePackage(package) => peer::node_package_missing(package),
            Need::Program(name) => (!on_path(name)).then(|| format!("{name} is not on PATH")),
        }
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Says whether everything is there; what is not is printed with the test's name, past libtest's capture.
///
/// # Panics
/// With `WINDSOCK_TEST_MUST_RUN` set, where `tests/run` has installed everything: there a skip is a failure.
pub fn ready(test: &str, needs: &[Need]) -> bool {
    let missing: Vec<String> = needs.iter().filter_map(|need| need.missing()).collect();
    if missing.is_empty() {
        return true;
    }
    let reason = missing.join(", ");
    assert!(
        std::env::var_os("WINDSOCK_TEST_MUST_RUN").is_none(),
        "{test} cannot run: {reason}"
    );
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
    false
}

/// Whether the longer suites were asked for (`./tests/run --all`).
pub fn all() -> bool {
    std::env::var_os("WINDSOCK_TEST_ALL").is_some()
}

/// Declares tests, each of them once on SQLite and once on PostgreSQL: `<test>::sqlite` and `<test>::postgres`.
/// A test is an `async fn(Database)`.
macro_rules! on_both_databases {
    (needs: $needs:tt, tests: [$($test:ident),+ $(,)?]) => {$(
        mod $test {
            use crate::harness::{Database, Need, ready};

            #[actix::test]
            async fn sqlite() {
                if ready(concat!(module_path!(), "::sqlite"), &$needs) {
                    super::$test(Database::sqlite()).await;
                }
            }

            #[actix::test]
            async fn postgres() {
                let name = concat!(module_path!(), "::postgres");
                if ready(name, &[Need::Postgres]) && ready(name, &$needs) {
                    super::$test(Database::postgres()).await;
                }
            }
        }
    )+};
}
pub(crate) use on_both_databases;

/// Looks again and again until `look` gives `Ok`; `Err` is what was seen instead.
///
/// # Panics
/// When that takes longer than [`PATIENCE`], with `what` and what was seen last.
pub async fn wait_for<T>(what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> T {
    wait_at_most(PATIENCE, what, look).await
}

/// [`wait_for`] for what takes longer, such as thousands of jobs on a busy machine.
pub async fn wait_at_most<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) if Instant::now() > deadline => {
                panic!("{what} did not happen within {patience:?}; last seen: {seen}")
            }
            Err(_) => actix::clock::sleep(LOOK_AGAIN).await,
        }
    }
}
