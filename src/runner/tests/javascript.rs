//! `bun` and `deno`: each rule once for both. Without the program a test is skipped, by name.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Bench, has, identity, installed, job, limits, parts, script};
use crate::{
    runner::{
        Preprocessor, RunLimits, check,
        executor::Run,
        script::Script,
        stop::{Stop, StopReason},
    },
    types::Language,
};

/// The languages whose program is there.
fn languages(test: &str) -> Vec<Language> {
    [Language::Bun, Language::Deno]
        .into_iter()
        .filter(|language| has(language.as_str(), test))
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

#[actix_rt::test]
async fn arguments_come_by_name_and_results_are_json() {
    for language in languages("arguments_come_by_name_and_results_are_json") {
        let mut bench = Bench::new();
        let content = "type Pair = { a: number };\n\
            export async function main(a: string, when?: Date, b = 2, c?: Pair) {\n  \
            return [a, when?.getUTCFullYear(), b, c, undefined, 12n, NaN, typeof when] }";
        let script = script(language, content);
        let args =
            json!({"c": {"a": 1}, "a": "é\n\t", "when": "2026-01-31T00:00:00Z", "unknown": 1});
        assert_eq!(
            bench.result(&script, args).await,
            json!(["é\n\t", 2026, 2, {"a": 1}, null, "12", null, "object"])
        );
        let args = json!({"a": "x", "b": "<function call>", "when": "<function call>"});
        assert_eq!(
            bench.result(&script, args).await,
            json!(["x", null, 2, null, null, "12", null, "undefined"])
        );
        // Half a character is no text that others could read.
        let half = super::script(
            language,
            "export function main(x: string) { if (x === '') throw '\\ud83d'; return x.slice(0, 3) }",
        );
        let result = bench.result(&half, json!({"x": "ab😀"})).await;
        assert_eq!(result, json!("ab\u{fffd}"));
        let error = bench.error(&half, json!({"x": ""})).await;
        assert_eq!(error["message"], "\u{fffd}");
        let nothing = super::script(language, "export function main() {}");
        assert_eq!(bench.result(&nothing, json!({})).await, Value::Null);
    }
}

#[actix_rt::test]
async fn a_process_serves_many_jobs_each_with_its_own_environment_and_an_empty_folder() {
    for language in languages("a_process_serves_many_jobs") {
        let mut bench = Bench::new();
        let content = "import * as fs from 'node:fs';\nlet calls = 0;\nexport function main() {\n  \
            const left = fs.readdirSync('.').filter((name) => !name.startsWith('.'));\n  \
            fs.writeFileSync('left.txt', 'x');\n  \
            return [++calls, left, process.env.WM_JOB_ID, process.env.WM_TOKEN, process.pid]; }";
        let content = format!("import process from 'node:process';\n{content}");
        let script = script(language, &content);
        let mut pids = Vec::new();
        for calls in 1..=3 {
            let job = job(script.key.as_ref().unwrap().1, &json!({}));
            let (_, result, logs) = parts(bench.run(&script, &job).await);
            let wanted = json!([calls, [], job.id, identity().token]);
            assert_eq!(json!(result.as_array().expect(&logs)[..4]), wanted);
            pids.push(result[4].clone());
        }
        assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
        assert_eq!(bench.executor.processes.len(), 1);
    }
}

#[actix_rt::test]
async fn prints_are_logs_and_cannot_spoil_the_answer() {
    for language in languages("prints_are_logs_and_cannot_spoil_the_answer") {
        let mut bench = Bench::with(RunLimits {
            log_bytes: 1_000_000,
            ..limits()
        });
        let content = "import process from 'node:process';\nimport { spawnSync } from 'node:child_process';\n\
            export function main(n: number) {\n  \
            for (let i = 0; i < n; i++) console.log(`s\\t${i}`);\n  \
            console.error('to error');\n  process.stdout.write('no newline');\n  \
            spawnSync('sh', ['-c', 'echo from a child'], { stdio: 'inherit' });\n  \
            const input = spawnSync('cat', [], { stdio: 'inherit' });\n  return input.status; }";
        let script = script(language, content);
        for n in [3, 20_000] {
            let (success, result, logs) = bench.call(&script, json!({"n": n})).await;
            assert!(success && result == json!(0), "{result}");
            for wanted in ["s\t0\n", "to error\n", "no newline", "from a child\n"] {
                assert!(logs.contains(wanted), "{wanted:?} is missing");
            }
            assert!(logs.contains(&format!("s\t{}\n", n - 1)), "{n}");
        }
    }
}

#[actix_rt::test]
async fn errors_have_name_message_and_lines_of_the_source() {
    for language in languages("errors_have_name_message_and_lines_of_the_source") {
        let mut bench = Bench::new();
        let content = "type Gone = string;\n\nclass Odd extends Error { name = 'OddError' }\n\
            function inner(x: Gone) {\n  throw new Odd(x, { cause: new TypeError('why') });\n}\n\
            export function main(x: Gone) {\n  if (x === 'text') throw 'only a text';\n  inner(x);\n}";
        let script = script(language, content);
        let error = bench.error(&script, json!({"x": "boom"})).await;
        assert_eq!(
            (text(&error["name"]), text(&error["message"])),
            ("OddError", "boom")
        );
        let stack = text(&error["stack"]);
        for wanted in [
            "f/test/script.ts:5",
            "f/test/script.ts:9",
            "caused by TypeError: why",
        ] {
            assert!(stack.contains(wanted), "{wanted}: {stack}");
        }
        assert!(
            !stack.contains("wrapper") && !stack.contains("/tmp/"),
            "{stack}"
        );
        let error = bench.error(&script, json!({"x": "text"})).await;
        assert_eq!(error["message"], "only a text");
        let error = bench
            .error(&script, json!({"x": "x".repeat(3_000_000)}))
            .await;
        assert_eq!(error["name"], "OddError");
        assert!(text(&error["message"]).len() < 20_000);
        let stack = text(&error["stack"]);
        assert!(stack.len() < 40_000, "{}", stack.len());
        assert!(stack.contains("f/test/script.ts:5"), "the places are lost");
        // The process has survived both.
        assert_eq!(bench.executor.processes.len(), 1);
    }
}

#[actix_rt::test]
async fn whatever_ends_the_process_ends_its_job_with_a_reason() {
    for language in languages("whatever_ends_the_process_ends_its_job_with_a_reason") {
        let mut bench = Bench::new();
        for (body, wanted) in [
            ("process.exit(3)", "process.exit(3)"),
            ("await new Promise(() => {})", "nothing can resolve"),
            (
                "setTimeout(() => { throw new Error('later') }, 1); await new Promise(() => {})",
                "later",
            ),
            (
                "Promise.reject(new Error('nobody waits')); await new Promise((r) => setTimeout(r, 60000))",
                "nobody waits",
            ),
            ("process.kill(process.pid, 'SIGKILL')", "SIGKILL"),
        ] {
            let content = format!(
                "import process from 'node:process';\nexport async function main() {{ {body} }}"
            );
            let script = script(language, &content);
            let error = bench.error(&script, json!({})).await;
            assert!(
                text(&error["message"]).contains(wanted),
                "{language} {body}: {error}"
            );
            assert_eq!(bench.executor.processes.len(), 0, "{body}");
        }
        let throws = script(
            language,
            "throw new Error('at once');\nexport function main() {}",
        );
        let error = bench.error(&throws, json!({})).await;
        assert_eq!(error["message"], "at once");
    }
}

#[actix_rt::test]
async fn a_preprocessor_makes_the_arguments_of_main() {
    for language in languages("a_preprocessor_makes_the_arguments_of_main") {
        let mut bench = Bench::new();
        let content = "export function preprocessor(event: { msg: string }) { return JSON.parse(event.msg) }\n\
            export function main(a: number) { return a + 1 }";
        let facts = check(language, content).await.unwrap();
        assert_eq!(facts.preprocessor, Some(Preprocessor::V2));
        assert_eq!(facts.schema.unwrap()["required"], json!(["a"]));
        let script = script(language, content);
        let with = |msg: &str| {
            let event = json!({"event": {"kind": "websocket", "msg": msg}});
            let mut job = job(script.key.as_ref().unwrap().1, &event);
            job.preprocess = true;
            job
        };
        let outcome = bench.run(&script, &with("{\"a\": 41}")).await;
        assert_eq!(outcome.preprocessed_args.as_deref(), Some("{\"a\":41}"));
        assert_eq!(parts(outcome).1, json!(42));
        let (_, result, _) = parts(bench.run(&script, &with("[1]")).await);
        assert!(text(&result["error"]["message"]).contains("must return an object"));
    }
}

#[actix_rt::test]
async fn a_job_that_takes_too_long_or_is_canceled_is_stopped_whole() {
    for language in languages("a_job_that_takes_too_long_or_is_canceled") {
        let mut bench = Bench::new();
        let endless = script(language, "export function main() { for (;;) {} }");
        let mut short = job(endless.key.as_ref().unwrap().1, &json!({}));
        short.timeout_secs = Some(1);
        let (_, result, _) = parts(bench.run(&endless, &short).await);
        assert_eq!(result["error"]["name"], "TimeoutError");
        let stop = Stop::default();
        let raise = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stop.raise(StopReason::Canceled {
                by: "ruben".to_owned(),
                reason: None,
            });
        };
        let long = job(endless.key.as_ref().unwrap().1, &json!({}));
        let (run, ()) = tokio::join!(bench.run_until(&endless, &long, &stop), raise);
        let Run::Done(outcome) = run else {
            panic!("it was given back");
        };
        assert_eq!(parts(*outcome).1["error"]["name"], "Canceled");
        assert_eq!(bench.executor.processes.len(), 0);
    }
}

