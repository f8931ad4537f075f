//! A GraphQL subscription on the server library that most GraphQL servers of node use.

use serde_json::json;

use super::Recipe;
use crate::harness::{Database, Peer, on_both_databases};

fn order(id: &str, total: f64) -> serde_json::Value {
    json!({"do": "order", "order": {"id": id, "total": total}})
}

on_both_databases!(needs: [Need::Node], tests: [graphql_subscription]);

async fn graphql_subscription(database: Database) {
    let mut peer = Peer::play("graphql.cjs", &[]).await;
    let address = ("wss://shop.example.com", &*peer.url(""));
    let mut recipe = Recipe::read("graphql-subscription", &[address]);
    recipe.trigger["reconnect"] = json!({"initial_delay_ms": 10, "max_delay_ms": 50});
    let app = recipe
        .run(database, &[("f/shop/token", "shop-token")])
        .await;
    let connection = peer.accept().await;
    let chosen = connection.subprotocol.as_deref();
    assert_eq!(chosen, Some("graphql-transport-ws"));
    peer.nth("subscribed", 1).await;
    recipe.listening(&app).await;
    peer.command(order("A1", 9.5)).await;
    assert_eq!(recipe.results(&app, 1).await, ["order A1: 9.5"]);

    peer.command(json!({"do": "ping"})).await;
    peer.nth("pong", 1).await;
    peer.command(json!({"do": "complete"})).await;
    peer.nth("subscribed", 2).await;
    peer.command(order("A2", 3.0)).await;
    recipe.results(&app, 2).await;
    assert_eq!(peer.connections().len(), 1);

    peer.command(json!({"do": "drop"})).await;
    peer.nth("subscribed", 3).await;
    recipe.listening(&app).await;
    peer.command(order("A3", 1.0)).await;
    let results = recipe.results(&app, 3).await;
    assert_eq!(results[2], "order A3: 1");

    peer.command(json!({"do": "revoke"})).await;
    let error = recipe.disabled(&app).await;
    assert!(error.contains("4403"), "{error}");
}
