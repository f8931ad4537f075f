//! [`RunLimits`]: every bound of a run, with its reason. Settings that a user changes are in `crate::config`.
//!
//! Plain data: no I/O but for a look at which folders there are, no actors. Tests shorten some.

use std::{sync::Arc, time::Duration};

use super::contain::files::Readable;

/// What one run, one process and one worker may take.
#[derive(Debug, Clone)]
pub struct RunLimits {
    /// Longest run of a job when neither it nor its script names one.
    pub job_timeout: Duration,
    /// Log bytes that are kept of one job: a screenful a thousand times over; the rest is read and dropped.
    pub log_bytes: usize,
    /// Largest result: it is stored, listed and sent to peers whole.
    pub result_bytes: usize,
    /// Memory of a job with all it started, and address space of each `python3` or `bash` process: 2 GiB, so that
    /// one job cannot push the others into swap.
    pub memory_bytes: u64,
    /// Processes and threads of a job: far more than one needs, far fewer than a machine has.
    pub processes: u64,
    /// Files that every job may read.
    pub(crate) readable: Arc<Readable>,
    /// Largest file a job may write: below it a scratch folder stays far from filling a disk.
    pub file_bytes: u64,
    /// Open descriptors of a process: the usual limit of a login shell.
    pub open_files: u64,
    /// Memory of a `nativets` context: QuickJS starts with 0.1 MB, so this is a thousandfold.
    pub engine_memory_bytes: usize,
    /// Calls after which a process is replaced: what a script leaks stays small.
    pub calls_per_process: u32,
    /// How long a process waits for its next job before it is ended: a quiet trigger should not hold memory.
    pub idle: Duration,
    /// Live processes of one worker; the one that was idle longest goes first. 10–15 MB each for `python3`.
    pub live_processes: usize,
    /// How often the log of a running job is handed on, so that people can follow it.
    pub log_interval: Duration,
    /// How long a new process may take before its first answer is counted as a failure; part of the job's time.
    pub check_timeout: Duration,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            job_timeout: Duration::from_secs(300),
            log_bytes: 1024 * 1024,
            result_bytes: 2 * 1024 * 1024,
            memory_bytes: 2 * 1024 * 1024 * 1024,
            processes: 256,
            readable: Arc::new(Readable::without(&[])),
            file_bytes: 512 * 1024 * 1024,
            open_files: 1024,
            engine_memory_bytes: 128 * 1024 * 1024,
            calls_per_process: 100_000,
            idle: Duration::from_secs(120),
            live_processes: 16,
            log_interval: Duration::from_millis(500),
            check_timeout: Duration::from_secs(10),
        }
    }
}
