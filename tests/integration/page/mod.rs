//! The page in a real browser: log in by the printed link, make a script and a trigger by clicking and typing, watch
//! the trigger turn green and a message's result appear, all without reloading.

mod accessible;
mod audit;
mod capture;
mod connection;
mod editor;
mod numbers;
mod overview;
mod people;
mod runs;
mod scripts;
mod settings;
mod sharing;
mod trial;
mod triggers;
mod workbench;

use serde_json::{Value, json};

use crate::harness::{
    Browser, Database, Peer, Settings, TOKEN, TestApp, on_both_databases, wait_for,
};

on_both_databases!(
    needs: [Need::Peer, Need::Browser],
    tests: [a_newcomer_sees_a_message_become_a_result]
);

/// The page's words, in the order they are met.
mod words {
    pub const SCRIPTS: &str = "Scripts";
    pub const NEW_SCRIPT: &str = "New script";
    /// The path's parts: whose it is stays `u/admin`.
    pub const NAME: &str = "Name";
    pub const LANGUAGE: &str = "Language";
    pub const TYPESCRIPT: &str = "TypeScript (embedded)";
    pub const SOURCE: &str = "Source";
    pub const SAVE: &str = "Save";
    pub const TRIGGERS: &str = "Triggers";
    pub const NEW_TRIGGER: &str = "New trigger";
    pub const RUNNABLE: &str = "Runnable";
    pub const URL: &str = "URL";
    pub const LISTENING: &str = "Listening";
    pub const RUNS: &str = "Runs";
}

/// Colour of the dot beside the word that tells the trigger's state, as `[red, green, blue]`.
const DOT: &str = r#"
const dot = document.querySelector('[data-state=listening] .dot');
return dot && getComputedStyle(dot).backgroundColor.match(/[\d.]+/g).slice(0, 3).map(Number);
"#;

async fn a_newcomer_sees_a_message_become_a_result(database: Database) {
    let mut peer = Peer::start().await;
    let settings = Settings::new().without_env("SUPERADMIN_SECRET");
    let mut app = TestApp::start_with(database, settings).await;
    let browser = Browser::start().await;
    log_in(&app, &browser).await;
    make_a_script(&browser).await;
    make_a_trigger(&browser, &peer.url("/feed")).await;
    let connection = peer.accept().await;
    browser.see(words::LISTENING).await;
    assert_dot_is_green(&browser).await;
    browser.screenshot("page-trigger").await;

    browser.run("window.neverReloaded = true", vec![]).await;
    browser.click(words::RUNS).await;
    peer.send(&connection, &["41"]).await;
    browser.see("u/admin/answer").await;
    browser.click("u/admin/answer").await;
    browser.see("the answer is 42").await;
    let kept = browser.run("return window.neverReloaded", vec![]).await;
    assert_eq!(kept, true, "the page was reloaded");
    browser.screenshot("page-result").await;
    browser.close().await;
    app.stop().await;
}

/// The link works once and leaves no token in the address.
async fn log_in(app: &TestApp, browser: &Browser) {
    let link = app.login_link().await;
    browser.open(&link).await;
    browser.see(words::TRIGGERS).await;
    let url = browser.url().await;
    assert!(!url.contains("token"), "{url} shows the token");
    assert_eq!(app.get("/api/users/whoami").await.status, 401);
}

async fn make_a_script(browser: &Browser) {
    browser.click(words::SCRIPTS).await;
    browser.click(words::NEW_SCRIPT).await;
    browser.fill(words::NAME, "answer").await;
    browser.choose(words::LANGUAGE, words::TYPESCRIPT).await;
    let source = "export function main(msg: string) { return `the answer is ${Number(msg) + 1}`; }";
    browser.fill(words::SOURCE, source).await;
    browser.click(words::SAVE).await;
    // Not before: leaving an unsaved script asks first.
    browser.see("u/admin/answer is saved").await;
}

async fn make_a_trigger(browser: &Browser, url: &str) {
    browser.click(words::TRIGGERS).await;
    browser.click(words::NEW_TRIGGER).await;
    browser.fill(words::NAME, "feed").await;
    browser.fill(words::RUNNABLE, "u/admin/answer").await;
    browser.fill(words::URL, url).await;
    browser.click(words::SAVE).await;
}

async fn assert_dot_is_green(browser: &Browser) {
    wait_for("the dot is green", async || {
        let colour = browser.run(DOT, vec![]).await;
        let part = |at: usize| colour[at].as_f64().unwrap_or(0.0);
        let green = part(1) > 1.3 * part(0) && part(1) > 1.3 * part(2);
        green.then_some(()).ok_or(colour.to_string())
    })
    .await;
}

/// A browser that is logged in, at `path` of the page.
async fn open(app: &TestApp, path: &str) -> Browser {
    open_at(app.url(), path).await
}

/// As [`open`], by another way to the server than the test's own.
async fn open_at(server: &str, path: &str) -> Browser {
    enter(Browser::start().await, server, path).await
}

/// Logs in with the token of tests.
async fn enter(browser: Browser, server: &str, path: &str) -> Browser {
    let next: String = url_encoded(path);
    browser.open(&format!("{server}/login?next={next}")).await;
    browser.fill("Token", TOKEN).await;
    browser.click("Log in").await;
    wait_for(&format!("{path} is open"), async || {
        let url = browser.url().await;
        let there = url.trim_start_matches(server) == path;
        there.then_some(()).ok_or(url)
    })
    .await;
    browser
}

fn url_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'_' | b'-' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Waits until a script of the page gives `wanted`.
async fn becomes(browser: &Browser, what: &str, script: &str, wanted: Value) {
    wait_for(what, async || {
        let seen = browser.run(script, vec![]).await;
        if seen == wanted {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;
}

/// Waits until `path` of the API gives a JSON of which `look` is `wanted`.
async fn saved(app: &TestApp, path: &str, look: impl Fn(&Value) -> Value, wanted: Value) {
    wait_for(&format!("{path} has {wanted}"), async || {
        let answer = app.get(path).await;
        let seen = if answer.status == 200 {
            look(&answer.json())
        } else {
            json!(answer.line())
        };
        if seen == wanted {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;
}
