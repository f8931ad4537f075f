//! [`Rates`]: when this server may next connect to a host (`connect_rate`, contract section 3).
//!
//! Each host has its turns: the last one that was used, and those that are waited for. A new one comes after each turn
//! before it by its own distance, so a trigger that may connect seldom holds up nobody who may do so often. A turn
//! that nobody waits for any more is free again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Hosts remembered; past it those that hold nobody up any more are forgotten.
const MAX_HOSTS: usize = 10_000;

/// The moment of a turn, and a number that tells it from others.
type Place = (Instant, u64);

/// The turns of each host. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Rates(Arc<Mutex<Hosts>>);

#[derive(Debug, Default)]
struct Hosts {
    turns: HashMap<String, Turns>,
    number: u64,
}

/// A host's turns and the distance of each: of the past only the last.
type Turns = BTreeMap<Place, Duration>;

/// A turn to connect; given back when it is dropped before it was used.
#[derive(Debug)]
pub struct Turn {
    rates: Rates,
    host: String,
    place: Place,
    used: bool,
}

impl Turn {
    /// How long to wait for it.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.place.0.saturating_duration_since(Instant::now())
    }

    /// It is used now.
    pub fn used(mut self) {
        self.used = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.used {
            return;
        }
        let mut hosts = self.rates.0.lock();
        if let Some(turns) = hosts.turns.get_mut(&self.host) {
            turns.remove(&self.place);
        }
    }
}

impl Rates {
    /// Takes the next turn to connect to `host` at `per_second`.
    #[must_use]
    pub fn take_turn(&self, host: &str, per_second: f64) -> Turn {
        let now = Instant::now();
        let gap = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::MAX);
        let mut hosts = self.0.lock();
        hosts.number += 1;
        let number = hosts.number;
        if hosts.turns.len() >= MAX_HOSTS {
            let holds_up = |(at, gap): (&Place, &Duration)| at.0.checked_add(*gap) > Some(now);
            hosts
                .turns
                .retain(|_, turns| turns.last_key_value().is_some_and(holds_up));
        }
        let turns = hosts.turns.entry(host.to_owned()).or_default();
        forget_past(turns, now);
        let place = (next_free(turns, now, gap), number);
        turns.insert(place, gap);
        Turn {
            rates: self.clone(),
            host: host.to_owned(),
            place,
            used: false,
        }
    }
}

/// Keeps of the turns that have passed only the last.
fn forget_past(turns: &mut Turns, now: Instant) {
    while turns.keys().nth(1).is_some_and(|second| second.0 <= now) {
        turns.pop_first();
    }
}

/// The first moment from `now` on that is `gap` after the turn before it, and far enough from the one behind it.
fn next_free(turns: &Turns, now: Instant, gap: Duration) -> Instant {
    let mut free = now;
    for ((at, _), others) in turns {
        if *at > free && *at - free >= gap.min(*others) {
            break;
        }
        free = free.max(at.checked_add(gap).unwrap_or(free));
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_wait_their_turn_by_host() {
        let rates = Rates::default();
        let turns: Vec<Turn> = (0..3).map(|_| rates.take_turn("a", 4.0)).collect();
        let waits: Vec<u64> = turns
            .iter()
            .map(|turn| turn.wait().as_millis() as u64)
            .collect();
        assert_eq!(waits, [0, 250, 500]);
        assert!(rates.take_turn("b", 4.0).wait().is_zero());
        turns.into_iter().for_each(Turn::used);
        tokio::time::advance(Duration::from_millis(600)).await;
        // The last one was used at 500.
        assert_eq!(rates.take_turn("a", 4.0).wait().as_millis(), 150);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(rates.take_turn("a", 4.0).wait().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_connect_seldom_holds_up_nobody_who_may_often() {
        let rates = Rates::default();
        rates.take_turn("a", 0.02).used();
        let seldom = rates.take_turn("a", 0.02);
        assert_eq!(seldom.wait().as_secs(), 50);
        let often = rates.take_turn("a", 100.0);
        assert_eq!(often.wait().as_millis(), 10, "after the one that connected");
        assert_eq!(rates.take_turn("a", 100.0).wait().as_millis(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_nobody_waits_for_any_more_is_free_again() {
        let rates = Rates::default();
        rates.take_turn("a", 0.5).used();
        for _ in 0..5 {
            let given_up = rates.take_turn("a", 0.5);
            assert_eq!(given_up.wait().as_secs(), 2);
        }
        let (first, second) = (rates.take_turn("a", 0.5), rates.take_turn("a", 0.5));
        assert_eq!(second.wait().as_secs(), 4);
        drop(first);
        assert_eq!(rates.take_turn("a", 0.5).wait().as_secs(), 2);
    }
}
