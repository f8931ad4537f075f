//! What a body or a query says is kept, acted on, or refused: never dropped without a word.

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::{
    Database, Settings, TOKEN, TestApp, app::trigger, on_both_databases, wait_for,
};

on_both_databases!(needs: [], tests: [
    labels_are_kept_shown_and_asked_for,
    the_contents_of_a_job_go_when_its_script_says,
]);

async fn labels_are_kept_shown_and_asked_for(database: Database) {
    let mut app = TestApp::start(database).await;
    let folder = json!({"name": "x", "labels": ["of-folder"]});
    app.post("folders/create", &folder).await.expect(200);
    let variable = json!({"path": "f/x/v", "value": "1", "is_secret": false, "description": "", "labels": ["a", "b"]});
    app.post("variables/create", &variable).await.expect(201);
    let resource = json!({"path": "f/x/r", "value": {}, "resource_type": "db", "labels": ["a"]});
    app.post("resources/create", &resource).await.expect(201);
    let labeled = json!({"labels": ["a", "c"]});
    let content = "export const main = () => ({wm_labels: ['by-result']})";
    app.create_script_with("f/x/s", "nativets", content, &labeled)
        .await;
    let flow =
        json!({"path": "f/x/f", "summary": "", "value": {"modules": []}, "labels": ["a", "d"]});
    app.post("flows/create", &flow).await.expect(201);
    for (path, wanted) in [
        ("flows/get/f/x/f", json!(["a", "d"])),
        ("folders/get/x", json!(["of-folder"])),
        ("variables/get/f/x/v", json!(["a", "b"])),
        ("resources/get/f/x/r", json!(["a"])),
        ("scripts/get/p/f/x/s", json!(["a", "c"])),
    ] {
        let got = app.get(path).await.expect(200).json();
        assert_eq!(got["labels"], wanted, "{path}");
    }
    for (list, count) in [
        ("variables/list?label=a,b", 1),
        ("variables/list?label=a,c", 0),
        ("resources/list?label=a", 1),
        ("resources/list?label=b", 0),
        ("resources/list?resource_type_exclude=db", 0),
        ("scripts/list?label=c", 1),
        ("scripts/list?label=b", 0),
        ("scripts/list?starred_only=true", 0),
        ("flows/list?label=d,a", 1),
        ("flows/list?label=c", 0),
        ("flows/list?starred_only=true", 0),
        ("triggers_history/list?trigger_kind=kafka", 0),
    ] {
        assert_eq!(app.list(list).await.len(), count, "{list}");
    }
    // Left out they stay, and an empty list takes them away.
    let edits = [json!({"description": "d"}), json!({"labels": []})];
    for (edit, wanted) in edits.iter().zip([json!(["a"]), Value::Null]) {
        app.post("resources/update/f/x/r", edit).await.expect(200);
        let got = app.get("resources/get/f/x/r").await.expect(200).json();
        assert_eq!(got["labels"], wanted);
    }
    let bad = json!({"path": "f/x/w", "value": "1", "is_secret": false, "labels": [vec!["x"; 300].concat()]});
    let refused = app.post("variables/create", &bad).await.expect(400);
    assert!(refused.text.starts_with("labels: "), "{}", refused.text);

    // A job has those of its script and of its result.
    let id = app.run_script("f/x/s", &json!({})).await;
    let job = app.wait_for_job(&id).await;
    assert_eq!(job["labels"], json!(["a", "c", "by-result"]), "{job}");
    for (label, count) in [("c", 1), ("by-result", 1), ("d", 0)] {
        let found = app.completed(&format!("label={label}")).await;
        assert_eq!(found.len(), count, "{label}");
        let counted = app
            .get(&format!("jobs/completed/count?label={label}"))
            .await;
        let counted = counted.expect(200).json();
        assert_eq!(counted["database_length"], count, "{label}");
    }
    for list in ["jobs/list", "jobs/completed/list"] {
        let listed = app.list(list).await;
        let of_list = listed.iter().find(|job| job["id"] == id.as_str()).unwrap();
        assert_eq!(of_list["labels"], job["labels"], "{list}: {of_list}");
        assert!(of_list.get("result").is_none(), "{list}: {of_list}");
    }
    app.stop().await;
}

