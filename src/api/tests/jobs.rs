//! Jobs are listed, waited for, and described.

use super::*;

#[actix_rt::test]
async fn lists_of_jobs_are_filtered_and_paged() {
    let bench = Bench::new().await;
    bench
        .ended(
            "u/admin/a",
            Some("f/x/t"),
            &[(true, "1"), (false, "2"), (true, r#"{"x": [3]}"#)],
        )
        .await;
    bench.ended("u/admin/b", None, &[(true, "4")]).await;
    let waiting = NewJob::new(
        "main".into(),
        Runnable::Script {
            path: "u/admin/b".into(),
            hash: None,
        },
        Args::Object(r#"{"deep": {"n": 7}}"#.to_owned()),
        "admin",
    );
    bench.state.queue.push(vec![waiting]).await.unwrap();
    for (query, count) in [
        ("jobs/list", 5),
        ("jobs/list?script_path_exact=u/admin/a", 3),
        ("jobs/list?script_path_start=u/admin/", 5),
        ("jobs/list?script_path_start=u/admi_/", 0),
        ("jobs/list?success=true", 3),
        ("jobs/list?success=false", 1),
        ("jobs/list?running=false", 1),
        ("jobs/list?trigger_kind=websocket&trigger_path=f/x/t", 3),
        ("jobs/list?job_kinds=script,preview", 5),
        ("jobs/list?job_kinds=flow", 0),
        ("jobs/list?per_page=2", 2),
        ("jobs/list?per_page=2&page=3", 1),
        ("jobs/list?page=0", 5),
        ("jobs/list?created_after=2020-01-01T00:00:00Z", 5),
        ("jobs/list?created_before=2020-01-01T00:00:00Z", 0),
        (r"jobs/list?args=%7B%22deep%22%3A%7B%22n%22%3A7%7D%7D", 1),
        (r"jobs/list?result=%7B%22x%22%3A%5B3%5D%7D", 1),
        (
            "jobs/list?parent_job=01890000-0000-7000-8000-000000000000",
            0,
        ),
        ("jobs/list?has_null_parent=true", 5),
        ("jobs/list?scheduled_for_before_now=true", 5),
        ("jobs/list?schedule_path=u/admin/daily", 0),
        ("jobs/list?is_not_schedule=true&all_workspaces=false", 5),
        ("jobs/queue/list?suspended=false", 1),
        ("jobs/queue/list?is_skipped=true", 0),
        ("jobs/completed/list?is_skipped=false", 4),
        ("jobs/queue/list", 1),
        ("jobs/completed/list", 4),
        (
            "jobs/completed/list?order_desc=false&script_path_exact=u/admin/a",
            3,
        ),
    ] {
        let rows = bench.json(query).await;
        assert_eq!(rows.as_array().unwrap().len(), count, "{query}");
    }
    let newest = bench
        .json("jobs/list?per_page=2&include_args=true&include_result=true")
        .await;
    assert_eq!(newest[0]["type"], "QueuedJob");
    assert_eq!(newest[0]["args"], json!({"deep": {"n": 7}}));
    assert_eq!(
        (&newest[1]["type"], &newest[1]["result"]),
        (&json!("CompletedJob"), &json!(4))
    );
    let plain = bench.json("jobs/completed/list?per_page=1").await;
    assert!(plain[0].get("result").is_none() && plain[0].get("args").is_none());
    assert_eq!(
        bench.json("jobs/queue/count").await,
        json!({"database_length": 1, "suspended": 0})
    );
    assert_eq!(
        bench.json("jobs/completed/count").await,
        json!({"database_length": 4})
    );
    for (query, count) in [
        ("success=true", 3),
        ("result=4", 1),
        ("schedule_path=u/admin/daily", 0),
    ] {
        let counted = bench.json(&format!("jobs/completed/count?{query}")).await;
        assert_eq!(counted["database_length"], count, "{query}");
    }
    for bad in [
        "page=x",
        "success=maybe",
        "created_after=yesterday",
        "script_hash=1",
        "args=%7B",
    ] {
        let (status, _, text) = bench.get(&format!("jobs/list?{bad}")).await;
        let field = bad.split('=').next().unwrap();
        assert!(
            status == 400 && text.starts_with(&format!("{field}: ")),
            "{bad}: {text}"
        );
    }
    let id = newest[0]["id"].as_str().unwrap();
    let (status, _, text) = bench
        .post(&format!("jobs_u/queue/cancel/{id}"), json!({}))
        .await;
    assert_eq!((status, text.as_str()), (200, id));
    let result = bench
        .json(&format!("jobs_u/completed/get_result/{id}"))
        .await;
    assert!(result["error"].is_object(), "{result}");
}

#[actix_rt::test]
async fn waiting_for_a_result_answers_it() {
    let bench = Bench::new().await;
    assert_eq!(
        bench.post("scripts/create", script("u/admin/s")).await.0,
        201
    );
    for (success, result, status, kind, text) in [
        (true, "[1,2]", 200, "application/json", "[1,2]"),
        (
            false,
            r#"{"error":{"message":"m"}}"#,
            422,
            "application/json",
            r#"{"error":{"message":"m"}}"#,
        ),
        (
            true,
            r#"{"windmill_status_code":202,"result":"x"}"#,
            202,
            "application/json",
            "\"x\"",
        ),
        (
            true,
            r#"{"windmill_content_type":"text/csv","result":"a,b"}"#,
            200,
            "text/csv",
            "a,b",
        ),
        // Such an answer ends with its headers: a body would be taken for the next answer on the connection.
        (
            true,
            r#"{"windmill_status_code":204,"windmill_content_type":"text/plain","result":"HTTP/1.1 200 OK"}"#,
            204,
            "",
            "",
        ),
        (
            true,
            r#"{"windmill_status_code":304,"result":"x"}"#,
            304,
            "",
            "",
        ),
    ] {
        let wait = bench.post("jobs/run_wait_result/p/u/admin/s", json!({"a": 1}));
        let (answer, ()) = futures_util::join!(wait, end_one(&bench.state.queue, success, result));
        assert_eq!(
            (answer.0, answer.1.as_str(), answer.2.as_str()),
            (status, kind, text)
        );
    }
    let (status, _, text) = bench
        .post("jobs/run/p/u/admin/s?invisible_to_owner=true", json!({}))
        .await;
    assert!(
        status == 400 && text.starts_with("invisible_to_owner: "),
        "{text}"
    );
    let (status, _, text) = bench
        .post("jobs/run/p/u/admin/s?parent_job=x", json!({}))
        .await;
    assert_eq!(
        (status, text.as_str()),
        (400, "parent_job: 'x' is not a job id (a UUID)")
    );
    let (status, _, text) = bench.post("jobs/run/p/u/admin/none", json!({})).await;
    assert_eq!(
        (status, text.as_str()),
        (404, "script not found at path: u/admin/none")
    );
    let (status, _, text) = bench.post("jobs/run/p/u/admin/s", json!([1])).await;
    assert!(status == 400 && text.starts_with("body: "), "{text}");
}

#[actix_rt::test]
async fn the_document_knows_every_route() {
    let bench = Bench::new().await;
    let (status, _, text) = bench.ask(Verb::GET, "/api/openapi.json", None, "").await;
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&text).unwrap();
    let mut ids = std::collections::HashSet::new();
    for group in table() {
        for route in group.routes {
            let path = format!("/api{}{}", group.prefix, route.path).replace(":.*}", "}");
            let method = format!("{:?}", route.method).to_lowercase();
            let operation = &document["paths"][&path][&method];
            assert!(operation["responses"].is_object(), "{method} {path}");
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
        }
    }
    let references = text.split("\"#/components/schemas/").skip(1);
    for name in references.map(|rest| rest.split('"').next().unwrap()) {
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name} is missing"
        );
    }
}

