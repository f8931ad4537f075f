//! [`Footprint`]: what a process holds on to, as the kernel tells it.

use std::{collections::BTreeSet, fs, path::PathBuf};

/// A look at a process.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    /// Open descriptors of every kind.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Resident memory in KiB.
    pub resident_kib: usize,
}

impl Footprint {
    /// Looks at process `pid`.
    pub fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|line| line.split_whitespace().next());
            word.and_then(|word| word.parse().ok()).unwrap_or(0)
        };
        Self {
            descriptors: descriptors(pid).len(),
            threads: number("Threads:"),
            resident_kib: number("VmRSS:"),
        }
    }
}

/// Sockets of process `pid` whose other end is `port` of 127.0.0.1, in whatever state.
pub fn sockets_to(pid: u32, port: u16) -> usize {
    let own: BTreeSet<String> = descriptors(pid)
        .iter()
        .filter_map(|path| {
            let target = path.to_str()?;
            Some(
                target
                    .strip_prefix("socket:[")?
                    .trim_end_matches(']')
                    .to_owned(),
            )
        })
        .collect();
    let far = format!("0100007F:{port:04X}");
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("it runs");
    let lines = table.lines().skip(1);
    let found = lines.filter(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words[2] == far && own.contains(words[9])
    });
    found.count()
}

fn descriptors(pid: u32) -> Vec<PathBuf> {
    let folder = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    folder
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .collect()
}
