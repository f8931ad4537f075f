//! Arguments and results of `nativets`: a script that returns what it was given returns the same JSON.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};
use windsock::runner::language::nativets::{
    Call, Context, FetchRequest, FetchResponse, Function, Host, Limits, compile,
};

const SOURCE: &str = "export function main(value: any, date?: Date, more: string = 'x') { return [value, date === undefined, more] }";

struct NoNetwork;

impl Host for NoNetwork {
    fn fetch(&self, _: FetchRequest) -> LocalBoxFuture<'_, Result<FetchResponse, String>> {
        Box::pin(async { Err("no network".to_owned()) })
    }
}

struct Engine {
    runtime: tokio::runtime::Runtime,
    context: Context,
}

impl Engine {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let compiled = compile(SOURCE).expect("the script compiles");
        Self {
            runtime: runtime.expect("a runtime"),
            context: Context::new(&compiled, Limits::default()).expect("an engine"),
        }
    }
}

/// Deeper ones come back as well, but only as a text: read into a tree of values here, what lies around them would be too
/// deep.
const DEEPEST: usize = 120;

fn depth(value: &Value) -> usize {
    let inside = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + inside.unwrap_or(0)
}

thread_local! {
    static ENGINE: RefCell<Engine> = RefCell::new(Engine::new());
}

/// As JavaScript sees it: every number is a double, and no zero is negative once it is JSON again.
fn seen(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            json!(if number == 0.0 { 0.0 } else { number })
        }
        Value::Array(items) => items.iter().map(seen).collect(),
        Value::Object(fields) => {
            let seen = fields
                .iter()
                .map(|(name, value)| (name.clone(), seen(value)));
            Value::Object(seen.collect())
        }
        other => other.clone(),
    }
}

pub(crate) fn run(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if depth(&value) > DEEPEST {
        return;
    }
    let call = Call {
        args: json!({ "value": value }).to_string(),
        function: Function::Main,
        env: Rc::new(BTreeMap::new),
        timeout: Duration::from_secs(10),
        cancel: Arc::new(AtomicBool::new(false)),
        host: Rc::new(NoNetwork),
        on_log: None,
    };
    ENGINE.with_borrow_mut(|engine| {
        let outcome = engine.runtime.block_on(engine.context.run(call));
        assert!(!outcome.poisoned && !engine.context.is_poisoned());
        let result = outcome.result.expect("a result");
        let result: Value = serde_json::from_str(result.get()).expect("JSON");
        // A parameter that is not given is told by this text.
        let value = if value == json!("<function call>") {
            Value::Null
        } else {
            value
        };
        assert_eq!(seen(&result), seen(&json!([value, true, "x"])));
    });
}
