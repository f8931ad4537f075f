//! [`Sampler`]: how many messages of a fast feed are shown: as many as eyes can follow.

use crate::types::Timestamp;

/// Messages a second that are shown.
pub const SAMPLES_PER_SECOND: u32 = 20;
/// How much of a message is shown, in bytes.
pub const SAMPLE_BYTES: usize = 4 * 1024;

/// How many messages this second has had.
#[derive(Debug, Default)]
pub struct Sampler {
    second: i64,
    count: u32,
    skipped: u64,
}

impl Sampler {
    /// Whether a message that came at `now` is shown: then how many were not shown since the one before.
    pub fn take(&mut self, now: Timestamp) -> Option<u64> {
        let second = now.0 / 1_000_000;
        if self.second != second {
            self.second = second;
            self.count = 0;
        }
        if self.count >= SAMPLES_PER_SECOND {
            self.skipped += 1;
            return None;
        }
        self.count += 1;
        Some(std::mem::take(&mut self.skipped))
    }

    /// Counts a message that could not be shown for another reason.
    pub fn skip(&mut self) {
        self.skipped += 1;
    }
}

/// The beginning of a message, as much as is shown.
#[must_use]
pub fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(SAMPLE_BYTES)]
}
