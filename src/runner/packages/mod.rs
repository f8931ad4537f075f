//! [`Packages`]: the packages scripts import, one folder for each set of them, shared by all scripts that want it.
//!
//! ```text
//! <cache>/<kind>/<hash of what is wanted>/   whole: it got its name when it was ready
//! <cache>/<kind>/.<hash>-XXXX/               being built, or left by a process that died: removed after a day
//! ```
//! `Packages::ensure` builds a set once: a lock in this process, a file's lock between processes. Builds run
//! as programs of their own (`tool`), beside the workers. What a script wants is read in `python` and `npm`, what is pinned
//! for it in `lock`.

pub(crate) mod lock;
pub(crate) mod npm;
pub(crate) mod python;
mod tool;

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use nix::fcntl::{Flock, FlockArg};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use self::tool::Tool;

/// How long a failed build is not tried again: jobs of a busy trigger must not ask a registry for each message.
const FAILED_FOR: Duration = Duration::from_secs(30);
/// Builds at once: each takes a core and the network.
const BUILDS: usize = 2;
/// Sets of one kind that are kept; those not used for a day go first when there are more.
const KEPT_SETS: usize = 200;
/// How long a set is kept at least after its last use by a new process, and the folder of a build that died.
const UNUSED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How often another process's build is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A set of packages, and how it is built. Equal sets have equal folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Folder of its kind: `python`, `bun`, `deno`.
    pub(crate) kind: &'static str,
    /// What is asked for, in one order: names with versions, and what else makes a difference.
    pub(crate) what: Vec<String>,
    /// The program that installs, or its language's.
    pub(crate) program: PathBuf,
}

impl Wanted {
    /// The name of its folder.
    fn name(&self) -> String {
        let mut hash = Sha256::new();
        for part in &self.what {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        // The programs of one version make the same; their path stands for it.
        hash.update(self.program.as_os_str().as_encoded_bytes());
        hex::encode(&hash.finalize()[..16])
    }
}

/// Where the installation of a script's packages stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installed {
    /// They are there, or none are needed.
    Ready,
    /// They are being installed.
    Underway,
    /// They cannot be installed: why.
    Failed(String),
}

/// See the file's documentation. Cheap to clone; every clone is the same store.
#[derive(Debug, Clone)]
pub struct Packages(Arc<Store>);

#[derive(Debug)]
struct Store {
    folder: PathBuf,
    sets: Mutex<HashMap<PathBuf, Arc<Set>>>,
    builds: Semaphore,
}

/// A set as this process knows it.
#[derive(Debug, Default)]
struct Set {
    building: tokio::sync::Mutex<()>,
    /// Its use was noted on the disk.
    noted: OnceLock<()>,
    failed: Mutex<Option<(Instant, String)>>,
}

impl Set {
    fn lately_failed(&self) -> Option<String> {
        let failed = self.failed.lock();
        let (_, error) = failed
            .as_ref()
            .filter(|(when, _)| when.elapsed() < FAILED_FOR)?;
        Some(error.clone())
    }
}

/// The cache of the user: `/var/cache/windsock` for root, whose home others cannot enter.
static DEFAULT_FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/cache/windsock");
    }
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("windsock")
});

