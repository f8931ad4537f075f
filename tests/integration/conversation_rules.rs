//! Rules of a conversation: answers by text and by runnable, once, without a job, in their order, and stored values.

use serde_json::{Value, json};

use crate::harness::{Database, Need, Peer, TestApp, on_both_databases, ready, wait_for};

on_both_databases!(
    needs: [Need::Peer],
    tests: [
        runnables_answer_in_order_and_failures_are_counted,
        an_answer_whose_connection_is_gone_is_counted_and_not_sent,
        stored_value_is_there_for_the_next_first_message,
    ]
);

const SCRIPT: &str = "u/admin/take";
const TRIGGER: &str = "f/rules/one";

async fn start(database: Database) -> (TestApp, Peer) {
    let app = TestApp::start(database).await;
    let content = "export async function main(msg: string) { return msg; }";
    app.create_script(SCRIPT, "nativets", content).await;
    (app, Peer::start().await)
}

fn on(kind: &str) -> Value {
    json!({"filters": [{"key": "kind", "value": kind}]})
}

async fn create(app: &TestApp, peer: &Peer, mut more: Value) {
    more["reconnect"] = json!({"initial_delay_ms": 10, "max_delay_ms": 50});
    app.create_trigger(TRIGGER, SCRIPT, &peer.url("/"), more)
        .await;
}

async fn send_kinds(peer: &mut Peer, number: u64, kinds: &[&str]) {
    let texts: Vec<String> = kinds
        .iter()
        .map(|kind| json!({"kind": kind}).to_string())
        .collect();
    let command = json!({"do": "send", "to": number, "texts": texts});
    peer.command(command).await;
}

/// Answers with the message's kind: a slow one waits for its gate, a bad one fails.
const ANSWER: &str = r#"import { getVariable } from "windmill-client";
export async function main(msg: string, prefix: string) {
    const { kind } = JSON.parse(msg);
    if (kind === "bad") throw new Error("no answer to that");
    while (kind === "slow" && await getVariable("u/admin/gate") !== "open") {
        await new Promise((done) => setTimeout(done, 50));
    }
    return prefix + kind;
}"#;

fn gate(value: &str) -> Value {
    json!({"path": "u/admin/gate", "value": value, "is_secret": false, "description": ""})
}

/// The runnable that answers, its gate shut; gives what a rule says of it.
async fn create_answer(app: &TestApp) -> Value {
    let shut = app.post("variables/create", &gate("shut")).await;
    shut.expect(201);
    app.create_script("u/admin/answer", "nativets", ANSWER)
        .await;
    json!({"path": "u/admin/answer", "args": {"prefix": "it is "}, "is_flow": false})
}

async fn open_gate(app: &TestApp) {
    let opened = gate("open");
    let answer = app.post("variables/update/u/admin/gate", &opened).await;
    answer.expect(200);
}

async fn runnables_answer_in_order_and_failures_are_counted(database: Database) {
    let (app, mut peer) = start(database).await;
    let answer = create_answer(&app).await;
    let rule = |kind: &str| json!({"on": on(kind), "send_runnable": answer, "trigger": false});
    let more = json!({"conversation": [
        rule("slow"), rule("fast"), rule("bad"),
        {"on": on("now"), "send": "at once", "trigger": false},
    ]});
    create(&app, &peer, more).await;
    let connection = peer.accept().await;
    send_kinds(
        &mut peer,
        connection.number,
        &["slow", "bad", "fast", "now"],
    )
    .await;
    // A text waits for no runnable.
    assert_eq!(peer.said(&connection, 1).await, ["at once"]);
    // The fast answer is there before the slow one, and waits for it.
    wait_for("the fast answer is there", async || {
        let jobs = app
            .completed("script_path_exact=u/admin/answer&success=true")
            .await;
        (jobs.len() == 1).then_some(()).ok_or("not yet".into())
    })
    .await;
    assert_eq!(peer.said(&connection, 1).await.len(), 1);
    open_gate(&app).await;
    let texts = peer.said(&connection, 3).await;
    assert_eq!(texts, ["at once", "it is slow", "it is fast"]);
    let status = app.status(TRIGGER).await;
    assert_eq!(status["reply_failed"], 1, "{status}");
    assert_eq!(status["replied"], 2, "{status}");
    // The log is written a second late at most.
    wait_for("the log says why", async || {
        let log = format!("websocket_triggers/log/{TRIGGER}");
        let log = app.get(&log).await.expect(200).json().to_string();
        let says = log.contains("unanswered") && log.contains("no answer to that");
        says.then_some(()).ok_or(log)
    })
    .await;
    assert_eq!(status["handled"], 4, "{status}");
    assert_eq!(status["matched"], 0, "{status}");
}

async fn an_answer_whose_connection_is_gone_is_counted_and_not_sent(database: Database) {
    let (app, mut peer) = start(database).await;
    let answer = create_answer(&app).await;
    let rule = json!({"on": on("slow"), "send_runnable": answer, "trigger": false});
    create(&app, &peer, json!({"conversation": [rule]})).await;
    let first = peer.accept().await;
    send_kinds(&mut peer, first.number, &["slow"]).await;
    wait_for("the runnable is at it", async || {
        let running = app.jobs("running=true").await;
        (running.len() == 1).then_some(()).ok_or("not yet".into())
    })
    .await;
    peer.close(&first, 1000, "").await;
    let second = peer.accept().await;
    open_gate(&app).await;
    let counted = |status: &Value| status["reply_undeliverable"] == 1;
    let status = app
        .wait_for_status(TRIGGER, "the answer is counted", counted)
        .await;
    assert_eq!(status["reply_failed"], 0, "{status}");
    // The new connection hears what it asks for, and nothing else.
    send_kinds(&mut peer, second.number, &["slow"]).await;
    assert_eq!(peer.said(&second, 1).await, ["it is slow"]);
}

