//! Protections that stand behind another one, each tried with the other out of the way: what `contained` sees fail
//! would go on failing without them.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use nix::unistd::{geteuid, getpid};
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::{Bench, PATIENCE, fetch_settings, has, job, limits, packages, parts, script};
use crate::{
    config::{Config, DatabaseUrl, TlsFiles},
    runner::{
        Addresses, RunLimits, RunnerSettings,
        contain::{files, users::JobUser},
        process::{Child, ChildSpec, pipe},
    },
    types::Language,
};

/// A shell without a user of its own, which root may run as well as anybody else.
struct Shell {
    child: Child,
    output: tokio::net::unix::pipe::Receiver,
}

impl Shell {
    fn start(text: &str, limits: &RunLimits, user: Option<JobUser>) -> Self {
        let (output, print) = pipe().unwrap();
        let spec = ChildSpec {
            program: PathBuf::from("/bin/sh"),
            args: vec!["-c".into(), text.into()],
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            folder: PathBuf::from("/"),
            stdin: Stdio::null(),
            output: (Stdio::from(print.try_clone().unwrap()), Stdio::from(print)),
            reads: Vec::new(),
            writes: Vec::new(),
            user,
            bounded_address_space: false,
        };
        let child = Child::start(spec, limits).unwrap();
        Self { child, output }
    }

    /// All it prints until it ends.
    async fn said(mut self) -> String {
        let mut text = String::new();
        let read = self.output.read_to_string(&mut text);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        text
    }
}

#[actix_rt::test]
async fn rules_on_files_and_signals_hold_for_the_servers_own_user() {
    if let Some(why) = files::missing().first() {
        println!("left out: {why}");
        return;
    }
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "the database").unwrap();
    let (path, pid) = (secret.path().display(), getpid());
    let text = format!(
        "cat {path}; kill -0 {pid} && echo reached; cat /proc/{pid}/environ >/dev/null && echo seen; \
         ls /proc/{pid}/cwd/ && echo there; (: > {path}.new) && echo written; echo end"
    );
    let said = Shell::start(&text, &limits(), None).said().await;
    assert!(said.ends_with("end\n"), "{said}");
    for word in ["the database", "reached", "there\n", "written\n"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
    // Root may measure every process (CAP_PERFMON), and Landlock lets it; its jobs have users of their own.
    assert!(
        !said.contains("seen\n") || geteuid().is_root(),
        "the environment: {said}"
    );
}

#[actix_rt::test]
async fn processes_are_counted_where_they_have_no_user_of_their_own() {
    let few = RunLimits {
        processes: 20,
        ..limits()
    };
    let text = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do sleep 1000 & done; wait";
    let mut shell = Shell::start(text, &few, None);
    let how = shell.child.end(PATIENCE).await;
    assert!(how.contains("20 are allowed"), "{how}");
}

