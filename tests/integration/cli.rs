//! The published `wmill` CLI against windsock: a repository pulled from one server and pushed to an empty one makes the
//! same objects, and a second push changes nothing (windmill-facts §2.3, §2.4).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Database, Need, Settings, TOKEN, TestApp, peer::NODE_MODULES, ready, wait_for,
};

/// What a repository holds: every kind of object, secrets as they are sealed.
const REPOSITORY: &str = "defaultTs: bun\nincludes: ['f/**', 'u/**']\nexcludes: []\nskipVariables: false\n\
    skipResources: false\nskipSecrets: false\nincludeTriggers: true\n";
/// Secrets go to another server sealed where it has the same key.
const KEY: &str = "the key of both servers of this test";

/// What windsock answers that differs from save to save.
const OF_THE_SAVE: [&str; 9] = [
    "hash",
    "parent_hashes",
    "created_at",
    "edited_at",
    "version_id",
    "server_id",
    "last_server_ping",
    "error",
    "id",
];

/// A repository on disk, and the CLI that works in it.
struct Repository {
    folder: TempDir,
}

impl Repository {
    fn new() -> Self {
        let folder = TempDir::with_prefix("windsock-cli-").unwrap();
        fs::create_dir(folder.path().join("repository")).unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        let repository = Self { folder };
        fs::write(repository.path("wmill.yaml"), REPOSITORY).unwrap();
        repository
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("repository").join(file)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file} has no {from:?}:\n{text}");
        fs::write(self.path(file), text.replace(from, to)).unwrap();
    }

    fn run(&self, app: &TestApp, arguments: &[&str]) -> Output {
        let server = ["--base-url", app.url(), "--workspace", "main"];
        let token = ["--token", TOKEN];
        self.run_plainly(&[&server[..], &token, arguments].concat())
    }

    /// Runs a command that finds out by itself where the server is.
    fn run_plainly(&self, arguments: &[&str]) -> Output {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join(NODE_MODULES);
        let mut command = Command::new("node");
        command
            .arg(modules.join("windmill-cli/esm/main.js"))
            .args(arguments)
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path().join("home"))
            .env("NO_COLOR", "1");
        command.output().unwrap()
    }

    /// Runs one command of the CLI, off this thread; gives what it printed.
    async fn wmill(&self, app: &TestApp, arguments: &[&str]) -> String {
        printed(&self.run(app, arguments), arguments)
    }
}

/// What a command that went well has printed.
#[track_caller]
fn printed(output: &Output, arguments: &[&str]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "wmill {arguments:?}: {printed}");
    printed
}

/// An object without what differs from save to save.
async fn object(app: &TestApp, path: &str) -> Value {
    let mut object = app.get(path).await.expect(200).json();
    let fields = object.as_object_mut().unwrap();
    fields.retain(|name, _| !OF_THE_SAVE.contains(&name.as_str()));
    object
}

const OBJECTS: [&str; 9] = [
    "scripts/get/p/f/x/python",
    "scripts/get/p/f/x/typescript",
    "scripts/get/p/f/x/shell",
    "flows/get/f/x/flow",
    "variables/get/f/x/plain",
    "variables/get/f/x/secret",
    "resources/get/f/x/resource",
    "websocket_triggers/get/f/x/trigger",
    "folders/get/x",
];

async fn fill(app: &TestApp) {
    let folder = json!({"name": "x", "summary": "everything"});
    app.post("folders/create", &folder).await.expect(200);
    let python = "def main(msg: str, n: int = 3):\n    print('seen')\n    return msg * n\n";
    let more = json!({"summary": "a script", "description": "repeats", "concurrent_limit": 2});
    app.create_script_with("f/x/python", "python3", python, &more)
        .await;
    let typescript = "export function main(msg: string) { return msg }\n";
    app.create_script("f/x/typescript", "nativets", typescript)
        .await;
    app.create_script("f/x/shell", "bash", "msg=\"$1\"\necho \"$msg\"\n")
        .await;
    let flow = json!({
        "path": "f/x/flow", "summary": "a flow", "description": "of one step",
        "value": {"modules": [{"id": "a", "value": {
            "type": "rawscript", "language": "nativets",
            "content": "export function main(x: number) { return x + 1 }",
            "input_transforms": {"x": {"type": "javascript", "expr": "flow_input.x"}}
        }}]},
        "schema": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": []},
    });
    app.post("flows/create", &flow).await.expect(201);
    for (path, secret) in [("f/x/plain", false), ("f/x/secret", true)] {
        let variable =
            json!({"path": path, "value": "kept", "is_secret": secret, "description": "d"});
        app.post("variables/create", &variable).await.expect(201);
    }
    let resource =
        json!({"path": "f/x/resource", "value": {"a": [1, null]}, "resource_type": "any"});
    app.post("resources/create", &resource).await.expect(201);
    let more = json!({
        "filters": [{"key": "kind", "value": {"a": 1}}], "mode": "disabled", "labels": ["one"],
        "initial_messages": [{"raw_message": "hello"}], "ping_interval_secs": 20,
        "conversation": [{"on": {"filters": [{"key": "op", "value": 1}]}, "send": "{{counter()}}"}],
        "reconnect": {"initial_delay_ms": 100}, "headers": {"X-Key": "$var:f/x/secret"}
    });
    app.create_trigger("f/x/trigger", "f/x/python", "wss://feed.example.com/", more)
        .await;
}

