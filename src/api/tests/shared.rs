//! Scripts and flows that are shared alone: read and run with a share, changed with one that says so, and nothing beside it.

use super::*;

/// A bench with a script and a flow of the admin, another script beside them, and a token of ann, who is in the team.
async fn bench() -> (Bench, String) {
    let bench = Bench::new().await;
    let ann = bench.user("ann", NewToken::default()).await;
    let steps = json!({"modules": [{"id": "a", "value": {"type": "identity"}}]});
    for (path, body) in [
        ("groups/create", json!({"name": "team", "summary": ""})),
        ("groups/adduser/team", json!({"username": "ann"})),
        ("scripts/create", script("u/admin/s")),
        ("scripts/create", script("u/admin/hidden")),
        (
            "flows/create",
            json!({"path": "u/admin/f", "summary": "", "value": steps}),
        ),
        // What has the path of a shared script is not shared with it.
        (
            "flows/create",
            json!({"path": "u/admin/s", "summary": "", "value": steps}),
        ),
    ] {
        let (status, _, text) = bench.post(path, body).await;
        assert!(status < 300, "{path}: {text}");
    }
    (bench, ann)
}

impl Bench {
    async fn as_ann(&self, ann: &str, verb: Verb, path: &str, body: Value) -> (u16, String) {
        let path = format!("/api/w/main/{path}");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, _, text) = self.ask(verb, &path, Some(ann), &body).await;
        (status, text)
    }

    async fn share(&self, what: &str, body: Value) {
        let (status, _, text) = self.post(&format!("acls/add/{what}"), body).await;
        assert_eq!(status, 200, "{text}");
    }
}

