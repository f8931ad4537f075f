//! [`Limits`]: every bound and wait that no flag sets, and its reason.

use std::time::Duration;

/// Bounds and waits that have one value in production; tests shorten some.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest body of a request: 50 MiB, Windmill's default (windmill-facts §6).
    pub body_bytes: usize,
    /// How long a body may take, besides a second for each 16 KiB of it: who sends byte by byte holds a connection,
    /// and connections are few.
    pub body_wait: Duration,
    /// Messages of one trigger that may wait for their commit; past it the socket is not read.
    pub uncommitted_messages: usize,
    /// Bytes of those messages. At least one message of the largest size fits, so nothing can block for ever.
    pub uncommitted_bytes: usize,
    /// Connections to the database for requests; the queue has its own. More would only wait for the disk.
    pub database_connections: u32,
    /// How long a worker's claim on a job holds without renewal: a dead worker's jobs run again within 10 s.
    pub job_lease: Duration,
    /// How often claims are renewed and lapsed ones looked for: three tries within a lease.
    pub job_lease_renewal: Duration,
    /// A job that has lost this many workers fails and says so (contract section 4).
    pub lost_workers: i32,
    /// Longest run of a job whose script names no timeout.
    pub job_timeout: Duration,
    /// How long running jobs may go on after a signal to stop (contract section 2).
    pub drain: Duration,
    /// How long a server's leases hold without renewal (PostgreSQL): its triggers listen elsewhere within 5 s.
    pub server_lease: Duration,
    /// How often they are renewed, all with one write: six tries within a lease.
    pub server_renewal: Duration,
    /// How often the registry compares the database with what runs; changes made here are followed at once.
    pub reconcile: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 50 * 1024 * 1024,
            body_wait: Duration::from_secs(30),
            uncommitted_messages: 10_000,
            uncommitted_bytes: 32 * 1024 * 1024,
            database_connections: 8,
            job_lease: Duration::from_secs(8),
            job_lease_renewal: Duration::from_secs(2),
            lost_workers: 3,
            job_timeout: Duration::from_secs(300),
            drain: Duration::from_secs(10),
            server_lease: Duration::from_secs(3),
            server_renewal: Duration::from_millis(500),
            reconcile: Duration::from_millis(500),
        }
    }
}
