//! What breaks around windsock: the database, the disk, the network, its own processes. Nothing is lost, nothing is done
//! twice.

mod away;
mod full;
mod random;
mod rolling;
mod unanswered;
mod world;

use std::{collections::BTreeSet, ops::Range, time::Duration};

use serde_json::Value;

use crate::harness::{TestApp, wait_at_most};

/// Processes have to start, leases to lapse and tens of thousands of jobs to be run, beside other tests.
const PATIENCE: Duration = Duration::from_secs(300);

/// Waits until every job has ended; each of `numbers` has had one message and one job, which went well.
async fn one_job_each(app: &TestApp, numbers: Range<u64>) {
    wait_at_most(PATIENCE, "every job ends", async || {
        let waiting = app.get("jobs/queue/count").await.expect(200).json();
        let none = waiting["database_length"] == 0;
        none.then_some(()).ok_or(waiting.to_string())
    })
    .await;
    let mut seen = BTreeSet::new();
    for job in app.completed("include_args=true").await {
        assert_eq!(job["success"], true, "{job}");
        let message: Value = serde_json::from_str(job["args"]["msg"].as_str().unwrap()).unwrap();
        let fresh = seen.insert(message["n"].as_u64().unwrap());
        assert!(fresh, "two jobs for {message}");
    }
    assert_eq!(seen, numbers.collect());
}
