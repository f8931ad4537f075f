//! A relay whose messages are arrays.

use serde_json::{Value, json};

use super::Recipe;
use crate::harness::{Database, Peer, on_both_databases};

async fn publish(peer: &mut Peer, kind: u64, content: &str) {
    let command = json!({"do": "publish", "kind": kind, "content": content});
    peer.command(command).await;
}

on_both_databases!(needs: [Need::Peer], tests: [nostr_relay]);

async fn nostr_relay(database: Database) {
    let mut peer = Peer::play("nostr.py", &[]).await;
    let address = ("wss://relay.example.com", &*peer.url(""));
    let mut recipe = Recipe::read("nostr-relay", &[address]);
    recipe.trigger["reconnect"] = json!({"initial_delay_ms": 10, "max_delay_ms": 50});
    publish(&mut peer, 1, "stored").await;
    let app = recipe.run(database, &[]).await;
    peer.nth("req", 1).await;
    recipe.listening(&app).await;
    publish(&mut peer, 7, "a reaction").await;
    publish(&mut peer, 1, "live").await;
    let texts = |results: &[Value]| -> Vec<Value> {
        let texts = results.iter().filter(|result| !result.is_null());
        texts.map(|result| result["text"].clone()).collect()
    };
    let results = recipe.results(&app, 3).await;
    assert_eq!(texts(&results), ["stored", "live"]);

    peer.command(json!({"do": "drop", "to": 1})).await;
    peer.nth("req", 2).await;
    let results = recipe.results(&app, 6).await;
    assert_eq!(texts(&results), ["stored", "live", "stored", "live"]);
    let ids: std::collections::BTreeSet<&str> =
        results.iter().filter_map(|r| r["id"].as_str()).collect();
    assert_eq!(ids.len(), 2, "{results:?}");
}
