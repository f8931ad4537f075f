//! `TestApp`: the real `windsock` binary on a database of the test's own, and a client of its API.

use std::{cell::RefCell, pin::Pin, sync::Arc, time::Duration};

use actix_web::web::Bytes;
use awc::{Client, Connector, error::PayloadError, http::Method};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    Database, PATIENCE,
    authority::trusting,
    server::{Server, Settings, TOKEN},
    wait_for,
};

/// An answer may carry the arguments of thousands of jobs.
const MAX_ANSWER_BYTES: usize = 512 * 1024 * 1024;

/// The largest page the server gives (contract §8).
const PAGE_MAX: usize = 10_000;

/// Below the 5 s after which the server closes an idle connection, so that no request meets a closing one.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// A running server and a client with rights. Killed with all its group when dropped.
pub struct TestApp {
    database: Database,
    folder: TempDir,
    settings: Settings,
    server: Option<Server>,
    client: RefCell<Client>,
    token: Option<String>,
}

impl TestApp {
    /// A server with the usual settings on `database`.
    pub async fn start(database: Database) -> Self {
        Self::start_with(database, Settings::new()).await
    }

    /// A server with settings of its own.
    pub async fn start_with(database: Database, settings: Settings) -> Self {
        let mut app = Self {
            database,
            folder: TempDir::with_prefix("windsock-test-").expect("a temporary folder can be made"),
            settings,
            server: None,
            client: RefCell::new(client(None)),
            token: Some(TOKEN.into()),
        };
        app.start_again().await;
        app
    }

    /// Starts another process on the same database that only runs jobs (PostgreSQL). It ends with its handle.
    pub async fn start_worker(&self, settings: Settings) -> Server {
        let settings = settings.flag("--mode").flag("worker");
        let settings = settings.flag("--base-internal-url").flag(self.url());
        let mut worker = Server::spawn(&settings, &self.database, self.folder.path());
        wait_for("the worker runs", async || worker.listens()).await;
        worker
    }

    /// Starts the server again on the same database, after [`Self::stop`] or [`Self::kill`].
    pub async fn start_again(&mut self) {
        assert!(self.server.is_none(), "the server still runs");
        *self.client.borrow_mut() = client(self.settings.ca_pem());
        let mut server = Server::spawn(&self.settings, &self.database, self.folder.path());
        server.url = wait_for("the server listens", async || server.listens()).await;
        self.server = Some(server);
    }

    /// [`Self::start_again`] with other settings.
    pub async fn start_again_with(&mut self, settings: Settings) {
        self.settings = settings;
        self.start_again().await;
    }

    /// Asks the server to stop, as a service manager does.
    ///
    /// # Panics
    /// When it does not exit with code 0 in time.
    pub async fn stop(&mut self) {
        let server = self.server.take().expect("the server runs");
        // Off this thread: the test's own sockets must go on while the server says goodbye.
        let stopped = actix_web::web::block(move || server.stop()).await;
        stopped.expect("the server stops well");
    }

    /// Kills the server as a power cut would: no goodbye to anyone.
    pub fn kill(&mut self) {
        self.server.take().expect("the server runs").kill();
    }

    /// Sends the server a signal, such as SIGSTOP.
    pub fn signal(&self, which: nix::sys::signal::Signal) {
        self.server().signal(which);
    }

    /// What the server has printed since its last start.
    pub fn output(&self) -> String {
        self.server().output.text()
    }

    /// The link a server without `SUPERADMIN_SECRET` prints for the first visit.
    pub async fn login_link(&self) -> String {
        wait_for("the login link is printed", async || {
            let link = |line: &str| {
                let start = line.find("http")?;
                let link = line[start..].split_whitespace().next()?;
                link.contains("?token=").then(|| link.to_owned())
            };
            self.server().output.find(link).ok_or_else(|| self.output())
        })
        .await
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.server().pid()
    }

