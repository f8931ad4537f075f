//! The published client libraries, `wmill` (PyPI) and `windmill-client` (npm), in programs of their own outside of jobs: every
//! call they make of a server (windmill-facts §2.5). Within jobs they are tried by `documented_scripts`.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::harness::{Database, Need, Settings, TOKEN, TestApp, peer, ready};

/// Only bounds a program that waits for what never comes.
const SECONDS: &str = "900";

/// A server with what the programs run, and the hash of the script that doubles.
async fn start() -> (TestApp, String) {
    let app = TestApp::start_with(Database::sqlite(), Settings::new()).await;
    let script = async |name: &str, body: &str| {
        let content = format!("export async function main(n?: number) {{ {body} }}\n");
        let path = format!("u/admin/{name}");
        app.create_script(&path, "nativets", &content).await
    };
    let hash = script("double", "return n! * 2;").await;
    script("fails", "throw new TypeError('refuses');").await;
    script(
        "slow",
        "await new Promise((done) => setTimeout(done, 600000));",
    )
    .await;
    script(
        "streams",
        "console.log('WM_STREAM: one '); console.log('WM_STREAM: two\\\\n'); return 'done';",
    )
    .await;
    // How often it has run stands in the database: only the third time it ends well.
    let content = "import * as wmill from 'windmill-client';\n\
        export async function main(name: string) {\n\
          const path = `u/admin/times_${name}`;\n\
          const times = 1 + Number(await wmill.getVariable(path).catch(() => '0'));\n\
          await wmill.setVariable(path, String(times));\n\
          if (times < 3) throw new Error('not yet');\n\
          return times;\n\
        }\n";
    app.create_script("u/admin/third_time", "nativets", content)
        .await;
    let step = json!({"id": "a", "value": {"type": "script", "path": "u/admin/double",
        "input_transforms": {"n": {"type": "javascript", "expr": "flow_input.n"}}}});
    let flow = json!({"path": "f/tools/flow", "summary": "", "value": {"modules": [step]}});
    app.post("flows/create", &flow).await.expect(201);
    (app, hash)
}

/// Runs a program of `tests/clients` to its end; gives what its last line says.
async fn run(app: &TestApp, program: &Path, file: &str, hash: &str) -> Value {
    let mut command = Command::new("timeout");
    command.arg(SECONDS).arg(program);
    command.arg(peer::source("tests/clients").join(file));
    command
        .env("BASE_INTERNAL_URL", app.url())
        .env("BASE_URL", app.url());
    command
        .env("WM_TOKEN", TOKEN)
        .env("WM_WORKSPACE", "main")
        .env("HASH", hash);
    command.env(
        "WM_STATE_PATH",
        format!("u/admin/state_of_{}", file.replace('.', "_")),
    );
    command
        .env("NODE_MODULES", peer::source(peer::NODE_MODULES))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    // Off this thread, which answers nothing meanwhile.
    let output = actix_web::web::block(move || command.output())
        .await
        .unwrap();
    let output = output.expect("the program can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{file}: {}\n{text}\n{errors}",
        output.status
    );
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{file}: {error}: {text}"))
}

/// What both libraries must be told.
fn expected() -> Value {
    json!({
        "whoami": "admin", "version": true, "workspace": "main",
        "run_script": 42, "run_script_by_hash": 8, "run_script_old": 4, "wait_job": 10, "get_result": 10,
        "get_job": "u/admin/double", "root": true, "canceled_late": true, "result_late": "Canceled", "flow": 14, "progress": 40,
        "flow_user_state": {"a": [1]}, "variables": ["two", "two", "hidden"],
        "resource": vec![json!({"a": 2, "password": "hidden"}); 3],
        "no_resource": null, "state": [null, {"last": 1}, {"last": 2}],
        "retried": 3, "streamed": "done", "stream": "one two\n",
    })
}

#[track_caller]
fn assert_told(told: &Value, expected: Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&told[name], value, "{name}: {told:#}");
    }
    assert!(
        told["failure"].as_str().unwrap().contains("refuses"),
        "{told:#}"
    );
    for answer in told["no_approvals"].as_array().unwrap() {
        let answer = answer.as_str().unwrap();
        assert!(
            answer.contains("do not wait for approvals here"),
            "{answer}"
        );
    }
    assert!(told["email"].as_str().unwrap().contains('@'), "{told:#}");
}

#[actix::test]
async fn wmill_of_pypi_works_outside_of_jobs() {
    if !ready(
        "clients::wmill_of_pypi_works_outside_of_jobs",
        &[Need::Python("wmill")],
    ) {
        return;
    }
    let (mut app, hash) = start().await;
    let told = run(&app, &peer::python(), "calls.py", &hash).await;
    assert_told(&told, expected());
    for (name, value) in [
        ("status", json!("COMPLETED")),
        ("late", json!("WAITING")),
        ("canceled", json!("COMPLETED")),
        ("cancel_running", json!(true)),
        ("missing", json!(true)),
        ("draining", json!(false)),
        ("no_variable", json!(true)),
        ("resources", json!(["u/admin/py_res"])),
        ("token", json!("admin")),
        ("tagged", json!("mine")),
        ("inline", json!(4.5)),
        ("inline_elsewhere", json!("42")),
        (
            "as_saved",
            json!({"a": 2, "password": "$var:u/admin/py_secret"}),
        ),
    ] {
        assert_eq!(told[name], value, "{name}: {told:#}");
    }
    let bad = told["bad_retry"].as_str().unwrap();
    assert!(bad.contains("retry.constant.attempts: "), "{bad}");
    app.stop().await;
}

#[actix::test]
async fn windmill_client_of_npm_works_outside_of_jobs() {
    if !ready(
        "clients::windmill_client_of_npm_works_outside_of_jobs",
        &[Need::NodePackage("windmill-client")],
    ) {
        return;
    }
    let (mut app, hash) = start().await;
    let told = run(&app, Path::new("node"), "calls.mjs", &hash).await;
    assert_told(&told, expected());
    for (name, value) in [
        ("status", json!("CompletedJob")),
        ("maybe", json!(true)),
        ("late", json!(false)),
        ("canceled", json!("CompletedJob")),
        ("run_flow", json!(16)),
    ] {
        assert_eq!(told[name], value, "{name}: {told:#}");
    }
    assert!(
        !told["no_variable"].as_str().unwrap().is_empty(),
        "{told:#}"
    );
    app.stop().await;
}
