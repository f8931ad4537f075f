//! The trigger's editor: by keyboard alone, what the server refuses at its field, every part saved as it was entered,
//! and two people at once.

use serde_json::{Value, json};

use super::{becomes, open, saved};
use crate::harness::{Browser, Database, Need, Peer, TestApp, ready};

const NOWHERE: &str = "ws://127.0.0.1:9/";

/// Why somebody who presses Tab does not see where it has led, if so.
const LOST: &str = "\
const one = document.activeElement; if (one === document.body) return 'nowhere'; \
const bar = document.querySelector('.save-bar'); if (!bar || bar.contains(one)) return null; \
const [mine, its] = [one, bar].map(each => each.getBoundingClientRect()); \
const over = mine.left < its.right && mine.right > its.left && mine.top > its.top && mine.top < its.bottom; \
return over ? 'below the bar' : null";

/// Presses Tab until the field or button of that name has the focus, as somebody without a mouse does.
async fn tab_to(browser: &Browser, name: &str) {
    let named = "const one = document.activeElement; \
        return [...(one.labels || [])].map(label => label.textContent).concat(one.getAttribute('aria-label'), one.textContent).join('|')";
    for _ in 0..60 {
        let seen = browser.run(named, vec![]).await;
        if seen
            .as_str()
            .unwrap_or_default()
            .split('|')
            .any(|one| one.trim() == name)
        {
            return;
        }
        browser.press("Tab").await;
        let lost = browser.run(LOST, vec![json!(seen)]).await;
        assert_eq!(lost, json!(null), "the focus after '{seen}'");
    }
    panic!("the keyboard does not reach '{name}'");
}

