//! Bodies with something wrong in them, to every route that takes one: refused in one line or taken, never a 5xx and never a
//! panic (which would end the test, or lose a database connection and answer 503).

use super::*;
use crate::mutate;

/// Routes that wait for a job, which nobody runs here, or go on as long as somebody reads.
const ENDLESS: [&str; 4] = [
    "/run_wait_result/",
    "/run_and_stream/",
    "/websocket_triggers/try",
    "/websocket_triggers/test",
];

/// A body that a route takes, by the end of its path; what is not here gets a bit of everything.
#[expect(clippy::too_many_lines, reason = "a table")]
fn example(path: &str) -> Value {
    let flow = json!({"modules": [{"id": "a", "value": {"type": "rawscript", "language": "bash", "content": "true",
        "input_transforms": {"x": {"type": "javascript", "expr": "flow_input.x"}}}}]});
    let schema = json!({"type": "object", "properties": {"x": {"type": "integer", "default": 1}}, "required": ["x"]});
    let trigger = json!({"path": "u/admin/t2", "script_path": "u/admin/s", "is_flow": false, "url": "wss://feed.example/?c={{vars.c}}",
        "filters": [{"key": "e", "value": 1}], "initial_messages": [{"raw_message": "{{counter()}}"}], "labels": ["a"], "mode": "disabled",
        "conversation": [{"on": {"filters": []}, "set": {"c": "d.s"}}], "retry": {"constant": {"attempts": 1, "seconds": 1}},
        "can_return_message": true, "can_return_error_result": false, "edited_at": "2020-01-01T00:00:00Z"});
    let known: [(&str, Value); 31] = [
        (
            "/scripts/create",
            json!({"path": "u/admin/s2", "summary": "", "description": "", "content": "true", "language": "bash",
            "schema": schema, "parent_hash": null, "kind": "script", "tag": "x", "concurrent_limit": 1, "concurrency_key": "$args[x]",
            "concurrency_time_window_s": 3, "timeout": 5, "dedicated_worker": false, "lock": "", "ws_error_handler_muted": false}),
        ),
        (
            "/scripts/check",
            json!({"language": "bash", "content": "true"}),
        ),
        (
            "/flows/create",
            json!({"path": "f/x/f2", "summary": "", "description": "", "value": flow, "schema": schema}),
        ),
        (
            "/flows/update/{path:.*}",
            json!({"path": "f/x/f", "summary": "", "description": "", "value": flow, "schema": schema}),
        ),
        ("/websocket_triggers/create", trigger.clone()),
        ("/websocket_triggers/update/{path:.*}", trigger),
        (
            "/websocket_triggers/setmode/{path:.*}",
            json!({"mode": "disabled"}),
        ),
        (
            "/websocket_triggers/setenabled/{path:.*}",
            json!({"enabled": false}),
        ),
        (
            "/websocket_triggers/explain",
            json!({"filters": [{"key": "a", "value": 1}], "filter_logic": "and", "messages": ["{\"a\":1}", "x"]}),
        ),
        (
            "/jobs/run/preview",
            json!({"language": "bash", "content": "true", "args": {"x": 1}, "path": "u/admin/p"}),
        ),
        (
            "/jobs/run/preview_flow",
            json!({"value": flow, "args": {"x": 1}, "path": "u/admin/p"}),
        ),
        (
            "/jobs/run/dependencies_async",
            json!({"raw_scripts": [{"script_path": "u/admin/s", "language": "python3", "raw_code": "import x"}], "entrypoint": "u/admin/s"}),
        ),
        (
            "/jobs/run/flow_dependencies_async",
            json!({"path": "f/x/f", "flow_value": flow}),
        ),
        (
            "/jobs/queue/cancel_selection",
            json!(["0190c2a5-0000-7000-8000-000000000000"]),
        ),
        (
            "/variables/create",
            json!({"path": "u/admin/v2", "value": "x", "is_secret": true, "description": "d"}),
        ),
        (
            "/variables/update/{path:.*}",
            json!({"path": "u/admin/v", "value": "x", "is_secret": false, "description": "d"}),
        ),
        (
            "/resources/create",
            json!({"path": "u/admin/r2", "value": {"a": "$var:u/admin/v"}, "resource_type": "any", "description": "d"}),
        ),
        (
            "/resources/update/{path:.*}",
            json!({"path": "u/admin/r", "value": {"a": "$res:u/admin/r"}, "resource_type": "any"}),
        ),
        (
            "/resources/update_value/{path:.*}",
            json!({"value": {"a": [1]}}),
        ),
        (
            "/folders/create",
            json!({"name": "y", "summary": "s", "owners": ["u/admin"], "extra_perms": {"g/all": true}}),
        ),
        (
            "/folders/update/{path}",
            json!({"summary": "s", "owners": ["u/admin"], "extra_perms": {"u/bob": false}}),
        ),
        (
            "/workspaces/create",
            json!({"id": "w2", "name": "Second", "username": "admin"}),
        ),
        ("/workspaces/exists", json!({"id": "w2"})),
        (
            "/users/tokens/create",
            json!({"label": "x", "expiration": "2030-01-01T00:00:00Z", "scopes": ["jobs:run"], "read_only": true}),
        ),
        (
            "/capture/set_config",
            json!({"trigger_kind": "websocket", "path": "u/admin/s", "is_flow": false,
            "trigger_config": {"url": "wss://feed.example/", "filters": [{"key": "a", "value": 1}]}}),
        ),
        (
            "/message_samples/create",
            json!({"kind": "trigger", "path": "u/admin/t", "name": "one", "message": "{\"a\":1}"}),
        ),
        (
            "/job_metrics/set_progress/{id}",
            json!({"percent": 5, "flow_job_id": null}),
        ),
        (
            "/workspaces/remote",
            json!({"base_url": "https://windmill.example", "workspace": "w", "token_variable": "u/admin/v"}),
        ),
        ("/auth/session", json!({"token": "x"})),
        ("/auth/login", json!({"email": "a@b.c", "password": "x"})),
        (
            "/critical_alerts/mute",
            json!({"mute_critical_alerts": true}),
        ),
    ];
    let found = known.into_iter().find(|(end, _)| path.ends_with(end));
    found.map_or_else(
        || json!({"path": "u/admin/s", "name": "x", "email": "a@b.c", "value": {"a": 1}, "enabled": true, "args": {"x": 1}, "reason": "r",
            "is_flow": false, "archived": true, "usernames": ["a"], "is_admin": true, "password": "x"}),
        |(_, body)| body,
    )
}

