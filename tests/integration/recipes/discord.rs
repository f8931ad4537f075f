//! A chat gateway that greets first: identify, heartbeats, resume, close codes.

use serde_json::json;

use super::Recipe;
use crate::harness::{Database, Peer, on_both_databases, peer::Connection};

async fn event(peer: &mut Peer, content: &str) {
    let data = json!({"author": {"username": "ada"}, "content": content});
    peer.command(json!({"do": "event", "data": data})).await;
}

fn host(connection: &Connection) -> &str {
    connection.header("host").unwrap_or_default()
}

on_both_databases!(needs: [Need::Peer], tests: [discord_gateway]);

async fn discord_gateway(database: Database) {
    let mut peer = Peer::play("discord.py", &[]).await;
    let mut recipe = Recipe::read(
        "discord-gateway",
        &[("wss://gateway.discord.gg", &peer.url(""))],
    );
    recipe.trigger["reconnect"] = json!({"initial_delay_ms": 10, "max_delay_ms": 50});
    let mut app = recipe
        .run(database, &[("f/discord/token", "bot-token")])
        .await;

    let first = peer.accept().await;
    assert_eq!(first.path, "/?v=10&encoding=json");
    let identify = peer.nth("identify", 1).await;
    assert_eq!(identify["data"]["token"], "bot-token");
    recipe.listening(&app).await;
    // Three heartbeats of 41 s each would take longer than anything here may: the interval is HELLO's.
    peer.nth("heartbeat", 3).await;
    event(&mut peer, "one").await;
    assert_eq!(recipe.results(&app, 1).await, ["ada: one"]);
    peer.event("a heartbeat with the last number", |event| {
        event["event"] == "heartbeat" && event["d"] == 2
    })
    .await;

    app.kill();
    peer.close_code(&first).await;
    event(&mut peer, "two").await;
    event(&mut peer, "three").await;
    app.start_again().await;
    let resume = peer.nth("resume", 1).await;
    assert_eq!(resume["data"]["session_id"], "session-1");
    assert_eq!(resume["data"]["seq"], 2);
    let second = peer.accept().await;
    assert!(host(&second).starts_with("localhost:"), "{second:?}");
    recipe.listening(&app).await;
    let results = recipe.results(&app, 3).await;
    assert_eq!(results, ["ada: one", "ada: two", "ada: three"]);

    peer.close(&second, 4009, "Session timed out.").await;
    peer.nth("identify", 2).await;
    let third = peer.accept().await;
    assert!(host(&third).starts_with("127.0.0.1:"), "{third:?}");
    recipe.listening(&app).await;

    peer.command(json!({"do": "forget_sessions"})).await;
    peer.command(json!({"do": "drop", "to": third.number}))
        .await;
    peer.nth("resume", 2).await;
    peer.nth("identify", 3).await;
    peer.accept().await;
    recipe.listening(&app).await;

    // An edit of the heartbeat connects anew; that it closes with 1000 ended the session.
    recipe.trigger["heartbeat"]["expect"]["timeout_secs"] = json!(2);
    let update = format!("websocket_triggers/update/{}", recipe.path());
    app.post(&update, &recipe.trigger).await.expect(200);
    let fifth = peer.accept().await;
    peer.nth("identify", 4).await;
    recipe.listening(&app).await;
    peer.command(json!({"do": "silence_acks"})).await;
    assert_eq!(peer.close_code(&fifth).await, Some(4000));
    let resume = peer.nth("resume", 4).await;
    assert_eq!(resume["data"]["session_id"], "session-4");

    peer.command(json!({"do": "revoke_token"})).await;
    let error = recipe.disabled(&app).await;
    assert!(error.contains("4004"), "{error}");
}
