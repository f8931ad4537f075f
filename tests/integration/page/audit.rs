//! The audit log: who changed what, found by kind and path; and the history of one trigger.

use serde_json::json;

use super::{becomes, open};
use crate::harness::{Database, Need, TestApp, ready};

const NOWHERE: &str = "ws://127.0.0.1:9/";
const ROWS: &str = "return [...document.querySelectorAll('.audit-table .rows .row')].map(one => \
    [one.querySelector('.a-2').textContent, one.querySelector('.a-3 .mono').textContent])";

#[actix::test]
async fn changes_are_found_in_the_audit_log() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let off = json!({"mode": "disabled"});
    app.create_trigger("f/a/one", "f/a/script", NOWHERE, off)
        .await;
    for path in ["f/a/word", "u/admin/other"] {
        let variable = json!({"path": path, "value": "x", "is_secret": false, "description": ""});
        app.post("variables/create", &variable).await.expect(201);
    }
    let browser = open(&app, "/settings").await;
    browser.click("Audit log").await;
    browser.see("trigger created").await;
    browser.choose("Kind", "Variables").await;
    let both = json!([
        ["variable created", "u/admin/other"],
        ["variable created", "f/a/word"]
    ]);
    becomes(&browser, "both variables are there", ROWS, both).await;
    browser.fill("Path or name begins with", "f/a/").await;
    let one = json!([["variable created", "f/a/word"]]);
    becomes(&browser, "one is in the folder", ROWS, one.clone()).await;
    browser.run("location.reload()", vec![]).await;
    becomes(&browser, "the filters are in the address", ROWS, one).await;
    browser.fill("User", "nobody").await;
    browser.see("No entry fits the filters above.").await;

    browser
        .open(&format!("{}/triggers/view/f/a/one", app.url()))
        .await;
    browser.click("History").await;
    let deeds = "return [...document.querySelectorAll('section[aria-label=History] .log-events .badge')].map(one => one.textContent)";
    becomes(&browser, "it was made", deeds, json!(["created"])).await;
    browser.close().await;
    app.stop().await;
}
