//! Every view, light and dark, has nothing that axe-core knows to keep people out, and none is wider than its window.

use serde_json::json;

use super::{enter, open};
use crate::harness::{Browser, Database, Need, TestApp, all, ready, wait_for};

const NOWHERE: &str = "ws://127.0.0.1:9/";

async fn with_something_of_everything() -> (TestApp, Vec<String>) {
    let app = TestApp::start(Database::sqlite()).await;
    let source =
        "export function main(msg: string, how: \"a\" | \"b\" = \"a\") { return { msg, how }; }";
    app.create_script("f/a/script", "nativets", source).await;
    let more = json!({"mode": "disabled", "labels": ["red"], "filters": [{"key": "e", "value": 1}, {"any_of": [{"path": "a.b", "value": "x"}]}],
        "initial_messages": [{"raw_message": "{}"}, {"await_message": {"filters": [{"key": "ok", "value": true}]}}],
        "conversation": [{"on": {"filters": [{"key": "op", "value": "ping"}]}, "send": "pong"}],
        "heartbeat": {"interval_secs": 5, "message": "ping", "expect": {"filters": [{"key": "op", "value": "pong"}], "timeout_secs": 5}}});
    app.create_trigger("f/a/one", "f/a/script", NOWHERE, more)
        .await;
    app.create_trigger(
        "f/a/two",
        "f/a/script",
        NOWHERE,
        json!({"mode": "suspended"}),
    )
    .await;
    let flow = json!({"path": "f/a/flow", "summary": "Steps", "value": {"modules": [{"id": "a", "value": {"type": "identity"}}]}});
    app.post("flows/create", &flow).await.expect(201);
    let variable =
        json!({"path": "f/a/word", "value": "x", "is_secret": false, "description": "A word"});
    app.post("variables/create", &variable).await.expect(201);
    let resource = json!({"path": "f/a/db", "value": {"port": 1}, "resource_type": "postgresql"});
    app.post("resources/create", &resource).await.expect(201);
    let run = app
        .run_script("f/a/script", &json!({"msg": "{\"a\": 1}"}))
        .await;
    app.wait_for_job(&run).await;
    let views = [
        "/",
        "/triggers",
        "/triggers/new",
        "/triggers/edit/f/a/one",
        "/triggers/view/f/a/one",
        "/scripts",
        "/scripts/new",
        "/scripts/edit/f/a/script",
        "/flows",
        "/flows/edit/f/a/flow",
        "/runs",
        &format!("/runs/{run}"),
        "/variables",
        "/resources",
        "/flows/new",
        "/settings",
        "/settings/people",
        "/settings/audit",
        "/login",
        "/nowhere",
    ];
    (app, views.map(str::to_owned).to_vec())
}

/// Waits until nothing on the page is on its way any more.
async fn settled(browser: &Browser) {
    wait_for("the view is whole", async || {
        let state = "return [Boolean(document.querySelector('main h1')), document.querySelectorAll('main [aria-busy=true]').length]";
        let seen = browser.run(state, vec![]).await;
        if seen == json!([true, 0]) { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
}

#[actix::test]
async fn no_view_keeps_anybody_out() {
    if !ready(module_path!(), &[Need::Browser, Need::Axe]) {
        return;
    }
    let (mut app, views) = with_something_of_everything().await;
    let browser = open(&app, "/triggers").await;
    let mut found = Vec::new();
    for view in &views {
        browser.open(&format!("{}{view}", app.url())).await;
        settled(&browser).await;
        let unfold =
            "document.querySelectorAll('main details').forEach(one => { one.open = true; })";
        browser.run(unfold, vec![]).await;
        for theme in ["light", "dark"] {
            browser
                .run("window.windsockTheme.set(arguments[0])", vec![json!(theme)])
                .await;
            let violations = browser.violations().await;
            found.extend(violations.iter().map(|one| format!("{view} {theme} {one}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    browser.close().await;
    app.stop().await;
}

/// What is wider than the window, but for what scrolls inside itself.
const TOO_WIDE: &str = "\
const width = document.documentElement.clientWidth; \
const scrolls = '.json-tree, .code-scroll, .flow-graph, .diff, pre, .side nav'; \
const wide = [...document.querySelectorAll('body *')].filter(one => one.checkVisibility() && !one.closest(scrolls) \
  && !one.closest('.visually-hidden') && one.getBoundingClientRect().right > width + 1); \
return document.documentElement.scrollWidth > width ? [`the page: ${document.documentElement.scrollWidth}`, ...wide.map(one => one.outerHTML.slice(0, 120))] : []";

#[actix::test]
async fn no_view_is_wider_than_its_window() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let (mut app, views) = with_something_of_everything().await;
    let mut found = Vec::new();
    for width in [390, 768, 1440] {
        let browser = if width < 500 {
            Browser::phone().await
        } else {
            Browser::start().await
        };
        let browser = enter(browser, app.url(), "/triggers").await;
        if width >= 500 {
            browser.resize(width, 900).await;
        }
        for view in &views {
            browser.open(&format!("{}{view}", app.url())).await;
            settled(&browser).await;
            let wide = browser.run(TOO_WIDE, vec![]).await;
            let wide = wide.as_array().cloned().unwrap_or_default();
            found.extend(wide.iter().map(|one| format!("{view} at {width}: {one}")));
            if all() {
                keep_pictures(&browser, view, width).await;
            }
        }
        browser.close().await;
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    app.stop().await;
}

/// For people to look at, in both themes.
async fn keep_pictures(browser: &Browser, view: &str, width: u32) {
    for theme in ["light", "dark"] {
        let set = "window.windsockTheme.set(arguments[0])";
        browser.run(set, vec![json!(theme)]).await;
        let name = view.trim_matches('/').replace('/', "-");
        browser
            .screenshot(&format!("view-{name}-{width}-{theme}"))
            .await;
    }
}
