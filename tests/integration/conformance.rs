//! Conformance to RFC 6455 and RFC 7692: every case of the Autobahn fuzzing server, each met by a trigger of its own.
//!
//! windsock runs in this process, since only a test can make its sockets echo; all else is what users have: a
//! trigger is created by the API, connects, gives every message back where replies are sent, and ends.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    time::Duration,
};

use awc::{Client, http::Method};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::connect_async;
use windsock::{
    config::{Config, DatabaseUrl},
    system::System,
};

use crate::harness::{
    PATIENCE, all,
    process::{bound_to_this_thread, kill_group},
};

/// The name in the suite's report.
const AGENT: &str = "windsock";

/// The groups of the suite, in its order: number, what it is about, its cases, whether it takes long (it sends
/// megabytes by the thousand): then it runs only with `WINDSOCK_TEST_ALL`.
const GROUPS: [(&str, &str, usize, bool); 11] = [
    ("1", "framing", 16, false),
    ("2", "pings and pongs", 11, false),
    ("3", "reserved bits", 7, false),
    ("4", "opcodes", 10, false),
    ("5", "fragmentation", 20, false),
    ("6", "UTF-8", 145, false),
    ("7", "closing", 37, false),
    ("9", "limits and performance", 54, true),
    ("10", "automatic fragmentation", 1, false),
    ("12", "compression, payloads", 90, true),
    ("13", "compression, parameters", 126, true),
];

/// Cases under way at once: most of them only wait for a second to pass.
const AT_ONCE: usize = 8;

/// The same for the long groups: the server is a single thread, and gives each of them a time limit.
const LONG_AT_ONCE: usize = 1;

/// Longest wait for the end of one case: the server itself gives up after two minutes.
const CASE_PATIENCE: Duration = Duration::from_secs(300);

/// Pause between two looks at a trigger: rare enough to leave the processor to the cases.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What the suite calls a case that went as the RFC wants; anything else, `NON-STRICT` too, fails this test.
const PASSED: [&str; 2] = ["OK", "INFORMATIONAL"];

#[actix::test]
async fn autobahn() {
    let Some(python) = python() else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: conformance::autobahn: no Python 2.7 found that tests/run has put the suite into"
        );
        return;
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/autobahn");
    let left_out = GROUPS.iter().filter(|group| group.3 && !all());
    let left_out: Vec<String> = left_out.map(|group| format!("{}.*", group.0)).collect();
    let mut server = FuzzingServer::start(&python, &folder.join("reports"), &left_out);
    let windsock = Windsock::start().await;

    let (long, short): (Vec<_>, Vec<_>) = (1..=server.cases.len()).partition(|case| {
        let of = group(&server.cases[case - 1]);
        GROUPS.iter().any(|group| group.0 == of && group.3)
    });
    for (cases, at_once) in [(short, AT_ONCE), (long, LONG_AT_ONCE)] {
        let run = cases.into_iter().map(|case| windsock.run(&server, case));
        stream::iter(run)
            .buffer_unordered(at_once)
            .collect::<()>()
            .await;
    }
    windsock.system.stop().await;

    let results = server.report().await;
    let table = table(&results);
    // Past libtest's capture: the table is worth a look also when all is well.
    write!(std::io::stdout(), "\n{table}").unwrap();
    fs::write(folder.join("summary.md"), &table).unwrap();
    let expected = GROUPS.iter().filter(|group| !group.3 || all());
    let expected: usize = expected.map(|group| group.2).sum();
    assert_eq!(results.len(), expected, "cases run");
    let wrong: Vec<String> = results
        .iter()
        .filter(|case| case.verdict() == Verdict::Other)
        .map(|case| case.explain(&server.reports))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The Python 2.7 that `tests/run` has put the suite into.
///
/// # Panics
/// When `tests/run` says that it did and it is not there.
fn python() -> Option<PathBuf> {
    if let Some(set_up) = env::var_os("WINDSOCK_TEST_AUTOBAHN_PYTHON").map(PathBuf::from) {
        assert!(set_up.is_file(), "{} is not there", set_up.display());
        return Some(set_up);
    }
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/autobahn-venv/bin/python");
    usual.is_file().then_some(usual)
}

