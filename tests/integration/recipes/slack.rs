//! Envelopes that must be acknowledged: with a job, without one, with a script's answer.

use serde_json::{Value, json};

use super::Recipe;
use crate::harness::{Database, Peer, on_both_databases};

async fn envelope(peer: &mut Peer, name: &str, kind: &str, payload: Value) {
    let command = json!({"do": "envelope", "name": name, "kind": kind, "payload": payload});
    peer.command(command).await;
}

on_both_databases!(needs: [Need::Peer], tests: [slack_socket_mode]);

async fn slack_socket_mode(database: Database) {
    let mut peer = Peer::play("slack.py", &[]).await;
    let api = peer.events("listening")[0]["http_port"].to_string();
    let api = format!("http://127.0.0.1:{api}");
    let mut recipe = Recipe::read("slack-socket-mode", &[("https://slack.com", &api)]);
    recipe.trigger["reconnect"] = json!({"initial_delay_ms": 10, "max_delay_ms": 50});
    let app = recipe
        .run(database, &[("f/slack/app_token", "xapp-old")])
        .await;
    app.wait_for_error(recipe.path(), "invalid_auth").await;
    let token = json!({"value": "xapp-token"});
    app.post("variables/update/f/slack/app_token", &token)
        .await
        .expect(200);
    let first = peer.accept().await;
    recipe.listening(&app).await;

    let event = json!({"event": {"type": "message", "user": "U1", "text": "hi"}});
    envelope(&mut peer, "e1", "events_api", event.clone()).await;
    let acknowledged = peer.nth("acknowledged", 1).await;
    assert_eq!(acknowledged["message"], json!({"envelope_id": "e1"}));
    assert_eq!(recipe.results(&app, 1).await, ["U1 said: hi"]);

    envelope(&mut peer, "e2", "interactive", json!({})).await;
    peer.nth("acknowledged", 2).await;
    envelope(
        &mut peer,
        "e3",
        "slash_commands",
        json!({"command": "/go", "text": "tea"}),
    )
    .await;
    let answered = peer.nth("acknowledged", 3).await;
    let text = json!({"text": "You asked for tea."});
    assert_eq!(
        answered["message"],
        json!({"envelope_id": "e3", "payload": text})
    );

    peer.command(json!({"do": "disconnect"})).await;
    let second = peer.accept().await;
    assert_ne!(
        first.path, second.path,
        "each connection has its own ticket"
    );
    recipe.listening(&app).await;
    envelope(&mut peer, "e4", "events_api", event).await;
    recipe.results(&app, 2).await;
    let acknowledged = peer.nth("acknowledged", 4).await;
    assert_eq!(acknowledged["message"]["envelope_id"], "e4");
    assert!(peer.events("refused").is_empty(), "no ticket is used twice");
    let all = peer.events("acknowledged");
    assert!(all.iter().all(|event| event["known"] == true), "{all:?}");
    let status = app.status(recipe.path()).await;
    // Hello, and the disconnect that Slack announces.
    assert_eq!(status["handled"], 2, "{status}");
}