#[actix::test]
async fn a_repository_makes_the_same_objects_elsewhere() {
    if !ready(module_path!(), &[Need::Node]) {
        return;
    }
    let server = || Settings::new().env("WINDSOCK_SECRET_KEY", KEY);
    let (first, second) = (
        TestApp::start_with(Database::sqlite(), server()).await,
        TestApp::start_with(Database::sqlite(), server()).await,
    );
    fill(&first).await;
    let repository = Repository::new();
    repository.wmill(&first, &["sync", "pull", "--yes"]).await;
    let secret = repository.read("f/x/secret.variable.yaml");
    assert!(
        secret.contains("wssealed1:") && !secret.contains("kept"),
        "{secret}"
    );
    assert!(repository.read("f/x/python.py").contains("msg * n"));
    let trigger = repository.read("f/x/trigger.websocket_trigger.yaml");
    assert!(trigger.contains("ping_interval_secs: 20"), "{trigger}");
    assert!(!trigger.contains("edited_at"), "{trigger}");
    let again = repository.wmill(&first, &["sync", "push", "--yes"]).await;
    assert!(again.contains("0 changes to apply"), "{again}");

    repository.wmill(&second, &["sync", "push", "--yes"]).await;
    for path in OBJECTS {
        assert_eq!(
            object(&second, path).await,
            object(&first, path).await,
            "{path}"
        );
    }
    let again = repository.wmill(&second, &["sync", "push", "--yes"]).await;
    assert!(again.contains("0 changes to apply"), "{again}");
}

#[actix::test]
async fn changes_and_deletions_are_pushed() {
    if !ready(module_path!(), &[Need::Node]) {
        return;
    }
    let app = TestApp::start(Database::sqlite()).await;
    fill(&app).await;
    let repository = Repository::new();
    repository.wmill(&app, &["sync", "pull", "--yes"]).await;
    repository.edit("f/x/python.py", "msg * n", "msg * n * 2");
    repository.edit(
        "f/x/trigger.websocket_trigger.yaml",
        "ping_interval_secs: 20",
        "ping_interval_secs: 25",
    );
    repository.edit("f/x/plain.variable.yaml", "kept", "changed");
    for gone in [
        "f/x/shell.sh",
        "f/x/shell.script.yaml",
        "f/x/resource.resource.yaml",
    ] {
        fs::remove_file(repository.path(gone)).unwrap();
    }
    fs::remove_dir_all(repository.path("f/x/flow.flow")).unwrap();
    repository.wmill(&app, &["sync", "push", "--yes"]).await;
    let script = app.get("scripts/get/p/f/x/python").await.expect(200).json();
    assert!(script["content"].as_str().unwrap().contains("msg * n * 2"));
    let trigger = app.get("websocket_triggers/get/f/x/trigger").await.json();
    assert_eq!(trigger["ping_interval_secs"], 25);
    let variable = app.get("variables/get_value/f/x/plain").await.json();
    assert_eq!(variable, "changed");
    for gone in [
        "scripts/exists/p/f/x/shell",
        "resources/exists/f/x/resource",
        "flows/exists/f/x/flow",
    ] {
        assert_eq!(
            app.get(gone).await.expect(200).json(),
            json!(false),
            "{gone}"
        );
    }
    let again = repository.wmill(&app, &["sync", "push", "--yes"]).await;
    assert!(again.contains("0 changes to apply"), "{again}");
}