#[actix::test]
async fn a_trigger_is_made_with_the_keyboard_alone() {
    if !ready(module_path!(), &[Need::Browser, Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let mut app = TestApp::start(Database::sqlite()).await;
    app.create_script("u/admin/echo", "bash", "echo \"$1\"")
        .await;
    let browser = open(&app, "/triggers").await;
    browser.see("No trigger yet").await;
    tab_to(&browser, "New trigger").await;
    browser.press("Enter").await;
    browser.see("What runs").await;
    tab_to(&browser, "Name").await;
    browser.fill_focused("by_keys").await;
    tab_to(&browser, "Create a script from a template").await;
    browser.press("ShiftTab").await;
    browser.press("echo").await;
    browser.see("u/admin/echo").await;
    browser.press("ArrowDown").await;
    browser.press("ArrowUp").await;
    browser.press("Enter").await;
    tab_to(&browser, "URL").await;
    browser.press(&peer.url("/keys")).await;
    tab_to(&browser, "Add filter").await;
    browser.press("Enter").await;
    tab_to(&browser, "Filter 1 key or path").await;
    browser.press("kind").await;
    tab_to(&browser, "Filter 1 value (JSON)").await;
    browser.press("trade").await;
    browser.press("Tab").await;
    browser
        .see("Runs for a message whose kind is \"trade\".")
        .await;
    tab_to(&browser, "Save").await;
    browser.press("Enter").await;
    browser.see("u/admin/by_keys is saved").await;
    peer.accept().await;
    let trigger = app
        .get("websocket_triggers/get/u/admin/by_keys")
        .await
        .expect(200)
        .json();
    assert_eq!(
        trigger["filters"],
        json!([{"key": "kind", "value": "trade"}])
    );
    assert_eq!(trigger["script_path"], "u/admin/echo");
    browser.close().await;
    app.stop().await;
}

/// The field of the page that stands for a field of the API, with the error it shows.
const ERRORS: &str = "return [...document.querySelectorAll('.field-error')].filter(one => one.textContent && one.checkVisibility()) \
    .map(one => one.closest('[data-field]').dataset.field)";

#[actix::test]
async fn what_the_server_refuses_is_said_at_its_field() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let more = json!({"mode": "disabled", "heartbeat": {"interval_secs": 5, "message": "ping"}});
    app.create_trigger("f/a/one", "f/a/script", NOWHERE, more)
        .await;
    let browser = open(&app, "/triggers/edit/f/a/one").await;
    browser.see("What runs").await;
    // Only the server knows that this template does not parse; its field is in a folded part.
    let unfold = "document.querySelectorAll('details').forEach(one => { one.open = true; })";
    browser.run(unfold, vec![]).await;
    browser.fill("Heartbeat text", "{{ nothing").await;
    browser
        .run(
            "document.querySelectorAll('details').forEach(one => { one.open = false; })",
            vec![],
        )
        .await;
    browser.click("Save").await;
    becomes(
        &browser,
        "the error is at the heartbeat's text",
        ERRORS,
        json!(["heartbeat.message"]),
    )
    .await;
    browser.see("The server refused one field.").await;
    browser.fill("Heartbeat text", "pong").await;
    browser.fill("Name", "two words").await;
    browser.click("Save").await;
    becomes(
        &browser,
        "the error is at the path",
        ERRORS,
        json!(["path"]),
    )
    .await;
    browser.fill("Name", "one").await;
    browser.click("Save").await;
    browser.see("f/a/one is saved").await;
    let message = |trigger: &Value| trigger["heartbeat"]["message"].clone();
    saved(
        &app,
        "websocket_triggers/get/f/a/one",
        message,
        json!("pong"),
    )
    .await;
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn every_setting_is_kept_by_the_form() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let all = json!({
        "mode": "disabled", "labels": ["a", "b"], "filter_logic": "or", "url_runnable_args": null,
        "filters": [{"key": "e", "value": 9_007_199_254_740_993_u64}, {"none_of": [{"path": "a.b", "value": null}, {"all_of": [{"key": "x", "value": {"y": [1]}}]}]}],
        "can_return_message": true, "can_return_error_result": true,
        "initial_messages": [{"raw_message": "\"hi\""}, {"await_message": {"filters": [{"key": "ok", "value": true}], "timeout_secs": 3}},
            {"runnable_result": {"path": "f/a/first", "args": {"n": 1}, "is_flow": false}}],
        "heartbeat": {"interval_secs": 5, "message": "{{state}}", "state_field": "s", "interval_field": "d.i", "idle_only": true,
            "expect": {"filters": [{"key": "op", "value": 11}], "timeout_secs": 9}},
        "error_handler_path": "f/a/handler", "error_handler_args": {"channel": "ops"},
        "retry": {"constant": {"attempts": 2, "seconds": 3}, "exponential": {"attempts": 1, "multiplier": 2, "seconds": 4, "random_factor": 10},
            "retry_if": {"expr": "error.name !== 'x'"}},
        "headers": {"authorization": "Bearer $var:u/admin/token"}, "subprotocols": ["v1", "v2"], "proxy": "http://127.0.0.1:3128",
        "reconnect": {"initial_delay_ms": 50, "max_delay_ms": 900, "max_attempts": 7}, "ping_interval_secs": 0, "idle_timeout_secs": 60,
        "binary": "base64", "max_message_bytes": 1024, "max_in_flight": 4, "ordered": false,
        "conversation": [{"on": {"filters": [{"key": "op", "value": "hello"}], "filter_logic": "or"}, "send": "{\"id\": {{msg.id}}}",
            "set": {"session": "d.session"}, "once": true, "trigger": false},
            {"on": {"filters": [{"key": "op", "value": "auth"}]}, "send_runnable": {"path": "f/a/answer", "args": {"k": "v"}, "is_flow": false}}],
        "on_close": {"4004": "disable", "default": "reset"}, "connect_rate": 2.5,
    });
    app.create_trigger("f/a/all", "f/a/script", NOWHERE, all)
        .await;
    let before = app
        .get("websocket_triggers/get/f/a/all")
        .await
        .expect(200)
        .json();
    let browser = open(&app, "/triggers/edit/f/a/all").await;
    browser.see("What runs").await;
    let unfold = "document.querySelectorAll('details').forEach(one => { one.open = true; })";
    browser.run(unfold, vec![]).await;
    browser.fill("Sub-protocols", "v1, v3").await;
    browser.click("Save").await;
    browser.see("f/a/all is saved").await;
    let after = app
        .get("websocket_triggers/get/f/a/all")
        .await
        .expect(200)
        .json();
    for (name, value) in before.as_object().unwrap() {
        match name.as_str() {
            "edited_at" | "server_id" | "last_server_ping" | "error" => {}
            "subprotocols" => assert_eq!(after[name], json!(["v1", "v3"])),
            _ => assert_eq!(&after[name], value, "{name} was changed by saving"),
        }
    }
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_change_of_somebody_else_is_not_lost() {
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
    let browser = open(&app, "/triggers/edit/f/a/one").await;
    browser.fill("URL", "ws://127.0.0.1:9/mine").await;
    let mut theirs = app
        .get("websocket_triggers/get/f/a/one")
        .await
        .expect(200)
        .json();
    theirs["ping_interval_secs"] = json!(7);
    app.post("websocket_triggers/update/f/a/one", &theirs)
        .await
        .expect(200);
    browser.see("changed this trigger just now").await;
    browser.click("Save").await;
    browser.see("Somebody else saved this meanwhile").await;
    browser.see("ping_interval_secs").await;
    browser.click("Load theirs, drop mine").await;
    let url =
        "return [...document.querySelectorAll('[data-field=url] input')].map(one => one.value)";
    becomes(
        &browser,
        "their version is in the form",
        url,
        json!([NOWHERE]),
    )
    .await;
    browser.fill("URL", "ws://127.0.0.1:9/mine").await;
    browser.click("Save").await;
    browser.see("f/a/one is saved").await;
    let trigger = app
        .get("websocket_triggers/get/f/a/one")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&trigger["url"], &trigger["ping_interval_secs"]),
        (&json!("ws://127.0.0.1:9/mine"), &json!(7))
    );
    browser.close().await;
    app.stop().await;
}

