//! A workspace linked to a Windmill has its scripts and flows run there; here a second windsock, which speaks the
//! same API, behind a line that can be cut.

use serde_json::{Value, json};

use crate::harness::{
    Cutter, Database, Need, PATIENCE, Peer, Settings, TOKEN, TestApp, on_both_databases, ready,
    wait_at_most, wait_for,
};

on_both_databases!(
    needs: [],
    tests: [
        jobs_for_a_windmill_that_is_away_keep_nobody_waiting,
        jobs_that_wait_for_room_are_canceled_and_run_here_when_the_link_ends,
    ]
);

const SCRIPT: &str = "u/admin/there";
const READY: &str = "u/admin/ready";
const SHOUT: &str = "export function main(msg: string) {
  console.log(`heard ${msg}`);
  if (msg === 'bad') throw new RangeError('not this one');
  return `${msg}!`;
}";

/// Here, there, and the line between them. Nothing is saved here but the link.
async fn start() -> (TestApp, TestApp, Cutter) {
    start_on(Database::sqlite(), "4").await
}

async fn start_on(database: Database, workers: &str) -> (TestApp, TestApp, Cutter) {
    let settings = Settings::new().flag("--num-workers").flag(workers);
    let settings = settings.env("WINDSOCK_SECRET_KEY", &"k".repeat(40));
    let here = TestApp::start_with(database, settings).await;
    let there = TestApp::start(Database::sqlite()).await;
    let port = there.port();
    let line = Cutter::to(port).await;
    there
        .create_script(READY, "nativets", "export function main() { return 1 }")
        .await;
    there.create_script(SCRIPT, "nativets", SHOUT).await;
    let token =
        json!({"path": "u/admin/token", "value": TOKEN, "is_secret": true, "description": ""});
    here.post("variables/create", &token).await.expect(201);
    let link = json!({
        "base_url": format!("http://127.0.0.1:{}", line.port()),
        "workspace": "main", "token_variable": "u/admin/token",
    });
    here.post("workspaces/remote", &link).await.expect(200);
    wait_for("jobs run there", async || {
        let id = here.run_script(READY, &json!({})).await;
        let job = here.wait_for_job(&id).await;
        let done = job["success"] == true;
        done.then_some(()).ok_or_else(|| job.to_string())
    })
    .await;
    (here, there, line)
}

async fn ran(app: &TestApp, path: &str) -> Vec<Value> {
    app.completed(&format!("script_path_exact={path}")).await
}

