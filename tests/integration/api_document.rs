//! `/api/openapi.json` tells the truth: schemathesis asks every operation what the document allows, and what it does not;
//! no 5xx, no status, content type or shape that the document does not have.

use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Database, Need, Settings, TOKEN, TestApp, all, peer, ready};

/// What waits for a job, goes on as long as somebody reads, or dials out: asked apart, of a server that runs jobs.
const WAITS: &str =
    "(/run_wait_result/|/run_and_stream/|/getupdate_sse/|/websocket_triggers/(live$|try|test$))";
const JOBS: &str = "^/api/w/[^/]*/(jobs|jobs_u|job_metrics|capture|message_samples|stats)(/|$)";
const TRIGGERS: &str =
    "^/api/w/[^/]*/(websocket_triggers|trigger|variables|resources|triggers_history)(/|$)";
/// Only bounds a run that hangs. Nearly all of the time goes into making up requests, in one thread of Python: the parts
/// run beside each other. One takes a minute or two; with `--all` and a core of its own, five to fifteen.
const SECONDS: [&str; 2] = ["1800", "3600"];

/// What is asked for.
#[derive(Clone, Copy)]
enum Part {
    Jobs,
    Triggers,
    /// What is neither.
    Rest,
    Waiting,
}

impl Part {
    /// Options that choose the operations.
    fn operations(self) -> Vec<String> {
        let without = |of: &str| ["--exclude-path-regex".to_owned(), of.to_owned()];
        let with = |of: &str| ["--include-path-regex".to_owned(), of.to_owned()];
        match self {
            Self::Jobs => [with(JOBS), without(WAITS)].concat(),
            Self::Triggers => [with(TRIGGERS), without(WAITS)].concat(),
            Self::Rest => without(&format!("({WAITS}|{JOBS}|{TRIGGERS})")).to_vec(),
            Self::Waiting => with(WAITS).to_vec(),
        }
    }
}

/// Runs schemathesis with more options; gives what it said if it found something.
async fn run(part: Part, options: &'static [&'static str]) -> Result<String, String> {
    let settings = Settings::new()
        .without_env("ALLOW_PRIVATE_WEBSOCKET_URLS")
        .env("RUST_LOG", "warn")
        .flag("--num-workers")
        .flag(match part {
            Part::Waiting => "2",
            Part::Jobs | Part::Triggers | Part::Rest => "0",
        });
    let mut app = TestApp::start_with(Database::sqlite(), settings).await;
    let folder = TempDir::with_prefix("windsock-schema-").unwrap();
    let mut command = Command::new("timeout");
    command.arg(SECONDS[usize::from(all())]).arg(peer::python());
    command.args(["-m", "schemathesis.cli", "run"]);
    command.arg(format!("{}/api/openapi.json", app.url()));
    command.args(part.operations());
    command.args(["--seed", "1", "--workers", "1"]);
    command.args([
        "--generation-database",
        "none",
        "--suppress-health-check",
        "all",
    ]);
    command.args([
        "--continue-on-failure",
        "--no-color",
        "--warnings",
        "off",
        "--request-timeout",
        "60",
    ]);
    command.args(options).current_dir(folder.path());
    command
        .env("WINDSOCK_URL", app.url())
        .env("WINDSOCK_TOKEN", TOKEN);
    command
        .env("SCHEMATHESIS_HOOKS", "api_objects")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PYTHONPATH", peer::source("tests/clients"));
    let output = actix_web::web::block(move || command.output())
        .await
        .unwrap();
    let output = output.expect("schemathesis can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let server = app.output();
    app.stop().await;
    if output.status.success() {
        Ok(said)
    } else {
        Err(format!(
            "{}\n{said}\n{errors}\n--- the server\n{server}",
            output.status
        ))
    }
}

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
const AUTHORIZATION: &str = "Authorization: Bearer token-of-the-tests";

/// Asks with a token.
async fn asked(name: &str, part: Part) {
    if !ready(name, &[Need::Python("schemathesis")]) {
        return;
    }
    assert!(AUTHORIZATION.ends_with(TOKEN));
    let usual: &[&str] = &[
        "-H",
        AUTHORIZATION,
        "--checks",
        CHECKS,
        "--phases",
        "fuzzing",
        "--max-examples",
        "20",
    ];
    let longer: &[&str] = &[
        "-H",
        AUTHORIZATION,
        "--checks",
        CHECKS,
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "200",
    ];
    let said = run(part, if all() { longer } else { usual }).await;
    let said = said.unwrap_or_else(|found| panic!("{found}"));
    assert!(said.contains(" passed"), "{said}");
}

/// Asks without one.
async fn asked_by_nobody(name: &str, part: Part) {
    if !ready(name, &[Need::Python("schemathesis")]) {
        return;
    }
    let usual: &[&str] = &[
        "--checks",
        CHECKS,
        "--phases",
        "fuzzing",
        "--max-examples",
        "3",
    ];
    let longer: &[&str] = &[
        "--checks",
        CHECKS,
        "--phases",
        "coverage,fuzzing",
        "--max-examples",
        "200",
    ];
    let said = run(part, if all() { longer } else { usual }).await;
    let said = said.unwrap_or_else(|found| panic!("{found}"));
    assert!(said.contains(" passed"), "{said}");
}

macro_rules! parts {
    ($asked:ident: $($name:ident $part:ident;)+) => {$(
        #[actix::test]
        async fn $name() {
            $asked(concat!("api_document::", stringify!($name)), Part::$part).await;
        }
    )+};
}

parts! { asked:
    every_answer_about_jobs_is_one_that_the_document_has Jobs;
    every_answer_about_triggers_is_one_that_the_document_has Triggers;
    every_other_answer_is_one_that_the_document_has Rest;
    every_answer_that_waits_or_goes_on_is_one_that_the_document_has Waiting;
}
parts! { asked_by_nobody:
    without_a_token_every_answer_about_jobs_is_one_that_the_document_has Jobs;
    without_a_token_every_answer_about_triggers_is_one_that_the_document_has Triggers;
    without_a_token_every_other_answer_is_one_that_the_document_has Rest;
    without_a_token_every_answer_that_waits_or_goes_on_is_one_that_the_document_has Waiting;
}
