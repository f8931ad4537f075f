//! `Socket`: one trigger and its connection. Owned by `Registry`; hands messages to `Filter` and the queue,
//! takes [`Reply`] from `Replies`.
//!
//! It lives as long as the trigger is wanted and goes round: attempt → opening (first messages) → open →
//! lost → wait → attempt. What it has accepted outlives a connection: only the commit ends it.

mod connect;
mod flow;
mod intake;
mod line;
mod opening;
mod talk;

use std::{sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, Recipient,
    SpawnHandle, StreamHandler, Supervised, WrapFuture,
};
use tokio::{sync::oneshot, time::Instant};

use self::{
    connect::Opened,
    intake::Intake,
    line::{Line, Unsent},
    opening::Opening,
    talk::Talk,
};
use super::{
    connector::Dialer,
    filter_pool::Filter,
    rate::Rates,
    registry::Exhausted,
    reply::{Connections, Reply},
    setup::Setup,
    spec::{Binary, OnClose, connection_differs},
    status::{Board, Live, Verdict},
};
use crate::{
    config::Limits,
    db::{Pool, vars},
    queue::Queue,
    types::{Invalid, Mode, Timestamp},
    wire::{CloseReason, Message as Incoming, Outgoing, WireError, close_code},
};

/// Healthy listening that makes earlier failures forgotten (contract section 5).
const HEALTHY: Duration = Duration::from_secs(10);
/// How long our close frame may take to leave, and the peer to close after it, before the connection is dropped anyway.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long what was read may take to be committed when the socket is stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The trigger was edited: goes on with `0`, on the same connection when it is still made from the same.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Configure(pub Arc<Setup>);

/// Stops reading, commits what was read, closes with this code and ends. Answers at once.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Stop(pub u16);

/// Panics, as a bug would.
#[cfg(test)]
#[derive(Message)]
#[rtype(result = "()")]
pub struct Panic;

#[cfg(test)]
impl Handler<Panic> for Socket {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("provoked by a test");
    }
}

/// What every socket of a server shares.
#[derive(Clone)]
pub struct Common {
    /// For variables.
    pub pool: Pool,
    /// Where jobs go.
    pub queue: Queue,
    /// Where status is shown.
    pub board: Board,
    /// Who finds the socket of a result.
    pub connections: Connections,
    /// How connections are made.
    pub dialer: Dialer,
    /// When connections may be made.
    pub rates: Rates,
    /// Who disables a trigger that has used up its attempts.
    pub exhausted: Recipient<Exhausted>,
    /// Bounds.
    pub limits: Limits,
    /// Every message is sent back and becomes no job ([`crate::config::Config::echo`]).
    pub echo: bool,
}

/// See the file's documentation.
pub struct Socket {
    common: Common,
    setup: Arc<Setup>,
    live: Arc<Live>,
    filter: Addr<Filter>,
    intake: Intake,
    talk: Talk,
    phase: Phase,
    /// Attempts since it last listened well.
    attempt: u32,
    stopping: bool,
    /// Who hears how it went, when this is a connection to be tried out: then nothing becomes a job.
    trial: Option<Report>,
}

type Report = oneshot::Sender<Result<(), Invalid>>;

/// Where the round is.
enum Phase {
    /// Nothing runs: not started, given up, or stopped.
    Idle,
    /// An attempt runs.
    Attempting(SpawnHandle),
    /// A connection stands.
    Open(Box<Open>),
    /// The next attempt waits.
    Waiting(SpawnHandle),
}

/// A connection and what goes with it.
struct Open {
    line: Line,
    number: i64,
    reader: SpawnHandle,
    timers: Vec<SpawnHandle>,
    since: Instant,
    /// When the last frame of any kind came.
    heard: Instant,
    /// When the last whole message came.
    messaged: Instant,
    flushing: bool,
    /// Makes earlier failures forgotten.
    healthy: Option<SpawnHandle>,
    opening: Opening,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy)]
struct End {
    /// The code of the server's close frame.
    code: Option<u16>,
    /// The close frame we send, with its code if it has one.
    answer: Option<Option<u16>>,
}

impl End {
    /// Without a word from either side.
    const SILENT: Self = Self {
        code: None,
        answer: None,
    };

    /// By us, with this code.
    const fn ours(code: u16) -> Self {
        Self {
            code: None,
            answer: Some(Some(code)),
        }
    }
}

