//! Spare workers: while every worker runs a job that waits for a job it has started, one more runs that job.
//!
//! Otherwise two scripts that run a script and wait for it would wait for each other on two workers, until their time is
//! over. A spare runs jobs that others wait for, and ends when there are none. There are as many as jobs may call each other deep, so that
//! the longest chain comes to its end.

use std::{sync::Arc, time::Instant};

use actix::{Addr, Handler, Message};

use super::{Runner, Shared, fail_lost, for_workers, give_back};
use crate::queue::Job;

/// Has a spare worker run a job.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Lend(Job);

/// Looks for a job that all running ones wait for, if they may be waiting, and has it run.
pub(super) async fn unblock(shared: &Arc<Shared>, runner: &Addr<Runner>) {
    let blocked = shared.board.perhaps_blocked(Instant::now());
    if blocked.is_empty() {
        return;
    }
    let jobs = match shared.source.claim_below(blocked).await {
        Ok(jobs) => for_workers(shared, jobs).await,
        Err(error) => {
            log::debug!(error:% = error; "no job can be claimed for those that wait for it");
            return;
        }
    };
    for job in jobs {
        let Some(job) = shared.board.lend_to_idle(job) else {
            continue;
        };
        let id = job.id;
        log::info!(job:% = id; "every worker waits for jobs: one more runs this one");
        if runner.try_send(Lend(job)).is_err() {
            give_back(shared, vec![id]).await;
        }
    }
}

impl Handler<Lend> for Runner {
    type Result = ();

    fn handle(&mut self, Lend(job): Lend, _: &mut Self::Context) {
        let mut spares = self.shared.board.spares();
        let free = spares.find(|number| !self.spares.contains_key(number));
        match free {
            Some(number) if !self.shared.board.is_closed() => {
                self.shared.board.lend(number, job);
                let worker = self.start_worker(number);
                self.spares.insert(number, worker);
            }
            _ => {
                let shared = Arc::clone(&self.shared);
                actix_rt::spawn(async move { give_back(&shared, vec![job.id]).await });
            }
        }
    }
}

impl Runner {
    /// Forgets spare workers that have ended; the job of one that was lost has failed.
    pub(super) fn watch_spares(&mut self) {
        let ended: Vec<usize> = self
            .spares
            .iter()
            .filter(|(_, (worker, _))| !worker.connected())
            .map(|(number, _)| *number)
            .collect();
        for number in ended {
            if let Some((_, arbiter)) = self.spares.remove(&number) {
                arbiter.stop();
            }
            if let Some(job) = self.shared.board.lost(number, Instant::now()) {
                fail_lost(&self.finish, job);
            }
        }
    }
}