/// `delete_after_secs`: arguments, result and log go, also of what was canceled before it ran.
async fn the_contents_of_a_job_go_when_its_script_says(database: Database) {
    let mut app = TestApp::start(database).await;
    let content = "export function main(x: string) { console.log('printed ' + x); return x }";
    app.create_script_with("f/x/kept", "nativets", content, &json!({}))
        .await;
    app.create_script_with(
        "f/x/gone",
        "nativets",
        content,
        &json!({"delete_after_secs": 0}),
    )
    .await;
    let kept = app.run_script("f/x/kept", &json!({"x": "private"})).await;
    let gone = app.run_script("f/x/gone", &json!({"x": "private"})).await;
    let later = app
        .post(
            "jobs/run/p/f/x/gone?scheduled_in_secs=600",
            &json!({"x": "private"}),
        )
        .await
        .expect(201)
        .text;
    app.post(&format!("jobs_u/queue/cancel/{later}"), &json!({}))
        .await
        .expect(200);
    // Whoever waits for the result gets it.
    let job = app.wait_for_job(&gone).await;
    assert_eq!(
        (&job["result"], &job["success"]),
        (&json!("private"), &json!(true)),
        "{job}"
    );
    for id in [&gone, &later] {
        let job = wait_for("the contents are gone", async || {
            let job = app.wait_for_job(id).await;
            let said = job.to_string();
            if said.contains("private") {
                Err(said)
            } else {
                Ok(job)
            }
        })
        .await;
        assert_eq!(
            (&job["args"], &job["result"]),
            (&json!({}), &Value::Null),
            "{job}"
        );
    }
    let logs = app
        .get(&format!("jobs_u/get_logs/{gone}"))
        .await
        .expect(200);
    assert_eq!(logs.text.trim(), "##DELETED##");
    let job = app.wait_for_job(&kept).await;
    assert_eq!(job["result"], "private");
    assert!(job["logs"].as_str().unwrap().contains("printed private"));
    app.stop().await;
}

#[actix::test]
async fn scripts_have_the_environment_and_priority_they_say() {
    let settings = Settings::new().env("NUM_WORKERS", "1");
    let app = TestApp::start_with(Database::sqlite(), settings).await;
    let more = json!({"envs": ["GREETING=good=day", "WM_USERNAME=mallory", "PATH=/nowhere"], "priority": 7});
    for (language, content) in [
        (
            "nativets",
            "export const main = () => [process.env.GREETING, process.env.WM_USERNAME]",
        ),
        (
            "python3",
            "import os\ndef main(): return [os.environ['GREETING'], os.environ['WM_USERNAME']]",
        ),
        (
            "bash",
            "echo \"[\\\"$GREETING\\\", \\\"$WM_USERNAME\\\"]\" > result.json; ls > /dev/null",
        ),
    ] {
        let path = format!("f/x/{language}");
        app.create_script_with(&path, language, content, &more)
            .await;
        for _ in 0..2 {
            let id = app.run_script(&path, &json!({})).await;
            let job = app.wait_for_job(&id).await;
            assert_eq!(
                job["result"],
                json!(["good=day", "admin"]),
                "{language}: {job}"
            );
        }
    }
    let later = app
        .post("jobs/run/p/f/x/nativets?scheduled_in_secs=600", &json!({}))
        .await
        .expect(201)
        .text;
    let job = app
        .get(&format!("jobs_u/get/{later}"))
        .await
        .expect(200)
        .json();
    assert_eq!(job["priority"], 7, "{job}");
    for (field, value) in [
        ("envs", json!(["no name"])),
        ("priority", json!(1000)),
        ("delete_after_secs", json!(-1)),
        ("on_behalf_of_email", json!("root@example.com")),
        ("visible_to_runner_only", json!(true)),
    ] {
        let mut body = json!({"path": "f/x/bad", "summary": "", "content": "export const main = () => 1", "language": "nativets"});
        body[field] = value;
        let refused = app.post("scripts/create", &body).await.expect(400);
        assert!(refused.text.starts_with(field), "{}", refused.text);
    }
}

