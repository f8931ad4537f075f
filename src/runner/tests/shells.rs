//! `bash` (windmill-facts §8), and `nativets` as a worker runs it.

use std::time::Duration;

use serde_json::json;

use super::{Bench, job, limits, parts, script};
use crate::{
    runner::{
        RunLimits, check,
        executor::Run,
        script::Script,
        stop::{Stop, StopReason},
    },
    types::Language,
};

fn bash(content: &str) -> Script {
    script(Language::Bash, content)
}

fn nativets(content: &str) -> Script {
    script(Language::Nativets, content)
}

#[actix_rt::test]
async fn bash_gets_its_arguments_by_position() {
    let mut bench = Bench::new();
    let script = bash("msg=\"$1\"\nn=\"${3:-none}\"\necho \"[$msg][$2][$n][$#]\"\n");
    for (args, line) in [
        (
            json!({"msg": "a 'b' $(c) \\ é"}),
            "[a 'b' $(c) \\ é][][none][3]",
        ),
        (
            json!({"msg": {"x": [1]}, "n": 2.5}),
            "[{\"x\":[1]}][][2.5][3]",
        ),
        (json!({"n": "x"}), "[][][x][3]"),
    ] {
        assert_eq!(bench.result(&script, args).await, json!(line));
    }
    let long = "x\n".repeat(40_000) + "end";
    let script = bash("msg=\"$1\"\necho ${#msg}\n");
    assert_eq!(
        bench.result(&script, json!({"msg": long})).await,
        json!(long.len().to_string())
    );
    let error = bench.error(&script, json!({"msg": "a\0b"})).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("argument msg holds a NUL"),
        "{error}"
    );
}

#[actix_rt::test]
async fn bash_has_three_ways_to_a_result() {
    let mut bench = Bench::new();
    for (content, result) in [
        ("echo one; echo ' two '", json!("two")),
        ("printf 'no newline'", json!("no newline")),
        (
            "echo '{\"a\": 1}' > result.json; echo text > result.out",
            json!({"a": 1}),
        ),
        (
            ": > result.json; echo ' text ' > result.out; echo last",
            json!("text"),
        ),
        ("true", json!(null)),
        ("echo out; echo err >&2", json!("err")),
    ] {
        assert_eq!(
            bench.result(&bash(content), json!({})).await,
            result,
            "{content}"
        );
    }
    for (content, name, text) in [
        (
            "echo nope > result.json",
            "ExecutionErr",
            "result.json is not JSON",
        ),
        (
            "head -c 20000 /dev/zero | tr '\\0' x",
            "ResultTooLarge",
            "larger than 10000 bytes",
        ),
        (
            "yes 12345 | head -c 20000 > result.out",
            "ResultTooLarge",
            "larger than 10000 bytes",
        ),
        (
            "echo said; echo so >&2; exit 7; echo not",
            "ExecutionErr",
            "exit code 7\nsaid\nso",
        ),
        ("false; echo not", "ExecutionErr", "exit code 1"),
        ("kill -9 $BASHPID", "ExecutionErr", "exit code 137"),
        (
            "nowhere_to_be_found",
            "ExecutionErr",
            "exit code 127\n../main.sh: line 1: nowhere_to_be_found",
        ),
    ] {
        let error = bench.error(&bash(content), json!({})).await;
        assert_eq!(error["name"], name, "{content}: {error}");
        assert!(
            error["message"].as_str().unwrap().contains(text),
            "{content}: {error}"
        );
    }
    // What the link leads to is for windsock to read, not for the job.
    let linked = bash("ln -s /etc/hostname result.out; echo mine");
    assert_eq!(bench.result(&linked, json!({})).await, json!("mine"));
}

