//! [`Engine`]: evaluates the expressions of flows. A bare QuickJS without a network, files, timers or modules, made
//! for one transition of one flow, so that nothing is left for another. Bounded in time, memory and stack.
//!
//! Everything here blocks and belongs on a thread that may.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use rquickjs::{
    CatchResultExt, CaughtError, Coerced, Context, Ctx, Exception, Function, Module, Object,
    Persistent, Promise, Runtime, Value, promise::PromiseState,
};

use super::reads::Reads;
use crate::runner::language::nativets::memory;

/// Memory of an engine: results of some megabytes, parsed, fit.
const MEMORY_BYTES: usize = 64 << 20;
/// Stack of an expression; threads that may block have 2 MiB.
const STACK_BYTES: usize = 256 << 10;
/// Longest evaluation: expressions pick and reshape values; this is only there to end loops.
const TIME: Duration = Duration::from_secs(5);
/// Ready promises run between two looks at the clock; an expression has a handful.
const MAX_PROMISE_JOBS: usize = 100_000;

/// See the file's documentation.
pub(super) struct Engine {
    _ready: Persistent<Object<'static>>,
    context: Context,
    // Behind the context: it has to go last.
    runtime: Runtime,
    deadline: Rc<Cell<Option<Instant>>>,
}

/// How an expression is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `a + b`
    Expression,
    /// `let c = a + b; c`
    Statements,
    /// `if (a) { return b }; return c`
    Body,
}

impl Engine {
    /// A fresh one.
    ///
    /// # Errors
    /// The machine has no memory for it.
    pub(super) fn new() -> Result<Self, String> {
        let failed = |error: rquickjs::Error| format!("expressions cannot be evaluated: {error}");
        let runtime = Runtime::new().map_err(failed)?;
        runtime.set_memory_limit(MEMORY_BYTES);
        runtime.set_max_stack_size(STACK_BYTES);
        let deadline: Rc<Cell<Option<Instant>>> = Rc::default();
        let clock = Rc::clone(&deadline);
        let over = move || {
            clock
                .get()
                .is_some_and(|deadline| Instant::now() >= deadline)
        };
        runtime.set_interrupt_handler(Some(Box::new(over)));
        let context = Context::full(&runtime).map_err(failed)?;
        Ok(Self {
            _ready: context.with(|ctx| memory::prepare(&ctx)).map_err(failed)?,
            context,
            runtime,
            deadline,
        })
    }

    /// Checks the syntax of an expression; nothing of it runs.
    ///
    /// # Errors
    /// What the engine says about it.
    pub(super) fn check(&self, expr: &str) -> Result<(), String> {
        self.timed(|ctx| form(ctx, expr).map(|_| ()))
    }

    /// Evaluates an expression; `values` are the names it may use and their JSON. The answer is JSON, `null`
    /// for what has none.
    ///
    /// # Errors
    /// What it threw, or the limit it met.
    pub(super) fn eval(&self, expr: &str, values: &[(&str, &str)]) -> Result<String, String> {
        self.timed(|ctx| {
            let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
            let function = compile(ctx, expr, &names.join(","))?;
            let mut args = rquickjs::function::Args::new(ctx.clone(), values.len());
            let thrown = |error| described(&error, self.is_over());
            for (_, json) in values {
                let parsed = ctx.json_parse(json.as_bytes()).catch(ctx).map_err(thrown)?;
                args.push_arg(parsed).catch(ctx).map_err(thrown)?;
            }
            let promise: Promise<'_> = function.call_arg(args).catch(ctx).map_err(thrown)?;
            let value = self.settled(ctx, &promise)?;
            let text = ctx.json_stringify(value).catch(ctx).map_err(thrown)?;
            match text {
                None => Ok("null".to_owned()),
                Some(text) => text.to_string().catch(ctx).map_err(thrown),
            }
        })
    }

    /// As [`Engine::eval`], with the functions `variable` and `resource`. What they are asked for and is not known is
    /// noted in `reads`; the answer counts for nothing then.
    ///
    /// # Errors
    /// What it threw, or the limit it met.
    pub(super) fn eval_reading(
        &self,
        expr: &str,
        values: &[(&str, &str)],
        reads: &Rc<Reads>,
    ) -> Result<String, String> {
        self.timed(|ctx| {
            let globals = ctx.globals();
            for (name, mark) in [("variable", "$var:"), ("resource", "$res:")] {
                let function = reader(ctx, mark, Rc::clone(reads));
                function
                    .and_then(|function| globals.set(name, function))
                    .catch(ctx)
                    .map_err(|error| described(&error, false))?;
            }
            Ok(())
        })?;
        self.eval(expr, values)
    }