    /// Where the server listens, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.server().url
    }

    /// The port the server listens on.
    pub fn port(&self) -> u16 {
        let url = url::Url::parse(self.url()).expect("an address");
        url.port().expect("a port")
    }

    /// The server's process.
    pub fn process_id(&self) -> u32 {
        self.server().process_id()
    }

    /// Sends another token from now on, or none.
    pub fn set_token(&mut self, token: Option<&str>) {
        self.token = token.map(str::to_owned);
    }

    /// Asks for `path`: below the workspace `main`, or from the root when it begins with `/`.
    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, None).await
    }

    /// Posts JSON; paths as in [`Self::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = serde_json::to_vec(body).expect("JSON can be written");
        self.request(Method::POST, path, Some(body)).await
    }

    /// Posts any bytes as if they were JSON; paths as in [`Self::get`].
    pub async fn post_bytes(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.request(Method::POST, path, Some(body.into())).await
    }

    /// Deletes; paths as in [`Self::get`].
    pub async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path, None).await
    }

    /// Sends one request; paths as in [`Self::get`].
    pub async fn request(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Answer {
        let url = match path.strip_prefix('/') {
            Some(path) => format!("{}/{path}", self.url()),
            None => format!("{}/api/w/main/{path}", self.url()),
        };
        let what = format!("{method} {path}");
        let mut request = self.client().request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answered = match body {
            Some(body) => request.content_type("application/json").send_body(body),
            None => request.send(),
        };
        let mut response = answered
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}\n{}", self.output()));
        let body = response.body().limit(MAX_ANSWER_BYTES).await;
        let header = response.headers().get("content-type");
        let content_type = header.and_then(|value| value.to_str().ok()).unwrap_or("");
        Answer {
            status: response.status().as_u16(),
            content_type: content_type.to_owned(),
            text: String::from_utf8_lossy(&body.expect("the whole answer arrives")).into_owned(),
            what,
        }
    }

    /// Posts JSON and reads the answer line by line, as it comes. Dropped, it ends the request.
    pub async fn post_lines(&self, path: &str, body: &Value) -> Streamed {
        let url = format!("{}/api/w/main/{path}", self.url());
        let request = self.client().post(url).bearer_auth(TOKEN).send_json(body);
        let response = request.await.expect("the server answers");
        assert_eq!(response.status(), 200, "{path}");
        Streamed {
            pieces: Box::pin(response),
            rest: Vec::new(),
        }
    }

    /// Adds a user to the workspace, somebody without rights of its own; answers a token.
    pub async fn somebody(&self, name: &str) -> String {
        let (email, password) = (format!("{name}@example.com"), "a-long-enough-password");
        let account =
            json!({"email": email, "password": password, "super_admin": false, "name": name});
        self.post("/api/users/create", &account).await.expect(201);
        let member =
            json!({"email": email, "username": name, "is_admin": false, "operator": false});
        let added = self.post("workspaces/add_user", &member).await;
        assert!(added.status < 300, "{}", added.text);
        let login = json!({"email": email, "password": password});
        self.post("/api/auth/login", &login).await.expect(200).text
    }

    /// Saves a script; returns its hash.
    pub async fn create_script(&self, path: &str, language: &str, content: &str) -> String {
        self.create_script_with(path, language, content, &json!({}))
            .await
    }

    /// [`Self::create_script`] with more fields, such as `timeout`.
    pub async fn create_script_with(
        &self,
        path: &str,
        language: &str,
        content: &str,
        more: &Value,
    ) -> String {
        let mut body = json!({
            "path": path, "summary": "", "description": "", "content": content, "language": language
        });
        merge(&mut body, more);
        self.post("scripts/create", &body).await.expect(201).text
    }

    /// Saves a trigger that runs `script` for each message from `url`, with `more` fields.
    pub async fn create_trigger(&self, path: &str, script: &str, url: &str, more: Value) {
        let body = trigger(path, script, url, more);
        let answer = self.post("websocket_triggers/create", &body).await;
        answer.expect(201);
    }

    /// The trigger's live state.
    pub async fn status(&self, path: &str) -> Value {
        let path = format!("websocket_triggers/status/{path}");
        self.get(&path).await.expect(200).json()
    }

    /// Waits until the trigger's connection stands; gives its status.
    pub async fn wait_until_listening(&self, path: &str) -> Value {
        wait_for(&format!("{path} listens"), async || {
            let status = self.status(path).await;
            match status["state"].as_str() {
                Some("listening") => Ok(status),
                _ => Err(status.to_string()),
            }
        })
        .await
    }

    /// Waits until the trigger shows an error that contains `part`, in whatever case; gives its status.
    pub async fn wait_for_error(&self, path: &str, part: &str) -> Value {
        let fits = |status: &Value| {
            let error = status["error"].as_str().unwrap_or_default();
            error.to_lowercase().contains(&part.to_lowercase())
        };
        self.wait_for_status(path, &format!("an error with {part:?}"), fits)
            .await
    }

    /// Waits for a status that fits `what`; gives it.
    pub async fn wait_for_status(
        &self,
        path: &str,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Value {
        wait_for(&format!("{path}: {what}"), async || {
            let status = self.status(path).await;
            let seen = status.to_string();
            fits(&status).then_some(status).ok_or(seen)
        })
        .await
    }

    /// The jobs of `jobs/list` for a query such as `script_path_exact=u/admin/hello`.
    pub async fn jobs(&self, query: &str) -> Vec<Value> {
        self.list(&format!("jobs/list?{query}")).await
    }

    /// The finished jobs that fit the query.
    pub async fn completed(&self, query: &str) -> Vec<Value> {
        self.list(&format!("jobs/completed/list?{query}")).await
    }

    /// A whole list, page after page.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        for page in 1.. {
            let page = format!("{path}{mark}page={page}&per_page={PAGE_MAX}");
            let answer = self.get(&page).await.expect(200).json();
            let more = answer.as_array().expect("a list is an array");
            items.extend_from_slice(more);
            if more.len() < PAGE_MAX {
                break;
            }
        }
        items
    }

    /// Runs a script by the API; gives the job's id.
    pub async fn run_script(&self, path: &str, args: &Value) -> String {
        let path = format!("jobs/run/p/{path}");
        self.post(&path, args).await.expect(201).text
    }

    /// Waits for the end of a job; gives it as `jobs_u/completed/get` shows it, with its result.
    pub async fn wait_for_job(&self, id: &str) -> Value {
        wait_for(&format!("job {id} completes"), async || {
            self.completed_job(id).await.ok_or("not completed".into())
        })
        .await
    }

    /// A job that has ended; `None` while it has not.
    pub async fn completed_job(&self, id: &str) -> Option<Value> {
        let answer = self.get(&format!("jobs_u/completed/get/{id}")).await;
        (answer.status == 200).then(|| answer.json())
    }

    /// The client, for what the verbs above do not say.
    pub fn client(&self) -> Client {
        self.client.borrow().clone()
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs")
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(server) = &self.server
            && std::thread::panicking()
        {
            eprintln!("--- the server's output\n{}\n---", server.output.text());
        }
    }
}

