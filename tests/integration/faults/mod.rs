//! What breaks around windsock: the database, the disk, the network, its own processes. Nothing is lost, nothing is done
//! twice.

mod away;
mod full;
mod random;
mod rolling;
mod unanswered;
mod world;

use std::time::Duration;

/// Processes have to start, leases to lapse and tens of thousands of jobs to be run, beside other tests.
const PATIENCE: Duration = Duration::from_secs(300);
