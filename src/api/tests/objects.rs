//! Scripts, triggers and resources are saved, read, moved and removed.

use super::*;

#[actix_rt::test]
async fn a_script_has_one_line_of_versions() {
    let bench = Bench::new().await;
    let new = |summary: &str, parent: Option<&str>| {
        let mut body = script("u/admin/s");
        body["summary"] = summary.into();
        body["parent_hash"] = parent.into();
        body
    };
    let (status, _, first) = bench.post("scripts/create", new("a", None)).await;
    assert_eq!((status, first.len()), (201, 16), "{first}");
    let again = bench
        .post("scripts/create?skip_if_noop=true", new("a", Some(&first)))
        .await;
    assert_eq!((again.0, again.2.as_str()), (201, first.as_str()));
    assert_eq!(bench.post("scripts/create", new("b", None)).await.0, 409);
    let (status, _, second) = bench.post("scripts/create", new("b", Some(&first))).await;
    assert_eq!(status, 201, "{second}");
    let (status, _, text) = bench.post("scripts/create", new("c", Some(&first))).await;
    assert_eq!(status, 409, "{text}");
    let head = bench.json("scripts/get/p/u/admin/s").await;
    assert_eq!(
        (&head["hash"], &head["parent_hashes"][0]),
        (&json!(second), &json!(first))
    );
    let (status, _, text) = bench
        .post("scripts/create", new("d", Some("0000000000000001")))
        .await;
    assert!(status == 400 && text.starts_with("parent_hash: "), "{text}");
    assert_eq!(
        bench.post("scripts/archive/p/u/admin/s", json!({})).await.0,
        200
    );
    let (status, _, text) = bench.get("scripts/get/p/u/admin/s").await;
    assert_eq!(
        (status, text.as_str()),
        (404, "script not found at path: u/admin/s")
    );
    for nowhere in ["scripts/nowhere", "nowhere", "scripts/raw/h/"] {
        let (status, kind, text) = bench.get(nowhere).await;
        assert_eq!(
            (status, kind.as_str()),
            (404, "text/plain; charset=utf-8"),
            "{nowhere}"
        );
        assert!(!text.is_empty(), "{nowhere}");
    }
}

#[actix_rt::test]
async fn a_trigger_is_saved_read_moved_and_removed() {
    let bench = Bench::new().await;
    let mut body = trigger("f/new/t");
    body["labels"] = json!(["a", "b"]);
    body["mode"] = json!("suspended");
    body["unknown"] = json!(1);
    let (status, kind, text) = bench.post("websocket_triggers/create", body.clone()).await;
    assert_eq!((status, text.as_str()), (201, "f/new/t"), "{kind}");
    assert!(kind.starts_with("text/plain"));
    assert_eq!(bench.told.0.load(Relaxed), 1);
    assert_eq!(
        bench
            .post("websocket_triggers/create", body.clone())
            .await
            .0,
        409
    );
    let got = bench.json("websocket_triggers/get/f/new/t").await;
    assert_eq!(got["mode"], "suspended");
    assert_eq!(got["permissioned_as"], "u/admin");
    assert_eq!(got["labels"], json!(["a", "b"]));
    assert!(got.get("unknown").is_none() && got.get("error").is_none());
    assert_eq!(
        bench
            .json("websocket_triggers/list?label=b,a")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        bench.json("websocket_triggers/list?label=c").await,
        json!([])
    );

    // The whole object goes back, as clients do; mode and labels stay when left out.
    let mut edit = trigger("f/new/t");
    edit["url"] = json!("wss://example.com/other");
    edit["edited_at"] = got["edited_at"].clone();
    let (status, _, text) = bench
        .post("websocket_triggers/update/f/new/t", edit.clone())
        .await;
    assert_eq!((status, text.as_str()), (200, "Trigger 'f/new/t' updated"));
    let (status, _, text) = bench
        .post("websocket_triggers/update/f/new/t", edit.clone())
        .await;
    assert!(status == 409 && text.starts_with("edited_at: "), "{text}");
    edit["edited_at"] = Value::Null;
    edit["path"] = json!("u/admin/moved");
    assert_eq!(
        bench
            .post("websocket_triggers/update/f/new/t", edit.clone())
            .await
            .0,
        200
    );
    let moved = bench.json("websocket_triggers/get/u/admin/moved").await;
    assert_eq!(
        (&moved["mode"], &moved["labels"]),
        (&json!("suspended"), &json!(["a", "b"]))
    );
    let (status, _, text) = bench.post("websocket_triggers/update/f/new/t", edit).await;
    assert_eq!(
        (status, text.as_str()),
        (404, "Trigger not found at path: f/new/t")
    );

    let mode = json!({"mode": "disabled"});
    let (status, _, text) = bench
        .post("websocket_triggers/setmode/u/admin/moved", mode)
        .await;
    assert_eq!(
        (status, text.as_str()),
        (200, "Trigger 'u/admin/moved' disabled")
    );
    let (status, _, text) = bench
        .post(
            "websocket_triggers/setmode/u/admin/moved",
            json!({"mode": "x"}),
        )
        .await;
    assert!(status == 400 && text.starts_with("mode: "), "{text}");
    let status = bench.json("websocket_triggers/status/u/admin/moved").await;
    assert_eq!(status["state"], "disabled");
    let path = "/api/w/main/websocket_triggers/delete/u/admin/moved";
    let (status, _, text) = bench.ask(Verb::DELETE, path, Some(ROOT), "").await;
    assert_eq!(
        (status, text.as_str()),
        (200, "Trigger 'u/admin/moved' deleted")
    );
    assert_eq!(bench.ask(Verb::DELETE, path, Some(ROOT), "").await.0, 404);
}

