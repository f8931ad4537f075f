//! Flows: saved, checked, run step by step.

mod branching;
mod calling;
mod erasing;
mod failing;
mod looping;
mod restarting;
mod running;
mod saving;
mod surviving;
mod triggered;

use serde_json::{Value, json};

use crate::harness::TestApp;

/// A step that runs TypeScript of its own; `inputs` are expressions.
pub fn step(id: &str, content: &str, inputs: &[(&str, &str)]) -> Value {
    let mut step = json!({"id": id, "value": {
        "type": "rawscript", "language": "nativets", "content": content, "input_transforms": {},
    }});
    for (name, expr) in inputs {
        step["value"]["input_transforms"][*name] = json!({"type": "javascript", "expr": expr});
    }
    step
}

/// A step that gives back what it gets.
pub fn echo(id: &str, expr: &str) -> Value {
    step(id, "export const main = (x: any) => x", &[("x", expr)])
}

/// A step that fails with the text it gets.
pub fn fail(id: &str, expr: &str) -> Value {
    let content = "export function main(x: any) { throw new RangeError(String(x)) }";
    step(id, content, &[("x", expr)])
}

/// A step with more fields.
pub fn with(mut step: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        step[name] = value.clone();
    }
    step
}

/// Saves a flow of these modules.
pub async fn create(app: &TestApp, path: &str, value: Value) {
    let body = json!({"path": path, "summary": "", "description": "", "value": value});
    app.post("flows/create", &body).await.expect(201);
}

/// Starts a flow; the answer is its job's id.
pub async fn start(app: &TestApp, path: &str, args: &Value) -> String {
    app.post(&format!("jobs/run/f/{path}"), args)
        .await
        .expect(201)
        .text
}

/// Runs a flow that is not saved to its end; the answer is its job.
pub async fn run(app: &TestApp, value: Value, args: Value) -> Value {
    let body = json!({"value": value, "args": args, "path": "f/flows/tried"});
    let id = app
        .post("jobs/run/preview_flow", &body)
        .await
        .expect(201)
        .text;
    app.wait_for_job(&id).await
}

/// Runs modules to their end, insists on success; the answer is the result.
pub async fn result(app: &TestApp, modules: Value, args: Value) -> Value {
    let job = run(app, json!({"modules": modules}), args).await;
    assert_eq!(job["success"], true, "{job}");
    job["result"].clone()
}

/// Runs modules to their end, insists on failure; the answer is the error.
pub async fn error(app: &TestApp, modules: Value, args: Value) -> Value {
    let job = run(app, json!({"modules": modules}), args).await;
    assert_eq!(job["success"], false, "{job}");
    job["result"]["error"].clone()
}
