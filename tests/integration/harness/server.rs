//! The real `windsock` binary as a child process: its settings, its output, its end.

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;

use super::{
    Authority, Database,
    process::{Lines, bound_to_this_thread, exit_code, kill_group, signal},
};

/// The `SUPERADMIN_SECRET` of every server that is not told otherwise.
pub const TOKEN: &str = "token-of-the-tests";

/// What the server prints once it takes requests, followed by its address.
const LISTENS: &str = "windsock listens on ";

/// A stop may take the 10 s the server has for its running jobs, and a busy machine's time on top.
const STOP_PATIENCE: Duration = Duration::from_secs(40);

/// How a server is started, apart from its database.
pub struct Settings {
    env: Vec<(String, String)>,
    flags: Vec<String>,
    port: u16,
    ca: Option<String>,
}

impl Settings {
    /// Private addresses allowed, [`TOKEN`] accepted, port chosen by the system.
    pub fn new() -> Self {
        let settings = Self {
            env: Vec::new(),
            flags: Vec::new(),
            port: 0,
            ca: None,
        };
        settings
            .env("SUPERADMIN_SECRET", TOKEN)
            .env("ALLOW_PRIVATE_WEBSOCKET_URLS", "true")
            .env("RUST_LOG", "info")
            .env("RUST_BACKTRACE", "1")
    }

    /// Sets or replaces a variable of the server's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.into()));
        self
    }

    /// Leaves a variable out.
    pub fn without_env(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    /// Serves https with these files, which the client of the test trusts because `authority` has signed them.
    pub fn https(mut self, authority: &Authority, (cert, key): (&str, &str)) -> Self {
        self.ca = Some(authority.ca_pem());
        self.flag("--tls-cert")
            .flag(cert)
            .flag("--tls-key")
            .flag(key)
    }

    /// The authority that the test's client trusts besides the usual ones.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// Listens on this port, where a server listened before: browsers find it again.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Adds to the command line, after `windsock serve`.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.into());
        self
    }
}

/// A running server. Killed with all its group when dropped.
pub struct Server {
    child: Child,
    /// Where it listens, once that is known; without a slash at its end.
    pub url: String,
    /// What it prints.
    pub output: Lines,
}

/// The server that is tested; `WINDSOCK_TEST_SERVER` names another build of it, such as an optimized one to be measured.
fn program() -> PathBuf {
    let named = std::env::var_os("WINDSOCK_TEST_SERVER");
    named.map_or_else(|| env!("CARGO_BIN_EXE_windsock").into(), PathBuf::from)
}

impl Server {
    /// Starts it on a port chosen by the system, or the one of its settings.
    pub fn spawn(settings: &Settings, database: &Database, folder: &Path) -> Self {
        use std::os::unix::process::CommandExt;
        let mut command = bound_to_this_thread(&program());
        let port = settings.port.to_string();
        command.args(["serve", "--bind", "127.0.0.1", "--port", &port]);
        command.args(["--database-url", &database.url()]);
        command.args(&settings.flags).current_dir(folder);
        // Nothing of the machine (a proxy, a log filter) may change what is tested.
        command.env_clear().envs(settings.env.iter().cloned());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", folder).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server can be started");
        let output = Lines::default();
        output.collect(child.stdout.take().expect("stdout is piped"));
        output.collect(child.stderr.take().expect("stderr is piped"));
        Self {
            child,
            url: String::new(),
            output,
        }
    }

    /// The address from the line that says it listens, without a slash at its end; what it printed instead, if it does not yet.
    ///
    /// # Panics
    /// When it has ended instead.
    pub fn listens(&mut self) -> Result<String, String> {
        if let Some(status) = exit_code(&mut self.child, Duration::ZERO) {
            panic!("the server ended with {status}:\n{}", self.output.text());
        }
        let url = |line: &str| line.split(LISTENS).nth(1).map(str::to_owned);
        self.output.find(url).ok_or_else(|| self.output.text())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        exit_code(&mut self.child, Duration::ZERO)
    }

    /// Its id in the system.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// When it does not exit with code 0 in time.
    pub fn stop(mut self) {
        signal(&self.child, Signal::SIGTERM);
        let status = exit_code(&mut self.child, STOP_PATIENCE);
        let code = status.and_then(|status| status.code());
        let output = self.output.text();
        assert_eq!(code, Some(0), "{status:?} after SIGTERM:\n{output}");
    }

    /// Sends any signal.
    pub fn signal(&self, which: Signal) {
        signal(&self.child, which);
    }

    /// Kills it without a word, as a power cut would; what is left of its group goes too.
    pub fn kill(mut self) {
        signal(&self.child, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        kill_group(&mut self.child);
    }
}
