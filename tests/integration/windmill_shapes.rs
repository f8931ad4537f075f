//! What Windmill's own clients depend on: status codes, content types and texts of the routes they call, to the letter.

use serde_json::{Value, json};

use crate::harness::{Database, TestApp, app::trigger, on_both_databases};

on_both_databases!(
    needs: [],
    tests: [
        trigger_routes_answer_as_windmill_does,
        trigger_has_the_fields_of_windmill,
        script_routes_answer_as_windmill_does,
        job_routes_answer_as_windmill_does,
        variables_and_resources_answer_as_windmill_does,
        who_and_where_answer_as_windmill_does,
    ]
);

const PATH: &str = "f/shapes/trigger";

/// A server that nobody listens at; the trigger stays disabled.
const URL: &str = "ws://127.0.0.1:9/feed";

async fn create(app: &TestApp) {
    let body = trigger(PATH, "u/admin/none", URL, json!({"mode": "disabled"}));
    app.post("websocket_triggers/create", &body)
        .await
        .expect(201);
}

async fn trigger_routes_answer_as_windmill_does(database: Database) {
    let mut app = TestApp::start(database).await;
    let body = trigger(PATH, "u/admin/none", URL, json!({"mode": "disabled"}));
    let exists = format!("websocket_triggers/exists/{PATH}");
    let setmode = format!("websocket_triggers/setmode/{PATH}");
    let update = format!("websocket_triggers/update/{PATH}");
    let delete = format!("websocket_triggers/delete/{PATH}");
    let get = format!("websocket_triggers/get/{PATH}");
    let lines = [
        app.get(&exists).await.line(),
        app.get(&get).await.line(),
        app.post(&update, &body).await.line(),
        app.post("websocket_triggers/create", &body).await.line(),
        app.get(&exists).await.line(),
        app.post(&update, &body).await.line(),
        app.post(&setmode, &json!({"mode": "suspended"}))
            .await
            .line(),
        app.post(&setmode, &json!({"mode": "enabled"})).await.line(),
        app.post(&setmode, &json!({"mode": "disabled"}))
            .await
            .line(),
        app.delete(&delete).await.line(),
        app.delete(&delete).await.line(),
        app.post(&setmode, &json!({"mode": "enabled"})).await.line(),
        app.get("websocket_triggers/list").await.line(),
    ];
    // The same on both databases.
    insta::allow_duplicates! {
    insta::assert_snapshot!(lines.join("\n"), @r"
    200 application/json false
    404 text/plain; charset=utf-8 Trigger not found at path: f/shapes/trigger
    404 text/plain; charset=utf-8 Trigger not found at path: f/shapes/trigger
    201 text/plain; charset=utf-8 f/shapes/trigger
    200 application/json true
    200 text/plain; charset=utf-8 Trigger 'f/shapes/trigger' updated
    200 text/plain; charset=utf-8 Trigger 'f/shapes/trigger' suspended
    200 text/plain; charset=utf-8 Trigger 'f/shapes/trigger' enabled
    200 text/plain; charset=utf-8 Trigger 'f/shapes/trigger' disabled
    200 text/plain; charset=utf-8 Trigger 'f/shapes/trigger' deleted
    404 text/plain; charset=utf-8 Trigger not found at path: f/shapes/trigger
    404 text/plain; charset=utf-8 Trigger not found at path: f/shapes/trigger
    200 application/json []
    ");
    }
    app.stop().await;
}

/// `trigger push` and `set-permissioned-as` of the command line client post back what they got, so it must be whole.
async fn trigger_has_the_fields_of_windmill(database: Database) {
    let mut app = TestApp::start(database).await;
    create(&app).await;
    let shown = app.get(&format!("websocket_triggers/get/{PATH}")).await;
    let shown = shown.expect(200).json();
    for required in [
        "path",
        "script_path",
        "is_flow",
        "url",
        "filters",
        "can_return_message",
        "can_return_error_result",
        "mode",
        "permissioned_as",
        "workspace_id",
        "edited_by",
        "edited_at",
        "extra_perms",
    ] {
        assert!(!shown[required].is_null(), "{required} is missing: {shown}");
    }
    assert_eq!(shown["workspace_id"], "main");
    assert_eq!(shown["permissioned_as"], "u/admin");
    assert_eq!(shown["mode"], "disabled");
    let listed = app.list("websocket_triggers/list").await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["path"], PATH);
    let mut again = shown.clone();
    again["preserve_permissioned_as"] = json!(true);
    again["a_field_of_tomorrow"] = json!({"a": 1});
    let update = format!("websocket_triggers/update/{PATH}");
    app.post(&update, &again).await.expect(200);
    let after = app.get(&format!("websocket_triggers/get/{PATH}")).await;
    assert_eq!(
        without(&after.json(), "edited_at"),
        without(&shown, "edited_at")
    );
    assert_legacy_enabled_and_rename(&app).await;
    app.stop().await;
}

