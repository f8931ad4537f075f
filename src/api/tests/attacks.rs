//! Ways around the rights that were found open once: each stays closed.

use super::*;

/// `GET`, `POST` … as the owner of `token`.
async fn status(bench: &Bench, verb: Verb, path: &str, token: &str, body: &Value) -> (u16, String) {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let (status, _, text) = bench.ask(verb, path, Some(token), &body).await;
    (status, text)
}

#[actix_rt::test]
async fn a_percent_escape_in_the_path_opens_no_door() {
    let bench = Bench::new().await;
    for path in ["u/ann/s", "u/admin/s"] {
        assert_eq!(bench.post("scripts/create", script(path)).await.0, 201);
    }
    let reader = NewToken {
        read_only: true,
        ..NewToken::default()
    };
    let reader = bench.user("ann", reader).await;
    for path in [
        "/api/w/main/jobs/run_wait_result/p/u/ann/s",
        "/api/w/main/jobs/%72un_wait_result/p/u/ann/s",
        "/api/w/main/%6Aobs/run_wait_result/p/u/ann/s",
        "/api/w/main/%6a%6f%62%73/%72%75%6e_wait_result/p/u/ann/s",
        "/api/w/main/jobs/run%5fwait_result/p/u/ann/s",
    ] {
        // What is let in waits for a job that nobody runs.
        let wait = std::time::Duration::from_secs(5);
        let asked = status(&bench, Verb::GET, path, &reader, &Value::Null);
        let answer = actix_rt::time::timeout(wait, asked).await;
        let (status, text) = answer.unwrap_or_else(|_| panic!("{path} runs"));
        assert_eq!(status, 403, "{path}: {text}");
    }
    let ann = bench.user("ann", NewToken::default()).await;
    let variable = json!({"path": "u/ann/v", "value": "x", "is_secret": false});
    for workspace in [
        "main&other",
        "main%26other",
        "main%00",
        "main%ff",
        "main/../other",
        "main%2F..",
        "%6dain&",
        "main;x",
        "+main",
    ] {
        let path = format!("/api/w/{workspace}/variables/create");
        let (status, text) = status(&bench, Verb::POST, &path, &ann, &variable).await;
        assert!(matches!(status, 400 | 403 | 404), "{path}: {status} {text}");
    }
    let (status, text) = status(
        &bench,
        Verb::POST,
        "/api/w/m%61in/variables/create",
        &ann,
        &variable,
    )
    .await;
    assert_eq!(status, 201, "{text}");
    let scopes = NewToken {
        scopes: Some(vec!["variables:read".to_owned()]),
        ..NewToken::default()
    };
    let narrow = bench.user("ann", scopes).await;
    for (path, expected) in [
        ("/api/w/main/variables/get/u/ann/v", 200),
        ("/api/w/main/v%61riables/get/u/ann/v", 200),
        ("/api/w/main/scripts/get/p/u/ann/s", 403),
        ("/api/w/main/%73cripts/get/p/u/ann/s", 403),
        ("/api/w/variables/scripts/get/p/u/ann/s", 403),
        ("/api//w/main/scripts/get/p/u/ann/s", 403),
    ] {
        let (status, text) = self::status(&bench, Verb::GET, path, &narrow, &Value::Null).await;
        assert_eq!(status, expected, "{path}: {text}");
    }
}

#[actix_rt::test]
async fn a_page_from_another_port_runs_nothing() {
    let bench = Bench::new().await;
    assert_eq!(
        bench.post("scripts/create", script("u/admin/s")).await.0,
        201
    );
    let session = bench
        .state
        .pool
        .run(|conn| access::new_session(conn, Some(ROOT), ROOT));
    let session = session.await.unwrap().unwrap();
    // Cookies and SameSite do not tell ports apart, and an image is a GET without an Origin.
    for (name, value) in [
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "cross-site"),
        ("origin", "http://127.0.0.1:8001"),
    ] {
        let request = TestRequest::get()
            .uri("/api/w/main/jobs/run_wait_result/p/u/admin/s")
            .insert_header((header::HOST, "127.0.0.1:8000"))
            .insert_header((name, value))
            .cookie(Cookie::new("token", session.clone()));
        let wait = std::time::Duration::from_secs(5);
        let answer = actix_rt::time::timeout(wait, bench.send(request)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{name}: {value} runs it"));
        assert_eq!(answer.status().as_u16(), 403, "{name}: {value}");
    }
}

