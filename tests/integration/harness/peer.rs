//! `Peer`: a foreign WebSocket server, a program of `tests/peers` in its own process: `peer.py` on the Python package
//! `websockets`, or one that plays a certain service.
//!
//! It is steered by one JSON command a line and tells every event the same way; it ends when its stdin closes.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::wait_for;

/// A server somewhere else. Several connections may stand at once, numbered from 1 in the order they came.
pub struct Peer {
    port: u16,
    program: &'static str,
    options: Vec<String>,
    process: Process,
    /// Connections that the test has already taken with [`Self::accept`].
    accepted: usize,
}

/// One connection of a [`Peer`], as its server side sees it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its number at the peer's present process.
    pub number: u64,
    /// The path and query asked for.
    pub path: String,
    /// The request's headers, in order.
    pub headers: Vec<(String, String)>,
    /// What was chosen of the sub-protocols offered.
    pub subprotocol: Option<String>,
    /// Wall clock in seconds.
    pub at: f64,
}

impl Connection {
    /// The first header of that name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

struct Process {
    child: Child,
    stdin: ChildStdin,
    events: Arc<Mutex<Vec<Value>>>,
    last_id: u64,
}

impl Peer {
    /// A server on a port chosen by the system.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With options of `peer.py`, such as `--compression deflate`.
    pub async fn start_with(options: &[&str]) -> Self {
        Self::play("peer.py", options).await
    }

    /// Another program of `tests/peers`: `….py` or `….cjs`.
    pub async fn play(program: &'static str, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let process = Process::spawn(program, &options, 0);
        let port = process.wait_until_listening().await;
        Self {
            port,
            program,
            options,
            process,
            accepted: 0,
        }
    }

    /// Its address with `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the process: every connection breaks, and new ones are refused.
    pub fn kill(&mut self) {
        let _ = self.process.child.kill();
        let _ = self.process.child.wait();
    }

    /// Starts a new process on the same port after [`Self::kill`]; gives the moment it listened.
    pub async fn start_again(&mut self) -> f64 {
        self.process = Process::spawn(self.program, &self.options, self.port);
        self.process.wait_until_listening().await;
        self.accepted = 0;
        self.event("it listens again", |event| event["event"] == "listening")
            .await["at"]
            .as_f64()
            .expect("a moment")
    }

    /// Kills the process when another one already listens on its port; gives the moment of the kill.
    /// So every connection breaks, yet no attempt to connect is refused.
    pub async fn replace(&mut self) -> f64 {
        let successor = Process::spawn(self.program, &self.options, self.port);
        successor.wait_until_listening().await;
        let killed_at = now();
        self.kill();
        self.process = successor;
        self.accepted = 0;
        killed_at
    }

    /// Waits for the next connection that no `accept` has given yet.
    pub async fn accept(&mut self) -> Connection {
        let wanted = self.accepted;
        let event = wait_for("a connection arrives at the peer", async || {
            let events = self.events("accepted");
            let seen = format!("{} connections", events.len());
            events.get(wanted).cloned().ok_or(seen)
        })
        .await;
        self.accepted += 1;
        connection(&event)
    }

    /// Every connection accepted so far.
    pub fn connections(&self) -> Vec<Connection> {
        self.events("accepted").iter().map(connection).collect()
    }

    /// Sends texts, in order.
    pub async fn send<T: AsRef<str>>(&mut self, to: &Connection, texts: &[T]) {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let command = json!({"do": "send", "to": to.number, "texts": texts});
        self.command(command).await;
    }

    /// Begins to send `count` texts with `{n}` replaced by `first`, `first + 1` …, going through `texts` by turns;
    /// answers at once. `pause_ms` lies between two of them.
    pub async fn stream(&mut self, to: &Connection, numbers: std::ops::Range<u64>, what: Value) {
        let mut command = json!({
            "do": "stream", "to": to.number, "first": numbers.start,
            "count": numbers.end - numbers.start, "pause_ms": 0,
        });
        for (name, value) in what.as_object().expect("fields of a stream") {
            command[name] = value.clone();
        }
        self.command(command).await;
    }

    /// Starts the closing handshake with a code.
    pub async fn close(&mut self, to: &Connection, code: u16, reason: &str) {
        self.command(json!({"do": "close", "to": to.number, "code": code, "reason": reason}))
            .await;
    }

    /// Any command of `peer.py`; waits until it is done.
    ///
    /// # Panics
    /// When the peer could not do it.
    pub async fn command(&mut self, mut command: Value) {
        self.process.last_id += 1;
        let id = self.process.last_id;
        command["id"] = json!(id);
        let line = format!("{command}\n");
        let written = self.process.stdin.write_all(line.as_bytes());
        written.expect("the peer reads its commands");
        let done = self
            .event(&format!("the peer does {command}"), |event| {
                event["event"] == "done" && event["id"] == id
            })
            .await;
        assert_eq!(
            done["error"],
            Value::Null,
            "the peer failed to do {command}"
        );
    }

