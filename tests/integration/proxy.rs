//! Connections through an HTTP proxy: a trigger's own or the environment's, with a password, and around it.

use serde_json::{Value, json};

use crate::harness::{Authority, Database, Need, Peer, Settings, TestApp, app::trigger, ready};

const SCRIPT: &str = "u/admin/take";
const TRIGGER: &str = "f/tunnels/one";

async fn app(settings: Settings) -> TestApp {
    let app = TestApp::start_with(Database::sqlite(), settings).await;
    let content = "export async function main(msg: string) { return msg; }";
    app.create_script(SCRIPT, "nativets", content).await;
    app
}

fn quick(mut more: Value) -> Value {
    more["reconnect"] = json!({"initial_delay_ms": 10, "max_delay_ms": 50});
    more
}

fn targets(proxy: &Peer) -> Vec<Value> {
    let tunnels = proxy.events("tunnel").into_iter();
    tunnels.map(|tunnel| tunnel["target"].clone()).collect()
}

#[actix::test]
async fn trigger_goes_through_its_own_proxy_with_a_password() {
    if !ready("own_proxy", &[Need::Peer]) {
        return;
    }
    let authority = Authority::new();
    let (cert, key) = authority.files("127.0.0.1");
    let mut peer = Peer::start_with(&["--cert", &cert, "--key", &key]).await;
    let proxy = Peer::play("proxy.py", &["--user", "us@er:pa:ss/1"]).await;
    let app = app(Settings::new()).await;
    let more = |user: &str| {
        quick(json!({
            "proxy": format!("http://{user}@127.0.0.1:{}", proxy.port()), "tls": {"ca_pem": authority.ca_pem()},
        }))
    };
    let url = format!("wss://127.0.0.1:{}/", peer.port());
    app.create_trigger(TRIGGER, SCRIPT, &url, more("us%40er:wrong"))
        .await;
    let status = app.wait_for_error(TRIGGER, "407").await;
    let error = status["error"].as_str().unwrap();
    assert!(!error.contains("wrong"), "{error}");
    proxy.nth("refused", 1).await;
    assert!(peer.connections().is_empty());
    let body = trigger(TRIGGER, SCRIPT, &url, more("us%40er:pa:ss%2F1"));
    app.post(&format!("websocket_triggers/update/{TRIGGER}"), &body)
        .await
        .expect(200);
    let connection = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    let target = format!("127.0.0.1:{}", peer.port());
    let targets = targets(&proxy);
    assert!(targets.iter().all(|known| *known == target), "{targets:?}");
    // The password is the proxy's: the peer must not see it.
    assert_eq!(connection.header("proxy-authorization"), None);
    peer.send(&connection, &["through the tunnel"]).await;
    app.wait_for_status(TRIGGER, "a job", |status| status["enqueued"] == 1)
        .await;
}

#[actix::test]
async fn environment_names_a_proxy_and_what_goes_around_it() {
    if !ready("environment_proxy", &[Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let proxy = Peer::play("proxy.py", &[]).await;
    let settings = Settings::new()
        .env("HTTP_PROXY", &format!("http://127.0.0.1:{}", proxy.port()))
        .env("NO_PROXY", "example.com, 127.0.0.0/8");
    let app = app(settings).await;
    let port = peer.port();
    let (named, literal) = (
        format!("ws://localhost:{port}/named"),
        format!("ws://127.0.0.1:{port}/literal"),
    );
    for (path, url, more) in [
        // Inside the network that goes around.
        ("f/tunnels/literal", &literal, json!({})),
        // A name is no address: only its own entry would let it go around.
        (TRIGGER, &named, json!({})),
        // What a trigger says itself counts more than the environment.
        ("f/tunnels/direct", &named, json!({"proxy": "direct"})),
    ] {
        app.create_trigger(path, SCRIPT, url, quick(more)).await;
        peer.accept().await;
        app.wait_until_listening(path).await;
    }
    assert_eq!(targets(&proxy), [format!("localhost:{port}")]);
}

#[actix::test]
async fn proxy_that_is_none_is_named() {
    if !ready("no_proxy", &[Need::Peer]) {
        return;
    }
    let (peer, other) = (Peer::start().await, Peer::start().await);
    let app = app(Settings::new()).await;
    let more = quick(json!({"proxy": format!("http://127.0.0.1:{}", other.port())}));
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    app.wait_for_error(TRIGGER, "proxy: ").await;
    assert!(peer.connections().is_empty());
    let bad = trigger(
        TRIGGER,
        SCRIPT,
        &peer.url("/"),
        json!({"proxy": "socks5://127.0.0.1:1"}),
    );
    let answer = app
        .post(&format!("websocket_triggers/update/{TRIGGER}"), &bad)
        .await;
    assert!(answer.expect(400).text.contains("proxy"));
}
