//! Who gets in, and what for: tokens, hosts and origins, login links, rights by path.

use super::*;

#[actix_rt::test]
async fn a_missing_token_comes_before_a_bad_body() {
    let bench = Bench::new().await;
    for path in [
        "scripts/create",
        "websocket_triggers/create",
        "jobs/run/p/u/a/b",
        "no/such/route",
    ] {
        let path = format!("/api/w/main/{path}");
        let (status, kind, _) = bench.ask(Verb::POST, &path, None, "[").await;
        assert_eq!(
            (status, kind.as_str()),
            (401, "text/plain; charset=utf-8"),
            "{path}"
        );
        let (status, ..) = bench.ask(Verb::POST, &path, Some("wrong"), "[").await;
        assert_eq!(status, 401, "{path}");
    }
    let (status, _, text) = bench
        .ask(Verb::POST, "/api/w/main/scripts/create", Some(ROOT), "[")
        .await;
    assert_eq!(status, 400, "{text}");
    let (status, _, text) = bench
        .ask(Verb::GET, "/api/w/none/scripts/list", Some(ROOT), "")
        .await;
    assert_eq!((status, text.as_str()), (404, "workspace 'none' not found"));
    let ann = bench.user("ann", NewToken::default()).await;
    let (status, ..) = bench
        .ask(Verb::GET, "/api/w/none/scripts/list", Some(&ann), "")
        .await;
    assert_eq!(status, 403);
    let (status, kind, text) = bench.ask(Verb::GET, "/api/version", None, "").await;
    assert_eq!((status, kind.as_str()), (200, "text/plain; charset=utf-8"));
    assert!(text.starts_with("windsock v"), "{text}");
}