/// JSON values, one a line, as they come.
pub struct Streamed {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>,
    rest: Vec<u8>,
}

impl Streamed {
    /// The next value; `None` when the answer has ended.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line is JSON"));
            }
            let piece = actix::clock::timeout(PATIENCE, self.pieces.next()).await;
            match piece.expect("another line comes") {
                Some(piece) => self.rest.extend(piece.expect("the answer is whole")),
                None => return None,
            }
        }
    }

    /// Reads on until a value fits; gives all of them, that one last.
    pub async fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let value = self.next().await;
            seen.push(value.unwrap_or_else(|| panic!("{what} did not come: {seen:?}")));
            if seen.last().is_some_and(&fits) {
                return seen;
            }
        }
    }
}

/// What the API answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header, empty when there is none.
    pub content_type: String,
    /// The body.
    pub text: String,
    what: String,
}

impl Answer {
    /// Insists on a status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let Self { what, text, .. } = &self;
        assert_eq!(self.status, status, "{what} answered: {text}");
        self
    }

    /// The body as JSON, which must also be announced as such.
    #[track_caller]
    pub fn json(&self) -> Value {
        let Self { what, text, .. } = self;
        assert_eq!(self.content_type, "application/json", "{what}: {text}");
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"))
    }

    /// Status, content type and text in one line, for snapshots.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.status, self.content_type, self.text)
    }
}

/// The body of a new trigger: every required field, then `more`.
pub fn trigger(path: &str, script: &str, url: &str, more: Value) -> Value {
    let mut body = json!({
        "path": path, "script_path": script, "is_flow": false, "url": url, "filters": [],
        "can_return_message": false, "can_return_error_result": false,
    });
    merge(&mut body, &more);
    body
}

fn merge(body: &mut Value, more: &Value) {
    let more = more.as_object().expect("more fields are an object");
    for (name, value) in more {
        body[name] = value.clone();
    }
}

fn client(ca_pem: Option<&str>) -> Client {
    let connector = Connector::new().conn_keep_alive(KEEP_ALIVE).limit(0);
    let connector = match ca_pem {
        None => connector,
        Some(ca_pem) => connector.rustls_0_23(Arc::new(trusting(ca_pem))),
    };
    Client::builder()
        .connector(connector)
        .timeout(PATIENCE)
        .disable_redirects()
        .finish()
}