/// The form of a runnable's arguments comes from its parameters; a script is made without leaving the editor.
#[actix::test]
async fn the_url_comes_from_a_script_made_here() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let source = "export function main(region: \"eu\" | \"us\", port: number, secure = true) { return `ws://127.0.0.1:${port}/${region}`; }";
    app.create_script("u/admin/address", "nativets", source)
        .await;
    let browser = open(&app, "/triggers/new").await;
    browser.fill("Name", "by_script").await;
    browser.click("Create a script from a template").await;
    browser.choose("Language", "TypeScript (embedded)").await;
    browser
        .choose("Template", "Handle a message, with a preprocessor")
        .await;
    browser.click("Create script").await;
    browser.see("u/admin/on_message is created").await;
    browser.tick("URL from a runnable").await;
    browser.fill("URL runnable", "u/admin/address").await;
    browser.choose("region", "us").await;
    browser.fill("port", "9").await;
    browser.click("Save").await;
    browser.see("u/admin/by_script is saved").await;
    let trigger = app
        .get("websocket_triggers/get/u/admin/by_script")
        .await
        .expect(200)
        .json();
    assert_eq!(trigger["url"], "$script:u/admin/address");
    assert_eq!(
        trigger["url_runnable_args"],
        json!({"region": "us", "port": 9, "secure": true})
    );
    assert_eq!(trigger["script_path"], "u/admin/on_message");
    let script = app
        .get("scripts/get/p/u/admin/on_message")
        .await
        .expect(200)
        .json();
    assert_eq!(script["has_preprocessor"], true);
    browser.close().await;
    app.stop().await;
}

/// Texts of the initial messages, in their order.
const MESSAGES: &str = "return [...document.querySelectorAll('[data-field=initial_messages] .item textarea')].map(one => one.value)";

#[actix::test]
async fn initial_messages_are_moved_by_keys_and_by_dragging() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let messages = ["1", "2", "3"].map(|text| json!({"raw_message": text}));
    let more = json!({"mode": "disabled", "initial_messages": messages});
    app.create_trigger("f/a/one", "f/a/script", NOWHERE, more)
        .await;
    let browser = open(&app, "/triggers/edit/f/a/one").await;
    becomes(&browser, "they are there", MESSAGES, json!(["1", "2", "3"])).await;
    let focus = "document.querySelector('.item [aria-label=\"Move down\"]').focus()";
    browser.run(focus, vec![]).await;
    browser.press("Enter").await;
    becomes(
        &browser,
        "the first is second",
        MESSAGES,
        json!(["2", "1", "3"]),
    )
    .await;
    // The button keeps the focus on its way, and it is said where the message is now.
    browser.press("Enter").await;
    becomes(&browser, "it is last", MESSAGES, json!(["2", "3", "1"])).await;
    browser.see("moved to place 3 of 3").await;

    let drag = "const rows = [...document.querySelectorAll('[data-field=initial_messages] .item')]; \
        const [from, to] = [rows[2], rows[0]]; const data = new DataTransfer(); \
        const send = (target, type, y) => target.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: data, clientY: y })); \
        send(from.querySelector('.item-head'), 'dragstart', 0); send(to, 'dragover', to.getBoundingClientRect().top + 1); \
        send(from.querySelector('.item-head'), 'dragend', 0)";
    browser.run(drag, vec![]).await;
    becomes(
        &browser,
        "it is first again",
        MESSAGES,
        json!(["1", "2", "3"]),
    )
    .await;
    browser.click("Save").await;
    browser.see("f/a/one is saved").await;
    browser.close().await;
    app.stop().await;
}
