//! The engine as a script sees it: every host function, and every way a script can misbehave.

mod bounds;
mod calls;
mod imports;
mod web;

use std::{cell::RefCell, sync::atomic::Ordering, time::Instant};

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::*;

type Answer = Box<dyn Fn(&FetchRequest) -> Result<FetchResponse, String>>;

/// Answers requests from a function and keeps them.
struct FakeHost {
    answer: Answer,
    requests: RefCell<Vec<FetchRequest>>,
}

impl Host for FakeHost {
    fn fetch(&self, request: FetchRequest) -> LocalBoxFuture<'_, Result<FetchResponse, String>> {
        let answer = (self.answer)(&request);
        let is_slow = request.url.contains("/never");
        self.requests.borrow_mut().push(request);
        async move {
            if is_slow {
                std::future::pending::<()>().await;
            }
            // The answer comes from elsewhere in the loop, as with a real server.
            tokio::task::yield_now().await;
            answer
        }
        .boxed_local()
    }
}

fn host(answer: impl Fn(&FetchRequest) -> Result<FetchResponse, String> + 'static) -> Rc<FakeHost> {
    Rc::new(FakeHost {
        answer: Box::new(answer),
        requests: RefCell::default(),
    })
}

fn no_network() -> Rc<FakeHost> {
    host(|_| Err("no network".to_owned()))
}

fn response(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> FetchResponse {
    FetchResponse {
        status,
        status_text: "text".to_owned(),
        headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
        url: "https://x.test/last".to_owned(),
        body: body.into(),
    }
}

fn call(args: Value) -> Call {
    let env = BTreeMap::from([
        ("WM_WORKSPACE".to_owned(), "main".to_owned()),
        ("WM_TOKEN".to_owned(), "secret".to_owned()),
        ("WM_JOB_ID".to_owned(), "job-1".to_owned()),
        ("WM_STATE_PATH".to_owned(), "u/a/state".to_owned()),
        (
            "BASE_INTERNAL_URL".to_owned(),
            "http://127.0.0.1:8000".to_owned(),
        ),
    ]);
    Call {
        args: args.to_string(),
        function: Function::Main,
        env: Rc::new(move || env.clone()),
        // Only a broken engine takes this long.
        timeout: Duration::from_secs(60),
        cancel: Arc::default(),
        host: no_network(),
        on_log: None,
    }
}

fn small() -> Limits {
    Limits {
        memory_bytes: 16 << 20,
        result_bytes: 10_000,
        log_bytes: 1000,
        timers: 10,
        fetches: 4,
        body_bytes: 1000,
        ..Limits::default()
    }
}

fn context(source: &str) -> Context {
    Context::new(&compile(source).unwrap(), small()).unwrap()
}

fn main_of(body: &str) -> String {
    format!("export async function main(a: any, b: any) {{\n{body}\n}}")
}

fn value(outcome: &Outcome) -> Value {
    match &outcome.result {
        Ok(text) => serde_json::from_str(text.get()).unwrap(),
        Err(error) => panic!("{error}\n{}", error.stack),
    }
}

fn failure(outcome: Outcome) -> ScriptError {
    outcome
        .result
        .map(|text| text.get().to_owned())
        .unwrap_err()
}

/// Runs the body of an async `main(a, b)` once.
async fn outcome(body: &str) -> Outcome {
    context(&main_of(body)).run(call(json!({ "a": 1 }))).await
}

async fn result(body: &str) -> Value {
    value(&outcome(body).await)
}
