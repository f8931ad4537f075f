//! The list of triggers: search and filters in the address, mode, menu, delete and undo, many at once, thousands of rows.

use serde_json::{Value, json};

use super::{becomes, open, saved};
use crate::harness::{Database, Need, Peer, TestApp, ready, wait_for};

/// Paths of the rows in the document, from the top.
const ROWS: &str =
    "return [...document.querySelectorAll('.trigger-row')].map(row => row.dataset.path)";
/// Nothing listens there.
const NOWHERE: &str = "ws://127.0.0.1:9/";

async fn with_three_triggers() -> TestApp {
    let app = TestApp::start(Database::sqlite()).await;
    for (path, label) in [
        ("f/a/one", "red"),
        ("f/a/two", "blue"),
        ("f/b/three", "red"),
    ] {
        let more = json!({"mode": "disabled", "labels": [label], "headers": {"x-kept": path}});
        app.create_trigger(path, &format!("{path}_script"), NOWHERE, more)
            .await;
    }
    app
}

#[actix::test]
async fn triggers_are_found_switched_deleted_and_brought_back() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = with_three_triggers().await;
    let browser = open(&app, "/triggers").await;
    browser.see("3 triggers").await;
    browser.fill("Search triggers", "two").await;
    becomes(&browser, "the search leaves one", ROWS, json!(["f/a/two"])).await;
    browser.fill("Search triggers", "f").await;
    browser.choose("Label", "red").await;
    browser.choose("Folder or user", "f/b").await;
    becomes(
        &browser,
        "the filters leave one",
        ROWS,
        json!(["f/b/three"]),
    )
    .await;
    assert!(browser.url().await.ends_with("?q=f&folder=f%2Fb&label=red"));

    browser.click("Actions for f/b/three").await;
    browser.click("Suspend: hold its jobs").await;
    let mode = |trigger: &Value| trigger["mode"].clone();
    saved(
        &app,
        "websocket_triggers/get/f/b/three",
        mode,
        json!("suspended"),
    )
    .await;

    browser.click("Actions for f/b/three").await;
    browser.click("Delete").await;
    browser.see("f/b/three is deleted").await;
    saved(
        &app,
        "websocket_triggers/exists/f/b/three",
        Value::clone,
        json!(false),
    )
    .await;
    browser.click("Undo").await;
    browser.see("f/b/three is back").await;
    let trigger = app
        .get("websocket_triggers/get/f/b/three")
        .await
        .expect(200)
        .json();
    assert_eq!(trigger["headers"], json!({"x-kept": "f/b/three"}));
    assert_eq!(trigger["mode"], "suspended");
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn chosen_triggers_change_together() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = with_three_triggers().await;
    let browser = open(&app, "/triggers?label=red").await;
    browser.tick("Select all shown triggers").await;
    browser.see("2 triggers selected").await;
    browser.click("Suspend").await;
    let modes = |list: &Value| {
        let mut all: Vec<String> = list
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| format!("{} {}", one["path"], one["mode"]))
            .collect();
        all.sort();
        json!(all.join(", ").replace('"', ""))
    };
    let list = "websocket_triggers/list";
    saved(
        &app,
        list,
        modes,
        json!("f/a/one suspended, f/a/two disabled, f/b/three suspended"),
    )
    .await;
    browser.click("Delete").await;
    browser.see("2 triggers are deleted").await;
    saved(&app, list, modes, json!("f/a/two disabled")).await;
    browser.click("Undo").await;
    saved(
        &app,
        list,
        modes,
        json!("f/a/one suspended, f/a/two disabled, f/b/three suspended"),
    )
    .await;
    browser.close().await;
    app.stop().await;
}

/// Only the rows in sight are in the document, whatever the number; keys reach the last.
#[actix::test]
async fn many_triggers_make_few_rows() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    for at in 0..150 {
        app.create_trigger(
            &format!("f/many/t{at:03}"),
            "f/many/s",
            NOWHERE,
            json!({"mode": "disabled"}),
        )
        .await;
    }
    let browser = open(&app, "/triggers").await;
    browser.see("150 triggers").await;
    let rows = browser.run(ROWS, vec![]).await;
    let rows = rows.as_array().map_or(0, Vec::len);
    assert!((5..60).contains(&rows), "{rows} rows are in the document");
    browser
        .run("document.querySelector('.trigger-row a').focus()", vec![])
        .await;
    browser.press("End").await;
    wait_for("the last row has the focus", async || {
        let row = "return document.activeElement.closest('.trigger-row')?.dataset.path ?? null";
        let seen = browser.run(row, vec![]).await;
        // The oldest edit is at the end.
        if seen == "f/many/t000" {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;
    browser.close().await;
    app.stop().await;
}

/// A suspended trigger's jobs are shown on its page, and run from there.
#[actix::test]
async fn held_jobs_are_run_from_the_triggers_page() {
    if !ready(module_path!(), &[Need::Browser, Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let mut app = TestApp::start(Database::sqlite()).await;
    app.create_script("f/a/echo", "bash", "echo \"$1\"").await;
    app.create_trigger(
        "f/a/one",
        "f/a/echo",
        &peer.url("/"),
        json!({"mode": "suspended"}),
    )
    .await;
    let connection = peer.accept().await;
    let browser = open(&app, "/triggers/view/f/a/one").await;
    peer.send(&connection, &["first", "second"]).await;
    browser.see("2 jobs are held").await;
    browser.click("Run held jobs").await;
    wait_for("both have run", async || {
        let done = app
            .completed("trigger_path=f/a/one&success=true")
            .await
            .len();
        if done == 2 {
            Ok(())
        } else {
            Err(format!("{done} have"))
        }
    })
    .await;
    wait_for("the page says so", async || {
        let text = browser.text().await;
        if text.contains("are held") {
            Err(text)
        } else {
            Ok(())
        }
    })
    .await;
    browser.close().await;
    app.stop().await;
}