/// A lock that pins nothing is an empty text, in a file of its own or not.
#[actix::test]
async fn nothing_is_left_to_push_after_metadata_was_generated() {
    if !ready(module_path!(), &[Need::Node]) {
        return;
    }
    let app = TestApp::start(Database::sqlite()).await;
    fill(&app).await;
    let repository = Repository::new();
    repository.wmill(&app, &["sync", "pull", "--yes"]).await;
    let new = ["script", "bootstrap", "f/x/fresh", "bash"];
    repository.wmill(&app, &new).await;
    repository.edit("f/x/python.py", "msg * n", "msg * 2");
    let generate = ["generate-metadata", "--yes"];
    repository.wmill(&app, &generate).await;
    repository.wmill(&app, &["sync", "push", "--yes"]).await;
    let script = app.get("scripts/get/p/f/x/python").await.expect(200).json();
    assert_eq!(script["lock"], "", "{script}");
    let again = repository.wmill(&app, &["sync", "push", "--yes"]).await;
    assert!(again.contains("0 changes to apply"), "{again}");
    let after = app.get("scripts/get/p/f/x/python").await.expect(200).json();
    assert_eq!(after["hash"], script["hash"]);
    let push = ["script", "push", "f/x/python.py"];
    let pushed = repository.wmill(&app, &push).await;
    assert!(pushed.contains("is up to date"), "{pushed}");
}

/// Without locks asked for, `wmill` names a lock file that is empty or not there; it lists it at every push, and finds then
/// that there is nothing to do.
#[actix::test]
async fn an_empty_lock_file_makes_no_versions() {
    if !ready(module_path!(), &[Need::Node]) {
        return;
    }
    let app = TestApp::start(Database::sqlite()).await;
    fill(&app).await;
    let repository = Repository::new();
    repository.wmill(&app, &["sync", "pull", "--yes"]).await;
    repository.edit("f/x/shell.sh", "echo", "echo -n");
    let generate = ["generate-metadata", "--schema-only", "--yes"];
    repository.wmill(&app, &generate).await;
    let lock = "!inline f/x/shell.script.lock";
    let metadata = repository.read("f/x/shell.script.yaml");
    assert!(metadata.contains(lock), "{metadata}");
    repository.wmill(&app, &["sync", "push", "--yes"]).await;
    let saved = app.get("scripts/get/p/f/x/shell").await.expect(200).json();
    for with_file in [false, true] {
        if with_file {
            fs::write(repository.path("f/x/shell.script.lock"), "").unwrap();
        }
        let again = repository.wmill(&app, &["sync", "push", "--yes"]).await;
        assert!(again.contains("Script f/x/shell is up to date"), "{again}");
        let after = app.get("scripts/get/p/f/x/shell").await.expect(200).json();
        assert_eq!(after, saved);
    }
}

