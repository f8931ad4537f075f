//! A script that misbehaves fails its own job, with an error that says why, and nobody else's: the next job of another
//! script runs as if nothing had been.

use serde_json::{Value, json};

use crate::harness::{Database, PATIENCE, TestApp, on_both_databases, wait_at_most};

on_both_databases!(
    needs: [],
    tests: [
        bad_python_fails_its_own_job,
        bad_bash_fails_its_own_job,
        bad_typescript_fails_its_own_job,
        jobs_that_never_end_leave_the_other_workers_alone,
    ]
);

/// One way to misbehave.
struct Bad {
    what: &'static str,
    content: &'static str,
    /// What the error's message contains; several words are all wanted.
    error: &'static [&'static str],
}

impl Bad {
    /// Whether it shows when the script is saved, so that it never becomes a job.
    fn is_refused_at_save(&self) -> bool {
        matches!(self.what, "does not parse" | "has no main")
    }
}

/// Much more than the cap on logs, and than a pipe holds.
const PRINTED_BYTES: usize = 50_000_000;

/// What a log may hold, at most: far below what is printed.
const LOG_MAX_BYTES: usize = 20_000_000;

async fn bad_python_fails_its_own_job(database: Database) {
    let bad = [
        Bad {
            what: "throws",
            content: "def main():\n    raise ValueError('no such order')\n",
            error: &["no such order"],
        },
        Bad {
            what: "does not parse",
            content: "def main(:\n    pass\n",
            error: &["syntax"],
        },
        Bad {
            what: "has no main",
            content: "x = 1\n",
            error: &["main"],
        },
        Bad {
            what: "exits",
            content: "import os\n\ndef main():\n    os._exit(3)\n",
            error: &["exit", "3"],
        },
        Bad {
            what: "exits as Python does",
            content: "import sys\n\ndef main():\n    sys.exit(3)\n",
            error: &["exit", "3"],
        },
        Bad {
            what: "kills itself",
            content: "import os, signal\n\ndef main():\n    os.kill(os.getpid(), signal.SIGKILL)\n",
            error: &["kill"],
        },
        Bad {
            what: "returns what JSON cannot hold",
            content: "def main():\n    a = []\n    a.append(a)\n    return a\n",
            error: &["itself"],
        },
        Bad {
            what: "never ends",
            content: "def main():\n    while True:\n        pass\n",
            error: &["timed out"],
        },
    ];
    let prints = "import sys\n\ndef main():\n    for _ in range(500):\n        sys.stdout.write('x' * 99_999 + '\\n')\n    return 'done'\n";
    assert_only_their_own_jobs_fail(database, "python3", &bad, prints).await;
}

async fn bad_bash_fails_its_own_job(database: Database) {
    let bad = [
        Bad {
            what: "fails",
            content: "echo 'no such order' >&2\nfalse\n",
            error: &["exit", "1"],
        },
        Bad {
            what: "does not parse",
            content: "if then\n",
            error: &["syntax", "line 1"],
        },
        Bad {
            what: "exits",
            content: "exit 3\n",
            error: &["exit", "3"],
        },
        Bad {
            what: "kills itself",
            content: "kill -9 $$\n",
            error: &["kill"],
        },
        Bad {
            what: "returns what is not JSON",
            content: "echo '{\"a\":' > result.json\n",
            error: &["json"],
        },
        Bad {
            what: "never ends",
            content: "while :; do :; done\n",
            error: &["timed out"],
        },
    ];
    let prints = "head -c 50000000 /dev/zero | tr '\\0' x | fold -w 99999\necho\necho done\n";
    assert_only_their_own_jobs_fail(database, "bash", &bad, prints).await;
}

async fn bad_typescript_fails_its_own_job(database: Database) {
    let bad = [
        Bad {
            what: "throws",
            content: "export function main() { throw new TypeError('no such order'); }",
            error: &["no such order"],
        },
        Bad {
            what: "rejects",
            content: "export async function main() { await Promise.reject(new Error('no such order')); }",
            error: &["no such order"],
        },
        Bad {
            what: "has no main",
            content: "export const x = 1;",
            error: &["main"],
        },
        Bad {
            what: "returns what JSON cannot hold",
            content: "export function main() { const a: any = {}; a.a = a; return a; }",
            error: &["circular"],
        },
        Bad {
            what: "waits for what never comes",
            content: "export async function main() { await new Promise(() => {}); }",
            error: &[],
        },
        Bad {
            what: "takes all memory",
            content: "export function main() { const a = []; for (;;) a.push(new Uint8Array(1 << 24)); }",
            error: &["memory"],
        },
        Bad {
            what: "never ends",
            content: "export function main() { for (;;) {} }",
            error: &["timed out"],
        },
    ];
    let prints = "export function main() {\n  const line = 'x'.repeat(99_999);\n  for (let i = 0; i < 500; i++) console.log(line);\n  return 'done';\n}\n";
    assert_only_their_own_jobs_fail(database, "nativets", &bad, prints).await;
}

