//! The registry and its sockets together, against a server that is not ours.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Addr;
use diesel::RunQueryDsl;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, tungstenite::Message};

use super::{
    Board, Clock, Common, Connections, Dialer, Farewells, FilterPool, Notes, Rates, Reconcile,
    Registry, StopAll, Threads, TriggerState, registry::provoked::Panic, socket::HEALTHY,
};
use crate::{
    config::{DatabaseUrl, Limits, ProxyEnvironment},
    db::Pool,
    queue::Queue,
};

/// How long anything may take before the test fails: it says nothing of how long it should.
const PATIENCE: Duration = Duration::from_secs(60);

type Connection = (String, WebSocketStream<TcpStream>);

/// Accepts for ever; answers the port and the connections with the path each asked for.
async fn server() -> (u16, mpsc::Receiver<Connection>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, connections) = mpsc::channel(16);
    actix_rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut path = String::new();
            #[expect(
                clippy::result_large_err,
                reason = "the library's callback has this shape"
            )]
            let look = |request: &tokio_tungstenite::tungstenite::handshake::server::Request,
                        answer| {
                path = request.uri().path().to_owned();
                Ok(answer)
            };
            if let Ok(socket) = accept_hdr_async(stream, look).await {
                sender.send((path, socket)).await.unwrap();
            }
        }
    });
    (port, connections)
}

async fn next(connections: &mut mpsc::Receiver<Connection>) -> Connection {
    let next = tokio::time::timeout(PATIENCE, connections.recv());
    next.await.expect("no connection came").unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let poll = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.expect(what);
}

fn insert(path: &str, port: u16) -> String {
    insert_with(path, port, "{}")
}

fn insert_with(path: &str, port: u16, options: &str) -> String {
    let url = format!("ws://127.0.0.1:{port}/{path}");
    format!(
        "INSERT INTO triggers (workspace_id, path, script_path, is_flow, url, mode, filters, filter_logic, \
         can_return_message, can_return_error_result, permissioned_as, labels, extra_perms, options, edited_by, \
         edited_at, version) VALUES ('main', 'u/a/{path}', 'u/a/s', FALSE, '{url}', 'enabled', '[]', 'and', \
         FALSE, FALSE, 'u/a', '[]', '{{}}', '{options}', 'a', 0, 1)"
    )
}

/// A registry on a database of its own.
struct World {
    registry: Addr<Registry>,
    pool: Pool,
    board: Board,
    _folder: tempfile::TempDir,
}

impl World {
    /// With these triggers.
    async fn start(rows: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pool = Pool::open(&DatabaseUrl::Sqlite(folder.path().join("t.db")), 2).unwrap();
        let workspace = "INSERT INTO workspaces VALUES ('main', 'main', 'a', 0)";
        execute(&pool, workspace).await;
        for row in rows {
            execute(&pool, row).await;
        }
        let arbiter = actix_rt::Arbiter::current();
        let queue = Queue::start(pool.clone(), Limits::default(), "w".to_owned(), &arbiter);
        let board = Board::new("s");
        let (for_sockets, for_board) = (pool.clone(), board.clone());
        let common = move |exhausted| Common {
            pool: for_sockets,
            queue,
            board: for_board,
            connections: Connections::default(),
            presence: crate::presence::Presence::alone("s"),
            fence: 1,
            dialer: Dialer::new(Some("true"), &ProxyEnvironment::default()).unwrap(),
            clock: Clock::start(),
            farewells: Farewells::default(),
            rates: Rates::default(),
            exhausted,
            notes: Notes::default(),
            limits: Limits::default(),
            echo: false,
        };
        let threads = Threads {
            sockets: vec![arbiter],
            filters: FilterPool::start(1),
        };
        Self {
            registry: Registry::start(common, threads, Duration::from_secs(3_600)),
            pool,
            board,
            _folder: folder,
        }
    }

    fn state(&self, path: &str) -> Option<TriggerState> {
        Some(self.board.status("main", path)?.state)
    }

    /// Sets the options of the trigger at `path`, as an edit does.
    async fn edit(&self, path: &str, options: &str) {
        execute(
            &self.pool,
            &format!("UPDATE triggers SET options = '{options}', version = version + 1 WHERE path = '{path}'"),
        )
        .await;
        self.registry.send(Reconcile).await.unwrap();
    }
}