/// The number of the group that a case such as `9.1.2` belongs to.
fn group(case: &str) -> &str {
    case.split('.').next().unwrap_or(case)
}

/// The suite's server. Killed when dropped.
struct FuzzingServer {
    child: Child,
    _stdin: ChildStdin,
    port: u64,
    /// Ids such as `9.1.2`; the server numbers them from 1.
    cases: Vec<String>,
    reports: PathBuf,
}

impl FuzzingServer {
    fn start(python: &Path, reports: &Path, left_out: &[String]) -> Self {
        use std::os::unix::process::CommandExt;
        let _ = fs::remove_dir_all(reports);
        fs::create_dir_all(reports).unwrap();
        let log = fs::File::create(reports.join("server.log")).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/fuzzing_server.py");
        let mut command = bound_to_this_thread(python);
        // `-B`: nothing is written beside the sources.
        command.arg("-B").arg(script).arg(reports).args(left_out);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("the fuzzing server can be started");
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let log = fs::read_to_string(reports.join("server.log"));
            panic!("the fuzzing server ended: {error}: {log:?}")
        });
        let cases = ready["cases"].as_array().expect("a list of cases").iter();
        Self {
            child,
            _stdin: stdin,
            port: ready["port"].as_u64().expect("a port"),
            cases: cases
                .map(|case| case.as_str().unwrap().to_owned())
                .collect(),
            reports: reports.to_owned(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}/{path}agent={AGENT}", self.port)
    }

    /// Waits until the server has noted the result of a case.
    async fn noted(&self, case: usize) {
        let url = self.url(&format!("getCaseStatus?case={case}&"));
        let (mut socket, _) = connect_async(url).await.expect("the fuzzing server lives");
        let status = socket.next().await.expect("a status").unwrap();
        assert!(status.to_text().unwrap().contains("behavior"), "{status:?}");
    }

    /// Has the reports written, and reads their index.
    async fn report(&mut self) -> Vec<CaseResult> {
        let url = self.url("updateReports?");
        let (mut socket, _) = connect_async(url).await.expect("the fuzzing server lives");
        while let Some(Ok(_)) = socket.next().await {}
        let index = fs::read(self.reports.join("index.json")).expect("an index");
        let index: Value = serde_json::from_slice(&index).unwrap();
        let of_windsock = index[AGENT].as_object().expect("results");
        let mut results = Vec::new();
        for case in &self.cases {
            if let Some(result) = of_windsock.get(case) {
                results.push(CaseResult::new(case, result));
            }
        }
        results
    }
}

impl Drop for FuzzingServer {
    fn drop(&mut self) {
        kill_group(&mut self.child);
    }
}

/// A windsock in this process, whose sockets echo.
struct Windsock {
    system: System,
    client: Client,
    root: String,
    _folder: TempDir,
}

impl Windsock {
    async fn start() -> Self {
        let folder = TempDir::with_prefix("windsock-test-").unwrap();
        let database = DatabaseUrl::Sqlite(folder.path().join("windsock.db"));
        let mut config = Config::for_test(database);
        config.echo = true;
        config.superadmin_secret = Some("token".to_owned());
        let system = System::start(config).await.unwrap();
        Self {
            root: format!("http://{}/api/w/main/websocket_triggers", system.address()),
            client: Client::builder()
                .bearer_auth("token")
                .timeout(Duration::from_secs(60))
                .finish(),
            system,
            _folder: folder,
        }
    }

    async fn request(&self, method: Method, path: &str, body: &Value) -> (u16, Vec<u8>) {
        let request = self.client.request(method, format!("{}/{path}", self.root));
        // A connection of its own: none that the server is about to close.
        let sent = request.force_close().send_json(body).await;
        let mut response = sent.expect("windsock answers");
        let text = response.body().await.expect("a whole answer");
        (response.status().as_u16(), text.to_vec())
    }