async fn stored_value_is_there_for_the_next_first_message(database: Database) {
    let (app, mut peer) = start(database).await;
    let more = json!({
        "initial_messages": [
            {"await_message": on("challenge")},
            {"raw_message": r#"{"proof":{{vars.nonce}}}"#},
        ],
        "conversation": [
            {"on": on("challenge"), "set": {"nonce": "nonce"}, "trigger": false},
        ],
    });
    create(&app, &peer, more).await;
    for nonce in ["n-1", "n-2"] {
        let connection = peer.accept().await;
        let challenge = json!({"kind": "challenge", "nonce": nonce}).to_string();
        peer.send(&connection, &[challenge]).await;
        let proof = json!({"proof": nonce}).to_string();
        assert_eq!(peer.said(&connection, 1).await, [proof]);
        app.wait_until_listening(TRIGGER).await;
        peer.command(json!({"do": "drop", "to": connection.number}))
            .await;
    }
}

#[actix::test]
async fn once_is_once_a_connection_and_every_matching_rule_fires() {
    if !ready("once", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = start(Database::sqlite()).await;
    let more = json!({"conversation": [
        {"on": on("a"), "send": "only the first", "once": true},
        {"on": {"filters": [{"any_of": [{"key": "kind", "value": "a"}, {"key": "kind", "value": "b"}]}]},
         "send": r#"{"n":{{counter()}},"was":{{msg.kind}}}"#, "trigger": false},
    ]});
    create(&app, &peer, more).await;
    for _ in 0..2 {
        let connection = peer.accept().await;
        send_kinds(&mut peer, connection.number, &["a", "a", "b", "other"]).await;
        let texts = peer.said(&connection, 4).await;
        let rest = [
            r#"{"n":1,"was":"a"}"#,
            r#"{"n":2,"was":"a"}"#,
            r#"{"n":3,"was":"b"}"#,
        ];
        assert_eq!(texts[0], "only the first");
        assert_eq!(texts[1..], rest);
        peer.command(json!({"do": "drop", "to": connection.number}))
            .await;
    }
    let jobs = wait_for("the other ones are jobs", async || {
        let jobs = app.completed(&format!("script_path_exact={SCRIPT}")).await;
        (jobs.len() >= 2)
            .then_some(jobs.len())
            .ok_or("not yet".into())
    })
    .await;
    assert_eq!(jobs, 2);
    let status = app.status(TRIGGER).await;
    assert_eq!(status["handled"], 6, "{status}");
    assert_eq!(status["matched"], 2, "{status}");
}

/// An answer waits for its message's turn with the filters, not for another message.
#[actix::test]
async fn answer_to_a_message_that_triggers_nothing_does_not_wait() {
    if !ready("answer_without_a_job", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = start(Database::sqlite()).await;
    let more = json!({
        "filters": [{"key": "wanted", "value": true}],
        "conversation": [{"on": on("ask"), "send": "an answer", "set": {"asked": "kind"}}],
    });
    create(&app, &peer, more).await;
    let connection = peer.accept().await;
    // Long enough that its filters still look at it when the next one comes; in the end they do not want it.
    let padding = "x".repeat(2_000_000);
    let long = format!(r#"{{"other":{{"wanted":true}},"padding":"{padding}"}}"#);
    for round in 1..=10 {
        peer.send(&connection, &[&*long, r#"{"kind":"ask"}"#]).await;
        peer.said(&connection, round).await;
    }
    let status = app.status(TRIGGER).await;
    assert_eq!(status["unmatched"], 20, "{status}");
}

#[actix::test]
async fn close_codes_without_an_action_of_their_own_take_the_default() {
    if !ready("default_close", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = start(Database::sqlite()).await;
    let more = json!({"on_close": {"1001": "reconnect", "default": "disable"}});
    create(&app, &peer, more).await;
    let first = peer.accept().await;
    peer.close(&first, 1001, "going away").await;
    let second = peer.accept().await;
    peer.close(&second, 4321, "never again").await;
    let status = app.wait_for_error(TRIGGER, "4321: never again").await;
    assert_eq!(status["state"], "disabled", "{status}");
}

/// The codes that no frame carries (RFC 6455 section 7.1.5).
#[actix::test]
async fn ends_without_a_close_code_have_actions_too() {
    if !ready("ends_without_a_code", &[Need::Peer]) {
        return;
    }
    let (app, mut peer) = start(Database::sqlite()).await;
    let more = json!({"on_close": {"1005": "reconnect", "1006": "disable"}});
    create(&app, &peer, more).await;
    let first = peer.accept().await;
    // A close frame without a code.
    peer.command(json!({"do": "raw", "to": first.number, "hex": "8800"}))
        .await;
    let second = peer.accept().await;
    peer.command(json!({"do": "drop", "to": second.number}))
        .await;
    app.wait_for_status(TRIGGER, "it is disabled", |status| {
        status["state"] == "disabled"
    })
    .await;
}
