//! What goes back to the peer: results of jobs, on the connection their message came on, or counted.

use diesel::{Connection as _, RunQueryDsl, SqliteConnection, sql_query};
use serde_json::{Value, json};

use crate::harness::{Database, Need, Peer, TestApp, on_both_databases, ready};

on_both_databases!(
    needs: [Need::Peer],
    tests: [
        results_go_back_as_they_are,
        error_results_go_back_only_when_wanted,
        result_without_its_connection_is_counted,
        result_of_a_disabled_trigger_is_counted,
        a_trigger_that_gets_another_path_keeps_its_connection,
    ]
);

const SCRIPT: &str = "u/admin/answer";
const TRIGGER: &str = "f/replies/one";

/// Returns the value in the message, or fails with it.
const ANSWER: &str = "export async function main(msg: string) {
    const { value, fail } = JSON.parse(msg);
    if (fail) throw new Error(fail);
    return value;
}";

/// Gives the message back once the variable says `open`.
const WAIT_FOR_THE_GATE: &str = r#"import { getVariable } from "windmill-client";
export async function main(msg: string) {
    while (await getVariable("u/admin/gate") !== "open") await new Promise((done) => setTimeout(done, 50));
    return msg;
}"#;

async fn set_gate(app: &TestApp, value: &str, route: &str) {
    let body =
        json!({"path": "u/admin/gate", "value": value, "is_secret": false, "description": ""});
    app.post(&format!("variables/{route}"), &body).await;
}

async fn start(database: Database, script: &str, error_results: bool) -> (TestApp, Peer) {
    let (app, peer) = (TestApp::start(database).await, Peer::start().await);
    set_gate(&app, "shut", "create").await;
    app.create_script(SCRIPT, "nativets", script).await;
    let more = json!({
        "can_return_message": true, "can_return_error_result": error_results,
        "reconnect": {"initial_delay_ms": 10, "max_delay_ms": 50},
    });
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
    (app, peer)
}

