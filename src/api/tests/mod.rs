//! The API's main rules, asked through the router against a SQLite file of its own.

mod audit;
mod mutated;
mod people;
mod served;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use actix_web::{
    App, HttpResponse,
    body::to_bytes,
    cookie::Cookie,
    dev::Service,
    http::{Method as Verb, header},
    test::{self, TestRequest},
};
use futures_util::future::{BoxFuture, LocalBoxFuture};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::{
    access::{self, Caller, NewToken},
    config::DatabaseUrl,
    db::{account, account::AccountRow, user, user::UserRow},
    queue::{Args, NewJob, Outcome, Runnable},
    trigger::{NotTried, TrialEvent, spec::TriggerSpec},
    types::{Invalid, Language, Timestamp, TriggerKind},
};

/// The token of the super admin.
const ROOT: &str = "test";

/// A listening side that only counts how often it is told of changes.
#[derive(Default)]
struct Told(AtomicUsize);

impl Listening for Told {
    fn reconcile(&self) -> BoxFuture<'static, ()> {
        self.0.fetch_add(1, Relaxed);
        Box::pin(async {})
    }

    fn captures_changed(&self) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn check(&self, _: TriggerSpec) -> BoxFuture<'static, Result<(), Invalid>> {
        Box::pin(async { Ok(()) })
    }

    fn test(
        &self,
        _: ConnectionTest,
    ) -> BoxFuture<'static, Result<mpsc::Receiver<TrialEvent>, NotTried>> {
        Box::pin(async {
            let (events, told) = mpsc::channel(1);
            // There is room for one.
            let _ = events.try_send(TrialEvent::Listening);
            Ok(told)
        })
    }
}

/// Takes every script but an empty one.
struct NotEmpty;

impl ScriptCheck for NotEmpty {
    fn check(
        &self,
        _: Language,
        content: String,
    ) -> LocalBoxFuture<'static, Result<ScriptFacts, Invalid>> {
        Box::pin(async move {
            if content.is_empty() {
                return Err(Invalid("content: is empty".to_owned()));
            }
            Ok(ScriptFacts::default())
        })
    }

    fn check_condition(&self, expr: String) -> LocalBoxFuture<'static, Result<(), Invalid>> {
        Box::pin(async move {
            match expr.ends_with('.') {
                true => Err(Invalid("SyntaxError: it goes on".to_owned())),
                false => Ok(()),
            }
        })
    }

    fn install(&self, _: Language, content: String) -> LocalBoxFuture<'static, Installed> {
        Box::pin(async move {
            match content.as_str() {
                "slow" => Installed::Underway,
                "bad" => Installed::Failed("no such package".to_owned()),
                _ => Installed::Ready,
            }
        })
    }

    fn check_flow(&self, value: Value) -> LocalBoxFuture<'static, Result<Option<String>, Invalid>> {
        Box::pin(async move {
            let flow = windsock_flow(&value)?;
            Ok(flow.preprocessor.map(|_| "v2".to_owned()))
        })
    }
}

fn windsock_flow(value: &Value) -> Result<crate::flow::FlowValue, Invalid> {
    crate::flow::FlowValue::from_json(value)
}

/// What a server is made of, on a database of its own.
async fn parts() -> (Parts, Arc<Told>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().join("api.db"));
    let pool = Pool::open(&url, 4).unwrap();
    pool.run(access::first_start).await.unwrap();
    let config = Config::for_test(url);
    let arbiter = actix_rt::Arbiter::current();
    let limits = config.limits.clone();
    let queue = Queue::start(pool.clone(), limits, "w".to_owned(), &arbiter);
    let told = Arc::new(Told::default());
    let parts = Parts {
        pool,
        queue,
        board: Board::new("server"),
        listening: told.clone(),
        script_check: Arc::new(NotEmpty),
        history: History::default(),
        config: Arc::new(config),
    };
    (parts, told, folder)
}

struct Bench {
    state: web::Data<State>,
    told: Arc<Told>,
    _folder: tempfile::TempDir,
}

/// An answer: status, content type, text.
type Answer = (u16, String, String);

impl Bench {
    async fn new() -> Self {
        let (parts, told, folder) = parts().await;
        Self {
            state: web::Data::new(State::new(parts)),
            told,
            _folder: folder,
        }
    }

