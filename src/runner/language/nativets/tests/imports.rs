//! What can be imported, and `windmill-client`.

use super::*;

#[test]
fn other_imports_name_bun() {
    for (source, place) in [
        (
            "import x from 'lodash';\nx();\nexport function main() {}",
            "line 1, column 15",
        ),
        (
            "export function main() {}\nexport * from './local'",
            "line 2, column 15",
        ),
    ] {
        let error = compile(source).unwrap_err().to_string();
        assert!(error.starts_with(place), "{error}");
        assert!(
            error.contains("imports other than windmill-client need a bun script (found \""),
            "{error}"
        );
    }
    assert!(compile("import type { X } from 'lodash'; export function main(x: X) {}").is_ok());
}

#[test]
fn names_that_the_client_has_not_are_found_when_compiling() {
    let main = "export async function main() {";
    for (source, place) in [
        (
            format!(
                "import {{ getState, loadS3File }} from 'windmill-client';\n{main} return loadS3File(getState) }}"
            ),
            "line 1, column 20",
        ),
        (
            format!(
                "import * as wmill from 'windmill-client@1';\n{main}\n  await wmill.getState();\n  return await wmill.loadS3File() }}"
            ),
            "line 4, column 22",
        ),
        (
            format!(
                "import wmill from 'npm:windmill-client';\n{main} return wmill.loadS3File() }}"
            ),
            "line 2, column 45",
        ),
        (
            format!("export {{ loadS3File as x }} from 'windmill-client';\n{main} }}"),
            "line 1, column 10",
        ),
    ] {
        let error = compile(&source).unwrap_err().to_string();
        assert!(error.starts_with(place), "{error}");
        assert!(
            error.contains("has no \"loadS3File\"") && error.contains("bun"),
            "{error}"
        );
    }
    for source in [
        format!(
            "import {{ setProgress, getVariable as get, default as d, type S3Object, Sql }} from 'windmill-client';\n{main} return [setProgress, get, d] }}"
        ),
        format!(
            "import wmill from 'windmill-client';\n{main} const other = (wmill) => wmill.other(); return [other, wmill.other] }}"
        ),
    ] {
        assert!(compile(&source).is_ok(), "{source}: {:?}", compile(&source));
    }
}

#[tokio::test]
async fn imports_at_run_time_name_bun_too() {
    let error = failure(outcome("await import('node:fs')").await);
    assert!(
        error
            .message
            .contains("need a bun script (found \"node:fs\")"),
        "{error}"
    );
}

#[test]
fn syntax_the_engine_lacks_is_found_when_compiling() {
    let source = "export function main() {}\n\n@decorated\nclass A {}";
    let error = compile(source).unwrap_err();
    assert_eq!(error.line, 3, "{error}");
}

/// A server of variables, resources and jobs, as far as `windmill-client` needs one.
fn windmill() -> Rc<FakeHost> {
    let polls = RefCell::new(0);
    host(move |request| {
        let path = request
            .url
            .strip_prefix("http://127.0.0.1:8000/api")
            .unwrap();
        let json = |value: Value| Ok(response(200, "application/json", value.to_string()));
        let text = |text: &str| Ok(response(201, "text/plain", text));
        match (request.method.as_str(), path.split('?').next().unwrap()) {
            ("GET", "/w/main/variables/get_value/u/a/key") => json(json!("value")),
            ("GET", "/w/main/variables/exists/u/a/key") => json(json!(true)),
            ("GET", "/w/main/variables/exists/u/a/new%20one") => json(json!(false)),
            ("GET", "/w/main/resources/get_value_interpolated/u/a/res") => {
                json(json!({ "host": "h" }))
            }
            ("GET", "/w/main/resources/exists/u/a/state") => json(json!(true)),
            ("POST", "/w/main/variables/update/u/a/key" | "/w/main/variables/create") => {
                text("done")
            }
            ("POST", "/w/main/resources/update_value/u/a/state") => text("done"),
            ("POST", "/w/main/jobs/run/p/u/a/script" | "/w/main/jobs/run/h/00ff") => text("id-1"),
            ("POST", "/w/main/jobs/run/f/u/a/flow") => text("id-2"),
            ("GET", "/w/main/jobs_u/completed/get_result_maybe/id-1") => {
                *polls.borrow_mut() += 1;
                json(json!({ "completed": *polls.borrow() > 2, "success": true, "result": [1] }))
            }
            ("GET", "/w/main/jobs_u/completed/get_result_maybe/id-2") => json(
                json!({ "completed": true, "success": false, "result": { "error": { "name": "E", "message": "broke" } } }),
            ),
            _ => Ok(response(404, "text/plain", "not found")),
        }
    })
}

#[tokio::test]
async fn windmill_client() {
    let host = windmill();
    let source = "import * as wmill from 'windmill-client@1';\nimport client, { getVariable } from 'windmill-client';
        export async function main() {
            await wmill.setVariable('u/a/key', 'v2'); await client.setVariable('u/a/new one', 'v', true, 'text'); await wmill.setState({ n: 1 });
            return [await getVariable('u/a/key'), await wmill.getVariable('var://u/a/key'), await wmill.getResource('$res:u/a/res'),
                await wmill.getState() === undefined, wmill.getWorkspace(), await wmill.runScript('u/a/script', null, { x: 1 }), await wmill.runScriptAsync(null, '00ff', {}),
                await wmill.runFlow('u/a/flow', {}).catch((e) => e.message), await wmill.getVariable('u/a/none').catch((e) => [e.name, e.status, e.message])]
        }";
    let mut call = call(json!({}));
    call.host = Rc::clone(&host) as Rc<dyn Host>;
    let outcome = context(source).run(call).await;
    assert_eq!(
        value(&outcome),
        json!(["value", "value", { "host": "h" }, true, "main", [1], "id-1", "job id-2 failed: E: broke",
               ["ApiError", 404, "GET /w/main/variables/get_value/u/a/none answered 404: not found"]])
    );
    let requests = host.requests.take();
    assert!(requests.iter().all(|request| {
        request
            .headers
            .contains(&("authorization".to_owned(), "Bearer secret".to_owned()))
    }));
    let lines: Vec<String> = requests
        .iter()
        .filter(|request| request.method == "POST")
        .map(|request| {
            let path = request.url.split_once("/w/main").unwrap().1;
            let body = String::from_utf8(request.body.clone().unwrap()).unwrap();
            format!("{path} {body}")
        })
        .collect();
    assert_eq!(
        lines,
        [
            r#"/variables/update/u/a/key {"value":"v2"}"#,
            r#"/variables/create {"path":"u/a/new one","value":"v","is_secret":true,"description":"text"}"#,
            r#"/resources/update_value/u/a/state {"value":{"n":1}}"#,
            r#"/jobs/run/p/u/a/script?parent_job=job-1 {"x":1}"#,
            "/jobs/run/h/00ff?parent_job=job-1 {}",
            "/jobs/run/f/u/a/flow?parent_job=job-1 {}",
        ]
    );
}

#[tokio::test]
async fn a_dropped_run_poisons_the_context() {
    let mut context = context(&main_of("await new Promise((r) => setTimeout(r, 1e9))"));
    let ended = tokio::time::timeout(Duration::from_millis(20), context.run(call(json!({})))).await;
    assert!(ended.is_err() && context.is_poisoned());
}
