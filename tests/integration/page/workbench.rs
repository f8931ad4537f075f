//! The messages of a saved trigger as they come: why one matches, a filter made of a value, kept under a name, the runnable
//! run on it.

use serde_json::{Value, json};

use super::{becomes, open, saved};
use crate::harness::{Browser, Database, Need, Peer, TestApp, ready, wait_for};

const WITH_PREPROCESSOR: &str = "\
export async function preprocessor(event: { kind: string; msg: string; url: string; trigger_path: string }) { \
  return { data: JSON.parse(event.msg), source: event.trigger_path }; } \
export async function main(data: { n: number }, source: string) { return `${source} saw ${data.n}`; }";

/// Opens the first message whose text has this in it; answers whether there is one.
const OPEN: &str = "const one = [...document.querySelectorAll('.tail-row')].find(row => row.querySelector('.tail-text').textContent.includes(arguments[0])); \
    if (one && !one.open) one.querySelector('summary').click(); return Boolean(one)";

async fn open_message(browser: &Browser, text: &str) {
    wait_for(&format!("the message with {text} is opened"), async || {
        let seen = browser.run(OPEN, vec![json!(text)]).await;
        (seen == true)
            .then_some(())
            .ok_or("it is not there".to_owned())
    })
    .await;
}

#[actix::test]
async fn a_message_is_explained_kept_run_and_made_a_filter() {
    if !ready(module_path!(), &[Need::Browser, Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let mut app = TestApp::start(Database::sqlite()).await;
    app.create_script("f/a/script", "nativets", WITH_PREPROCESSOR)
        .await;
    let more = json!({"filters": [{"key": "e", "value": "trade"}]});
    app.create_trigger("f/a/one", "f/a/script", &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    let browser = open(&app, "/triggers/view/f/a/one").await;
    wait_for("the page follows", async || {
        peer.send(&connection, &["{}"]).await;
        let rows = "return document.querySelectorAll('.tail-row').length";
        let seen = browser.run(rows, vec![]).await;
        if seen.as_u64() > Some(0) {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;
    peer.send(
        &connection,
        &[r#"{"e":"quote","n":7,"deal":{"side":"buy"}}"#],
    )
    .await;
    let shown = "return [...document.querySelectorAll('.tail-row')].filter(one => one.checkVisibility()).length";
    browser.fill("Find in messages", "QUOTE").await;
    becomes(&browser, "only that one is shown", shown, json!(1)).await;
    browser.fill("Find in messages", "nothing like it").await;
    browser.see("No message that came has this in it").await;
    browser.fill("Find in messages", " ").await;
    open_message(&browser, "\"n\":7").await;
    browser.see("the filters do not match").await;
    browser.see("found \"quote\"").await;

    browser.click("Keep as a sample").await;
    browser.fill("Name", "a quote").await;
    browser.click_in_dialog("Keep").await;
    browser.see("Kept as the sample a quote").await;
    let names = |list: &Value| list[0]["name"].clone();
    saved(
        &app,
        "message_samples/list/trigger/f/a/one",
        names,
        json!("a quote"),
    )
    .await;

    // As the trigger would run it: through the preprocessor, although the filters do not want it.
    browser.click("Run on this message").await;
    browser.click("Show the run").await;
    browser.see("f/a/one saw 7").await;
    browser.back().await;
    wait_for("the page follows again", async || {
        peer.send(
            &connection,
            &[r#"{"e":"quote","deal":{"id":9007199254740993}}"#],
        )
        .await;
        let seen = browser.run(OPEN, vec![json!("deal")]).await;
        (seen == true)
            .then_some(())
            .ok_or("it is not there".to_owned())
    })
    .await;
    // A number that JavaScript would round.
    let pick = "const one = [...document.querySelectorAll('.json-pick')].find(one => one.title.includes('deal.id')); one?.click(); return Boolean(one)";
    becomes(&browser, "a filter is made of the value", pick, json!(true)).await;
    browser
        .see("Runs for a message whose e is \"trade\", and whose deal.id is 9007199254740993.")
        .await;
    // In the editor the kept message is held against them.
    let unfold = "document.querySelectorAll('details.fold').forEach(one => { one.open = true; })";
    browser.run(unfold, vec![]).await;
    browser.see("a quote").await;
    browser.close().await;
    app.stop().await;
}

/// What was kept while a trigger was not saved yet belongs to it afterwards.
#[actix::test]
async fn samples_of_a_draft_go_with_it() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    app.create_script("u/admin/echo", "bash", "echo \"$1\"")
        .await;
    let browser = open(&app, "/triggers/new").await;
    browser.fill("Name", "feed").await;
    browser.fill("Runnable", "u/admin/echo").await;
    browser.fill("URL", "ws://127.0.0.1:9/").await;
    let unfold = "document.querySelectorAll('details.fold').forEach(one => { one.open = true; })";
    browser.run(unfold, vec![]).await;
    browser.fill("Message to try", "{\"e\": 1}").await;
    browser.click("Keep this message as a sample").await;
    browser.click_in_dialog("Keep").await;
    browser.see("give it a name").await;
    browser.fill("Name", "one").await;
    browser.click_in_dialog("Keep").await;
    browser.see("Kept as the sample one").await;
    browser.click("Save").await;
    browser.see("u/admin/feed is saved").await;
    let text = |list: &Value| list[0]["text"].clone();
    saved(
        &app,
        "message_samples/list/trigger/u/admin/feed",
        text,
        json!("{\"e\": 1}"),
    )
    .await;
    browser.close().await;
    app.stop().await;
}
