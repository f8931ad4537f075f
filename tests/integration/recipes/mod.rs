//! The recipes of `docs/recipes`, each run as it stands there against a server that behaves like the real one.

mod cursor;
mod devtools;
mod discord;
mod exchange;
mod graphql;
mod home_assistant;
mod nostr;
mod ocpp;
mod slack;

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::harness::{Database, Settings, TestApp, wait_for};

/// A page of `docs/recipes`: its one block of JSON is the trigger; each block with a path beside its language is
/// a script: `typescript f/some/script`.
struct Recipe {
    trigger: Value,
    scripts: Vec<[String; 3]>,
}

impl Recipe {
    /// Reads a page, with other addresses than those of the real service.
    fn read(page: &str, addresses: &[(&str, &str)]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes");
        let mut text = fs::read_to_string(folder.join(format!("{page}.md"))).unwrap();
        for (real, ours) in addresses {
            assert!(text.contains(real), "{page} does not name {real}");
            text = text.replace(real, ours);
        }
        let (mut triggers, mut scripts) = (Vec::new(), Vec::new());
        for block in text.split("\n```").skip(1).step_by(2) {
            let (info, content) = block.split_once('\n').unwrap();
            match info.split_once(' ') {
                Some((language, path)) => {
                    scripts.push([path, language, content].map(str::to_owned));
                }
                None if info == "json" => triggers.push(content.to_owned()),
                None => {}
            }
        }
        let [trigger] = &triggers[..] else {
            panic!("{page} has {} blocks of JSON", triggers.len());
        };
        let trigger = serde_json::from_str(trigger).unwrap_or_else(|e| panic!("{page}: {e}"));
        Self { trigger, scripts }
    }

    /// A server with the recipe's variables and scripts, and then its trigger.
    async fn run(&self, database: Database, variables: &[(&str, &str)]) -> TestApp {
        // On PostgreSQL the key of secrets is given, not made.
        let settings = Settings::new().env("WINDSOCK_SECRET_KEY", &"k".repeat(40));
        let app = TestApp::start_with(database, settings).await;
        for (path, value) in variables {
            set_variable(&app, path, value).await;
        }
        for [path, language, content] in &self.scripts {
            let language = match &**language {
                "typescript" => "nativets",
                "python" => "python3",
                other => other,
            };
            app.create_script(path, language, content).await;
        }
        app.post("websocket_triggers/create", &self.trigger)
            .await
            .expect(201);
        app
    }

    fn path(&self) -> &str {
        self.trigger["path"].as_str().unwrap()
    }

    /// The finished jobs of the trigger's script, oldest first, once there are `count`; there must not be more.
    async fn jobs(&self, app: &TestApp, count: usize) -> Vec<Value> {
        let script = self.trigger["script_path"].as_str().unwrap();
        let query = format!("script_path_exact={script}");
        let jobs = wait_for(&format!("{count} jobs complete"), async || {
            let jobs = app.completed(&query).await;
            let seen = format!("{jobs:?}");
            (jobs.len() >= count).then_some(jobs).ok_or(seen)
        })
        .await;
        assert_eq!(jobs.len(), count, "{jobs:?}");
        let mut whole = Vec::new();
        for job in &jobs {
            whole.push(app.wait_for_job(job["id"].as_str().unwrap()).await);
        }
        // Ids grow in the order the messages came; jobs of one commit end in any order.
        whole.sort_by_key(|job| job["id"].as_str().map(str::to_owned));
        whole
    }

    /// [`Self::jobs`]' results; every job must have succeeded.
    async fn results(&self, app: &TestApp, count: usize) -> Vec<Value> {
        let jobs = self.jobs(app, count).await;
        let result = |job: &Value| {
            assert_eq!(job["success"], true, "{job}");
            job["result"].clone()
        };
        jobs.iter().map(result).collect()
    }

    async fn listening(&self, app: &TestApp) -> Value {
        app.wait_until_listening(self.path()).await
    }

    /// Waits until the trigger is disabled; gives the error that is shown.
    async fn disabled(&self, app: &TestApp) -> String {
        wait_for("the trigger is disabled", async || {
            let path = format!("websocket_triggers/get/{}", self.path());
            let shown = app.get(&path).await.json();
            let error = shown["error"].as_str().map(str::to_owned);
            let disabled = shown["mode"] == "disabled";
            error.filter(|_| disabled).ok_or(shown.to_string())
        })
        .await
    }
}

async fn set_variable(app: &TestApp, path: &str, value: &str) {
    let body = json!({"path": path, "value": value, "is_secret": true, "description": ""});
    app.post("variables/create", &body).await.expect(201);
}

#[test]
fn every_recipe_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for file in fs::read_dir(root.join("tests/integration/recipes")).unwrap() {
        code += &fs::read_to_string(file.unwrap().path()).unwrap();
    }
    let index = fs::read_to_string(root.join("docs/recipes/README.md")).unwrap();
    for page in fs::read_dir(root.join("docs/recipes")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        let page = name.strip_suffix(".md").unwrap();
        assert!(
            page == "README" || index.contains(&name),
            "{name}: not in the index"
        );
        let read = format!("Recipe::read(\n        \"{page}\"");
        let is_run = code.contains(&format!("Recipe::read(\"{page}\"")) || code.contains(&read);
        assert!(page == "README" || is_run, "{name}: no test runs it");
    }
}
