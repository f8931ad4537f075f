//! A script's process stays up between jobs, and what it holds stays with it: the client library goes on with each
//! job's own token, and nobody finds what the script kept from somebody else's run.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::harness::{Database, Need, Settings, TOKEN, TestApp, ready, wait_at_most};

/// Packages are downloaded the first time, and this machine may do other things.
const PATIENCE: Duration = Duration::from_secs(300);

const PYTHON: &str = "\
import os
import wmill
OURS = wmill.Windmill()
CALLS = []
def main():
    CALLS.append(wmill.Windmill())
    return [len(CALLS), wmill.whoami()['email'], OURS.user['email'], CALLS[0].user['email'],
        wmill.get_variable('f/s/shared')]
";

const TYPESCRIPT: &str = "\
import process from 'node:process';
import * as wmill from '@windmill-client';
wmill.setClient(process.env.WM_TOKEN);
const token = process.env.WM_TOKEN;
let calls = 0;
export async function main() {
  calls += 1;
  const me = await wmill.UserService.whoami({ workspace: process.env.WM_WORKSPACE });
  const asked = [`${process.env.BASE_INTERNAL_URL}/api/users/whoami`, { headers: { Authorization: `Bearer ${token}` } }];
  const [plain, request] = [await fetch(...asked), await fetch(new Request(...asked))];
  return [calls, me.email, (await plain.json()).email, (await request.json()).email,
    await wmill.getVariable('f/s/shared')];
}
";

const NATIVETS: &str = "\
import * as wmill from 'windmill-client';
wmill.setClient(process.env.WM_TOKEN);
let calls = 0;
export async function main() {
  calls += 1;
  const { email } = await wmill.whoami();
  return [calls, email, email, email, await wmill.getVariable('f/s/shared')];
}
";

async fn start() -> TestApp {
    let cache = std::env::var_os("WINDSOCK_TEST_PACKAGES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-packages"),
        std::path::PathBuf::from,
    );
    // One worker: all jobs of a script are run by the same one.
    let settings = Settings::new()
        .env("WINDSOCK_CACHE_DIR", cache.to_str().unwrap())
        .env("NUM_WORKERS", "1");
    TestApp::start_with(Database::sqlite(), settings).await
}

async fn run(app: &mut TestApp, token: &str, path: &str) -> Value {
    app.set_token(Some(token));
    let id = app.run_script(path, &json!({})).await;
    app.set_token(Some(TOKEN));
    let job = wait_at_most(PATIENCE, path, async || {
        app.completed_job(&id).await.ok_or("not completed".into())
    })
    .await;
    job["result"].clone()
}

async fn shared(app: &TestApp) -> [(&'static str, String); 2] {
    let people = [
        ("ada", app.somebody("ada").await),
        ("ben", app.somebody("ben").await),
    ];
    let folder = json!({"name": "s", "extra_perms": {"u/ada": true, "u/ben": true}});
    app.post("folders/create", &folder).await.expect(200);
    let variable =
        json!({"path": "f/s/shared", "value": "for both", "is_secret": false, "description": ""});
    app.post("variables/create", &variable).await.expect(201);
    people
}

#[actix::test]
async fn the_client_library_works_in_every_job_of_a_warm_process() {
    let mut app = start().await;
    let people = shared(&app).await;
    let npm = |from: &str| TYPESCRIPT.replace("@windmill-client", from);
    for (language, program, content) in [
        ("nativets", None, NATIVETS.to_owned()),
        ("python3", Some("uv"), PYTHON.to_owned()),
        ("bun", Some("bun"), npm("windmill-client")),
        ("deno", Some("deno"), npm("npm:windmill-client")),
    ] {
        let needs: Vec<Need> = program.into_iter().map(Need::Program).collect();
        if !ready(&format!("the client library in {language}"), &needs) {
            continue;
        }
        let path = format!("f/s/{language}");
        app.create_script(&path, language, &content).await;
        // Each has a process of one's own, that stays.
        for (who, call) in [(0, 1), (0, 2), (1, 1), (0, 3), (1, 2), (1, 3)] {
            let (name, token) = &people[who];
            let email = format!("{name}@example.com");
            let result = run(&mut app, token, &path).await;
            let wanted = json!([call, email, email, email, "for both"]);
            assert_eq!(result, wanted, "{language}, {name}");
        }
    }
    app.stop().await;
}

#[actix::test]
async fn what_a_script_keeps_is_for_nobody_who_runs_it_with_other_rights() {
    let mut app = start().await;
    let people = shared(&app).await;
    let keeps = [
        (
            "nativets",
            "let kept = null; export function main() { return kept ??= process.env.WM_USERNAME }",
        ),
        (
            "python3",
            "import os\nKEPT = []\ndef main():\n    KEPT.append(os.environ['WM_USERNAME'])\n    return KEPT[0]\n",
        ),
    ];
    for (language, content) in keeps {
        let path = format!("f/s/keeps_{language}");
        app.create_script(&path, language, content).await;
        // All at once: the worker goes from one to the next before the end of the last one is committed.
        let mut jobs = Vec::new();
        for (name, token) in people.iter().cycle().take(20) {
            app.set_token(Some(token));
            jobs.push((*name, app.run_script(&path, &json!({})).await));
        }
        app.set_token(Some(TOKEN));
        for (name, id) in jobs {
            let job = app.wait_for_job(&id).await;
            assert_eq!(job["result"], name, "{language}: {job}");
        }
    }
    app.stop().await;
}
