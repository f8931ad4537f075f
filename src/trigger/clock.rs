//! [`Clock`]: the alarms of all sockets, waited for on one thread that has other things to do as well. And [`Wall`], the
//! wall clock of a socket.
//!
//! A timer on a socket's own thread would cost every one of its messages: each time the thread goes to sleep the system
//! has to set a timer and to take it back, and each time it wakes the actor looks at all of its timers. Here a thread of
//! sockets sleeps until something comes, and an alarm comes as a message. Used by `Socket`, started by the system.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use actix::{Message, WeakRecipient};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::types::Timestamp;

/// The part of its wait that an alarm [about](Clock::about) a time may be late.
const LATE: u32 = 64;

/// How long the wall clock may be told from the other one: so late is a change of it noticed.
const TOLD: Duration = Duration::from_millis(100);

/// An alarm that was set: when it is due, and which of those it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alarm {
    due: Instant,
    number: u64,
}

/// The alarm's time has come; one that was cancelled meanwhile may still come.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Rang(pub Alarm);

/// See the file's documentation. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    began: Instant,
    /// As many as connections have settings that wait for a time: at most five for each.
    alarms: Mutex<BTreeMap<Alarm, WeakRecipient<Rang>>>,
    numbers: AtomicU64,
    /// An alarm was set before all others.
    sooner: Notify,
}

impl Clock {
    /// A clock that goes on the thread it is called on, for as long as that.
    #[must_use]
    pub fn start() -> Self {
        let inner = Arc::new(Inner {
            began: Instant::now(),
            alarms: Mutex::default(),
            numbers: AtomicU64::new(0),
            sooner: Notify::new(),
        });
        actix_rt::spawn(go(Arc::clone(&inner)));
        Self(inner)
    }

    /// Tells `whom` in `wait`.
    pub fn after(&self, wait: Duration, whom: WeakRecipient<Rang>) -> Alarm {
        self.set(Instant::now() + wait, whom)
    }

    /// Tells `whom` in `wait` or a sixty-fourth later, together with others: thousands of connections that are pinged
    /// each half a minute wake their threads a few times a second.
    pub fn about(&self, wait: Duration, whom: WeakRecipient<Rang>) -> Alarm {
        let due = Instant::now() + wait;
        self.set(round_up(self.0.began, due, wait / LATE), whom)
    }

    fn set(&self, due: Instant, whom: WeakRecipient<Rang>) -> Alarm {
        let number = self.0.numbers.fetch_add(1, Relaxed);
        let alarm = Alarm { due, number };
        let mut alarms = self.0.alarms.lock();
        let is_first = alarms
            .first_key_value()
            .is_none_or(|(first, _)| alarm < *first);
        alarms.insert(alarm, whom);
        drop(alarms);
        if is_first {
            self.0.sooner.notify_one();
        }
        alarm
    }

    /// Forgets an alarm.
    pub fn cancel(&self, alarm: Alarm) {
        self.0.alarms.lock().remove(&alarm);
    }
}

impl Inner {
    fn next(&self) -> Option<Instant> {
        self.alarms
            .lock()
            .first_key_value()
            .map(|(first, _)| first.due)
    }

    fn take_due(&self, now: Instant) -> BTreeMap<Alarm, WeakRecipient<Rang>> {
        let mut alarms = self.alarms.lock();
        let later = alarms.split_off(&Alarm {
            due: now,
            number: u64::MAX,
        });
        std::mem::replace(&mut alarms, later)
    }
}

/// The wall clock, told from the monotonic one, which a socket asks for each message anyway: half the cost of asking both.
#[derive(Debug)]
pub(super) struct Wall {
    asked: Instant,
    said: Timestamp,
}

impl Wall {
    /// As it is now.
    pub(super) fn new() -> Self {
        Self {
            asked: Instant::now(),
            said: Timestamp::now(),
        }
    }

    /// What it says at `now`, the present moment.
    pub(super) fn at(&mut self, now: Instant) -> Timestamp {
        let since = now.saturating_duration_since(self.asked);
        if since < TOLD {
            return Timestamp(self.said.0 + i64::from(since.subsec_micros()));
        }
        self.asked = now;
        self.said = Timestamp::now();
        self.said
    }
}

