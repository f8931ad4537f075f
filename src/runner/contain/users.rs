//! [`JobUser`]: a user that one process of jobs has for itself, taken from a range that no other windsock on the
//! machine uses. Given back when the process is gone; whatever else runs as that user is killed first.
//!
//! Only when windsock runs as root. The users have no names and no files: a number is all that is needed for the
//! kernel to keep signals, memory and `/proc/<pid>/environ` apart, and to bound the processes of one job.

use std::{
    collections::VecDeque,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener},
            process::CommandExt,
        },
    },
    path::Path,
    process::Command,
    sync::{OnceLock, mpsc},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use parking_lot::Mutex;

/// Where ranges may begin, and how many there are: far above any user that a system hands out; else, in a
/// container that maps only the first 65,536, between the users of people and those of services.
const BEGINNINGS: [(u32, u32); 2] = [(1_900_000_000, 1000), (40_000, 4)];
/// Users of one range: 256 workers with 16 live processes each, and one being started.
const RANGE: u32 = 4_608;
/// What root must be allowed to do: change owners, pass by modes, kill, set group and user (capabilities(7)).
const CAPABILITIES: u64 = 1 | 1 << 1 | 1 << 5 | 1 << 6 | 1 << 7;

/// The users of this process.
#[derive(Debug)]
pub(crate) struct Users {
    first: u32,
    /// Those given back last wait longest: what was killed is gone by then.
    free: Mutex<VecDeque<u32>>,
    leave: mpsc::Sender<u32>,
    // Its name says that the range is taken; freed by the kernel with the process.
    _taken: UnixListener,
}

static USERS: OnceLock<Result<Users, String>> = OnceLock::new();

/// The users of this process, or why there are none.
pub(crate) fn all() -> Result<&'static Users, &'static str> {
    USERS
        .get_or_init(Users::take)
        .as_ref()
        .map_err(String::as_str)
}

impl Users {
    fn take() -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err(
                "windsock does not run as root, so jobs run as the same user as windsock itself"
                    .to_owned(),
            );
        }
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        if !has_capabilities(&read("/proc/self/status")) {
            return Err(
                "root may not change users here (CAP_CHOWN, DAC_OVERRIDE, KILL, SETGID, SETUID)"
                    .to_owned(),
            );
        }
        let maps = [read("/proc/self/uid_map"), read("/proc/self/gid_map")];
        let taken = BEGINNINGS
            .iter()
            .flat_map(|(first, count)| (0..*count).map(move |number| first + number * RANGE));
        let (first, socket) = taken
            .filter(|first| maps.iter().all(|map| is_mapped(map, *first)))
            .find_map(|first| Some((first, take_range(first)?)))
            .ok_or("no range of users for jobs is free on this machine")?;
        let (leave, left) = mpsc::channel();
        std::thread::Builder::new()
            .name("job-users".to_owned())
            .spawn(move || clean_up(&left))
            .map_err(|error| format!("no thread for the users of jobs: {error}"))?;
        Ok(Self {
            first,
            free: Mutex::new((first..first + RANGE).collect()),
            leave,
            _taken: socket,
        })
    }

    /// The lowest of the range.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }
}

/// A user that nothing else runs as.
#[derive(Debug)]
pub(crate) struct JobUser {
    id: u32,
    users: &'static Users,
}

impl JobUser {
    /// The next one; none when jobs run as windsock's own user.
    ///
    /// # Errors
    /// All are in use, which the bounds on processes rule out.
    pub(crate) fn next() -> std::io::Result<Option<Self>> {
        let Ok(users) = all() else {
            return Ok(None);
        };
        let id = users.free.lock().pop_front();
        let id = id.ok_or_else(|| std::io::Error::other("all users for jobs are in use"))?;
        Ok(Some(Self { id, users }))
    }

    /// Its number, which is also that of its group.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }
}

impl Drop for JobUser {
    fn drop(&mut self) {
        // The receiver lives as long as the process.
        let _ = self.users.leave.send(self.id);
    }
}

/// Kills what is left of each user that was given back, and frees it. On a thread of its own: it forks.
fn clean_up(left: &mpsc::Receiver<u32>) {
    while let Ok(user) = left.recv() {
        kill_all_of(user);
        if let Ok(users) = all() {
            users.free.lock().push_back(user);
        }
    }
}

/// Kills everything that runs as the user `id`, in one step that no fork can outrun.
#[expect(
    unsafe_code,
    reason = "the kernel kills everything of the *calling* user at once; `pre_exec` is how a child of ours \
              calls it as that user, and it makes a single system call"
)]
pub(crate) fn kill_all_of(id: u32) {
    let mut command = Command::new("/");
    command.uid(id).gid(id).env_clear();
    // SAFETY: one async-signal-safe system call between fork and exec. Its error ends the child there.
    unsafe {
        command.pre_exec(|| {
            let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
            Err(std::io::ErrorKind::Interrupted.into())
        });
    }
    // Always an error, the one above: nothing is started.
    let _ = command.spawn();
}

/// Whether users of jobs can run `file`: they are neither its owner nor of its group.
pub(crate) fn can_run(file: &Path) -> bool {
    if all().is_err() {
        return true;
    }
    let Ok(real) = file.canonicalize() else {
        return false;
    };
    let opens = |path: &Path, bits: u32| {
        path.metadata()
            .is_ok_and(|metadata| metadata.permissions().mode() & bits == bits)
    };
    opens(&real, 0o005) && real.ancestors().skip(1).all(|folder| opens(folder, 0o001))
}

/// Whether `status` (proc(5)) shows the capabilities that changing users takes.
fn has_capabilities(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
        .is_some_and(|has| has & CAPABILITIES == CAPABILITIES)
}

/// Whether all of the range from `first` exists in this user namespace (user_namespaces(7)).
fn is_mapped(map: &str, first: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u64>());
        let (Some(Ok(inside)), Some(Ok(_)), Some(Ok(count))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        let (first, end) = (u64::from(first), u64::from(first) + u64::from(RANGE));
        inside <= first && end <= inside + count
    })
}

fn take_range(first: u32) -> Option<UnixListener> {
    let name = format!("windsock-job-users-{first}");
    let address = SocketAddr::from_abstract_name(name).ok()?;
    UnixListener::bind_addr(&address).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_must_be_mapped_whole() {
        let all = "         0          0 4294967295\n";
        let container = "0 100000 65536\n";
        let rootless = "0 1000 1\n1 100000 65536\n";
        assert!(is_mapped(all, BEGINNINGS[0].0));
        assert!(!is_mapped(container, BEGINNINGS[0].0));
        assert!(is_mapped(container, BEGINNINGS[1].0));
        assert!(is_mapped(rootless, BEGINNINGS[1].0));
        assert!(!is_mapped("0 1000 1\n", BEGINNINGS[1].0) && !is_mapped("", 0));
    }

    #[test]
    fn capabilities_are_read() {
        assert!(has_capabilities("Name:\tx\nCapEff:\t000001fffeffffff\n"));
        assert!(!has_capabilities("CapEff:\t0000000000000000\n"));
        assert!(!has_capabilities("CapEff:\t0000000000000040\n") && !has_capabilities(""));
    }
}