#[actix::test]
async fn messages_are_handled_by_scripts_and_flows_of_the_other_side() {
    let name = "messages_are_handled_by_scripts_and_flows_of_the_other_side";
    if !ready(name, &[Need::Peer]) {
        return;
    }
    let (mut here, mut there, _line) = start().await;
    let mut peer = Peer::start().await;
    let replies = json!({"can_return_message": true});
    here.create_trigger("u/admin/feed", SCRIPT, &peer.url("/"), replies)
        .await;
    let connection = peer.accept().await;
    here.wait_until_listening("u/admin/feed").await;
    peer.send(&connection, &["hello", "bad"]).await;
    let said = peer.said(&connection, 1).await;
    assert!(said[0].to_string().contains("hello!"), "{said:?}");
    let jobs = wait_for("both have ended", async || {
        let jobs = ran(&here, SCRIPT).await;
        (jobs.len() == 2)
            .then_some(())
            .ok_or_else(|| format!("{jobs:?}"))?;
        Ok::<_, String>(jobs)
    })
    .await;
    for job in jobs {
        let id = job["id"].as_str().unwrap();
        let job = here.wait_for_job(id).await;
        let logs = here.get(&format!("jobs_u/get_logs/{id}")).await.expect(200);
        assert!(
            logs.text.contains("[windsock: ran in http"),
            "{}",
            logs.text
        );
        assert!(logs.text.contains("heard "), "{}", logs.text);
        if job["success"] == true {
            assert_eq!(job["result"], "hello!");
        } else {
            let error = &job["result"]["error"];
            assert_eq!(error["name"], "RangeError", "{job}");
            assert_eq!(error["message"], "not this one", "{job}");
        }
    }
    assert_eq!(ran(&there, SCRIPT).await.len(), 2);

    let module = json!({"id": "a", "value": {"type": "script", "path": SCRIPT,
        "input_transforms": {"msg": {"type": "javascript", "expr": "flow_input.msg"}}}});
    let flow = json!({"path": "u/admin/flow", "summary": "", "value": {"modules": [module]}});
    there.post("flows/create", &flow).await.expect(201);
    let args = json!({"msg": "deep"});
    let run = here.post("jobs/run/f/u/admin/flow", &args).await;
    let id = run.expect(201).text;
    let job = here.wait_for_job(&id).await;
    assert_eq!(job["result"], "deep!", "{job}");

    // Each try is a run of its own there.
    let flaky = r#"import { getState, setState } from "windmill-client";
export async function main(msg: string) {
  const tries = ((await getState()) ?? 0) + 1;
  await setState(tries);
  if (tries < 3) throw new Error("not yet");
  return tries;
}"#;
    there
        .create_script("u/admin/flaky", "nativets", flaky)
        .await;
    let retry = json!({"retry": {"constant": {"attempts": 5, "seconds": 0}}});
    here.create_trigger("u/admin/again", "u/admin/flaky", &peer.url("/"), retry)
        .await;
    let connection = peer.accept().await;
    here.wait_until_listening("u/admin/again").await;
    peer.send(&connection, &["go"]).await;
    let job = wait_for("a try succeeds", async || {
        let jobs = ran(&here, "u/admin/flaky").await;
        jobs.first().cloned().ok_or("none has ended".to_owned())
    })
    .await;
    assert_eq!(job["success"], true, "{job}");
    assert_eq!(ran(&there, "u/admin/flaky").await.len(), 3);

    let missing = here.run_script("u/admin/nowhere", &json!({})).await;
    let job = here.wait_for_job(&missing).await;
    assert_eq!(job["success"], false);
    let message = job["result"]["error"]["message"].as_str().unwrap();
    assert!(message.contains("answered 404"), "{message}");
    here.stop().await;
    there.stop().await;
}

#[actix::test]
async fn a_cut_line_makes_jobs_wait_and_none_run_twice() {
    let (mut here, mut there, line) = start().await;
    let mut jobs = Vec::new();
    for round in 0..4 {
        for number in 0..6 {
            let args = json!({"msg": format!("{round}.{number}")});
            jobs.push((here.run_script(SCRIPT, &args).await, args));
            if number == 3 {
                // Whatever is on its way is lost, in either direction; the last two meet nobody.
                line.cut();
            }
        }
        line.mend();
    }
    for (id, args) in &jobs {
        let job = here.wait_for_job(id).await;
        let wanted = format!("{}!", args["msg"].as_str().unwrap());
        assert_eq!(job["result"], wanted, "{job}");
    }
    assert_eq!(ran(&there, SCRIPT).await.len(), jobs.len());
    here.stop().await;
    there.stop().await;
}

/// More than are under way at once.
const MANY: usize = 300;

/// A job of another workspace, which runs here.
async fn another_workspace_goes_on(here: &TestApp) {
    let text = "export function main() { return 'here' }";
    let preview = json!({"language": "nativets", "content": text, "args": {}});
    let run = here.post("/api/w/other/jobs/run/preview", &preview).await;
    let id = run.expect(201).text;
    let job = wait_for("a job of another workspace ends", async || {
        let way = format!("/api/w/other/jobs_u/completed/get/{id}");
        let answer = here.get(&way).await;
        let ended = answer.status == 200;
        ended.then(|| answer.json()).ok_or("it has not".to_owned())
    })
    .await;
    assert_eq!(job["result"], "here", "{job}");
}

