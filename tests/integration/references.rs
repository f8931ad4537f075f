//! Arguments that refer to variables and resources (`$var:`, `$res:`): replaced where somebody who is known gave them,
//! and never where a message says so.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::harness::{Database, Need, Peer, TestApp, ready, wait_for};

const SECRET: &str = "s3cret-value-4711";
const REFERENCE: &str = "$var:u/admin/secret";
const ECHO: &str = "u/admin/echo";

async fn start() -> TestApp {
    start_on(Database::sqlite()).await
}

async fn start_on(database: Database) -> TestApp {
    let app = TestApp::start(database).await;
    let secret =
        json!({"path": "u/admin/secret", "value": SECRET, "is_secret": true, "description": ""});
    app.post("variables/create", &secret).await.expect(201);
    let resource = json!({"path": "u/admin/db", "resource_type": "db",
        "value": {"host": "h", "password": REFERENCE}});
    app.post("resources/create", &resource).await.expect(201);
    let echo = "export function main(x: any, msg: any) { console.log(`got ${JSON.stringify(x)}`); return x ?? msg }";
    app.create_script(ECHO, "nativets", echo).await;
    app
}

async fn run(app: &TestApp, args: Value) -> Value {
    let id = app.run_script(ECHO, &args).await;
    app.wait_for_job(&id).await
}

#[actix::test]
async fn arguments_of_callers_are_replaced_when_the_job_starts() {
    let mut app = start().await;
    for (given, became) in [
        (json!(REFERENCE), json!(SECRET)),
        (
            json!("$res:u/admin/db"),
            json!({"host": "h", "password": SECRET}),
        ),
        (json!({"a": [REFERENCE]}), json!({"a": [SECRET]})),
        (
            json!("see $var:u/admin/secret"),
            json!("see $var:u/admin/secret"),
        ),
    ] {
        let job = run(&app, json!({"x": given})).await;
        assert_eq!(job["result"], became, "{job}");
        // What is kept, and what is printed, is not the secret.
        assert_eq!(job["args"]["x"], given, "{job}");
        let id = job["id"].as_str().unwrap();
        let logs = app.get(&format!("jobs_u/get_logs/{id}")).await.text;
        assert!(
            logs.contains("got ") && !logs.contains(SECRET),
            "{given}: {logs}"
        );
    }
    let job = run(&app, json!({"x": "$var:u/admin/none"})).await;
    assert_eq!(
        job["result"]["error"]["message"],
        "argument 'x': variable not found at path: u/admin/none"
    );
    let preview = json!({"language": "nativets", "content": "export const main = (x: string) => x.length",
        "args": {"x": REFERENCE}});
    let id = app
        .post("jobs/run/preview", &preview)
        .await
        .expect(201)
        .text;
    assert_eq!(app.wait_for_job(&id).await["result"], SECRET.len());

    // A token that may run this script and nothing else gives it nothing else.
    let scopes = json!({"label": "runs", "scopes": [format!("jobs:run:scripts:{ECHO}")]});
    let made = app.post("/api/users/tokens/create", &scopes).await;
    let token = made.expect(201).text;
    app.set_token(Some(&token));
    let way = format!("jobs/run/p/{ECHO}");
    let refused = app.post(&way, &json!({"x": REFERENCE})).await.expect(403);
    assert!(refused.text.contains("argument 'x'"), "{}", refused.text);
    app.post(&way, &json!({"x": 1})).await.expect(201);
}

