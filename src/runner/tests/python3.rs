//! `python3`: windmill-facts §8 and every way a script can end badly.

use std::time::Duration;

use serde_json::{Value, json};

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

fn python(content: &str) -> Script {
    script(Language::Python3, content)
}

#[actix_rt::test]
async fn main_is_called_by_the_names_of_its_parameters() {
    let mut bench = Bench::new();
    let script = python("def main(a, b=2, *, c='c', **rest):\n    return [a, b, c, rest]\n");
    for (args, result) in [
        (json!({"a": 1}), json!([1, 2, "c", {}])),
        (
            json!({"a": 1, "c": "x", "d": null}),
            json!([1, 2, "x", {"d": null}]),
        ),
        (
            json!({"a": 1, "b": "<function call>"}),
            json!([1, 2, "c", {}]),
        ),
    ] {
        assert_eq!(bench.result(&script, args).await, result);
    }
    let error = bench.error(&script, json!({"b": 1})).await;
    assert_eq!(error["name"], "TypeError");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("missing 1 required positional argument: 'a'"),
        "{message}"
    );
    let narrow = python("def main(a): return a");
    assert_eq!(
        bench.result(&narrow, json!({"a": 1, "unknown": 2})).await,
        json!(1)
    );
}

#[actix_rt::test]
async fn arguments_become_what_annotations_ask_for() {
    let mut bench = Bench::new();
    let content = "from datetime import datetime, date\nfrom typing import Optional\n\
        def main(a: bytes, b: datetime, c: Optional[date] = None, d: 'bytes | None' = None):\n    \
        return [a.decode(), b.year, c and c.month, d and len(d)]\n";
    for content in [
        content.to_owned(),
        format!("from __future__ import annotations\n{content}"),
    ] {
        let args =
            json!({"a": "aGk=", "b": "2026-01-31T12:00:00Z", "c": "2026-03-01", "d": "aGk="});
        assert_eq!(
            bench.result(&python(&content), args).await,
            json!(["hi", 2026, 3, 2])
        );
    }
    let error = bench
        .error(&python(content), json!({"a": "?", "b": "2026-01-31"}))
        .await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("argument a: "),
        "{error}"
    );
}

#[actix_rt::test]
async fn results_become_json() {
    let mut bench = Bench::new();
    let content = "
import datetime, decimal
class DataFrame:
    class values:
        def tolist(): return [[1, 2.5]]
def main(expr): return eval(expr)
";
    let script = python(content);
    for (expression, result) in [
        ("None", Value::Null),
        ("(1, 'é\\n\\t')", json!([1, "é\n\t"])),
        ("b'hi'", json!("aGk=")),
        (
            "{'x': [float('nan'), float('inf'), 1.5]}",
            json!({"x": [null, null, 1.5]}),
        ),
        ("decimal.Decimal('1.10')", json!("1.10")),
        (
            "{'at': datetime.date(2026, 1, 31)}",
            json!({"at": "2026-01-31"}),
        ),
        ("DataFrame()", json!([[1, 2.5]])),
        (
            "['a\\ud800', '\\ud83d\\ude00', {'\\udc00': 1}]",
            json!(["a\u{fffd}", "😀", {"\u{fffd}": 1}]),
        ),
    ] {
        assert_eq!(
            bench.result(&script, json!({"expr": expression})).await,
            result,
            "{expression}"
        );
    }
    for (expression, name, text) in [
        (
            "[x := [], x.append(x)] and x",
            "ValueError",
            "refers to itself",
        ),
        ("{(1, 2): 3}", "TypeError", "keys must be"),
        ("'x' * 20000", "ResultTooLarge", "larger than 10000 bytes"),
    ] {
        let error = bench.error(&script, json!({"expr": expression})).await;
        assert_eq!(error["name"], name, "{error}");
        if name != "ResultTooLarge" {
            assert!(error["message"].as_str().unwrap().contains(text), "{error}");
        }
    }
    assert_eq!(
        bench.executor.processes.len(),
        1,
        "none of these is a reason for a new process"
    );
}

