//! The folders of jobs' processes, all below one of this process, so that what a killed windsock has left is found: the
//! next one removes it. A lock that ends with its process tells whose process is gone.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use parking_lot::Mutex;
use tempfile::{Builder, TempDir};

/// What the folder of a process is called, before what makes it unique.
const PREFIX: &str = "windsock-jobs-";
/// The file in it that is locked as long as the process lives.
const LOCK: &str = "lock";

static OWN: Mutex<Option<Own>> = Mutex::new(None);

/// The folder of this process.
struct Own {
    root: TempDir,
    _lock: File,
}

impl Own {
    fn create(within: &Path) -> io::Result<Self> {
        let root = Builder::new()
            .prefix(PREFIX)
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir_in(within)?;
        // Under its name it is locked from the beginning, so that nobody takes it for left.
        let (making, lock) = (root.path().join("making"), root.path().join(LOCK));
        let file = File::create(&making)?;
        file.lock()?;
        fs::rename(making, lock)?;
        Ok(Self { root, _lock: file })
    }
}

/// A new folder for a process of a job. With the first one, what others have left begins to be removed.
pub(super) fn new_folder() -> io::Result<TempDir> {
    folder_within(&mut OWN.lock(), &std::env::temp_dir())
}

fn folder_within(own: &mut Option<Own>, within: &Path) -> io::Result<TempDir> {
    if let Some(own) = own {
        match new_in(own) {
            // Somebody tidied up: it is made again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            made => return made,
        }
    }
    let made = Own::create(within)?;
    let folder = new_in(&made)?;
    *own = Some(made);
    let within = within.to_owned();
    // Without a thread it is left to the next process.
    let _ = std::thread::Builder::new()
        .name("tidy up".to_owned())
        .spawn(move || remove_left(&within));
    Ok(folder)
}

fn new_in(own: &Own) -> io::Result<TempDir> {
    Builder::new().prefix("job-").tempdir_in(own.root.path())
}

/// Removes the folder of this process with all that is in it: its jobs have ended.
pub(crate) fn leave() {
    OWN.lock().take();
}

/// Removes the folders of processes that have died.
fn remove_left(within: &Path) {
    let Ok(entries) = fs::read_dir(within) else {
        return;
    };
    for entry in entries.flatten() {
        let is_named_so = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_named_so && let Err(error) = remove_if_left(&entry.path()) {
            log::debug!("{} is not removed: {error}", entry.path().display());
        }
    }
}

fn remove_if_left(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    // Where everybody may write, a folder of this name may be anybody's.
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let lock = match File::open(folder.join(LOCK)) {
        // It is just being made, or removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    match lock.try_lock() {
        Ok(()) => fs::remove_dir_all(folder),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_removed_and_nothing_else() {
        let within = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let folder = within.path().join(name);
            fs::create_dir_all(folder.join("job-1/job")).unwrap();
            fs::write(folder.join("job-1/main.sh"), "echo secret").unwrap();
            folder
        };
        let left = make("windsock-jobs-left");
        fs::write(left.join(LOCK), "").unwrap();
        let starting = make("windsock-jobs-starting");
        let foreign = make("somebody-elses");
        fs::write(foreign.join(LOCK), "").unwrap();
        let linked = within.path().join("windsock-jobs-linked");
        std::os::unix::fs::symlink(&foreign, &linked).unwrap();
        let live = Own::create(within.path()).unwrap();
        let job = new_in(&live).unwrap();

        remove_left(within.path());

        assert!(!left.exists());
        assert!(starting.exists() && foreign.exists() && job.path().exists());
        assert!(linked.is_symlink());
        let root = live.root.path().to_owned();
        drop(live);
        assert!(!root.exists());
    }

    #[test]
    fn a_folder_that_was_tidied_away_is_made_again() {
        let within = tempfile::tempdir().unwrap();
        let mut own = None;
        let first = folder_within(&mut own, within.path()).unwrap();
        let root = first.path().parent().unwrap().to_owned();
        let second = folder_within(&mut own, within.path()).unwrap();
        assert_eq!(second.path().parent(), Some(&*root));
        fs::remove_dir_all(&root).unwrap();
        let third = folder_within(&mut own, within.path()).unwrap();
        let again = third.path().parent().unwrap();
        assert!(third.path().exists() && again != root && again.join(LOCK).exists());
    }
}
