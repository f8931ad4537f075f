//! [`WarmProcess`]: one live process of one script version and run-as, and one call on it at a time. [`WarmSet`]: the live
//! processes of a worker, bounded, the one that was idle longest goes first.
//!
//! Owned by a worker's `Executor`. A process that was stopped, timed out, died or broke its protocol is
//! never used again. What the lines say is in `language`.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::{Permissions, set_permissions},
    io,
    os::unix::fs::{PermissionsExt, chown, fchown},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::{Pid, getpgrp},
};
use tempfile::TempDir;
use tokio::net::unix::pipe;

use super::{
    channel::Channel,
    contain::users::JobUser,
    folders::new_folder,
    job_log::{JobLog, LogSink},
    limits::RunLimits,
    process::{self, Child, ChildSpec},
    stop::{Stop, StopReason},
};

/// Longest a process that has closed its channel is waited for before it is killed.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Most that is read from the pipe after an answer: what was printed before it fits into the pipe's buffer.
const DRAIN_BYTES: usize = 1024 * 1024;
/// How much of the output is read at once: a pipe's whole buffer.
const LOG_READ_BYTES: usize = 64 * 1024;
/// What an answer line may have around its result: error texts, the preprocessor's arguments.
const ANSWER_SLACK_BYTES: usize = 4 * 1024 * 1024;

/// How a program is started for a script.
pub(crate) struct Launch {
    /// The program, as a path.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// Files beside the scratch folder: the script, when the wrapper wants it as one; the wrapper itself.
    pub(crate) files: Vec<(&'static str, String)>,
    /// A link beside them: where packages are.
    pub(crate) link: Option<(&'static str, PathBuf)>,
    /// Its first environment; the job's comes with each call.
    pub(crate) env: Vec<(String, String)>,
    /// What it may read besides what every language needs: files of its interpreter, of packages.
    pub(crate) reads: Vec<PathBuf>,
    /// Whether the kernel may bound its address space; see [`ChildSpec`].
    pub(crate) bounded_address_space: bool,
}

/// Why a call gave no answer.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It was to stop.
    Stopped(StopReason),
    /// It ran too long.
    TimedOut,
    /// The process ended; how.
    Died(String),
    /// The answer was larger than any answer may be.
    TooLarge,
}

/// What a call may use.
pub(crate) struct CallContext<'a> {
    /// When it must have ended.
    pub(crate) deadline: Instant,
    /// Whether somebody wants it to end.
    pub(crate) stop: &'a Stop,
    /// Where its output goes.
    pub(crate) log: &'a mut JobLog,
    /// Where the output goes on to while it runs.
    pub(crate) sink: &'a mut LogSink,
}

/// One live process.
pub(crate) struct WarmProcess {
    child: Child,
    channel: Channel,
    output: pipe::Receiver,
    /// Holds the script's file and the scratch folder; removed with the process.
    folder: TempDir,
    /// A process group of the running job that is not the process's own (`bash`).
    job_group: Option<Pid>,
    /// The environment as the process has it now, so that only changes travel.
    pub(crate) env: Vec<(&'static str, String)>,
    /// The folder of the packages it was started for.
    pub(crate) packages: Option<PathBuf>,
    /// How many calls it was given.
    pub(crate) calls: u32,
    used: Instant,
}

impl WarmProcess {
    /// Starts the program in a folder of its own.
    pub(crate) fn start(launch: Launch, limits: &RunLimits) -> io::Result<Self> {
        let folder = new_folder()?;
        let scratch = folder.path().join("job");
        std::fs::create_dir(&scratch)?;
        for (name, content) in launch.files {
            std::fs::write(folder.path().join(name), content)?;
        }
        if let Some((name, target)) = launch.link {
            std::os::unix::fs::symlink(target, folder.path().join(name))?;
        }
        let (channel, theirs) = Channel::open(limits.result_bytes + ANSWER_SLACK_BYTES)?;
        let (output, print) = process::pipe()?;
        let user = JobUser::next()?;
        if let Some(user) = &user {
            hand_over(folder.path(), &scratch, user)?;
            // For those who open /dev/stderr.
            fchown(&print, Some(user.id()), None)?;
        }
        let mut env = launch.env;
        for name in ["HOME", "TMPDIR"] {
            env.push((name.to_owned(), scratch.to_string_lossy().into_owned()));
        }
        let mut reads = launch.reads;
        reads.push(folder.path().to_owned());
        let spec = ChildSpec {
            program: launch.program,
            args: launch.args,
            env,
            folder: scratch.clone(),
            stdin: theirs,
            output: (Stdio::from(print.try_clone()?), Stdio::from(print)),
            reads,
            writes: vec![scratch],
            user,
            bounded_address_space: launch.bounded_address_space,
        };
        Ok(Self {
            child: Child::start(spec, limits)?,
            channel,
            output,
            folder,
            job_group: None,
            env: Vec::new(),
            packages: None,
            calls: 0,
            used: Instant::now(),
        })
    }

