//! Bad input gets a 4xx that names the field, as one line of plain text, and changes nothing.

mod cases;

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
};

use awc::http::Method;
use cases::changed;
use serde_json::{Value, json};

use crate::harness::{Answer, Database, Settings, TOKEN, TestApp, app::trigger, on_both_databases};

on_both_databases!(
    needs: [],
    tests: [
        bad_triggers_are_refused,
        bad_scripts_are_refused,
        bad_bodies_are_refused,
        unknown_things_are_not_found,
        without_a_token_nothing_is_told,
        private_addresses_are_refused_at_save,
    ]
);

/// Where nobody listens.
const URL: &str = "ws://127.0.0.1:9/";

/// The largest body taken, in bytes (contract §8).
const BODY_MAX_BYTES: usize = 50 * 1024 * 1024;

/// A trigger and a script that are there already, neither of them doing anything.
async fn start(database: Database) -> (TestApp, Vec<Value>) {
    let app = TestApp::start(database).await;
    app.create_script("u/admin/known", "bash", "echo 1\n").await;
    let known = idle("u/admin/known");
    let made = app.post("websocket_triggers/create", &known).await;
    made.expect(201);
    let everything = everything(&app).await;
    (app, everything)
}

/// All that a request could have changed.
async fn everything(app: &TestApp) -> Vec<Value> {
    let mut lists = Vec::new();
    for of in [
        "websocket_triggers/list",
        "scripts/list",
        "variables/list",
        "resources/list",
        "jobs/list",
    ] {
        lists.push(Value::Array(app.list(of).await));
    }
    lists
}

async fn assert_nothing_changed(mut app: TestApp, before: Vec<Value>) {
    assert_eq!(everything(&app).await, before);
    app.stop().await;
}

/// Insists on the status and on one line of plain text that has `named` in it.
#[track_caller]
fn assert_refused(case: &str, answer: &Answer, status: u16, named: &str) {
    assert_eq!(answer.status, status, "{case}: {}", answer.text);
    assert!(
        answer.content_type.starts_with("text/plain"),
        "{case}: {}",
        answer.content_type
    );
    assert!(answer.text.contains(named), "{case}: {}", answer.text);
    assert!(!answer.text.trim().is_empty(), "{case}: no text");
    assert_eq!(
        answer.text.trim().lines().count(),
        1,
        "{case}: {}",
        answer.text
    );
}

/// A trigger that does nothing, by its path.
fn idle(path: &str) -> Value {
    trigger(path, "u/admin/known", URL, json!({"mode": "disabled"}))
}

async fn bad_triggers_are_refused(database: Database) {
    let (app, before) = start(database).await;
    let cases = [cases::fields(), cases::connections(), cases::filters()].concat();
    for (field, value, named) in cases {
        let mut body = changed(&idle("u/admin/new"), field, value);
        let answer = app.post("websocket_triggers/create", &body).await;
        assert_refused(&format!("create {body}"), &answer, 400, named);
        if field != "path" {
            body["path"] = json!("u/admin/known");
        } else if body["path"].is_null() {
            continue; // an update without a path does not rename
        }
        let update = "websocket_triggers/update/u/admin/known";
        let answer = app.post(update, &body).await;
        assert_refused(&format!("update {body}"), &answer, 400, named);
    }
    let known = idle("u/admin/known");
    let answer = app.post("websocket_triggers/create", &known).await;
    assert_refused("a path twice", &answer, 409, "u/admin/known");
    let setmode = "websocket_triggers/setmode/u/admin/known";
    for body in [json!({}), json!({"mode": "paused"}), json!({"mode": 1})] {
        let answer = app.post(setmode, &body).await;
        assert_refused(&body.to_string(), &answer, 400, "mode");
    }
    assert_nothing_changed(app, before).await;
}

async fn bad_scripts_are_refused(database: Database) {
    let (app, before) = start(database).await;
    let good = json!({
        "path": "u/admin/new", "summary": "", "description": "", "content": "echo 1\n", "language": "bash"
    });
    for (field, value, named) in cases::scripts() {
        let body = changed(&good, field, value);
        let answer = app.post("scripts/create", &body).await;
        assert_refused(&body.to_string(), &answer, 400, named);
    }
    assert_nothing_changed(app, before).await;
}

