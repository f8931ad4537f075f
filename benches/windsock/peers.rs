//! What windsock is compared with: the smallest loops that do (part of) the same work, each in a process of its own.
//!
//! `peer <kind> <url> <messages> [<database>]` connects, prints a line, reads that many messages and prints what it
//! took. The kinds are the bare limits (`tcp`, `awc`) and the ways others read (`filter-none`, `filter-all`,
//! `transaction`).

use std::{
    fmt,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::Instant,
};

use diesel::{Connection, PgConnection, RunQueryDsl, sql_query, sql_types};
use futures_util::StreamExt;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::measure;

/// A peer as the benchmark sees it.
pub struct Peer {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it and waits until it is connected.
    pub fn start(kind: &str, url: &str, messages: u64, database: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["peer", kind, url, &messages.to_string(), database])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a peer can be started");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut peer = Self { child, output };
        peer.line();
        peer
    }

    /// Waits until it has read everything; gives CPU and wall seconds and how many messages matched.
    pub fn finish(mut self) -> Value {
        let line = self.line();
        let _ = self.child.wait();
        serde_json::from_str(&line).expect("a peer answers in JSON")
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a peer talks");
        line
    }
}

/// The peer's own process.
pub fn run(words: &[String]) {
    let [kind, url, messages, database] = words else {
        panic!("peer <kind> <url> <messages> <database>")
    };
    let messages = messages.parse().expect("a number");
    let what = match kind.as_str() {
        "tcp" => actix_rt::System::new().block_on(tcp(url, messages)),
        "awc" => actix_rt::System::new().block_on(awc(url, messages)),
        "filter-none" => {
            actix_rt::System::new().block_on(tungstenite(url, messages, "ETHUSDT", |_| ()))
        }
        "filter-all" => {
            actix_rt::System::new().block_on(tungstenite(url, messages, "BTCUSDT", |_| ()))
        }
        "transaction" => {
            let mut store = Store::open(database);
            let read = tungstenite(url, messages, "BTCUSDT", move |text| store.put(text));
            actix_rt::System::new().block_on(read)
        }
        other => panic!("unknown peer {other}"),
    };
    println!("{what}");
}

/// From the first message on: connecting is nobody's point here.
struct Clock(Instant, f64);

impl Clock {
    fn start() -> Self {
        println!("connected");
        Self(Instant::now(), measure::cpu(std::process::id()))
    }

    fn stop(&self, matched: u64) -> Value {
        let cpu = measure::cpu(std::process::id()) - self.1;
        json!({"cpu": cpu, "seconds": self.0.elapsed().as_secs_f64(), "matched": matched})
    }
}

/// Reads the bytes and looks at none of them.
async fn tcp(url: &str, messages: u64) -> Value {
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("the source listens");
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the source reads");
    let mut buffer = vec![0; 64 * 1024];
    let answer = stream.read(&mut buffer).await;
    assert!(answer.is_ok_and(|bytes| bytes > 0), "the source upgrades");
    let clock = Clock::start();
    let mut bytes = 0;
    // No message is shorter; the source closes nothing, so the last bytes are told by their number.
    let whole = messages * super::source::text(0, 1).len() as u64;
    while bytes < whole {
        bytes += stream.read(&mut buffer).await.expect("the source sends") as u64;
    }
    clock.stop(0)
}

/// Decodes and counts, with the client windsock itself connects with.
async fn awc(url: &str, messages: u64) -> Value {
    let client = awc::Client::builder()
        .max_http_version(awc::http::Version::HTTP_11)
        .finish();
    let (_, mut framed) = client.ws(url).connect().await.expect("the source upgrades");
    let clock = Clock::start();
    for _ in 0..messages {
        framed
            .next()
            .await
            .expect("the source sends")
            .expect("a frame");
    }
    clock.stop(0)
}

/// Decodes with tokio-tungstenite and checks `s` in one pass with serde: the way to the hand-off of Windmill's listener.
async fn tungstenite(
    url: &str,
    messages: u64,
    wanted: &str,
    mut hand_off: impl FnMut(&str),
) -> Value {
    let (mut socket, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("the source upgrades");
    let clock = Clock::start();
    let mut matched = 0;
    for _ in 0..messages {
        let message = socket
            .next()
            .await
            .expect("the source sends")
            .expect("a frame");
        let text = message.to_text().expect("a text");
        if matches(text, wanted) {
            matched += 1;
            hand_off(text);
        }
    }
    clock.stop(matched)
}

/// Whether the object has `"s": wanted`; the whole text is read, as a superset check has to.
fn matches(text: &str, wanted: &str) -> bool {
    struct Wanted<'a>(&'a str);
    impl<'de> Visitor<'de> for Wanted<'_> {
        type Value = bool;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<bool, M::Error> {
            let mut found = false;
            while let Some(key) = map.next_key::<&str>()? {
                if key == "s" {
                    found = map.next_value::<Value>()? == self.0;
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_map(Wanted(wanted)).unwrap_or_default()
}

/// One transaction of two rows for each message, waited for before the next is read: a model of Windmill's way into
/// its queue.
struct Store(PgConnection);

impl Store {
    fn open(database: &str) -> Self {
        let mut connection = PgConnection::establish(database).expect("PostgreSQL answers");
        for statement in [
            "CREATE TABLE IF NOT EXISTS peer_job (id uuid PRIMARY KEY, workspace_id text NOT NULL, runnable_path text,
             args jsonb, kind text NOT NULL, trigger_path text, permissioned_as text NOT NULL, tag text NOT NULL,
             created_at timestamptz NOT NULL DEFAULT now())",
            "CREATE TABLE IF NOT EXISTS peer_queue (id uuid PRIMARY KEY, workspace_id text NOT NULL,
             running boolean NOT NULL DEFAULT false, scheduled_for timestamptz NOT NULL DEFAULT now(),
             tag text NOT NULL, priority smallint)",
            "CREATE INDEX IF NOT EXISTS peer_queue_next ON peer_queue (priority DESC NULLS LAST, scheduled_for, tag)
             WHERE running = false",
        ] {
            sql_query(statement).execute(&mut connection).expect("a table can be made");
        }
        Self(connection)
    }

    fn put(&mut self, text: &str) {
        let id = uuid::Uuid::now_v7().to_string();
        let args = json!({"msg": text}).to_string();
        let stored = self.0.transaction(|connection| {
            sql_query(
                "INSERT INTO peer_job (id, workspace_id, runnable_path, args, kind, trigger_path, permissioned_as, tag)
                 VALUES ($1::uuid, 'main', 'u/admin/script', $2::jsonb, 'script', 'u/admin/trigger', 'u/admin', 'main')",
            )
            .bind::<sql_types::Text, _>(&id)
            .bind::<sql_types::Text, _>(args)
            .execute(connection)?;
            sql_query("INSERT INTO peer_queue (id, workspace_id, tag) VALUES ($1::uuid, 'main', 'main')")
                .bind::<sql_types::Text, _>(&id)
                .execute(connection)
        });
        stored.expect("two rows can be stored");
    }
}
