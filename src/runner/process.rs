//! [`Child`]: a process that runs users' code, and what it may not do: cleared environment, a session of its
//! own that is killed whole, no inherited descriptors, limits, a lower priority, another user, only the files
//! it needs, and it ends with us.
//!
//! Used by `warm` (runners that stay) and `check` (one short run). What is said over the channel, and what a
//! language is, is not here; which users and which files is in `contain`.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::process::ExitStatusExt,
    },
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::{Signal, killpg},
        stat::{Mode, umask},
    },
    unistd::{Pid, getpid, getppid, setsid},
};
use rustix::process::setpriority_process;
use tokio::{io::AsyncReadExt, process::Command};

use super::{
    contain::{
        files,
        users::JobUser,
        watch::{self, Bounds, Watched},
    },
    limits::RunLimits,
};

/// How much nicer jobs are than the listeners: a busy job gets about a third of a busy listener's share.
const NICENESS: i32 = 5;
/// Where memory runs short, the kernel ends jobs first (proc(5), oom_score_adj).
const FIRST_TO_GO: &str = "1000";

/// What a child is started with.
pub(crate) struct ChildSpec {
    /// The program, as a path.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// The whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// The folder it starts in.
    pub(crate) folder: PathBuf,
    /// Its standard input.
    pub(crate) stdin: Stdio,
    /// Its standard output and its standard error.
    pub(crate) output: (Stdio, Stdio),
    /// What it may read besides what every language needs.
    pub(crate) reads: Vec<PathBuf>,
    /// What it may write besides devices.
    pub(crate) writes: Vec<PathBuf>,
    /// Who it runs as, when windsock is root.
    pub(crate) user: Option<JobUser>,
    /// Whether the kernel bounds its address space. Some runtimes reserve more than they use: for these the
    /// memory in use is all that is watched.
    pub(crate) bounded_address_space: bool,
}

/// The limits the kernel keeps for a child.
#[derive(Debug, Clone, Copy)]
struct Kept {
    memory_bytes: Option<u64>,
    file_bytes: u64,
    open_files: u64,
    /// Only for a user of its own: others would be counted, too.
    processes: Option<u64>,
    /// Its rules on files.
    rules: Option<RawFd>,
    parent: Pid,
}

/// A running child; dropped, its whole session is killed.
pub(crate) struct Child {
    inner: tokio::process::Child,
    group: Pid,
    reaped: bool,
    watched: Arc<Watched>,
    // Dropped last: whatever still runs as this user is killed then.
    _user: Option<JobUser>,
}

impl Child {
    /// Starts it. Must be called on a thread that lives as long as the child may: it is killed with the thread.
    pub(crate) fn start(spec: ChildSpec, limits: &RunLimits) -> io::Result<Self> {
        let mut reads = limits.readable.beside(&spec.program);
        reads.extend(spec.reads);
        let rules = files::ruleset(&limits.readable, &reads, &spec.writes)?;
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.args)
            .env_clear()
            .envs(spec.env)
            .current_dir(&spec.folder)
            .stdin(spec.stdin)
            .stdout(spec.output.0)
            .stderr(spec.output.1)
            .kill_on_drop(true);
        if let Some(user) = &spec.user {
            // All other groups are given up with it.
            command.uid(user.id()).gid(user.id());
        }
        let kept = Kept {
            memory_bytes: spec.bounded_address_space.then_some(limits.memory_bytes),
            file_bytes: limits.file_bytes,
            open_files: limits.open_files,
            processes: spec.user.as_ref().map(|_| limits.processes),
            rules: rules.as_ref().map(AsRawFd::as_raw_fd),
            parent: getpid(),
        };
        contain(&mut command, kept);
        let inner = command.spawn()?;
        let group = inner
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .map(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the process ended before it began"))?;
        // Only wanted, not needed.
        let _ = std::fs::write(format!("/proc/{group}/oom_score_adj"), FIRST_TO_GO);
        let bounds = Bounds {
            memory_bytes: limits.memory_bytes,
            processes: limits.processes,
        };
        let user = spec.user.as_ref().map(JobUser::id);
        Ok(Self {
            inner,
            group,
            reaped: false,
            watched: Watched::begin(group, user, bounds),
            _user: spec.user,
        })
    }

    /// Says whether a job runs in it: then what it takes is watched.
    pub(crate) fn busy(&self, busy: bool) {
        self.watched.busy(busy);
    }

    /// Whether `process` is of its session: only then it may be killed for it.
    pub(crate) fn owns(&self, process: Pid) -> bool {
        nix::unistd::getsid(Some(process)) == Ok(self.group)
    }

    /// Kills every process of its group.
    pub(crate) fn kill(&self) {
        if !self.reaped {
            // It may be gone already.
            let _ = killpg(self.group, Signal::SIGKILL);
        }
    }

    /// Kills its session. What has a user of its own is killed by that, when the user is given back.
    fn kill_all(&self) {
        self.kill();
        self.watched.end();
        if !self.reaped && self._user.is_none() {
            watch::kill_session(self.group);
        }
    }

    /// Waits until it has ended by itself for at most `patience`, kills what is left of its group, and
    /// answers how it ended, in words.
    pub(crate) async fn end(&mut self, patience: Duration) -> String {
        // The group is killed before its leader is reaped: its number cannot be anybody else's then.
        let ended = tokio::time::timeout(patience, self.exited()).await.is_ok();
        self.kill_all();
        let status = self.inner.wait().await;
        self.reaped = true;
        if let Some(why) = self.watched.killed() {
            return why.to_owned();
        }
        match status {
            Ok(status) if ended => describe(status),
            Ok(_) => "was killed".to_owned(),
            Err(error) => format!("ended: {error}"),
        }
    }