async fn go(inner: Arc<Inner>) {
    loop {
        let sooner = inner.sooner.notified();
        match inner.next() {
            None => sooner.await,
            Some(due) => {
                // Either way it looks again.
                let _ = timeout_at(due, sooner).await;
            }
        }
        for (alarm, whom) in inner.take_due(Instant::now()) {
            if let Some(whom) = whom.upgrade() {
                whom.do_send(Rang(alarm));
            }
        }
    }
}

/// The next of the times that lie `most` apart, or half as much, counted from `began`.
fn round_up(began: Instant, due: Instant, most: Duration) -> Instant {
    let grid = match u64::try_from(most.as_millis()) {
        Ok(0) | Err(_) => return due,
        Ok(millis) => 1_u64 << millis.ilog2(),
    };
    let since = u64::try_from((due - began).as_millis()).unwrap_or(u64::MAX);
    let rounded = since.checked_next_multiple_of(grid);
    let at = rounded.and_then(|millis| began.checked_add(Duration::from_millis(millis)));
    at.map_or(due, |at| at.max(due))
}

#[cfg(test)]
mod tests {
    use actix::{Actor, Context, Handler};
    use tokio::sync::mpsc;

    use super::*;

    struct Ear(mpsc::UnboundedSender<Alarm>);

    impl Actor for Ear {
        type Context = Context<Self>;
    }

    impl Handler<Rang> for Ear {
        type Result = ();

        fn handle(&mut self, Rang(alarm): Rang, _: &mut Self::Context) {
            self.0.send(alarm).unwrap();
        }
    }

    #[actix::test]
    async fn alarms_ring_in_the_order_of_their_times_and_cancelled_ones_do_not() {
        let clock = Clock::start();
        let (heard, mut alarms) = mpsc::unbounded_channel();
        let ear = Ear(heard).start();
        let whom = || ear.downgrade().recipient();
        let last = clock.after(Duration::from_millis(60), whom());
        let cancelled = clock.after(Duration::from_millis(40), whom());
        // The clock waits for the others by now, and is told of a sooner one.
        tokio::task::yield_now().await;
        let first = clock.after(Duration::from_millis(10), whom());
        clock.cancel(cancelled);
        assert_eq!(alarms.recv().await, Some(first));
        assert!(Instant::now() >= first.due);
        assert_eq!(alarms.recv().await, Some(last));
        assert!(clock.0.alarms.lock().is_empty());
    }

    #[actix::test]
    async fn who_has_gone_is_told_nothing_and_kept_by_nobody() {
        let clock = Clock::start();
        let (heard, mut alarms) = mpsc::unbounded_channel();
        let ear = Ear(heard).start();
        clock.after(Duration::from_millis(10), ear.downgrade().recipient());
        drop(ear);
        // The actor ended though an alarm of it was set, and its sender with it.
        assert_eq!(alarms.recv().await, None);
    }

    #[test]
    fn the_wall_clock_goes_on_between_two_looks_at_it() {
        let mut wall = Wall::new();
        let (asked, said) = (wall.asked, wall.said);
        let later = |millis| asked + Duration::from_millis(millis);
        assert_eq!(wall.at(asked), said);
        assert_eq!(wall.at(later(99)).0, said.0 + 99_000);
        assert_eq!(wall.said, said, "not asked again");
        let before = Timestamp::now();
        assert!(wall.at(later(100)) >= before, "asked again");
        assert_eq!(wall.asked, later(100));
    }

    #[test]
    fn alarms_about_a_time_ring_together_and_never_early() {
        let began = Instant::now();
        let round = |due: u64, wait: u64| {
            let due = began + Duration::from_millis(due);
            let at = round_up(began, due, Duration::from_millis(wait) / LATE);
            assert!(at >= due, "early by {:?}", due - at);
            (at - began).as_millis()
        };
        assert_eq!(round(30_001, 30_000), 30_208, "in steps of 256 ms");
        assert_eq!(round(30_200, 30_000), 30_208);
        assert_eq!(round(30_208, 30_000), 30_208);
        assert_eq!(round(1_003, 1_000), 1_008, "in steps of 8 ms");
        assert_eq!(round(53, 50), 53, "short waits are kept");
        let fine = began + Duration::from_nanos(1_000_000_001);
        assert!(round_up(began, fine, Duration::from_millis(1)) >= fine);
    }
}
