//! The round of a connection: attempt → opening → open → lost → wait → attempt; and how each of them ends.

use std::{sync::Arc, time::Duration};

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use tokio::time::Instant;

use super::{
    End, Open, Phase, Socket,
    alarms::Alarms,
    connect::{self, Asked, Opened},
    intake::After,
    line::{Line, Unsent},
    opening::Opening,
};
use crate::{
    metrics::metrics,
    trigger::registry::Exhausted,
    types::{Mode, Timestamp},
    wire::{CloseReason, Outgoing},
};

/// Healthy listening that makes earlier failures forgotten (contract section 5).
pub(in crate::trigger) const HEALTHY: Duration = if cfg!(test) {
    Duration::from_millis(200)
} else {
    Duration::from_secs(10)
};
/// How long our close frame may take to leave, and the peer to close after it, before the connection is dropped anyway.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait a server may ask for (`Retry-After`): past it one attempt too many is the smaller harm.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// How often a stopping socket looks whether all is committed.
const STOP_POLL: Duration = Duration::from_millis(5);

/// Why the next attempt has to wait.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    pub(super) text: String,
    /// It had listened well: no attempt has failed.
    was_healthy: bool,
    /// The server asked to be left alone until then.
    not_before: Option<Instant>,
}

impl Cause {
    /// An attempt failed.
    pub(super) fn failed(text: String, retry_after: Option<Duration>) -> Self {
        let wait = retry_after.map(|wait| wait.min(MAX_RETRY_AFTER));
        Self {
            text,
            was_healthy: false,
            not_before: wait.map(|wait| Instant::now() + wait),
        }
    }

    /// A connection ended, which may have been a healthy one.
    pub(super) fn ended(text: &str, was_healthy: bool) -> Self {
        Self {
            text: text.to_owned(),
            was_healthy,
            not_before: None,
        }
    }
}

impl Socket {
    /// Begins an attempt, after the wait that `connect_rate` asks for.
    pub(super) fn attempt_now(&mut self, ctx: &mut Context<Self>) {
        self.live.connecting();
        let (common, setup) = (Arc::clone(&self.common), Arc::clone(&self.setup));
        let asked = Asked {
            vars: self.talk.vars.clone(),
            live: Arc::clone(&self.live),
            reporter: self.role.reporter().cloned(),
        };
        let attempt = connect::open(common, setup, asked);
        let turn = self.next_turn();
        let handle = ctx.spawn(attempt.into_actor(self).map(move |result, socket, ctx| {
            if socket.turn != turn {
                return;
            }
            socket.phase = Phase::Idle;
            match result {
                Ok(opened) => socket.opened(opened, ctx),
                Err(failure) => socket.attempt_failed(failure, ctx),
            }
        }));
        self.phase = Phase::Attempting(handle);
    }

    /// What was under way is not waited for any more.
    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    pub(super) fn opened(&mut self, opened: Opened, ctx: &mut Context<Self>) {
        let (line, incoming) = Line::new(opened.framed);
        let number = self
            .common
            .connections
            .open(self.common.fence, ctx.address().recipient());
        let now = Instant::now();
        self.live.handshaking();
        // They may have been edited since the attempt began.
        opened.limit.set(self.setup.plan.max_message_bytes);
        self.talk.connected(&self.setup, opened.vars);
        let reader = ctx.add_stream(incoming);
        self.phase = Phase::Open(Box::new(Open {
            line,
            number,
            reader,
            alarms: Alarms::new(&self.common.clock),
            since: now,
            heard: now,
            arrived: 0,
            messaged: now,
            flushing: false,
            opening: Opening::new(opened.variables),
            limit: opened.limit,
        }));
        self.pause_when_full();
        self.set_alarms(ctx);
        self.next_step(ctx);
    }