#[actix_rt::test]
async fn an_exception_tells_the_users_part_of_the_stack() {
    let mut bench = Bench::new();
    let script = python(
        "import json\ndef inner(x):\n    return json.loads(x)\ndef main(x):\n    return inner(x)\n",
    );
    let error = bench.error(&script, json!({"x": "{"})).await;
    assert_eq!(error["name"], "JSONDecodeError");
    let stack = error["stack"].as_str().unwrap();
    assert!(
        stack.contains("f/test/script.py\", line 5, in main\n    return inner(x)"),
        "{stack}"
    );
    assert!(stack.contains("line 3, in inner"), "{stack}");
    assert!(
        !stack.contains("json/") && !stack.contains("<string>"),
        "{stack}"
    );
}

#[actix_rt::test]
async fn of_a_long_error_the_name_and_the_beginning_are_kept() {
    let mut bench = Bench::new();
    let script = python(
        "def main(n):\n    if n == 0:\n        raise KeyError('x' * 40_000_000)\n    \
         raise ValueError('begins' + 'é' * n)\n",
    );
    for (n, name, start) in [
        (0, "KeyError", "'xxx"),
        (3_000_000, "ValueError", "beginsé"),
    ] {
        let error = bench.error(&script, json!({"n": n})).await;
        assert_eq!(error["name"], name);
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(start) && message.len() < 40_000, "{n}");
        assert!(error["stack"].as_str().unwrap().contains("in main"));
    }
    assert_eq!(bench.executor.processes.len(), 1);
}

#[actix_rt::test]
async fn the_script_is_imported_once_and_its_prints_belong_to_their_job() {
    let mut bench = Bench::new();
    let script = python(
        "import os, sys\nprint('import')\ncalls = 0\ndef main(n):\n    global calls\n    calls += 1\n    \
         print('job', n)\n    print('err', n, file=sys.stderr)\n    os.system(f'echo sh {n}')\n    return [calls, os.getpid()]\n",
    );
    let (_, first, logs) = bench.call(&script, json!({"n": 1})).await;
    assert_eq!(logs, "import\njob 1\nerr 1\nsh 1\n");
    let (_, second, logs) = bench.call(&script, json!({"n": 2})).await;
    assert_eq!(logs, "job 2\nerr 2\nsh 2\n");
    assert_eq!(
        (second[0].clone(), second[1].clone()),
        (json!(2), first[1].clone())
    );
}

#[actix_rt::test]
async fn each_job_sees_its_own_environment_and_an_empty_scratch_folder() {
    let mut bench = Bench::new();
    let script = python(
        "import os\ndef main():\n    seen = os.listdir('.')\n    open('left', 'w').close()\n    os.mkdir('d')\n    open('d/x', 'w').close()\n    os.chdir('/')\n    \
         return [dict(os.environ), seen]\n",
    );
    for _ in 0..2 {
        let job = job(script.key.as_ref().unwrap().1, &json!({}));
        let (success, result, logs) = parts(bench.run(&script, &job).await);
        assert!(success, "{result} {logs}");
        let env = &result[0];
        assert_eq!(env["WM_JOB_ID"], job.id.to_string());
        assert_eq!(env["WM_TOKEN"], "t0ken");
        assert_eq!(env["WM_WORKSPACE"], "main");
        assert_eq!(env["BASE_INTERNAL_URL"], "http://127.0.0.1:9");
        assert_eq!(env["WM_FLOW_PATH"], "");
        assert_eq!(
            env.get("CARGO_MANIFEST_DIR"),
            None,
            "the environment of the server shows"
        );
        assert_eq!(result[1], json!([]));
    }
    assert_eq!(bench.executor.processes.len(), 1);
}

#[actix_rt::test]
async fn async_main_is_awaited() {
    let mut bench = Bench::new();
    let script = python(
        "import asyncio\nasync def main(x):\n    asyncio.create_task(asyncio.sleep(1000))\n    await asyncio.sleep(0)\n    return x + 1\n",
    );
    assert_eq!(bench.result(&script, json!({"x": 1})).await, json!(2));
    assert_eq!(bench.result(&script, json!({"x": 2})).await, json!(3));
}

