//! What ran once is run again as it was, a version of a flow is run and what its steps came to is read; a script that takes
//! long learns that its server stops.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::{Database, TOKEN, TestApp, on_both_databases, wait_for};

on_both_databases!(needs: [], tests: [
    jobs_run_again_with_their_version_and_arguments,
    a_version_of_a_flow_is_run_and_its_steps_are_read,
    a_job_learns_that_its_server_stops,
]);

const DOUBLE: &str = "export const main = (n: number) => n * 2;";

async fn again(app: &TestApp, body: &Value) -> Vec<String> {
    let answer = app.post("jobs/run/batch_rerun_jobs", body).await;
    answer.expect(201).text.lines().map(str::to_owned).collect()
}

async fn jobs_run_again_with_their_version_and_arguments(database: Database) {
    let mut app = TestApp::start(database).await;
    app.create_script("u/admin/s", "nativets", DOUBLE).await;
    let first = app.run_script("u/admin/s", &json!({"n": 4})).await;
    app.wait_for_job(&first).await;
    let newer = "export const main = (n: number) => n * 3;";
    let parent = app.get("scripts/get/p/u/admin/s").await.json()["hash"].clone();
    let next = json!({"parent_hash": parent});
    app.create_script_with("u/admin/s", "nativets", newer, &next)
        .await;

    let none = "01890000-0000-7000-8000-000000000000";
    let lines = again(&app, &json!({"job_ids": [first, none, first]})).await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[1], format!("Error: job {none} not found"));
    for id in [&lines[0], &lines[2]] {
        let job = app.wait_for_job(id).await;
        assert_eq!(
            (&job["args"], &job["result"]),
            (&json!({"n": 4}), &json!(8))
        );
    }
    let ids = app
        .get("jobs/list_filtered_uuids?script_path_exact=u/admin/s")
        .await;
    assert_eq!(ids.expect(200).json(), json!([lines[2], lines[0], first]));
    let waiting = app.get("jobs/queue/list_filtered_uuids").await;
    assert_eq!(waiting.expect(200).json(), json!([]));

    let newest = json!({"u/admin/s": {"use_latest_version": true, "input_transforms": {}}});
    let wish = json!({"job_ids": [first], "script_options_by_path": newest});
    let job = app.wait_for_job(&again(&app, &wish).await[0]).await;
    assert_eq!(job["result"], 12);

    let changed = json!({"u/admin/s": {"input_transforms": {"n": {"type": "static", "value": 1}}}});
    let wish = json!({"job_ids": [first], "script_options_by_path": changed});
    let refused = app
        .post("jobs/run/batch_rerun_jobs", &wish)
        .await
        .expect(400);
    let field = "script_options_by_path.u/admin/s.input_transforms: ";
    assert!(refused.text.starts_with(field), "{}", refused.text);

    // A reference is read with the rights of whoever asks now, not of who asked first.
    let secret = json!({"path": "u/admin/secret", "value": "hidden", "is_secret": false});
    app.post("variables/create", &secret).await.expect(201);
    let echo = "export const main = (v: string) => v;";
    app.create_script("f/open/echo", "nativets", echo).await;
    let all = json!({"extra_perms": {"g/all": true}});
    app.post("folders/update/open", &all).await.expect(200);
    let given = json!({"v": "$var:u/admin/secret"});
    let first = app.run_script("f/open/echo", &given).await;
    app.wait_for_job(&first).await;
    let ann = app.somebody("ann").await;
    app.set_token(Some(&ann));
    let lines = again(&app, &json!({"job_ids": [first]})).await;
    let job = app.wait_for_job(&lines[0]).await;
    assert_eq!(job["success"], false, "{job}");
    assert!(!job.to_string().contains("hidden"), "{job}");
    app.set_token(Some(TOKEN));
    app.stop().await;
}