    /// Whether it has not ended, without reaping it.
    pub(crate) fn is_alive(&self) -> bool {
        use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        matches!(
            waitid(Id::Pid(self.group), flags),
            Ok(WaitStatus::StillAlive)
        )
    }

    /// Waits for its end without reaping it.
    async fn exited(&self) {
        // Seldom and short: a process that has closed its channel ends within a moment.
        while self.is_alive() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// `ended with exit code 3`, `was killed by SIGKILL`.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("was killed by {}", signal.as_str()),
            Err(_) => format!("was killed by signal {signal}"),
        },
        (None, None) => "ended".to_owned(),
    }
}

/// Lowers the priority of the calling thread to that of jobs: scripts that run in it must not crowd out the
/// listeners.
pub(crate) fn lower_priority_of_this_thread() {
    // On Linux "this process" means the calling thread. A failure changes nothing.
    let _ = setpriority_process(None, NICENESS);
}

/// Has [`enter`] run in the child before its program starts.
#[expect(
    unsafe_code,
    reason = "pre_exec is the one way to set limits before foreign code runs, without a second program; \
              `enter` makes nothing but system calls, as is required between fork and exec"
)]
fn contain(command: &mut Command, kept: Kept) {
    // SAFETY: `enter` neither allocates nor locks; it only makes async-signal-safe system calls.
    unsafe {
        command.pre_exec(move || enter(&kept).map_err(io::Error::from));
    }
}

/// Between fork and exec, as the job's user: system calls only.
#[expect(
    unsafe_code,
    reason = "close_range and landlock_restrict_self have no wrapper that may be called here; both take plain \
              numbers"
)]
fn enter(kept: &Kept) -> Result<(), Errno> {
    // A session of its own: what the job starts is found by it, and shares the processor as one.
    setsid()?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != kept.parent {
        // The parent died before the line above: nobody would end this process.
        return Err(Errno::ESRCH);
    }
    prctl::set_no_new_privs()?;
    umask(Mode::from_bits_truncate(0o077));
    let limit = |resource, value| setrlimit(resource, value, value);
    limit(Resource::RLIMIT_CORE, 0)?;
    limit(Resource::RLIMIT_FSIZE, kept.file_bytes)?;
    limit(Resource::RLIMIT_NOFILE, kept.open_files)?;
    if let Some(bytes) = kept.memory_bytes {
        limit(Resource::RLIMIT_AS, bytes)?;
    }
    if let Some(count) = kept.processes {
        limit(Resource::RLIMIT_NPROC, count)?;
    }
    let _ = setpriority_process(None, NICENESS);
    // SAFETY: plain system calls with numbers; `rules` is a descriptor that the parent holds open.
    unsafe {
        // Ours are close-on-exec anyway; this also catches one that a library opened without it.
        let close_on_exec = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
        libc::close_range(3, libc::c_uint::MAX, close_on_exec);
        if let Some(rules) = kept.rules {
            Errno::result(libc::syscall(libc::SYS_landlock_restrict_self, rules, 0))?;
        }
    }
    Ok(())
}

/// What a short run said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Whether it ended with 0.
    pub(crate) success: bool,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

/// Largest output of a short run that is read: a schema or an error text.
const SAID_BYTES: u64 = 4 * 1024 * 1024;

/// A short run of a program.
pub(crate) struct Once<'a> {
    /// The program, as a path.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// What stands on its standard input.
    pub(crate) input: &'a str,
    /// What it may read besides what every language needs.
    pub(crate) reads: Vec<PathBuf>,
}

/// Runs a program once and waits for its end.
///
/// # Errors
/// It cannot be started, or does not end within the time of a check.
pub(crate) async fn run_once(once: Once<'_>, limits: &RunLimits) -> io::Result<Said> {
    use tokio::io::AsyncWriteExt;
    let (stdout, out) = pipe()?;
    let (stderr, err) = pipe()?;
    let (read_input, write_input) = io::pipe()?;
    let spec = ChildSpec {
        program: once.program,
        args: once.args,
        env: vec![("LANG".to_owned(), "C.UTF-8".to_owned())],
        folder: PathBuf::from("/"),
        stdin: Stdio::from(read_input),
        output: (Stdio::from(out), Stdio::from(err)),
        reads: once.reads,
        writes: Vec::new(),
        user: JobUser::next()?,
        bounded_address_space: true,
    };
    let mut child = Child::start(spec, limits)?;
    let mut write_input =
        tokio::net::unix::pipe::Sender::from_owned_fd(OwnedFd::from(write_input))?;
    let feed = async move {
        // One that does not read to the end says why on its own.
        let _ = write_input.write_all(once.input.as_bytes()).await;
    };
    let listen = async |pipe: tokio::net::unix::pipe::Receiver| {
        let mut bytes = Vec::new();
        pipe.take(SAID_BYTES).read_to_end(&mut bytes).await?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let all = async {
        let ((), stdout, stderr) = tokio::join!(feed, listen(stdout), listen(stderr));
        child.watched.end();
        let status = child.inner.wait().await?;
        Ok(Said {
            success: status.success(),
            stdout: stdout?,
            stderr: stderr?,
        })
    };
    match tokio::time::timeout(limits.check_timeout, all).await {
        Ok(said) => {
            child.reaped = said.is_ok();
            said
        }
        Err(_) => Err(io::Error::other(format!(
            "no answer within {} s",
            limits.check_timeout.as_secs()
        ))),
    }
}

/// A pipe whose reading end is ours and does not block.
pub(crate) fn pipe() -> io::Result<(tokio::net::unix::pipe::Receiver, io::PipeWriter)> {
    let (read, write) = io::pipe()?;
    let read = tokio::net::unix::pipe::Receiver::from_owned_fd(OwnedFd::from(read))?;
    Ok((read, write))
}