#[actix::test]
async fn what_a_job_passes_on_stays_text() {
    let app = start().await;
    let preview = json!({"language": "nativets", "args": {}, "content":
        "import * as wmill from 'windmill-client';
        export async function main() { return await wmill.runScript('u/admin/echo', null, {x: '$var:' + 'u/admin/secret'}) }"});
    let id = app
        .post("jobs/run/preview", &preview)
        .await
        .expect(201)
        .text;
    let job = app.wait_for_job(&id).await;
    assert_eq!(job["result"], REFERENCE, "{job}");
    let module = json!({"id": "a", "value": {"type": "identity"}});
    let refers = json!({"type": "static", "value": REFERENCE});
    let step = json!({"id": "b", "value": {"type": "script", "path": ECHO, "input_transforms": {"x": refers}}});
    let flow = json!({"value": {"modules": [module, step]}, "args": {}});
    let preview = json!({"language": "python3", "args": {"flow": flow.to_string()}, "content":
        "import os, urllib.request, urllib.error\n\
         def main(flow: str):\n    url = os.environ['BASE_INTERNAL_URL'] + '/api/w/main/jobs/run/preview_flow'\n    \
         headers = {'Authorization': 'Bearer ' + os.environ['WM_TOKEN'], 'Content-Type': 'application/json'}\n    \
         asked = urllib.request.Request(url, data=flow.encode(), headers=headers)\n    \
         try: return urllib.request.urlopen(asked).status\n    \
         except urllib.error.HTTPError as error: return [error.code, error.read().decode()]\n"});
    let id = app
        .post("jobs/run/preview", &preview)
        .await
        .expect(201)
        .text;
    let job = app.wait_for_job(&id).await;
    assert_eq!(job["result"][0], 400, "{job}");
}

#[actix::test]
async fn flows_pass_on_what_they_were_given_and_messages_stay_text() {
    if !ready("flows_pass_on_references", &[Need::Peer]) {
        return;
    }
    let app = start().await;
    let step = |id: &str, input: Value| json!({"id": id, "value": {"type": "script", "path": ECHO, "input_transforms": {"x": input}}});
    let js = |expr: &str| json!({"type": "javascript", "expr": expr});
    let looped = json!({"id": "l", "value": {"type": "forloopflow", "skip_failures": false,
        "iterator": js("[1]"), "modules": [step("i", js("flow_input.db"))]}});
    let value = json!({"modules": [
        step("s", json!({"type": "static", "value": REFERENCE})),
        step("p", js("flow_input.db")),
        step("m", js("flow_input.msg")),
        step("c", js("'$var:' + 'u/admin/secret'")),
        looped,
        step("e", js("({s: results.s, p: results.p, m: results.m, c: results.c, l: results.l})")),
    ]});
    let flow = json!({"path": "u/admin/flow", "summary": "", "value": value});
    app.post("flows/create", &flow).await.expect(201);
    let started = app
        .post(
            "jobs/run/f/u/admin/flow",
            &json!({"db": "$res:u/admin/db", "msg": "m"}),
        )
        .await;
    let job = app.wait_for_job(&started.expect(201).text).await;
    let db = json!({"host": "h", "password": SECRET});
    assert_eq!(
        job["result"],
        json!({"s": SECRET, "p": db, "m": "m", "c": REFERENCE, "l": [db]}),
        "{job}"
    );

    // The same flow and the script for a message: only what the flow's author wrote down is replaced.
    let mut peer = Peer::start().await;
    let more = json!({"is_flow": true});
    app.create_trigger("u/admin/flows", "u/admin/flow", &peer.url("/flow"), more)
        .await;
    let flows = peer.accept().await;
    app.create_trigger("u/admin/scripts", ECHO, &peer.url("/script"), json!({}))
        .await;
    let scripts = peer.accept().await;
    for path in ["u/admin/flows", "u/admin/scripts"] {
        app.wait_until_listening(path).await;
    }
    peer.send(&flows, &[REFERENCE]).await;
    peer.send(&scripts, &[REFERENCE]).await;
    for (path, expected) in [
        (
            "u/admin/flow",
            json!({"s": SECRET, "p": null, "m": REFERENCE, "c": REFERENCE, "l": [null]}),
        ),
        (ECHO, json!(REFERENCE)),
    ] {
        let job = wait_for("the message's job ends", async || {
            let query = format!("script_path_exact={path}");
            let jobs = app.completed(&query).await;
            let job = jobs
                .into_iter()
                .find(|job| job["trigger_kind"] == "websocket");
            job.ok_or("none".to_owned())
        })
        .await;
        let id = job["id"].as_str().unwrap();
        let job = app.wait_for_job(id).await;
        assert_eq!(job["result"], expected, "{path}: {job}");
    }
}

#[actix::test]
async fn settings_of_triggers_refer_to_secrets() {
    if !ready("settings_of_triggers_refer_to_secrets", &[Need::Peer]) {
        return;
    }
    let app = start().await;
    let mut peer = Peer::start().await;
    let url =
        "export function main(base: string, token: string) { return `${base}?token=${token}` }";
    app.create_script("u/admin/url", "nativets", url).await;
    let args = json!({"base": peer.url("/feed"), "token": REFERENCE});
    let more = json!({"url_runnable_args": args});
    app.create_trigger("u/admin/feed", ECHO, "$script:u/admin/url", more)
        .await;
    let connection = peer.accept().await;
    assert_eq!(connection.path, format!("/feed?token={SECRET}"));
}

/// What Windmill's editor inserts into an expression.
#[actix::test]
async fn expressions_of_flows_read_variables_and_resources() {
    let mut app = start().await;
    let echo = |id: &str, expr: &str| {
        let content =
            "export function main(x: any) { console.log(`got ${JSON.stringify(x)}`); return x }";
        json!({"id": id, "value": {"type": "rawscript", "language": "nativets", "content": content,
            "input_transforms": {"x": {"type": "javascript", "expr": expr}}}})
    };
    let object = json!({"host": "h", "password": SECRET});
    for (expr, result, kept) in [
        (
            "variable('u/admin/secret')",
            json!(SECRET),
            json!(REFERENCE),
        ),
        (
            "await variable(\"u/admin/secret\")",
            json!(SECRET),
            json!(REFERENCE),
        ),
        ("resource('u/admin/db')", object, json!("$res:u/admin/db")),
        (
            "(await resource('u/admin/db')).host + flow_input.n",
            json!("h1"),
            json!("***"),
        ),
        (
            "`key ${variable('u/admin/' + flow_input.name)}`",
            json!(format!("key {SECRET}")),
            json!("***"),
        ),
        (
            "try { variable('u/admin/none') } catch (error) { 'caught: ' + error.message }",
            json!("caught: variable not found at path: u/admin/none"),
            json!("caught: variable not found at path: u/admin/none"),
        ),
    ] {
        let flow =
            json!({"value": {"modules": [echo("a", expr)]}, "args": {"n": 1, "name": "secret"}});
        let id = app
            .post("jobs/run/preview_flow", &flow)
            .await
            .expect(201)
            .text;
        let job = app.wait_for_job(&id).await;
        assert_eq!(job["result"], result, "{expr}: {job}");
        let steps = app.completed(&format!("parent_job={id}")).await;
        let step = app.wait_for_job(steps[0]["id"].as_str().unwrap()).await;
        assert_eq!(step["args"]["x"], kept, "{expr}");
        let logs = step["logs"].as_str().unwrap();
        assert!(
            logs.contains("got ") && !logs.contains(SECRET),
            "{expr}: {logs}"
        );
    }
    // Conditions and lists read them, too; nothing is read with other rights than those of the run-as.
    let skipped = json!({"id": "b", "skip_if": {"expr": "variable('u/admin/secret').length > 3"},
        "value": {"type": "rawscript", "language": "nativets", "content": "export const main = () => 'ran'", "input_transforms": {}}});
    let flow = json!({"value": {"modules": [echo("a", "1"), skipped]}, "args": {}});
    let id = app
        .post("jobs/run/preview_flow", &flow)
        .await
        .expect(201)
        .text;
    assert_eq!(app.wait_for_job(&id).await["result"], 1);

    let ada = app.somebody("ada").await;
    app.set_token(Some(&ada));
    for expr in [
        "variable('u/admin/secret')",
        "variable('u/admin/secret') + ''",
    ] {
        let flow = json!({"value": {"modules": [echo("a", expr)]}, "args": {}});
        let id = app
            .post("jobs/run/preview_flow", &flow)
            .await
            .expect(201)
            .text;
        let job = app.wait_for_job(&id).await;
        assert_eq!(job["success"], false, "{job}");
        let error = job["result"]["error"]["message"].as_str().unwrap();
        assert!(
            error.contains("variable not found at path: u/admin/secret"),
            "{error}"
        );
    }
    app.stop().await;
}

/// What an expression fails with is shown, and what a loop goes through is printed by its steps.
#[actix::test]
async fn secrets_in_errors_of_expressions_and_in_lists_are_masked() {
    let app = start().await;
    let js = |expr: &str| json!({"type": "javascript", "expr": expr});
    let print = json!({"id": "p", "value": {"type": "script", "path": ECHO,
        "input_transforms": {"x": js("flow_input.iter.value")}}});
    let each = json!({"id": "l", "value": {"type": "forloopflow", "skip_failures": false,
        "iterator": js("['a', 'b' + variable('u/admin/secret')]"), "modules": [print]}});
    let fails = "(() => { throw new Error('no ' + variable('u/admin/secret')) })()";
    let input = json!({"id": "a", "value": {"type": "script", "path": ECHO, "input_transforms": {"x": js(fails)}}});
    let stops = json!({"id": "a", "skip_if": {"expr": fails}, "value": {"type": "identity"}});
    for (modules, success) in [
        (json!([each]), true),
        (json!([input]), false),
        (json!([stops]), false),
    ] {
        let body = json!({"value": {"modules": modules}, "args": {}});
        let id = app.post("jobs/run/preview_flow", &body).await;
        let id = id.expect(201).text;
        let job = app.wait_for_job(&id).await;
        assert_eq!(job["success"], success, "{job}");
        if !success {
            let error = job["result"]["error"]["message"].as_str().unwrap();
            assert!(error.contains("no ***"), "{error}");
        }
        let jobs = app
            .list("jobs/list?include_args=true&include_result=true")
            .await;
        let below: Vec<&Value> = jobs
            .iter()
            .filter(|job| job["root_job"] == id.as_str())
            .collect();
        assert!(!below.is_empty(), "{jobs:?}");
        for step in below {
            assert!(success || !step.to_string().contains(SECRET), "{step}");
            let id = step["id"].as_str().unwrap();
            let logs = app.get(&format!("jobs_u/get_logs/{id}")).await.text;
            assert!(!logs.contains(SECRET), "{logs}");
        }
    }
}

/// A flow that only passes a secret on never has it; one that works with it keeps it out of the logs of its steps.
#[actix::test]
async fn secrets_that_a_flow_is_called_with_stay_out_of_what_is_kept() {
    let app = start().await;
    let length = "export function main(x: any) { console.log(`got ${x}`); return x.length }";
    app.create_script("u/admin/length", "nativets", length)
        .await;
    let js = |expr: &str| json!({"type": "javascript", "expr": expr});
    let step = |id: &str, kind: &str, path: &str, input: &str| json!({"id": id, "value": {"type": kind, "path": path, "input_transforms": {"x": js(input)}}});
    let inner = step("i", "script", "u/admin/length", "flow_input.x");
    let nested = json!({"id": "l", "value": {"type": "forloopflow", "skip_failures": false,
        "iterator": js("[1]"), "modules": [step("n", "script", "u/admin/length", "flow_input.x")]}});
    let works = step("i", "script", "u/admin/length", "'key ' + flow_input.x");
    for (path, modules) in [
        ("u/admin/passes", json!([inner, nested])),
        ("u/admin/works", json!([works])),
        (
            "u/admin/between",
            json!([step("b", "flow", "u/admin/works", "flow_input.x")]),
        ),
    ] {
        let flow = json!({"path": path, "summary": "", "value": {"modules": modules}});
        app.post("flows/create", &flow).await.expect(201);
    }
    for (path, result, prints) in [
        ("u/admin/passes", json!([SECRET.len()]), 2),
        ("u/admin/works", json!(SECRET.len() + 4), 1),
        ("u/admin/between", json!(SECRET.len() + 4), 1),
    ] {
        let modules = json!([step("a", "flow", path, "variable('u/admin/secret')")]);
        let body = json!({"value": {"modules": modules}, "args": {}});
        let id = app.post("jobs/run/preview_flow", &body).await;
        let id = id.expect(201).text;
        let job = app.wait_for_job(&id).await;
        assert_eq!(job["result"], result, "{path}: {job}");
        let jobs = app
            .list("jobs/list?include_args=true&include_result=true")
            .await;
        let below = jobs.iter().filter(|job| job["root_job"] == id.as_str());
        let mut printed = 0;
        for job in below {
            assert!(!job["args"].to_string().contains(SECRET), "{path}: {job}");
            let id = job["id"].as_str().unwrap();
            let logs = app.get(&format!("jobs_u/get_logs/{id}")).await.text;
            assert!(!logs.contains(SECRET), "{path}: {logs}");
            printed += usize::from(logs.contains("***"));
        }
        assert_eq!(printed, prints, "{path}");
    }
}

/// However an expression makes something of a secret, it is kept sealed: of a step, a called flow, a loop, an error.
#[actix::test]
async fn what_expressions_make_of_secrets_is_kept_sealed() {
    let database = Database::sqlite();
    let file: PathBuf = database.url().strip_prefix("sqlite://").unwrap().into();
    let mut app = start_on(database).await;
    let length = "export function main(x: any, n: any) { console.log(`got ${JSON.stringify(x)}`); return JSON.stringify(x).length }";
    app.create_script("u/admin/length", "nativets", length)
        .await;
    let quiet = "export const main = (x: any, n: any) => JSON.stringify(x).length";
    app.create_script("u/admin/quiet", "nativets", quiet).await;
    let js = |expr: &str| json!({"type": "javascript", "expr": expr});
    let step = |kind: &str, path: &str, x: &str| {
        let inputs = json!({"x": js(x), "n": js("(flow_input.n ?? 0) + 1")});
        json!({"id": "s", "value": {"type": kind, "path": path, "input_transforms": inputs}})
    };
    let length = |x: &str| step("script", "u/admin/length", x);
    let call = |path: &str| step("flow", path, "variable('u/admin/secret')");
    let each = |parallel: bool| {
        json!({"id": "l", "value": {"type": "forloopflow", "skip_failures": false, "parallel": parallel,
            "iterator": js("[variable('u/admin/secret'), {b: resource('u/admin/db')}]"),
            "modules": [length("flow_input.iter.value")]}})
    };
    for (path, step) in [
        ("u/admin/works", length("[flow_input.x, 'é']")),
        (
            "u/admin/between",
            step("flow", "u/admin/works", "flow_input.x + '!'"),
        ),
        ("u/admin/first", length("previous_result.x")),
    ] {
        let flow = json!({"path": path, "summary": "", "value": {"modules": [step]}});
        app.post("flows/create", &flow).await.expect(201);
    }
    let reversed: String = SECRET.chars().rev().collect();
    let of = |x: Value| json!(x.to_string().chars().count());
    let bearer = "({h: {Authorization: `Bearer ${variable('u/admin/secret')}`}})";
    let back = "variable('u/admin/secret').split('').reverse().join('')";
    let loaded = json!({"b": {"host": "h", "password": SECRET}});
    let looped = json!([of(json!(SECRET)), of(loaded)]);
    for (module, result) in [
        (
            length(bearer),
            of(json!({"h": {"Authorization": format!("Bearer {SECRET}")}})),
        ),
        (step("script", "u/admin/quiet", back), of(json!(reversed))),
        (length("resource('u/admin/db').password"), of(json!(SECRET))),
        (call("u/admin/works"), of(json!([SECRET, "é"]))),
        (
            call("u/admin/between"),
            of(json!([format!("{SECRET}!"), "é"])),
        ),
        (call("u/admin/first"), of(json!(SECRET))),
        (each(false), looped.clone()),
        (each(true), looped),
    ] {
        let flow = json!({"value": {"modules": [module]}, "args": {"n": 1}});
        let id = app.post("jobs/run/preview_flow", &flow).await;
        let id = id.expect(201).text;
        let job = app.wait_for_job(&id).await;
        assert_eq!(job["result"], result, "{job}");
        let jobs = app.list("jobs/list?include_args=true").await;
        for job in jobs.iter().filter(|job| job["root_job"] == id.as_str()) {
            let id = job["id"].as_str().unwrap();
            let args = app.get(&format!("jobs_u/get_args/{id}")).await.json();
            assert_eq!(args, job["args"], "{job}");
            if job["job_kind"] != "flownode" {
                let hidden = args["x"] == "***" || args["x"] == REFERENCE;
                assert!(hidden, "{job}");
            }
            if job["job_kind"] == "flow" {
                // It is for that run alone.
                let restart = format!("jobs/restart/f/{id}");
                let refused = app.post(&restart, &json!({"step_id": "s"})).await;
                let text = refused.expect(400).text;
                assert!(text.contains("computed from a secret"), "{text}");
            }
            // What is computed from anything else is seen.
            assert!(args["n"].is_number(), "{job}");
            let logs = app.get(&format!("jobs_u/get_logs/{id}")).await.text;
            assert!(!logs.contains(SECRET), "{logs}");
        }
    }
    for (expr, said) in [
        ("JSON.parse(variable('u/admin/secret'))", "SyntaxError"),
        (
            "(() => { throw new Error(`not ${variable('u/admin/secret')}`) })()",
            "not ***",
        ),
    ] {
        let flow = json!({"value": {"modules": [length(expr)]}, "args": {}});
        let id = app.post("jobs/run/preview_flow", &flow).await;
        let job = app.wait_for_job(&id.expect(201).text).await;
        let error = job["result"]["error"]["message"].as_str().unwrap();
        assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
    }
    app.stop().await;
    for suffix in ["", "-wal"] {
        let mut name = file.clone().into_os_string();
        name.push(suffix);
        let bytes = fs::read(name).unwrap_or_default();
        for text in [SECRET, reversed.as_str()] {
            let found = memchr::memmem::find(&bytes, text.as_bytes());
            assert_eq!(found, None, "{text} stands in the file {suffix}");
        }
    }
}
