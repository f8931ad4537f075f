//! Actor `Tryouts`: owns the connections that belong to no saved trigger: those that somebody tries out, and those that
//! are captured (`captures`).
//!
//! Beside the registry, so that what is tried out can never get in the way of what is relied upon.

use std::{collections::HashMap, sync::Arc};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Supervised, Supervisor};
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{
    captures::{COMPARE, Capturing},
    registry::Threads,
    setup::Setup,
    socket::{Common, Socket},
    trial::{EVENTS, TrialEvent},
};
use crate::{db::capture::CaptureKey, types::Invalid};

/// Connections of one process that may be tried out at once; each holds memory and a file.
const TRIALS: usize = 50;

/// Why a connection is not tried out.
#[derive(Debug, thiserror::Error)]
pub enum NotTried {
    /// The settings cannot be used; the text names the field.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Too many are tried out already.
    #[error("{TRIALS} connections are being tried out")]
    Busy,
}

/// Tries settings out: one connection and its first messages; then its messages, as long as somebody reads the answer.
/// Nothing becomes a job.
#[derive(Debug, Message)]
#[rtype(result = "Result<mpsc::Receiver<TrialEvent>, NotTried>")]
pub struct Trial {
    /// The workspace.
    pub workspace: Arc<str>,
    /// The trigger whose stored values may be used; any other text where there is none.
    pub path: Arc<str>,
    /// Whose rights count for variables and runnables.
    pub permissioned_as: Arc<str>,
    /// As a trigger's are saved.
    pub settings: Map<String, Value>,
}

/// See the file's documentation.
pub struct Tryouts {
    pub(super) common: Arc<Common>,
    pub(super) threads: Threads,
    /// The thread of the next connection.
    next: usize,
    places: Arc<Semaphore>,
    /// What this server captures.
    pub(super) captures: HashMap<CaptureKey, Capturing>,
    /// A comparison of captures is under way.
    pub(super) comparing: bool,
    /// Who waits for the end of one that begins from now on.
    pub(super) captures_waiting: Vec<oneshot::Sender<()>>,
    pub(super) stopping: bool,
}

impl Tryouts {
    /// Starts it where it is called.
    pub fn start(common: Common, threads: Threads) -> Addr<Self> {
        Supervisor::start(move |_| Self {
            common: Arc::new(common),
            threads,
            next: 0,
            places: Arc::new(Semaphore::new(TRIALS)),
            captures: HashMap::new(),
            comparing: false,
            captures_waiting: Vec::new(),
            stopping: false,
        })
    }

    pub(super) fn start_in_thread(
        &mut self,
        make: impl FnOnce(&mut Context<Socket>) -> Socket + Send + 'static,
    ) -> Addr<Socket> {
        self.next = self.next.wrapping_add(1);
        let index = self.next % self.threads.sockets.len().max(1);
        match self.threads.sockets.get(index) {
            Some(arbiter) => Supervisor::start_in_arbiter(arbiter, make),
            None => Supervisor::start(make),
        }
    }
}

impl Actor for Tryouts {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(COMPARE, |tryouts, ctx| tryouts.watch_captures(ctx));
    }
}

impl Supervised for Tryouts {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.comparing = false;
    }
}

impl Handler<Trial> for Tryouts {
    type Result = Result<mpsc::Receiver<TrialEvent>, NotTried>;

    fn handle(&mut self, trial: Trial, _: &mut Self::Context) -> Self::Result {
        let place = (&*trial.workspace, &*trial.path);
        let setup = Setup::of_settings(place, &trial.permissioned_as, &trial.settings)?;
        let places = Arc::clone(&self.places).try_acquire_owned();
        let place = places.map_err(|_| NotTried::Busy)?;
        let (events, told) = mpsc::channel(EVENTS);
        let (common, filter) = (Arc::clone(&self.common), self.threads.filters.assign());
        let setup = Arc::new(setup);
        // It lives as long as its reader does.
        self.start_in_thread(move |_| Socket::on_trial(common, setup, filter, (events, place)));
        Ok(told)
    }
}