impl Packages {
    /// A store in `folder`, or in the cache folder of the user. Nothing is made before it is needed.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self(Arc::new(Store {
            folder: folder.unwrap_or_else(|| DEFAULT_FOLDER.clone()),
            sets: Mutex::default(),
            builds: Semaphore::new(BUILDS),
        }))
    }

    /// Whether it takes time until [`Packages::ensure`] answers: a look at the disk, no more.
    pub(crate) fn takes_time(&self, wanted: &Wanted) -> bool {
        let folder = self.folder(wanted);
        if folder.is_dir() {
            return false;
        }
        let set = self.0.sets.lock().get(&folder).cloned();
        set.is_none_or(|set| set.lately_failed().is_none())
    }

    /// Where `wanted` stands; what is neither there nor lately failed is begun, beside the caller.
    pub(crate) fn begin(&self, wanted: Wanted) -> Installed {
        let folder = self.folder(&wanted);
        if folder.is_dir() {
            return Installed::Ready;
        }
        let set = Arc::clone(self.0.sets.lock().entry(folder).or_default());
        if let Some(error) = set.lately_failed() {
            return Installed::Failed(error);
        }
        if set.building.try_lock().is_ok() {
            let packages = self.clone();
            actix_rt::spawn(async move {
                // Whoever asks next is told.
                let _ = packages.ensure(&wanted).await;
            });
        }
        Installed::Underway
    }

    fn folder(&self, wanted: &Wanted) -> PathBuf {
        self.0.folder.join(wanted.kind).join(wanted.name())
    }

    /// The folder of `wanted`, built when it is not there. Takes as long as a download may: not for a worker.
    ///
    /// # Errors
    /// It cannot be built; the essence of what the installing program said.
    pub(crate) async fn ensure(&self, wanted: &Wanted) -> Result<PathBuf, String> {
        let folder = self.folder(wanted);
        let set = Arc::clone(self.0.sets.lock().entry(folder.clone()).or_default());
        let _one_at_a_time = set.building.lock().await;
        if set.noted.get().is_some() && folder.is_dir() {
            return Ok(folder);
        }
        if let Some(error) = set.lately_failed() {
            return Err(error);
        }
        let built = self.build(wanted, &folder).await;
        *set.failed.lock() = built
            .as_ref()
            .err()
            .map(|error| (Instant::now(), error.clone()));
        built?;
        // Another task may have been as quick.
        let _ = set.noted.set(());
        Ok(folder)
    }

    async fn build(&self, wanted: &Wanted, folder: &Path) -> Result<(), String> {
        let _permit = self.0.builds.acquire().await;
        let cannot = |error: io::Error| {
            format!(
                "the packages cannot be stored in {}: {error}",
                folder.display()
            )
        };
        let parent = folder.parent().unwrap_or(folder).to_owned();
        let name = wanted.name();
        let kind = self.0.folder.join(wanted.kind);
        let prepare = {
            let (folder, parent) = (folder.to_owned(), parent.clone());
            move || -> io::Result<()> {
                fs::create_dir_all(&parent)?;
                open_to_all(&parent)?;
                if !folder.is_dir() {
                    sweep(&kind);
                }
                Ok(())
            }
        };
        blocking(prepare).await.map_err(cannot)?;
        // Another process may be at it: its lock ends with it, however it ends.
        let lock_file = parent.join(format!(".{name}.lock"));
        let _lock = loop {
            let open = {
                let lock_file = lock_file.clone();
                move || File::create(lock_file)
            };
            let file = blocking(open).await.map_err(cannot)?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => break lock,
                Err((_, nix::errno::Errno::EWOULDBLOCK)) => tokio::time::sleep(LOOK_AGAIN).await,
                Err((_, error)) => return Err(cannot(error.into())),
            }
        };
        if folder.is_dir() {
            let used = folder.to_owned();
            return blocking(move || touch(&used)).await.map_err(cannot);
        }
        let place = {
            let parent = parent.clone();
            move || {
                tempfile::Builder::new()
                    .prefix(&format!(".{name}-"))
                    .tempdir_in(parent)
            }
        };
        let place: TempDir = blocking(place).await.map_err(cannot)?;
        let tool = Tool::new(&self.0.folder, place.path());
        match wanted.kind {
            "python" => python::install(wanted, &tool).await?,
            "bun" => npm::install_for_bun(wanted, &tool).await?,
            _ => npm::install_for_deno(wanted, &tool).await?,
        }
        let folder = folder.to_owned();
        let done = move || -> io::Result<()> {
            readable_by_all(place.path())?;
            fs::rename(place.keep(), folder)
        };
        blocking(done).await.map_err(cannot)
    }
}

/// Does something with files on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Jobs may run as other users: these must get through to their packages. Nothing is taken away: the folder may be
/// one that others use as well.
fn open_to_all(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for folder in [Some(folder), folder.parent()].into_iter().flatten() {
        let mode = folder.metadata()?.permissions().mode();
        if mode & 0o555 != 0o555 {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode | 0o555))?;
        }
    }
    Ok(())
}

/// As `chmod -R a+rX`.
fn readable_by_all(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = path.symlink_metadata()?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = metadata.permissions().mode();
    let execute = metadata.is_dir() || mode & 0o111 != 0;
    let wanted = mode | if execute { 0o555 } else { 0o444 };
    fs::set_permissions(path, fs::Permissions::from_mode(wanted))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            readable_by_all(&entry?.path())?;
        }
    }
    Ok(())
}

/// Notes that a set is in use.
fn touch(folder: &Path) -> io::Result<()> {
    File::open(folder)?.set_modified(SystemTime::now())
}

/// Removes what died while it was built, and the sets used longest ago when there are too many. What cannot be
/// removed stays.
fn sweep(kind: &Path) {
    let now = SystemTime::now();
    let Ok(entries) = fs::read_dir(kind) else {
        return;
    };
    let mut sets: Vec<(SystemTime, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?, entry.path())))
        .filter(|(metadata, _)| metadata.is_dir())
        .filter_map(|(metadata, path)| Some((metadata.modified().ok()?, path)))
        .filter(|(used, _)| now.duration_since(*used).is_ok_and(|age| age > UNUSED_FOR))
        .collect();
    sets.sort();
    let is_set = |path: &Path| {
        path.file_name()
            .is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))
    };
    let whole = sets.iter().filter(|(_, path)| is_set(path)).count();
    let mut too_many = whole.saturating_sub(KEPT_SETS);
    for (_, path) in sets {
        if is_set(&path) {
            if too_many == 0 {
                continue;
            }
            too_many -= 1;
        }
        if let Err(error) = fs::remove_dir_all(&path) {
            log::warn!(path:% = path.display(), error:% = error; "old packages cannot be removed");
        }
    }
}