    /// What is said where there is no engine.
    pub(super) fn missing() -> Result<String, String> {
        Err("expressions cannot be evaluated".to_owned())
    }

    fn settled<'js>(&self, ctx: &Ctx<'js>, promise: &Promise<'js>) -> Result<Value<'js>, String> {
        for _ in 0..MAX_PROMISE_JOBS {
            if promise.state() != PromiseState::Pending || !ctx.execute_pending_job() {
                break;
            }
        }
        match promise.result::<Value<'js>>() {
            None if self.is_over() => Err(too_long()),
            None => Err("it waits for something that never comes".to_owned()),
            Some(result) => result
                .catch(ctx)
                .map_err(|error| described(&error, self.is_over())),
        }
    }

    fn timed<T>(&self, work: impl FnOnce(&Ctx<'_>) -> Result<T, String>) -> Result<T, String> {
        self.deadline.set(Some(Instant::now() + TIME));
        let done = self.context.with(|ctx| work(&ctx));
        self.deadline.set(None);
        if done.is_err() {
            // To find out what an error was may have raised it.
            self.runtime.set_gc_threshold(memory::COLLECT_BYTES);
        }
        done
    }

    fn is_over(&self) -> bool {
        self.deadline
            .get()
            .is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// `variable` or `resource`, as an expression calls it.
fn reader<'js>(
    ctx: &Ctx<'js>,
    mark: &'static str,
    reads: Rc<Reads>,
) -> rquickjs::Result<Function<'js>> {
    let read = move |ctx: Ctx<'js>, path: String| -> rquickjs::Result<Value<'js>> {
        let path = path.strip_prefix(mark).unwrap_or(&path);
        let reference = format!("{mark}{path}");
        let known = reads.known.borrow().get(&reference).cloned();
        match known {
            Some(Ok(json)) => ctx.json_parse(json),
            Some(Err(error)) => Err(Exception::throw_message(&ctx, &error)),
            None => {
                let text = format!("{reference} is not read yet");
                reads.missed.borrow_mut().push(reference);
                Err(Exception::throw_message(&ctx, &text))
            }
        }
    };
    Function::new(ctx.clone(), read)
}

/// How `expr` can be read, tried in this order.
fn form(ctx: &Ctx<'_>, expr: &str) -> Result<Form, String> {
    let expression = match closure(ctx, &format!("(async()=>({expr}\n))")) {
        Ok(_) => return Ok(Form::Expression),
        Err(error) => error,
    };
    // A module is compiled without being run; `return` and what must not stand alone are errors in it.
    if Module::declare(ctx.clone(), "expression", expr)
        .catch(ctx)
        .is_ok()
    {
        return Ok(Form::Statements);
    }
    match closure(ctx, &format!("(async()=>{{{expr}\n}})")) {
        Ok(_) => Ok(Form::Body),
        Err(_) => Err(expression),
    }
}

fn compile<'js>(ctx: &Ctx<'js>, expr: &str, names: &str) -> Result<Function<'js>, String> {
    let source = match form(ctx, expr)? {
        Form::Expression => format!("(async({names})=>({expr}\n))"),
        Form::Body => format!("(async({names})=>{{{expr}\n}})"),
        Form::Statements => {
            let text = serde_json::Value::from(expr).to_string();
            format!("(async({names})=>eval({text}))")
        }
    };
    closure(ctx, &source)
}

/// Makes the function; it is not called.
fn closure<'js>(ctx: &Ctx<'js>, source: &str) -> Result<Function<'js>, String> {
    ctx.eval(source)
        .catch(ctx)
        .map_err(|error| described(&error, false))
}

fn too_long() -> String {
    format!("it takes longer than {} s", TIME.as_secs())
}

