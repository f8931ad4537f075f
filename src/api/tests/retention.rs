//! How long ended jobs are kept is chosen by super admins, shown to admins, and written down.

use super::*;

#[actix_rt::test]
async fn a_super_admin_chooses_how_long_jobs_are_kept() {
    let bench = Bench::new().await;
    let shown = async || {
        let answer = bench.ask(Verb::GET, "/api/settings/server", Some(ROOT), "");
        let all: Value = serde_json::from_str(&answer.await.2).unwrap();
        let row = |at: usize| (all[at]["value"].clone(), all[at]["chosen"].clone());
        [row(0), row(1)]
    };
    let ask = async |verb, body: Value| {
        let body = body.to_string();
        let path = "/api/settings/job_retention";
        let (status, _, text) = bench.ask(verb, path, Some(ROOT), &body).await;
        (status, text)
    };
    let started_with = shown().await;
    assert_eq!(started_with[0].1, json!(false));

    let wanted = json!({"job_retention_secs": 3600, "job_retention_count": 50});
    assert_eq!(ask(Verb::POST, wanted).await.0, 200);
    let chosen = [(json!(3600), json!(true)), (json!(50), json!(true))];
    assert_eq!(shown().await, chosen);
    assert_eq!(
        ask(Verb::POST, json!({"job_retention_secs": null})).await.0,
        200
    );
    let for_ever = [(Value::Null, json!(true)), (Value::Null, json!(true))];
    assert_eq!(shown().await, for_ever);

    for (wanted, text) in [
        (
            json!({"job_retention_secs": 0}),
            "job_retention_secs: must be from 1 to 3153600000",
        ),
        (
            json!({"job_retention_secs": 3_153_600_001_u64}),
            "job_retention_secs: must be from 1",
        ),
        (json!({"job_retention_secs": "a day"}), "job_retention_secs"),
        (
            json!({"job_retention_count": 0}),
            "job_retention_count: must be at least 1",
        ),
    ] {
        let (status, told) = ask(Verb::POST, wanted).await;
        assert!(status == 400 && told.starts_with(text), "{status}: {told}");
    }
    assert_eq!(shown().await, for_ever);
    assert_eq!(ask(Verb::DELETE, Value::Null).await.0, 200);
    assert_eq!(shown().await, started_with);

    let log = bench
        .ask(Verb::GET, "/api/audit/list", Some(ROOT), "")
        .await
        .2;
    let log: Value = serde_json::from_str(&log).unwrap();
    let noted: Vec<&Value> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["operation"])
        .collect();
    assert_eq!(
        noted,
        ["settings.delete", "settings.update", "settings.update"]
    );
}
