//! [`Watched`]: the memory, the processes and threads of a whole job, looked at while it runs. A job that takes
//! too much is killed with everything it started.
//!
//! The kernel bounds one process (`process`); nothing but this bounds the sum, and the memory of runtimes that
//! cannot live with a bound on their address space. One thread for all jobs; it reads `/proc`, a bounded share
//! of the time, and only while something runs for longer than a tick.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use parking_lot::Mutex;

use super::users;

/// How often jobs are looked at: memory can grow by some 100 MB in that time.
const TICK: Duration = Duration::from_millis(100);
/// The thread rests this many times as long as it has looked: at most 5 % of one core.
const REST: u32 = 20;
/// How often a session that is killed is looked at for what was started meanwhile.
const SESSION_ROUNDS: u32 = 3;
/// Unit of the resident size in `/proc/<pid>/stat`, on every machine this runs on (x86-64, most arm64).
const PAGE_BYTES: u64 = 4096;

/// What a job may take altogether.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Memory that is in use.
    pub(crate) memory_bytes: u64,
    /// Processes and threads.
    pub(crate) processes: u64,
}

/// One child and what it started: those of its session, and those of its user.
#[derive(Debug)]
pub(crate) struct Watched {
    leader: Pid,
    user: Option<u32>,
    bounds: Bounds,
    busy: AtomicBool,
    killed: OnceLock<String>,
}

static WATCHED: LazyLock<Mutex<HashMap<i32, Arc<Watched>>>> = LazyLock::new(|| {
    let looks = || {
        loop {
            let begin = Instant::now();
            look();
            std::thread::sleep(TICK.max(begin.elapsed() * REST));
        }
    };
    let thread = std::thread::Builder::new().name("job-watch".to_owned());
    if let Err(error) = thread.spawn(looks) {
        log::error!(error:% = error; "the memory of jobs is not watched");
    }
    Mutex::default()
});

impl Watched {
    /// Begins to watch the session of `leader`, and everything of `user`.
    pub(crate) fn begin(leader: Pid, user: Option<u32>, bounds: Bounds) -> Arc<Self> {
        let watched = Arc::new(Self {
            leader,
            user,
            bounds,
            busy: AtomicBool::new(true),
            killed: OnceLock::new(),
        });
        WATCHED.lock().insert(leader.as_raw(), Arc::clone(&watched));
        watched
    }

    /// Says whether a job runs in it; one that only waits is not looked at.
    pub(crate) fn busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    /// Ends watching; to be called before the leader is reaped, whose number may then be another's.
    pub(crate) fn end(&self) {
        WATCHED.lock().remove(&self.leader.as_raw());
    }

    /// Why it was killed from here, if it was.
    pub(crate) fn killed(&self) -> Option<&str> {
        self.killed.get().map(String::as_str)
    }

    fn too_much(&self, members: &[&Process]) -> Option<String> {
        let threads: u64 = members.iter().map(|process| process.threads).sum();
        if threads > self.bounds.processes {
            let most = self.bounds.processes;
            return Some(format!(
                "was killed because it ran {threads} processes and threads, {most} are allowed"
            ));
        }
        let resident: u64 = members.iter().map(|process| process.resident_bytes).sum();
        if resident <= self.bounds.memory_bytes {
            return None;
        }
        // What processes share was counted once for each.
        let used: u64 = members.iter().map(|process| process.own_bytes()).sum();
        (used > self.bounds.memory_bytes).then(|| {
            let mebibytes = |bytes: u64| bytes / (1024 * 1024);
            format!(
                "was killed because it used {} MiB of memory, {} are allowed",
                mebibytes(used),
                mebibytes(self.bounds.memory_bytes)
            )
        })
    }

    fn kill(&self, members: &[&Process]) {
        // Each may have ended meanwhile.
        let _ = killpg(self.leader, Signal::SIGKILL);
        match self.user {
            Some(user) => users::kill_all_of(user),
            None => {
                for member in members {
                    let _ = kill(member.pid, Signal::SIGKILL);
                }
            }
        }
    }
}

