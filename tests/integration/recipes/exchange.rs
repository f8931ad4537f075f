//! A market feed: subscription, pings, the cut after a day.

use serde_json::json;

use super::Recipe;
use crate::harness::{Database, Peer, on_both_databases};

on_both_databases!(needs: [Need::Peer], tests: [exchange_feed]);

async fn exchange_feed(database: Database) {
    let mut peer = Peer::play("exchange.py", &[]).await;
    let address = ("wss://stream.binance.com:9443", &*peer.url(""));
    let recipe = Recipe::read("exchange-feed", &[address]);
    let app = recipe.run(database, &[]).await;
    for round in 1..=2 {
        let subscribed = peer.nth("subscribed", round).await;
        assert_eq!(subscribed["params"], json!(["btcusdt@trade"]));
        recipe.listening(&app).await;
        let trade =
            json!({"do": "trade", "symbol": "BTCUSDT", "price": "61500.10", "quantity": "0.2"});
        peer.command(trade).await;
        let results = recipe.results(&app, round).await;
        assert_eq!(results[round - 1], "BTCUSDT 0.2 at 61500.10");
        peer.command(json!({"do": "ping"})).await;
        peer.nth("pong", round).await;
        if round == 1 {
            peer.command(json!({"do": "cut"})).await;
        }
    }
    let status = app.status(recipe.path()).await;
    assert_eq!(status["handled"], 2, "the answers to SUBSCRIBE: {status}");
}
