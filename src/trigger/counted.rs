//! What a trigger's connections counted before the present one began to count: the trigger was disabled meanwhile, had
//! another path or was another server's. A socket of before may still have something to commit, so its entry is asked
//! for as long as it lives.

use std::sync::Arc;

use parking_lot::Mutex;

use super::status::Live;

/// What was counted (contract section 5).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) unmatched: u64,
    pub(super) handled: u64,
    pub(super) matched: u64,
    pub(super) enqueued: u64,
    pub(super) replied: u64,
    pub(super) reply_undeliverable: u64,
    pub(super) reply_failed: u64,
    pub(super) binary: u64,
    pub(super) too_large: u64,
    pub(super) lost: u64,
    pub(super) bytes_received: u64,
    /// Microseconds; 0 for never.
    pub(super) last_message_at: u64,
}

impl Counted {
    /// Whole messages: each is counted with what became of it, so that the sum holds at every moment.
    pub(super) fn received(&self) -> u64 {
        self.unmatched + self.handled + self.matched + self.binary + self.too_large + self.lost
    }

    fn add(&mut self, other: Self) {
        self.unmatched += other.unmatched;
        self.handled += other.handled;
        self.matched += other.matched;
        self.enqueued += other.enqueued;
        self.replied += other.replied;
        self.reply_undeliverable += other.reply_undeliverable;
        self.reply_failed += other.reply_failed;
        self.binary += other.binary;
        self.too_large += other.too_large;
        self.lost += other.lost;
        self.bytes_received += other.bytes_received;
        self.last_message_at = self.last_message_at.max(other.last_message_at);
    }
}

/// See the file's documentation.
#[derive(Debug, Default)]
pub(super) struct Before(Mutex<Sum>);

#[derive(Debug, Default)]
struct Sum {
    ended: Counted,
    /// Entries that a socket may still write.
    written: Vec<Arc<Live>>,
}

impl Before {
    /// What was counted by one entry and those before it.
    pub(super) fn of(live: Arc<Live>) -> Self {
        let before = Self::default();
        before.add(live);
        before
    }

    /// Adds what an entry has counted, and will.
    pub(super) fn add(&self, live: Arc<Live>) {
        self.0.lock().written.push(live);
    }

    /// All of it.
    pub(super) fn counted(&self) -> Counted {
        let mut sum = self.0.lock();
        let sum = &mut *sum;
        sum.written.retain(|live| {
            // Nobody else has it: its numbers are final.
            let is_written = Arc::strong_count(live) > 1;
            if !is_written {
                sum.ended.add(live.counted());
            }
            is_written
        });
        let mut counted = sum.ended;
        for live in &sum.written {
            counted.add(live.counted());
        }
        counted
    }
}
