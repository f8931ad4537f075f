//! `lock`: the versions that somebody has pinned for a script, saved or inside a flow.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::harness::{Database, Need, Settings, TestApp, ready, wait_at_most};

/// A registry may be slow.
const PATIENCE: Duration = Duration::from_secs(240);
const PYTHON: &str = "import six\ndef main(): return six.__version__";
const LOCK: &str = "# py: 3.11\nsix==1.14.0";

async fn result(app: &TestApp, id: &str) -> Value {
    let job = wait_at_most(
        PATIENCE,
        "the job ends (this takes a registry)",
        async || app.completed_job(id).await.ok_or("not completed".into()),
    )
    .await;
    job["result"].clone()
}

#[actix::test]
async fn scripts_run_with_the_versions_of_their_lock() {
    if !ready(module_path!(), &[Need::Program("uv")]) {
        return;
    }
    let cache = std::env::var_os("WINDSOCK_TEST_PACKAGES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-packages"),
        std::path::PathBuf::from,
    );
    let settings = Settings::new().env("WINDSOCK_CACHE_DIR", cache.to_str().unwrap());
    let app = TestApp::start_with(Database::sqlite(), settings).await;
    let lock = json!({ "lock": LOCK });
    app.create_script_with("f/x/locked", "python3", PYTHON, &lock)
        .await;
    let step = |lock: Value| {
        json!({"id": "a", "value": {"type": "rawscript", "language": "python3", "content": PYTHON,
            "lock": lock, "input_transforms": {}}})
    };
    let flow = |lock: Value| json!({"modules": [step(lock)]});
    let lines: Vec<&str> = LOCK.lines().collect();
    for (path, lock) in [
        ("f/x/one", json!(LOCK)),
        ("f/x/other", json!("six==1.15.0")),
    ] {
        let body = json!({"path": path, "summary": "", "value": flow(lock)});
        app.post("flows/create", &body).await.expect(201);
    }
    let mut ids = vec![(app.run_script("f/x/locked", &json!({})).await, "1.14.0")];
    for (path, version) in [("one", "1.14.0"), ("other", "1.15.0")] {
        let run = app
            .post(&format!("jobs/run/f/f/x/{path}"), &json!({}))
            .await;
        ids.push((run.expect(201).text, version));
    }
    let tried = json!({"value": flow(json!(lines)), "args": {}});
    let tried = app.post("jobs/run/preview_flow", &tried).await;
    ids.push((tried.expect(201).text, "1.14.0"));
    for (id, version) in ids {
        assert_eq!(result(&app, &id).await, version);
    }
    // What cannot be followed is said, where the packages are installed and where the script runs.
    let option = json!({"lock": "--extra-index-url http://h\nsix==1.14.0"});
    let hash = app
        .create_script_with("f/x/option", "python3", PYTHON, &option)
        .await;
    let status = app
        .get(&format!("scripts/deployment_status/h/{hash}"))
        .await;
    let status = status.expect(200).json();
    let said = "lock: '--extra-index-url http://h' is not a requirement like 'requests==2.31.0'";
    assert_eq!(status["lock_error_logs"], said, "{status}");
    let id = app.run_script("f/x/option", &json!({})).await;
    assert_eq!(result(&app, &id).await["error"]["message"], said);
    let broken = json!({"path": "f/x/broken", "summary": "", "value": flow(json!(1))});
    let refused = app.post("flows/create", &broken).await.expect(400);
    assert!(
        refused
            .text
            .contains("modules[0] (id a): lock must be a text"),
        "{}",
        refused.text
    );
}
