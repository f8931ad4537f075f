//! What the harness promises the other files: its peer, cable, databases and browser do what they say.
//! Nothing here starts windsock.

use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, protocol::CloseFrame},
};

use crate::harness::{Browser, Cutter, Database, Need, Peer, ready};

#[actix::test]
async fn peer_speaks_and_listens() {
    if !ready("harness_itself::peer_speaks_and_listens", &[Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let (mut socket, _) = connect_async(peer.url("/path?q=1")).await.unwrap();
    let connection = peer.accept().await;
    assert_eq!(connection.path, "/path?q=1");
    assert!(connection.header("Sec-WebSocket-Key").is_some());
    assert_eq!(connection.subprotocol, None);
    peer.send(&connection, &["first", "second"]).await;
    let by_turns = json!({"texts": ["even {n}", "odd {n}"]});
    peer.stream(&connection, 7..9, by_turns).await;
    for expected in ["first", "second", "odd 7", "even 8"] {
        let received = socket.next().await.unwrap().unwrap();
        assert_eq!(received, Message::text(expected));
    }
    socket.send(Message::text("from here")).await.unwrap();
    peer.event("the message arrives", |event| event["text"] == "from here")
        .await;
    let goodbye = CloseFrame {
        code: 1001.into(),
        reason: "going".into(),
    };
    socket.close(Some(goodbye)).await.unwrap();
    while socket.next().await.is_some() {}
    drop(socket);
    assert_eq!(peer.close_code(&connection).await, Some(1001));
}

#[actix::test]
async fn peer_refuses_when_told_to_and_closes_with_a_code() {
    if !ready(
        "harness_itself::peer_refuses_when_told_to_and_closes_with_a_code",
        &[Need::Peer],
    ) {
        return;
    }
    let mut peer = Peer::start().await;
    let refuse = json!({"status": 429, "headers": {"Retry-After": "7"}, "times": 1});
    peer.command(json!({"do": "behave", "refuse": refuse}))
        .await;
    let refused = connect_async(peer.url("/")).await.unwrap_err().to_string();
    assert!(refused.contains("429"), "{refused}");
    let told = peer
        .event("it tells so", |event| event["event"] == "refused")
        .await;
    assert_eq!(told["status"], 429);
    let (mut socket, _) = connect_async(peer.url("/")).await.unwrap();
    let connection = peer.accept().await;
    let closing = socket.next();
    peer.close(&connection, 4009, "again, please").await;
    let Some(Ok(Message::Close(Some(frame)))) = closing.await else {
        panic!("no close frame came");
    };
    assert_eq!(u16::from(frame.code), 4009);
}

#[actix::test]
async fn peer_comes_back_on_its_port() {
    if !ready("harness_itself::peer_comes_back_on_its_port", &[Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let (mut socket, _) = connect_async(peer.url("/")).await.unwrap();
    peer.replace().await;
    assert!(socket.next().await.is_none_or(|message| message.is_err()));
    connect_async(peer.url("/")).await.unwrap();
    peer.accept().await;
    peer.kill();
    assert!(connect_async(peer.url("/")).await.is_err());
    let listened_at = peer.start_again().await;
    connect_async(peer.url("/")).await.unwrap();
    assert!(peer.accept().await.at >= listened_at);
}

#[actix::test]
async fn cable_cuts_holds_back_and_mends() {
    if !ready(
        "harness_itself::cable_cuts_holds_back_and_mends",
        &[Need::Peer],
    ) {
        return;
    }
    let mut peer = Peer::start().await;
    let cutter = Cutter::to(peer.port()).await;
    let url = format!("ws://127.0.0.1:{}/", cutter.port());
    let (mut socket, _) = connect_async(&url).await.unwrap();
    let connection = peer.accept().await;
    cutter.black_hole();
    peer.send(&connection, &["held back"]).await;
    let nothing = futures_util::future::poll_immediate(socket.next()).await;
    assert!(nothing.is_none());
    cutter.mend();
    let received = socket.next().await.unwrap().unwrap();
    assert_eq!(received, Message::text("held back"));
    cutter.cut();
    assert!(socket.next().await.is_none_or(|message| message.is_err()));
    assert!(connect_async(&url).await.is_err());
    cutter.mend();
    connect_async(&url).await.unwrap();
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = sql_types::Bool)]
    encrypted: bool,
    #[diesel(sql_type = sql_types::Text)]
    database: String,
}

#[test]
fn each_test_has_a_database_of_its_own_behind_tls() {
    if !ready(
        "harness_itself::each_test_has_a_database_of_its_own_behind_tls",
        &[Need::Postgres],
    ) {
        return;
    }
    let lines = [Database::postgres(), Database::postgres()].map(|database| {
        let mut connection = PgConnection::establish(&database.url()).unwrap();
        let query = "SELECT ssl AS encrypted, current_database()::text AS database \
                     FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        sql_query(query)
            .get_result::<Line>(&mut connection)
            .unwrap()
    });
    assert!(lines.iter().all(|line| line.encrypted));
    assert_ne!(lines[0].database, lines[1].database);
    let plain = Database::postgres().url().replace("require", "disable");
    assert!(PgConnection::establish(&plain).is_err());
}

#[actix::test]
async fn browser_finds_things_as_a_person_names_them() {
    if !ready(
        "harness_itself::browser_finds_things_as_a_person_names_them",
        &[Need::Browser],
    ) {
        return;
    }
    let browser = Browser::start().await;
    let page = r#"data:text/html,<title>Form</title>
        <label for="p">Path</label><input id="p" value="old"><label>Kind <select><option>one<option>two</select></label>
        <button aria-label="Save" onclick="said.textContent = p.value + ' ' + document.querySelector('select').value">
        S</button><p id="said"></p><button style="display: none">Hidden</button>"#;
    browser.open(page).await;
    browser.fill("Path", "u/admin/new").await;
    browser.choose("Kind", "two").await;
    browser.click("Save").await;
    browser.see("u/admin/new two").await;
    assert!(!browser.text().await.contains("Hidden"));
    browser.screenshot("harness").await;
    browser.close().await;
}
