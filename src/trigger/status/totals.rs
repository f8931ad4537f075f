//! [`Totals`]: what several triggers counted together.

use super::Live;

/// What triggers counted together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `TriggerStatus`")]
pub struct Totals {
    pub received: u64,
    pub bytes_received: u64,
    pub unmatched: u64,
    pub handled: u64,
    pub matched: u64,
    pub enqueued: u64,
    pub dropped: u64,
    pub replied: u64,
    pub reply_undeliverable: u64,
    pub reply_failed: u64,
}

impl Totals {
    /// All of them together.
    #[must_use]
    pub fn sum<'a>(totals: impl Iterator<Item = &'a Self>) -> Self {
        let mut all = Self::default();
        for one in totals {
            all.received += one.received;
            all.bytes_received += one.bytes_received;
            all.unmatched += one.unmatched;
            all.handled += one.handled;
            all.matched += one.matched;
            all.enqueued += one.enqueued;
            all.dropped += one.dropped;
            all.replied += one.replied;
            all.reply_undeliverable += one.reply_undeliverable;
            all.reply_failed += one.reply_failed;
        }
        all
    }

    /// Adds what an entry has counted.
    pub(super) fn add(&mut self, live: &Live) {
        let counted = live.counted();
        self.received += counted.received();
        self.bytes_received += counted.bytes_received;
        self.unmatched += counted.unmatched;
        self.handled += counted.handled;
        self.matched += counted.matched;
        self.enqueued += counted.enqueued;
        self.dropped += counted.binary + counted.too_large + counted.lost;
        self.replied += counted.replied;
        self.reply_undeliverable += counted.reply_undeliverable;
        self.reply_failed += counted.reply_failed;
    }
}
