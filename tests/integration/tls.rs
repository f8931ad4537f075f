//! https without a proxy in front (`TLS_CERT`, `TLS_KEY`), and what a proxy in front may say (`TRUSTED_PROXIES`).

use std::{fs, net::TcpStream, sync::Arc};

use actix_web::cookie::SameSite;
use awc::ws::{Frame, Message};
use futures_util::{SinkExt, StreamExt};
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use serde_json::json;

use crate::harness::{
    Authority, Browser, Database, Need, PATIENCE, Peer, Settings, TOKEN, TestApp,
    authority::trusting, ready, wait_for,
};

const SCRIPT: &str = "u/admin/ask";
const TRIGGER: &str = "f/tls/one";
/// Asks its own server, as `wmill` does.
const ASKS: [(&str, &str); 2] = [
    (
        "python3",
        "import os, urllib.request\n\ndef main():\n    base = os.environ[\"BASE_INTERNAL_URL\"]\n    \
         return urllib.request.urlopen(base + \"/api/version\").read().decode()\n",
    ),
    (
        "nativets",
        "export async function main() {\n  return await (await fetch(process.env.BASE_INTERNAL_URL + \"/api/version\")).text();\n}\n",
    ),
];

fn files(authority: &Authority) -> (String, String) {
    authority.files("127.0.0.1")
}

#[actix::test]
async fn https_serves_people_clients_and_jobs() {
    let authority = Authority::new();
    let (cert, key) = files(&authority);
    let settings = Settings::new().https(&authority, (&cert, &key));
    let app = TestApp::start_with(Database::sqlite(), settings).await;
    assert!(app.url().starts_with("https://127.0.0.1:"), "{}", app.url());

    let answer = app
        .client()
        .post(format!("{}/api/auth/session", app.url()))
        .send_json(&json!({"token": TOKEN}))
        .await
        .unwrap();
    let cookie = answer.cookie("token").expect("a session");
    assert_eq!(cookie.secure(), Some(true));
    assert_eq!(cookie.http_only(), Some(true));
    assert_eq!(cookie.same_site(), Some(SameSite::Strict));

    for (language, content) in ASKS {
        let path = format!("{SCRIPT}_{language}");
        app.create_script(&path, language, content).await;
        let id = app.run_script(&path, &json!({})).await;
        let job = app.wait_for_job(&id).await;
        let version = job["result"].as_str().unwrap_or_default();
        assert!(version.starts_with("windsock v"), "{language}: {job}");
    }

    let url = format!("{}/api/w/main/websocket_triggers/live", app.url());
    let request = app
        .client()
        .ws(url)
        .header("authorization", format!("Bearer {TOKEN}"));
    let (_, mut live) = request.connect().await.expect("a WebSocket over TLS");
    live.send(Message::Ping("there".into())).await.unwrap();
    app.create_script(SCRIPT, "bash", "true").await;
    let more = json!({"mode": "disabled"});
    app.create_trigger(TRIGGER, SCRIPT, "wss://example.com/", more)
        .await;
    let told = async {
        while let Some(frame) = live.next().await {
            match frame.expect("the connection stands") {
                Frame::Text(text) if String::from_utf8_lossy(&text).contains(TRIGGER) => return,
                _ => {}
            }
        }
        panic!("the live socket ended");
    };
    let told = actix::clock::timeout(PATIENCE, told).await;
    told.expect("the new trigger is told of");
}

#[actix::test]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let authority = Authority::new();
    let (cert, key) = files(&authority);
    let settings = Settings::new().https(&authority, (&cert, &key));
    let app = TestApp::start_with(Database::sqlite(), settings).await;
    let address = app.url().strip_prefix("https://").unwrap().to_owned();
    let first = served(&address, &authority);
    // As certbot has it: the new pair stands in the place of the old one.
    let renewed = authority.issue("127.0.0.1");
    for (file, text) in [(&cert, &renewed.0), (&key, &renewed.1)] {
        fs::write(format!("{file}.new"), text).unwrap();
        fs::rename(format!("{file}.new"), file).unwrap();
    }
    wait_for("the new certificate is served", async || {
        let now = served(&address, &authority);
        (now != first).then_some(()).ok_or("the old one".to_owned())
    })
    .await;
    app.get("/api/version").await.expect(200);
    // What cannot be used leaves it as it is.
    fs::write(&cert, "not a certificate").unwrap();
    wait_for("the bad file is noticed", async || {
        let said = app.output().contains("cannot be used, the old one stays");
        said.then_some(()).ok_or_else(|| app.output())
    })
    .await;
    served(&address, &authority);
}