fn described(error: &CaughtError<'_>, over: bool) -> String {
    match error {
        _ if over => too_long(),
        CaughtError::Exception(exception) => {
            let name: String = exception.get("name").unwrap_or_else(|_| "Error".to_owned());
            let message = exception.message().unwrap_or_default();
            if name == "InternalError" && matches!(message.as_str(), "" | "out of memory") {
                "it needs too much memory".to_owned()
            } else {
                format!("{name}: {message}")
            }
        }
        // The engine throws null when it has no memory left for an error.
        CaughtError::Value(value)
            if value.is_null() && memory::ran_out(value.ctx(), MEMORY_BYTES) =>
        {
            "it needs too much memory".to_owned()
        }
        CaughtError::Value(value) => format!("Error: {}", told(value)),
        CaughtError::Error(error) => error.to_string(),
    }
}

/// What was thrown and is no error: its `message` if it has one, a text as it is, else its JSON.
fn told(value: &Value<'_>) -> String {
    let ctx = value.ctx();
    let message = value.as_object().and_then(|object| {
        let message: Option<String> = object.get("message").catch(ctx).ok();
        message
    });
    let json = || {
        let text = ctx.json_stringify(value.clone()).catch(ctx).ok()??;
        text.to_string().ok()
    };
    let text = || value.get::<Coerced<String>>().catch(ctx).ok();
    message
        .or_else(|| value.is_object().then(json).flatten())
        .or_else(|| text().map(|text| text.0))
        .unwrap_or_else(|| format!("a {} was thrown", value.type_name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_every_form_are_evaluated() {
        let values = [
            ("flow_input", r#"{"a": {"b": [1, 2]}, "n": null}"#),
            ("result", "3"),
        ];
        let engine = Engine::new().unwrap();
        for (expr, wanted) in [
            ("flow_input.a.b[1]", "2"),
            ("flow_input.missing", "null"),
            ("flow_input.n?.x", "null"),
            ("{x: result, y: flow_input.a}", r#"{"x":3,"y":{"b":[1,2]}}"#),
            ("`${result} and more` // why", r#""3 and more""#),
            ("let x = result * 2\nx + 1", "7"),
            ("const f = (x) => { return x * 2 }; f(result)", "6"),
            (
                "if (result > 2) { return 'many' }\nreturn 'few'",
                r#""many""#,
            ),
            ("await Promise.resolve(result)", "3"),
            ("() => 1", "null"),
            ("flow_input.a.b.map(x => x + result)", "[4,5]"),
            ("result;", "3"),
        ] {
            engine.check(expr).unwrap();
            let text = engine.eval(expr, &values);
            assert_eq!(text.as_deref(), Ok(wanted), "{expr}");
        }
    }

    #[test]
    fn bad_expressions_are_described() {
        let engine = Engine::new().unwrap();
        for (expr, wanted) in [
            ("1 +", "SyntaxError: "),
            ("flow_input.(", "SyntaxError: "),
            ("return return", "SyntaxError: "),
        ] {
            let error = engine.check(expr).unwrap_err();
            assert!(error.starts_with(wanted), "{expr}: {error}");
        }
        for (expr, wanted) in [
            ("nothing.here", "ReferenceError: nothing is not defined"),
            ("flow_input.a.b", "TypeError: "),
            ("throw new RangeError('no')", "RangeError: no"),
            (
                "new Promise(() => {})",
                "it waits for something that never comes",
            ),
            ("throw null", "Error: null"),
            ("throw 'only a text'", "Error: only a text"),
            ("throw 1", "Error: 1"),
            ("throw undefined", "Error: undefined"),
            ("throw Symbol('s')", "Error: a symbol was thrown"),
            ("throw { message: 'm', a: 1 }", "Error: m"),
            ("throw { a: [1] }", r#"Error: {"a":[1]}"#),
            ("throw { get message() { throw 1 } }", "Error: "),
            ("'x'.repeat(1 << 28)", "it needs too much memory"),
            (
                "for (let last = {}; ; ) last = { last }",
                "it needs too much memory",
            ),
            ("import('fs')", ""),
        ] {
            let error = engine.eval(expr, &[("flow_input", "{}")]).unwrap_err();
            assert!(error.starts_with(wanted), "{expr}: {error}");
        }
        assert_eq!(engine.eval("1", &[]).as_deref(), Ok("1"));
    }

    #[test]
    fn endless_expressions_end() {
        let engine = Engine::new().unwrap();
        assert_eq!(engine.eval("while (true) {}", &[]), Err(too_long()));
        assert_eq!(engine.eval("1", &[]).as_deref(), Ok("1"));
    }
}