async fn assert_legacy_enabled_and_rename(app: &TestApp) {
    let legacy = json!({"enabled": false});
    let body = trigger("f/shapes/renamed", "u/admin/none", URL, legacy);
    let update = format!("websocket_triggers/update/{PATH}");
    let answer = app.post(&update, &body).await;
    // The text names the path that was asked for, not the new one.
    assert_eq!(answer.text, format!("Trigger '{PATH}' updated"));
    let exists = format!("websocket_triggers/exists/{PATH}");
    assert_eq!(app.get(&exists).await.json(), json!(false));
    let renamed = app.get("websocket_triggers/get/f/shapes/renamed").await;
    assert_eq!(renamed.expect(200).json()["mode"], "disabled");
}

fn without(object: &Value, field: &str) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove(field);
    object
}

async fn script_routes_answer_as_windmill_does(database: Database) {
    let mut app = TestApp::start(database).await;
    let exists = app.get("scripts/exists/p/u/admin/shape").await;
    let missing = app.get("scripts/get/p/u/admin/shape").await;
    assert_eq!(exists.line(), "200 application/json false");
    assert_eq!(missing.status, 404);
    let content = "def main(x: int = 1):\n    return x\n";
    let body = json!({
        "path": "u/admin/shape", "summary": "s", "description": "d", "content": content,
        "language": "python3", "kind": "script", "lock": null, "skip_draft_deletion": true,
    });
    let made = app.post("scripts/create?skip_if_noop=true", &body).await;
    let hash = made.text.clone();
    assert_eq!(made.status, 201);
    assert!(made.content_type.starts_with("text/plain"));
    assert!(hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()));
    let shown = app
        .get("scripts/get/p/u/admin/shape")
        .await
        .expect(200)
        .json();
    assert_eq!(shown["hash"], hash.as_str());
    for required in [
        "path",
        "summary",
        "description",
        "content",
        "created_by",
        "created_at",
        "archived",
        "deleted",
        "is_template",
        "extra_perms",
        "language",
        "kind",
        "starred",
        "has_preprocessor",
    ] {
        assert!(!shown[required].is_null(), "{required} is missing: {shown}");
    }
    let by_hash = app.get(&format!("scripts/get/h/{hash}")).await;
    assert_eq!(by_hash.expect(200).json()["content"], content);
    let raw = app.get("scripts/raw/p/u/admin/shape").await.expect(200);
    assert!(raw.content_type.starts_with("text/plain"));
    assert_eq!(raw.text, content);
    app.post("scripts/archive/p/u/admin/shape", &json!({}))
        .await
        .expect(200);
    let exists = app.get("scripts/exists/p/u/admin/shape").await;
    assert_eq!(exists.line(), "200 application/json false");
    app.stop().await;
}