#[actix_rt::test]
async fn all_of_a_session_ends_where_it_has_no_user_of_its_own() {
    // With `set -m` what is started in the background has a group of its own.
    let own_group = "exec bash -c 'set -m; sleep 1000 & echo $!; wait'";
    for (text, ends) in [
        ("sleep 1000 & echo $!; wait", false),
        (own_group, false),
        (own_group, true),
    ] {
        let Shell {
            mut child,
            mut output,
        } = Shell::start(text, &limits(), None);
        let mut said = String::new();
        while !said.ends_with('\n') {
            let letter = tokio::time::timeout(PATIENCE, output.read_u8()).await;
            said.push(char::from(letter.unwrap().unwrap()));
        }
        let started = format!("/proc/{}/stat", said.trim());
        assert!(std::fs::metadata(&started).is_ok(), "{started}");
        if ends {
            child.end(Duration::ZERO).await;
        }
        drop(child);
        let end = Instant::now() + PATIENCE;
        while std::fs::read_to_string(&started).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(Instant::now() < end, "{text}: {started} lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[actix_rt::test]
async fn what_is_killed_for_its_memory_leaves_nothing_of_its_user() {
    let Ok(Some(user)) = JobUser::next() else {
        println!("left out: windsock does not run as root");
        return;
    };
    let id = user.id();
    let little = RunLimits {
        memory_bytes: 100 << 20,
        ..limits()
    };
    // The one that hides from the session is still of the user, and lives on unless all of it is killed.
    let text = "setsid sleep 1000 & exec python3 -c 'held = b\"x\" * (200 << 20); import time; time.sleep(1000)'";
    let mut shell = Shell::start(text, &little, Some(user));
    let how = shell.child.end(PATIENCE).await;
    assert!(how.contains("100 are allowed"), "{how}");
    let end = Instant::now() + PATIENCE;
    // While the shell is held its user is not given back, which would kill the rest, too.
    while alive_of(id) {
        assert!(Instant::now() < end, "something of the user lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(shell);
}

/// Whether a process of the user lives; a zombie does not.
fn alive_of(user: u32) -> bool {
    use std::os::unix::fs::MetadataExt;
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter(|entry| entry.metadata().is_ok_and(|of| of.uid() == user));
    stats
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .any(|stat| !stat.contains(") Z "))
}

#[actix_rt::test]
async fn each_process_has_a_scratch_folder_that_no_other_enters() {
    let mut bench = Bench::new();
    let first = script(
        Language::Python3,
        "import os\ndef main():\n    open('mine', 'w').write('x')\n    os.chmod('mine', 0o666); os.chmod('.', 0o777)\n    \
         return [os.getcwd(), os.environ['HOME'], os.environ['TMPDIR']]\n",
    );
    let folders = bench.result(&first, json!({})).await;
    let folder = folders[0].as_str().unwrap();
    assert_eq!(folders, json!([folder, folder, folder]));
    let second = script(
        Language::Python3,
        "import os\ndef main(folder):\n    tried = []\n    for deed in (lambda: os.listdir(folder), lambda: open(folder + '/new', 'w'), \
         lambda: open(folder + '/../wrapper.py').read()):\n        try:\n            deed()\n            tried.append('done')\n        \
         except OSError: tried.append('refused')\n    return [os.getcwd() != folder, *tried]\n",
    );
    let tried = bench.result(&second, json!({"folder": folder})).await;
    assert_eq!(tried, json!([true, "refused", "refused", "refused"]));
}

#[actix_rt::test]
async fn runtimes_that_reserve_address_space_are_bounded_by_what_they_use() {
    let test = "runtimes_that_reserve_address_space_are_bounded_by_what_they_use";
    for (program, language) in [("bun", Language::Bun), ("deno", Language::Deno)] {
        if !has(program, test) {
            continue;
        }
        let mut bench = Bench::with(RunLimits {
            memory_bytes: 400 << 20,
            ..limits()
        });
        // Outside the heap, where no flag of theirs counts it.
        let fills = script(
            language,
            "export function main() { const held = []; for (;;) held.push(new Uint8Array(8 << 20).fill(1)); }",
        );
        let error = bench.error(&fills, json!({})).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("400 are allowed"), "{language}: {error}");
    }
}

#[actix_rt::test]
async fn the_heap_of_deno_is_bounded_by_itself() {
    if !has("deno", "the_heap_of_deno_is_bounded_by_itself") {
        return;
    }
    let mut bench = Bench::with(RunLimits {
        // Half of it is the heap; what is new and what is the program itself come on top, more on a busy machine.
        memory_bytes: 512 << 20,
        ..limits()
    });
    let fills = script(
        Language::Deno,
        "export function main() { const held: unknown[] = []; for (let i = 0; ; i++) held.push({ i }); }",
    );
    let (_, result, logs) = parts(bench.run(&fills, &job(1, &json!({}))).await);
    let message = result["error"]["message"].as_str().unwrap();
    // The engine ends at its own bound, before all of the memory is used.
    assert!(!message.contains("are allowed"), "{message}");
    assert!(logs.contains("out of memory"), "{message} {logs}");
}

#[actix_rt::test]
async fn results_and_whatever_else_comes_over_the_channel_are_bounded() {
    let mut bench = Bench::new();
    let large = [
        (Language::Python3, "def main(): return 'x' * 20_000\n"),
        (Language::Bash, "head -c 20000 /dev/zero | tr '\\0' x"),
        (
            Language::Bash,
            "head -c 20000 /dev/zero | tr '\\0' 1 > result.json",
        ),
        (
            Language::Nativets,
            "export function main() { return 'x'.repeat(20_000) }",
        ),
    ];
    for (language, content) in large {
        let error = bench.error(&script(language, content), json!({})).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("10000"), "{language}: {error}");
    }
    // No end of line ever comes.
    let floods = script(
        Language::Python3,
        "import os, stat\ndef main():\n    fds = [fd for fd in range(3, 50) if os.path.exists(f'/proc/self/fd/{fd}')]\n    \
         fds = [fd for fd in fds if stat.S_ISSOCK(os.fstat(fd).st_mode)]\n    while True:\n        for fd in fds: os.write(fd, b'x' * 65536)\n",
    );
    let error = bench.error(&floods, json!({})).await;
    assert!(
        error["message"].as_str().unwrap().contains("10000"),
        "{error}"
    );
}

#[test]
fn the_databases_folder_and_the_servers_key_are_for_no_job() {
    // Folders of the kind that languages need, to be found on every machine.
    let (share, key) = (Path::new("/usr/share"), Path::new("/usr/bin/env"));
    let mut config = Config::for_test(DatabaseUrl::Sqlite(share.join("windsock.db")));
    config.tls = Some(TlsFiles {
        cert: key.to_owned(),
        key: key.to_owned(),
    });
    let addresses = Addresses {
        own: "http://127.0.0.1:9",
        inside: None,
    };
    let check = fetch_settings().check;
    let settings = RunnerSettings::new(&config, addresses, check, packages());
    let readable = &settings.limits.readable;
    assert!(!readable.has(share), "the database lies there");
    assert!(!readable.has(&key.canonicalize().unwrap()), "the key");
    assert!(readable.has(Path::new("/usr/lib")));
}
