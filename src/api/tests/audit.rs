//! The audit log: each change once, with its change or not at all, and nothing secret in it.

use super::*;

impl Bench {
    /// `operation resource` of the newest entries, the oldest first.
    async fn noted(&self, query: &str) -> Vec<String> {
        let entries = self.json(&format!("audit/list?{query}")).await;
        let entries = entries.as_array().unwrap().iter().rev();
        let line = |entry: &Value| {
            let word = |name: &str| entry[name].as_str().unwrap_or_default();
            format!("{} {}", word("operation"), word("resource"))
        };
        entries.map(line).collect()
    }
}

#[actix_rt::test]
async fn each_change_is_noted_with_its_change_and_without_contents() {
    let bench = Bench::new().await;
    let ann = bench.user("ann", NewToken::default()).await;
    let by_ann = async |verb: Verb, path: &str, body: Value| {
        let path = format!("/api/w/main/{path}");
        let answer = bench.ask(verb, &path, Some(&ann), &body.to_string()).await;
        (answer.0, answer.2)
    };
    let secret = json!({"path": "u/ann/v", "value": "topsecret", "is_secret": true});
    for (verb, path, body, status) in [
        (Verb::POST, "variables/create", secret.clone(), 201),
        (Verb::POST, "variables/create", secret, 409),
        (
            Verb::POST,
            "variables/update/u/ann/v",
            json!({"value": "topsecret2"}),
            200,
        ),
        (
            Verb::POST,
            "variables/update/u/admin/v",
            json!({"value": "x"}),
            404,
        ),
        (Verb::DELETE, "variables/delete/u/ann/v", json!({}), 200),
        (Verb::POST, "scripts/create", script("u/ann/s"), 201),
    ] {
        let (got, text) = by_ann(verb, path, body).await;
        assert_eq!(got, status, "{path}: {text}");
    }
    let trigger = |path: &str| {
        let mut body = trigger(path);
        body["script_path"] = json!("u/ann/s");
        body
    };
    let made = by_ann(Verb::POST, "websocket_triggers/create", trigger("u/ann/t"));
    assert_eq!(made.await.0, 201);
    let mut edit = trigger("u/ann/t");
    edit["url"] = json!("wss://example.com/other?key=topsecret");
    edit["filters"] = json!([{"key": "a", "value": 1}]);
    let update = "websocket_triggers/update/u/ann/t";
    assert_eq!(by_ann(Verb::POST, update, edit).await.0, 200);
    let mode = json!({"mode": "suspended"});
    let setmode = "websocket_triggers/setmode/u/ann/t";
    assert_eq!(by_ann(Verb::POST, setmode, mode).await.0, 200);
    assert_eq!(
        bench.noted("username=ann").await,
        [
            "variables.create u/ann/v",
            "variables.update u/ann/v",
            "variables.delete u/ann/v",
            "scripts.create u/ann/s",
            "websocket_triggers.create u/ann/t",
            "websocket_triggers.update u/ann/t",
            "websocket_triggers.suspend u/ann/t",
        ]
    );
    for (query, count) in [
        ("username=ann&operation=variables.", 3),
        ("resource=u/ann/t", 3),
        ("resource=u/ann/t&per_page=2&page=2", 1),
        ("after=2020-01-01T00:00:00Z&username=ann", 7),
        ("before=2020-01-01T00:00:00Z", 0),
        ("username=nobody", 0),
    ] {
        assert_eq!(bench.noted(query).await.len(), count, "{query}");
    }
    let (_, _, all) = bench.get("audit/list").await;
    assert!(!all.contains("topsecret") && !all.contains(&ann), "{all}");
    assert!(all.contains(&ann[..10]), "which token it was: {all}");
    let (_, _, history) = bench.get("triggers_history/list?path=u/ann/t").await;
    let history: Value = serde_json::from_str(&history).unwrap();
    let changed = &history[1];
    assert_eq!(
        (
            &changed["operation"],
            &changed["changes"],
            &changed["source"]
        ),
        (&json!("update"), &json!(["filters", "url"]), &json!("api"))
    );
    assert_eq!(by_ann(Verb::GET, "audit/list", json!({})).await.0, 403);
    let mine = by_ann(Verb::GET, "triggers_history/list?path=u/ann/t", json!({})).await;
    assert_eq!(mine.1.matches("created_at").count(), 3);
    let all = by_ann(Verb::GET, "triggers_history/list", json!({})).await;
    assert_eq!(all.0, 400);
    let others = by_ann(Verb::GET, "triggers_history/list?path=u/admin/t", json!({})).await;
    assert_eq!(others, (200, "[]".to_owned()));
    let everywhere = bench
        .ask(Verb::GET, "/api/audit/list", Some(ROOT), "")
        .await;
    assert_eq!(everywhere.0, 200);
}
