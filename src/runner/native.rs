//! [`NativeContexts`]: the `nativets` contexts of one worker, one per script version and run-as, and one call on it at a time.
//!
//! Owned by the worker's `Executor`, on the worker's own thread: a script that computes occupies it until its
//! time is over. The engine itself is in `language::nativets`; what scripts fetch goes through a [`Host`].

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::{
    executor::{WarmChange, only_preprocess},
    language::{
        Answer, error_json,
        nativets::{self, Context, Environment, Function, Host, Limits, ScriptError},
        typescript::SyntaxError,
        well_formed,
    },
    limits::RunLimits,
    script::Script,
    stop::StopReason,
    warm::{CallContext, Ended, WarmKey},
};
use crate::queue::Job;

/// Contexts of one worker: 0.2 MB each for a small script.
const LIVE_CONTEXTS: usize = 64;

/// See the file's documentation.
pub(crate) struct NativeContexts {
    contexts: HashMap<WarmKey, Kept>,
    limits: Limits,
    calls_per_context: u32,
    idle: Duration,
    host: Rc<dyn Host>,
}

struct Kept {
    context: Context,
    calls: u32,
    used: Instant,
}

impl NativeContexts {
    /// None yet; what scripts fetch goes through `host`.
    pub(crate) fn new(limits: &RunLimits, host: Rc<dyn Host>) -> Self {
        Self {
            contexts: HashMap::new(),
            limits: Limits {
                memory_bytes: limits.engine_memory_bytes,
                // The executor judges results of all languages alike; here only memory bounds them.
                result_bytes: limits.engine_memory_bytes,
                log_bytes: limits.log_bytes,
                ..Limits::default()
            },
            calls_per_context: limits.calls_per_process,
            idle: limits.idle,
            host,
        }
    }

    /// Runs the job in the script's context, which is made when there is none.
    pub(crate) async fn run(
        &mut self,
        job: &Job,
        script: &Script,
        env: Environment,
        call: &mut CallContext<'_>,
        changes: &mut Vec<WarmChange>,
    ) -> Result<Answer, Ended> {
        let compiled = script
            .compiled
            .get_or_init(|| nativets::compile(&script.content).map(Arc::new));
        let compiled = match compiled {
            Ok(compiled) => Arc::clone(compiled),
            Err(error) => return Ok(Answer::failed("SyntaxError", &described(error))),
        };
        let kept = script.warm_key(job);
        let kept = kept.and_then(|key| self.contexts.remove(&key));
        let mut kept = match kept {
            Some(kept) => kept,
            None => match Context::new(&compiled, self.limits) {
                Ok(context) => Kept {
                    context,
                    calls: 0,
                    used: Instant::now(),
                },
                Err(error) => return Ok(Answer::failed(&error.name, &error.message)),
            },
        };
        kept.calls += 1;
        let answer = self.call(&mut kept.context, job, &env, call).await;
        kept.used = Instant::now();
        self.keep((script, job), kept, changes);
        answer
    }

    /// Lets the preprocessor make the arguments, if there is one, and calls `main`.
    async fn call(
        &self,
        context: &mut Context,
        job: &Job,
        env: &Environment,
        call: &mut CallContext<'_>,
    ) -> Result<Answer, Ended> {
        let mut args = well_formed(&job.args).into_owned();
        if let Err(error) = check_object(&args) {
            let message = format!("the arguments are no JSON object: {error}");
            return Ok(Answer::failed("ExecutionErr", &message));
        }
        let mut preprocessed_args = None;
        if job.preprocess || only_preprocess(job) {
            let made = self
                .step(context, Function::Preprocessor, args, env, call)
                .await?;
            let text = match made {
                Ok(text) => text,
                Err(error) => return Ok(answer(Err(error), None)),
            };
            if serde_json::from_str::<Map<String, Value>>(&text).is_err() {
                let error = error_json("TypeError", "the preprocessor must return an object");
                return Ok(answer(Err(error), None));
            }
            if only_preprocess(job) {
                return Ok(answer(Ok(text), None));
            }
            args = text.clone();
            preprocessed_args = Some(text);
        }
        let result = self.step(context, Function::Main, args, env, call).await?;
        Ok(answer(result, preprocessed_args))
    }