#[actix_rt::test]
async fn references_are_followed_and_circles_end() {
    let bench = Bench::new().await;
    let variable = json!({"path": "u/admin/key", "value": "k", "is_secret": true});
    assert_eq!(bench.post("variables/create", variable).await.0, 201);
    assert_eq!(
        bench.json("variables/get_value/u/admin/key").await,
        json!("k")
    );
    assert_eq!(bench.json("variables/list").await[0]["value"], Value::Null);
    for (path, value) in [
        ("u/admin/inner", json!({"key": "$var:u/admin/key"})),
        (
            "u/admin/outer",
            json!(["$res:u/admin/inner", "see $var:u/admin/key"]),
        ),
        (
            "u/admin/circle",
            json!(["$res:u/admin/circle", "$res:u/admin/circle"]),
        ),
    ] {
        let body = json!({"path": path, "value": value, "resource_type": "any"});
        assert_eq!(bench.post("resources/create", body).await.0, 201);
    }
    let outer = bench
        .json("resources/get_value_interpolated/u/admin/outer")
        .await;
    assert_eq!(outer, json!([{"key": "k"}, "see $var:u/admin/key"]));
    assert_eq!(
        bench
            .get("resources/get_value_interpolated/u/admin/circle")
            .await
            .0,
        400
    );
    let (status, _, text) = bench.get("resources/get/u/admin/none").await;
    assert_eq!(
        (status, text.as_str()),
        (404, "resource not found at path: u/admin/none")
    );
}

/// Whoever says what was read is told when somebody else was faster; whoever does not say it wins, as ever.
#[actix_rt::test]
async fn an_edit_of_what_was_edited_meanwhile_is_refused_where_the_client_says_what_it_read() {
    let bench = Bench::new().await;
    let new = |fields: Value| {
        let mut body = json!({"path": "u/admin/x", "summary": "", "description": ""});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let flow = json!({"value": {"modules": []}});
    let variable = json!({"value": "a", "is_secret": false});
    let resource = json!({"value": 1, "resource_type": "x"});
    for (kind, body) in [
        ("flows", new(flow)),
        ("variables", new(variable)),
        ("resources", new(resource)),
        ("websocket_triggers", trigger("u/admin/x")),
    ] {
        let made = bench.post(&format!("{kind}/create"), body.clone()).await;
        assert_eq!(made.0, 201, "{kind}: {}", made.2);
        let read = bench.json(&format!("{kind}/get/u/admin/x")).await;
        let edit = format!("{kind}/update/u/admin/x");
        let with = |edited_at: &Value| {
            let mut body = body.clone();
            body["edited_at"] = edited_at.clone();
            body
        };
        let first = bench.post(&edit, with(&read["edited_at"])).await;
        assert_eq!(first.0, 200, "{kind}: {}", first.2);
        let late = bench.post(&edit, with(&read["edited_at"])).await;
        let what = kind.trim_end_matches('s').trim_start_matches("websocket_");
        let text = format!("edited_at: the {what} was edited meanwhile; load it again");
        assert_eq!((late.0, late.2), (409, text), "{kind}");
        for unsaid in [body.clone(), with(&Value::Null)] {
            let any = bench.post(&edit, unsaid).await;
            assert_eq!(any.0, 200, "{kind}: {}", any.2);
        }
        let broken = bench.post(&edit, with(&json!("yesterday"))).await;
        assert!(
            broken.0 == 400 && broken.2.starts_with("edited_at: "),
            "{kind}: {}",
            broken.2
        );
    }
}
