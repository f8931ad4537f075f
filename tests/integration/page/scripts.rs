//! Scripts and flows in the editor: errors at their line while one types, a test run with a form, versions, where it is
//! used; resources, tokens, and triggers as YAML.

use serde_json::{Value, json};

use super::{becomes, open, saved};
use crate::harness::{Database, Need, TestApp, ready};

const NOWHERE: &str = "ws://127.0.0.1:9/";
/// The line the editor marks, and the sentence below it.
const PROBLEM: &str = "const code = document.querySelector('form ws-code'); \
    return code.querySelector('.code-problem').textContent ? code.errorLine : 0";

#[actix::test]
async fn a_script_is_written_tried_and_taken_back() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let first = "export function main(n: number) { return n; }";
    app.create_script("u/admin/double", "nativets", first).await;
    app.create_trigger(
        "f/a/one",
        "u/admin/double",
        NOWHERE,
        json!({"mode": "disabled"}),
    )
    .await;
    let browser = open(&app, "/scripts/edit/u/admin/double").await;
    browser.see("f/a/one").await;
    browser
        .fill(
            "Source",
            "export function main(n: number) {\n  return n *;\n}",
        )
        .await;
    becomes(&browser, "the error is at its line", PROBLEM, json!(2)).await;
    let better = "export function main(n: number, times = 2, how: \"plain\" | \"loud\" = \"plain\") { console.log(\"seen\"); return `${how} ${n * times}`; }";
    browser.fill("Source", better).await;
    becomes(&browser, "there is no error", PROBLEM, json!(0)).await;
    browser.choose("how", "loud").await;
    browser.fill("n", "21").await;
    browser.click("Run").await;
    browser.see("loud 42").await;
    browser.see("seen").await;
    browser.click("Save").await;
    browser.see("u/admin/double is saved").await;

    browser.click("Versions").await;
    let versions = "return document.querySelectorAll('.version').length";
    becomes(&browser, "both versions are there", versions, json!(2)).await;
    browser
        .run("document.querySelectorAll('.version')[1].click()", vec![])
        .await;
    browser.see("return n; }").await;
    browser
        .click_in_dialog("Put this version into the editor")
        .await;
    browser.click("Save").await;
    let content = |script: &Value| script["content"].clone();
    saved(&app, "scripts/get/p/u/admin/double", content, json!(first)).await;
    browser.close().await;
    app.stop().await;
}

/// What may be left out is left out whole, also where a part of it may not be; what was begun has to be whole.
#[actix::test]
async fn an_optional_argument_is_left_out_with_all_its_parts() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let source = "export function main(msg: string, more?: { a: number; b: string }) { return `more is ${JSON.stringify(more) ?? 'left out'}`; }";
    app.create_script("f/a/script", "nativets", source).await;
    let browser = open(&app, "/scripts/edit/f/a/script").await;
    browser.fill("msg", "x").await;
    browser.click("Run").await;
    browser.see("more is left out").await;
    browser.fill("b", "y").await;
    browser.click("Run").await;
    browser.see("enter a value").await;
    browser.fill("a", "1").await;
    browser.click("Run").await;
    let result = "return document.querySelector('.test-run .json-string')?.textContent ?? null";
    let wanted = json!(r#""more is {\"a\":1,\"b\":\"y\"}""#);
    becomes(&browser, "the script has got both", result, wanted).await;
    browser.close().await;
    app.stop().await;
}

