//! Flows are saved in versions, and what would not run as it says is refused at save, by module and field.

use serde_json::{Value, json};

use crate::harness::{Database, TestApp};

fn inline(id: &str, content: &str) -> Value {
    json!({"id": id, "value": {"type": "rawscript", "language": "nativets", "content": content, "input_transforms": {}}})
}

fn flow(path: &str, value: Value) -> Value {
    json!({"path": path, "summary": "s", "description": "d", "value": value, "schema": {"type": "object"}})
}

#[actix_web::test]
async fn flows_are_saved_in_versions() {
    let app = TestApp::start(Database::sqlite()).await;
    let path = "f/flows/one";
    assert_eq!(app.get("flows/get/f/flows/one").await.status, 404);
    assert!(
        !app.get("flows/exists/f/flows/one")
            .await
            .expect(200)
            .json()
            .as_bool()
            .unwrap()
    );
    let first =
        json!({"modules": [inline("a", "export function main() { return 1 }")], "notes": []});
    let made = app.post("flows/create", &flow(path, first.clone())).await;
    assert_eq!(made.expect(201).text, path);
    let again = app
        .post("flows/create", &flow(path, first.clone()))
        .await
        .expect(409);
    assert!(
        again
            .text
            .starts_with("path: flow 'f/flows/one' exists already"),
        "{}",
        again.text
    );
    let got = app.get("flows/get/f/flows/one").await.expect(200).json();
    assert_eq!(got["value"], first);
    assert_eq!(got["schema"], json!({"type": "object"}));
    assert_eq!(
        (&got["archived"], &got["edited_by"]),
        (&json!(false), &json!("admin"))
    );

    let second = json!({"modules": [inline("b", "export function main() { return 2 }")]});
    let updated = app
        .post("flows/update/f/flows/one", &flow(path, second.clone()))
        .await;
    assert_eq!(updated.expect(200).text, path);
    let got_again = app.get("flows/get/f/flows/one").await.expect(200).json();
    assert_eq!(got_again["value"], second);
    let history = app
        .get("flows/history/p/f/flows/one")
        .await
        .expect(200)
        .json();
    assert_eq!(history.as_array().unwrap().len(), 2);
    assert_eq!(history[1]["id"], got["version_id"]);
    let old = app
        .get(&format!("flows/get/v/{}", got["version_id"]))
        .await
        .expect(200)
        .json();
    assert_eq!(old["value"], first);

    // Another path in the body is a rename.
    app.post("flows/update/f/flows/one", &flow("f/flows/two", second))
        .await
        .expect(200);
    let paths = app.get("flows/list_paths").await.expect(200).json();
    assert_eq!(paths, json!(["f/flows/two"]));
    let list = app.get("flows/list").await.expect(200).json();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["path"], "f/flows/two");
    // Nothing is left at the old one, not even what is archived, and the history has gone with the flow.
    for way in [
        "get",
        "history/p",
        "deployment_status/p",
        "get_latest_version",
    ] {
        let left = app.get(&format!("flows/{way}/f/flows/one")).await;
        assert_eq!(
            left.expect(404).text,
            "flow not found at path: f/flows/one",
            "{way}"
        );
    }
    let exists = app.get("flows/exists/f/flows/one").await.expect(200);
    assert_eq!(exists.text, "false");
    let archived = app.get("flows/list?show_archived=true").await.expect(200);
    assert_eq!(archived.json(), json!([]));
    let history = app.get("flows/history/p/f/flows/two").await.expect(200);
    let history = history.json();
    assert_eq!(history.as_array().unwrap().len(), 3);
    assert_eq!(history[2]["id"], got["version_id"]);
    let old = app.get(&format!("flows/get/v/{}", got["version_id"])).await;
    assert_eq!(old.expect(200).json()["path"], "f/flows/two");
    // Something else may take its place.
    app.post("flows/create", &flow(path, first.clone()))
        .await
        .expect(201);
    app.delete("flows/delete/f/flows/one").await.expect(200);

    app.post("flows/archive/f/flows/two", &json!({"archived": true}))
        .await
        .expect(200);
    assert_eq!(
        app.get("flows/list_paths").await.expect(200).json(),
        json!([])
    );
    assert_eq!(
        app.get("flows/get/f/flows/two").await.expect(200).json()["archived"],
        true
    );
    app.post("flows/archive/f/flows/two", &json!({"archived": false}))
        .await
        .expect(200);
    assert_eq!(
        app.get("flows/list_paths").await.expect(200).json(),
        json!(["f/flows/two"])
    );

    // Gone is gone, however often it is asked for.
    app.delete("flows/delete/f/flows/two").await.expect(200);
    app.delete("flows/delete/f/flows/two").await.expect(200);
    assert_eq!(app.get("flows/get/f/flows/two").await.status, 404);
    let gone = app
        .post("flows/update/f/flows/two", &flow("f/flows/two", first))
        .await;
    assert_eq!(gone.expect(404).text, "flow not found at path: f/flows/two");
}