#[actix_rt::test]
async fn a_job_is_started_and_followed_in_one_request() {
    let bench = Bench::new().await;
    assert_eq!(
        bench.post("scripts/create", script("u/admin/s")).await.0,
        201
    );
    let payload = "eyJ4IjogMX0"; // {"x": 1}
    for (verb, query, body) in [
        (Verb::POST, String::new(), r#"{"x": 1}"#),
        (Verb::GET, format!("?payload={payload}"), ""),
    ] {
        let path = format!("/api/w/main/jobs/run_and_stream/p/u/admin/s{query}");
        let asked = bench.ask(verb, &path, Some(ROOT), body);
        let ended = end_one(&bench.state.queue, true, r#"{"a": [1]}"#);
        let ((status, kind, text), ()) = futures_util::join!(asked, ended);
        assert_eq!(
            (status, kind.as_str()),
            (200, "text/event-stream"),
            "{text}"
        );
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        let last: Value = serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(
            (&last["type"], &last["only_result"], &last["success"]),
            (&json!("update"), &json!({"a": [1]}), &json!(true))
        );
        let jobs = bench.json("jobs/completed/list").await;
        let id = jobs[0]["id"].as_str().unwrap();
        let args = bench.json(&format!("jobs_u/get_args/{id}")).await;
        assert_eq!(args, json!({"x": 1}));
    }
    let missing = "/api/w/main/jobs/run_and_stream/p/u/admin/none";
    assert_eq!(
        bench.ask(Verb::POST, missing, Some(ROOT), "{}").await.0,
        404
    );
}

#[actix_rt::test]
async fn which_triggers_are_used_is_told_to_who_may_see_one() {
    let bench = Bench::new().await;
    let used = async |token: &str| {
        let path = "/api/w/main/workspaces/used_triggers";
        let text = bench.ask(Verb::GET, path, Some(token), "").await.2;
        serde_json::from_str::<Value>(&text).unwrap()["websocket_used"].clone()
    };
    let ann = bench.user("ann", NewToken::default()).await;
    assert_eq!(used(ROOT).await, false);
    bench
        .post("websocket_triggers/create", trigger("u/admin/t"))
        .await;
    assert_eq!(
        (used(ROOT).await, used(&ann).await),
        (json!(true), json!(false))
    );
}