/// What `/proc/<pid>/stat` says (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Process {
    pid: Pid,
    session: i32,
    threads: u64,
    resident_bytes: u64,
    user: Option<u32>,
}

impl Process {
    fn read(folder: &Path, with_user: bool) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let mut process = Self::parse(&fs::read_to_string(folder.join("stat")).ok()?)?;
        if with_user {
            process.user = folder.metadata().ok().map(|metadata| metadata.uid());
        }
        Some(process)
    }

    fn parse(stat: &str) -> Option<Self> {
        let (pid, rest) = stat.split_once(' ')?;
        // The name may hold anything, a bracket too; the last one ends it.
        let fields: Vec<&str> = rest.rsplit_once(") ")?.1.split(' ').collect();
        let number = |field: usize| fields.get(field - 3)?.trim().parse::<u64>().ok();
        Some(Self {
            pid: Pid::from_raw(pid.parse().ok()?),
            session: fields.get(6 - 3)?.parse().ok()?,
            threads: number(20)?,
            resident_bytes: number(24)? * PAGE_BYTES,
            user: None,
        })
    }

    /// Its memory with its part of what it shares; all of it where the kernel does not say.
    fn own_bytes(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid));
        rollup
            .ok()
            .and_then(|text| {
                let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
                let kibibytes = line.trim().strip_suffix("kB")?.trim().parse::<u64>();
                Some(kibibytes.ok()? * 1024)
            })
            .unwrap_or(self.resident_bytes)
    }
}

/// Kills every process of the session of `leader`, whatever group it is in. To be called before the leader is reaped.
pub(crate) fn kill_session(leader: Pid) {
    for _ in 0..SESSION_ROUNDS {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = entries
            .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
            .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
            .filter(|stat| !stat.contains(") Z "))
            .filter_map(|stat| Process::parse(&stat));
        let mut any = false;
        for process in processes.filter(|process| process.session == leader.as_raw()) {
            any |= kill(process.pid, Signal::SIGKILL).is_ok() && process.pid != leader;
        }
        if !any {
            return;
        }
    }
}

/// Looks at every job that runs, and kills those that take too much.
fn look() {
    let busy: Vec<Arc<Watched>> = WATCHED
        .lock()
        .values()
        .filter(|watched| watched.busy.load(Ordering::Relaxed))
        .cloned()
        .collect();
    if busy.is_empty() {
        return;
    }
    let with_users = busy.iter().any(|watched| watched.user.is_some());
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes: Vec<Process> = entries
        .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
        .filter_map(|entry| Process::read(&entry.path(), with_users))
        .collect();
    for watched in busy {
        let is_member = |process: &&Process| {
            process.session == watched.leader.as_raw()
                || watched.user.is_some() && process.user == watched.user
        };
        let members: Vec<&Process> = processes.iter().filter(is_member).collect();
        let Some(why) = watched.too_much(&members) else {
            continue;
        };
        // Held while it is killed: it is not reaped meanwhile, so its number is still its own.
        let all = WATCHED.lock();
        if all.contains_key(&watched.leader.as_raw()) && watched.killed.set(why).is_ok() {
            watched.kill(&members);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "42 (a) b (c) S 1 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 7 0 99 1000 3 18446744073709551615\n";
        let process = Process::parse(stat).unwrap();
        assert_eq!((process.session, process.threads), (39, 7));
        assert_eq!(process.resident_bytes, 3 * PAGE_BYTES);
        assert_eq!(Process::parse("42 (a"), None);
        let own = Process::read(Path::new("/proc/self"), true).unwrap();
        assert_eq!(own.pid, nix::unistd::getpid());
        assert_eq!(own.user, Some(nix::unistd::geteuid().as_raw()));
        assert!(own.own_bytes() > 0);
    }
}