#[actix_rt::test]
async fn faults_are_found_when_a_script_is_saved() {
    for language in languages("faults_are_found_when_a_script_is_saved") {
        for (content, wanted) in [
            (
                "export function main() {\n  let = ;\n}",
                "content: line 2, column 9",
            ),
            ("export const x = 1", "no exported function main"),
            (
                "\nimport x from './other';\nexport function main() { x() }",
                "content: line 2, column 15",
            ),
        ] {
            let error = check(language, content).await.unwrap_err().0;
            assert!(error.contains(wanted), "{error}");
        }
    }
}

#[actix_rt::test]
async fn too_large_results_fail_and_the_process_stays() {
    for language in languages("too_large_results_fail_and_the_process_stays") {
        let mut bench = Bench::new();
        let script = script(
            language,
            "export const main = (n: number) => 'é'.repeat(n);",
        );
        let error = bench.error(&script, json!({"n": 10_000})).await;
        assert_eq!(error["name"], "ResultTooLarge");
        assert_eq!(bench.result(&script, json!({"n": 1})).await, json!("é"));
    }
}

fn lodash(language: Language) -> Script {
    let specifier = match language {
        Language::Deno => "npm:lodash@4.17.21",
        _ => "lodash@4.17.21",
    };
    let content = format!(
        "import lodash from \"{specifier}\";\n\
         export const main = (list: number[]) => lodash.chunk(list, 2);"
    );
    script(language, &content)
}