async fn execute(pool: &Pool, statement: &str) {
    let statement = statement.to_owned();
    pool.run(move |conn| Ok(diesel::sql_query(statement).execute(conn)?))
        .await
        .unwrap();
}

#[actix::test]
async fn the_end_of_a_healthy_connection_is_no_failed_attempt() {
    let (port, mut connections) = server().await;
    let once = r#"{"reconnect": {"initial_delay_ms": 10, "max_delay_ms": 10, "max_attempts": 1}}"#;
    let world = World::start(&[insert_with("one", port, once)]).await;
    let (_, mut first) = next(&mut connections).await;
    let begun = Instant::now();
    until("it has listened well", || begun.elapsed() > HEALTHY * 2).await;
    first.close(None).await.unwrap();
    let _second = next(&mut connections).await;
    until("it listens", || {
        world.state("u/a/one") == Some(TriggerState::Listening)
    })
    .await;
}

#[actix::test]
async fn an_edit_of_the_wait_is_followed_while_it_waits() {
    let (port, mut connections) = server().await;
    let hours = r#"{"reconnect": {"initial_delay_ms": 3600000, "max_delay_ms": 3600000}}"#;
    let world = World::start(&[insert_with("one", port, hours)]).await;
    let (_, mut first) = next(&mut connections).await;
    first.close(None).await.unwrap();
    until("it waits", || {
        world.state("u/a/one") == Some(TriggerState::Backoff)
    })
    .await;
    let soon = r#"{"reconnect": {"initial_delay_ms": 10, "max_delay_ms": 10}}"#;
    world.edit("u/a/one", soon).await;
    next(&mut connections).await;
}

#[actix::test]
async fn an_edit_during_the_handshake_counts_for_its_connection() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::start(&[insert("one", port)]).await;
    let (stream, _) = listener.accept().await.unwrap();
    world
        .edit("u/a/one", r#"{"max_message_bytes": 1000}"#)
        .await;
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    socket.send(Message::text("x".repeat(5_000))).await.unwrap();
    until("it is too large", || {
        let status = world.board.status("main", "u/a/one").unwrap();
        status.dropped.too_large == 1
    })
    .await;
}

#[actix::test]
async fn a_panic_in_one_sockets_actor_restarts_that_trigger_alone() {
    let (port, mut connections) = server().await;
    let world = World::start(&[insert("one", port), insert("two", port)]).await;
    let (registry, shown) = (world.registry.clone(), world.board.clone());
    let (first, second) = (next(&mut connections).await, next(&mut connections).await);
    let (mut one, mut two) = if first.0 == "/one" {
        (first, second)
    } else {
        (second, first)
    };
    for (_, socket) in [&mut one, &mut two] {
        socket.send(Message::text("before")).await.unwrap();
    }
    let live = |path: &str| shown.entry("main", path);
    let (live_one, live_two) = (live("u/a/one"), live("u/a/two"));
    until("both are enqueued", || {
        live_one.enqueued.get() == 1 && live_two.enqueued.get() == 1
    })
    .await;

    registry.send(Panic(Arc::from("u/a/one"))).await.unwrap();

    let (path, mut again) = next(&mut connections).await;
    assert_eq!(path, "/one");
    again.send(Message::text("after")).await.unwrap();
    two.1.send(Message::text("after")).await.unwrap();
    until("both go on, their counters too", || {
        live_one.enqueued.get() == 2 && live_two.enqueued.get() == 2
    })
    .await;
    let state = |path| shown.status("main", path).unwrap().state;
    assert_eq!(state("u/a/one"), TriggerState::Listening);
    assert_eq!(state("u/a/two"), TriggerState::Listening);
    assert!(
        connections.try_recv().is_err(),
        "the other was not connected again"
    );

    registry.send(StopAll).await.unwrap();
    while let Some(Ok(frame)) = two.1.next().await {
        if let Message::Close(reason) = frame {
            assert_eq!(u16::from(reason.unwrap().code), 1001);
        }
    }
}