    /// Puts a frame on its way. A peer that does not read is told apart from a broken connection.
    pub(super) fn send(&mut self, message: Outgoing, ctx: &mut Context<Self>) -> bool {
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

    pub(super) fn flush(&mut self, ctx: &mut Context<Self>) {
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

    /// The server sent a close frame.
    pub(super) fn closed_by_server(
        &mut self,
        reason: Option<CloseReason>,
        ctx: &mut Context<Self>,
    ) {
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

    /// The connection is over.
    pub(super) fn closed(&mut self, end: End, text: &str, ctx: &mut Context<Self>) {
        let Phase::Open(open) = &self.phase else {
            return;
        };
        let step = open.opening.under_way();
        let was_healthy = open.since.elapsed() >= HEALTHY && step.is_none();
        match end.answer {
            Some(answer) => self.close_line(answer, ctx),
            None => self.drop_line(ctx),
        }
        let cause = Cause::ended(text, was_healthy);
        self.after_close((end, step), cause, ctx);
    }

    /// Sends a close frame and drops the connection when the peer has closed too, or after a bounded time.
    pub(super) fn close_line(&mut self, code: Option<u16>, ctx: &mut Context<Self>) {
        if matches!(self.phase, Phase::Open(_))
            && let Phase::Open(open) = std::mem::replace(&mut self.phase, Phase::Idle)
        {
            self.release(&open, ctx);
            let reason = code.map(|code| CloseReason::new(code, ""));
            if open.line.write(Outgoing::Close(reason)).is_ok() {
                let (line, farewell) = (open.line, self.common.farewells.begin());
                // Not bound to the actor: it may end, or connect again, meanwhile.
                actix_rt::spawn(async move {
                    let _farewell = farewell;
                    let goodbye = async {
                        if line.flush().await.is_ok() {
                            // Whether the peer still hears it is its own affair.
                            let _ = line.shutdown().await;
                            line.drain().await;
                        }
                    };
                    let _ = tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await;
                });
            }
        } else {
            self.drop_line(ctx);
        }
    }

    /// Drops the connection, the attempt or the wait, whichever there is.
    pub(super) fn drop_line(&mut self, ctx: &mut Context<Self>) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => {}
            Phase::Attempting(handle) | Phase::Waiting(handle, _) => {
                ctx.cancel_future(handle);
                self.next_turn();
            }
            Phase::Open(open) => self.release(&open, ctx),
        }
    }

    pub(super) fn release(&self, open: &Open, ctx: &mut Context<Self>) {
        self.common.connections.close(open.number);
        ctx.cancel_future(open.reader);
    }

    /// For when the context is gone already.
    pub(super) fn forget_connection(&mut self) {
        if let Phase::Open(open) = &self.phase {
            self.common.connections.close(open.number);
        }
    }

    /// Waits for the next attempt (contract section 3, `reconnect`), or gives up when they are used up.
    pub(super) fn wait(&mut self, cause: Cause, ctx: &mut Context<Self>) {
        metrics().reconnects.inc();
        self.attempt = if cause.was_healthy {
            0
        } else {
            self.attempt.saturating_add(1)
        };
        self.wait_for(cause, ctx);
    }

    /// Waits as the settings of now say, which may have been edited since the wait began.
    pub(super) fn wait_for(&mut self, cause: Cause, ctx: &mut Context<Self>) {
        let backoff = self.setup.plan.backoff;
        if !cause.was_healthy && backoff.gives_up(self.attempt) {
            let text = format!("{} (after {} attempts)", cause.text, self.attempt);
            self.live.tried(self.attempt);
            self.give_up(&text);
            return;
        }
        let wait = backoff.wait(self.attempt.saturating_sub(1), rand::random::<f64>());
        let asked = cause
            .not_before
            .map(|at| at.saturating_duration_since(Instant::now()));
        let wait = wait.max(asked.unwrap_or_default());
        let next = Timestamp::now().plus(wait);
        self.live.backoff(&cause.text, self.attempt, next);
        log::info!(
            trigger = &*self.setup.path, attempt = self.attempt, wait_ms = wait.as_millis() as u64;
            "not connected: {}", for_logs(&cause.text)
        );
        let turn = self.next_turn();
        let handle = ctx.run_later(wait, move |socket, ctx| {
            if socket.turn == turn {
                socket.attempt_now(ctx);
            }
        });
        self.phase = Phase::Waiting(handle, cause);
    }

    pub(super) fn give_up(&mut self, text: &str) {
        self.live.disabled(Some(text));
        if !self.role.is_for_good() {
            return;
        }
        self.note("disabled", text);
        self.common.exhausted.do_send(Exhausted {
            workspace: Arc::clone(&self.setup.workspace),
            path: Arc::clone(&self.setup.path),
            version: self.setup.version,
            fence: self.common.fence,
            error: text.to_owned(),
        });
    }

    /// Forgets what was stored, behind what its messages stored; the next connection begins anew (`on_close: reset`).
    pub(super) fn reset_values(&mut self, ctx: &mut Context<Self>) {
        self.talk.reset();
        self.intake.only_after(After {
            forget: true,
            ..After::default()
        });
        self.commit(ctx);
    }

    pub(super) fn show_listening(&self) {
        if let Phase::Open(open) = &self.phase
            && open.opening.is_done()
        {
            self.live.listening(self.setup.mode == Mode::Suspended);
        }
    }

    pub(super) fn stop_when_committed(&mut self, code: u16, ctx: &mut Context<Self>) {
        if self.intake.is_empty() {
            self.close_line(Some(code), ctx);
            ctx.stop();
        } else {
            ctx.run_later(STOP_POLL, move |socket, ctx| {
                socket.stop_when_committed(code, ctx)
            });
        }
    }
}

/// What a log may say of a failure: a server's own words, and a runnable's, stand behind the first colon and may quote
/// what was sent. What the operating system says is kept.
pub(super) fn for_logs(text: &str) -> &str {
    match text.split_once(": ") {
        Some((what, own)) if !own.contains("(os error ") => what,
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::for_logs;

    #[test]
    fn logs_quote_nobody() {
        let closed = "the server closed the connection with 4000: token abc";
        assert_eq!(
            for_logs(closed),
            "the server closed the connection with 4000"
        );
        let refused = "cannot reach 127.0.0.1:9: Connection refused (os error 111)";
        assert_eq!(for_logs(refused), refused);
    }
}