/// Runs each bad script between two runs of a good one of the same language.
async fn assert_only_their_own_jobs_fail(
    database: Database,
    language: &str,
    bad: &[Bad],
    prints: &str,
) {
    let mut app = TestApp::start(database).await;
    app.create_script("u/admin/good", language, good(language))
        .await;
    assert_good_job(&app).await;
    for (number, bad) in bad.iter().enumerate() {
        let Bad {
            what,
            content,
            error,
        } = bad;
        let path = format!("u/admin/bad_{number}");
        // Only what never ends is to meet its timeout, however slow the machine is.
        let timeout = json!({"timeout": if *what == "never ends" { 1 } else { 120 }});
        if bad.is_refused_at_save() {
            let script = json!({
                "path": path, "summary": "", "content": content, "language": language
            });
            let answer = app.post("scripts/create", &script).await.expect(400);
            assert!(answer.text.starts_with("content: "), "{}", answer.text);
            for word in *error {
                assert!(
                    answer.text.contains(word),
                    "{language} that {what}: {}",
                    answer.text
                );
            }
            app.get(&format!("scripts/get/p/{path}")).await.expect(404);
            continue;
        }
        app.create_script_with(&path, language, content, &timeout)
            .await;
        let job = run(&app, &path).await;
        assert_eq!(job["success"], false, "{language} that {what}: {job}");
        let shown = job["result"]["error"].to_string().to_lowercase();
        for word in *error {
            assert!(shown.contains(word), "{language} that {what}: {shown}");
        }
        let message = job["result"]["error"]["message"].as_str().unwrap_or("");
        assert!(!message.is_empty(), "{language} that {what}: {job}");
        assert_good_job(&app).await;
    }
    app.create_script("u/admin/prints", language, prints).await;
    assert_prints_within_bounds(&app, &run(&app, "u/admin/prints").await).await;
    assert_good_job(&app).await;
    app.stop().await;
}

/// Printing 50 MB is no failure, as long as the log is capped and says so.
async fn assert_prints_within_bounds(app: &TestApp, job: &Value) {
    assert_eq!(job["success"], true, "{}", job["result"]);
    assert_eq!(job["result"], "done");
    let id = job["id"].as_str().unwrap();
    let logs = app.get(&format!("jobs_u/get_logs/{id}")).await.expect(200);
    assert!(logs.text.contains("xxxx"));
    let bytes = logs.text.len();
    assert!(
        bytes < LOG_MAX_BYTES,
        "{bytes} of {PRINTED_BYTES} bytes were kept"
    );
}

fn good(language: &str) -> &'static str {
    match language {
        "python3" => "def main():\n    return 'fine'\n",
        "bash" => "echo fine\n",
        _ => "export function main() { return 'fine'; }",
    }
}

async fn assert_good_job(app: &TestApp) {
    let job = run(app, "u/admin/good").await;
    assert_eq!(job["success"], true, "{job}");
    assert_eq!(job["result"], "fine");
}

async fn run(app: &TestApp, path: &str) -> Value {
    let id = app.run_script(path, &json!({})).await;
    wait_at_most(PATIENCE * 2, &format!("{path} ends"), async || {
        app.completed_job(&id).await.ok_or("it runs".into())
    })
    .await
}

/// Several at once: every worker may be busy with one, and still each ends at its own timeout and the queue goes on.
async fn jobs_that_never_end_leave_the_other_workers_alone(database: Database) {
    let mut app = TestApp::start(database).await;
    app.create_script("u/admin/good", "nativets", good("nativets"))
        .await;
    let endless = [
        ("python3", "def main():\n    while True:\n        pass\n"),
        ("bash", "while :; do :; done\n"),
        ("nativets", "export function main() { for (;;) {} }"),
    ];
    let mut ids = Vec::new();
    for (language, content) in endless {
        let path = format!("u/admin/endless_{language}");
        app.create_script_with(&path, language, content, &json!({"timeout": 1}))
            .await;
        for _ in 0..3 {
            ids.push(app.run_script(&path, &json!({})).await);
        }
    }
    assert_good_job(&app).await;
    for id in ids {
        assert_eq!(app.wait_for_job(&id).await["success"], false);
    }
    app.stop().await;
}