/// However many jobs of a linked workspace wait, for a line that is cut or for what runs there, and were there first.
async fn jobs_for_a_windmill_that_is_away_keep_nobody_waiting(database: Database) {
    let (mut here, mut there, line) = start_on(database, "1").await;
    let other = json!({"id": "other", "name": "other"});
    here.post("/api/workspaces/create", &other)
        .await
        .expect(201);
    there
        .create_script("u/admin/endless", "bash", "sleep 100000")
        .await;
    let mut endless = Vec::new();
    for _ in 0..8 {
        endless.push(here.run_script("u/admin/endless", &json!({})).await);
    }
    another_workspace_goes_on(&here).await;
    for id in &endless {
        let cancel = format!("jobs_u/queue/cancel/{id}");
        here.post(&cancel, &json!({})).await.expect(200);
    }
    for id in &endless {
        assert_eq!(here.wait_for_job(id).await["canceled"], true);
    }

    line.cut();
    let mut ids = Vec::new();
    for number in 0..MANY {
        let args = json!({"msg": number.to_string()});
        ids.push(here.run_script(SCRIPT, &args).await);
    }
    another_workspace_goes_on(&here).await;
    assert!(ran(&here, SCRIPT).await.is_empty(), "the line is cut");
    line.mend();
    wait_at_most(PATIENCE * 2, "all have ended", async || {
        let count = ran(&here, SCRIPT).await.len();
        (count == MANY).then_some(()).ok_or(count.to_string())
    })
    .await;
    for (number, id) in ids.iter().enumerate() {
        let job = here.wait_for_job(id).await;
        assert_eq!(job["result"], format!("{number}!"), "{job}");
    }
    assert_eq!(ran(&there, SCRIPT).await.len(), MANY);
    here.stop().await;
    there.stop().await;
}

async fn jobs_that_wait_for_room_are_canceled_and_run_here_when_the_link_ends(database: Database) {
    let (mut here, mut there, line) = start_on(database, "1").await;
    line.cut();
    let mut ids = Vec::new();
    for number in 0..MANY {
        let args = json!({"msg": number.to_string()});
        ids.push(here.run_script(SCRIPT, &args).await);
    }
    let last = ids.pop().unwrap();
    wait_for("as many are under way as may be", async || {
        let running = here.jobs("running=true").await.len();
        (running == 256).then_some(()).ok_or(running.to_string())
    })
    .await;
    let cancel = format!("jobs_u/queue/cancel/{last}");
    here.post(&cancel, &json!({})).await.expect(200);
    assert_eq!(here.wait_for_job(&last).await["canceled"], true);
    here.delete("workspaces/remote").await.expect(200);
    let text = "export function main(msg: string) { return 'here' }";
    here.create_script(SCRIPT, "nativets", text).await;
    // Those that wait run here now; a script is found by its path when a job is committed, so they fail and say so.
    wait_for("those that waited have ended here", async || {
        let ended = ran(&here, SCRIPT).await;
        let here = ended.iter().filter(|job| job["canceled"] != true).count();
        (here == MANY - 1 - 256)
            .then_some(())
            .ok_or(here.to_string())
    })
    .await;
    line.mend();
    wait_at_most(
        PATIENCE * 2,
        "what was under way has ended there",
        async || {
            let count = ran(&there, SCRIPT).await.len();
            (count == 256).then_some(()).ok_or(count.to_string())
        },
    )
    .await;
    here.stop().await;
    there.stop().await;
}

#[actix::test]
async fn a_job_is_followed_after_a_kill_and_a_cancellation_is_passed_on() {
    let (mut here, mut there, _line) = start().await;
    there
        .create_script("u/admin/slow", "bash", "sleep 3\necho slept")
        .await;
    there
        .create_script("u/admin/endless", "bash", "sleep 100000")
        .await;
    let runs_there = async |path: &'static str| {
        let query = format!("script_path_exact={path}");
        wait_for("it runs there, or did", async || {
            let jobs = there.jobs(&query).await;
            let began = jobs.len() == 1 && jobs[0]["running"] != false;
            began.then_some(()).ok_or_else(|| format!("{jobs:?}"))
        })
        .await;
    };
    let slow = here.run_script("u/admin/slow", &json!({})).await;
    runs_there("u/admin/slow").await;
    here.kill();
    here.start_again().await;
    let job = here.wait_for_job(&slow).await;
    assert_eq!(job["result"], "slept", "{job}");
    assert_eq!(ran(&there, "u/admin/slow").await.len(), 1);

    let endless = here.run_script("u/admin/endless", &json!({})).await;
    runs_there("u/admin/endless").await;
    let cancel = format!("jobs_u/queue/cancel/{endless}");
    here.post(&cancel, &json!({"reason": "enough"}))
        .await
        .expect(200);
    assert_eq!(here.wait_for_job(&endless).await["canceled"], true);
    wait_for("it is canceled there", async || {
        let jobs = ran(&there, "u/admin/endless").await;
        let canceled = jobs.first().is_some_and(|job| job["canceled"] == true);
        canceled.then_some(()).ok_or_else(|| format!("{jobs:?}"))
    })
    .await;
    here.stop().await;
    there.stop().await;
}