#[actix::test]
async fn single_objects_are_pushed_run_and_looked_at() {
    if !ready(module_path!(), &[Need::Node]) {
        return;
    }
    let app = TestApp::start(Database::sqlite()).await;
    fill(&app).await;
    let repository = Repository::new();
    repository.wmill(&app, &["sync", "pull", "--yes"]).await;
    let run = ["script", "run", "f/x/python", "-d", r#"{"msg": "ab"}"#];
    let printed = repository.wmill(&app, &run).await;
    assert!(printed.contains("ababab"), "{printed}");
    let jobs = app.completed("script_path_exact=f/x/python").await;
    let id = jobs[0]["id"].as_str().unwrap();
    for (command, wanted) in [
        ("get", "f/x/python"),
        ("logs", "seen"),
        ("result", "ababab"),
    ] {
        let printed = repository.wmill(&app, &["job", command, id]).await;
        assert!(printed.contains(wanted), "job {command}: {printed}");
    }
    assert!(repository.wmill(&app, &["job", "list"]).await.contains(id));
    let printed = repository.wmill(&app, &["job", "rerun", id]).await;
    let again = printed.lines().last().unwrap_or_default();
    let job = app.wait_for_job(again).await;
    assert_eq!(
        (&job["args"], &job["result"]),
        (&json!({"msg": "ab"}), &json!("ababab")),
        "{job}"
    );
    let entries = app.list("audit/list?operation=scripts.create").await;
    let entry = entries[0]["id"].to_string();
    let printed = repository.wmill(&app, &["audit", "get", &entry]).await;
    assert!(printed.contains("scripts.create"), "{printed}");

    repository.edit("f/x/python.py", "msg * n", "msg * 2");
    repository
        .wmill(&app, &["generate-metadata", "--yes"])
        .await;
    repository
        .wmill(&app, &["script", "push", "f/x/python.py"])
        .await;
    let printed = repository.wmill(&app, &run).await;
    assert!(printed.contains("\"abab\""), "{printed}");

    repository
        .wmill(&app, &["trigger", "new", "f/x/new", "--kind", "websocket"])
        .await;
    let file = "f/x/new.websocket_trigger.yaml";
    repository.edit(file, "script_path: \"\"", "script_path: f/x/python");
    repository.edit(file, "url: \"\"", "url: wss://feed.example.com/");
    repository
        .wmill(&app, &["trigger", "push", file, "f/x/new"])
        .await;
    let printed = repository.wmill(&app, &["trigger", "list"]).await;
    assert!(printed.contains("f/x/new"), "{printed}");
    let get = ["trigger", "get", "f/x/new", "--kind", "websocket"];
    let printed = repository.wmill(&app, &get).await;
    assert!(printed.contains("f/x/python"), "{printed}");
    let flow = ["flow", "push", "f/x/flow.flow", "f/x/other"];
    repository.wmill(&app, &flow).await;
    let other = app.get("flows/get/f/x/other").await.expect(200).json();
    assert_eq!(other["value"]["modules"][0]["id"], "a");
}

#[actix::test]
async fn a_workspace_is_added_flows_are_run_and_jobs_are_canceled() {
    if !ready(module_path!(), &[Need::Node]) {
        return;
    }
    let app = TestApp::start(Database::sqlite()).await;
    fill(&app).await;
    app.create_script("f/x/slow", "bash", "sleep 600").await;
    let repository = Repository::new();
    let wmill = |arguments: &[&str]| printed(&repository.run_plainly(arguments), arguments);
    wmill(&[
        "workspace",
        "add",
        "local",
        "main",
        app.url(),
        "--token",
        TOKEN,
    ]);
    let list = wmill(&["workspace", "list"]);
    assert!(list.contains("local") && list.contains(app.url()), "{list}");
    // From here on nothing else says which server it is.
    let run = wmill(&["flow", "run", "f/x/flow", "-d", r#"{"x": 41}"#]);
    assert!(run.contains("42"), "{run}");
    // Each iteration is shown, and what comes behind the loop.
    let turn = json!({"id": "turn", "value": {"type": "script", "path": "f/x/typescript", "input_transforms": {
        "msg": {"type": "javascript", "expr": "flow_input.iter.value"}}}});
    let each = |id: &str, items: Value| {
        json!({"id": id, "value": {"type": "forloopflow", "skip_failures": false,
            "iterator": {"type": "static", "value": items}, "modules": []}})
    };
    let mut filled = each("filled", json!([1, 2]));
    filled["value"]["modules"] = json!([turn]);
    let last = json!({"id": "last", "value": {"type": "identity"}});
    let looped = json!({"path": "f/x/looped", "summary": "", "description": "",
        "value": {"modules": [each("empty", json!([])), filled, last]}});
    app.post("flows/create", &looped).await.expect(201);
    let run = wmill(&["flow", "run", "f/x/looped"]);
    for line in ["filled (iteration 1)", "====== last", "ran to completion"] {
        assert!(run.contains(line), "{line}: {run}");
    }
    let slow = app.run_script("f/x/slow", &json!({})).await;
    wait_for("the script runs", async || {
        let job = app.get(&format!("jobs_u/get/{slow}")).await.json();
        (job["running"] == true)
            .then_some(())
            .ok_or_else(|| job.to_string())
    })
    .await;
    let list = wmill(&["job", "list"]);
    assert!(list.contains(&slow), "{list}");
    wmill(&["job", "cancel", &slow]);
    let job = app.wait_for_job(&slow).await;
    assert_eq!(
        (&job["canceled"], &job["canceled_reason"]),
        (&json!(true), &json!("Canceled via CLI"))
    );
    for (list, path) in [
        ("script", "f/x/python"),
        ("flow", "f/x/flow"),
        ("variable", "f/x/secret"),
        ("resource", "f/x/resource"),
        ("trigger", "f/x/trigger"),
    ] {
        let printed = wmill(&[list]);
        assert!(printed.contains(path), "wmill {list}: {printed}");
    }
    let wrong = repository.run_plainly(&[
        "workspace",
        "add",
        "none",
        "nowhere",
        app.url(),
        "--token",
        TOKEN,
    ]);
    let said = String::from_utf8_lossy(&wrong.stdout).into_owned()
        + &String::from_utf8_lossy(&wrong.stderr);
    assert!(said.contains("nowhere"), "{said}");
    wmill(&[
        "workspace",
        "add",
        "second",
        "second",
        app.url(),
        "--token",
        TOKEN,
        "--create",
    ]);
    let made = app.get("/api/workspaces/list").await.expect(200).json();
    assert!(made.to_string().contains(r#""id":"second""#), "{made}");
    let who = app.get("/api/w/second/users/whoami").await.expect(200);
    assert_eq!(who.json()["username"], "admin");
}
