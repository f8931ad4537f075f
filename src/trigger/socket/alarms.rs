//! What an open connection does when time has passed: pings, heartbeats, giving up a silent server, being well.

use std::{sync::Arc, time::Duration};

use actix::{AsyncContext, Context, Handler};
use tokio::time::Instant;

use super::{End, Phase, Socket, round::HEALTHY};
use crate::{
    trigger::clock::{Alarm, Clock, Rang},
    wire::{Outgoing, close_code},
};

/// Shortest heartbeat a server may ask for (`interval_field`): less would be a flood of our own making.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Shortest pause between two looks at how long it has been silent.
const MIN_LOOK: Duration = Duration::from_millis(50);

/// What a peer without the expected sign of life is told (contract section 3, `expect`).
const DEAD_PEER: u16 = 4000;

/// The alarms of a connection, which go with it: one of a kind.
pub(super) struct Alarms {
    clock: Clock,
    set: Vec<(Alarm, Purpose)>,
}

/// What an alarm is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A protocol ping is due.
    Ping,
    /// Whether a message has come is to be looked at (`idle_timeout`).
    Idle,
    /// Whether the expected message has come is to be looked at (`heartbeat.expect`).
    Expect,
    /// A heartbeat is due.
    Beat,
    /// It has listened well for long enough.
    Healthy,
}

impl Alarms {
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            set: Vec::new(),
        }
    }

    /// Sets the alarm for `purpose`, in the place of one that was set before.
    fn set(&mut self, purpose: Purpose, wait: Duration, ctx: &mut Context<Socket>) {
        self.cancel(|set| set == purpose);
        let whom = ctx.address().downgrade().recipient();
        let alarm = if purpose == Purpose::Beat {
            self.clock.after(wait, whom)
        } else {
            self.clock.about(wait, whom)
        };
        self.set.push((alarm, purpose));
    }

    fn cancel(&mut self, is_meant: impl Fn(Purpose) -> bool) {
        self.set.retain(|(alarm, purpose)| {
            let is_meant = is_meant(*purpose);
            if is_meant {
                self.clock.cancel(*alarm);
            }
            !is_meant
        });
    }

    /// What the alarm was for; nothing when it was cancelled.
    fn take(&mut self, alarm: Alarm) -> Option<Purpose> {
        let index = self.set.iter().position(|(set, _)| *set == alarm)?;
        Some(self.set.swap_remove(index).1)
    }
}

impl Drop for Alarms {
    fn drop(&mut self) {
        self.cancel(|_| true);
    }
}

impl Handler<Rang> for Socket {
    type Result = ();

    fn handle(&mut self, Rang(alarm): Rang, ctx: &mut Self::Context) {
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        match open.alarms.take(alarm) {
            Some(Purpose::Ping) => self.ping(ctx),
            Some(Purpose::Idle) => self.idle(ctx),
            Some(Purpose::Expect) => self.expect(ctx),
            Some(Purpose::Beat) => self.beat(ctx),
            Some(Purpose::Healthy) => self.healthy(),
            None => {}
        }
    }
}

impl Socket {
    /// Sets the alarms of an open connection anew, after connecting or after an edit.
    pub(super) fn set_alarms(&mut self, ctx: &mut Context<Self>) {
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        open.alarms.cancel(|purpose| purpose != Purpose::Healthy);
        self.set_ping(ctx);
        self.set_idle(ctx);
        self.set_expect(ctx);
        self.set_beat(ctx);
    }

    fn set_alarm(&mut self, purpose: Purpose, wait: Duration, ctx: &mut Context<Self>) {
        if let Phase::Open(open) = &mut self.phase {
            open.alarms.set(purpose, wait, ctx);
        }
    }

    fn set_ping(&mut self, ctx: &mut Context<Self>) {
        if let Some(every) = self.setup.plan.ping_interval {
            self.set_alarm(Purpose::Ping, every, ctx);
        }
    }

    fn set_idle(&mut self, ctx: &mut Context<Self>) {
        if let Some(idle) = self.setup.plan.idle_timeout {
            self.set_alarm(Purpose::Idle, look(idle), ctx);
        }
    }

    fn set_expect(&mut self, ctx: &mut Context<Self>) {
        if let Some(timeout) = self.expects_within() {
            self.set_alarm(Purpose::Expect, look(timeout), ctx);
        }
    }

    fn expects_within(&self) -> Option<Duration> {
        let expected = self.setup.plan.heartbeat.as_ref()?.expect.as_ref()?;
        Some(expected.1)
    }

