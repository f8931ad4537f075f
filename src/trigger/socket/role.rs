//! [`Role`]: what a connection is made for, and what differs by it.

use actix::{ActorContext, Context};
use tokio::sync::oneshot;

use super::{Socket, connect::Failure};
use crate::{
    types::{Invalid, Mode},
    wire::close_code,
};

/// Hears how a trial went.
pub(super) type Report = oneshot::Sender<Result<(), Invalid>>;

/// What a connection is made for.
#[derive(Debug)]
pub(super) enum Role {
    /// A trigger's own: messages become jobs, and what is lost is made again.
    Listener,
    /// Tried out once: nothing becomes a job, and it ends when the first messages are through.
    Trial(Report),
    /// A trial that has told how it went.
    Over,
}

impl Socket {
    /// An attempt to connect failed.
    pub(super) fn attempt_failed(&mut self, failure: Failure, ctx: &mut Context<Self>) {
        match self.role {
            Role::Listener => self.wait(&failure.text, failure.retry_after, ctx),
            Role::Trial(_) | Role::Over => self.trial_over(Err(failure.with_answer()), ctx),
        }
    }

    /// The first messages are through.
    pub(super) fn opening_done(&mut self, ctx: &mut Context<Self>) {
        match self.role {
            Role::Listener => {
                self.live.listening(self.setup.mode == Mode::Suspended);
                self.watch_health(ctx);
            }
            Role::Trial(_) | Role::Over => self.trial_over(Ok(()), ctx),
        }
    }

    /// Tells how the trial went, and ends.
    pub(super) fn trial_over(&mut self, outcome: Result<(), String>, ctx: &mut Context<Self>) {
        if let Role::Trial(report) = std::mem::replace(&mut self.role, Role::Over) {
            // Whoever asked may have gone.
            let _ = report.send(outcome.map_err(Invalid));
        }
        self.stopping = true;
        self.close_line(Some(close_code::NORMAL), ctx);
        ctx.stop();
    }
}