    /// Whether it waits for a call: it lives, and has said nothing.
    pub(crate) fn is_ready(&self) -> bool {
        self.child.is_alive() && self.channel.is_silent()
    }

    /// The folder the job runs in.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.folder.path().join("job")
    }

    /// The folder of the process: holds the script's file, and files that are only passed on.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sends `request` and waits for the answer line; what is printed until then belongs to this call.
    pub(crate) async fn call(
        &mut self,
        request: Vec<u8>,
        context: &mut CallContext<'_>,
    ) -> Result<Vec<u8>, Ended> {
        self.calls += 1;
        self.child.busy(true);
        let answer = match self.channel.send(request) {
            Ok(()) => self.answer(context).await,
            Err(error) => Err(Lost::Channel(error)),
        };
        let result = match answer {
            Ok(answer) => Ok(answer),
            Err(Lost::Ended(ended)) => Err(ended),
            Err(Lost::Channel(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(Ended::TooLarge)
            }
            Err(Lost::Channel(_)) => Err(Ended::Died(self.child.end(LAST_WORDS).await)),
        };
        if result.is_err() {
            self.kill();
        }
        self.child.busy(false);
        self.drain(context.log);
        self.used = Instant::now();
        self.job_group = None;
        result
    }

    /// Waits for the answer, for the end of time, for a wish to stop, and takes the output meanwhile.
    async fn answer(&mut self, context: &mut CallContext<'_>) -> Result<Vec<u8>, Lost> {
        let deadline = tokio::time::sleep_until(context.deadline.into());
        let interval = context.sink.interval();
        let hand_on = tokio::time::sleep(interval);
        tokio::pin!(deadline, hand_on);
        let mut output_open = true;
        loop {
            tokio::select! {
                biased;
                () = &mut deadline => return Err(Lost::Ended(Ended::TimedOut)),
                () = context.stop.raised() => {
                    let reason = context.stop.reason().cloned().unwrap_or(StopReason::Shutdown);
                    return Err(Lost::Ended(Ended::Stopped(reason)));
                }
                progress = self.channel.progress() => {
                    progress.map_err(Lost::Channel)?;
                    while let Some(line) = self.channel.line() {
                        match line.strip_prefix(b"+") {
                            Some(group) => self.job_group = process_group(group),
                            None => return Ok(line),
                        }
                    }
                }
                ready = self.output.readable(), if output_open => {
                    output_open = ready.is_ok() && take_output(&self.output, context.log);
                }
                () = &mut hand_on => {
                    context.sink.hand_on(context.log);
                    hand_on.as_mut().reset(tokio::time::Instant::now() + interval);
                }
            }
        }
    }

    /// Takes what was printed before the answer. It is in the pipe by then; the runtime may not know yet.
    fn drain(&mut self, log: &mut JobLog) {
        let mut buffer = [0; 4096];
        let mut taken = 0;
        while taken < DRAIN_BYTES {
            match nix::unistd::read(&self.output, &mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    log.push(&buffer[..count]);
                    taken += count;
                }
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
    }

    /// Kills the process and everything the job started in its group.
    pub(crate) fn kill(&self) {
        // What a script says over the channel is not believed: it may name any group.
        if let Some(group) = self.job_group.filter(|group| self.child.owns(*group)) {
            // It may be gone already.
            let _ = killpg(group, Signal::SIGKILL);
        }
        self.child.kill();
    }

    /// Empties the scratch folder when the job left something. Answers false when that failed.
    pub(crate) fn tidy(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(self.scratch()) else {
            return false;
        };
        for entry in entries {
            let Ok(entry) = entry else { return false };
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = if is_folder {
                std::fs::remove_dir_all(entry.path())
            } else {
                std::fs::remove_file(entry.path())
            };
            if removed.is_err() {
                return false;
            }
        }
        true
    }
}

impl Drop for WarmProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Gives the scratch folder to the job's user. The folder around it stays ours, for the job to pass through and
/// to read: what windsock writes there, no job can turn into a link to something else.
fn hand_over(folder: &Path, scratch: &Path, user: &JobUser) -> io::Result<()> {
    chown(folder, None, Some(user.id()))?;
    // bun lists the folder of what it imports.
    set_permissions(folder, Permissions::from_mode(0o750))?;
    chown(scratch, Some(user.id()), Some(user.id()))?;
    set_permissions(scratch, Permissions::from_mode(0o700))
}

enum Lost {
    Ended(Ended),
    Channel(io::Error),
}

/// The process group that a wrapper named; never ours, never everybody: a script may have got hold of the
/// channel, and what it names is killed.
fn process_group(text: &[u8]) -> Option<Pid> {
    let number: i32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let group = Pid::from_raw(number);
    (number > 1 && group != getpgrp()).then_some(group)
}

/// Reads once; false when nobody can write any more.
fn take_output(output: &pipe::Receiver, log: &mut JobLog) -> bool {
    let mut buffer = [0; LOG_READ_BYTES];
    match output.try_read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => {
            log.push(&buffer[..count]);
            true
        }
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Which script version something belongs to: its workspace, its hash.
pub(crate) type ScriptKey = (std::sync::Arc<str>, i64);

/// Whose process it is: a script version's, for the jobs of one run-as. What a script keeps from one job to the next
/// (clients, what it read with the job's rights) is for nobody who runs it with other rights.
pub(crate) type WarmKey = (ScriptKey, String);

/// The live processes of one worker.
pub(crate) struct WarmSet {
    processes: HashMap<WarmKey, WarmProcess>,
    max: usize,
    idle: Duration,
}

impl WarmSet {
    /// At most `limits.live_processes`, each idle for at most `limits.idle`.
    pub(crate) fn new(limits: &RunLimits) -> Self {
        Self {
            processes: HashMap::new(),
            max: limits.live_processes,
            idle: limits.idle,
        }
    }

    /// Takes the process of `key` out, if there is one.
    pub(crate) fn take(&mut self, key: &WarmKey) -> Option<WarmProcess> {
        self.processes.remove(key)
    }

    /// Keeps `process` for the next job of `key`; answers the key that had to go for it.
    pub(crate) fn keep(&mut self, key: WarmKey, process: WarmProcess) -> Option<WarmKey> {
        let mut gone = None;
        if self.processes.len() >= self.max {
            let oldest = self
                .processes
                .iter()
                .min_by_key(|(_, process)| process.used);
            gone = oldest.map(|(key, _)| key.clone());
            if let Some(key) = &gone {
                self.processes.remove(key);
            }
        }
        self.processes.insert(key, process);
        gone
    }

    /// Ends what was idle too long; answers the keys that are gone.
    pub(crate) fn end_idle(&mut self, now: Instant) -> Vec<WarmKey> {
        let idle = self.idle;
        self.processes
            .extract_if(|_, process| now.duration_since(process.used) >= idle)
            .map(|(key, _)| key)
            .collect()
    }

    /// When the next process will have been idle too long.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        let oldest = self.processes.values().map(|process| process.used).min();
        oldest.map(|used| used + self.idle)
    }

    /// How many live.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.processes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_script_names_our_own_group_or_everybody() {
        let ours = getpgrp().to_string();
        for bad in ["0", "1", "-1", "-7", "", "x", &ours] {
            assert_eq!(process_group(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(process_group(b"4194305"), Some(Pid::from_raw(4_194_305)));
    }
}