/// There every text that looks like a reference is one: what a message brought must not become one.
#[actix::test]
async fn only_references_that_somebody_gave_are_sent() {
    let name = "only_references_that_somebody_gave_are_sent";
    if !ready(name, &[Need::Peer]) {
        return;
    }
    let (mut here, mut there, _line) = start().await;
    let secret =
        json!({"path": "u/admin/word", "value": "sesame", "is_secret": true, "description": ""});
    there.post("variables/create", &secret).await.expect(201);
    let mut peer = Peer::start().await;
    here.create_trigger("u/admin/feed", SCRIPT, &peer.url("/"), json!({}))
        .await;
    let connection = peer.accept().await;
    here.wait_until_listening("u/admin/feed").await;
    peer.send(&connection, &["$var:u/admin/word"]).await;
    let job = wait_for("the message's job has ended", async || {
        let jobs = ran(&here, SCRIPT).await;
        jobs.first().cloned().ok_or("none has".to_owned())
    })
    .await;
    let job = here.wait_for_job(job["id"].as_str().unwrap()).await;
    assert_eq!(job["success"], false, "{job}");
    let message = job["result"]["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("argument 'msg' is not sent"),
        "{message}"
    );
    assert!(ran(&there, SCRIPT).await.is_empty());

    let args = json!({"msg": "$var:u/admin/word"});
    let given = here.run_script(SCRIPT, &args).await;
    assert_eq!(here.wait_for_job(&given).await["result"], "sesame!");
    here.stop().await;
    there.stop().await;
}

/// A token for the other side that can be taken away.
async fn new_token(there: &TestApp) -> String {
    let new = json!({"label": "link"});
    let token = there.post("/api/users/tokens/create", &new).await;
    token.expect(201).text
}

async fn put_token(here: &TestApp, token: &str) {
    let path = "variables/update/u/admin/token";
    here.post(path, &json!({"value": token})).await.expect(200);
}

async fn alerts(app: &TestApp) -> Vec<Value> {
    let list = app.get("workspaces/critical_alerts").await.expect(200);
    list.json()["alerts"].as_array().unwrap().clone()
}