/// `default_permissioned_as` (windmill-facts §1.2).
#[actix::test]
async fn a_folder_says_whose_rights_new_triggers_have() {
    let mut app = TestApp::start(Database::sqlite()).await;
    let ada = app.somebody("ada").await;
    let rules = json!([
        {"path_glob": "jobs/**", "permissioned_as": "u/ada"},
        {"path_glob": "{gone,lost}*", "permissioned_as": "u/nobody"},
    ]);
    let folder = json!({"name": "x", "owners": ["u/ada"], "default_permissioned_as": rules});
    app.post("folders/create", &folder).await.expect(200);
    let got = app.get("folders/get/x").await.expect(200).json();
    assert_eq!(got["default_permissioned_as"], rules);
    let url = "wss://feed.example.com/";
    let disabled = json!({"mode": "disabled"});
    for (path, run_as) in [("f/x/jobs/a", "u/ada"), ("f/x/other", "u/admin")] {
        app.create_trigger(path, "f/x/s", url, disabled.clone())
            .await;
        let got = app
            .get(&format!("websocket_triggers/get/{path}"))
            .await
            .json();
        assert_eq!(got["permissioned_as"], run_as, "{path}");
    }
    let body = trigger("f/x/gone", "f/x/s", url, disabled.clone());
    let refused = app
        .post("websocket_triggers/create", &body)
        .await
        .expect(400);
    assert!(
        refused.text.starts_with("permissioned_as: "),
        "{}",
        refused.text
    );
    // What is said with the trigger counts more.
    let own =
        json!({"mode": "disabled", "permissioned_as": "u/admin", "preserve_permissioned_as": true});
    app.create_trigger("f/x/jobs/b", "f/x/s", url, own).await;
    let got = app.get("websocket_triggers/get/f/x/jobs/b").await.json();
    assert_eq!(got["permissioned_as"], "u/admin");

    // Who is no deployer gives nobody else's rights, neither by a rule nor by a trigger.
    app.set_token(Some(&ada));
    let mine =
        json!({"default_permissioned_as": [{"path_glob": "**", "permissioned_as": "u/admin"}]});
    let refused = app.post("folders/update/x", &mine).await.expect(403);
    assert!(
        refused.text.starts_with("default_permissioned_as: "),
        "{}",
        refused.text
    );
    let same = json!({"default_permissioned_as": rules, "summary": "s"});
    app.post("folders/update/x", &same).await.expect(200);
    app.create_trigger("f/x/jobs/c", "f/x/s", url, disabled)
        .await;
    let got = app.get("websocket_triggers/get/f/x/jobs/c").await.json();
    assert_eq!(got["permissioned_as"], "u/ada");
    app.stop().await;
}

#[actix::test]
async fn logging_out_ends_the_session_or_says_that_it_does_not() {
    let mut app = TestApp::start(Database::sqlite()).await;
    let session = app.somebody("ada").await;
    app.set_token(Some(&session));
    app.get("/api/users/whoami").await.expect(200);
    let made = app
        .post("/api/users/tokens/create", &json!({"label": "t"}))
        .await;
    let token = made.expect(201).text;
    let out = app.post("/api/auth/logout", &json!({})).await.expect(200);
    assert_eq!(out.text, "logged out");
    app.get("/api/users/whoami").await.expect(401);

    app.set_token(Some(&token));
    let told = app.post("/api/auth/logout", &json!({})).await.expect(200);
    assert!(told.text.contains("no session"), "{}", told.text);
    app.get("/api/users/whoami").await.expect(200);
    app.set_token(Some(TOKEN));
    app.stop().await;
}

#[actix::test]
async fn what_monitors_and_lists_ask_is_answered() {
    let app = TestApp::start(Database::sqlite()).await;
    for (path, status) in [
        ("/api/version", 200),
        ("/api/health/status", 200),
        ("scripts/list", 200),
        ("jobs/run_wait_result/p/f/x/s", 404),
    ] {
        let answer = app.request(Method::HEAD, path, None).await.expect(status);
        assert_eq!(answer.text, "", "{path}");
    }
    let types = app.get("resources/type/list").await.expect(200);
    assert_eq!(types.json(), json!([]));
    let wrong = app.get("scripts/list?per_page=many").await.expect(400);
    assert_eq!(
        wrong.text,
        "per_page: expected a whole number, not larger than 4294967295"
    );
    let wrong = app.get("jobs/list?running=maybe").await.expect(400);
    assert_eq!(wrong.text, "running: expected true or false");
    for (scope, status) in [
        ("websocket_triggers:fly", 400),
        ("websocket_triggers:read:f/x/*", 201),
    ] {
        let body = json!({"scopes": [scope]});
        app.post("/api/users/tokens/create", &body)
            .await
            .expect(status);
    }
}

#[actix::test]
async fn jobs_are_listed_by_whose_and_when_they_are() {
    let app = TestApp::start(Database::sqlite()).await;
    app.create_script("f/x/s", "nativets", "export const main = () => 1")
        .await;
    let step =
        json!({"id": "a", "value": {"type": "script", "path": "f/x/s", "input_transforms": {}}});
    let flow = json!({"value": {"modules": [step]}, "args": {}});
    let id = app
        .post("jobs/run/preview_flow", &flow)
        .await
        .expect(201)
        .text;
    let job = app.wait_for_job(&id).await;
    let ended = job["completed_at"].as_str().unwrap();
    for (query, count) in [
        ("is_flow_step=true".to_owned(), 1),
        ("is_flow_step=false".to_owned(), 1),
        ("permissioned_as=u/admin".to_owned(), 2),
        ("permissioned_as=u/other".to_owned(), 0),
        (format!("completed_after={ended}"), 0),
        (format!("created_or_started_before={ended}"), 2),
        (format!("created_or_started_after={ended}"), 0),
        ("completed_before=2020-01-01T00:00:00Z".to_owned(), 0),
    ] {
        for list in ["jobs/list", "jobs/completed/list"] {
            let found = app.list(&format!("{list}?{query}")).await;
            assert_eq!(found.len(), count, "{list}?{query}");
        }
    }
}
