//! A bad start says what is wrong and what to do in one line, exits with 2 and changes nothing (contract section 2).

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use diesel::{Connection, PgConnection, SqliteConnection, connection::SimpleConnection};

use crate::harness::{
    Authority, Database, Need, TestApp, on_both_databases, process::bound_to_this_thread, ready,
};

/// Runs the binary to its end in `folder`; answers its exit code and what it said on stderr.
fn start(folder: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_windsock"))
        .args(flags)
        .env_clear()
        .env("RUST_LOG", "error")
        .current_dir(folder)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn bad_starts_say_why_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    fs::write(
        folder.path().join("text.db"),
        "not a database, but long enough to look like one",
    )
    .unwrap();
    let authority = Authority::new();
    let ((cert, key), (_, other)) = (authority.files("127.0.0.1"), authority.files("other"));
    let cases: [(&[&str], &str); 14] = [
        (&["--port", &port], "--port"),
        (
            &["--port", "0", "--database-url", "sqlite://none/w.db"],
            "--database-url",
        ),
        (
            &["--port", "0", "--database-url", "sqlite://text.db"],
            "--database-url",
        ),
        (
            &[
                "--port",
                "0",
                "--database-url",
                "postgres://127.0.0.1:9/none",
            ],
            "--database-url",
        ),
        (&["--mode", "server"], "PostgreSQL"),
        (
            &["--port", "0", "--secret-key", "short"],
            "WINDSOCK_SECRET_KEY",
        ),
        (&["--port", "many"], "--port"),
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--port", "0", "--http-proxy", "socks://x"], "HTTP_PROXY"),
        (&["--port", "0", "--tls-cert", &cert], "--tls-key"),
        (
            &["--port", "0", "--tls-cert", "none", "--tls-key", &key],
            "--tls-cert",
        ),
        (
            &["--port", "0", "--tls-cert", &key, "--tls-key", &key],
            "--tls-cert",
        ),
        (
            &["--port", "0", "--tls-cert", &cert, "--tls-key", &other],
            "--tls-key",
        ),
        (
            &["--port", "0", "--trusted-proxies", "nginx"],
            "TRUSTED_PROXIES",
        ),
    ];
    for (flags, named) in cases {
        let (code, said) = start(folder.path(), flags);
        assert_eq!(code, Some(2), "{flags:?}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{flags:?}: {said}");
        assert!(said.contains(named), "{flags:?}: {said}");
    }
    let left: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("windsock.db") || name.ends_with(".lock"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_second_process_on_the_same_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Command::new(env!("CARGO_BIN_EXE_windsock"))
        .args(["--port", "0"])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(first.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let second = start(folder.path(), &["--port", "0"]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(
        line.starts_with("windsock listens on http://127.0.0.1:"),
        "{line}"
    );
    assert_eq!(second.0, Some(2), "{}", second.1);
    assert!(second.1.contains("another windsock"), "{}", second.1);
}

/// Processes that start at the same moment, as an orchestrator has it.
const AT_ONCE: usize = 4;

#[test]
fn several_processes_may_start_at_once_on_an_empty_database() {
    let name = "starting::several_processes_may_start_at_once_on_an_empty_database";
    if !ready(name, &[Need::Postgres]) {
        return;
    }
    let database = Database::postgres();
    let mut processes: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            bound_to_this_thread(Path::new(env!("CARGO_BIN_EXE_windsock")))
                .args(["--port", "0", "--num-workers", "0"])
                .args(["--database-url", &database.url()])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let said: Vec<String> = processes
        .iter_mut()
        .map(|process| {
            // Its end is the end of its output: nothing to wait for without bound.
            let mut line = String::new();
            BufReader::new(process.stdout.take().unwrap())
                .read_line(&mut line)
                .unwrap();
            line
        })
        .collect();
    for (mut process, said) in processes.into_iter().zip(said) {
        process.kill().unwrap();
        let output = process.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with("windsock listens on"), "{said}{errors}");
    }
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let name = "starting::a_database_of_a_newer_version_is_refused";
    if !ready(name, &[Need::Postgres]) {
        return;
    }
    let database = Database::postgres();
    PgConnection::establish(&database.url())
        .unwrap()
        .batch_execute(
            "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
             run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
             INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')",
        )
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = start(
        folder.path(),
        &["--port", "0", "--database-url", &database.url()],
    );
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    assert!(said.contains("newer windsock"), "{said}");
}

#[test]
fn a_file_that_cannot_be_used_is_left_as_it_is() {
    let newer = "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
                 run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
                 INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')";
    for (tables, why) in [
        (
            "CREATE TABLE users (name TEXT)",
            "another program's database",
        ),
        (newer, "newer windsock"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("windsock.db");
        SqliteConnection::establish(&file.to_string_lossy())
            .unwrap()
            .batch_execute(tables)
            .unwrap();
        let before = fs::read(&file).unwrap();
        let (code, said) = start(folder.path(), &["--port", "0"]);
        assert_eq!(code, Some(2), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
        assert!(said.contains(why), "{said}");
        assert!(fs::read(&file).unwrap() == before, "{why}: it was changed");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{why}");
    }
}

/// SIGTERM while it starts, and as soon as it listens: never a death by the signal.
#[test]
fn a_server_may_be_stopped_at_any_moment() {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    for line in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let mut server = bound_to_this_thread(Path::new(env!("CARGO_BIN_EXE_windsock")))
            .args(["--port", "0"])
            .env("RUST_LOG", "info")
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        if line == 0 {
            // Its first word in the log comes in the middle of its start.
            let log = server.stderr.take().unwrap();
            let mut log = BufReader::new(log);
            log.read_line(&mut said).unwrap();
            server.stderr = Some(log.into_inner());
        } else {
            let out = server.stdout.take().unwrap();
            BufReader::new(out).read_line(&mut said).unwrap();
        }
        let pid = i32::try_from(server.id()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        let output = server.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "after {said}: {errors}");
    }
}

on_both_databases!(needs: [], tests: [a_stopped_server_starts_again]);

async fn a_stopped_server_starts_again(database: Database) {
    let mut app = TestApp::start(database).await;
    app.create_script("u/admin/kept", "bash", "echo 1\n").await;
    app.stop().await;
    app.start_again().await;
    assert_eq!(app.get("scripts/exists/p/u/admin/kept").await.text, "true");
    app.stop().await;
}

#[actix::test]
async fn the_server_is_one_process_of_the_binary() {
    let app = TestApp::start(Database::sqlite()).await;
    let program = std::fs::read_link(format!("/proc/{}/exe", app.process_id())).unwrap();
    assert_eq!(
        program,
        std::path::Path::new(env!("CARGO_BIN_EXE_windsock"))
    );
}
