//! Child processes that never outlive the tests, and what they print.
//!
//! Used by every other file of the harness; knows nothing of windsock.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// Runs its command in a group of its own until stdin closes, which happens however the tests end; then ends the
/// group, in 10 s at most, and removes the folder.
const GUARD: &str = r#"dir=$1 signal=$2; shift 2
setsid "$@" </dev/null & group=$!
cat >/dev/null
kill -s "$signal" -- "-$group" 2>/dev/null
for _ in {1..100}; do kill -0 -- "-$group" 2>/dev/null || break; sleep 0.1; done
kill -s KILL -- "-$group" 2>/dev/null
wait "$group"; rm -rf -- "$dir""#;

/// A command for a process that the kernel kills when the calling **thread** ends: right for what one test owns,
/// since each test has a thread of its own, and wrong for what several tests share.
pub fn bound_to_this_thread(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// A command that runs `program` until the tests have ended, then sends it `signal` and removes `folder`.
/// Keep the child's stdin open: closing it ends the program.
pub fn guarded(folder: &Path, signal: &str, program: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("bash");
    command.args(["-c", GUARD, "guard"]);
    command
        .arg(folder)
        .arg(signal)
        .arg(program)
        .stdin(Stdio::piped())
        // An interrupt typed at the terminal must not kill the one who cleans up.
        .process_group(0);
    command
}

/// Sends `signal` to one process.
pub fn signal(child: &Child, signal: Signal) {
    let _ = kill(pid(child), signal);
}

/// Kills the process group that `child` leads, and collects the child.
pub fn kill_group(child: &mut Child) {
    let _ = killpg(pid(child), Signal::SIGKILL);
    let _ = child.wait();
}

/// Waits for the process to end; `None` when it still runs at the deadline.
pub fn exit_code(child: &mut Child, patience: Duration) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        if Instant::now() > deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process id fits"))
}

/// A free port of 127.0.0.1, for programs that cannot be asked for port 0.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

/// The lines a process has printed so far.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Reads `stream` to its end on a thread of its own, so that the process never blocks on a full pipe.
    pub fn collect(&self, stream: impl Read + Send + 'static) {
        let lines = self.0.clone();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(stream.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lines.lock().expect("no reader panics").push(text);
                line.clear();
            }
        });
    }

    /// Everything so far, as one text.
    pub fn text(&self) -> String {
        self.0.lock().expect("no reader panics").join("\n")
    }

    /// The first line for which `pick` gives something.
    pub fn find<T>(&self, pick: impl Fn(&str) -> Option<T>) -> Option<T> {
        let lines = self.0.lock().expect("no reader panics");
        lines.iter().find_map(|line| pick(line))
    }
}

/// The program's full path, if `PATH` has it.
pub fn in_path(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