/// A token that has ended fails no job, neither one that runs there nor one that is to be sent: they go on with the next.
#[actix::test]
async fn jobs_wait_for_a_token_that_is_taken() {
    let (mut here, mut there, _line) = start().await;
    let slow = "import { getVariable } from 'windmill-client'
export async function main() {
  while ((await getVariable('u/admin/go')) != 'yes') await new Promise((r) => setTimeout(r, 50));
  return 'went';
}";
    there.create_script("u/admin/slow", "nativets", slow).await;
    let go = json!({"path": "u/admin/go", "value": "no", "is_secret": false, "description": ""});
    there.post("variables/create", &go).await.expect(201);
    // Who knows the token and refuses is not waited for: a token that only reads runs nothing.
    let limits = json!({"label": "reads", "read_only": true});
    let reads = there.post("/api/users/tokens/create", &limits).await;
    put_token(&here, &reads.expect(201).text).await;
    let refused = wait_for("a job is refused", async || {
        let id = here.run_script(READY, &json!({})).await;
        let job = here.wait_for_job(&id).await;
        (job["success"] == false)
            .then_some(job)
            .ok_or("not yet".to_owned())
    })
    .await;
    let message = refused["result"]["error"]["message"].as_str().unwrap();
    assert!(message.contains("answered 403"), "{message}");
    assert!(alerts(&here).await.is_empty());
    put_token(&here, &new_token(&there).await).await;
    wait_for("a job is sent with the new token", async || {
        let id = here.run_script(READY, &json!({})).await;
        let job = here.wait_for_job(&id).await;
        (job["success"] == true)
            .then_some(())
            .ok_or(job.to_string())
    })
    .await;
    let under_way = here.run_script("u/admin/slow", &json!({})).await;
    wait_for("it runs there", async || {
        let jobs = there
            .jobs("script_path_exact=u/admin/slow&running=true")
            .await;
        (jobs.len() == 1).then_some(()).ok_or(format!("{jobs:?}"))
    })
    .await;
    let tokens = there.get("/api/users/tokens/list").await.expect(200).json();
    let mut tokens = tokens.as_array().unwrap().iter();
    let ended = tokens.find(|token| token["label"] == "link").unwrap();
    let prefix = ended["token_prefix"].as_str().unwrap();
    let path = format!("/api/users/tokens/delete/{prefix}");
    there.delete(&path).await.expect(200);

    let mut ids = Vec::new();
    for number in 0..5 {
        let args = json!({"msg": number.to_string()});
        ids.push(here.run_script(SCRIPT, &args).await);
    }
    let alert = wait_for("an alert says so", async || {
        let alerts = alerts(&here).await;
        alerts.first().cloned().ok_or("there is none".to_owned())
    })
    .await;
    let text = alert["message"].as_str().unwrap();
    assert!(
        text.contains("does not take the token") && text.contains("401"),
        "{text}"
    );
    assert_eq!(
        (&alert["is_open"], &alert["trigger_path"]),
        (&json!(true), &json!(""))
    );
    there
        .post("variables/update/u/admin/go", &json!({"value": "yes"}))
        .await
        .expect(200);
    wait_for("it has ended there", async || {
        let jobs = ran(&there, "u/admin/slow").await;
        (jobs.len() == 1).then_some(()).ok_or("not yet".to_owned())
    })
    .await;
    assert!(ran(&here, "u/admin/slow").await.is_empty());
    assert!(ran(&here, SCRIPT).await.is_empty());

    let token = new_token(&there).await;
    put_token(&here, &token).await;
    for (number, id) in ids.iter().enumerate() {
        let job = here.wait_for_job(id).await;
        assert_eq!(job["result"], format!("{number}!"), "{job}");
    }
    assert_eq!(here.wait_for_job(&under_way).await["result"], "went");
    assert_eq!(ran(&there, SCRIPT).await.len(), ids.len());
    assert_eq!(ran(&there, "u/admin/slow").await.len(), 1);
    let over = wait_for("the alert is over", async || {
        let alerts = alerts(&here).await;
        let open = alerts.iter().any(|alert| alert["is_open"] == true);
        (!open).then_some(alerts.len()).ok_or(format!("{alerts:?}"))
    })
    .await;
    assert_eq!(over, 2, "the alert, and that it is over");
    here.stop().await;
    there.stop().await;
}

#[actix::test]
async fn links_are_checked_and_can_be_ended() {
    let mut app = TestApp::start(Database::sqlite()).await;
    for (path, is_secret) in [("u/admin/plain", false), ("u/admin/token", true)] {
        let variable =
            json!({"path": path, "value": "x", "is_secret": is_secret, "description": ""});
        app.post("variables/create", &variable).await.expect(201);
    }
    app.get("workspaces/remote").await.expect(404);
    for (base, workspace, variable, field) in [
        ("w.example", "main", "u/admin/token", "base_url"),
        (
            "https://me:pw@w.example",
            "main",
            "u/admin/token",
            "base_url",
        ),
        ("https://w.example", "a/b", "u/admin/token", "workspace"),
        (
            "https://w.example",
            "main",
            "u/admin/plain",
            "token_variable",
        ),
        (
            "https://w.example",
            "main",
            "u/admin/none",
            "token_variable",
        ),
    ] {
        let link = json!({"base_url": base, "workspace": workspace, "token_variable": variable});
        let answer = app.post("workspaces/remote", &link).await.expect(400);
        assert!(answer.text.contains(field), "{}", answer.text);
    }
    let link = json!({
        "base_url": "https://w.example/", "workspace": "main", "token_variable": "u/admin/token",
    });
    app.post("workspaces/remote", &link).await.expect(200);
    let kept = app.get("workspaces/remote").await.expect(200).json();
    assert_eq!(kept["base_url"], "https://w.example");
    app.delete("workspaces/remote").await.expect(200);
    app.delete("workspaces/remote").await.expect(404);
    app.stop().await;
}
