//! The capture panel of the script and the flow editor: real messages are kept while it is open, and tried out.

use serde_json::json;

use super::{becomes, open, saved};
use crate::harness::{Browser, Database, Need, Peer, TestApp, ready};

const SCRIPT: &str = "export function preprocessor(event: { msg: string }) { return { word: JSON.parse(event.msg).e }; }\n\
    export function main(word: string) { return `got ${word}`; }";
/// What the captured messages are marked with, newest first.
const VERDICTS: &str = "return [...document.querySelectorAll('.capture .tail-row')].map(one => \
    [one.querySelector('.badge').textContent, one.querySelector('.tail-text').textContent])";

/// Unfolds the captured message that holds `text`.
async fn unfold(browser: &Browser, text: &str) {
    let unfold = "const row = [...document.querySelectorAll('.capture .tail-row')].find(one => one.textContent.includes(arguments[0])); \
        row.open = true";
    browser.run(unfold, vec![json!(text)]).await;
}

#[actix::test]
async fn a_script_is_tried_on_captured_messages() {
    if !ready(module_path!(), &[Need::Browser, Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let mut app = TestApp::start(Database::sqlite()).await;
    app.create_script("u/admin/take", "nativets", SCRIPT).await;
    let browser = open(&app, "/scripts/edit/u/admin/take").await;
    browser.click("Capture").await;
    browser.see("choose a trigger, or give an address").await;
    browser.tick("An address").await;
    browser.fill("Address", "http://127.0.0.1/").await;
    browser.click("Capture").await;
    browser.see("the address has to begin with ws://").await;
    browser.fill("Address", &peer.url("/feed")).await;
    browser.click("Capture filters").await;
    browser.click("Add filter").await;
    browser.fill("Filter 1 key or path", "e").await;
    browser.fill("Filter 1 value (JSON)", "\"trade\"").await;
    browser.click("Capture").await;
    let connection = peer.accept().await;
    browser.see("Listening while this editor is open").await;
    let messages = [r#"{"e":"other"}"#, r#"{"e":"trade"}"#];
    peer.send(&connection, &messages).await;
    let wanted = json!([["Matched", messages[1]], ["No match", messages[0]]]);
    becomes(&browser, "both messages are shown", VERDICTS, wanted).await;

    unfold(&browser, "trade").await;
    browser.click("Run through the preprocessor").await;
    browser.see("got trade").await;
    browser.click("Delete").await;
    let left = json!([["No match", messages[0]]]);
    becomes(&browser, "one message is left", VERDICTS, left.clone()).await;
    let count = |list: &serde_json::Value| json!(list.as_array().map(Vec::len));
    saved(&app, "capture/list/script/u/admin/take", count, json!(1)).await;

    browser.click("Stop capturing").await;
    assert_eq!(peer.close_code(&connection).await, Some(1000));
    browser
        .open(&format!("{}/scripts/edit/u/admin/take", app.url()))
        .await;
    becomes(&browser, "what was kept is there again", VERDICTS, left).await;
    assert!(app.jobs("trigger_kind=websocket").await.is_empty());
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_flow_is_tried_on_messages_of_its_trigger() {
    if !ready(module_path!(), &[Need::Browser, Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let mut app = TestApp::start(Database::sqlite()).await;
    let step = json!({"id": "a", "value": {"type": "rawscript", "language": "nativets",
        "content": "export function main(msg: string) { return `the answer is ${Number(msg) + 1}`; }",
        "input_transforms": {"msg": {"type": "javascript", "expr": "flow_input.msg"}}}});
    let schema = json!({"type": "object", "properties": {"msg": {"type": "string"}}});
    let flow =
        json!({"path": "f/a/flow", "summary": "", "value": {"modules": [step]}, "schema": schema});
    app.post("flows/create", &flow).await.expect(201);
    let more = json!({"mode": "disabled", "is_flow": true, "initial_messages": [{"raw_message": "subscribe"}]});
    app.create_trigger("f/a/one", "f/a/flow", &peer.url("/feed"), more)
        .await;
    let browser = open(&app, "/flows/edit/f/a/flow").await;
    let offered = "return [...document.querySelectorAll('.capture input')].some(one => one.value === 'f/a/one')";
    becomes(
        &browser,
        "the flow's own trigger is offered",
        offered,
        json!(true),
    )
    .await;
    browser.click("Capture").await;
    let connection = peer.accept().await;
    peer.event("the subscription arrives", |event| {
        event["text"] == "subscribe"
    })
    .await;
    peer.send(&connection, &["41"]).await;
    becomes(
        &browser,
        "it is captured",
        VERDICTS,
        json!([["Matched", "41"]]),
    )
    .await;
    unfold(&browser, "41").await;
    browser.click("Run with this message").await;
    browser.see("the answer is 42").await;
    browser.close().await;
    app.stop().await;
}
