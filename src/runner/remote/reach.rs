//! [`Reach`]: how the Windmill of a workspace was reached last, known to all its jobs that are under way.

use std::sync::atomic::{AtomicU8, Ordering};

/// How it was reached last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// It answers.
    Well,
    /// It does not.
    Away,
    /// It answers that it does not know the token.
    LockedOut,
}

/// See the file's documentation. At first nothing is known.
#[derive(Debug, Default)]
pub(crate) struct Reach(AtomicU8);

impl Reach {
    /// Notes how it was reached; answers whether that is news.
    pub(super) fn note(&self, reached: Reached) -> bool {
        let mark = match reached {
            Reached::Well => 1,
            Reached::Away => 2,
            Reached::LockedOut => 3,
        };
        self.0.swap(mark, Ordering::Relaxed) != mark
    }

    /// Whoever looks next has news.
    pub(super) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
