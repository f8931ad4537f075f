//! A hub that asks for a token first and for growing numbers ever after.

use serde_json::json;

use super::Recipe;
use crate::harness::{Database, Peer, on_both_databases};

on_both_databases!(needs: [Need::Peer], tests: [home_assistant]);

async fn home_assistant(database: Database) {
    let mut peer = Peer::play("home_assistant.py", &[]).await;
    let address = ("ws://homeassistant.local:8123", &*peer.url(""));
    let mut recipe = Recipe::read("home-assistant", &[address]);
    recipe.trigger["reconnect"] = json!({"initial_delay_ms": 10, "max_delay_ms": 50});
    let app = recipe
        .run(database, &[("f/home/token", "a wrong one")])
        .await;
    peer.nth("auth_invalid", 2).await;
    app.wait_for_error(recipe.path(), "closed the connection")
        .await;
    let right = json!({"value": "home-token"});
    app.post("variables/update/f/home/token", &right)
        .await
        .expect(200);
    let subscribe = peer.nth("command", 1).await;
    assert_eq!(
        subscribe["command"],
        json!({"id": 1, "type": "subscribe_events", "event_type": "state_changed"})
    );
    recipe.listening(&app).await;
    for state in ["off", "on"] {
        let command = json!({"do": "state", "entity": "binary_sensor.door", "state": state});
        peer.command(command).await;
    }
    let other = json!({"do": "state", "entity": "sun.sun", "state": "below_horizon"});
    peer.command(other).await;
    let call = peer.nth("command", 2).await;
    assert_eq!(call["command"]["type"], "call_service", "{call}");
    let results = recipe.results(&app, 2).await;
    assert_eq!(
        results,
        ["binary_sensor.door is off", "binary_sensor.door is on"]
    );

    recipe.trigger["heartbeat"]["interval_secs"] = json!(1);
    let update = format!("websocket_triggers/update/{}", recipe.path());
    app.post(&update, &recipe.trigger).await.expect(200);
    let ping = peer.nth("command", 5).await;
    assert_eq!(ping["command"], json!({"id": 3, "type": "ping"}));
    assert!(peer.events("id_reuse").is_empty());
}