/// Not only for messages: before something is archived, one has to know what else needs it.
#[actix::test]
async fn everything_that_uses_a_script_is_told() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    app.create_script("u/admin/address", "bash", "echo ws://127.0.0.1:9/")
        .await;
    app.create_script("u/admin/other", "bash", "echo 1").await;
    let off = json!({"mode": "disabled"});
    app.create_trigger("f/a/url", "u/admin/other", "$script:u/admin/address", off)
        .await;
    let step = json!({"id": "b", "value": {"type": "script", "path": "u/admin/address", "input_transforms": {}}});
    let deep = json!({"id": "a", "value": {"type": "forloopflow", "skip_failures": false,
        "iterator": {"type": "static", "value": [1]}, "modules": [step]}});
    let flow = json!({"path": "u/admin/steps", "summary": "", "value": {"modules": [deep]}});
    app.post("flows/create", &flow).await.expect(201);
    let uses = app.get("scripts/used_by/u/admin/address").await.expect(200);
    let uses = uses.json();
    assert_eq!(uses["triggers"][0]["path"], "f/a/url");
    assert_eq!(uses["triggers"][0]["fields"], json!(["url"]));
    assert_eq!(uses["flows"][0]["path"], "u/admin/steps");

    let browser = open(&app, "/scripts/edit/u/admin/address").await;
    browser.see("gives the URL").await;
    browser.see("u/admin/steps").await;
    browser.open(&format!("{}/scripts", app.url())).await;
    browser.click("Actions for u/admin/address").await;
    browser.click("Archive").await;
    browser.see("It is used by 1 trigger and 1 flow").await;
    browser.click_in_dialog("Cancel").await;

    // An older version of the flow no longer counts, nor does a flow of the script's name.
    let less = json!({"path": "u/admin/steps", "summary": "", "value": {"modules": []}});
    app.post("flows/update/u/admin/steps", &less)
        .await
        .expect(200);
    let uses = app.get("scripts/used_by/u/admin/address").await.json();
    assert_eq!(uses["flows"], json!([]));
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_flow_is_written_as_yaml_and_shown_as_a_graph() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let browser = open(&app, "/flows/new").await;
    browser.fill("Name", "steps").await;
    browser.see("Read the message").await;
    let flow = "value:\n  modules:\n    - id: first\n      value:\n        type: forloopflow\n        skip_failures: false\n        iterator: {type: static, value: [1]}\n        modules:\n          - id: inside\n            value: {type: identity}\n";
    let fill = "const code = document.querySelector('form ws-code'); code.value = arguments[0]; \
        code.control.dispatchEvent(new Event('input', {bubbles: true}))";
    browser
        .run(fill, vec![json!(flow.replace("identity", "nonsense"))])
        .await;
    browser.see("nonsense").await;
    let problem =
        "return document.querySelector('form .code-problem').textContent.includes('modules')";
    becomes(
        &browser,
        "the server names the module",
        problem,
        json!(true),
    )
    .await;
    let marked = "return document.querySelector('form .code-numbers .bad')?.textContent";
    becomes(&browser, "its line is marked", marked, json!("9")).await;
    browser.run(fill, vec![json!(flow)]).await;
    let nodes =
        "return [...document.querySelectorAll('.flow-node code')].map(one => one.textContent)";
    becomes(
        &browser,
        "the graph shows the steps",
        nodes,
        json!(["first", "inside"]),
    )
    .await;
    becomes(&browser, "there is no error", PROBLEM, json!(0)).await;
    browser.tick("JSON").await;
    browser.click("Save").await;
    browser.see("u/admin/steps is saved").await;
    let id = |flow: &Value| flow["value"]["modules"][0]["value"]["modules"][0]["id"].clone();
    saved(&app, "flows/get/u/admin/steps", id, json!("inside")).await;
    // What somebody wrote is shown in the order in which it was written, not sorted by name.
    let reload = format!("{}/flows/edit/u/admin/steps", app.url());
    browser.open(&reload).await;
    let keys = "const code = document.querySelector('form ws-code'); \
        return code ? [...code.value.matchAll(/^[ -]*([a-z_]+):/gm)].map(one => one[1]).slice(0, 8) : null";
    let written = json!([
        "value",
        "modules",
        "id",
        "value",
        "type",
        "skip_failures",
        "iterator",
        "type"
    ]);
    becomes(&browser, "the flow is in its order", keys, written).await;
    // One that came sorted by name is shown as people write it.
    let sorted = json!({"path": "u/admin/sorted", "summary": "", "value": {"modules": [
        {"id": "a", "summary": "Read", "value": {"content": "echo 1", "input_transforms": {}, "language": "bash", "type": "rawscript"}}]}});
    app.post("flows/create", &sorted).await.expect(201);
    let other = format!("{}/flows/edit/u/admin/sorted", app.url());
    browser.open(&other).await;
    let usual = json!([
        "value", "modules", "id", "summary", "value", "type", "language", "content"
    ]);
    becomes(&browser, "the flow is in the usual order", keys, usual).await;
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_trigger_goes_out_and_comes_in_as_yaml() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let more = json!({"mode": "disabled", "filters": [{"key": "e", "value": "trade"}], "initial_messages": [{"raw_message": "a: b\nc"}]});
    app.create_trigger("f/a/one", "f/a/script", NOWHERE, more)
        .await;
    let yaml = app
        .get("websocket_triggers/yaml/f/a/one")
        .await
        .expect(200)
        .text;
    assert!(yaml.contains("mode: disabled"), "{yaml}");
    assert!(
        !yaml.contains("edited_at") && !yaml.contains("permissioned_as"),
        "{yaml}"
    );
    let browser = open(&app, "/triggers").await;
    browser.see("1 trigger").await;
    browser.click("Import").await;
    let fill = "const code = document.querySelector('dialog ws-code'); code.value = arguments[0]";
    browser.run(fill, vec![json!("url: [")]).await;
    browser.click_in_dialog("Open in the editor").await;
    browser.see("line").await;
    browser.run(fill, vec![json!(yaml)]).await;
    browser.click_in_dialog("Open in the editor").await;
    browser.fill("Name", "two").await;
    browser.click("Save").await;
    browser.see("u/admin/two is saved").await;
    let one = app
        .get("websocket_triggers/get/f/a/one")
        .await
        .expect(200)
        .json();
    let two = app
        .get("websocket_triggers/get/u/admin/two")
        .await
        .expect(200)
        .json();
    for name in ["url", "script_path", "filters", "initial_messages", "mode"] {
        assert_eq!(one[name], two[name], "{name}");
    }
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn resources_and_tokens_are_made_and_deleted() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let browser = open(&app, "/resources").await;
    browser.click("New resource").await;
    browser.fill("Name", "db").await;
    browser.fill("Type", "postgresql").await;
    browser
        .run(
            "document.querySelector('dialog ws-code').value = '{\"port\": 5432}'",
            vec![],
        )
        .await;
    browser.click_in_dialog("Save").await;
    browser.see("u/admin/db is saved").await;
    saved(
        &app,
        "resources/get_value/u/admin/db",
        Value::clone,
        json!({"port": 5432}),
    )
    .await;
    browser.click("Actions for u/admin/db").await;
    browser.click("Delete").await;
    browser.click_in_dialog("Delete").await;
    saved(
        &app,
        "resources/exists/u/admin/db",
        Value::clone,
        json!(false),
    )
    .await;

    browser.click("Settings").await;
    browser.see("answers").await;
    browser.click("New token").await;
    browser.fill("Label", "for the test").await;
    browser.click_in_dialog("Create token").await;
    browser.see("It is shown only now").await;
    let token = browser
        .run(
            "return document.querySelector('dialog code').textContent",
            vec![],
        )
        .await;
    let token = token.as_str().unwrap().to_owned();
    browser.click_in_dialog("Done").await;
    app.set_token(Some(&token));
    app.get("users/whoami").await.expect(200);
    browser.click("Delete the token for the test").await;
    browser.click_in_dialog("Delete").await;
    browser.see("The token is deleted").await;
    app.get("users/whoami").await.expect(401);
    browser.close().await;
    app.stop().await;
}
