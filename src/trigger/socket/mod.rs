//! `Socket`: one trigger and its connection. Owned by `Registry`; hands messages to `Filter` and the queue,
//! takes [`Reply`] from `Replies`.
//!
//! It lives as long as the trigger is wanted and goes round: attempt → opening (first messages) → open →
//! lost → wait → attempt. What it has accepted outlives a connection: only the commit ends it.

mod alarms;
mod connect;
mod edited;
mod flow;
mod intake;
mod line;
mod opening;
mod role;
mod round;
mod talk;

use std::{sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, Recipient, SpawnHandle,
    StreamHandler, Supervised,
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};

#[cfg(test)]
pub(super) use self::round::HEALTHY;
use self::{
    alarms::Alarms,
    intake::Intake,
    line::Line,
    opening::Opening,
    role::{Role, Tried},
    round::Cause,
    talk::Talk,
};
use super::{
    clock::{Clock, Wall},
    connector::Dialer,
    farewell::Farewells,
    filter_pool::Filter,
    notes::Notes,
    rate::Rates,
    registry::Exhausted,
    reply::{Connections, Reply},
    setup::Setup,
    status::{Board, Live},
    trial::{Reporter, TrialEvent},
};
use crate::{
    config::Limits,
    db::{Pool, capture::CaptureKey},
    presence::Presence,
    queue::Queue,
    types::Timestamp,
    wire::{Message as Incoming, MessageLimit, Outgoing, WireError, close_code},
};

/// How long what was read may take to be committed when the socket is stopped: half of what a whole server has to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The trigger was edited: goes on with `0`, on the same connection when it is still made from the same.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Configure(pub Arc<Setup>);

/// Stops reading, commits what was read, closes with this code and ends. Answers at once.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Stop(pub u16);

/// Stops reading while another server may have taken over (`true`), or reads on.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Hold(pub bool);

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
    /// Whether this server may listen.
    pub presence: Presence,
    /// The number under which the trigger's lease was taken (PostgreSQL); connections are numbered by it.
    pub fence: i64,
    /// How connections are made.
    pub dialer: Dialer,
    /// What its connections wait for.
    pub clock: Clock,
    /// Which connections are being closed.
    pub farewells: Farewells,
    /// When connections may be made.
    pub rates: Rates,
    /// Who disables a trigger that has used up its attempts.
    pub exhausted: Recipient<Exhausted>,
    /// Where events are noted for people.
    pub notes: Notes,
    /// Bounds.
    pub limits: Limits,
    /// Every message is sent back and becomes no job ([`crate::config::Config::echo`]).
    pub echo: bool,
}

/// See the file's documentation.
pub struct Socket {
    common: Arc<Common>,
    setup: Arc<Setup>,
    live: Arc<Live>,
    filter: Addr<Filter>,
    wall: Wall,
    intake: Intake,
    talk: Talk,
    phase: Phase,
    /// Grows with each attempt, wait and end of one: a future that was cancelled runs once more when it was ready
    /// in the same turn as the message that cancelled it.
    turn: u64,
    /// Attempts since it last listened well.
    attempt: u32,
    /// Another server may have taken over: nothing is read.
    held: bool,
    stopping: bool,
    role: Role,
}

/// Where the round is.
enum Phase {
    /// Nothing runs: not started, given up, or stopped.
    Idle,
    /// An attempt runs.
    Attempting(SpawnHandle),
    /// A connection stands.
    Open(Box<Open>),
    /// The next attempt waits, and why.
    Waiting(SpawnHandle, Cause),
}

/// A connection and what goes with it.
struct Open {
    line: Line,
    number: i64,
    reader: SpawnHandle,
    alarms: Alarms,
    since: Instant,
    /// When the last message or control frame came, or a ping was due and part of one had come.
    heard: Instant,
    /// Bytes that had come when a ping was last due.
    arrived: u64,
    /// When the last whole message came.
    messaged: Instant,
    flushing: bool,
    opening: Opening,
    limit: MessageLimit,
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

