//! [`Opening`]: the first messages of a connection, each after the one before was written (contract section 4).

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, SpawnHandle, WrapFuture};
use tokio::time::Instant;

use super::{End, Phase, Socket, connect, talk::Variables};
use crate::{
    trigger::{sampler::beginning, spec::FirstStep},
    wire::close_code,
};

/// Where the first messages are.
pub(super) struct Opening {
    variables: Variables,
    /// The step that comes next or is under way.
    step: usize,
    under_way: UnderWay,
    /// When the step began.
    since: Instant,
}

enum UnderWay {
    /// Nothing: the next step may begin.
    Nothing,
    /// The step's text is being written.
    Writing,
    /// The step's runnable runs.
    Running,
    /// The step waits for a message, at most until this timer.
    Awaiting(SpawnHandle),
    /// All steps are done.
    Done,
}

impl Opening {
    pub(super) fn new(variables: Variables) -> Self {
        Self {
            variables,
            step: 0,
            under_way: UnderWay::Nothing,
            since: Instant::now(),
        }
    }

    /// The step that comes next or is under way; none when all are done.
    pub(super) fn under_way(&self) -> Option<usize> {
        (!self.is_done()).then_some(self.step)
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.under_way, UnderWay::Done)
    }

    pub(super) fn variables(&self) -> &Variables {
        &self.variables
    }
}

impl Socket {
    /// Begins the next step, or listens when there is none.
    pub(super) fn next_step(&mut self, ctx: &mut Context<Self>) {
        let setup = Arc::clone(&self.setup);
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        let number = open.number;
        open.opening.since = Instant::now();
        let step = setup.plan.first.get(open.opening.step);
        if let (Some(step), Some(reporter)) = (step, self.role.reporter()) {
            let note = match step {
                FirstStep::Send(_) => "sends a message".to_owned(),
                FirstStep::SendResult(runnable) => format!("sends what {} returns", runnable.path),
                FirstStep::Await { timeout, .. } => {
                    format!("awaits a message for {} s", timeout.as_secs())
                }
            };
            reporter.begun(&place(open.opening.step), Some(note));
        }
        match setup.plan.first.get(open.opening.step) {
            None => {
                open.opening.under_way = UnderWay::Done;
                self.opening_done(ctx);
            }
            Some(FirstStep::Send(template)) => match self.render(template, None) {
                Ok(text) => self.write_step(text, ctx),
                Err(error) => self.step_failed(&error, ctx),
            },
            Some(FirstStep::SendResult(runnable)) => {
                open.opening.under_way = UnderWay::Running;
                let place = place(open.opening.step);
                let what = format!("{place}: waits for {} to return a text", runnable.path);
                self.live.waits_for(Some(&what));
                let run = connect::run(&self.common, &setup, runnable, None);
                ctx.spawn(run.into_actor(self).map(move |result, socket, ctx| {
                    if !socket.is_connection(number) {
                        return;
                    }
                    socket.live.waits_for(None);
                    match result {
                        Ok(text) => socket.write_step(text, ctx),
                        Err(failure) => socket.step_failed(&failure.text, ctx),
                    }
                }));
            }
            Some(FirstStep::Await { timeout, .. }) => {
                let secs = timeout.as_secs();
                let timer = ctx.run_later(*timeout, move |socket, ctx| {
                    if socket.is_connection(number) {
                        socket.step_failed(&format!("no such message within {secs} s"), ctx);
                    }
                });
                open.opening.under_way = UnderWay::Awaiting(timer);
            }
        }
    }

    fn write_step(&mut self, text: String, ctx: &mut Context<Self>) {
        if let Phase::Open(open) = &mut self.phase {
            open.opening.under_way = UnderWay::Writing;
        }
        self.say(text, ctx);
    }

    /// Everything said so far has left: a step that was being written is done.
    pub(super) fn written(&mut self, ctx: &mut Context<Self>) {
        if let Phase::Open(open) = &mut self.phase
            && matches!(open.opening.under_way, UnderWay::Writing)
        {
            self.step_done(None, ctx);
        }
    }

    /// A message came: the step that waits for one like it is done.
    pub(super) fn awaited(&mut self, text: &str, ctx: &mut Context<Self>) {
        let setup = Arc::clone(&self.setup);
        if let Phase::Open(open) = &mut self.phase
            && let UnderWay::Awaiting(timer) = open.opening.under_way
            && let Some(FirstStep::Await { on, .. }) = setup.plan.first.get(open.opening.step)
            && on.matches(text)
        {
            ctx.cancel_future(timer);
            self.step_done(Some(text), ctx);
        }
    }

    fn step_done(&mut self, came: Option<&str>, ctx: &mut Context<Self>) {
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        let opening = &mut open.opening;
        if let Some(reporter) = self.role.reporter() {
            let note = came.map(|text| beginning(text).to_owned());
            reporter.done(&place(opening.step), opening.since.elapsed(), note);
        }
        opening.step += 1;
        opening.under_way = UnderWay::Nothing;
        self.next_step(ctx);
    }

    fn step_failed(&mut self, error: &str, ctx: &mut Context<Self>) {
        let Phase::Open(open) = &self.phase else {
            return;
        };
        let text = format!("{}: {error}", place(open.opening.step));
        self.closed(End::ours(close_code::NORMAL), &text, ctx);
    }

    fn is_connection(&self, number: i64) -> bool {
        self.connection() == number
    }

    /// The number of the open connection; 0 without one.
    pub(super) fn connection(&self) -> i64 {
        match &self.phase {
            Phase::Open(open) => open.number,
            Phase::Idle | Phase::Attempting(_) | Phase::Waiting(..) => 0,
        }
    }
}

/// Where a step stands in the settings.
pub(super) fn place(step: usize) -> String {
    format!("initial_messages[{step}]")
}