    /// One call into the script. The inner result is the job's: its JSON, or its error as JSON.
    async fn step(
        &self,
        context: &mut Context,
        function: Function,
        args: String,
        env: &Environment,
        call: &mut CallContext<'_>,
    ) -> Result<Result<String, String>, Ended> {
        let printed = Rc::new(RefCell::new(String::new()));
        let on_log = {
            let printed = Rc::clone(&printed);
            Rc::new(move |text: &str| printed.borrow_mut().push_str(text))
        };
        let run = context.run(nativets::Call {
            args,
            function,
            env: Rc::clone(env),
            timeout: call.deadline.saturating_duration_since(Instant::now()),
            cancel: call.stop.flag(),
            host: Rc::clone(&self.host),
            on_log: Some(on_log),
        });
        tokio::pin!(run);
        let interval = call.sink.interval();
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut run => break outcome,
                () = tokio::time::sleep(interval) => {
                    call.log.push(std::mem::take(&mut *printed.borrow_mut()).as_bytes());
                    call.sink.hand_on(call.log);
                }
            }
        };
        call.log.push(printed.borrow().as_bytes());
        match outcome.result {
            Ok(result) => Ok(Ok(result.get().to_owned())),
            Err(error) if error.name == "Canceled" => {
                let reason = call.stop.reason().cloned().unwrap_or(StopReason::Shutdown);
                Err(Ended::Stopped(reason))
            }
            Err(error) if error.name == "TimeoutError" && Instant::now() >= call.deadline => {
                Err(Ended::TimedOut)
            }
            Err(error) => Ok(Err(as_json(&error))),
        }
    }

    fn keep(&mut self, (script, job): (&Script, &Job), kept: Kept, changes: &mut Vec<WarmChange>) {
        let Some(key) = script.warm_key(job).filter(|_| script.warm) else {
            return;
        };
        let hash = key.0.1;
        if kept.context.is_poisoned() || kept.calls >= self.calls_per_context {
            changes.push((hash, false));
            return;
        }
        if kept.calls == 1 {
            changes.push((hash, true));
        }
        if self.contexts.len() >= LIVE_CONTEXTS {
            let oldest = self.contexts.iter().min_by_key(|(_, kept)| kept.used);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.contexts.remove(&key);
                changes.push((key.0.1, false));
            }
        }
        self.contexts.insert(key, kept);
    }

    /// Drops contexts that wait for too long.
    pub(crate) fn end_idle(&mut self, now: Instant, changes: &mut Vec<WarmChange>) {
        let idle = self.idle;
        let gone = self
            .contexts
            .extract_if(|_, kept| now.duration_since(kept.used) >= idle);
        changes.extend(gone.map(|(key, _)| (key.0.1, false)));
    }

    /// When a context will have waited for too long.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.contexts
            .values()
            .map(|kept| kept.used + self.idle)
            .min()
    }
}

/// Refuses what is no JSON object. How deep it may be was seen to when it was taken in.
fn check_object(json: &str) -> Result<(), String> {
    serde_json::from_str::<IgnoredAny>(json).map_err(|error| error.to_string())?;
    if json.trim_ascii_start().starts_with('{') {
        Ok(())
    } else {
        Err("it begins with no brace".to_owned())
    }
}

fn answer(result: Result<String, String>, preprocessed_args: Option<String>) -> Answer {
    Answer {
        result,
        preprocessed_args,
        reusable: true,
    }
}

fn as_json(error: &ScriptError) -> String {
    serde_json::to_string(error).unwrap_or_else(|_| error_json(&error.name, &error.message))
}

fn described(error: &SyntaxError) -> String {
    format!("the script cannot be read: {error}")
}