#[actix_rt::test]
async fn the_preprocessor_makes_the_arguments() {
    let mut bench = Bench::new();
    let script = python(
        "def preprocessor(event):\n    return {'n': event['msg'] + '!'} if event['msg'] else 1\ndef main(n):\n    return n * 2\n",
    );
    let mut job = job(1, &json!({"event": {"msg": "a"}}));
    job.preprocess = true;
    let outcome = bench.run(&script, &job).await;
    assert_eq!(outcome.preprocessed_args.as_deref(), Some("{\"n\":\"a!\"}"));
    assert_eq!(parts(outcome).1, json!("a!a!"));
    job.args = json!({"event": {"msg": ""}}).to_string();
    let (_, result, _) = parts(bench.run(&script, &job).await);
    assert_eq!(
        result["error"]["message"],
        "the preprocessor must return a dict, not int"
    );
}

#[actix_rt::test]
async fn what_ends_the_process_fails_only_its_job() {
    let mut bench = Bench::new();
    let script = python(
        "import os, sys, signal\ncalls = 0\ndef main(do):\n    global calls\n    calls += 1\n    exec(do)\n    return calls\n",
    );
    for (deed, text) in [
        ("sys.exit(3)", "the script called sys.exit(3)"),
        ("os._exit(4)", "ended with exit code 4"),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "was killed by SIGKILL",
        ),
        ("os.closerange(0, 200)", "the script's process"),
        ("os.kill(0, signal.SIGTERM)", "was killed by SIGTERM"),
        ("raise KeyboardInterrupt('no')", "no"),
        ("x = bytearray(4 << 30)", ""),
    ] {
        assert_eq!(
            bench.result(&script, json!({"do": "pass"})).await,
            json!(1),
            "before {deed}"
        );
        let error = bench.error(&script, json!({"do": deed})).await;
        assert!(
            error["message"].as_str().unwrap().contains(text),
            "{deed}: {error}"
        );
        assert!(
            !error["name"].as_str().unwrap().is_empty(),
            "{deed}: {error}"
        );
    }
    assert_eq!(bench.result(&script, json!({"do": "pass"})).await, json!(1));
}

#[actix_rt::test]
async fn a_process_that_died_while_idle_costs_no_job() {
    let mut bench = Bench::new();
    let script = python("import os, signal\ndef main(): return os.getpid()\n");
    let pid = bench.result(&script, json!({})).await.as_i64().unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let ended = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
    nix::sys::wait::waitid(nix::sys::wait::Id::Pid(pid), ended).unwrap();
    let next = bench.result(&script, json!({})).await.as_i64().unwrap();
    assert_ne!(i64::from(pid.as_raw()), next);
}

#[actix_rt::test]
async fn fifty_megabytes_of_prints_are_read_and_cut() {
    let mut bench = Bench::new();
    let script =
        python("def main():\n    for _ in range(800): print('x' * 65535)\n    return 'done'\n");
    let (success, result, logs) = bench.call(&script, json!({})).await;
    assert!(success && result == "done", "{result}");
    assert!(
        logs.len() < 11_000 && logs.contains("it may have 10000 bytes"),
        "{}",
        logs.len()
    );
}

#[actix_rt::test]
async fn an_endless_loop_ends_with_the_time_and_names_whose() {
    let mut bench = Bench::new();
    let mut script = python(
        "import subprocess\ndef main(end=False):\n    subprocess.Popen(['sleep', '1000'])\n    while not end: pass\n",
    );
    bench.result(&script, json!({"end": true})).await;
    let mut job = job(script.key.as_ref().unwrap().1, &json!({}));
    job.timeout_secs = Some(1);
    let error = parts(bench.run(&script, &job).await).1;
    assert_eq!(
        error["error"]["message"],
        "timed out after 1 s (the timeout of the job)"
    );
    assert_eq!(error["error"]["name"], "TimeoutError");
    script.timeout = Some(Duration::from_millis(300));
    let error = bench.error(&script, json!({})).await;
    assert_eq!(
        error["message"],
        "timed out after 0.3 s (the timeout of the script)"
    );
    let mut bench = Bench::with(RunLimits {
        job_timeout: Duration::from_millis(300),
        ..limits()
    });
    script.timeout = None;
    let error = bench.error(&script, json!({})).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("the default for scripts"),
        "{error}"
    );
    assert_eq!(bench.executor.processes.len(), 0);
}