    /// Waits for the first event that fits.
    pub async fn event(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, async || {
            let events = self.process.events.lock().expect("no reader panics");
            let found = events.iter().find(|event| fits(event)).cloned();
            found.ok_or_else(|| format!("last event {:?}", events.last()))
        })
        .await
    }

    /// Waits for the `count`th event of one name; gives it.
    pub async fn nth(&self, name: &str, count: usize) -> Value {
        wait_for(
            &format!("the peer tells `{name}` {count} times"),
            async || {
                let events = self.events(name);
                let found = events.get(count - 1).cloned();
                found.ok_or_else(|| format!("{events:?}"))
            },
        )
        .await
    }

    /// Every event of one name so far: `accepted`, `refused`, `message`, `closed`, `streamed`, `pong`.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let events = self.process.events.lock().expect("no reader panics");
        let named = events.iter().filter(|event| event["event"] == name);
        named.cloned().collect()
    }

    /// Waits until the connection has said `count` texts; gives all it has said.
    pub async fn said(&self, by: &Connection, count: usize) -> Vec<Value> {
        wait_for(&format!("{count} texts arrive at the peer"), async || {
            let messages = self.events("message").into_iter();
            let own = messages.filter(|message| message["connection"] == by.number);
            let texts: Vec<Value> = own.map(|message| message["text"].clone()).collect();
            let seen = format!("{texts:?}");
            (texts.len() >= count).then_some(texts).ok_or(seen)
        })
        .await
    }

    /// Waits for the end of a connection; gives its close code.
    pub async fn close_code(&self, of: &Connection) -> Option<u64> {
        let closed = |event: &Value| event["event"] == "closed" && event["connection"] == of.number;
        let event = self.event("the connection closes", closed).await;
        event["code"].as_u64()
    }
}

impl Process {
    fn spawn(program: &str, options: &[String], port: u16) -> Self {
        let script = source("tests/peers").join(program);
        let mut command = if program.ends_with(".py") {
            Command::new(python())
        } else {
            let mut node = Command::new("node");
            node.env("NODE_PATH", source(NODE_MODULES));
            node
        };
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(script).args(["--port", &port.to_string()]);
        let mut child = command
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 can be started");
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let events = Arc::new(Mutex::new(Vec::new()));
        let collected = events.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).expect("the peer prints JSON");
                collected.lock().expect("no reader panics").push(event);
            }
        });
        Self {
            child,
            stdin,
            events,
            last_id: 0,
        }
    }

    async fn wait_until_listening(&self) -> u16 {
        wait_for("the peer listens", async || {
            let events = self.events.lock().expect("no reader panics");
            let port = events.first().and_then(|event| event["port"].as_u64());
            let port = port.and_then(|port| u16::try_from(port).ok());
            port.ok_or_else(|| format!("{events:?}"))
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Why there can be no peer, if so.
pub fn missing() -> Option<String> {
    static MISSING: OnceLock<bool> = OnceLock::new();
    let missing = *MISSING.get_or_init(|| {
        let mut check = Command::new(python());
        let found = check.args(["-c", "import websockets.asyncio"]).output();
        !found.is_ok_and(|output| output.status.success())
    });
    missing.then(|| "no python3 with the package websockets found".into())
}

/// Why a package of `tests/peers/requirements.txt` cannot be used, if so.
pub fn python_missing(package: &str) -> Option<String> {
    let found = Command::new(python())
        .args(["-c", &format!("import {package}")])
        .output();
    let there = found.is_ok_and(|output| output.status.success());
    (!there).then(|| format!("no python3 with the package {package} found"))
}

/// Why a package of `tests/peers/package.json` cannot be used, if so.
pub fn node_package_missing(package: &str) -> Option<String> {
    let there =
        source(NODE_MODULES).join(package).is_dir() && super::process::in_path("node").is_some();
    (!there).then(|| format!("no node with the package {package} found"))
}

/// Why there can be no peer of `tests/peers/package.json`, if so.
pub fn node_missing() -> Option<String> {
    let installed = source(NODE_MODULES).join("graphql-ws").is_dir();
    let there = installed && super::process::in_path("node").is_some();
    (!there).then(|| "no node with the package graphql-ws found".into())
}

/// Where `tests/run` installs the packages of `tests/peers/package.json`.
pub const NODE_MODULES: &str = "target/node/node_modules";

/// A file or folder of the repository.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The Python that `tests/run` has set up, else the one of the virtual environment beside the sources.
pub fn python() -> PathBuf {
    let set_up = env::var_os("WINDSOCK_TEST_PYTHON").map(PathBuf::from);
    let usual = || source("target/venv/bin/python");
    set_up.unwrap_or_else(usual)
}

fn connection(event: &Value) -> Connection {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let headers = event["headers"].as_array().into_iter().flatten();
    Connection {
        number: event["connection"].as_u64().expect("a number"),
        path: text(&event["path"]),
        headers: headers.map(|h| (text(&h[0]), text(&h[1]))).collect(),
        subprotocol: event["subprotocol"].as_str().map(str::to_owned),
        at: event["at"].as_f64().expect("a moment"),
    }
}

/// The wall clock in seconds, comparable to the `at` of events.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs_f64()
}
