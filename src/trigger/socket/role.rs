//! [`Role`]: what a connection is made for, and what differs by it.

use std::time::Duration;

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use tokio::sync::OwnedSemaphorePermit;

use super::{End, Phase, Socket, connect::Failure, round::Cause};
use crate::{
    db::capture::{CaptureKey, NewCapture},
    trigger::{
        spec::OnClose,
        status::Verdict,
        trial::{Reporter, TrialEvent, why},
    },
    types::{Mode, Timestamp},
    wire::close_code,
};

/// How much of a captured message is kept.
const CAPTURED_BYTES: usize = 256 * 1024;
/// How often a trial tells how fast messages come.
const RATE: Duration = Duration::from_secs(1);

/// What a connection is made for.
#[derive(Debug)]
pub(super) enum Role {
    /// A trigger's own: messages become jobs, and what is lost is made again.
    Listener,
    /// Tried out once: every step and message is told, nothing becomes a job, and it ends when nobody listens.
    Trial(Tried),
    /// Keeps messages for the editor of a runnable; what is lost is made again, and nothing becomes a job.
    Capture(CaptureKey),
}

/// What goes with a trial.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) reporter: Reporter,
    /// Its place among the trials of the process, given back with it.
    pub(super) _place: OwnedSemaphorePermit,
}

impl Role {
    /// Whether messages become jobs and stored values stay.
    pub(super) fn is_for_good(&self) -> bool {
        matches!(self, Self::Listener)
    }

    /// Who follows each step, if anybody does.
    pub(super) fn reporter(&self) -> Option<&Reporter> {
        match self {
            Self::Trial(trial) => Some(&trial.reporter),
            Self::Listener | Self::Capture(_) => None,
        }
    }
}

impl Socket {
    /// Ends a trial when nobody listens any more.
    pub(super) fn end_with_reader(&self, ctx: &mut Context<Self>) {
        if let Some(reporter) = self.role.reporter() {
            let gone = reporter.gone().into_actor(self);
            ctx.spawn(gone.map(|(), socket, ctx| socket.finish(ctx)));
        }
    }

    /// Writes an event into the trigger's log.
    pub(super) fn note(&self, event: &'static str, text: &str) {
        if self.role.is_for_good() {
            let place = (&self.setup.workspace, &self.setup.path);
            self.common.notes.event(place, event, text);
        }
    }

    /// An attempt to connect failed.
    pub(super) fn attempt_failed(&mut self, failure: Failure, ctx: &mut Context<Self>) {
        match &self.role {
            Role::Listener | Role::Capture(_) => {
                self.note("failed", &failure.text);
                self.wait(Cause::failed(failure.text, failure.retry_after), ctx);
            }
            Role::Trial(trial) => {
                trial.reporter.tell(TrialEvent::Failed {
                    step: failure.step.to_owned(),
                    error: failure.text,
                    answer: failure.answer.map(|answer| *answer),
                });
                self.finish(ctx);
            }
        }
    }

    /// The first messages are through.
    pub(super) fn opening_done(&mut self, ctx: &mut Context<Self>) {
        self.live.listening(self.setup.mode == Mode::Suspended);
        match &self.role {
            Role::Listener | Role::Capture(_) => {
                self.note("connected", "");
                self.watch_health(ctx);
            }
            Role::Trial(trial) => {
                trial.reporter.tell(TrialEvent::Listening);
                let mut told = 0;
                ctx.run_interval(RATE, move |socket, _| {
                    let received = socket.live.received();
                    if received != told
                        && let Some(reporter) = socket.role.reporter()
                    {
                        reporter.tell(TrialEvent::Rate {
                            per_second: received - told,
                            received,
                            matched: socket.live.matched.get(),
                        });
                        told = received;
                    }
                });
            }
        }
    }

    /// A connection is over: what comes after it. `step` is the first message that was under way.
    pub(super) fn after_close(
        &mut self,
        (end, step): (End, Option<usize>),
        cause: Cause,
        ctx: &mut Context<Self>,
    ) {
        let event = if step.is_some() { "failed" } else { "closed" };
        self.note(event, &cause.text);
        match &self.role {
            Role::Listener | Role::Capture(_) => match self.setup.plan.on_close(end.known_as()) {
                OnClose::Reconnect => self.wait(cause, ctx),
                OnClose::Reset => {
                    self.reset_values(ctx);
                    self.wait(cause, ctx);
                }
                OnClose::Disable => self.give_up(&cause.text),
            },
            Role::Trial(trial) => {
                trial.reporter.tell(match step {
                    Some(step) => TrialEvent::Failed {
                        step: super::opening::place(step),
                        error: cause.text,
                        answer: None,
                    },
                    None => TrialEvent::Closed {
                        error: cause.text,
                        code: end.code,
                    },
                });
                self.finish(ctx);
            }
        }
    }

    /// Whether somebody is shown the messages.
    pub(super) fn is_watched(&self) -> bool {
        match self.role {
            Role::Listener => self.live.is_tailed(),
            Role::Trial(_) | Role::Capture(_) => true,
        }
    }

    /// Shows a message to those who follow it.
    pub(super) fn show(
        &self,
        (text, bytes): (&str, usize),
        (verdict, is_base64): (Verdict, bool),
        now: Timestamp,
    ) {
        let filter = &self.setup.plan.filter;
        match &self.role {
            Role::Listener if self.live.is_tailed() => {
                let why = || why(filter, text, verdict);
                let board = &self.common.board;
                board.sample(&self.live, (text, bytes), (verdict, now), why);
            }
            Role::Listener => {}
            Role::Trial(trial) => trial.reporter.message((text, bytes), verdict, now, filter),
            Role::Capture(key) => {
                // PostgreSQL keeps no NUL.
                let kept =
                    text[..text.floor_char_boundary(CAPTURED_BYTES)].replace('\0', "\u{fffd}");
                let message = NewCapture {
                    created_at: now,
                    text: kept,
                    bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
                    is_base64,
                    url: self.setup.spec.url.clone(),
                    verdict: verdict.as_str(),
                };
                self.common.notes.capture(key, message);
            }
        }
    }

    /// Closes what is open, and ends.
    fn finish(&mut self, ctx: &mut Context<Self>) {
        self.stopping = true;
        if matches!(self.phase, Phase::Open(_)) {
            self.close_line(Some(close_code::NORMAL), ctx);
        } else {
            self.drop_line(ctx);
        }
        ctx.stop();
    }
}