#[actix_rt::test]
async fn a_token_with_scopes_learns_nothing_of_people() {
    let bench = Bench::new().await;
    let scopes = NewToken {
        scopes: Some(vec!["scripts:read".to_owned()]),
        ..NewToken::default()
    };
    let narrow = bench.user("ann", scopes).await;
    for (path, expected) in [
        ("/api/users/whoami", 200),
        ("/api/w/main/users/whoami", 200),
        ("/api/users/tokens/list", 403),
        ("/api/w/main/users/list", 403),
        ("/api/w/main/users/list_usernames", 403),
        ("/api/w/main/users/username_to_email/admin", 403),
        ("/api/w/main/users/get/whoami", 403),
    ] {
        let (status, text) = status(&bench, Verb::GET, path, &narrow, &Value::Null).await;
        assert_eq!(status, expected, "{path}: {text}");
    }
}

#[actix_rt::test]
async fn what_a_removed_folder_left_behind_is_not_for_whoever_takes_its_name() {
    let bench = Bench::new().await;
    let variable = json!({"path": "f/team/key", "value": "secret", "is_secret": false});
    assert_eq!(bench.post("variables/create", variable).await.0, 201);
    let (status, _, text) = bench
        .ask(
            Verb::DELETE,
            "/api/w/main/folders/delete/team",
            Some(ROOT),
            "",
        )
        .await;
    assert_eq!(status, 200, "{text}");
    let ann = bench.user("ann", NewToken::default()).await;
    let take = async |name: &str| {
        let body = json!({"name": name});
        self::status(
            &bench,
            Verb::POST,
            "/api/w/main/folders/create",
            &ann,
            &body,
        )
        .await
    };
    let (status, text) = take("team").await;
    assert_eq!(
        (status, text.as_str()),
        (409, "name: 'team' is taken; choose another one")
    );
    let path = "/api/w/main/variables/get_value/f/team/key";
    assert_eq!(
        self::status(&bench, Verb::GET, path, &ann, &Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(take("tea").await.0, 200, "what begins alike is another one");
    assert_eq!(
        bench
            .post("folders/create", json!({"name": "team"}))
            .await
            .0,
        200
    );
}

#[actix_rt::test]
async fn nobody_is_given_the_name_of_a_super_admin() {
    let bench = Bench::new().await;
    let new = json!({"id": "second", "name": "Second", "username": "boss"});
    let (status, _, text) = bench
        .ask(
            Verb::POST,
            "/api/workspaces/create",
            Some(ROOT),
            &new.to_string(),
        )
        .await;
    assert_eq!(status, 201, "{text}");
    let add = async |email: &str, username: &str| {
        let body = json!({"email": email, "username": username}).to_string();
        let path = "/api/w/second/workspaces/add_user";
        bench.ask(Verb::POST, path, Some(ROOT), &body).await
    };
    // `u/admin` are the rights that the super admin's own jobs have there.
    let (status, _, text) = add("mallory@example.com", "admin").await;
    assert_eq!(status, 409, "{text}");
    assert_eq!(add("mallory@example.com", "mallory").await.0, 201);
}

#[actix_rt::test]
async fn an_edit_that_cannot_tell_what_it_saw_is_refused() {
    let bench = Bench::new().await;
    let mut body = trigger("u/admin/t");
    assert_eq!(
        bench
            .post("websocket_triggers/create", body.clone())
            .await
            .0,
        201
    );
    for (seen, expected) in [
        (json!("yesterday"), 400),
        (json!("2020-01-01T00:00:00Z"), 409),
        (Value::Null, 200),
    ] {
        body["edited_at"] = seen.clone();
        let (status, _, text) = bench
            .post("websocket_triggers/update/u/admin/t", body.clone())
            .await;
        assert_eq!(status, expected, "{seen}: {text}");
        assert!(status == 200 || text.starts_with("edited_at: "), "{text}");
    }
}

#[actix_rt::test]
async fn a_link_logs_in_with_nothing_but_a_login_link() {
    let bench = Bench::new().await;
    // Else anybody could have somebody work as them, by a link that looks like the page's own.
    let ann = bench.user("ann", NewToken::default()).await;
    for token in [ann.as_str(), ROOT] {
        let request = TestRequest::get()
            .uri(&format!("/?token={token}"))
            .insert_header(("host", "localhost"));
        let answer = bench.send(request).await;
        assert_eq!(answer.status().as_u16(), 401);
        assert!(answer.cookies().next().is_none());
    }
}

/// A token for some of the jobs sees none that is at no path, and packs up nothing that it could not read by itself.
#[actix_rt::test]
async fn a_token_with_scopes_gets_nothing_by_another_way() {
    let bench = Bench::new().await;
    let token = |scopes: &[&str]| NewToken {
        scopes: Some(scopes.iter().map(|scope| (*scope).to_owned()).collect()),
        ..NewToken::default()
    };
    let some = bench.user("ann", token(&["jobs:read:u/ann/*"])).await;
    let all = bench.user("ann", token(&["jobs:read"])).await;
    let mut ids = Vec::new();
    for path in [None, Some("u/ann/s".into())] {
        let runnable = Runnable::Preview {
            path,
            language: Language::Bash,
            content: "echo 1".to_owned(),
        };
        let args = Args::Object("{}".to_owned());
        let job = NewJob::new("main".into(), runnable, args, "ann");
        ids.push(job.id);
        bench.state.queue.push(vec![job]).await.unwrap();
    }
    for (token, seen) in [(&all, [200, 200]), (&some, [404, 200])] {
        for (id, seen) in ids.iter().zip(seen) {
            let path = format!("/api/w/main/jobs_u/get/{id}");
            let answer = bench.ask(Verb::GET, &path, Some(token), "").await;
            assert_eq!(answer.0, seen, "{}", answer.2);
        }
    }

    let key = json!({"path": "u/ann/key", "value": "s3cret", "is_secret": true});
    assert_eq!(bench.post("variables/create", key).await.0, 201);
    assert_eq!(bench.post("scripts/create", script("u/ann/s")).await.0, 201);
    for (scopes, script, variable) in [
        (&["workspaces:read"][..], false, false),
        (&["workspaces:read", "scripts:read"], true, false),
        (&["workspaces:read", "variables:read"], false, true),
    ] {
        let token = bench.user("ann", token(scopes)).await;
        let way = "/api/w/main/workspaces/tarball?archive_type=zip&plain_secrets=true";
        let request = TestRequest::with_uri(way)
            .insert_header((header::HOST, "127.0.0.1:8000"))
            .insert_header((header::AUTHORIZATION, format!("Bearer {token}")));
        let packed = bench.send(request).await;
        assert_eq!(packed.status().as_u16(), 200);
        let packed = to_bytes(packed.into_body()).await.unwrap();
        let holds = |name: &str| {
            let name = name.as_bytes();
            packed.windows(name.len()).any(|part| part == name)
        };
        assert_eq!(holds("u/ann/s.script.json"), script, "{scopes:?}");
        assert_eq!(holds("u/ann/key.variable.json"), variable, "{scopes:?}");
    }
}

/// Whoever puts a job below another one is told of it, is lent its worker, and has it kept longer.
#[actix_rt::test]
async fn a_job_is_put_below_none_that_may_not_be_seen() {
    let bench = Bench::new().await;
    let ann = bench.user("ann", NewToken::default()).await;
    for path in ["u/ann/s", "u/admin/s"] {
        assert_eq!(bench.post("scripts/create", script(path)).await.0, 201);
    }
    let own = bench.post("jobs/run/p/u/ann/s", json!({})).await.2;
    let hidden = bench.post("jobs/run/p/u/admin/s", json!({})).await.2;
    let none = "01890000-0000-7000-8000-000000000000";
    for field in ["parent_job", "root_job"] {
        for route in ["run/p", "run_wait_result/p", "run_and_stream/p"] {
            let mut told = Vec::new();
            for id in [hidden.as_str(), none] {
                let path = format!("/api/w/main/jobs/{route}/u/ann/s?{field}={id}");
                let answer = bench.ask(Verb::POST, &path, Some(&ann), "{}").await;
                told.push((answer.0, answer.2.replace(id, "<id>")));
            }
            assert_eq!(told[0], (400, format!("{field}: job <id> not found")));
            assert_eq!(told[0], told[1], "{route}");
        }
        let path = format!("/api/w/main/jobs/run/p/u/ann/s?{field}={own}");
        let answer = bench.ask(Verb::POST, &path, Some(&ann), "{}").await;
        assert_eq!(answer.0, 201, "{}", answer.2);
        let job = bench.json(&format!("jobs_u/get/{}", answer.2)).await;
        assert_eq!(job[field], own);
    }
}

/// Lists and counts hold what a token may see and nothing else, page by page.
#[actix_rt::test]
async fn lists_and_counts_of_jobs_end_where_the_scopes_of_a_token_do() {
    let bench = Bench::new().await;
    let folder = json!({"name": "team", "extra_perms": {"u/ann": false}});
    assert_eq!(bench.post("folders/create", folder).await.0, 200);
    for path in ["u/ann/a", "u/ann/b", "u/ann/a", "f/team/a", "u/ann/ab"] {
        bench.ended(path, None, &[(true, "1")]).await;
    }
    for (scopes, of_admin, of_ann) in [
        (&["jobs:read"][..], 5, 5),
        (&["jobs:read:u/ann/*"], 4, 4),
        (&["jobs:read:u/ann/a"], 2, 2),
        (&["jobs:read:u/ann/a,f/team/*"], 3, 3),
        // Who may only run something is shown the own jobs of it.
        (&["jobs:run:scripts:u/ann/b", "jobs:read:f/team/a"], 2, 1),
        (&["jobs:read:u/ann/none"], 0, 0),
        (&["jobs:*"], 5, 5),
    ] {
        let wanted = json!({"scopes": scopes}).to_string();
        let made = "/api/users/tokens/create";
        let admins = bench.ask(Verb::POST, made, Some(ROOT), &wanted).await.2;
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let anns = NewToken {
            scopes: Some(scopes),
            ..NewToken::default()
        };
        let anns = bench.user("ann", anns).await;
        for (token, seen) in [(admins, of_admin), (anns, of_ann)] {
            let ask = async |path: &str| {
                let path = format!("/api/w/main/jobs/{path}");
                let answer = bench.ask(Verb::GET, &path, Some(&token), "").await;
                assert_eq!(answer.0, 200, "{}", answer.2);
                serde_json::from_str::<Value>(&answer.2).unwrap()
            };
            for list in ["list", "completed/list"] {
                let whole = ask(list).await.as_array().unwrap().len();
                let mut paged = 0;
                for page in 1..=seen {
                    let part = ask(&format!("{list}?per_page=1&page={page}")).await;
                    paged += part.as_array().unwrap().len();
                }
                assert_eq!((whole, paged), (seen, seen), "{wanted} {list}");
            }
            let count = ask("completed/count").await;
            assert_eq!(count["database_length"], seen, "{wanted}");
        }
    }
}

/// What uses a script is told by the scopes for what uses it.
#[actix_rt::test]
async fn a_token_for_scripts_is_not_told_of_triggers_and_flows() {
    let bench = Bench::new().await;
    assert_eq!(
        bench.post("scripts/create", script("u/admin/s")).await.0,
        201
    );
    let saved = bench.post("websocket_triggers/create", trigger("u/admin/t"));
    assert_eq!(saved.await.0, 201);
    let step = json!({"id": "a", "value": {"type": "script", "path": "u/admin/s", "input_transforms": {}}});
    let flow = json!({"path": "u/admin/f", "summary": "", "value": {"modules": [step]}});
    assert_eq!(bench.post("flows/create", flow).await.0, 201);
    let told = async |scopes: &[&str]| {
        let wanted = json!({"scopes": scopes}).to_string();
        let made = bench.ask(Verb::POST, "/api/users/tokens/create", Some(ROOT), &wanted);
        let token = made.await.2;
        let path = "/api/w/main/scripts/used_by/u/admin/s";
        let answer = bench.ask(Verb::GET, path, Some(&token), "").await;
        assert_eq!(answer.0, 200, "{}", answer.2);
        let uses: Value = serde_json::from_str(&answer.2).unwrap();
        let count = |kind: &str| uses[kind].as_array().unwrap().len();
        let path = "/api/w/main/scripts/get_triggers_count/u/admin/s";
        let answer = bench.ask(Verb::GET, path, Some(&token), "").await;
        let counts: Value = serde_json::from_str(&answer.2).unwrap();
        assert_eq!(counts["websocket_count"], count("triggers"), "{scopes:?}");
        (count("triggers"), count("flows"))
    };
    assert_eq!(told(&["scripts:*"]).await, (0, 0));
    assert_eq!(
        told(&["scripts:*", "websocket_triggers:read"]).await,
        (1, 0)
    );
    assert_eq!(
        told(&[
            "scripts:*",
            "websocket_triggers:read:u/other/*",
            "flows:read"
        ])
        .await,
        (0, 1)
    );
}

/// Who may read a script but not a trigger of somebody else does not learn that there is one.
#[actix_rt::test]
async fn triggers_are_counted_for_who_may_read_them() {
    let bench = Bench::new().await;
    let ann = bench.user("ann", NewToken::default()).await;
    let folder = json!({"name": "team", "extra_perms": {"u/ann": false}});
    assert_eq!(bench.post("folders/create", folder).await.0, 200);
    assert_eq!(
        bench.post("scripts/create", script("f/team/s")).await.0,
        201
    );
    for path in ["u/admin/t", "f/team/t"] {
        let mut body = trigger(path);
        body["script_path"] = json!("f/team/s");
        assert_eq!(bench.post("websocket_triggers/create", body).await.0, 201);
    }
    for (token, count) in [(ROOT, 2), (ann.as_str(), 1)] {
        let path = "/api/w/main/scripts/get_triggers_count/f/team/s";
        let answer = bench.ask(Verb::GET, path, Some(token), "").await;
        let counts: Value = serde_json::from_str(&answer.2).unwrap();
        assert_eq!(counts["websocket_count"], count, "{}", answer.2);
    }
}

/// A scope with a path is for what lies there, whatever the route says of it in its own words.
#[actix_rt::test]
async fn a_scope_with_a_path_ends_there() {
    let bench = Bench::new().await;
    for name in ["a", "b"] {
        let folder = json!({"name": name, "owners": ["u/ann"]});
        assert_eq!(bench.post("folders/create", folder).await.0, 200);
        let kept = script(&format!("f/{name}/s"));
        assert_eq!(bench.post("scripts/create", kept).await.0, 201);
    }
    let flow = json!({"path": "f/a/s", "summary": "", "value": {"modules": []}});
    assert_eq!(bench.post("flows/create", flow).await.0, 201);
    let wanted = NewToken {
        scopes: Some(
            [
                "folders:read",
                "folders:write:f/a/*",
                "jobs:read",
                "jobs:write:f/a/*",
                "jobs:run:scripts",
            ]
            .map(str::to_owned)
            .to_vec(),
        ),
        ..NewToken::default()
    };
    let ann = bench.user("ann", wanted).await;
    let ask = async |path: &str, body: Value| {
        let path = format!("/api/w/main/{path}");
        bench
            .ask(Verb::POST, &path, Some(&ann), &body.to_string())
            .await
    };
    for (name, edited, canceled) in [("a", 200, 200), ("b", 403, 403)] {
        let edit = json!({"summary": "x"});
        let answer = ask(&format!("folders/update/{name}"), edit).await;
        assert_eq!(answer.0, edited, "{name}: {}", answer.2);
        let job = ask(&format!("jobs/run/p/f/{name}/s"), json!({})).await;
        assert_eq!(job.0, 201, "{name}: {}", job.2);
        let cancel = format!("jobs_u/queue/cancel/{}", job.2);
        let answer = ask(&cancel, json!({})).await;
        assert_eq!(answer.0, canceled, "{name}: {}", answer.2);
    }
    for (path, body) in [
        ("jobs/run/f/f/a/s", json!({})),
        (
            "jobs/run/preview",
            json!({"language": "bash", "content": "echo 1"}),
        ),
        ("jobs/run/preview_flow", json!({"value": {"modules": []}})),
        ("folders/create", json!({"name": "c"})),
    ] {
        let answer = ask(path, body).await;
        assert!(matches!(answer.0, 403 | 404), "{path}: {}", answer.2);
    }
}