#[actix_rt::test]
async fn who_a_script_is_shared_with_reads_and_runs_it() {
    let (bench, ann) = bench().await;
    let get = async |path: &str| bench.as_ann(&ann, Verb::GET, path, Value::Null).await.0;
    let run = async |path: &str| bench.as_ann(&ann, Verb::POST, path, json!({})).await.0;
    assert_eq!(get("scripts/get/p/u/admin/s").await, 404);
    bench
        .share("script/u/admin/s", json!({"owner": "g/team"}))
        .await;
    bench
        .share("flow/u/admin/f", json!({"owner": "u/ann"}))
        .await;
    for (path, status) in [
        ("scripts/get/p/u/admin/s", 200),
        ("scripts/history/p/u/admin/s", 200),
        ("scripts/used_by/u/admin/s", 200),
        ("scripts/get/p/u/admin/hidden", 404),
        ("flows/get/u/admin/f", 200),
        ("flows/history/p/u/admin/f", 200),
        ("flows/get/u/admin/s", 404),
        ("scripts/get/p/u/admin/f", 404),
        ("acls/get/script/u/admin/s", 200),
        ("acls/get/script/u/admin/hidden", 404),
    ] {
        assert_eq!(get(path).await, status, "{path}");
    }
    for (path, status) in [
        ("jobs/run/p/u/admin/s", 201),
        ("jobs/run/p/u/admin/hidden", 404),
        ("jobs/run/f/u/admin/f", 201),
        ("jobs/run/f/u/admin/s", 404),
    ] {
        assert_eq!(run(path).await, status, "{path}");
    }
    let listed = bench
        .as_ann(&ann, Verb::GET, "scripts/list_paths", Value::Null)
        .await
        .1;
    assert_eq!(listed, r#"["u/admin/s"]"#);
    let listed = bench
        .as_ann(&ann, Verb::GET, "flows/list_paths", Value::Null)
        .await
        .1;
    assert_eq!(listed, r#"["u/admin/f"]"#);

    // A trigger may start it, a flow may have it as a step; what is not shared stays out.
    let mut body = trigger("u/ann/t");
    let create = "websocket_triggers/create";
    assert_eq!(
        bench.as_ann(&ann, Verb::POST, create, body.clone()).await.0,
        201
    );
    body["path"] = json!("u/ann/t2");
    body["is_flow"] = json!(true);
    let answer = bench.as_ann(&ann, Verb::POST, create, body).await;
    assert_eq!(
        answer,
        (403, "script_path: you may not run 'u/admin/s'".to_owned())
    );
    let step = |path: &str| {
        let value = json!({"type": "script", "path": path, "input_transforms": {}});
        json!({"path": "u/ann/f", "summary": "", "value": {"modules": [{"id": "a", "value": value}]}})
    };
    let answer = bench
        .as_ann(&ann, Verb::POST, "flows/create", step("u/admin/hidden"))
        .await;
    assert_eq!(answer.0, 403, "{}", answer.1);
    let answer = bench
        .as_ann(&ann, Verb::POST, "flows/create", step("u/admin/s"))
        .await;
    assert_eq!(answer.0, 201, "{}", answer.1);

    // Reading is not changing, nor passing on.
    let hash = bench.json("scripts/get/p/u/admin/s").await["hash"].clone();
    let mut new = script("u/admin/s");
    new["parent_hash"] = hash;
    new["content"] = json!("echo 2");
    for (path, body) in [
        ("scripts/create", new),
        ("scripts/archive/p/u/admin/s", json!({})),
        ("flows/archive/u/admin/f", json!({"archived": true})),
        (
            "acls/add/script/u/admin/s",
            json!({"owner": "u/ann", "write": true}),
        ),
    ] {
        let answer = bench.as_ann(&ann, Verb::POST, path, body).await;
        assert_eq!(answer.0, 403, "{path}: {}", answer.1);
    }
    let seen = bench.json("scripts/get/p/u/admin/s").await;
    assert_eq!(seen["extra_perms"], json!({"g/team": false}));
    let version = format!("scripts/get/h/{}", seen["hash"].as_str().unwrap());
    let flow = bench.json("flows/get/u/admin/f").await["version_id"].clone();
    for (path, shared) in [
        (version, json!({"g/team": false})),
        (format!("flows/get/v/{flow}"), json!({"u/ann": false})),
    ] {
        assert_eq!(bench.json(&path).await["extra_perms"], shared, "{path}");
    }
    for (list, path, shared) in [
        ("scripts/list", "u/admin/s", json!({"g/team": false})),
        ("scripts/list", "u/admin/hidden", json!({})),
        ("flows/list", "u/admin/f", json!({"u/ann": false})),
        ("flows/list", "u/admin/s", json!({})),
    ] {
        let all = bench.json(list).await;
        let mut all = all.as_array().unwrap().iter();
        let one = all.find(|one| one["path"] == path).unwrap();
        assert_eq!(one["extra_perms"], shared, "{list} {path}");
    }

    let stop = json!({"owner": "g/team"});
    assert_eq!(
        bench.post("acls/remove/script/u/admin/s", stop).await.0,
        200
    );
    assert_eq!(get("scripts/get/p/u/admin/s").await, 404);
    assert_eq!(run("jobs/run/p/u/admin/s").await, 404);
}

#[actix_rt::test]
async fn a_share_that_says_so_changes_a_script_and_goes_where_it_goes() {
    let (bench, ann) = bench().await;
    let write = json!({"owner": "u/ann", "write": true});
    bench.share("script/u/admin/s", write.clone()).await;
    bench.share("flow/u/admin/f", write).await;
    let next = async |from: &str, to: &str| {
        let mut new = script(to);
        let path = format!("scripts/get/p/{from}");
        new["parent_hash"] = bench.json(&path).await["hash"].clone();
        new["content"] = json!(format!("echo {from} {to}"));
        new
    };
    let changed = next("u/admin/s", "u/admin/s").await;
    let answer = bench
        .as_ann(&ann, Verb::POST, "scripts/create", changed)
        .await;
    assert_eq!(answer.0, 201, "{}", answer.1);
    let steps = json!({"path": "u/admin/f", "summary": "ann's", "value": {"modules": []}});
    let answer = bench
        .as_ann(&ann, Verb::POST, "flows/update/u/admin/f", steps.clone())
        .await;
    assert_eq!(answer.0, 200, "{}", answer.1);
    // A place beside it is still nobody else's.
    let answer = bench
        .as_ann(&ann, Verb::POST, "scripts/create", script("u/admin/new"))
        .await;
    assert_eq!(answer.0, 403, "{}", answer.1);

    let moved = next("u/admin/s", "u/admin/moved").await;
    assert_eq!(bench.post("scripts/create", moved).await.0, 201);
    let mut renamed = steps;
    renamed["path"] = json!("u/admin/g");
    assert_eq!(bench.post("flows/update/u/admin/f", renamed).await.0, 200);
    let get = async |path: &str| bench.as_ann(&ann, Verb::GET, path, Value::Null).await.0;
    assert_eq!(get("scripts/get/p/u/admin/moved").await, 200);
    assert_eq!(get("flows/get/u/admin/g").await, 200);

    // What is made in the place of a deleted one is shared with nobody.
    assert_eq!(
        bench
            .post("scripts/delete/p/u/admin/moved", json!({}))
            .await
            .0,
        200
    );
    assert_eq!(
        bench
            .post("scripts/create", script("u/admin/moved"))
            .await
            .0,
        201
    );
    assert_eq!(get("scripts/get/p/u/admin/moved").await, 404);
    let (status, _, text) = bench
        .ask(
            Verb::DELETE,
            "/api/w/main/flows/delete/u/admin/g",
            Some(ROOT),
            "",
        )
        .await;
    assert_eq!(status, 200, "{text}");
    let again = json!({"path": "u/admin/g", "summary": "", "value": {"modules": []}});
    assert_eq!(bench.post("flows/create", again).await.0, 201);
    assert_eq!(get("flows/get/u/admin/g").await, 404);

    let log = bench.json("audit/list?operation=scripts.share").await;
    assert!(log.as_array().is_some_and(|all| !all.is_empty()), "{log}");
}
