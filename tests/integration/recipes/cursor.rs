//! A feed that goes on behind the last event that became a job, whatever happened to windsock.

use serde_json::{Value, json};

use super::Recipe;
use crate::harness::{Database, Peer, on_both_databases, wait_for};

on_both_databases!(needs: [Need::Peer], tests: [feed_with_cursor]);

async fn feed_with_cursor(database: Database) {
    let mut peer = Peer::play("jetstream.py", &[]).await;
    let real = "wss://jetstream2.us-east.bsky.network";
    let mut recipe = Recipe::read("feed-with-cursor", &[(real, &peer.url(""))]);
    recipe.trigger["reconnect"] = json!({"initial_delay_ms": 10, "max_delay_ms": 50});
    let mut app = recipe.run(database, &[]).await;
    let first = peer.accept().await;
    let path = "/subscribe?wantedCollections=app.bsky.feed.post";
    assert_eq!(first.path, path);
    recipe.listening(&app).await;
    let enqueued = |status: &Value| status["enqueued"].as_u64().unwrap();
    for how in ["kill", "kill", "drop", "edit"] {
        let connection = peer.connections().pop().unwrap();
        let before = enqueued(&app.status(recipe.path()).await);
        peer.command(json!({"do": "publish", "count": 400})).await;
        app.wait_for_status(recipe.path(), "more arrive", |status| {
            enqueued(status) >= before + 50
        })
        .await;
        match how {
            "kill" => {
                app.kill();
                app.start_again().await;
            }
            "drop" => {
                peer.command(json!({"do": "drop", "to": connection.number}))
                    .await;
            }
            _ => {
                recipe.trigger["headers"] = json!({"X-Edited": "yes"});
                let update = format!("websocket_triggers/update/{}", recipe.path());
                app.post(&update, &recipe.trigger).await.expect(200);
            }
        }
        wait_for("it comes back", async || {
            let now = peer.connections().pop().unwrap();
            let back = now.number > connection.number;
            back.then_some(()).ok_or("not yet".into())
        })
        .await;
        let again = peer.connections().pop().unwrap();
        assert!(again.path.starts_with(&format!("{path}&cursor=17000")));
    }
    let results = recipe.results(&app, 800).await;
    let mut numbers: Vec<u64> = results
        .iter()
        .map(|text| text.as_str().unwrap()[5..].parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1600).step_by(2).collect::<Vec<_>>());
}
