//! [`Context`]: one engine that holds one script and runs it job after job.
//!
//! Owned by a worker's thread and never shared: it is `!Send`. The loop in [`Context::run`] is the script's event
//! loop: it runs what is ready, then waits for timers and requests, and ends the job when its time is over.

use std::{
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::{
    StreamExt, future::Abortable, future::LocalBoxFuture, stream::FuturesUnordered,
};
use rquickjs::{
    CatchResultExt, Ctx, Error, Function as JsFunction, Module, Object, Persistent, Runtime,
    TypedArray,
};
use serde_json::value::RawValue;

use super::errors::{engine_error, is_out_of_memory, readable_stack, stop_error};
use super::modules::{BuiltIns, SCRIPT};
use super::state::{Settled, State};
use super::{Call, FetchResponse, Function, Host, Limits, Outcome, ScriptError, host, memory};
use crate::runner::language::{
    typescript::{Compiled, LineMap},
    well_formed,
};

/// How soon a canceled job that waits is noticed.
const CANCEL_CHECK: Duration = Duration::from_millis(50);

/// Ready promises run between two looks at the clock.
const JOBS_PER_CHECK: usize = 64;

/// Ready promises that may still run when the job's result is known; what is left after these would be
/// carried into the next job, so the context is given up.
const JOBS_AFTER_RESULT: usize = 1000;

/// Timers fired before waiting requests get a turn.
const TIMERS_PER_TURN: usize = 64;

/// The functions `prelude.js` returns.
struct Prelude {
    load: Persistent<JsFunction<'static>>,
    call: Persistent<JsFunction<'static>>,
    fire: Persistent<JsFunction<'static>>,
    done: Persistent<JsFunction<'static>>,
    reset: Persistent<JsFunction<'static>>,
    rejected: Persistent<JsFunction<'static>>,
    unhandled: Persistent<JsFunction<'static>>,
    _ready: Persistent<Object<'static>>,
}

/// A warm engine with one script in it. State the script keeps in globals lives as long as the context and is
/// seen by no other.
pub struct Context {
    // The engine's values come first: they have to go before the engine does.
    prelude: Prelude,
    context: rquickjs::Context,
    runtime: Runtime,
    state: Rc<State>,
    lines: LineMap,
    limits: Limits,
    has_preprocessor: bool,
    is_loaded: bool,
    poisoned: bool,
}

/// A request under way: its id, and what came of it unless it was aborted.
type Fetching = LocalBoxFuture<'static, (u32, Option<Result<FetchResponse, String>>)>;

impl Context {
    /// Starts an engine and compiles the script into it. The script's top level runs with the first job, within
    /// that job's limits and with its environment.
    ///
    /// # Errors
    /// Syntax the engine does not know, or limits too small to start.
    pub fn new(script: &Compiled, limits: Limits) -> Result<Self, ScriptError> {
        let state = Rc::new(State::new(limits.log_bytes));
        let failed = |error: Error| ScriptError::new("Error", format!("cannot start: {error}"));
        let runtime = Runtime::new().map_err(failed)?;
        runtime.set_memory_limit(limits.memory_bytes);
        runtime.set_max_stack_size(limits.stack_bytes);
        runtime.set_loader(BuiltIns, BuiltIns);
        let clock = Rc::clone(&state);
        let interrupt = move || clock.clock.check().is_some();
        runtime.set_interrupt_handler(Some(Box::new(interrupt)));
        let context = rquickjs::Context::full(&runtime).map_err(failed)?;
        let prelude = context.with(|ctx| {
            let prelude = Prelude::start(&ctx, script, &limits, &state)
                .catch(&ctx)
                .map_err(|caught| engine_error(&caught, &script.lines))?;
            // The engine keeps it under its name until `load` imports it.
            Module::declare(ctx.clone(), SCRIPT, script.javascript.as_str())
                .catch(&ctx)
                .map_err(|caught| engine_error(&caught, &script.lines))?;
            Ok(prelude)
        })?;
        watch_rejections(&runtime, prelude.rejected.clone(), Rc::clone(&state));
        Ok(Self {
            prelude,
            context,
            runtime,
            state,
            lines: script.lines.clone(),
            limits,
            has_preprocessor: script.preprocessor.is_some(),
            is_loaded: false,
            poisoned: false,
        })
    }

    /// Runs one job to its end. What the script leaves running when its function has come to a result is dropped.
    ///
    /// Dropping the future ends the job's requests and leaves the context poisoned.
    pub async fn run(&mut self, call: Call) -> Outcome {
        if self.poisoned {
            let text = "this context was given up after an earlier job; start a new one";
            return self.end(Err(ScriptError::new("Error", text)));
        }
        if call.function == Function::Preprocessor && !self.has_preprocessor {
            let text = "the script exports no function preprocessor";
            return self.end(Err(ScriptError::new("Error", text)));
        }
        // Until the job has ended in order.
        self.poisoned = true;
        self.state.clock.start(call.timeout, call.cancel);
        self.state.begin(call.env, call.on_log);
        if !self.is_loaded {
            self.load();
            if let Err(error) = self.drive(&call.host, call.timeout).await {
                return self.end(Err(error));
            }
            self.is_loaded = true;
        }
        self.call(call.function, call.args);
        let result = self.drive(&call.host, call.timeout).await;
        let was_stopped = self.state.clock.check().is_some();
        if !was_stopped && !matches!(&result, Err(error) if is_past_trust(error)) {
            self.poisoned = !self.finish();
        }
        let result = result.and_then(|text| self.checked(text));
        self.end(result)
    }

    /// Whether the context can run no further job.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    fn end(&self, result: Result<Box<RawValue>, ScriptError>) -> Outcome {
        Outcome {
            result,
            logs: self.state.end(),
            poisoned: self.poisoned,
        }
    }

    fn checked(&self, text: String) -> Result<Box<RawValue>, ScriptError> {
        if text.len() > self.limits.result_bytes {
            let limit = self.limits.result_bytes;
            let text = format!("the result is larger than {limit} bytes; return less");
            return Err(ScriptError::new("RangeError", text));
        }
        RawValue::from_string(well_formed(&text).into_owned()).map_err(|error| {
            ScriptError::new("TypeError", format!("the result is not JSON: {error}"))
        })
    }

    /// Evaluates the script's top level; the outcome arrives in the state.
    fn load(&self) {
        self.enter(|ctx| {
            let namespace = Module::import(ctx, SCRIPT)?;
            self.prelude.load.clone().restore(ctx)?.call((namespace,))
        });
    }

    fn call(&self, function: Function, args: String) {
        let name = match function {
            Function::Main => "main",
            Function::Preprocessor => "preprocessor",
        };
        self.enter(|ctx| self.prelude.call.clone().restore(ctx)?.call((name, args)));
    }

    /// Does something in the engine. What it throws is the job's error, unless the job was stopped.
    fn enter(&self, act: impl FnOnce(&Ctx<'_>) -> rquickjs::Result<()>) {
        self.context.with(|ctx| {
            if let Err(caught) = act(&ctx).catch(&ctx)
                && self.state.clock.check().is_none()
            {
                self.state.settle(if is_out_of_memory(&caught) {
                    Settled::OutOfMemory
                } else {
                    let error = engine_error(&caught, &LineMap::default());
                    Settled::Failed(serde_json::json!(error).to_string())
                });
            }
        });
    }

    /// The event loop: until the job has a result, must stop, or can never come to one.
    async fn drive(&self, host: &Rc<dyn Host>, timeout: Duration) -> Result<String, ScriptError> {
        let mut fetches: FuturesUnordered<Fetching> = FuturesUnordered::new();
        loop {
            self.run_ready(usize::MAX);
            if let Some(stop) = self.state.clock.check() {
                return Err(stop_error(stop, timeout));
            }
            if !self.state.is_settled() && self.state.take_rejected() {
                self.enter(|ctx| self.prelude.unhandled.clone().restore(ctx)?.call(()));
            }
            if let Some(settled) = self.state.take_settled() {
                return self.read(settled);
            }
            for new in self.state.take_fetches() {
                let host = Rc::clone(host);
                fetches.push(Box::pin(async move {
                    let answer = pin!(async move { host.fetch(new.request).await });
                    (new.id, Abortable::new(answer, new.abort).await.ok())
                }));
            }
            if self.fire_timers() {
                tokio::task::yield_now().await;
                continue;
            }
            let timer = self.state.next_timer();
            if fetches.is_empty() && timer.is_none() {
                return Err(ScriptError::new("Error", NOTHING_RESOLVES));
            }
            let wake = [timer, self.state.clock.deadline()]
                .into_iter()
                .flatten()
                .fold(Instant::now() + CANCEL_CHECK, Instant::min);
            tokio::select! {
                biased;
                Some((id, answer)) = fetches.next(), if !fetches.is_empty() => {
                    if let Some(answer) = answer {
                        self.deliver(id, answer);
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// Runs promises that are ready, at most `most` and not past the result; answers whether none is left.
    fn run_ready(&self, most: usize) -> bool {
        self.context.with(|ctx| {
            for count in 0..most {
                if count % JOBS_PER_CHECK == JOBS_PER_CHECK - 1
                    && self.state.clock.check().is_some()
                {
                    return false;
                }
                if !ctx.execute_pending_job() {
                    return true;
                }
                if self.state.is_settled() {
                    return false;
                }
            }
            false
        })
    }

    /// Fires timers that are due; answers whether there were any.
    fn fire_timers(&self) -> bool {
        let mut fired = false;
        for _ in 0..TIMERS_PER_TURN {
            let Some(id) = self.state.take_due_timer() else {
                break;
            };
            fired = true;
            self.enter(|ctx| self.prelude.fire.clone().restore(ctx)?.call((id,)));
            // What one timer makes ready comes before the next timer.
            self.run_ready(usize::MAX);
            if self.state.clock.check().is_some() || self.state.has_rejected() {
                break;
            }
        }
        fired
    }

    fn deliver(&self, id: u32, answer: Result<FetchResponse, String>) {
        self.state.cancel_fetch(id);
        self.enter(|ctx| {
            let done = self.prelude.done.clone().restore(ctx)?;
            match answer {
                Err(text) => done.call((id, rquickjs::Undefined, text)),
                Ok(mut response) => {
                    let body = std::mem::take(&mut response.body);
                    let head = serde_json::json!(response).to_string();
                    match String::from_utf8(body) {
                        Ok(text) => done.call((id, head, text)),
                        Err(error) => {
                            let bytes = TypedArray::<u8>::new(ctx.clone(), error.into_bytes())?;
                            done.call((id, head, rquickjs::Undefined, bytes))
                        }
                    }
                }
            }
        });
    }

    /// Clears what the job left; answers whether the context can take another.
    fn finish(&self) -> bool {
        let idle = self.run_ready(JOBS_AFTER_RESULT);
        self.context.with(|ctx| {
            let reset = self.prelude.reset.clone().restore(&ctx);
            let done = reset.and_then(|reset| reset.call::<_, ()>(()));
            done.catch(&ctx).is_ok() && idle && self.state.clock.check().is_none()
        })
    }

    fn read(&self, settled: Settled) -> Result<String, ScriptError> {
        match settled {
            Settled::Done(text) => Ok(text),
            Settled::OutOfMemory => Err(self.out_of_memory()),
            Settled::Null if self.ran_out() => Err(self.out_of_memory()),
            Settled::Null => {
                let mut error = ScriptError::new("Error", "null");
                error.stack = readable_stack(&error, &self.lines);
                Err(error)
            }
            Settled::Failed(text) => {
                let mut error: ScriptError = serde_json::from_str(&text).unwrap_or_else(|error| {
                    ScriptError::new("Error", format!("an unreadable error was thrown: {error}"))
                });
                error.stack = readable_stack(&error, &self.lines);
                Err(error)
            }
        }
    }

    /// Whether a `null` that was thrown is the engine's.
    fn ran_out(&self) -> bool {
        let limit = self.limits.memory_bytes;
        let ran_out = self.context.with(|ctx| memory::ran_out(&ctx, limit));
        if !ran_out {
            self.runtime.set_gc_threshold(memory::COLLECT_BYTES);
        }
        ran_out
    }

    fn out_of_memory(&self) -> ScriptError {
        let mib = self.limits.memory_bytes >> 20;
        ScriptError::new(OUT_OF_MEMORY, format!("out of memory (limit {mib} MiB)"))
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("poisoned", &self.poisoned)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Promises that are ready hold values of the engine; none of them may run any more, and a value that is
        // part of a cycle is only freed by a collection.
        self.runtime.run_gc();
    }
}

/// The name of the error of a script that used up its memory.
const OUT_OF_MEMORY: &str = "OutOfMemoryError";

/// The error of a script that can never come to a result.
const NOTHING_RESOLVES: &str = "the script waits for a promise that nothing can resolve any more";

/// Whether the engine may be broken after such an error: where its memory ends inside a step of a promise, it drops
/// the promise without a word.
fn is_past_trust(error: &ScriptError) -> bool {
    error.name == OUT_OF_MEMORY || error.message == NOTHING_RESOLVES
}

impl Prelude {
    fn start(
        ctx: &Ctx<'_>,
        script: &Compiled,
        limits: &Limits,
        state: &Rc<State>,
    ) -> rquickjs::Result<Self> {
        let params = |signature: Option<&crate::runner::language::typescript::Signature>| {
            signature.map_or_else(Vec::new, |signature| {
                let param = signature.params.iter();
                param
                    .map(|param| (param.name.clone(), param.is_date()))
                    .collect()
            })
        };
        let parameters = [
            ("main", params(Some(&script.signature))),
            (
                "preprocessor",
                params(script.preprocessor_signature.as_ref()),
            ),
        ];
        let limits = host::limits_object(ctx, limits, parameters)?;
        let prelude = host::eval(ctx, "windsock:prelude", include_str!("prelude.js"))?;
        let functions: Object<'_> = prelude.call((host::object(ctx, state)?, limits))?;
        let function = |name: &str| {
            let function: JsFunction<'_> = functions.get(name)?;
            rquickjs::Result::Ok(Persistent::save(ctx, function))
        };
        Ok(Self {
            load: function("load")?,
            call: function("call")?,
            fire: function("fire")?,
            done: function("done")?,
            reset: function("reset")?,
            rejected: function("rejected")?,
            unhandled: function("unhandled")?,
            _ready: memory::prepare(ctx)?,
        })
    }
}

/// Tells `prelude.js` of promises that are rejected with nobody to notice: they end the job, or reach its logs where its
/// result is known.
fn watch_rejections(
    runtime: &Runtime,
    rejected: Persistent<JsFunction<'static>>,
    state: Rc<State>,
) {
    runtime.set_host_promise_rejection_tracker(Some(Box::new(
        move |ctx, promise, reason, is_handled| {
            if !is_handled {
                state.note_rejected();
            }
            let told = rejected
                .clone()
                .restore(&ctx)
                .and_then(|rejected| rejected.call::<_, ()>((promise, reason, is_handled)));
            // An error here must not stay behind in the engine; the rejection goes unnoticed.
            drop(told.catch(&ctx));
        },
    )));
}