    async fn send(&self, request: TestRequest) -> HttpResponse {
        let state = self.state.clone();
        let app = App::new().configure(move |cfg| configure(cfg, &state));
        let app = test::init_service(app).await;
        match app.call(request.to_request()).await {
            Ok(answer) => answer.into_parts().1.map_into_boxed_body(),
            // What a middleware refuses becomes an answer where the connection is served.
            Err(error) => error.error_response(),
        }
    }

    async fn ask(&self, verb: Verb, path: &str, token: Option<&str>, body: &str) -> Answer {
        let mut request = TestRequest::with_uri(path)
            .method(verb)
            .insert_header((header::HOST, "127.0.0.1:8000"))
            .set_payload(body.to_owned());
        if let Some(token) = token {
            request = request.insert_header((header::AUTHORIZATION, format!("Bearer {token}")));
        }
        let answer = self.send(request).await;
        let kind = answer.headers().get(header::CONTENT_TYPE);
        let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
        let status = answer.status().as_u16();
        let text = to_bytes(answer.into_body()).await.unwrap();
        (status, kind, String::from_utf8(text.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Verb::GET, &format!("/api/w/main/{path}"), Some(ROOT), "")
            .await
    }

    async fn json(&self, path: &str) -> Value {
        let (status, kind, text) = self.get(path).await;
        assert_eq!(
            (status, kind.as_str()),
            (200, "application/json"),
            "{path}: {text}"
        );
        serde_json::from_str(&text).unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        let path = format!("/api/w/main/{path}");
        self.ask(Verb::POST, &path, Some(ROOT), &body.to_string())
            .await
    }

    /// A user without admin rights, and a token of that user.
    async fn user(&self, username: &'static str, wanted: NewToken) -> String {
        let made = self.state.pool.run(move |conn| {
            let email = format!("{username}@example.com");
            if user::by_name(conn, "main", username)?.is_none() {
                let row = UserRow {
                    workspace_id: "main".to_owned(),
                    username: username.to_owned(),
                    email: email.clone(),
                    is_admin: false,
                    operator: false,
                    disabled: false,
                    created_at: Timestamp::now(),
                };
                user::insert(conn, &row)?;
            }
            if account::by_email(conn, &email)?.is_none() {
                account::insert(conn, &person(username, &email))?;
            }
            let caller = Caller {
                username: username.to_owned(),
                email,
                ..Caller::default()
            };
            access::new_token(conn, &caller, wanted)
        });
        made.await.unwrap()
    }

    /// Jobs of the script `path`, ended with these results.
    async fn ended(&self, path: &str, trigger: Option<&str>, results: &[(bool, &str)]) {
        for (success, result) in results {
            let runnable = Runnable::Script {
                path: path.into(),
                hash: None,
            };
            let args = Args::Object(json!({"n": 1}).to_string());
            let mut job = NewJob::new("main".into(), runnable, args, "admin");
            job.trigger = trigger.map(|path| (TriggerKind::Websocket, Some(path.into())));
            self.state.queue.push(vec![job]).await.unwrap();
            end_one(&self.state.queue, *success, result).await;
        }
    }
}

/// Somebody without a password.
fn person(username: &str, email: &str) -> AccountRow {
    AccountRow {
        email: email.to_owned(),
        username: username.to_owned(),
        name: None,
        password_hash: None,
        super_admin: false,
        disabled: false,
        created_at: Timestamp::now(),
    }
}

/// Claims the next job and ends it.
async fn end_one(queue: &Queue, success: bool, result: &str) {
    let job = loop {
        let ready = queue.ready();
        if let Some(job) = queue.claim(1).await.unwrap().pop() {
            break job;
        }
        ready.notified().await;
    };
    let outcome = Outcome {
        retry_if: None,
        success,
        result: result.to_owned(),
        ..Outcome::failed("x", "x", Timestamp::now())
    };
    queue.finish(vec![(job, outcome)]).await.unwrap();
}

fn script(path: &str) -> Value {
    json!({"path": path, "summary": "", "content": "echo 1", "language": "bash"})
}

fn trigger(path: &str) -> Value {
    json!({
        "path": path, "script_path": "u/admin/s", "is_flow": false, "url": "wss://example.com",
        "filters": [], "can_return_message": false, "can_return_error_result": false,
    })
}

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
    ] {
        let wait = bench.post("jobs/run_wait_result/p/u/admin/s", json!({"a": 1}));
        let (answer, ()) = futures_util::join!(wait, end_one(&bench.state.queue, success, result));
        assert_eq!(
            (answer.0, answer.1.as_str(), answer.2.as_str()),
            (status, kind, text)
        );
    }
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