async fn bad_bodies_are_refused(database: Database) {
    let (app, before) = start(database).await;
    let bodies: [&[u8]; 6] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{\"path\": \"u/admin/\xff\"}",
        b"{} trailing",
    ];
    for route in [
        "websocket_triggers/create",
        "websocket_triggers/update/u/admin/known",
        "scripts/create",
        "variables/create",
        "resources/create",
    ] {
        for body in bodies {
            let answer = app.post_bytes(route, body).await;
            let case = format!("{route} {}", String::from_utf8_lossy(body));
            assert_refused(&case, &answer, 400, "");
        }
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = app.post_bytes("jobs/run/p/u/admin/known", deep).await;
    assert_refused("deep nesting", &answer, 400, "");
    for chunked in [false, true] {
        let answer = post_too_much(&app, "/api/w/main/scripts/create", chunked);
        assert!(
            answer.starts_with("HTTP/1.1 413 "),
            "chunked {chunked}: {answer}"
        );
        assert!(
            answer.to_lowercase().contains("content-type: text/plain"),
            "{answer}"
        );
    }
    for query in [
        "per_page=many",
        "page=-1",
        "created_after=yesterday",
        "success=perhaps",
    ] {
        let answer = app.get(&format!("jobs/list?{query}")).await;
        let name = query.split('=').next().unwrap();
        assert_refused(query, &answer, 400, name);
    }
    assert_nothing_changed(app, before).await;
}

/// Posts one byte more than is taken, by hand: a client that is answered before it has sent everything may give up.
fn post_too_much(app: &TestApp, path: &str, chunked: bool) -> String {
    let address = app.url().strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    let mut sending = socket.try_clone().unwrap();
    let length = match chunked {
        true => "Transfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {}", BODY_MAX_BYTES + 1),
    };
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nConnection: close\r\n{length}\r\n\r\n"
    );
    let sender = thread::spawn(move || {
        let mebibyte = vec![b' '; 1024 * 1024];
        sending.write_all(head.as_bytes())?;
        for _ in 0..=BODY_MAX_BYTES / mebibyte.len() {
            if chunked {
                write!(sending, "{:x}\r\n", mebibyte.len())?;
            }
            sending.write_all(&mebibyte)?;
            if chunked {
                sending.write_all(b"\r\n")?;
            }
        }
        Ok::<(), std::io::Error>(())
    });
    // Not until the end of the stream: the server may wait for the rest of the body before it closes.
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !is_whole(&answer) {
        match socket.read(&mut piece) {
            Ok(0) | Err(_) => break, // what came before a reset counts
            Ok(count) => answer.extend_from_slice(&piece[..count]),
        }
    }
    let _ = socket.shutdown(std::net::Shutdown::Both);
    let _ = sender.join().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether the head and as much of a body as it says have come.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.trim().parse().unwrap_or(0))
}