#[actix_rt::test]
async fn nothing_of_a_bash_job_reaches_the_next() {
    let mut bench = Bench::new();
    let script = bash(
        "do=\"$1\"\necho \"start ${left:-clean} $(ls | wc -l) $WM_JOB_ID $PWD\"\nleft=dirty; export LEFT=1; touch file; cd /; \
         trap 'echo bye' EXIT\n(while :; do echo noise; sleep 0.01; done) &\neval \"$do\"\n",
    );
    let mut folders = Vec::new();
    for deed in ["true", "set -x", "exec 3>&1 >/dev/null", "true"] {
        let job = job(script.key.as_ref().unwrap().1, &json!({"do": deed}));
        let (_, result, logs) = parts(bench.run(&script, &job).await);
        let first = logs.lines().next().unwrap().to_owned();
        let rest = first.strip_prefix(&format!("start clean 0 {} ", job.id));
        folders.push(
            rest.unwrap_or_else(|| panic!("{deed}: {logs} {result}"))
                .to_owned(),
        );
    }
    folders.dedup();
    assert_eq!(folders.len(), 1, "all ran in one process");
    assert_eq!(bench.executor.processes.len(), 1);
}

#[actix_rt::test]
async fn bash_jobs_end_with_their_time_and_with_all_they_started() {
    let mut bench = Bench::new();
    let mut script = bash("echo $BASHPID > /proc/self/fd/1; sleep 1000 & sleep 1000 | cat\n");
    script.timeout = Some(Duration::from_secs(2));
    let (success, result, logs) = bench.call(&script, json!({})).await;
    assert!(!success);
    assert_eq!(
        result["error"]["message"],
        "timed out after 2 s (the timeout of the script)"
    );
    let group: i32 = logs.trim().parse().expect("the log names the group");
    let gone = async {
        // The kernel takes a moment to end them.
        while nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), None).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::PATIENCE, gone)
        .await
        .expect("something of the job still runs");
    for (deed, text) in [
        ("kill -9 $$; sleep 1000", "was killed by SIGKILL"),
        ("kill -9 0", "exit code 137"),
    ] {
        let error = bench.error(&bash(deed), json!({})).await;
        assert!(error["message"].as_str().unwrap().contains(text), "{error}");
    }
    let mut stopped = bash("kill -STOP $BASHPID\n");
    stopped.timeout = Some(Duration::from_millis(300));
    assert_eq!(
        bench.error(&stopped, json!({})).await["name"],
        "TimeoutError"
    );
}

#[actix_rt::test]
async fn bash_is_checked_when_it_is_saved() {
    let facts = check(Language::Bash, "msg=\"$1\"\nif true; then echo; fi\n")
        .await
        .unwrap();
    assert_eq!(facts.schema.unwrap()["required"], json!(["msg"]));
    let error = check(Language::Bash, "echo 1\nif true; then\n}\n")
        .await
        .unwrap_err()
        .0;
    assert!(
        error.starts_with("content: syntax error at line 3: "),
        "{error}"
    );
}

#[actix_rt::test]
async fn nativets_runs_warm_and_logs() {
    let mut bench = Bench::new();
    let script = nativets(
        "let calls = 0;\nexport async function main(n: number, who?: string) { console.log('n', n); calls++; return { calls, n: n + 1, who, id: process.env.WM_JOB_ID } }",
    );
    let (_, first, logs) = bench.call(&script, json!({"n": 1})).await;
    assert_eq!(logs, "n 1\n");
    assert_eq!(
        (first["calls"].clone(), first["n"].clone()),
        (json!(1), json!(2))
    );
    let second = bench.result(&script, json!({"n": 2})).await;
    assert_eq!(second["calls"], 2);
    assert_ne!(first["id"], second["id"]);
}