#[actix_rt::test]
async fn a_job_can_be_canceled_or_handed_back() {
    let mut bench = Bench::new();
    let script = python("import time\ndef main(): time.sleep(1000)\n");
    let job = job(1, &json!({}));
    let stop = Stop::default();
    let canceled = StopReason::Canceled {
        by: "ruben".to_owned(),
        reason: Some("why not".to_owned()),
    };
    let (run, ()) = tokio::join!(bench.run_until(&script, &job, &stop), async {
        stop.raise(canceled)
    });
    let Run::Done(outcome) = run else {
        panic!("given back")
    };
    assert_eq!(
        outcome.canceled,
        Some(("ruben".to_owned(), Some("why not".to_owned())))
    );
    let (_, result, _) = parts(*outcome);
    assert_eq!(result["error"]["name"], "Canceled");
    assert_eq!(result["error"]["canceler"], "ruben");
    let stop = Stop::default();
    stop.raise(StopReason::Shutdown);
    assert!(matches!(
        bench.run_until(&script, &job, &stop).await,
        Run::GiveBack
    ));
}

#[actix_rt::test]
async fn a_script_without_warmth_gets_a_process_for_each_job() {
    let mut bench = Bench::new();
    let mut script =
        python("calls = 0\ndef main():\n    global calls\n    calls += 1\n    return calls\n");
    script.warm = false;
    for _ in 0..2 {
        assert_eq!(bench.result(&script, json!({})).await, json!(1));
    }
    let mut bench = Bench::with(RunLimits {
        calls_per_process: 2,
        ..limits()
    });
    script.warm = true;
    for expected in [1, 2, 1] {
        assert_eq!(bench.result(&script, json!({})).await, json!(expected));
    }
}

#[actix_rt::test]
async fn live_processes_are_bounded_and_end_when_idle() {
    let mut bench = Bench::with(RunLimits {
        live_processes: 2,
        idle: Duration::ZERO,
        ..limits()
    });
    for number in 0..3 {
        let script = python(&format!("def main(): return {number}\n"));
        assert_eq!(bench.result(&script, json!({})).await, json!(number));
        assert!(bench.executor.processes.len() <= 2);
    }
    bench.executor.end_idle();
    assert_eq!(bench.executor.processes.len(), 0);
    let changes = bench.executor.changes();
    assert_eq!(changes.iter().filter(|(_, warm)| *warm).count(), 3);
    assert_eq!(changes.iter().filter(|(_, warm)| !*warm).count(), 3);
}

#[actix_rt::test]
async fn a_result_can_say_that_the_run_failed() {
    let error = Bench::new()
        .error(
            &python("def main(): return {'wm_failure': 'too cold'}\n"),
            json!({}),
        )
        .await;
    assert_eq!(
        error,
        json!({"name": "ManualFailure", "message": "too cold"})
    );
}

#[actix_rt::test]
async fn what_fails_at_import_fails_the_job() {
    let mut bench = Bench::new();
    let error = bench
        .error(
            &python("import json.nowhere_to_be_found\ndef main(): pass\n"),
            json!({}),
        )
        .await;
    assert_eq!(error["name"], "ModuleNotFoundError");
    let error = bench.error(&python("def other(): pass\n"), json!({})).await;
    assert_eq!(error["message"], "the script has no function 'main'");
}

#[actix_rt::test]
async fn a_job_cannot_write_large_files_or_keep_our_descriptors() {
    let mut bench = Bench::with(RunLimits {
        file_bytes: 1 << 20,
        ..limits()
    });
    let script = python(
        "import os\ndef main():\n    fds = sorted(os.readlink(f'/proc/self/fd/{fd}').split(':')[0] for fd in os.listdir('/proc/self/fd') if os.path.islink(f'/proc/self/fd/{fd}'))\n    \
         try:\n        open('big', 'wb').write(b'x' * (2 << 20))\n    except OSError as e:\n        return [e.errno, fds, os.getpriority(os.PRIO_PROCESS, 0)]\n",
    );
    let result = bench.result(&script, json!({})).await;
    assert_eq!(result[0], 27, "EFBIG");
    let known = ["/dev/null", "pipe", "socket", "/proc/"];
    for descriptor in result[1].as_array().unwrap() {
        let text = descriptor.as_str().unwrap();
        assert!(known.iter().any(|known| text.starts_with(known)), "{text}");
    }
    assert!(result[2].as_i64().unwrap() >= 5);
}