async fn unknown_things_are_not_found(database: Database) {
    let (app, before) = start(database).await;
    let id = "018f0000-0000-7000-8000-000000000000";
    for path in [
        "websocket_triggers/get/u/admin/none",
        "websocket_triggers/status/u/admin/none",
        "scripts/get/p/u/admin/none",
        "scripts/get/h/00000000000000aa",
        "variables/get/u/admin/none",
        "resources/get/u/admin/none",
        &format!("jobs_u/get/{id}"),
        &format!("jobs_u/completed/get/{id}"),
        &format!("jobs_u/completed/get_result/{id}"),
        &format!("jobs_u/get_logs/{id}"),
    ] {
        let named = path.rsplit('/').next().unwrap();
        assert_refused(path, &app.get(path).await, 404, named);
    }
    let body = idle("u/admin/none");
    let answer = app
        .post("websocket_triggers/update/u/admin/none", &body)
        .await;
    assert_refused("update", &answer, 404, "u/admin/none");
    let answer = app.delete("websocket_triggers/delete/u/admin/none").await;
    assert_refused("delete", &answer, 404, "u/admin/none");
    let answer = app.post("jobs/run/p/u/admin/none", &json!({})).await;
    assert_refused("run", &answer, 404, "u/admin/none");
    let answer = app
        .post(&format!("jobs_u/queue/cancel/{id}"), &json!({}))
        .await;
    assert_refused("cancel", &answer, 404, id);
    let everything = json!({"scopes": ["*:*"]});
    let answer = app.post("/api/users/tokens/create", &everything).await;
    assert_refused("scope", &answer, 400, "scopes[0]");
    let answer = app.get("/api/w/main/schedules/list").await;
    assert_refused(
        "what is not here",
        &answer,
        404,
        "windsock has no schedules",
    );
    let answer = app.post("/w/main/scripts/create", &json!({})).await;
    assert_refused("without /api", &answer, 404, "/api/");
    assert_refused("job id", &app.get("jobs_u/get/five").await, 400, "five");
    assert_refused(
        "workspace",
        &app.get("/api/w/none/scripts/list").await,
        404,
        "none",
    );
    assert_refused("route", &app.get("/api/w/main/nothing").await, 404, "");
    let answer = app
        .request(Method::DELETE, "websocket_triggers/list", None)
        .await;
    assert!([404, 405].contains(&answer.status), "{answer:?}");
    // Nothing that looks like SQL or a way out of a folder is anything but a text.
    for path in [
        "u/admin/'; DROP TABLE job; --",
        "u/admin/%2e%2e%2f%2e%2e%2fetc",
        "%00",
    ] {
        let path = path.replace(' ', "%20");
        let answer = app.get(&format!("websocket_triggers/get/{path}")).await;
        assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
    }
    assert_nothing_changed(app, before).await;
}

async fn without_a_token_nothing_is_told(database: Database) {
    let (mut app, before) = start(database).await;
    for token in [None, Some("wrong"), Some("")] {
        app.set_token(token);
        for path in [
            "websocket_triggers/list",
            "websocket_triggers/get/u/admin/known",
            "scripts/list",
            "jobs/list",
            "jobs_u/get/018f0000-0000-7000-8000-000000000000",
            "/api/users/whoami",
            "/api/workspaces/list",
        ] {
            let case = format!("{path} with {token:?}");
            assert_refused(&case, &app.get(path).await, 401, "");
        }
        // The refusal comes before the body is looked at.
        for body in ["{", "{}"] {
            let answer = app.post_bytes("websocket_triggers/create", body).await;
            assert_refused(body, &answer, 401, "");
        }
        let answer = app.delete("websocket_triggers/delete/u/admin/known").await;
        assert_refused("delete", &answer, 401, "");
    }
    app.set_token(Some(TOKEN));
    assert_nothing_changed(app, before).await;
}

async fn private_addresses_are_refused_at_save(database: Database) {
    let settings = Settings::new().without_env("ALLOW_PRIVATE_WEBSOCKET_URLS");
    let mut app = TestApp::start_with(database, settings).await;
    for (host, named) in [
        ("127.0.0.1", "127.0.0.1:80"),
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("localhost", "localhost:80"),
        ("10.1.2.3", "10.1.2.3:80"),
        ("192.168.1.1", "192.168.1.1:80"),
        ("169.254.169.254", "169.254.169.254:80"),
        ("100.64.0.1", "100.64.0.1:80"),
        ("0.0.0.0", "0.0.0.0:80"),
        ("[::1]", "[::1]:80"),
        ("[fd00::1]", "[fd00::1]:80"),
        ("[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]:80"),
        ("0x7f.1", "127.0.0.1:80"),
        ("2130706433", "127.0.0.1:80"),
    ] {
        let url = format!("ws://{host}/");
        let body = trigger("u/admin/new", "u/admin/none", &url, json!({}));
        let answer = app.post("websocket_triggers/create", &body).await;
        // The field, the value and the next step.
        assert_refused(host, &answer, 400, &format!("url: '{named}' "));
        let setting = format!("ALLOW_PRIVATE_WEBSOCKET_URLS={named} ");
        assert_refused(host, &answer, 400, &setting);
    }
    assert_eq!(
        app.list("websocket_triggers/list").await,
        Vec::<Value>::new()
    );
    app.stop().await;
}