#[actix_rt::test]
async fn nativets_errors_limits_and_preprocessor() {
    let mut bench = Bench::with(RunLimits {
        engine_memory_bytes: 16 << 20,
        ..limits()
    });
    let error = bench
        .error(
            &nativets("export function main() { throw new RangeError('far') }"),
            json!({}),
        )
        .await;
    assert_eq!(
        (error["name"].clone(), error["message"].clone()),
        (json!("RangeError"), json!("far"))
    );
    let error = bench
        .error(
            &nativets("export function main() { return 'x'.repeat(20000) }"),
            json!({}),
        )
        .await;
    assert_eq!(error["name"], "ResultTooLarge", "{error}");
    let error = bench
        .error(&nativets("export function main("), json!({}))
        .await;
    assert_eq!(error["name"], "SyntaxError", "{error}");
    let mut endless = nativets("export function main() { while (true); }");
    endless.timeout = Some(Duration::from_millis(200));
    let error = bench.error(&endless, json!({})).await;
    assert_eq!(
        error["message"],
        "timed out after 0.2 s (the timeout of the script)"
    );
    let hungry = nativets(
        "export function main(n: number) { const a = []; while (n) a.push('x'.repeat(1000) + a.length); return 'ok' }",
    );
    bench.error(&hungry, json!({"n": 1})).await;
    assert_eq!(bench.result(&hungry, json!({"n": 0})).await, json!("ok"));
    let script = nativets(
        "export function preprocessor(event: any) { return { n: event.msg.length } }\nexport function main(n: number) { return n * 2 }",
    );
    let mut job = job(5, &json!({"event": {"msg": "abc"}}));
    job.preprocess = true;
    let outcome = bench.run(&script, &job).await;
    assert_eq!(outcome.preprocessed_args.as_deref(), Some("{\"n\":3}"));
    assert_eq!(parts(outcome).1, json!(6));
}

#[actix_rt::test]
async fn half_a_character_reaches_scripts_and_leaves_them_as_a_whole_one() {
    let mut bench = Bench::new();
    let echo = |language| match language {
        Language::Bash => script(language, "x=\"$1\"\nprintf '\"%s\"' \"$x\" > result.json"),
        _ => script(language, "export const main = (x) => x + '\\ud83d'"),
    };
    for (language, wanted) in [
        (Language::Nativets, "ab\u{fffd}\u{fffd}"),
        (Language::Bash, "ab\u{fffd}"),
    ] {
        let mut job = job(1, &json!({}));
        job.args = r#"{"x": "ab\ud83d"}"#.to_owned();
        let outcome = bench.run(&echo(language), &job).await;
        assert!(outcome.success, "{}", outcome.result);
        assert_eq!(outcome.result, format!("\"{wanted}\""), "{language}");
    }
    let made = nativets(
        "export const preprocessor = () => ({ x: '\\ud83d' });\nexport const main = (x) => x",
    );
    let mut job = job(2, &json!({"event": {}}));
    job.preprocess = true;
    assert_eq!(parts(bench.run(&made, &job).await).1, json!("\u{fffd}"));
}

#[actix_rt::test]
async fn nativets_can_be_canceled_while_it_computes() {
    let mut bench = Bench::new();
    let script = nativets("export function main() { while (true); }");
    let job = job(1, &json!({}));
    let stop = std::sync::Arc::new(Stop::default());
    let other = std::sync::Arc::clone(&stop);
    let canceled = StopReason::Canceled {
        by: "ruben".to_owned(),
        reason: None,
    };
    let thread = std::thread::spawn(move || other.raise(canceled));
    let run = bench.run_until(&script, &job, &stop).await;
    thread.join().unwrap();
    let Run::Done(outcome) = run else {
        panic!("given back")
    };
    assert_eq!(outcome.canceled, Some(("ruben".to_owned(), None)));
}

#[actix_rt::test]
async fn nativets_is_checked_when_it_is_saved() {
    let facts = check(Language::Nativets, "export async function main(msg: string, n = 1) {}\nexport function preprocessor(event: any) {}").await.unwrap();
    assert_eq!(facts.schema.unwrap()["required"], json!(["msg"]));
    assert_eq!(facts.preprocessor.unwrap().as_str(), "v2");
    let error = check(Language::Nativets, "export function main( {")
        .await
        .unwrap_err()
        .0;
    assert!(error.starts_with("content: line 1, column "), "{error}");
}