async fn job_routes_answer_as_windmill_does(database: Database) {
    let mut app = TestApp::start(database).await;
    let script = "export function main(x: number) { console.log('seen'); return { x }; }";
    app.create_script("u/admin/shape", "nativets", script).await;
    let run = app
        .post("jobs/run/p/u/admin/shape", &json!({"x": 3}))
        .await
        .expect(201);
    assert!(run.content_type.starts_with("text/plain"));
    let id = run.text;
    let job = app.wait_for_job(&id).await;
    for required in [
        "id",
        "created_by",
        "created_at",
        "started_at",
        "duration_ms",
        "success",
        "canceled",
        "job_kind",
        "permissioned_as",
        "is_flow_step",
        "is_skipped",
        "email",
        "visible_to_owner",
        "tag",
    ] {
        assert!(!job[required].is_null(), "{required} is missing: {job}");
    }
    assert_eq!(job["job_kind"], "script");
    let result = app.get(&format!("jobs_u/completed/get_result/{id}")).await;
    assert_eq!(result.line(), r#"200 application/json {"x":3}"#);
    let maybe = app
        .get(&format!("jobs_u/completed/get_result_maybe/{id}"))
        .await
        .json();
    assert_eq!(
        (&maybe["completed"], &maybe["success"], &maybe["result"]),
        (&json!(true), &json!(true), &json!({"x": 3}))
    );
    let logs = app.get(&format!("jobs_u/get_logs/{id}")).await.expect(200);
    assert!(logs.content_type.starts_with("text/plain"));
    assert!(logs.text.contains("seen"), "{}", logs.text);
    let either = app.get(&format!("jobs_u/get/{id}")).await.expect(200);
    assert_eq!(either.json()["type"], "CompletedJob");
    let waited = app
        .post("jobs/run_wait_result/p/u/admin/shape", &json!({"x": 4}))
        .await;
    assert_eq!(waited.line(), r#"200 application/json {"x":4}"#);
    app.create_script(
        "u/admin/fails",
        "nativets",
        "export function main() { throw new RangeError('too far'); }",
    )
    .await;
    let failed = app
        .post("jobs/run_wait_result/p/u/admin/fails", &json!({}))
        .await
        .expect(422);
    let error = &failed.json()["error"];
    assert_eq!(
        (&error["name"], &error["message"]),
        (&json!("RangeError"), &json!("too far"))
    );
    assert_lists_of_jobs(&app).await;
    app.stop().await;
}

async fn assert_lists_of_jobs(app: &TestApp) {
    assert_eq!(app.jobs("").await.len(), 3);
    assert_eq!(app.completed("success=true").await.len(), 2);
    assert_eq!(app.completed("success=false").await.len(), 1);
    let one = app.jobs("script_path_exact=u/admin/fails").await;
    assert_eq!(one.len(), 1);
    assert_eq!(one[0]["type"], "CompletedJob");
    let per_page = app.get("jobs/list?per_page=2&page=2").await.expect(200);
    assert_eq!(per_page.json().as_array().unwrap().len(), 1);
    let waiting = app.get("jobs/queue/count").await.expect(200).json();
    assert_eq!(waiting["database_length"], 0);
}

async fn variables_and_resources_answer_as_windmill_does(database: Database) {
    let mut app = TestApp::start(database).await;
    let variable =
        json!({"path": "u/admin/v", "value": "a \"b\"", "is_secret": false, "description": ""});
    let resource = json!({"path": "u/admin/r", "value": {"host": "h"}, "resource_type": "any"});
    let lines = [
        app.get("variables/get/u/admin/v").await.status.to_string(),
        app.post("variables/create", &variable)
            .await
            .status
            .to_string(),
        app.get("variables/get_value/u/admin/v").await.line(),
        app.get("variables/exists/u/admin/v").await.line(),
        app.get("resources/get/u/admin/r").await.status.to_string(),
        app.post("resources/create", &resource)
            .await
            .status
            .to_string(),
        app.get("resources/get_value/u/admin/r").await.line(),
        app.get("resources/exists/u/admin/r").await.line(),
    ];
    // The same on both databases.
    insta::allow_duplicates! {
    insta::assert_snapshot!(lines.join("\n"), @r#"
    404
    201
    200 application/json "a \"b\""
    200 application/json true
    404
    201
    200 application/json {"host":"h"}
    200 application/json true
    "#);
    }
    app.stop().await;
}

async fn who_and_where_answer_as_windmill_does(database: Database) {
    let mut app = TestApp::start(database).await;
    for (id, exists) in [("main", "true"), ("none", "false")] {
        let body = json!({ "id": id });
        let answer = app.post("/api/workspaces/exists", &body).await;
        assert_eq!(answer.line(), format!("200 application/json {exists}"));
    }
    let me = app.get("users/whoami").await.expect(200).json();
    assert_eq!(me["username"], "admin");
    assert_eq!(me["is_admin"], true);
    let me = app.get("/api/users/whoami").await.expect(200).json();
    assert_eq!(me["super_admin"], true);
    let workspaces = app.get("/api/workspaces/list").await.expect(200).json();
    assert_eq!(workspaces[0]["id"], "main");
    let users = app.get("users/list").await.expect(200).json();
    assert_eq!(users[0]["username"], "admin");
    // `sync push` asks for the version before it has a token.
    app.set_token(None);
    let version = app.get("/api/version").await.expect(200);
    assert!(version.content_type.starts_with("text/plain"));
    app.get("/api/users/whoami").await.expect(401);
    app.stop().await;
}