#[actix_rt::test]
async fn foreign_sites_and_foreign_names_are_kept_out() {
    let bench = Bench::new().await;
    let session = bench
        .state
        .pool
        .run(|conn| access::new_session(conn, Some(ROOT), ROOT));
    let session = session.await.unwrap().unwrap();
    let with = |host: &'static str, origin: Option<&'static str>, bearer: bool| {
        let mut request = TestRequest::post()
            .uri("/api/w/main/variables/create")
            .insert_header((header::HOST, host))
            .set_payload(r#"{"path": "u/admin/v", "value": "", "is_secret": false}"#);
        if let Some(origin) = origin {
            request = request.insert_header((header::ORIGIN, origin));
        }
        if bearer {
            request.insert_header((header::AUTHORIZATION, format!("Bearer {ROOT}")))
        } else {
            request.cookie(Cookie::new("token", session.clone()))
        }
    };
    for (host, origin, bearer, status) in [
        ("evil.example", None, false, 403),
        ("127.0.0.1:8000", Some("http://evil.example"), false, 403),
        ("127.0.0.1:8000", Some("http://127.0.0.1:8001"), false, 403),
        ("127.0.0.1:8000", Some("http://127.0.0.1:8000"), false, 201),
        ("localhost:8000", Some("http://localhost:8000"), false, 409),
        ("windsock:8000", None, true, 409),
    ] {
        let answer = bench.send(with(host, origin, bearer)).await;
        assert_eq!(answer.status().as_u16(), status, "{host} {origin:?}");
        for name in [
            "content-security-policy",
            "referrer-policy",
            "x-content-type-options",
        ] {
            assert!(answer.headers().contains_key(name), "{host}: {name}");
        }
    }
    // A page whose name was made to lead here adds what headers it likes.
    for (path, header, status) in [
        ("/api/auth/login", "Bearer x", 403),
        ("/api/auth/session", "Bearer x", 403),
        ("/api/version", "Basic eDp5", 403),
        ("/api/version", "Bearer x", 200),
    ] {
        let request = TestRequest::default()
            .method(if path == "/api/version" {
                Verb::GET
            } else {
                Verb::POST
            })
            .uri(path)
            .insert_header((header::HOST, "evil.example"))
            .insert_header((header::ORIGIN, "http://evil.example"))
            .insert_header((header::AUTHORIZATION, header))
            .set_payload("{}");
        let answer = bench.send(request).await;
        assert_eq!(answer.status().as_u16(), status, "{path} {header}");
    }
}

#[actix_rt::test]
async fn a_login_link_works_once_and_logging_out_ends_the_session() {
    let bench = Bench::new().await;
    let link = bench.state.pool.run(access::new_login_link).await.unwrap();
    let (status, ..) = bench
        .ask(Verb::GET, "/api/users/whoami", Some(&link), "")
        .await;
    assert_eq!(status, 401, "a link is no token");
    let open = || {
        TestRequest::get()
            .uri(&format!("/?token={link}"))
            .insert_header(("host", "localhost"))
    };
    let answer = bench.send(open()).await;
    assert_eq!(answer.status().as_u16(), 303);
    assert_eq!(answer.headers().get("location").unwrap(), "/");
    let cookie = answer.cookies().next().unwrap().into_owned();
    assert_eq!((cookie.http_only(), cookie.path()), (Some(true), Some("/")));
    assert_eq!(
        cookie.same_site(),
        Some(actix_web::cookie::SameSite::Strict)
    );
    let answer = bench.send(open()).await;
    assert_eq!(answer.status().as_u16(), 401, "used twice");
    let request = |verb: Verb, uri: &str| {
        TestRequest::with_uri(uri)
            .method(verb)
            .insert_header(("host", "localhost"))
            .cookie(Cookie::new("token", cookie.value().to_owned()))
    };
    let answer = bench.send(request(Verb::GET, "/api/users/whoami")).await;
    assert_eq!(answer.status().as_u16(), 200);
    let answer = bench.send(request(Verb::POST, "/api/auth/logout")).await;
    assert_eq!(answer.status().as_u16(), 200);
    let answer = bench.send(request(Verb::GET, "/api/users/whoami")).await;
    assert_eq!(answer.status().as_u16(), 401, "logged out");
}

#[actix_rt::test]
async fn rights_follow_paths_folders_and_tokens() {
    let bench = Bench::new().await;
    for path in ["u/admin/s", "u/ann/s", "f/team/s"] {
        let (status, _, text) = bench.post("scripts/create", script(path)).await;
        assert_eq!(status, 201, "{text}");
    }
    let ann = bench.user("ann", NewToken::default()).await;
    let paths = |answer: Answer| serde_json::from_str::<Vec<String>>(&answer.2).unwrap();
    let list = "/api/w/main/scripts/list_paths";
    assert_eq!(
        paths(bench.ask(Verb::GET, list, Some(&ann), "").await),
        ["u/ann/s"]
    );
    let hidden = "/api/w/main/scripts/get/p/u/admin/s";
    let missing = "/api/w/main/scripts/get/p/u/admin/none";
    let (hidden, missing) = (
        bench.ask(Verb::GET, hidden, Some(&ann), "").await,
        bench.ask(Verb::GET, missing, Some(&ann), "").await,
    );
    assert_eq!((hidden.0, missing.0), (404, 404));
    let create = "/api/w/main/scripts/create";
    for (path, status, named) in [
        ("u/admin/other", 403, "u/admin/other"),
        ("f/team/other", 400, "path: folder 'team' does not exist"),
        ("f/new/other", 400, "path: folder 'new' does not exist"),
        ("u/ann/other", 201, ""),
    ] {
        let answer = bench
            .ask(Verb::POST, create, Some(&ann), &script(path).to_string())
            .await;
        assert_eq!(answer.0, status, "{path}: {}", answer.2);
        assert!(answer.2.contains(named), "{path}: {}", answer.2);
    }
    let edit = json!({"owners": ["u/ann"], "extra_perms": {}});
    assert_eq!(bench.post("folders/update/team", edit).await.0, 200);
    let in_team = script("f/team/other").to_string();
    assert_eq!(
        bench.ask(Verb::POST, create, Some(&ann), &in_team).await.0,
        201
    );

    let reader = NewToken {
        read_only: true,
        ..NewToken::default()
    };
    let reader = bench.user("ann", reader).await;
    let more = script("u/ann/more").to_string();
    assert_eq!(
        bench.ask(Verb::POST, create, Some(&reader), &more).await.0,
        403
    );
    assert_eq!(bench.ask(Verb::GET, list, Some(&reader), "").await.0, 200);
    let scopes = Some(vec!["scripts:read:u/ann/s".to_owned()]);
    let narrow = bench
        .user(
            "ann",
            NewToken {
                scopes,
                ..NewToken::default()
            },
        )
        .await;
    assert_eq!(
        paths(bench.ask(Verb::GET, list, Some(&narrow), "").await),
        ["u/ann/s"]
    );
    assert_eq!(
        bench.ask(Verb::POST, create, Some(&narrow), &more).await.0,
        403
    );
    assert_eq!(
        bench
            .ask(Verb::GET, "/api/w/main/jobs/list", Some(&narrow), "")
            .await
            .0,
        403
    );
}
