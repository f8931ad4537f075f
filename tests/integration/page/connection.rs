//! The page and its server: a lost connection is said and made anew, an ended login leads back, two tabs agree.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{becomes, open, open_at};
use crate::harness::{Cutter, Database, Need, Settings, TOKEN, TestApp, ready, wait_for};

const NOWHERE: &str = "ws://127.0.0.1:9/";
const STATES: &str = "return [...document.querySelectorAll('.trigger-row .status-word')].map(one => one.textContent)";

#[actix::test]
async fn a_lost_connection_is_said_and_made_anew() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    app.create_trigger(
        "f/a/one",
        "f/a/script",
        NOWHERE,
        json!({"mode": "disabled"}),
    )
    .await;
    let port = app.port();
    let cable = Cutter::to(port).await;
    let browser = open_at(&format!("http://127.0.0.1:{}", cable.port()), "/triggers").await;
    browser.see("f/a/one").await;
    cable.cut();
    browser.see("The connection to windsock is lost").await;
    // What changes meanwhile is there when the page is back.
    app.create_trigger(
        "f/a/two",
        "f/a/script",
        NOWHERE,
        json!({"mode": "disabled"}),
    )
    .await;
    cable.mend();
    browser.see("Connected to windsock again").await;
    browser.see("f/a/two").await;
    let text = browser.text().await;
    assert!(!text.contains("is lost"), "{text}");
    browser.close().await;
    app.stop().await;
}

/// A server takes some seconds to stop while jobs run; who looks at the page meanwhile is told, and need not come back.
#[actix::test]
async fn a_server_that_stops_is_said_at_once_and_found_again() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let port = app.port();
    // It outlives the time that is given to it.
    app.create_script("f/a/slow", "bash", "sleep 600").await;
    app.create_trigger(
        "f/a/one",
        "f/a/script",
        NOWHERE,
        json!({"mode": "disabled"}),
    )
    .await;
    let browser = open(&app, "/triggers").await;
    becomes(&browser, "it is disabled", STATES, json!(["Disabled"])).await;
    app.run_script("f/a/slow", &json!({})).await;
    wait_for("the job runs", async || {
        let running = app.get("jobs/list?running=true").await.json();
        let runs = running.as_array().is_some_and(|all| !all.is_empty());
        runs.then_some(()).ok_or(running.to_string())
    })
    .await;
    app.signal(Signal::SIGTERM);
    browser.see("windsock is being stopped").await;
    app.stop().await;
    browser.see("The connection to windsock is lost").await;
    app.start_again_with(Settings::new().port(port)).await;
    browser.see("Connected to windsock again").await;
    becomes(&browser, "it is disabled", STATES, json!(["Disabled"])).await;
    browser.close().await;
    app.stop().await;
}

/// A line that is cut somewhere on the way ends no connection: nothing comes any more, that is all.
#[actix::test]
async fn a_line_on_which_nothing_comes_is_given_up() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let port = app.port();
    let cable = Cutter::to(port).await;
    let browser = open_at(&format!("http://127.0.0.1:{}", cable.port()), "/triggers").await;
    browser.see("No trigger yet").await;
    cable.black_hole();
    browser.see("The connection to windsock is lost").await;
    cable.mend();
    browser.see("Connected to windsock again").await;
    browser.close().await;
    app.stop().await;
}

/// Ends the logins of all browsers.
async fn end_logins(app: &TestApp) {
    let tokens = app.get("/api/users/tokens/list").await.expect(200).json();
    for token in tokens.as_array().unwrap() {
        let prefix = token["token_prefix"].as_str().unwrap();
        app.delete(&format!("/api/users/tokens/delete/{prefix}"))
            .await
            .expect(200);
    }
}

#[actix::test]
async fn what_was_typed_outlasts_an_ended_login() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let browser = open(&app, "/scripts/new").await;
    browser.fill("Name", "kept").await;
    browser.fill("Summary", "typed for an hour").await;
    end_logins(&app).await;
    // Not by a click: the live connection may have told the page already, which asks over everything then.
    let save = "document.querySelector('main form').requestSubmit()";
    browser.run(save, vec![]).await;
    browser.see("Your login has ended").await;
    browser.fill("Token", "not the token").await;
    browser.press("Enter").await;
    browser.see("this token is not known here").await;
    browser.fill("Token", TOKEN).await;
    browser.press("Enter").await;
    browser.see("nothing on this page was lost").await;
    browser.click("Save").await;
    browser.see("u/admin/kept is saved").await;
    let script = app.get("scripts/get/p/u/admin/kept").await.expect(200);
    assert_eq!(script.json()["summary"], "typed for an hour");
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn an_ended_login_leads_back_to_where_one_was() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let browser = open(&app, "/runs?outcome=failed").await;
    browser.see("No run fits").await;
    end_logins(&app).await;
    browser.choose("Outcome", "Succeeded").await;
    browser.see("Log in to windsock").await;
    browser.see("Your login has ended").await;
    browser.fill("Token", "not the token").await;
    browser.click("Log in").await;
    let refused =
        "return document.querySelector('[data-field=token] .field-error').textContent !== ''";
    becomes(&browser, "a wrong token is refused", refused, json!(true)).await;
    browser.fill("Token", TOKEN).await;
    browser.click("Log in").await;
    wait_for("the list is back", async || {
        let url = browser.url().await;
        url.ends_with("/runs?outcome=succeeded")
            .then_some(())
            .ok_or(url)
    })
    .await;
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn two_tabs_show_the_same() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    app.create_trigger(
        "f/a/one",
        "f/a/script",
        NOWHERE,
        json!({"mode": "disabled"}),
    )
    .await;
    let browser = open(&app, "/triggers").await;
    becomes(&browser, "it is disabled", STATES, json!(["Disabled"])).await;
    let first = browser.new_tab().await;
    browser
        .open(&format!("{}/triggers/view/f/a/one", app.url()))
        .await;
    browser.click("Enabled").await;
    browser.see("f/a/one is enabled").await;
    browser.switch_to(first).await;
    wait_for("the first tab follows", async || {
        let seen = browser.run(STATES, vec![]).await;
        if seen == json!(["Disabled"]) || seen == Value::Null {
            Err(seen.to_string())
        } else {
            Ok(())
        }
    })
    .await;
    browser.close().await;
    app.stop().await;
}
