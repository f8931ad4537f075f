//! [`Rates`]: when this server may next connect to a host (`connect_rate`, contract section 3).

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Hosts remembered; past it those whose turn has passed are forgotten.
const MAX_HOSTS: usize = 10_000;

/// The next free turn of each host. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Rates(Arc<Mutex<HashMap<String, Instant>>>);

impl Rates {
    /// Takes the next turn to connect to `host` at `per_second`; answers how long to wait for it.
    #[must_use]
    pub fn take_turn(&self, host: &str, per_second: f64) -> Duration {
        let now = Instant::now();
        let mut turns = self.0.lock();
        if turns.len() >= MAX_HOSTS {
            turns.retain(|_, next| *next > now);
        }
        let turn = turns.get(host).copied().unwrap_or(now).max(now);
        let gap = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::MAX);
        turns.insert(host.to_owned(), turn.checked_add(gap).unwrap_or(turn));
        turn - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_wait_their_turn_by_host() {
        let rates = Rates::default();
        let waits: Vec<u64> = (0..3)
            .map(|_| rates.take_turn("a", 4.0).as_millis() as u64)
            .collect();
        assert_eq!(waits, [0, 250, 500]);
        assert!(rates.take_turn("b", 4.0).is_zero());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(rates.take_turn("a", 4.0).is_zero());
    }
}
