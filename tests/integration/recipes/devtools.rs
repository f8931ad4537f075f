//! A real browser whose WebSocket has to be looked up.

use std::{
    fs,
    process::{Child, Stdio},
};

use tempfile::TempDir;

use super::Recipe;
use crate::harness::{Database, browser, on_both_databases, process, wait_for};

/// A Chromium of the test's own with an open DevTools port.
struct Chromium {
    child: Child,
    profile: TempDir,
}

impl Chromium {
    fn start() -> Self {
        use std::os::unix::process::CommandExt;
        let profile = TempDir::with_prefix("windsock-devtools-").unwrap();
        let mut command = process::bound_to_this_thread(&browser::chromium().unwrap());
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ]);
        command.args(["--no-first-run", "--remote-debugging-port=0"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg("about:blank").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        Self { child, profile }
    }

    /// Its address, from the file it writes when it listens.
    async fn url(&self) -> String {
        let file = self.profile.path().join("DevToolsActivePort");
        let port = wait_for("Chromium listens", async || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let port = text.lines().next().map(str::to_owned);
            port.filter(|port| !port.is_empty()).ok_or(text)
        })
        .await;
        format!("http://127.0.0.1:{port}")
    }

    /// Opens a tab at this address.
    async fn open_tab(url: &str, address: &str) {
        let new = format!("{url}/json/new?{address}");
        let client = awc::Client::default();
        let answer = client.put(new).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        process::kill_group(&mut self.child);
    }
}

on_both_databases!(needs: [Need::Browser], tests: [devtools]);

async fn devtools(database: Database) {
    let chromium = Chromium::start();
    let url = chromium.url().await;
    let recipe = Recipe::read("devtools", &[("http://127.0.0.1:9222", &url)]);
    let app = recipe.run(database, &[]).await;
    recipe.listening(&app).await;
    Chromium::open_tab(&url, "data:text/plain,hello").await;
    let script = recipe.trigger["script_path"].as_str().unwrap();
    wait_for("a job tells the tab's address", async || {
        let jobs = app.completed(&format!("script_path_exact={script}")).await;
        let mut addresses = Vec::new();
        for job in &jobs {
            let job = app.wait_for_job(job["id"].as_str().unwrap()).await;
            addresses.push(job["result"].clone());
        }
        let seen = format!("{addresses:?}");
        addresses
            .contains(&"data:text/plain,hello".into())
            .then_some(())
            .ok_or(seen)
    })
    .await;
}
