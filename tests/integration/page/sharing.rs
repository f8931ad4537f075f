//! Sharing: a trigger with a user, read and write, and no longer; a script and a flow alone; a folder with an owner.

use serde_json::{Value, json};

use super::{open, saved};
use crate::harness::{Database, Need, TestApp, ready};

const NOWHERE: &str = "ws://127.0.0.1:9/";

#[actix::test]
async fn a_trigger_is_shared_and_a_folder_gets_an_owner() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let ben = json!({"email": "ben@example.com", "username": "ben"});
    app.post("workspaces/add_user", &ben).await.expect(201);
    let off = json!({"mode": "disabled"});
    app.create_trigger("u/admin/one", "u/admin/script", NOWHERE, off)
        .await;
    let browser = open(&app, "/triggers/view/u/admin/one").await;
    browser.click("More actions").await;
    browser.click("Share").await;
    browser.see("Shared with nobody yet.").await;
    browser.fill("Share with", "g/nobody").await;
    browser.click("Share").await;
    browser.see("'g/nobody' does not exist").await;
    browser.fill("Share with", "u/ben").await;
    browser.choose("Rights", "may read and change").await;
    browser.click("Share").await;
    browser.see("is shared with u/ben").await;
    let perms = "acls/get/websocket_trigger/u/admin/one";
    saved(&app, perms, Value::clone, json!({"u/ben": true})).await;
    browser.choose("Rights of u/ben", "may read").await;
    saved(&app, perms, Value::clone, json!({"u/ben": false})).await;
    browser.click("Stop sharing with u/ben").await;
    saved(&app, perms, Value::clone, json!({})).await;
    browser.click_in_dialog("Close").await;

    browser
        .open(&format!("{}/settings/people", app.url()))
        .await;
    browser.click("New folder").await;
    browser.fill("Name", "desk").await;
    browser.fill("Owners", "u/admin, u/ben").await;
    browser.click_in_dialog("Create").await;
    browser.see("The folder desk is saved").await;
    let owners = |folder: &Value| folder["owners"].clone();
    let both = json!(["u/admin", "u/ben"]);
    saved(&app, "folders/get/desk", owners, both).await;
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_script_and_a_flow_are_shared_alone() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let ben = json!({"email": "ben@example.com", "username": "ben"});
    app.post("workspaces/add_user", &ben).await.expect(201);
    app.create_script("u/admin/one", "bash", "exit 0").await;
    let flow = json!({"path": "u/admin/two", "summary": "", "value": {"modules": [{"id": "a", "value": {"type": "identity"}}]}});
    app.post("flows/create", &flow).await.expect(201);
    let browser = open(&app, "/scripts").await;
    browser.click("Actions for u/admin/one").await;
    browser.click("Share").await;
    browser.fill("Share with", "u/ben").await;
    browser.click("Share").await;
    browser.see("is shared with u/ben").await;
    let of = |kind: &str, path: &str| format!("acls/get/{kind}/{path}");
    let perms = of("script", "u/admin/one");
    saved(&app, &perms, Value::clone, json!({"u/ben": false})).await;
    browser.click_in_dialog("Close").await;

    let editor = format!("{}/flows/edit/u/admin/two", app.url());
    browser.open(&editor).await;
    browser.click("Share").await;
    browser.fill("Share with", "g/all").await;
    browser.choose("Rights", "may read and change").await;
    browser.click("Share").await;
    browser.see("is shared with g/all").await;
    let perms = of("flow", "u/admin/two");
    saved(&app, &perms, Value::clone, json!({"g/all": true})).await;
    browser.close().await;
    app.stop().await;
}