impl Socket {
    /// A socket for the trigger of `setup`, which begins to connect when it starts.
    #[must_use]
    pub fn new(common: Common, setup: Arc<Setup>, filter: Addr<Filter>) -> Self {
        let live = common.board.entry(&setup.workspace, &setup.path);
        Self {
            intake: Intake::new(&common.limits),
            talk: Talk::new(&setup),
            common,
            setup,
            live,
            filter,
            phase: Phase::Idle,
            attempt: 0,
            stopping: false,
            trial: None,
        }
    }

    /// A socket that connects once, goes through the first messages, tells `report` and ends.
    #[must_use]
    pub fn on_trial(
        common: Common,
        setup: Arc<Setup>,
        filter: Addr<Filter>,
        report: Report,
    ) -> Self {
        Self {
            intake: Intake::new(&common.limits),
            talk: Talk::new(&setup),
            live: Arc::new(Live::detached(&setup.workspace, &setup.path)),
            common,
            setup,
            filter,
            phase: Phase::Idle,
            attempt: 0,
            stopping: false,
            trial: Some(report),
        }
    }
}

impl Actor for Socket {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if !self.stopping {
            self.attempt_now(ctx);
        }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.forget_connection();
    }
}

impl Supervised for Socket {
    fn restarting(&mut self, _: &mut Self::Context) {
        // Timers and streams are gone with the old context; what was accepted is still here.
        self.forget_connection();
        self.intake.restart();
        self.phase = Phase::Idle;
    }
}

impl StreamHandler<Result<Incoming, WireError>> for Socket {
    fn handle(&mut self, frame: Result<Incoming, WireError>, ctx: &mut Self::Context) {
        let now = Instant::now();
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        open.heard = now;
        match frame {
            Ok(Incoming::Text(text)) => {
                open.messaged = now;
                self.text(&text, ctx);
            }
            Ok(Incoming::Binary(bytes)) => {
                open.messaged = now;
                self.binary(&bytes, ctx);
            }
            Ok(Incoming::Ping(payload)) => {
                self.send(Outgoing::Pong(payload), ctx);
            }
            Ok(Incoming::Pong(_)) => {}
            Ok(Incoming::Close(reason)) => {
                let text = match &reason {
                    Some(reason) if reason.text.is_empty() => {
                        format!("the server closed the connection with {}", reason.code)
                    }
                    Some(CloseReason { code, text }) => {
                        format!("the server closed the connection with {code}: {text}")
                    }
                    None => "the server closed the connection without a code".to_owned(),
                };
                // The answer carries the same code (RFC 6455 §5.5.1).
                let code = reason.map(|reason| reason.code);
                let end = End {
                    code,
                    answer: Some(code),
                };
                self.closed(end, &text, ctx);
            }
            Err(error) => {
                if error.close_code() == Some(close_code::TOO_BIG) {
                    self.live.message(0, Timestamp::now());
                    self.live.too_large.add(1);
                }
                let end = End {
                    code: None,
                    answer: error.close_code().map(Some),
                };
                self.closed(end, &error.to_string(), ctx);
            }
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.closed(
            End::SILENT,
            "the connection ended without a close frame",
            ctx,
        );
    }
}

impl Handler<Configure> for Socket {
    type Result = ();

    fn handle(&mut self, Configure(setup): Configure, ctx: &mut Self::Context) {
        let reconnect = connection_differs(&self.setup.spec, &setup.spec)
            || self.setup.permissioned_as != setup.permissioned_as;
        self.setup = setup;
        if reconnect {
            self.talk = Talk::new(&self.setup);
            self.attempt = 0;
            self.close_line(Some(close_code::NORMAL), ctx);
            self.attempt_now(ctx);
        } else {
            self.show_listening();
            self.arm_timers(ctx);
        }
    }
}

impl Handler<Stop> for Socket {
    type Result = ();

    fn handle(&mut self, Stop(code): Stop, ctx: &mut Self::Context) {
        self.stopping = true;
        if let Phase::Open(open) = &self.phase {
            open.line.pause();
        }
        ctx.run_later(STOP_TIMEOUT, |_, ctx| ctx.stop());
        self.stop_when_committed(code, ctx);
    }
}

impl Handler<Reply> for Socket {
    type Result = ();

