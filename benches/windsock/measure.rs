//! What is read off the machine: CPU time, memory, the disk's sync time; and how figures are written.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

/// Clock ticks a second in `/proc/<pid>/stat`, the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Raises the limit of open files as far as the machine allows: 5,000 connections have two ends here.
pub fn raise_open_files() {
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit of open files can be raised");
}

/// One line that says what the figures were measured on.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown CPU", |text| {
        text.trim_start_matches([' ', '\t', ':'])
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = tempfile::TempDir::new().expect("a temporary folder can be made");
    format!(
        "{model}, {cores} cores; fdatasync {:.2} ms (median of 100)",
        fdatasync(folder.path()).as_secs_f64() * 1e3
    )
}

/// The median time in which the disk below `folder` makes one written page durable.
pub fn fdatasync(folder: &Path) -> Duration {
    let mut file = fs::File::create(folder.join("fdatasync")).expect("a file can be made");
    let page = [7_u8; 4096];
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&page).expect("the file can be written");
            file.sync_data().expect("the file can be synced");
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

struct Process {
    parent: u32,
    own: u64,
    reaped: u64,
}

fn process(id: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may hold blanks and brackets; what follows its last bracket does not.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        parent: u32::try_from(number(1)?).ok()?,
        own: number(11)? + number(12)?,
        reaped: number(13)? + number(14)?,
    })
}

fn processes() -> HashMap<u32, Process> {
    let entries = fs::read_dir("/proc").expect("/proc can be read").flatten();
    entries
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            Some((id, process(id)?))
        })
        .collect()
}

/// The process and all that descend from it.
fn family(id: u32) -> Vec<u32> {
    let all = processes();
    let mut found = vec![id];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            all.iter()
                .filter(|(_, p)| p.parent == parent)
                .map(|(id, _)| *id),
        );
        next += 1;
    }
    found
}

/// CPU seconds (user and system) of one process alone, to the nanosecond.
pub fn cpu(id: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{id}/task"))
        .expect("the process runs")
        .flatten();
    let nanoseconds: f64 = tasks
        .filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<f64>().ok()
        })
        .sum();
    nanoseconds / 1e9
}

/// CPU seconds of a process and all that descend from it, also of those that have ended.
pub fn cpu_of_family(id: u32) -> f64 {
    let ticks: u64 = family(id)
        .into_iter()
        .filter_map(process)
        .map(|process| process.own + process.reaped)
        .sum();
    ticks as f64 / TICKS_PER_SECOND
}

/// Resident memory of one process in KiB.
pub fn resident(id: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    value.unwrap_or_default()
}

/// Resident memory in KiB of what descends from a process, without itself.
pub fn resident_of_children(id: u32) -> f64 {
    family(id).into_iter().skip(1).map(resident).sum()
}

/// The process that holds `port` of the local machine, such as PostgreSQL's first one.
pub fn listener(port: u16) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"]
        .map(|path| fs::read_to_string(path).unwrap_or_default());
    let hex = format!(":{port:04X}");
    let inode = tables
        .iter()
        .flat_map(|table| table.lines())
        .find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (fields.get(1)?.ends_with(&hex) && *fields.get(3)? == "0A")
                .then(|| fields[9].to_owned())
        })?;
    let wanted = format!("socket:[{inode}]");
    let mut owners: Vec<u32> = processes()
        .into_keys()
        .filter(|id| {
            let open = fs::read_dir(format!("/proc/{id}/fd"))
                .into_iter()
                .flatten()
                .flatten();
            open.filter_map(|file| fs::read_link(file.path()).ok())
                .any(|target| target.as_os_str() == wanted.as_str())
        })
        .collect();
    owners.sort_unstable();
    owners.first().copied()
}

/// The value below which `share` of the sorted values lie.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last as f64 * share).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}

/// Prints a table as Markdown, under a headline.
pub fn table(headline: &str, columns: &[&str], rows: &[Vec<String>]) {
    println!("\n### {headline}\n");
    println!("| {} |", columns.join(" | "));
    println!("|{}", "---|".repeat(columns.len()));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}

/// A number as people read it: 1,234,567.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