#[actix_rt::test]
async fn a_script_is_checked_when_it_is_saved() {
    let facts = check(
        Language::Python3,
        "from typing import Optional, Literal\nimport datetime\n\
         def preprocessor(event): return {}\n\
         async def main(msg: str, n: int = 3, tags: list[str] = [], at: Optional[datetime.datetime] = None, kind: Literal['a', 'b'] = 'a', free=1.5, *, conn: postgresql): pass\n",
    )
    .await
    .unwrap();
    assert_eq!(facts.preprocessor.unwrap().as_str(), "v2");
    let schema = facts.schema.unwrap();
    assert_eq!(schema["required"], json!(["msg", "conn"]));
    assert_eq!(
        schema["order"],
        json!(["msg", "n", "tags", "at", "kind", "free", "conn"])
    );
    assert_eq!(
        schema["properties"],
        json!({
            "msg": {"type": "string"},
            "n": {"type": "integer", "default": 3},
            "tags": {"type": "array", "items": {"type": "string"}, "default": []},
            "at": {"type": "string", "format": "date-time", "default": null},
            "kind": {"type": "string", "enum": ["a", "b"], "default": "a"},
            "free": {"type": "number", "default": 1.5},
            "conn": {"type": "object"},
        })
    );
    let content = "from enum import Enum, IntEnum, auto\nfrom typing import *\n\
        class C(str, Enum):\n    A = 'a'\n    B = 'b'\n    def show(self): return self.name\n\
        class N(IntEnum):\n    ONE = auto()\n    SEVEN = 7\n\
        class F(Enum):\n    HALF = 0.5\n\
        class Computed(Enum):\n    X = len('x')\n\
        def main(c: C = C.A, n: Optional[N] = N.SEVEN, f: F = F.HALF.value, x: Computed = None, cs: list[C] = [], ids: Set[int] = {2, 1}, pair: Tuple[int, str] = (1, 'a'), many: tuple[float, ...] = (), free=C.A):\n    \
        return [c is C.B, n is N.ONE, f is F.HALF, free]\n";
    let facts = check(Language::Python3, content).await.unwrap();
    assert_eq!(
        facts.schema.unwrap()["properties"],
        json!({
            "c": {"type": "string", "enum": ["a", "b"], "default": "a"},
            "n": {"type": "integer", "enum": [1, 7], "default": 7},
            "f": {"enum": [0.5], "default": 0.5},
            "x": {"default": null},
            "cs": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "default": []},
            "ids": {"type": "array", "items": {"type": "integer"}, "default": [1, 2]},
            "pair": {"type": "array", "default": [1, "a"]},
            "many": {"type": "array", "items": {"type": "number"}, "default": []},
            "free": {},
        })
    );
    // What the schema lists is what turns into the members.
    let args = json!({"c": "b", "n": 1, "f": 0.5});
    assert_eq!(
        Bench::new().result(&python(content), args).await,
        json!([true, true, true, "a"])
    );
    for (content, version) in [
        (
            "def main(): pass\ndef preprocessor(msg, wm_trigger): pass",
            Some("v1"),
        ),
        ("def main(): pass\ndef preprocessor(x): pass", Some("v1")),
        ("def main(): pass\ndef preprocessor(): pass", Some("v2")),
        (
            "def main(): pass\ndef preprocessor(event, wm_trigger): pass",
            Some("v1"),
        ),
        ("if True:\n  def main(): pass\n", None),
        ("from x import main", None),
    ] {
        let facts = check(Language::Python3, content).await.unwrap();
        assert_eq!(
            facts.preprocessor.map(|version| version.as_str()),
            version,
            "{content}"
        );
    }
    for (content, text) in [
        (
            "def main(:\n  pass",
            "content: syntax error at line 1, column 10: ",
        ),
        ("x = 1", "content: a python3 script needs a function 'main'"),
        ("def main(): pass\0", "content: "),
        (&"(".repeat(50_000), "content: "),
    ] {
        let error = check(Language::Python3, content).await.unwrap_err().0;
        assert!(error.starts_with(text), "{error}");
    }
}