async fn results_go_back_as_they_are(database: Database) {
    let (app, mut peer) = start(database, ANSWER, false).await;
    let connection = peer.accept().await;
    for (value, answer) in [
        (r#""a \"text\"""#, r#"a "text""#),
        (r#"{"b":[1,null],"a":1.5}"#, r#"{"b":[1,null],"a":1.5}"#),
        ("false", "false"),
        (r#""""#, ""),
    ] {
        let count = peer.events("message").len();
        let message = format!(r#"{{"value":{value}}}"#);
        // Null is no answer: what comes next is the answer to the second message.
        peer.send(&connection, &[r#"{"value":null}"#, &message])
            .await;
        let texts = peer.said(&connection, count + 1).await;
        assert_eq!(texts[count], answer);
    }
    app.wait_for_status(TRIGGER, "four replies", |status| status["replied"] == 4)
        .await;
}

async fn error_results_go_back_only_when_wanted(database: Database) {
    let (app, mut peer) = start(database, ANSWER, true).await;
    let connection = peer.accept().await;
    peer.send(&connection, &[r#"{"fail":"no such order"}"#])
        .await;
    let texts = peer.said(&connection, 1).await;
    let error: Value = serde_json::from_str(texts[0].as_str().unwrap()).unwrap();
    assert_eq!(error["error"]["message"], "no such order", "{error}");
    let path = format!("websocket_triggers/get/{TRIGGER}");
    let mut body = app.get(&path).await.expect(200).json();
    body["can_return_error_result"] = json!(false);
    app.post(&format!("websocket_triggers/update/{TRIGGER}"), &body)
        .await
        .expect(200);
    let failed = async || app.completed("success=false").await.len();
    peer.send(&connection, &[r#"{"fail":"again"}"#]).await;
    crate::harness::wait_for("the second job fails", async || {
        (failed().await == 2).then_some(()).ok_or("not yet".into())
    })
    .await;
    peer.send(&connection, &[r#"{"value":"last"}"#]).await;
    assert_eq!(peer.said(&connection, 2).await[1], "last");
    assert_eq!(peer.connections().len(), 1, "the edit kept the connection");
}

async fn result_without_its_connection_is_counted(database: Database) {
    let (app, mut peer) = start(database, WAIT_FOR_THE_GATE, false).await;
    let first = peer.accept().await;
    peer.send(&first, &["of the first"]).await;
    app.wait_for_status(TRIGGER, "it is a job", |status| status["enqueued"] == 1)
        .await;
    peer.command(json!({"do": "drop", "to": first.number}))
        .await;
    let second = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    set_gate(&app, "open", "update/u/admin/gate").await;
    app.wait_for_status(TRIGGER, "it is counted", |status| {
        status["reply_undeliverable"] == 1
    })
    .await;
    peer.send(&second, &["of the second"]).await;
    assert_eq!(peer.said(&second, 1).await, ["of the second"]);
}

async fn result_of_a_disabled_trigger_is_counted(database: Database) {
    let (app, mut peer) = start(database, WAIT_FOR_THE_GATE, false).await;
    let connection = peer.accept().await;
    peer.send(&connection, &["too late"]).await;
    app.wait_for_status(TRIGGER, "it is a job", |status| status["enqueued"] == 1)
        .await;
    let disabled = json!({"mode": "disabled"});
    app.post(&format!("websocket_triggers/setmode/{TRIGGER}"), &disabled)
        .await
        .expect(200);
    assert_eq!(peer.close_code(&connection).await, Some(1000));
    set_gate(&app, "open", "update/u/admin/gate").await;
    app.wait_for_status(TRIGGER, "it is counted", |status| {
        status["reply_undeliverable"] == 1
    })
    .await;
}

async fn a_trigger_that_gets_another_path_keeps_its_connection(database: Database) {
    const MOVED: &str = "f/replies/moved";
    let (app, mut peer) = start(database, WAIT_FOR_THE_GATE, false).await;
    let connection = peer.accept().await;
    peer.send(&connection, &["before"]).await;
    app.wait_for_status(TRIGGER, "it is a job", |status| status["enqueued"] == 1)
        .await;
    let mut body = app.get(&format!("websocket_triggers/get/{TRIGGER}")).await;
    body = body.expect(200);
    let mut moved = body.json();
    moved["path"] = json!(MOVED);
    app.post(&format!("websocket_triggers/update/{TRIGGER}"), &moved)
        .await
        .expect(200);
    app.wait_until_listening(MOVED).await;
    set_gate(&app, "open", "update/u/admin/gate").await;
    peer.send(&connection, &["after"]).await;
    let said = peer.said(&connection, 2).await;
    assert!(
        said.contains(&json!("before")) && said.contains(&json!("after")),
        "{said:?}"
    );
    assert_eq!(peer.connections().len(), 1);
    let all = |status: &Value| status["enqueued"] == 2 && status["replied"] == 2;
    let status = app.wait_for_status(MOVED, "all is counted", all).await;
    assert_eq!(status["received"], 2, "{status}");
    let of_new = app.jobs(&format!("trigger_path={MOVED}")).await;
    assert_eq!(
        of_new.len(),
        1,
        "what came after the edit is a job of the new path"
    );
}

/// While the database cannot be written, a connection goes and another one comes: a message keeps its own.
#[actix::test]
async fn message_committed_after_its_connection_is_not_answered_on_the_next() {
    if !ready("message_committed_after_its_connection", &[Need::Peer]) {
        return;
    }
    let database = Database::sqlite();
    let url = database.url();
    let file = url.strip_prefix("sqlite://").unwrap();
    let (app, mut peer) = start(database, ANSWER, false).await;
    let first = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    let mut writer = SqliteConnection::establish(file).unwrap();
    sql_query("PRAGMA busy_timeout = 60000")
        .execute(&mut writer)
        .unwrap();
    sql_query("BEGIN IMMEDIATE").execute(&mut writer).unwrap();
    for n in 1..=3 {
        let message = json!({"value": n}).to_string();
        peer.send(&first, &[message]).await;
        let what = "it waits for its commit";
        app.wait_for_status(TRIGGER, what, |status| status["pending"] == n)
            .await;
    }
    peer.command(json!({"do": "drop", "to": first.number}))
        .await;
    let second = peer.accept().await;
    app.wait_until_listening(TRIGGER).await;
    peer.send(&second, &[r#"{"value":"of the second"}"#]).await;
    app.wait_for_status(TRIGGER, "all wait", |status| status["pending"] == 4)
        .await;
    sql_query("COMMIT").execute(&mut writer).unwrap();
    let what = "every result is accounted for";
    app.wait_for_status(TRIGGER, what, |status| {
        status["reply_undeliverable"] == 3 && status["replied"] == 1
    })
    .await;
    assert_eq!(peer.said(&second, 1).await, ["of the second"]);
}
