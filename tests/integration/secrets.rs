//! Secrets: sealed in the database, shown to whoever may read them and asks, masked in what jobs leave behind.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::harness::{Database, Need, Settings, TestApp, ready};

const VALUE: &str = "s3cret-value-4711";
const PATH: &str = "u/admin/password";

async fn store(app: &TestApp, path: &str, value: &str) {
    let body = json!({"path": path, "value": value, "is_secret": true, "description": ""});
    app.post("variables/create", &body).await.expect(201);
}

fn file_of(database: &Database) -> PathBuf {
    database.url().strip_prefix("sqlite://").unwrap().into()
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[actix::test]
async fn secrets_are_sealed_at_rest_and_shown_when_asked_for() {
    let database = Database::sqlite();
    let file = file_of(&database);
    let mut app = TestApp::start(database).await;
    store(&app, PATH, VALUE).await;
    let listed = app.get("variables/list").await.expect(200).json();
    assert_eq!(listed[0]["value"], Value::Null, "{listed}");
    let shown = async |query: &str| {
        let answer = app.get(&format!("variables/get/{PATH}{query}")).await;
        answer.expect(200).json()["value"].clone()
    };
    assert_eq!(shown("").await, VALUE);
    assert_eq!(shown("?decrypt_secret=false").await, Value::Null);
    let sealed = shown("?decrypt_secret=false&include_encrypted=true").await;
    assert!(!sealed.as_str().unwrap().contains(VALUE), "{sealed}");
    let value = app.get(&format!("variables/get_value/{PATH}")).await;
    assert_eq!(value.expect(200).json(), VALUE);

    // Sealed values come back where they were taken, and nowhere else.
    let sealed = json!({ "value": sealed });
    let update = |path: &str| format!("variables/update/{path}?already_encrypted=true");
    app.post(&update(PATH), &sealed).await.expect(200);
    assert_eq!(shown("").await, VALUE);
    store(&app, "u/admin/other", "another value").await;
    let refused = app
        .post(&update("u/admin/other"), &sealed)
        .await
        .expect(400);
    assert!(refused.text.contains("value"), "{}", refused.text);

    app.stop().await;
    for suffix in ["", "-wal"] {
        let bytes = fs::read(beside(&file, suffix)).unwrap_or_default();
        let found = memchr::memmem::find(&bytes, VALUE.as_bytes());
        assert_eq!(found, None, "the value stands in the file {suffix}");
    }
    let key = beside(&file, ".key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    app.start_again().await;
    let value = app.get(&format!("variables/get_value/{PATH}")).await;
    assert_eq!(value.expect(200).json(), VALUE);
}

/// Prints a secret, and fails with it.
const PYTHON: &str = r#"
import json, os, time, urllib.request

def main(how: str):
    url = f"{os.environ['BASE_INTERNAL_URL']}/api/w/main/variables/get_value/u/admin/password"
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {os.environ['WM_TOKEN']}"})
    value = json.load(urllib.request.urlopen(asked))
    print("before", value[:6], flush=True)
    print("it is", value, "indeed", flush=True)
    if how == "slowly":
        # The log is kept while the job runs.
        time.sleep(1.5)
    if how == "fail":
        raise ValueError(f"no login with {value}")
    return len(value)
"#;

const NATIVETS: &str = r#"
import { getVariable } from "windmill-client";
export async function main(how: string) {
  const value = await getVariable("u/admin/password");
  console.log("it is " + value + " indeed");
  if (how === "fail") throw new Error("no login with " + value);
  return value.length;
}
"#;

#[actix::test]
async fn logs_and_errors_of_jobs_do_not_show_the_secrets_they_read() {
    let app = TestApp::start(Database::sqlite()).await;
    secrets_are_masked(&app).await;
}

/// The process that gives a secret away does not run the job.
#[actix::test]
async fn secrets_that_another_process_gave_away_are_masked_too() {
    let name = "secrets_that_another_process_gave_away_are_masked_too";
    if !ready(name, &[Need::Postgres]) {
        return;
    }
    let with = |workers: &str| {
        let settings = Settings::new().flag("--num-workers").flag(workers);
        settings.env("WINDSOCK_SECRET_KEY", &"k".repeat(40))
    };
    let app = TestApp::start_with(Database::postgres(), with("0")).await;
    let _worker = app.start_worker(with("2")).await;
    secrets_are_masked(&app).await;
}

async fn secrets_are_masked(app: &TestApp) {
    store(app, PATH, VALUE).await;
    for (path, language, content) in [
        ("u/admin/python", "python3", PYTHON),
        ("u/admin/native", "nativets", NATIVETS),
    ] {
        app.create_script(path, language, content).await;
        for how in ["work", "slowly", "fail"] {
            let id = app.run_script(path, &json!({ "how": how })).await;
            let job = app.wait_for_job(&id).await;
            assert!(!job.to_string().contains(VALUE), "{job}");
            let logs = app.get(&format!("jobs_u/get_logs/{id}")).await.text;
            assert!(logs.contains("it is *** indeed"), "{language}: {logs}");
            if how == "fail" {
                let message = &job["result"]["error"]["message"];
                assert_eq!(message, "no login with ***", "{language}");
            } else {
                assert_eq!(job["result"], VALUE.len(), "{language}: {job}");
            }
        }
    }
}

#[actix::test]
async fn a_jobs_token_ends_with_it() {
    let mut app = TestApp::start(Database::sqlite()).await;
    let content = "import os, urllib.request\n\
        def main():\n    token = os.environ['WM_TOKEN']\n    \
        url = os.environ['BASE_INTERNAL_URL'] + '/api/w/main/users/whoami'\n    \
        asked = urllib.request.Request(url, headers={'Authorization': 'Bearer ' + token})\n    \
        return [urllib.request.urlopen(asked).status, token]\n";
    app.create_script("u/admin/token", "python3", content).await;
    let id = app.run_script("u/admin/token", &json!({})).await;
    let job = app.wait_for_job(&id).await;
    assert_eq!(job["result"][0], 200, "{job}");
    app.set_token(job["result"][1].as_str());
    app.get("users/whoami").await.expect(401);
}

#[actix::test]
async fn jobs_cannot_read_the_database_the_key_or_the_servers_environment() {
    let database = Database::sqlite();
    let file = file_of(&database);
    let key = beside(&file, ".key");
    let settings = Settings::new().env("WINDSOCK_SECRET_KEY", &"k".repeat(40));
    let mut app = TestApp::start(database).await;
    let content = "import os\n\
        def main(files: list):\n    seen = []\n    \
        for name in [*files, f'/proc/{os.getppid()}/environ']:\n        \
        try: seen.append(open(name, 'rb').read().decode())\n        \
        except OSError as error: seen.append(type(error).__name__)\n    \
        return [seen, sorted(os.environ)]\n";
    app.create_script("u/admin/spy", "python3", content).await;
    assert!(key.is_file());
    let look = async |app: &TestApp| {
        let args = json!({"files": [&key, &file]});
        let id = app.run_script("u/admin/spy", &args).await;
        let job = app.wait_for_job(&id).await;
        assert_eq!(job["success"], true, "{job}");
        let denied = ["PermissionError"; 3];
        assert_eq!(job["result"][0], json!(denied), "{job}");
        assert!(!job["result"][1].to_string().contains("SECRET"), "{job}");
    };
    look(&app).await;
    app.stop().await;
    app.start_again_with(settings).await;
    look(&app).await;
}

#[actix::test]
async fn postgresql_takes_secrets_with_a_key_that_all_processes_have() {
    if !ready(module_path!(), &[Need::Postgres]) {
        return;
    }
    let database = Database::postgres();
    let url = database.url();
    let mut app = TestApp::start(database).await;
    let body = json!({"path": PATH, "value": VALUE, "is_secret": true, "description": ""});
    let refused = app.post("variables/create", &body).await.expect(400);
    assert!(
        refused.text.contains("WINDSOCK_SECRET_KEY"),
        "{}",
        refused.text
    );
    app.stop().await;
    let with = |key: &str| Settings::new().env("WINDSOCK_SECRET_KEY", &key.repeat(40));
    app.start_again_with(with("k")).await;
    store(&app, PATH, VALUE).await;
    let value = app.get(&format!("variables/get_value/{PATH}")).await;
    assert_eq!(value.expect(200).json(), VALUE);
    for wrong in ["x".repeat(40), String::new()] {
        let mut second = Command::new(env!("CARGO_BIN_EXE_windsock"));
        second.args(["--port", "0", "--database-url", &url]);
        second.env_clear().env("WINDSOCK_SECRET_KEY", wrong);
        let ended = actix_web::web::block(move || second.output().unwrap()).await;
        let ended = ended.unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains("WINDSOCK_SECRET_KEY"), "{said}");
    }
    app.stop().await;
}
