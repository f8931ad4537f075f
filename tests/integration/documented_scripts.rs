//! Scripts as Windmill's users write them run unchanged, in every language of this machine, with the published
//! packages `wmill` and `windmill-client` speaking to this server.
//!
//! The scripts are files in `tests/scripts`; comments at their top say what goes in and what comes out:
//! `args:`, then `result:` or `error:` (a part of its text), `stream:` (the streamed result), `skip_preprocessor:`.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::{Value, json};

use crate::harness::{Database, Need, Settings, TestApp, ready, wait_at_most};

/// Packages are downloaded the first time, and this machine may do other things.
const PATIENCE: Duration = Duration::from_secs(300);
/// What Windmill's documentation shows needs about as many.
const AT_LEAST: usize = 25;

/// One file of `tests/scripts`.
struct Documented {
    path: String,
    language: &'static str,
    content: String,
    says: BTreeMap<String, String>,
}

const ENDINGS: [(&str, &str, &str); 5] = [
    (".nativets.ts", "_nativets", "nativets"),
    (".bun.ts", "_bun", "bun"),
    (".deno.ts", "_deno", "deno"),
    (".py", "_py", "python3"),
    (".sh", "_sh", "bash"),
];

fn read(file: &Path) -> Documented {
    let name = file.file_name().unwrap().to_str().unwrap();
    let (ending, suffix, language) = ENDINGS
        .into_iter()
        .find(|(ending, ..)| name.ends_with(ending))
        .unwrap_or_else(|| panic!("{name} is in no language"));
    let content = std::fs::read_to_string(file).unwrap();
    let says = content
        .lines()
        .filter_map(|line| line.trim_start_matches(['#', '/']).trim().split_once(": "))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let stem = name.strip_suffix(ending).unwrap();
    Documented {
        path: format!("f/docs/{stem}{suffix}"),
        language,
        content,
        says,
    }
}

/// Those whose language this machine has.
fn documented() -> Vec<Documented> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut scripts: Vec<Documented> = files.iter().map(|file| read(file)).collect();
    assert!(scripts.len() >= AT_LEAST);
    for (language, program) in [("bun", "bun"), ("deno", "deno"), ("python3", "uv")] {
        if !ready(&format!("scripts in {language}"), &[Need::Program(program)]) {
            scripts.retain(|script| script.language != language);
        }
    }
    scripts
}

async fn start() -> TestApp {
    let cache = std::env::var_os("WINDSOCK_TEST_PACKAGES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-packages"),
        std::path::PathBuf::from,
    );
    // Four of the scripts wait for one that they run, each in a slot of its own.
    let settings = Settings::new()
        .env("WINDSOCK_CACHE_DIR", cache.to_str().unwrap())
        .env("NUM_WORKERS", "6");
    let app = TestApp::start_with(Database::sqlite(), settings).await;
    for (path, value, is_secret) in [
        ("u/admin/greeting", "good day", false),
        ("u/admin/password", "hidden", true),
    ] {
        let variable =
            json!({"path": path, "value": value, "is_secret": is_secret, "description": ""});
        app.post("variables/create", &variable).await.expect(201);
    }
    let database = json!({
        "path": "u/admin/database", "resource_type": "postgresql",
        "value": {"host": "db.example", "password": "$var:u/admin/password"},
    });
    app.post("resources/create", &database).await.expect(201);
    app
}

async fn save(app: &TestApp, script: &Documented) -> String {
    app.create_script(&script.path, script.language, &script.content)
        .await
}

async fn installed(app: &TestApp, path: &str, hash: &str) {
    let what = format!("the packages of {path} are there (this takes a registry)");
    wait_at_most(PATIENCE, &what, async || {
        let status = app
            .get(&format!("scripts/deployment_status/h/{hash}"))
            .await
            .expect(200)
            .json();
        // A registry that hiccups is asked again after half a minute.
        let there = status["lock"].is_string().then_some(());
        there.ok_or_else(|| status.to_string())
    })
    .await;
}

/// Compares what became of a run with what its script says.
async fn verify(app: &TestApp, script: &Documented, id: &str) {
    let job = wait_at_most(PATIENCE, &script.path, async || {
        app.completed_job(id).await.ok_or("not completed".into())
    })
    .await;
    let (path, says) = (&script.path, &script.says);
    match says.get("error") {
        Some(part) => {
            assert_eq!(job["success"], false, "{path}: {job}");
            let message = job["result"]["error"]["message"].as_str().unwrap();
            assert!(message.contains(part.as_str()), "{path}: {message}");
        }
        None => {
            assert_eq!(job["success"], true, "{path}: {job}");
            let wanted: Value = serde_json::from_str(&says["result"]).unwrap();
            assert_eq!(job["result"], wanted, "{path}");
        }
    }
    if let Some(stream) = says.get("stream") {
        let update = app.get(&format!("jobs_u/getupdate/{id}")).await;
        let update = update.expect(200).json();
        let wanted = stream.replace("\\n", "\n");
        assert_eq!(update["new_result_stream"], wanted, "{path}: {update}");
        assert_eq!(update["stream_offset"], wanted.len(), "{path}");
        let again = format!("jobs_u/getupdate/{id}?stream_offset={}", wanted.len());
        let again = app.get(&again).await.expect(200).json();
        assert_eq!(again["new_result_stream"], Value::Null, "{path}");
    }
}

#[actix::test]
async fn documented_scripts_run_unchanged() {
    let scripts = documented();
    let mut app = start().await;
    let mut hashes = Vec::new();
    for script in &scripts {
        hashes.push(save(&app, script).await);
    }
    for (script, hash) in scripts.iter().zip(&hashes) {
        installed(&app, &script.path, hash).await;
    }
    let mut jobs = Vec::new();
    for script in &scripts {
        let args: Value = serde_json::from_str(&script.says["args"]).unwrap();
        let wants = script.says.get("skip_preprocessor").map(String::as_str);
        let skip = if wants == Some("false") {
            ""
        } else {
            "?skip_preprocessor=true"
        };
        let run = format!("jobs/run/p/{}{skip}", script.path);
        jobs.push(app.post(&run, &args).await.expect(201).text);
    }
    for (script, job) in scripts.iter().zip(&jobs) {
        verify(&app, script, job).await;
    }
    app.stop().await;
}

#[actix::test]
async fn failed_installations_show_with_the_script() {
    if !ready(
        "failed_installations_show_with_the_script",
        &[Need::Program("uv")],
    ) {
        return;
    }
    let mut app = start().await;
    let content = "import windsock_no_such_package_0b7c\n\ndef main():\n    pass\n";
    let hash = app.create_script("f/docs/bad", "python3", content).await;
    let error = wait_at_most(PATIENCE, "the installation fails", async || {
        let status = app
            .get(&format!("scripts/deployment_status/h/{hash}"))
            .await
            .expect(200)
            .json();
        let error = status["lock_error_logs"].as_str().map(str::to_owned);
        error.ok_or(status.to_string())
    })
    .await;
    assert!(error.contains("windsock-no-such-package-0b7c"), "{error}");
    app.stop().await;
}