async fn a_version_of_a_flow_is_run_and_its_steps_are_read(database: Database) {
    let mut app = TestApp::start(database).await;
    app.create_script("u/admin/s", "nativets", DOUBLE).await;
    let flow = |factor: &str| {
        let input =
            json!({"n": {"type": "javascript", "expr": format!("flow_input.n * {factor}")}});
        let double = json!({"type": "script", "path": "u/admin/s", "input_transforms": input});
        let turn = json!({"type": "script", "path": "u/admin/s", "input_transforms":
            {"n": {"type": "javascript", "expr": "flow_input.iter.value"}}});
        let each = json!({"type": "forloopflow", "skip_failures": false, "modules": [{"id": "turn", "value": turn}],
            "iterator": {"type": "static", "value": [1, 2]}});
        json!({"path": "u/admin/f", "summary": "", "value": {"modules": [
            {"id": "double", "value": double}, {"id": "each", "value": each}]}})
    };
    app.post("flows/create", &flow("1")).await.expect(201);
    let latest = app.get("flows/get_latest_version/u/admin/f").await;
    let version = latest.expect(200).json()["id"].clone();
    app.post("flows/update/u/admin/f", &flow("100"))
        .await
        .expect(200);

    let run = format!("jobs/run/fv/{version}");
    let id = app.post(&run, &json!({"n": 3})).await.expect(201).text;
    let job = app.wait_for_job(&id).await;
    assert_eq!(
        (&job["result"], &job["script_path"]),
        (&json!([2, 4]), &json!("u/admin/f"))
    );
    for (step, wanted) in [("double", json!(6)), ("each", json!([2, 4]))] {
        let came_to = app.get(&format!("jobs/result_by_id/{id}/{step}")).await;
        assert_eq!(came_to.expect(200).json(), wanted, "{step}");
    }
    let none = app.get(&format!("jobs/result_by_id/{id}/none")).await;
    assert!(none.expect(404).text.contains("step 'none'"));

    // Again it is the version that ran.
    let lines = again(&app, &json!({"job_ids": [id]})).await;
    app.wait_for_job(&lines[0]).await;
    let double = format!("jobs/result_by_id/{}/double", lines[0]);
    assert_eq!(app.get(&double).await.expect(200).json(), 6);
    let wait = format!("jobs/run_wait_result/fv/{version}");
    let waited = app.post(&wait, &json!({"n": 1})).await;
    assert_eq!(waited.expect(200).json(), json!([2, 4]));
    app.get("jobs/run_wait_result/fv/1").await.expect(404);
    app.stop().await;
}

async fn a_job_learns_that_its_server_stops(database: Database) {
    let mut app = TestApp::start(database).await;
    let content = "export async function main() {\n\
        const url = `${process.env.BASE_INTERNAL_URL}/api/w/main/jobs/worker_is_draining/${process.env.WM_JOB_ID}`;\n\
        const headers = { Authorization: `Bearer ${process.env.WM_TOKEN}` };\n\
        for (let asked = 0; ; asked += 1) {\n\
          const draining = await (await fetch(url, { headers })).json();\n\
          if (draining) return { asked };\n\
          if (asked === 0) console.log('not yet');\n\
          await new Promise((done) => setTimeout(done, 20));\n\
        }\n\
      }\n";
    app.create_script("u/admin/long", "nativets", content).await;
    let id = app.run_script("u/admin/long", &json!({})).await;
    wait_for("the job has asked", async || {
        let logs = app.get(&format!("jobs_u/get_logs/{id}")).await;
        if logs.text.contains("not yet") {
            Ok(())
        } else {
            Err(logs.text)
        }
    })
    .await;
    let asked = app.get(&format!("jobs/worker_is_draining/{id}")).await;
    assert_eq!(asked.expect(200).json(), json!(false));
    app.stop().await;
    app.start_again().await;
    let job = app.wait_for_job(&id).await;
    assert!(job["result"]["asked"].is_number(), "{job}");
    let later = app.get(&format!("jobs/worker_is_draining/{id}")).await;
    assert_eq!(later.expect(200).json(), json!(false));
    app.stop().await;
}

/// An answer that has no body by its status gets none from a script: what came behind its headers would be the next answer
/// on the connection, perhaps another client's behind a proxy.
#[actix::test]
async fn a_result_does_not_forge_the_next_answer() {
    let mut app = TestApp::start(Database::sqlite()).await;
    let content = "export const main = (status: number) => ({ windmill_status_code: status, \
        windmill_content_type: 'text/plain', result: 'HTTP/1.1 200 OK\\r\\ncontent-length: 6\\r\\n\\r\\nforged' });";
    app.create_script("u/admin/s", "nativets", content).await;
    for status in [204, 205, 304] {
        let body = json!({"status": status}).to_string();
        let asked = format!(
            "POST /api/w/main/jobs/run_wait_result/p/u/admin/s HTTP/1.1\r\nHost: 127.0.0.1\r\n\
             Authorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}\
             GET /api/version HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let address = app.url().trim_start_matches("http://").to_owned();
        let answers = actix_web::web::block(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(60)))
                .unwrap();
            stream.write_all(asked.as_bytes()).unwrap();
            let mut answers = String::new();
            stream.read_to_string(&mut answers).unwrap();
            answers
        });
        let answers = answers.await.unwrap();
        assert!(
            answers.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answers}"
        );
        assert!(answers.contains("windsock v"), "{answers}");
        assert!(!answers.contains("forged"), "{answers}");
    }
    app.stop().await;
}