/// The certificate that a new connection is shown.
fn served(address: &str, authority: &Authority) -> Vec<u8> {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let config = Arc::new(trusting(&authority.ca_pem()));
    let connection = ClientConnection::new(config, name).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream
            .conn
            .complete_io(&mut stream.sock)
            .expect("a handshake");
    }
    stream.conn.peer_certificates().expect("a certificate")[0].to_vec()
}

#[actix::test]
async fn the_page_works_over_https() {
    if !ready(
        "tls::the_page_works_over_https",
        &[Need::Browser, Need::Peer],
    ) {
        return;
    }
    let authority = Authority::new();
    let (cert, key) = files(&authority);
    let settings = Settings::new().https(&authority, (&cert, &key));
    let mut app = TestApp::start_with(Database::sqlite(), settings).await;
    let mut peer = Peer::start().await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", app.url())).await;
    browser.fill("Token", TOKEN).await;
    browser.click("Log in").await;
    browser.see("Triggers").await;
    // Made after the page was loaded: only its live socket can tell of it.
    app.create_script(SCRIPT, "bash", "true").await;
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), json!({}))
        .await;
    peer.accept().await;
    browser.click("Triggers").await;
    browser.see("Listening").await;
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn base_url_decides_links_and_cookies() {
    let settings = Settings::new()
        .without_env("SUPERADMIN_SECRET")
        .env("BASE_URL", "https://windsock.example.com");
    let app = TestApp::start_with(Database::sqlite(), settings).await;
    let link = app.login_link().await;
    let (base, token) = link.split_once("/?token=").expect("a link");
    assert_eq!(base, "https://windsock.example.com");
    let answer = app
        .client()
        .post(format!("{}/api/auth/session", app.url()))
        .insert_header(("host", "windsock.example.com"))
        .insert_header(("origin", "https://windsock.example.com"))
        .send_json(&json!({"token": token}))
        .await
        .unwrap();
    assert_eq!(
        answer.cookie("token").expect("a session").secure(),
        Some(true)
    );
}

/// Logs in with a wrong token as a proxy at 127.0.0.1 passes it on for `client`.
async fn wrong_login(app: &TestApp, client: &str) -> u16 {
    let url = format!("{}/api/auth/session", app.url());
    let request = app
        .client()
        .post(url)
        .insert_header(("x-forwarded-for", client));
    let answer = request.send_json(&json!({"token": "wrong"})).await;
    answer.expect("the server answers").status().as_u16()
}

#[actix::test]
async fn logins_are_counted_by_the_client_behind_a_trusted_proxy() {
    let settings = Settings::new().env("TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1");
    let app = TestApp::start_with(Database::sqlite(), settings).await;
    // Bounded by the number of failures that are allowed, not by time; a window that ends meanwhile begins again.
    wait_for("a client is refused", async || {
        let status = wrong_login(&app, "1.1.1.1, 192.0.2.1, 10.0.0.7").await;
        (status == 429).then_some(()).ok_or(status.to_string())
    })
    .await;
    assert_eq!(wrong_login(&app, "1.1.1.1, 192.0.2.2, 10.0.0.7").await, 401);
}

#[actix::test]
async fn nobody_else_says_who_asks() {
    let app = TestApp::start(Database::sqlite()).await;
    let mut client = 0_u32;
    wait_for("the peer is refused, whatever it says", async || {
        client += 1;
        let status = wrong_login(&app, &format!("192.0.2.{}", client % 250)).await;
        (status == 429).then_some(()).ok_or(status.to_string())
    })
    .await;
}