#[actix_rt::test]
async fn packages_of_npm_are_installed_once_for_all_scripts() {
    for language in languages("packages_of_npm_are_installed_once_for_all_scripts") {
        let mut bench = Bench::new();
        let script = lodash(language);
        installed(&script).await;
        for _ in 0..2 {
            let result = bench.result(&script, json!({"list": [1, 2, 3]})).await;
            assert_eq!(result, json!([[1, 2], [3]]));
        }
        // Another script with the same imports waits for nothing.
        let other = lodash(language);
        assert!(bench.executor.waits_for(&other).await.is_none());
    }
}

#[actix_rt::test]
async fn a_package_that_does_not_exist_fails_the_job_and_says_so() {
    for language in languages("a_package_that_does_not_exist_fails_the_job") {
        let mut bench = Bench::new();
        let start = if language == Language::Deno {
            "npm:"
        } else {
            ""
        };
        let content = format!(
            "import x from '{start}windsock-no-such-package-0b7c';\nexport const main = () => x;"
        );
        let script = script(language, &content);
        assert!(bench.executor.waits_for(&script).await.is_some());
        let error = bench.error(&script, json!({})).await;
        let message = text(&error["message"]);
        assert!(
            message.starts_with("its packages cannot be installed: "),
            "{message}"
        );
        assert!(
            message.contains("windsock-no-such-package-0b7c"),
            "{message}"
        );
        // It is not tried again for each job.
        assert!(bench.executor.waits_for(&script).await.is_none());
    }
}