/// Makes one of each, in folder `x` and of `u/admin`; gives the id of a job.
async fn things(bench: &Bench) -> String {
    for route in [
        "scripts/create",
        "flows/create",
        "websocket_triggers/create",
        "variables/create",
        "resources/create",
    ] {
        let mut body = example(&format!("/{route}"));
        let path = body["path"]
            .as_str()
            .unwrap()
            .trim_end_matches('2')
            .to_owned();
        body["path"] = json!(path);
        let (status, _, text) = bench.post(route, body).await;
        assert!(status < 300, "{route}: {text}");
    }
    let (status, _, id) = bench.post("jobs/run/p/u/admin/s", json!({"x": 1})).await;
    assert_eq!(status, 201, "{id}");
    id
}

/// The route's path with things that are there, or with something else.
fn place(pattern: &str, job: &str, seed: u64) -> String {
    let of = [
        ("/flows", "f/x/f"),
        ("/jobs/run/f", "f/x/f"),
        ("websocket", "u/admin/t"),
        ("/variables", "u/admin/v"),
        ("/resources", "u/admin/r"),
        ("/folders", "x"),
    ];
    let known = of
        .iter()
        .find(|(part, _)| pattern.contains(part))
        .map_or("u/admin/s", |(_, path)| path);
    let path = match seed % 8 {
        0 => "u/admin/none",
        1 => "%00%ff",
        2 => "0123456789abcdef",
        _ => known,
    };
    let id = if seed.is_multiple_of(8) { "7" } else { job };
    pattern
        .replace("{workspace}", "main")
        .replace("{path:.*}", path)
        .replace("{path}", path)
        .replace("{id}", id)
        .replace("{key}", "k")
        .replace(
            "{kind}",
            ["script", "flow", "trigger", "odd"][(seed / 8 % 4) as usize],
        )
        .replace("{trigger_kind}", "websocket")
}

#[actix_rt::test]
async fn no_body_breaks_a_route() {
    let bench = Bench::new().await;
    let job = things(&bench).await;
    let state = bench.state.clone();
    let app = test::init_service(App::new().configure(move |cfg| configure(cfg, &state))).await;
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..u64::from(mutate::cases(12).cases) {
        for group in table() {
            for route in group
                .routes
                .iter()
                .filter(|route| route.method == Method::Post)
            {
                let pattern = format!("/api{}{}", group.prefix, route.path);
                if ENDLESS.iter().any(|part| pattern.contains(part)) {
                    continue;
                }
                let seed = seed
                    .wrapping_mul(1_000_003)
                    .wrapping_add(pattern.len() as u64);
                let example = example(&pattern);
                let body = match seed % 5 {
                    0 => mutate::text(&example.to_string(), seed),
                    _ => mutate::json(&example, seed).to_string(),
                };
                let path = place(&pattern, &job, seed);
                let request = TestRequest::with_uri(&path)
                    .method(Verb::POST)
                    .insert_header((header::HOST, "127.0.0.1:8000"))
                    .insert_header((header::AUTHORIZATION, format!("Bearer {ROOT}")))
                    .set_payload(body.clone());
                let what = || {
                    format!(
                        "POST {path} {}",
                        body.chars().take(2_000).collect::<String>()
                    )
                };
                let answer = match app.call(request.to_request()).await {
                    Ok(answer) => answer.into_parts().1.map_into_boxed_body(),
                    Err(error) => error.error_response(),
                };
                let status = answer.status().as_u16();
                if status < 400 {
                    taken += 1;
                    continue;
                }
                let text = to_bytes(answer.into_body()).await.unwrap();
                let text = String::from_utf8(text.to_vec()).unwrap();
                assert!(status < 500, "{} {status} {text}", what());
                assert!(
                    !text.is_empty() && !text.contains('\n'),
                    "{} {status} {text:?}",
                    what()
                );
                refused += 1;
            }
        }
    }
    // Else it would be refused at the door, and nothing behind it was tried.
    assert!(
        taken > 20 && refused > 20,
        "{taken} taken, {refused} refused"
    );
    println!("{taken} taken, {refused} refused");
}
