//! What windsock says to open a connection, and what it makes of a refusal.

use serde_json::{Value, json};

use crate::harness::{
    Authority, Database, Need, Peer, Settings, TestApp, app::trigger, ready, wait_for,
};

const SCRIPT: &str = "u/admin/take";
const TRIGGER: &str = "f/calls/one";

async fn app() -> TestApp {
    let app = TestApp::start(Database::sqlite()).await;
    let content = "export async function main(msg: string) { return msg; }";
    app.create_script(SCRIPT, "nativets", content).await;
    app
}

#[actix::test]
async fn headers_and_subprotocols_reach_the_server() {
    if !ready("headers_and_subprotocols", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (app().await, Peer::start().await);
    peer.command(json!({"do": "behave", "subprotocol": "v2"}))
        .await;
    let secret =
        json!({"path": "u/admin/key", "value": "s3cret", "is_secret": true, "description": ""});
    app.post("variables/create", &secret).await.expect(201);
    let more = json!({
        "headers": {"Authorization": "Bearer $var:u/admin/key"}, "subprotocols": ["v1", "v2"],
    });
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    assert_eq!(connection.header("authorization"), Some("Bearer s3cret"));
    assert_eq!(connection.subprotocol.as_deref(), Some("v2"));
    app.wait_until_listening(TRIGGER).await;
    let shown = app.get(&format!("websocket_triggers/get/{TRIGGER}")).await;
    assert!(!shown.text.contains("s3cret"), "{}", shown.text);
}

#[actix::test]
async fn refusals_say_why_and_are_tried_again() {
    if !ready("refusals", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (app().await, Peer::start().await);
    let refuse = |status: u16| json!({"do": "behave", "refuse": {"status": status}});
    peer.command(refuse(401)).await;
    let more = json!({"reconnect": {"initial_delay_ms": 10, "max_delay_ms": 50}});
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    app.wait_for_error(TRIGGER, "401").await;
    peer.command(refuse(403)).await;
    app.wait_for_error(TRIGGER, "403").await;
    let moved = json!({"status": 302, "headers": {"Location": peer.url("/elsewhere")}});
    peer.command(json!({"do": "behave", "refuse": moved})).await;
    let status = app.wait_for_error(TRIGGER, "302: it redirects to").await;
    let error = status["error"].as_str().unwrap();
    assert!(error.contains(&peer.url("/elsewhere")), "{error}");
    let asked = peer.events("refused");
    assert!(asked.iter().all(|event| event["path"] == "/"), "{asked:?}");
    peer.command(json!({"do": "behave", "refuse": null})).await;
    let status = app.wait_until_listening(TRIGGER).await;
    assert_eq!(status["error"], Value::Null);
}

#[actix::test]
async fn retry_after_is_honoured() {
    if !ready("retry_after", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (app().await, Peer::start().await);
    let busy = json!({"status": 429, "headers": {"Retry-After": "3"}, "times": 1});
    peer.command(json!({"do": "behave", "refuse": busy})).await;
    let more = json!({"reconnect": {"initial_delay_ms": 10, "max_delay_ms": 10}});
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let status = app.wait_for_error(TRIGGER, "429").await;
    assert_eq!(status["state"], "backoff", "{status}");
    assert!(status["next_attempt_at"].is_string(), "{status}");
    let connection = peer.accept().await;
    let refused = peer.events("refused")[0]["at"].as_f64().unwrap();
    let waited = connection.at - refused;
    assert!(waited >= 2.9, "tried again after {waited} s");
}

#[actix::test]
async fn max_attempts_disables_with_the_error() {
    if !ready("max_attempts", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (app().await, Peer::start().await);
    peer.command(json!({"do": "behave", "refuse": {"status": 503}}))
        .await;
    let more = json!({
        "reconnect": {"initial_delay_ms": 10, "max_delay_ms": 20, "max_attempts": 3},
    });
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let trigger = wait_for("the trigger is disabled", async || {
        let shown = app.get(&format!("websocket_triggers/get/{TRIGGER}")).await;
        let shown = shown.json();
        let disabled = shown["mode"] == "disabled";
        disabled.then(|| shown.clone()).ok_or(shown.to_string())
    })
    .await;
    let error = trigger["error"].as_str().unwrap_or_default();
    assert!(error.contains("503"), "{trigger}");
    assert_eq!(peer.events("refused").len(), 3);
    assert_eq!(app.status(TRIGGER).await["attempts"], 3);
}

#[actix::test]
async fn url_from_a_runnable_is_asked_for_at_each_connect() {
    if !ready("runnable_url", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = (app().await, Peer::start().await);
    let url = "export async function main(base: string) { return base + '?at=' + Date.now(); }";
    app.create_script("u/admin/url", "nativets", url).await;
    let more = json!({
        "url_runnable_args": {"base": peer.url("/made")}, "reconnect": {"initial_delay_ms": 10},
    });
    app.create_trigger(TRIGGER, SCRIPT, "$script:u/admin/url", more)
        .await;
    let first = peer.accept().await;
    peer.command(json!({"do": "drop", "to": first.number}))
        .await;
    let second = peer.accept().await;
    assert!(second.path.starts_with("/made?at="), "{}", second.path);
    assert_ne!(first.path, second.path);
}

#[actix::test]
async fn private_addresses_are_refused_at_save_and_at_connect() {
    let settings = Settings::new().without_env("ALLOW_PRIVATE_WEBSOCKET_URLS");
    let app = TestApp::start_with(Database::sqlite(), settings).await;
    let body = trigger(TRIGGER, SCRIPT, "ws://127.0.0.1:9/", json!({}));
    let answer = app.post("websocket_triggers/create", &body).await;
    assert!(answer.expect(400).text.contains("private"));
    let url = "export async function main() { return 'ws://127.0.0.1:9/'; }";
    app.create_script("u/admin/url", "nativets", url).await;
    app.create_trigger(TRIGGER, SCRIPT, "$script:u/admin/url", json!({}))
        .await;
    app.wait_for_error(TRIGGER, "private").await;
}

#[actix::test]
async fn own_ca_and_client_certificate() {
    if !ready("own_ca", &[Need::Peer]) {
        return;
    }
    let authority = Authority::new();
    let (cert, key) = authority.files("127.0.0.1");
    let (client_cert, client_key) = authority.issue("client.test");
    let ca_file = authority.ca_file();
    let mut peer =
        Peer::start_with(&["--cert", &cert, "--key", &key, "--client-ca", &ca_file]).await;
    let app = app().await;
    let url = format!("wss://127.0.0.1:{}/", peer.port());
    let more = json!({"reconnect": {"initial_delay_ms": 10, "max_delay_ms": 50}});
    app.create_trigger(TRIGGER, SCRIPT, &url, more.clone())
        .await;
    app.wait_for_error(TRIGGER, "certificate").await;
    let tls = json!({"ca_pem": authority.ca_pem()});
    let update = async |tls: Value| {
        let mut body = trigger(TRIGGER, SCRIPT, &url, more.clone());
        body["tls"] = tls;
        app.post(&format!("websocket_triggers/update/{TRIGGER}"), &body)
            .await
            .expect(200);
    };
    update(tls).await;
    app.wait_for_error(TRIGGER, "closed the connection").await;
    assert!(peer.connections().is_empty());
    update(json!({
        "ca_pem": authority.ca_pem(), "client_cert_pem": client_cert, "client_key_pem": client_key,
    }))
    .await;
    peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
}