    /// Sets the alarm of the next heartbeat; the time that has passed since the last one counts.
    fn set_beat(&mut self, ctx: &mut Context<Self>) {
        let Some(heartbeat) = &self.setup.plan.heartbeat else {
            return;
        };
        let every = self.talk.interval.unwrap_or(heartbeat.interval);
        let since = if heartbeat.idle_only {
            self.talk.spoke
        } else {
            self.talk.beat
        };
        let wait = (since + every).saturating_duration_since(Instant::now());
        self.set_alarm(Purpose::Beat, wait, ctx);
    }

    /// The server asks for a heartbeat of this interval.
    pub(super) fn interval_is(&mut self, millis: f64, ctx: &mut Context<Self>) {
        if millis <= 0.0 {
            return;
        }
        let asked = Duration::try_from_secs_f64(millis / 1_000.0).ok();
        let Some(interval) = asked.map(|interval| interval.max(MIN_INTERVAL)) else {
            return;
        };
        if self.talk.interval != Some(interval) {
            self.talk.interval = Some(interval);
            self.set_beat(ctx);
        }
    }

    /// Forgets earlier failures once it has listened well for a while.
    pub(super) fn watch_health(&mut self, ctx: &mut Context<Self>) {
        self.set_alarm(Purpose::Healthy, HEALTHY, ctx);
    }

    fn healthy(&mut self) {
        self.attempt = 0;
        self.live.healthy();
    }

    /// A protocol ping, unless two of them went without any frame in return (contract section 3).
    fn ping(&mut self, ctx: &mut Context<Self>) {
        let (Phase::Open(open), Some(every)) = (&mut self.phase, self.setup.plan.ping_interval)
        else {
            return;
        };
        // A message may take long to arrive, and its sender cannot answer in the middle of a frame.
        let arrived = open.line.arrived();
        if std::mem::replace(&mut open.arrived, arrived) != arrived {
            open.heard = Instant::now();
        }
        if !open.line.is_paused() && open.heard.elapsed() >= every * 2 {
            let text = format!("no answer to pings for {} s", (every * 2).as_secs());
            self.closed(End::ours(close_code::AWAY), &text, ctx);
        } else {
            self.send(Outgoing::Ping(bytes::Bytes::new()), ctx);
            self.set_ping(ctx);
        }
    }

    fn idle(&mut self, ctx: &mut Context<Self>) {
        let (Phase::Open(open), Some(idle)) = (&self.phase, self.setup.plan.idle_timeout) else {
            return;
        };
        if !open.line.is_paused() && open.messaged.elapsed() >= idle {
            let text = format!("no message for {} s", idle.as_secs());
            self.closed(End::ours(close_code::AWAY), &text, ctx);
        } else {
            self.set_idle(ctx);
        }
    }

    fn expect(&mut self, ctx: &mut Context<Self>) {
        let (Phase::Open(open), Some(timeout)) = (&self.phase, self.expects_within()) else {
            return;
        };
        let waited = self.talk.expected.map(|since| since.elapsed());
        if !open.line.is_paused() && waited >= Some(timeout) {
            let text = format!("no expected message for {} s", timeout.as_secs());
            self.closed(End::ours(DEAD_PEER), &text, ctx);
        } else {
            self.set_expect(ctx);
        }
    }

    fn beat(&mut self, ctx: &mut Context<Self>) {
        let setup = Arc::clone(&self.setup);
        let Some(heartbeat) = &setup.plan.heartbeat else {
            return;
        };
        let every = self.talk.interval.unwrap_or(heartbeat.interval);
        if heartbeat.idle_only && self.talk.spoke.elapsed() < every {
            self.set_beat(ctx);
            return;
        }
        // Not from now: what is late now and then adds up otherwise. But none is made up for.
        let now = Instant::now();
        self.talk.beat += every;
        if self.talk.beat + every < now {
            self.talk.beat = now;
        }
        match self.render(&heartbeat.message, None) {
            Ok(text) => {
                self.say(text, ctx);
                if heartbeat.expect.is_some() {
                    self.talk.expected.get_or_insert_with(Instant::now);
                }
                self.set_beat(ctx);
            }
            Err(error) => {
                let text = format!("heartbeat: {error}");
                self.closed(End::ours(close_code::NORMAL), &text, ctx);
            }
        }
    }
}

/// It is looked at in quarters, so that it is noticed at most a quarter late.
fn look(timeout: Duration) -> Duration {
    (timeout / 4).max(MIN_LOOK)
}
