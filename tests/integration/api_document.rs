//! `/api/openapi.json` tells the truth: schemathesis asks every operation what the document allows, and what it does not;
//! no 5xx, no status, content type or shape that the document does not have.

use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Database, Need, Settings, TOKEN, TestApp, all, peer, ready};

/// Left out, by path: what waits for a job (nobody runs any here), what goes on as long as somebody reads, what dials out.
const LEFT_OUT: &str =
    "(/run_wait_result/|/run_and_stream/|/getupdate_sse/|/websocket_triggers/(live$|try|test$))";
/// Only bounds a run that hangs; one takes a minute or two, with `--all` twenty.
const SECONDS: [&str; 2] = ["1800", "14400"];

/// Runs schemathesis with more options; gives what it said if it found something.
async fn run(options: &'static [&'static str]) -> Result<String, String> {
    let settings = Settings::new()
        .without_env("ALLOW_PRIVATE_WEBSOCKET_URLS")
        .env("RUST_LOG", "warn")
        .flag("--num-workers")
        .flag("0");
    let mut app = TestApp::start_with(Database::sqlite(), settings).await;
    let folder = TempDir::with_prefix("windsock-schema-").unwrap();
    let mut command = Command::new("timeout");
    command.arg(SECONDS[usize::from(all())]).arg(peer::python());
    command.args(["-m", "schemathesis.cli", "run"]);
    command.arg(format!("{}/api/openapi.json", app.url()));
    command.args([
        "--exclude-path-regex",
        LEFT_OUT,
        "--seed",
        "1",
        "--workers",
        "1",
    ]);
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

#[actix::test]
async fn every_answer_is_one_that_the_document_has() {
    if !ready(
        "api_document::every_answer_is_one_that_the_document_has",
        &[Need::Python("schemathesis")],
    ) {
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
    let said = run(if all() { longer } else { usual }).await;
    let said = said.unwrap_or_else(|found| panic!("{found}"));
    assert!(said.contains(" passed"), "{said}");
}

#[actix::test]
async fn without_a_token_every_answer_is_one_that_the_document_has() {
    let name = "api_document::without_a_token_every_answer_is_one_that_the_document_has";
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
    let said = run(if all() { longer } else { usual }).await;
    let said = said.unwrap_or_else(|found| panic!("{found}"));
    assert!(said.contains(" passed"), "{said}");
}