    /// Lets a new trigger meet one case, to its end on both sides.
    async fn run(&self, server: &FuzzingServer, case: usize) {
        let id = &server.cases[case - 1];
        let path = format!("u/admin/case_{case}");
        let trigger = json!({
            "path": path, "script_path": "u/admin/none", "is_flow": false, "filters": [],
            "url": server.url(&format!("runCase?case={case}&")),
            "can_return_message": true, "can_return_error_result": false,
            "binary": "base64", "max_message_bytes": 32 * 1024 * 1024,
            // One connection, however long it lasts; nothing of our own on it.
            "reconnect": {"max_attempts": 1}, "on_close": {"default": "disable"}, "ping_interval_secs": 0,
        });
        let (status, text) = self.request(Method::POST, "create", &trigger).await;
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&text));
        let ended = actix::clock::timeout(CASE_PATIENCE, self.ended(&path)).await;
        let ended = ended.unwrap_or_else(|_| panic!("case {id} does not end"));
        let noted = actix::clock::timeout(PATIENCE, server.noted(case)).await;
        assert!(noted.is_ok(), "case {id} has no result: {ended}");
        let (status, _) = self
            .request(Method::DELETE, &format!("delete/{path}"), &Value::Null)
            .await;
        assert_eq!(status, 200, "case {id}");
    }

    /// Waits until the trigger has given up, as it does behind its one connection; gives its last status.
    async fn ended(&self, path: &str) -> Value {
        let path = format!("status/{path}");
        loop {
            let (_, text) = self.request(Method::GET, &path, &Value::Null).await;
            let status: Value = serde_json::from_slice(&text).expect("a status");
            if status["state"] == "disabled" {
                return status;
            }
            actix::clock::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Most of a failed case's events that is shown: some have a thousand. All are in its report.
const EVENTS_CHARS: usize = 500;

/// What the suite says about one case.
struct CaseResult {
    id: String,
    /// What was received.
    behavior: String,
    /// How the connection was closed.
    behavior_close: String,
    report: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Informational,
    Other,
}

impl CaseResult {
    fn new(id: &str, result: &Value) -> Self {
        let text = |name: &str| result[name].as_str().unwrap_or("missing").to_owned();
        Self {
            id: id.to_owned(),
            behavior: text("behavior"),
            behavior_close: text("behaviorClose"),
            report: text("reportfile"),
        }
    }

    fn verdict(&self) -> Verdict {
        let both = [self.behavior.as_str(), self.behavior_close.as_str()];
        if both.iter().any(|behavior| !PASSED.contains(behavior)) {
            Verdict::Other
        } else if both.contains(&"INFORMATIONAL") {
            Verdict::Informational
        } else {
            Verdict::Ok
        }
    }

    /// The suite's own words on what went wrong.
    fn explain(&self, reports: &Path) -> String {
        let Self { id, behavior, .. } = self;
        let details = fs::read(reports.join(&self.report)).unwrap_or_default();
        let details: Value = serde_json::from_slice(&details).unwrap_or_default();
        let events = format!(
            "expected {}, received {}",
            details["expected"], details["received"]
        );
        format!(
            "{id}: {behavior} ({}), close {} ({}); {}",
            details["result"],
            self.behavior_close,
            details["resultClose"],
            events.chars().take(EVENTS_CHARS).collect::<String>()
        )
    }
}

/// The results by group, in Markdown.
fn table(results: &[CaseResult]) -> String {
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for case in results {
        let count = counts.entry(group(&case.id)).or_default();
        count[case.verdict() as usize] += 1;
    }
    let mut text = String::from(
        "| group | about | cases | OK | informational | other |\n|---|---|---|---|---|---|\n",
    );
    let mut all = [0; 3];
    for (number, about, ..) in GROUPS {
        if let Some(count @ [ok, informational, other]) = counts.get(number).copied() {
            let cases: usize = count.iter().sum();
            text +=
                &format!("| {number} | {about} | {cases} | {ok} | {informational} | {other} |\n");
            for (sum, count) in all.iter_mut().zip(count) {
                *sum += count;
            }
        }
    }
    let [ok, informational, other] = all;
    let cases = results.len();
    text + &format!("| all | | {cases} | {ok} | {informational} | {other} |\n")
}
