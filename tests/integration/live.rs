//! The live socket's tail: the messages of a trigger as they arrive, whatever becomes of the trigger, and whichever server
//! listens for it (contract §5).

use actix_codec::Framed;
use awc::{
    BoxedSocket,
    ws::{Codec, Frame, Message},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};

use crate::harness::{
    Database, Need, PATIENCE, Peer, TOKEN, TestApp, on_both_databases, peer::Connection, ready,
};

const SCRIPT: &str = "u/admin/nothing";
const TRIGGER: &str = "f/live/tailed";
const NOTHING: &str = "export function main(msg: string) {}";

on_both_databases!(needs: [Need::Peer], tests: [
    a_tail_goes_on_after_its_trigger_was_disabled,
    messages_are_shown_in_the_order_they_came,
]);

struct Live(Framed<BoxedSocket, Codec>);

impl Live {
    async fn open(app: &TestApp) -> Self {
        let url = format!("{}/api/w/main/websocket_triggers/live", app.url());
        let token = format!("Bearer {TOKEN}");
        let request = app.client().ws(url).header("authorization", token);
        let (_, socket) = request.connect().await.expect("the live socket opens");
        Self(socket)
    }

    async fn tail(&mut self, path: &str) {
        let wish = json!({"tail": path}).to_string();
        self.0.send(Message::Text(wish.into())).await.unwrap();
    }

    /// The next event.
    async fn next(&mut self) -> Value {
        loop {
            let frame = self.0.next().await.expect("the live socket goes on");
            if let Frame::Text(told) = frame.unwrap() {
                return serde_json::from_slice(&told).unwrap();
            }
        }
    }

    /// Sends messages that say `text` until the tail shows one.
    async fn shows(&mut self, text: &str, peer: &mut Peer, to: &Connection) -> Value {
        let told = async {
            let mut again = actix::clock::interval(std::time::Duration::from_millis(100));
            loop {
                tokio::select! {
                    _ = again.tick() => peer.send(to, &[text]).await,
                    told = self.next() => {
                        if told["type"] == "message" && told["text"] == text {
                            return told;
                        }
                    }
                }
            }
        };
        let told = actix::clock::timeout(PATIENCE, told).await;
        told.unwrap_or_else(|_| panic!("{text} is shown"))
    }
}

/// What clearly cannot match is told at once, what may match is not: neither overtakes the other.
async fn messages_are_shown_in_the_order_they_came(database: Database) {
    let mut peer = Peer::start().await;
    let app = TestApp::start(database).await;
    app.create_script(SCRIPT, "nativets", NOTHING).await;
    let rules = json!([{"on": {"filters": [{"key": "kind", "value": "ack"}]}, "trigger": false}]);
    let more = json!({"filters": [{"key": "kind", "value": "trade"}], "conversation": rules});
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    let mut live = Live::open(&app).await;
    live.tail(TRIGGER).await;
    live.shows(r#"{"kind":"first"}"#, &mut peer, &connection)
        .await;
    // Fewer than are shown in a second, with what was sent before them.
    let kinds = [
        "trade", "other", "ack", "trade", "trade", "ack", "other", "trade",
    ];
    let message = |(n, kind): (usize, &&str)| format!(r#"{{"n":{n},"kind":"{kind}"}}"#);
    let texts: Vec<String> = kinds.iter().enumerate().map(message).collect();
    peer.send(&connection, &texts).await;
    let mut shown = Vec::new();
    let all = async {
        while shown.len() < texts.len() {
            let told = live.next().await;
            let text = told["text"].as_str().unwrap_or_default();
            if text.contains(r#""n":"#) {
                shown.push(text.to_owned());
            }
        }
    };
    let told = actix::clock::timeout(PATIENCE, all).await;
    assert!(told.is_ok(), "all are shown, of {texts:?} only {shown:?}");
    assert_eq!(shown, texts);
}

async fn a_tail_goes_on_after_its_trigger_was_disabled(database: Database) {
    let mut peer = Peer::start().await;
    let app = TestApp::start(database).await;
    app.create_script(SCRIPT, "nativets", NOTHING).await;
    let filters = json!({"filters": [{"key": "n", "value": 1}], "mode": "disabled"});
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), filters)
        .await;
    let mut live = Live::open(&app).await;
    // Asked for before it runs.
    live.tail(TRIGGER).await;
    for text in [r#"{"n":1}"#, r#"{"n":1.0}"#] {
        let mode = |mode: &str| json!({ "mode": mode });
        let setmode = format!("websocket_triggers/setmode/{TRIGGER}");
        app.post(&setmode, &mode("enabled")).await.expect(200);
        let connection = peer.accept().await;
        let told = live.shows(text, &mut peer, &connection).await;
        assert_eq!(told["verdict"], "matched", "{told}");
        app.post(&setmode, &mode("disabled")).await.expect(200);
        peer.close_code(&connection).await;
    }
}

#[actix::test]
async fn a_tail_shows_what_another_server_receives() {
    let name = "live::a_tail_shows_what_another_server_receives";
    if !ready(name, &[Need::Peer, Need::Postgres]) {
        return;
    }
    let database = Database::postgres();
    let mut peer = Peer::start().await;
    let servers = [
        TestApp::start(database.again()).await,
        TestApp::start(database.again()).await,
    ];
    servers[0].create_script(SCRIPT, "nativets", NOTHING).await;
    let filters = json!({"filters": [{"key": "n", "value": 1}]});
    servers[0]
        .create_trigger(TRIGGER, SCRIPT, &peer.url("/"), filters)
        .await;
    let connection = peer.accept().await;
    let long = format!(r#"{{"n":2,"é":"{}"}}"#, "\\u0001\\n".repeat(500));
    // On the one that listens, and on the one that does not.
    for app in &servers {
        let mut live = Live::open(app).await;
        live.tail(TRIGGER).await;
        for (text, verdict) in [(r#"{"n":1}"#, "matched"), (&long, "unmatched")] {
            let told = live.shows(text, &mut peer, &connection).await;
            assert_eq!(told["verdict"], verdict, "{told}");
            assert_eq!(told["bytes"], text.len());
        }
    }
}
