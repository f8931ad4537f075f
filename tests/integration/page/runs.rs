//! The list of runs and one run: filters in the address, several runs again, other arguments, cancel, back button.

use serde_json::{Value, json};

use super::{becomes, open};
use crate::harness::{Database, Need, Peer, TestApp, ready, wait_for};

/// Messages of the runs in the list, as their rows name them.
const SHOWN: &str = "return document.querySelectorAll('.run-table .rows .row').length";

#[actix::test]
async fn runs_are_found_and_run_again() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let source = "export function main(n: number, word = \"none\") { if (n > 2) throw new Error(\"too many\"); return `${word} ${n}`; }";
    app.create_script("u/admin/count", "nativets", source).await;
    app.create_script("u/admin/other", "bash", "echo other")
        .await;
    for n in 1..=3 {
        let id = app
            .run_script(
                "u/admin/count",
                &json!({"n": n, "word": format!("Word{n}")}),
            )
            .await;
        app.wait_for_job(&id).await;
    }
    let other = app.run_script("u/admin/other", &json!({})).await;
    app.wait_for_job(&other).await;

    let browser = open(&app, "/runs").await;
    becomes(&browser, "all runs are listed", SHOWN, json!(4)).await;
    browser.fill("Text in the arguments", "word2").await;
    becomes(&browser, "the text is found", SHOWN, json!(1)).await;
    browser.fill("Text in the arguments", "word").await;
    browser.choose("Outcome", "Failed").await;
    browser.choose("Time", "Last hour").await;
    becomes(&browser, "one of them failed", SHOWN, json!(1)).await;
    assert!(
        browser
            .url()
            .await
            .ends_with("/runs?text=word&outcome=failed&time=60")
    );

    browser.click("u/admin/count, failed").await;
    browser.see("too many").await;
    browser.back().await;
    becomes(&browser, "the filters are still there", SHOWN, json!(1)).await;
    browser.choose("Outcome", "Succeeded").await;
    becomes(&browser, "two succeeded", SHOWN, json!(2)).await;
    browser.tick("Select all shown runs").await;
    browser.see("2 runs selected").await;
    browser.click("Run again").await;
    browser.see("Started 2 runs again").await;
    becomes(
        &browser,
        "their new runs show by themselves",
        SHOWN,
        json!(4),
    )
    .await;

    browser.click("u/admin/count, succeeded").await;
    browser.click("Run with other arguments").await;
    browser.fill("word", "another").await;
    browser.click_in_dialog("Run").await;
    browser.see("another").await;
    let newest = async || {
        let jobs = app
            .jobs("script_path_exact=u/admin/count&include_args=true")
            .await;
        let args = jobs
            .first()
            .map_or(Value::Null, |job| job["args"]["word"].clone());
        if args == "another" {
            Ok(())
        } else {
            Err(args.to_string())
        }
    };
    wait_for("it ran with the other arguments", newest).await;
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_run_is_followed_and_cancelled() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    app.create_script("u/admin/slow", "bash", "echo begun; exec sleep 3600")
        .await;
    let id = app.run_script("u/admin/slow", &json!({})).await;
    let browser = open(&app, &format!("/runs/{id}")).await;
    browser.see("Running").await;
    browser.see("begun").await;
    browser.click("Cancel run").await;
    browser.see("What it has done so far is not undone.").await;
    browser.click_in_dialog("Cancel run").await;
    browser.see("Cancelled").await;
    assert_eq!(app.wait_for_job(&id).await["canceled"], true);
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_run_shows_the_way_from_the_message_to_the_reply() {
    if !ready(module_path!(), &[Need::Browser, Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let mut app = TestApp::start(Database::sqlite()).await;
    let source = "export function main(msg: string) { return `got ${msg}`; }";
    app.create_script("u/admin/answer", "nativets", source)
        .await;
    let more = json!({"can_return_message": true});
    app.create_trigger("f/a/one", "u/admin/answer", &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    peer.send(&connection, &["hello"]).await;
    peer.event("the reply arrives", |event| event["text"] == "got hello")
        .await;
    let jobs = app.jobs("trigger_path=f/a/one").await;
    let id = jobs[0]["id"].as_str().expect("it has an id");
    let browser = open(&app, &format!("/runs/{id}")).await;
    let points = "return [...document.querySelectorAll('.timing-points li span')].map(one => one.textContent)";
    let way = json!(["Received", "Committed", "Started", "Done", "Replied"]);
    becomes(&browser, "the whole way is told", points, way).await;
    let job = app.get(&format!("jobs_u/get/{id}")).await.json();
    let times = [
        "received_at",
        "created_at",
        "started_at",
        "completed_at",
        "replied_at",
    ]
    .map(|name| job[name].as_str().unwrap_or_default().to_owned());
    assert!(times.is_sorted(), "{times:?}");

    // The moment of the reply is on the disk like the others.
    app.stop().await;
    app.start_again().await;
    let again = app.get(&format!("jobs_u/get/{id}")).await.json();
    assert_eq!(again["replied_at"], job["replied_at"]);
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn runs_are_found_by_trigger_runnable_and_time_and_cancelled_together() {
    if !ready(module_path!(), &[Need::Browser, Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let mut app = TestApp::start(Database::sqlite()).await;
    app.create_script("u/admin/quick", "bash", "echo quick")
        .await;
    app.create_script("u/admin/slow", "bash", "exec sleep 3600")
        .await;
    app.create_trigger("f/a/one", "u/admin/quick", &peer.url("/"), json!({}))
        .await;
    let connection = peer.accept().await;
    peer.send(&connection, &["hello"]).await;
    let id = app.run_script("u/admin/quick", &json!({})).await;
    app.wait_for_job(&id).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        slow.push(app.run_script("u/admin/slow", &json!({})).await);
    }
    let browser = open(&app, "/runs").await;
    becomes(&browser, "all runs are listed", SHOWN, json!(5)).await;
    browser.fill("Trigger", "f/a/one").await;
    becomes(&browser, "the trigger's run is found", SHOWN, json!(1)).await;
    browser.open(&format!("{}/runs", app.url())).await;
    browser.fill("Runnable", "u/admin/quick").await;
    becomes(&browser, "the script's runs are found", SHOWN, json!(2)).await;

    browser.choose("Time", "Between…").await;
    let edge = "const field = document.querySelector(`input[aria-label=\"${arguments[0]}\"]`); field.value = arguments[1]; \
        field.dispatchEvent(new Event('input', {bubbles: true}))";
    let set = async |label: &str, moment: &str| {
        browser.run(edge, vec![json!(label), json!(moment)]).await;
    };
    set("To", "2020-01-01T00:00:00").await;
    browser.see("No run fits").await;
    set("To", "2099-01-01T00:00:00").await;
    set("From", "2020-01-01T00:00:00").await;
    becomes(&browser, "they lie between", SHOWN, json!(2)).await;

    browser
        .open(&format!("{}/runs?runnable=u/admin/slow", app.url()))
        .await;
    becomes(&browser, "the slow runs are found", SHOWN, json!(3)).await;
    browser.tick("Select all shown runs").await;
    browser.click("Cancel").await;
    browser.see("Cancelled 3 of 3").await;
    for id in &slow {
        assert_eq!(app.wait_for_job(id).await["canceled"], true);
    }
    browser.choose("Outcome", "Cancelled").await;
    becomes(&browser, "they are shown as cancelled", SHOWN, json!(3)).await;
    browser.close().await;
    app.stop().await;
}

/// The next step of somebody whose job failed: how often was it tried, and when is it tried again?
#[actix::test]
async fn failed_runs_before_the_last_are_told() {
    if !ready(module_path!(), &[Need::Browser, Need::Peer]) {
        return;
    }
    let mut peer = Peer::start().await;
    let mut app = TestApp::start(Database::sqlite()).await;
    app.create_script("u/admin/fails", "bash", "exit 3").await;
    let more = json!({"retry": {"constant": {"attempts": 2, "seconds": 0}}});
    app.create_trigger("f/a/one", "u/admin/fails", &peer.url("/"), more)
        .await;
    let connection = peer.accept().await;
    peer.send(&connection, &["hello"]).await;
    let ended = wait_for("the job has failed for good", async || {
        let ended = app.completed("trigger_path=f/a/one").await;
        ended.into_iter().next().ok_or("it has not".to_owned())
    })
    .await;
    let id = ended["id"].as_str().expect("it has an id");
    let browser = open(&app, &format!("/runs/{id}")).await;
    browser.see("2 runs failed before").await;
    browser.see("Run 2 failed").await;
    browser.close().await;
    app.stop().await;
}

/// What failed is mended and goes on from there: the steps before it do not run twice.
#[actix::test]
async fn a_flow_runs_again_from_a_step() {
    if !ready(module_path!(), &[Need::Browser]) {
        return;
    }
    let mut app = TestApp::start(Database::sqlite()).await;
    let script = |id: &str, content: &str| json!({"id": id, "value": {"type": "rawscript", "language": "nativets", "content": content, "input_transforms": {}}});
    let flow = |last: &str| {
        let first = script("a", "export function main() { return Math.random(); }");
        json!({"path": "u/admin/steps", "summary": "", "value": {"modules": [first, script("b", last)]}})
    };
    let fails = flow("export function main() { throw new Error(\"not yet\"); }");
    app.post("flows/create", &fails).await.expect(201);
    let run = app.post("jobs/run/f/u/admin/steps", &json!({})).await;
    let id = run.expect(201).text;
    let failed = app.wait_for_job(&id).await;
    let works = flow("export function main() { return \"it works\"; }");
    let update = "flows/update/u/admin/steps";
    app.post(update, &works).await.expect(200);

    let browser = open(&app, &format!("/runs/{id}")).await;
    browser.see("not yet").await;
    browser.click("Run again from step b").await;
    browser.see("is taken over").await;
    browser.click_in_dialog("Run again").await;
    browser.see("it works").await;
    let url = browser.url().await;
    let next = url.rsplit('/').next().unwrap_or_default().to_owned();
    let ended = app.wait_for_job(&next).await;
    let first = |job: &Value| job["flow_status"]["modules"][0]["job"].clone();
    assert_eq!(first(&ended), first(&failed), "the first step ran again");
    browser.close().await;
    app.stop().await;
}
