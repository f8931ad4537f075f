//! Settings: a Windmill elsewhere is linked to the workspace and unlinked; what the server was started with can be read; how
//! long jobs are kept is chosen, and whether alerts are raised.

use serde_json::json;

use super::{open, saved};
use crate::harness::{Database, Need, TestApp, ready};

#[actix::test]
async fn a_windmill_is_linked_and_unlinked() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let secret =
        json!({"path": "u/admin/windmill", "value": "token", "is_secret": true, "description": ""});
    app.post("variables/create", &secret).await.expect(201);
    let browser = open(&app, "/settings").await;
    browser
        .see("The scripts and flows of this workspace run here.")
        .await;
    browser.click("Link a Windmill").await;
    browser
        .fill("Address of the Windmill", "https://windmill.example/api")
        .await;
    browser.fill("Workspace there", "ours").await;
    browser
        .fill("Variable with a token", "u/admin/nothing")
        .await;
    browser.click_in_dialog("Link").await;
    browser.see("must not end with /api").await;
    browser
        .fill("Address of the Windmill", "https://windmill.example")
        .await;
    browser.click_in_dialog("Link").await;
    browser.see("is no secret variable of this workspace").await;
    browser
        .fill("Variable with a token", "u/admin/windmill")
        .await;
    browser.click_in_dialog("Link").await;
    browser
        .see("jobs run in workspace ours of https://windmill.example")
        .await;
    browser.see("Change").await;
    let link = app.get("workspaces/remote").await.expect(200).json();
    assert_eq!(
        (
            &link["base_url"],
            &link["workspace"],
            &link["token_variable"]
        ),
        (
            &json!("https://windmill.example"),
            &json!("ours"),
            &json!("u/admin/windmill")
        )
    );
    browser.click("Run here again").await;
    browser.click_in_dialog("Run here").await;
    browser
        .see("The scripts and flows of this workspace run here.")
        .await;
    app.get("workspaces/remote").await.expect(404);
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn the_settings_say_what_the_server_was_started_with() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let browser = open(&app, "/settings").await;
    browser.see("Ended jobs and their logs are kept for").await;
    browser.see("--job-retention-secs").await;
    browser.see("30 days").await;
    browser.see("healthy").await;
    browser
        .see(concat!("windsock v", env!("CARGO_PKG_VERSION")))
        .await;
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn how_long_jobs_are_kept_is_chosen() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let browser = open(&app, "/settings").await;
    browser.click("Change the retention").await;
    browser.fill("Keep ended jobs for", "0").await;
    browser.click_in_dialog("Save").await;
    browser.see("must be from 1 to").await;
    browser.fill("Keep ended jobs for", "36").await;
    browser.choose("Unit", "hours").await;
    browser.fill("Keep at most", "5000").await;
    browser.click_in_dialog("Save").await;
    browser.see("36 hours").await;
    browser.see("5,000 jobs").await;
    browser.see("chosen here").await;
    let settings = app.get("/api/settings/server").await.expect(200).json();
    let value = |at: usize| {
        (
            settings[at]["value"].clone(),
            settings[at]["chosen"].clone(),
        )
    };
    assert_eq!(
        (value(0), value(1)),
        ((json!(129_600), json!(true)), (json!(5000), json!(true)))
    );
    browser.click("Keep jobs as the server was started").await;
    browser.click_in_dialog("As started").await;
    browser.see("30 days").await;
    browser.see("--job-retention-secs").await;
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn alerts_are_muted_and_raised_again() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let browser = open(&app, "/settings").await;
    browser.click("Mute alerts").await;
    browser.click_in_dialog("Mute").await;
    browser.see("Alerts are muted: no new one is raised").await;
    let alerts = "workspaces/critical_alerts";
    saved(&app, alerts, |all| all["muted"].clone(), json!(true)).await;
    browser.click("Raise alerts again").await;
    saved(&app, alerts, |all| all["muted"].clone(), json!(false)).await;
    browser.see("Mute alerts").await;
    browser.close().await;
    app.stop().await;
}
