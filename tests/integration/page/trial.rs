//! A draft's connection tried from the editor: each step, the messages with why, a filter made from a value; the overview.

use serde_json::{Value, json};

use super::{becomes, open};
use crate::harness::{Database, Need, Peer, TestApp, ready, wait_for};

const NOWHERE: &str = "ws://127.0.0.1:9/";

#[actix::test]
async fn a_draft_is_tried_step_by_step() {
    if !ready(module_path!(), &[Need::Browser, Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let mut app = TestApp::start(Database::sqlite()).await;
    let browser = open(&app, "/triggers/new").await;
    browser.fill("URL", NOWHERE).await;
    browser.click("Test connection").await;
    let failed = "return [...document.querySelectorAll('.steps [data-state=failed] .step-name')].map(one => one.textContent)";
    becomes(
        &browser,
        "the step that failed is marked",
        failed,
        json!(["Connect"]),
    )
    .await;

    browser.fill("URL", &peer.url("/draft")).await;
    browser.click("Test connection").await;
    let connection = peer.accept().await;
    browser
        .see("Listening: messages show below as they come")
        .await;
    peer.send(&connection, &[r#"{"kind":"trade","deal":{"side":"buy"}}"#])
        .await;
    let row = "return document.querySelector('.tail-row') !== null";
    becomes(&browser, "the message is there", row, json!(true)).await;
    browser
        .run(
            "document.querySelector('.tail-row summary').click()",
            vec![],
        )
        .await;
    browser.see("Why:").await;
    let pick = "const one = [...document.querySelectorAll('.json-pick')].find(one => one.title.includes('deal.side')); one?.click(); return Boolean(one)";
    becomes(&browser, "a filter is made of the value", pick, json!(true)).await;
    browser
        .see("Runs for a message whose deal.side is \"buy\".")
        .await;
    // What the server still judges by the filters of the beginning is shown by those that stand in the form.
    browser.see("deal.side = \"buy\"").await;
    browser
        .run(
            "document.querySelector('.tail-row[open] summary').click()",
            vec![],
        )
        .await;
    peer.send(&connection, &[r#"{"kind":"trade","deal":{"side":"sell"}}"#])
        .await;
    let shown =
        "return [...document.querySelectorAll('.tail-verdict')].map(one => one.textContent)";
    let both = json!(["No match", "Matched"]);
    becomes(&browser, "each has its verdict", shown, both).await;
    browser
        .run(
            "document.querySelectorAll('.tail-row summary')[1].click()",
            vec![],
        )
        .await;
    browser.click("Stop").await;
    browser.see("Stopped").await;

    // The message that was kept is held against the filters as they stand now.
    browser.click("Keep as a sample").await;
    browser.fill("Name", "a trade").await;
    browser.click_in_dialog("Keep").await;
    browser
        .run(
            "document.querySelectorAll('details.fold').forEach(one => { one.open = true; })",
            vec![],
        )
        .await;
    browser.see("a trade").await;
    browser.fill("Filter 1 value (JSON)", "\"sell\"").await;
    let verdicts = "return [...document.querySelectorAll('.lined .badge')].map(one => one.textContent)[0] ?? null";
    becomes(
        &browser,
        "the sample no longer matches",
        verdicts,
        json!("No match"),
    )
    .await;
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn the_overview_shows_what_needs_somebody() {
    if !ready(module_path!(), &[Need::Browser, Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let mut app = TestApp::start(Database::sqlite()).await;
    app.create_script("f/a/fails", "bash", "exit 3").await;
    app.create_trigger("f/a/good", "f/a/fails", &peer.url("/"), json!({}))
        .await;
    app.create_trigger("f/a/bad", "f/a/fails", NOWHERE, json!({}))
        .await;
    let connection = peer.accept().await;
    peer.send(&connection, &["one"]).await;
    let browser = open(&app, "/").await;
    browser.see("1 of 2").await;
    let region = "return document.querySelector('section.troubles').innerText";
    wait_for(
        "the trigger that does not connect is there, and only it",
        async || {
            let seen = browser.run(region, vec![]).await;
            let text = seen.as_str().unwrap_or_default();
            let right =
                text.contains("f/a/bad") && !text.contains("f/a/good") && text.contains("refused");
            right.then_some(()).ok_or(seen.to_string())
        },
    )
    .await;
    wait_for("the failed run is there", async || {
        let seen = browser
            .run(
                "return document.querySelector('section.recent').innerText",
                vec![],
            )
            .await;
        let right = seen.as_str().unwrap_or_default().contains("f/a/fails");
        right.then_some(()).ok_or(Value::to_string(&seen))
    })
    .await;
    browser.close().await;
    app.stop().await;
}
