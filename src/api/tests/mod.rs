//! The API's main rules, asked through the router against a SQLite file of its own.

mod attacks;
mod audit;
mod entering;
mod jobs;
mod mutated;
mod objects;
mod page_files;
mod people;
mod retention;
mod served;
mod shared;

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

/// The path of a trigger whose trial goes on.
const HELD: &str = "u/ann/held";

/// A listening side that only counts how often it is told of changes.
#[derive(Default)]
struct Told(
    AtomicUsize,
    parking_lot::Mutex<Vec<mpsc::Sender<TrialEvent>>>,
);

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
        test: ConnectionTest,
    ) -> BoxFuture<'static, Result<mpsc::Receiver<TrialEvent>, NotTried>> {
        let (events, told) = mpsc::channel(1);
        // There is room for one.
        let _ = events.try_send(TrialEvent::Listening);
        if test.path == HELD {
            self.1.lock().push(events);
        }
        Box::pin(async { Ok(told) })
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

    fn install(
        &self,
        _: Language,
        (content, _): (String, Option<String>),
    ) -> LocalBoxFuture<'static, Installed> {
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