    fn handle(&mut self, reply: Reply, ctx: &mut Self::Context) {
        self.reply(&reply, ctx);
    }
}

impl Socket {
    /// Begins an attempt, after the wait that `connect_rate` asks for.
    fn attempt_now(&mut self, ctx: &mut Context<Self>) {
        self.live.connecting();
        let (common, setup) = (self.common.clone(), Arc::clone(&self.setup));
        let attempt = connect::open(common, setup, self.talk.vars.take());
        let handle = ctx.spawn(attempt.into_actor(self).map(|result, socket, ctx| {
            socket.phase = Phase::Idle;
            match result {
                Ok(opened) => socket.opened(opened, ctx),
                Err(failure) if socket.trial.is_some() => {
                    socket.trial_over(Err(failure.with_answer()), ctx);
                }
                Err(failure) => socket.wait(&failure.text, failure.retry_after, ctx),
            }
        }));
        self.phase = Phase::Attempting(handle);
    }

    fn opened(&mut self, opened: Opened, ctx: &mut Context<Self>) {
        let (line, incoming) = Line::new(opened.framed);
        let number = self.common.connections.open(ctx.address().recipient());
        let now = Instant::now();
        self.live.handshaking();
        self.talk.connected(&self.setup, opened.vars);
        let reader = ctx.add_stream(incoming);
        self.phase = Phase::Open(Box::new(Open {
            line,
            number,
            reader,
            timers: Vec::new(),
            since: now,
            heard: now,
            messaged: now,
            flushing: false,
            healthy: None,
            opening: Opening::new(opened.variables),
        }));
        self.pause_when_full();
        self.arm_timers(ctx);
        self.next_step(ctx);
    }

    /// Puts a frame on its way. A peer that does not read is told apart from a broken connection.
    fn send(&mut self, message: Outgoing, ctx: &mut Context<Self>) -> bool {
        let Phase::Open(open) = &mut self.phase else {
            return false;
        };
        match open.line.write(message) {
            Ok(()) => {
                self.flush(ctx);
                true
            }
            Err(Unsent::Full) => false,
            Err(Unsent::Broken) => {
                self.closed(End::SILENT, "the connection broke while writing", ctx);
                false
            }
        }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        if std::mem::replace(&mut open.flushing, true) {
            return;
        }
        let number = open.number;
        let flush = open.line.flush().into_actor(self);
        ctx.spawn(flush.map(move |flushed, socket, ctx| {
            let Phase::Open(open) = &mut socket.phase else {
                return;
            };
            if open.number != number {
                return;
            }
            open.flushing = false;
            if let Err(error) = flushed {
                let text = format!("the connection broke while writing: {error}");
                socket.closed(End::SILENT, &text, ctx);
            } else {
                socket.written(ctx);
            }
        }));
    }

    /// The connection is over.
    fn closed(&mut self, end: End, text: &str, ctx: &mut Context<Self>) {
        let Phase::Open(open) = &self.phase else {
            return;
        };
        if self.trial.is_some() {
            self.trial_over(Err(text.to_owned()), ctx);
            return;
        }
        let was_healthy = open.since.elapsed() >= HEALTHY && open.opening.is_done();
        match end.answer {
            Some(answer) => self.close_line(answer, ctx),
            None => self.drop_line(ctx),
        }
        if was_healthy {
            self.attempt = 0;
        }
        match self.setup.plan.on_close(end.code) {
            OnClose::Reconnect => self.wait(text, None, ctx),
            OnClose::Reset => {
                self.reset_values(ctx);
                self.wait(text, None, ctx);
            }
            OnClose::Disable => self.give_up(text),
        }
    }

    /// Sends a close frame and drops the connection when the peer has closed too, or after a bounded time.
    fn close_line(&mut self, code: Option<u16>, ctx: &mut Context<Self>) {
        if matches!(self.phase, Phase::Open(_))
            && let Phase::Open(open) = std::mem::replace(&mut self.phase, Phase::Idle)
        {
            self.release(&open, ctx);
            let reason = code.map(|code| CloseReason::new(code, ""));
            if open.line.write(Outgoing::Close(reason)).is_ok() {
                let line = open.line;
                // Not bound to the actor: it may end, or connect again, meanwhile.
                actix_rt::spawn(async move {
                    let farewell = async {
                        if line.flush().await.is_ok() {
                            // Whether the peer still hears it is its own affair.
                            let _ = line.shutdown().await;
                            line.drain().await;
                        }
                    };
                    let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
                });
            }
        } else {
            self.drop_line(ctx);
        }
    }

