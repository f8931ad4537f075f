//! [`Parking`]: jobs whose script's packages are still being built. They hold no worker meanwhile: when the build
//! has ended, well or not, they go back to the queue, and whoever claims them next runs them.
//!
//! Owned by the `Runner`; workers put jobs in. Bounded: past that a worker waits for the build itself.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{
    packages::{Packages, Wanted},
    source::JobSource,
};
use crate::types::JobId;

/// Jobs that may be parked: an id each.
const PLACES: usize = 1024;

/// See the file's documentation.
pub(crate) struct Parking {
    jobs: Mutex<HashSet<JobId>>,
    sender: mpsc::Sender<(JobId, Arc<Wanted>)>,
}

/// What [`give_back_when_built`] takes.
pub(crate) type Parked = mpsc::Receiver<(JobId, Arc<Wanted>)>;

impl Parking {
    /// An empty one, and its other end.
    pub(crate) fn new() -> (Self, Parked) {
        let (sender, parked) = mpsc::channel(PLACES);
        let jobs = Mutex::default();
        (Self { jobs, sender }, parked)
    }

    /// Takes a job in, if there is room.
    pub(crate) fn park(&self, job: JobId, wanted: Arc<Wanted>) -> bool {
        let mut jobs = self.jobs.lock();
        if jobs.len() >= PLACES || self.sender.try_send((job, wanted)).is_err() {
            return false;
        }
        jobs.insert(job)
    }

    /// The jobs that are parked, none of which is any more.
    pub(crate) fn close(&self) -> Vec<JobId> {
        self.jobs.lock().drain().collect()
    }

    /// Takes out those of `jobs` that still are parked.
    fn take(&self, jobs: Vec<JobId>) -> Vec<JobId> {
        let mut parked = self.jobs.lock();
        jobs.into_iter().filter(|job| parked.remove(job)).collect()
    }
}

/// Gives each parked job back when what it waits for has been built. Ends with its task.
pub(crate) async fn give_back_when_built(
    parking: Arc<Parking>,
    mut parked: Parked,
    packages: Packages,
    source: Arc<dyn JobSource>,
) {
    type Waiting = HashMap<String, Vec<JobId>>;
    let waiting: Arc<Mutex<Waiting>> = Arc::default();
    while let Some((job, wanted)) = parked.recv().await {
        let name = format!("{} {}", wanted.kind, wanted.what.join(" "));
        let mut jobs = waiting.lock();
        if let Some(others) = jobs.get_mut(&name) {
            others.push(job);
            continue;
        }
        jobs.insert(name.clone(), vec![job]);
        drop(jobs);
        let (parking, waiting) = (Arc::clone(&parking), Arc::clone(&waiting));
        let (packages, source) = (packages.clone(), Arc::clone(&source));
        actix_rt::spawn(async move {
            // Why it failed is said to the jobs, which are run and meet the same error.
            let _ = packages.ensure(&wanted).await;
            let jobs = waiting.lock().remove(&name).unwrap_or_default();
            let jobs = parking.take(jobs);
            if let Err(error) = source.give_back(jobs).await {
                log::warn!(error:% = error; "jobs could not be given back, their leases will lapse");
            }
        });
    }
}
