//! Users and groups: an admin adds somebody with a password, makes a group and changes a role; that one logs in.

use serde_json::{Value, json};

use super::{open, saved};
use crate::harness::{Browser, Database, Need, TestApp, ready};

#[actix::test]
async fn somebody_is_added_and_logs_in() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let browser = open(&app, "/settings").await;
    browser.click("Users & groups").await;
    browser.see("The people of this workspace.").await;
    browser.click("Add user").await;
    browser.fill("E-mail", "ann@example.com").await;
    browser.fill("Name", "ann").await;
    browser.fill("Password", "short").await;
    browser.tick("Operator").await;
    browser.click_in_dialog("Add").await;
    // The server's sentence stands at its field; the text of the help begins with the same number.
    let refused = "return document.querySelector('dialog [data-field=password]').classList.contains('invalid')";
    super::becomes(
        &browser,
        "a short password is refused",
        refused,
        json!(true),
    )
    .await;
    browser.fill("Password", "long enough").await;
    browser.click_in_dialog("Add").await;
    browser.see("user ann added").await;
    browser.click("Actions for ann").await;
    browser.click("Is developer").await;
    browser.see("ann is developer now").await;
    let operator = |user: &Value| user["operator"].clone();
    saved(&app, "users/get/ann", operator, json!(false)).await;

    browser.click("New group").await;
    browser.fill("Name", "traders").await;
    browser.fill("Summary", "Who watches the market").await;
    browser.tick("ann").await;
    browser.click_in_dialog("Create").await;
    browser.see("The group traders is saved").await;
    let members = |group: &Value| group["members"].clone();
    saved(&app, "groups/get/traders", members, json!(["ann"])).await;

    she_logs_in(&app).await;
    browser.click("Actions for ann").await;
    browser.click("Disable").await;
    browser.click_in_dialog("Disable").await;
    browser.see("ann is disabled").await;
    let disabled = |user: &Value| user["disabled"].clone();
    saved(&app, "users/get/ann", disabled, json!(true)).await;
    browser.close().await;
    app.stop().await;
}

async fn she_logs_in(app: &TestApp) {
    let browser = Browser::start().await;
    let place = format!("{}/login?next=/settings/people", app.url());
    browser.open(&place).await;
    browser.tick("E-mail and password").await;
    browser.fill("E-mail", "ann@example.com").await;
    browser.fill("Password", "something else").await;
    browser.click("Log in").await;
    let refused =
        "return document.querySelector('[data-field=password] .field-error').textContent !== ''";
    super::becomes(
        &browser,
        "a wrong password is refused",
        refused,
        json!(true),
    )
    .await;
    browser.fill("Password", "long enough").await;
    browser.click("Log in").await;
    browser.see("Only admins manage users").await;
    browser.open(&format!("{}/settings", app.url())).await;
    let hidden = "return ['Linked Windmill', 'Server'].map(name => document.querySelector(`section[aria-label='${name}']`)?.hidden ?? null)";
    super::becomes(
        &browser,
        "what admins see is hidden",
        hidden,
        json!([true, true]),
    )
    .await;
    browser.close().await;
}
