//! What needs a real connection: the live socket, and clients that go away.

use std::{net::TcpListener, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{
        Error as WsError, Message,
        client::IntoClientRequest as _,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{Board, HELD, NewJob, ROOT, Runnable, State, parts, person, script, server, trigger};
use crate::api::{Listeners, Stopping};
use crate::{
    access::{self, Caller, NewToken},
    config::Config,
    db::{
        account,
        job_list::{self, AnyJob, JobFilter, Window},
        user::{self, UserRow},
    },
    queue::{Args, Queue},
    trigger::status::Verdict,
    types::Timestamp,
};

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server on a port of its own.
struct Served {
    address: String,
    queue: Queue,
    board: Board,
    pool: crate::db::Pool,
    stopping: Stopping,
    handle: actix_web::dev::ServerHandle,
    _folder: tempfile::TempDir,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Served {
    async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let (mut parts, _, folder) = parts().await;
        let mut config = (*parts.config).clone();
        change(&mut config);
        parts.config = config.into();
        let (queue, board, pool) = (parts.queue.clone(), parts.board.clone(), parts.pool.clone());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let listeners = Listeners {
            public: listener,
            tls: None,
            inside: None,
        };
        let state = State::new(parts);
        let stopping = state.stopping();
        let server = server(state, listeners).unwrap();
        let handle = server.handle();
        actix_rt::spawn(server);
        Self {
            address,
            queue,
            board,
            pool,
            stopping,
            handle,
            _folder: folder,
        }
    }

    async fn post(&self, path: &str, body: &Value) {
        let answer = awc::Client::default()
            .post(format!("http://{}/api/w/main/{path}", self.address))
            .bearer_auth(ROOT)
            .send_json(body)
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 201, "{path}");
    }

    /// A person without rights of her own to speak of, and her token.
    async fn ann(&self, wanted: NewToken) -> String {
        let token = self.pool.run(|conn| {
            account::insert(conn, &person("ann", "ann@example.com"))?;
            let caller = Caller {
                email: "ann@example.com".to_owned(),
                ..Caller::default()
            };
            user::insert(
                conn,
                &UserRow {
                    workspace_id: "main".to_owned(),
                    username: "ann".to_owned(),
                    email: caller.email.clone(),
                    is_admin: false,
                    operator: false,
                    disabled: false,
                    created_at: Timestamp::now(),
                },
            )?;
            access::new_token(conn, &caller, wanted)
        });
        token.await.unwrap()
    }

    async fn shut_ann_out(&self) {
        let shut_out = awc::Client::default()
            .post(format!(
                "http://{}/api/w/main/users/update/ann",
                self.address
            ))
            .bearer_auth(ROOT)
            .send_json(&json!({"disabled": true}));
        assert_eq!(shut_out.await.unwrap().status().as_u16(), 200);
    }

    async fn live(
        &self,
        header: (&'static str, &str),
        origin: Option<&str>,
    ) -> Result<Socket, WsError> {
        let url = format!("ws://{}/api/w/main/websocket_triggers/live", self.address);
        let mut request = url.into_client_request().unwrap();
        request
            .headers_mut()
            .insert(header.0, header.1.parse().unwrap());
        if let Some(origin) = origin {
            request
                .headers_mut()
                .insert("origin", origin.parse().unwrap());
        }
        tokio_tungstenite::connect_async(request)
            .await
            .map(|(socket, _)| socket)
    }
}

/// Reads until `wanted` says that this is it.
async fn until(socket: &mut Socket, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let found = async {
        while let Some(message) = socket.next().await {
            if let Message::Text(text) = message.unwrap() {
                let event: Value = serde_json::from_str(&text).unwrap();
                if wanted(&event) {
                    return event;
                }
            }
        }
        panic!("closed before {what}");
    };
    tokio::time::timeout(DEADLINE, found)
        .await
        .unwrap_or_else(|_| panic!("no {what}"))
}

/// Reads until the server closes; what it says then.
async fn closed(socket: &mut Socket) -> CloseFrame {
    let closed = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.unwrap(),
                Some(Ok(_)) => {}
                other => panic!("no close: {other:?}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, closed).await.unwrap()
}

#[actix_rt::test]
async fn a_browser_sees_statuses_jobs_and_messages_as_they_come() {
    let served = Served::start().await;
    served
        .post("websocket_triggers/create", &trigger("u/admin/t"))
        .await;
    let bearer = format!("Bearer {ROOT}");
    let mut socket = served.live(("authorization", &bearer), None).await.unwrap();
    let state = |path: &'static str, state: &'static str| {
        move |event: &Value| event["path"] == path && event["status"]["state"] == state
    };
    until(
        &mut socket,
        "status at the start",
        state("u/admin/t", "connecting"),
    )
    .await;

    let live = served.board.entry("main", "u/admin/t");
    live.listening(false);
    let status = until(
        &mut socket,
        "status that changed",
        state("u/admin/t", "listening"),
    )
    .await;
    assert_eq!(status["status"]["server_id"], "server");
    served
        .board
        .entry("other", "u/admin/hidden")
        .listening(false);

    served
        .post("websocket_triggers/create", &trigger("u/admin/second"))
        .await;
    let created = until(&mut socket, "news of a trigger", |event| {
        event["type"] == "trigger"
    })
    .await;
    assert_eq!(
        created,
        json!({"type": "trigger", "op": "created", "path": "u/admin/second"})
    );

    let runnable = Runnable::Preview {
        path: Some("u/admin/s".into()),
        language: crate::types::Language::Bash,
        content: "echo 1".to_owned(),
    };
    let job = NewJob::new(
        "main".into(),
        runnable,
        Args::Object("{}".to_owned()),
        "admin",
    );
    let id = job.id;
    served.queue.push(vec![job]).await.unwrap();
    let queued = until(&mut socket, "job", |event| event["type"] == "job").await;
    assert_eq!(
        (&queued["id"], &queued["state"]),
        (&json!(id), &json!("queued"))
    );

    let tail = json!({"tail": "u/admin/t"}).to_string();
    socket.send(Message::text(tail)).await.unwrap();
    let deadline = std::time::Instant::now() + DEADLINE;
    while !live.is_tailed() {
        assert!(std::time::Instant::now() < deadline, "nobody follows");
        tokio::task::yield_now().await;
    }
    served.board.sample(
        &live,
        ("hello", 5),
        (Verdict::Matched, Timestamp::now()),
        || None,
    );
    let message = until(&mut socket, "message", |event| event["type"] == "message").await;
    assert_eq!(
        (&message["text"], &message["verdict"]),
        (&json!("hello"), &json!("matched"))
    );
    drop(socket);
    while live.is_tailed() {
        assert!(
            std::time::Instant::now() < deadline,
            "somebody still follows"
        );
        tokio::task::yield_now().await;
    }
    served.handle.stop(false).await;
}

#[actix_rt::test]
async fn the_live_socket_is_for_the_own_page_and_known_people() {
    let served = Served::start().await;
    let session = served
        .pool
        .run(|conn| crate::access::new_session(conn, Some(ROOT), ROOT));
    let cookie = format!("token={}", session.await.unwrap().unwrap());
    let own = format!("http://{}", served.address);
    for (header, origin, status) in [
        (("x-nothing", "x"), None, Some(401)),
        (("authorization", "Bearer wrong"), None, Some(401)),
        (
            ("cookie", cookie.as_str()),
            Some("http://evil.example"),
            Some(403),
        ),
        (("cookie", cookie.as_str()), Some(own.as_str()), None),
    ] {
        let refused = match served.live(header, origin).await {
            Err(WsError::Http(answer)) => Some(answer.status().as_u16()),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        };
        assert_eq!(refused, status, "{} {origin:?}", header.0);
    }
    served.handle.stop(false).await;
}

#[actix_rt::test]
async fn who_is_shut_out_sees_no_more_on_an_open_socket() {
    let served = Served::start().await;
    let token = served.ann(NewToken::default()).await;
    let bearer = format!("Bearer {token}");
    let mut socket = served.live(("authorization", &bearer), None).await.unwrap();
    served.shut_ann_out().await;
    let frame = closed(&mut socket).await;
    assert_eq!(frame.reason, "the session has ended");
    served.handle.stop(false).await;
}

/// Else its page says nothing before the process has ended, and the stop waits for whoever has one open.
#[actix_rt::test]
async fn a_server_that_stops_says_so_on_every_live_socket() {
    // What has begun may take longer than this test waits.
    let served = Served::start_with(|config| config.limits.drain = 4 * DEADLINE).await;
    let bearer = format!("Bearer {ROOT}");
    let mut socket = served.live(("authorization", &bearer), None).await.unwrap();
    served.stopping.begin();
    assert_eq!(closed(&mut socket).await.code, CloseCode::Away);
    let refused = served.live(("authorization", &bearer), None).await;
    let Err(WsError::Http(answer)) = refused else {
        panic!("a server that stops takes a live socket");
    };
    assert_eq!(answer.status().as_u16(), 503);
    // An open page does not keep it: nothing is waited for.
    let stopped = tokio::time::timeout(DEADLINE, served.handle.stop(true)).await;
    stopped.expect("the stop waits for nobody");
}

/// What a token is for is what an open socket shows: triggers, and no jobs.
#[actix_rt::test]
async fn a_token_without_a_scope_for_jobs_is_shown_none() {
    let served = Served::start().await;
    let wanted = NewToken {
        scopes: Some(vec!["websocket_triggers:read".to_owned()]),
        ..NewToken::default()
    };
    let bearer = format!("Bearer {}", served.ann(wanted).await);
    let mut socket = served.live(("authorization", &bearer), None).await.unwrap();
    let runnable = Runnable::Script {
        path: "u/ann/s".into(),
        hash: None,
    };
    let job = NewJob::new("main".into(), runnable, Args::Object("{}".into()), "ann");
    served.queue.push(vec![job]).await.unwrap();
    served
        .post("websocket_triggers/create", &trigger("u/ann/t"))
        .await;
    until(&mut socket, "news of the trigger", |event| {
        assert_ne!(event["type"], "job", "{event}");
        event["type"] == "trigger" && event["path"] == "u/ann/t"
    })
    .await;
    served.handle.stop(false).await;
}

/// An answer that goes on ends, too, when whoever asked is shut out: that of a job that runs, and of a trial.
#[actix_rt::test]
async fn who_is_shut_out_follows_nothing_any_more() {
    let served = Served::start().await;
    let token = served.ann(NewToken::default()).await;
    let runnable = Runnable::Script {
        path: "u/ann/s".into(),
        hash: None,
    };
    let job = NewJob::new("main".into(), runnable, Args::Object("{}".into()), "ann");
    let id = job.id;
    served.queue.push(vec![job]).await.unwrap();
    let client = awc::Client::builder().timeout(DEADLINE).finish();
    let at = format!("http://{}/api/w/main", served.address);
    let updates = client
        .get(format!("{at}/jobs_u/getupdate_sse/{id}"))
        .bearer_auth(&token)
        .send();
    let mut updates = updates.await.unwrap();
    assert_eq!(updates.status().as_u16(), 200);
    let first = updates.next().await.unwrap().unwrap();
    assert!(first.starts_with(b"data: {"), "{first:?}");
    let body = trigger(HELD);
    let trial = client
        .post(format!("{at}/websocket_triggers/try?seconds=600"))
        .bearer_auth(&token)
        .send_json(&body);
    let mut trial = trial.await.unwrap();
    assert_eq!(trial.status().as_u16(), 200);

    served.shut_ann_out().await;
    let rest = async {
        let mut text = Vec::new();
        while let Some(piece) = updates.next().await {
            text.extend_from_slice(&piece.unwrap());
        }
        while let Some(piece) = trial.next().await {
            piece.unwrap();
        }
        String::from_utf8(text).unwrap()
    };
    let begun = std::time::Instant::now();
    let rest = tokio::time::timeout(DEADLINE, rest).await.unwrap();
    assert!(rest.contains("no valid token"), "{rest}");
    // By itself a stream of updates ends after 30 s.
    assert!(begun.elapsed() < Duration::from_secs(25), "{rest}");
    served.handle.stop(false).await;
}

#[actix_rt::test]
async fn a_client_that_goes_away_cancels_the_job_it_waits_for() {
    let served = Served::start().await;
    served.post("scripts/create", &script("u/admin/s")).await;
    let mut client = TcpStream::connect(&served.address).await.unwrap();
    let request = format!(
        "POST /api/w/main/jobs/run_wait_result/p/u/admin/s HTTP/1.1\r\nhost: {}\r\n\
         authorization: Bearer {ROOT}\r\ncontent-length: 2\r\n\r\n{{}}",
        served.address
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let filter = JobFilter {
        workspace: "main".to_owned(),
        ..JobFilter::default()
    };
    let window = Window {
        offset: 0,
        limit: 10,
        descending: true,
    };
    let deadline = std::time::Instant::now() + DEADLINE;
    let mut client = Some(client);
    loop {
        assert!(
            std::time::Instant::now() < deadline,
            "the job was not canceled"
        );
        let filter = filter.clone();
        let jobs = served.pool.run(move |conn| {
            let mut ids = job_list::queue_ids(conn, &filter, window)?;
            ids.extend(job_list::completed_ids(conn, &filter, window)?);
            job_list::by_ids(conn, &ids, false)
        });
        match jobs.await.unwrap().pop() {
            Some(AnyJob::Completed(row)) => {
                assert_eq!(row.canceled_by.as_deref(), Some("admin"));
                break;
            }
            Some(AnyJob::Queued(_)) => drop(client.take()),
            None => {}
        }
    }
    served.handle.stop(false).await;
}

#[actix_rt::test]
async fn who_sends_a_body_byte_by_byte_is_let_go() {
    let served =
        Served::start_with(|config| config.limits.body_wait = Duration::from_secs(1)).await;
    let mut client = TcpStream::connect(&served.address).await.unwrap();
    // Nobody needs to be known for it.
    let head = format!(
        "POST /api/auth/login HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000\r\n\r\n",
        served.address
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut reads, mut writes) = client.split();
    let mut every = tokio::time::interval(Duration::from_millis(100));
    let drips = async {
        while writes.write_all(b" ").await.is_ok() {
            every.tick().await;
        }
        std::future::pending::<()>().await;
    };
    let mut said = String::new();
    let ended = tokio::time::timeout(DEADLINE, reads.read_to_string(&mut said));
    tokio::select! {
        ended = ended => drop(ended.expect("the connection stays open")),
        () = drips => unreachable!(),
    }
    assert!(
        said.starts_with("HTTP/1.1 400") && said.contains("did not come within 1 s"),
        "{said}"
    );
    served.handle.stop(false).await;
}