    /// Drops the connection, the attempt or the wait, whichever there is.
    fn drop_line(&mut self, ctx: &mut Context<Self>) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => {}
            Phase::Attempting(handle) | Phase::Waiting(handle) => {
                ctx.cancel_future(handle);
            }
            Phase::Open(open) => self.release(&open, ctx),
        }
    }

    fn release(&self, open: &Open, ctx: &mut Context<Self>) {
        self.common.connections.close(open.number);
        ctx.cancel_future(open.reader);
        for timer in open.timers.iter().chain(&open.healthy) {
            ctx.cancel_future(*timer);
        }
    }

    /// For when the context is gone already.
    fn forget_connection(&mut self) {
        if let Phase::Open(open) = &self.phase {
            self.common.connections.close(open.number);
        }
    }

    /// Waits for the next attempt (contract section 3, `reconnect`), or gives up when they are used up.
    fn wait(&mut self, text: &str, at_least: Option<Duration>, ctx: &mut Context<Self>) {
        let backoff = self.setup.plan.backoff;
        let n = self.attempt;
        self.attempt = n.saturating_add(1);
        if backoff.gives_up(self.attempt) {
            let text = format!("{text} (after {} attempts)", self.attempt);
            self.give_up(&text);
            return;
        }
        let wait = backoff.wait(n, rand::random::<f64>());
        let wait = wait.max(at_least.unwrap_or_default().min(MAX_RETRY_AFTER));
        let next = Timestamp::now().plus(wait);
        self.live.backoff(text, self.attempt, next);
        log::info!(
            trigger = &*self.setup.path, attempt = self.attempt, wait_ms = wait.as_millis() as u64;
            "not connected: {text}"
        );
        let handle = ctx.run_later(wait, |socket, ctx| socket.attempt_now(ctx));
        self.phase = Phase::Waiting(handle);
    }

    fn give_up(&mut self, text: &str) {
        self.live.disabled(Some(text));
        self.common.exhausted.do_send(Exhausted {
            workspace: Arc::clone(&self.setup.workspace),
            path: Arc::clone(&self.setup.path),
            version: self.setup.version,
            error: text.to_owned(),
        });
    }

    /// Forgets what was stored; the next connection begins anew (`on_close: reset`).
    fn reset_values(&mut self, ctx: &mut Context<Self>) {
        self.talk.reset();
        let pool = self.common.pool.clone();
        let setup = Arc::clone(&self.setup);
        let forget = async move {
            let (workspace, path) = (setup.workspace.to_string(), setup.path.to_string());
            let forgotten = pool
                .run(move |conn| vars::forget(conn, &workspace, &path))
                .await;
            if let Err(error) = forgotten {
                log::error!(trigger = &*setup.path; "stored values were not forgotten: {error}");
            }
        };
        ctx.spawn(forget.into_actor(self));
    }

    /// Tells how the trial went, and ends.
    fn trial_over(&mut self, outcome: Result<(), String>, ctx: &mut Context<Self>) {
        if let Some(report) = self.trial.take() {
            // Whoever asked may have gone.
            let _ = report.send(outcome.map_err(Invalid));
        }
        self.stopping = true;
        self.close_line(Some(close_code::NORMAL), ctx);
        ctx.stop();
    }

    fn show_listening(&self) {
        if let Phase::Open(open) = &self.phase
            && open.opening.is_done()
        {
            self.live.listening(self.setup.mode == Mode::Suspended);
        }
    }

    fn stop_when_committed(&mut self, code: u16, ctx: &mut Context<Self>) {
        if self.intake.is_empty() {
            self.close_line(Some(code), ctx);
            ctx.stop();
        } else {
            ctx.run_later(STOP_POLL, move |socket, ctx| {
                socket.stop_when_committed(code, ctx)
            });
        }
    }

    /// A binary message: dropped and counted, or base64 (contract section 3).
    fn binary(&mut self, bytes: &[u8], ctx: &mut Context<Self>) {
        let now = Timestamp::now();
        self.live.message(bytes.len(), now);
        if self.common.echo {
            self.echo(Outgoing::Binary(bytes::Bytes::copy_from_slice(bytes)), ctx);
        } else if self.setup.plan.binary == Binary::Base64 {
            self.accept_binary(bytes, now, ctx);
        } else {
            self.live.binary.add(1);
            if self.live.is_tailed() {
                let text = format!("(binary, {} bytes)", bytes.len());
                self.common
                    .board
                    .sample(&self.live, &text, Verdict::Dropped, now);
            }
        }
    }
}

/// Longest wait a server may ask for (`Retry-After`): past it one attempt too many is the smaller harm.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// How often a stopping socket looks whether all is committed.
const STOP_POLL: Duration = Duration::from_millis(5);
