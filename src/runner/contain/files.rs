//! [`Readable`]: the files and folders languages need; [`ruleset`]: the Landlock rules of one child, which allow
//! these for reading, its scratch folder for writing, and nothing else. Also no signals to, and no looking into,
//! processes outside the child's own.
//!
//! A list of what is allowed: the database, the key file and other people's files are on none. Where one of
//! them lies inside an allowed folder, everything beside it is allowed instead.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope, path_beneath_rules,
};

/// The newest rules this file knows of; an older kernel keeps those it has.
const NEWEST: ABI = ABI::V6;

/// Programs, libraries, and what libraries look up: names, certificates, time zones. Nothing else of `/etc`.
const READ: [&str; 52] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/run/current-system",
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/environment.d",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/networks",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki",
    "/etc/profile",
    "/etc/protocols",
    "/etc/python3",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/terminfo",
    "/etc/timezone",
    "/run/resolvconf",
    "/run/systemd/resolve",
    // Not what it says of other processes' memory and environment: that takes the right to trace them.
    "/proc",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];
/// Devices that may be written, too.
const DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];
/// Folders of a program that was installed by itself, beside its `bin`.
const BESIDE_BIN: [&str; 4] = ["bin", "lib", "lib64", "libexec"];

/// Files and folders that every job may read.
#[derive(Debug, Clone)]
pub(crate) struct Readable(Vec<PathBuf>);

impl Readable {
    /// What languages need, without the files and folders in `protected`.
    pub(crate) fn without(protected: &[PathBuf]) -> Self {
        let protected: Vec<PathBuf> = protected
            .iter()
            .filter_map(|path| path.canonicalize().ok())
            .collect();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
        let all = READ.iter().map(PathBuf::from).chain(programs);
        let mut found: Vec<PathBuf> = all.filter_map(|path| path.canonicalize().ok()).collect();
        found.sort();
        // A folder that lies in one before it adds nothing.
        found.dedup_by(|later, earlier| later.starts_with(earlier));
        let mut readable = Vec::with_capacity(found.len());
        for path in found {
            spare(path, &protected, &mut readable);
        }
        Self(readable)
    }

    /// Exactly these besides the usual ones.
    #[cfg(test)]
    pub(crate) fn and(mut self, more: &Path) -> Self {
        self.0.push(more.to_owned());
        self
    }

    /// Whether `path` is among them.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.0.iter().any(|allowed| path.starts_with(allowed))
    }

    /// What else a program needs that lies elsewhere: its folder, and the libraries beside it.
    pub(crate) fn beside(&self, program: &Path) -> Vec<PathBuf> {
        let Ok(real) = program.canonicalize() else {
            return Vec::new();
        };
        let Some(folder) = real.parent().filter(|_| !self.has(&real)) else {
            return Vec::new();
        };
        let prefix = folder.parent().filter(|_| folder.ends_with("bin"));
        let mut more: Vec<PathBuf> = prefix
            .into_iter()
            .flat_map(|prefix| BESIDE_BIN.map(|name| prefix.join(name)))
            .collect();
        more.push(folder.to_owned());
        more
    }
}

/// Adds `path`, or, when something protected lies in it, what lies beside that.
fn spare(path: PathBuf, protected: &[PathBuf], readable: &mut Vec<PathBuf>) {
    if protected.contains(&path) {
        return;
    }
    if !protected.iter().any(|inner| inner.starts_with(&path)) {
        readable.push(path);
        return;
    }
    for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
        // A link may lead to what is protected.
        if entry.file_type().is_ok_and(|kind| !kind.is_symlink()) {
            spare(entry.path(), protected, readable);
        }
    }
}

/// The rules of one child, for `landlock_restrict_self`; none where the kernel has no Landlock.
///
/// # Errors
/// The kernel refuses them.
pub(crate) fn ruleset(
    readable: &Readable,
    more: &[PathBuf],
    writable: &[PathBuf],
) -> io::Result<Option<OwnedFd>> {
    let read = AccessFs::from_read(NEWEST);
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let made = || -> Result<Option<OwnedFd>, RulesetError> {
        let ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?
            .add_rules(path_beneath_rules(&readable.0, read))?
            .add_rules(path_beneath_rules(more, read))?
            .add_rules(path_beneath_rules(DEVICES, device))?
            .add_rules(path_beneath_rules(writable, AccessFs::from_all(NEWEST)))?;
        Ok(ruleset.into())
    };
    made().map_err(io::Error::other)
}

/// What this kernel does not offer.
pub(crate) fn missing() -> Vec<String> {
    let files = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create);
    if let Err(error) = files {
        return vec![format!(
            "this kernel has no Landlock (Linux 5.13 and later, with landlock among its LSMs): {error}"
        )];
    }
    let scope = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .scope(Scope::Signal)
        .and_then(Ruleset::create);
    match scope {
        Ok(_) => Vec::new(),
        Err(_) => vec![
            "this kernel's Landlock cannot keep signals in (Linux 6.12 and later can)".to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_protected_is_spared_and_the_rest_beside_it_is_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for folder in ["a/db", "a/lib/deep", "b"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("a/db/windsock.db"), "").unwrap();
        std::fs::write(root.join("a/lib/key"), "").unwrap();
        std::os::unix::fs::symlink(root.join("a/db"), root.join("a/link")).unwrap();
        let mut readable = Vec::new();
        let protected = [root.join("a/db"), root.join("a/lib/key")];
        for folder in ["a", "b"] {
            spare(root.join(folder), &protected, &mut readable);
        }
        readable.sort();
        assert_eq!(readable, [root.join("a/lib/deep"), root.join("b")]);
    }

    #[test]
    fn a_program_elsewhere_brings_its_libraries_and_not_its_home() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        std::fs::create_dir(home.join("bin")).unwrap();
        let program = home.join("bin/deno");
        std::fs::write(&program, "").unwrap();
        let readable = Readable(vec!["/usr".into()]);
        let more = readable.beside(&program);
        assert!(more.contains(&home.join("bin")) && more.contains(&home.join("lib")));
        assert!(!more.contains(&home), "{more:?}");
        assert!(readable.beside(Path::new("/usr/bin/env")).is_empty());
    }
}