    /// The code that `on_close` knows it by: where none was sent, those that RFC 6455 §7.1.5 keeps for that.
    fn known_as(self) -> u16 {
        match (self.code, self.answer) {
            (Some(code), _) => code,
            (None, Some(None)) => close_code::NONE,
            (None, _) => close_code::ABNORMAL,
        }
    }

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
    pub fn new(common: Arc<Common>, setup: Arc<Setup>, filter: Addr<Filter>) -> Self {
        let live = common.board.entry(&setup.workspace, &setup.path);
        Self::with_role((common, setup, filter), (Role::Listener, live))
    }

    /// A socket that connects once, tells each step, and ends when the connection does or nobody listens; it holds
    /// its `place` until then.
    #[must_use]
    pub fn on_trial(
        common: Arc<Common>,
        setup: Arc<Setup>,
        filter: Addr<Filter>,
        (events, place): (mpsc::Sender<TrialEvent>, OwnedSemaphorePermit),
    ) -> Self {
        let live = Arc::new(Live::detached(&setup.workspace, &setup.path));
        let role = Role::Trial(Tried {
            reporter: Reporter::new(events),
            _place: place,
        });
        Self::with_role((common, setup, filter), (role, live))
    }

    /// A socket that keeps messages for the editor of the runnable at `key`; it shows on `live` where it is.
    #[must_use]
    pub fn on_capture(
        common: Arc<Common>,
        setup: Arc<Setup>,
        filter: Addr<Filter>,
        (key, live): (CaptureKey, Arc<Live>),
    ) -> Self {
        Self::with_role((common, setup, filter), (Role::Capture(key), live))
    }

    fn with_role(
        (common, setup, filter): (Arc<Common>, Arc<Setup>, Addr<Filter>),
        (role, live): (Role, Arc<Live>),
    ) -> Self {
        Self {
            intake: Intake::new(&common.limits),
            talk: Talk::new(&setup),
            wall: Wall::new(),
            common,
            setup,
            live,
            filter,
            phase: Phase::Idle,
            turn: 0,
            attempt: 0,
            held: false,
            stopping: false,
            role,
        }
    }
}

impl Actor for Socket {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if !self.stopping {
            self.end_with_reader(ctx);
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
                let now = self.wall.at(now);
                self.text(&text, now, ctx);
            }
            Ok(Incoming::Binary(bytes)) => {
                open.messaged = now;
                let now = self.wall.at(now);
                self.binary(&bytes, now, ctx);
            }
            Ok(Incoming::Ping(payload)) => {
                self.send(Outgoing::Pong(payload), ctx);
            }
            Ok(Incoming::Pong(_)) => {}
            Ok(Incoming::Close(reason)) => self.closed_by_server(reason, ctx),
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
        self.edited(setup, ctx);
    }
}

impl Handler<Stop> for Socket {
    type Result = ();

    fn handle(&mut self, Stop(code): Stop, ctx: &mut Self::Context) {
        self.stopping = true;
        if let Phase::Open(open) = &self.phase {
            open.line.pause();
            self.note("closed", "this server stopped listening");
        }
        ctx.run_later(STOP_TIMEOUT, move |socket, ctx| {
            log::warn!(trigger = &*socket.setup.path; "stopped before all it read was committed");
            socket.close_line(Some(code), ctx);
            ctx.stop();
        });
        self.stop_when_committed(code, ctx);
    }
}

impl Handler<Hold> for Socket {
    type Result = ();

    fn handle(&mut self, Hold(hold): Hold, _: &mut Self::Context) {
        self.held = hold;
        if hold {
            self.live
                .waits_for(Some("reading is paused until the database answers"));
            self.pause_when_full();
        } else {
            if matches!(self.phase, Phase::Open(_)) {
                self.live.waits_for(None);
            }
            self.read_on();
        }
    }
}

impl Handler<Reply> for Socket {
    type Result = ();

    fn handle(&mut self, reply: Reply, ctx: &mut Self::Context) {
        self.reply(&reply, ctx);
    }
}