#[actix_web::test]
async fn what_would_not_run_is_refused_by_module_and_field() {
    let app = TestApp::start(Database::sqlite()).await;
    let good = inline("a", "export function main() { return 1 }");
    let mut transform = good.clone();
    transform["value"]["input_transforms"] =
        json!({"x": {"type": "javascript", "expr": "flow_input.("}});
    let mut stop = good.clone();
    stop["stop_after_if"] = json!({"expr": "result =="});
    let mut suspend = good.clone();
    suspend["suspend"] = json!({"required_events": 1});
    let mut python = inline("a", "def main(:\n    pass");
    python["value"]["language"] = json!("python3");
    let each = json!({"id": "c", "value": {"type": "forloopflow", "skip_failures": false, "modules": [],
        "iterator": {"type": "javascript", "expr": "[1, 2"}}});
    let pre = json!({"id": "preprocessor", "value": {"type": "rawscript", "language": "nativets", "input_transforms": {},
        "content": "export function other() {}"}});
    for (value, wanted) in [
        (
            json!({"modules": [transform]}),
            "modules[0] (id a): input_transforms.x.expr: SyntaxError: ",
        ),
        (
            json!({"modules": [stop]}),
            "modules[0] (id a): stop_after_if.expr: SyntaxError: ",
        ),
        (
            json!({"modules": [suspend]}),
            "modules[0] (id a): suspend is not supported; ",
        ),
        (
            json!({"modules": [inline("a", "export function main( {")]}),
            "modules[0] (id a): content: ",
        ),
        (
            json!({"modules": [inline("a", "const x = 1")]}),
            "modules[0] (id a): content: ",
        ),
        (
            json!({"modules": [python]}),
            "modules[0] (id a): content: syntax error at line 1",
        ),
        (
            json!({"modules": [good, each]}),
            "modules[1] (id c): iterator.expr: SyntaxError: ",
        ),
        (
            json!({"modules": [], "skip_expr": "1 +"}),
            "value: skip_expr: SyntaxError: ",
        ),
        (
            json!({"modules": [], "same_worker": true}),
            "value: same_worker is not supported; ",
        ),
        (
            json!({"modules": [], "preprocessor_module": pre}),
            "preprocessor_module (id preprocessor): content: a preprocessor needs",
        ),
        (json!({"modules": {}}), "value: modules must be a list"),
    ] {
        let answer = app
            .post("flows/create", &flow("f/flows/bad", value))
            .await
            .expect(400);
        assert!(answer.text.starts_with(wanted), "{}\n{wanted}", answer.text);
    }
    let mut body = flow("f/flows/bad", json!({"modules": []}));
    body["on_behalf_of"] = json!("u/other");
    let answer = app.post("flows/create", &body).await.expect(400);
    assert!(
        answer.text.starts_with("on_behalf_of: is not supported; "),
        "{}",
        answer.text
    );
    assert!(
        !app.get("flows/exists/f/flows/bad")
            .await
            .expect(200)
            .json()
            .as_bool()
            .unwrap()
    );
}
