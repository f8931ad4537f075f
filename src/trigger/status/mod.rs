//! What people see of a trigger while it runs: its state, its counters, a sample of its messages.
//!
//! A `Socket` writes its [`Live`]; the API reads it through the [`Board`] without
//! asking anybody, so a busy socket cannot make the page wait. Counters have one writer and are relaxed
//! atomics; a message is counted once it is known what became of it, so the sums of contract section 5 always hold.

mod board;
mod counter;
mod sample;
mod totals;

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub use self::{
    board::{Board, Place, Tail, Watch},
    counter::Counter,
    sample::{Sample, Verdict},
    totals::Totals,
};
use super::{
    counted::{Before, Counted},
    sampler::Sampler,
};
use crate::types::Timestamp;

/// Where a trigger is (contract section 5).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TriggerState {
    /// Its mode is `disabled`: it does not listen.
    Disabled,
    /// Works out the URL, resolves, connects.
    Connecting,
    /// Connected; the upgrade and the first messages are under way.
    Handshaking,
    /// Messages become jobs.
    Listening,
    /// Waits for the next attempt.
    Backoff,
    /// Listens, and holds its jobs.
    Suspended,
}

/// The answer of `GET …/websocket_triggers/status/{path}` (contract section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TriggerStatus {
    /// Where it is.
    pub state: TriggerState,
    /// Since when.
    #[schema(value_type = String)]
    pub since: Timestamp,
    /// Why it does not listen; null while healthy.
    pub error: Option<String>,
    /// Attempts since it last listened well.
    pub attempts: u32,
    /// When the next attempt begins.
    #[schema(value_type = Option<String>)]
    pub next_attempt_at: Option<Timestamp>,
    /// The server that listens.
    pub server_id: Option<String>,
    /// When the present connection was made.
    #[schema(value_type = Option<String>)]
    pub connected_at: Option<Timestamp>,
    /// When the newest message came.
    #[schema(value_type = Option<String>)]
    pub last_message_at: Option<Timestamp>,
    /// Whole messages received: unmatched + handled + matched + dropped.
    pub received: u64,
    /// Messages the filters did not want.
    pub unmatched: u64,
    /// Messages a conversation rule kept away from the filters.
    pub handled: u64,
    /// Messages the filters wanted: pending + enqueued.
    pub matched: u64,
    /// Of them, not yet committed.
    pub pending: u64,
    /// Of them, committed as jobs.
    pub enqueued: u64,
    /// Results sent back.
    pub replied: u64,
    /// Results whose connection was gone.
    pub reply_undeliverable: u64,
    /// Results that could not be sent.
    pub reply_failed: u64,
    /// Messages dropped by a rule.
    pub dropped: Dropped,
    /// Bytes of whole messages received.
    pub bytes_received: u64,
}

/// Messages dropped by a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Dropped {
    /// Binary ones (`binary: ignore`).
    pub binary: u64,
    /// Larger than `max_message_bytes`.
    pub too_large: u64,
    /// Wanted, but another server had taken over before they were committed.
    pub fenced: u64,
}

/// Where a trigger is, and what goes with it.
#[derive(Debug, Clone)]
struct Standing {
    state: TriggerState,
    since: Timestamp,
    error: Option<String>,
    attempts: u32,
    next_attempt_at: Option<Timestamp>,
    connected_at: Option<Timestamp>,
}

/// One trigger's board entry: written by its socket, read by everybody.
#[derive(Debug)]
pub struct Live {
    /// The trigger's workspace.
    pub workspace: Arc<str>,
    /// The trigger's path.
    pub path: Arc<str>,
    standing: Mutex<Standing>,
    /// Grows with each change of the standing.
    changes: AtomicU64,
    last_message_at: AtomicU64,
    /// Not wanted by the filters.
    pub unmatched: Counter,
    /// Kept by a conversation rule.
    pub handled: Counter,
    /// Wanted by the filters.
    pub matched: Counter,
    /// Committed as jobs.
    pub enqueued: Counter,
    /// Results sent back.
    pub replied: Counter,
    /// Results whose connection was gone.
    reply_undeliverable: AtomicU64,
    /// Results that could not be sent.
    pub reply_failed: Counter,
    /// Binary messages ignored.
    pub binary: Counter,
    /// Messages beyond the size limit.
    pub too_large: Counter,
    /// Lost because another server had taken over.
    pub lost: Counter,
    /// Bytes of whole messages.
    pub bytes_received: Counter,
    tails: AtomicU32,
    sampled: Mutex<Sampler>,
    /// What was counted for the trigger before, while it listened last.
    before: Before,
}

impl Live {
    fn new(workspace: Arc<str>, path: Arc<str>, before: Before) -> Self {
        Self {
            workspace,
            path,
            standing: Mutex::new(Standing {
                state: TriggerState::Connecting,
                since: Timestamp::now(),
                error: None,
                attempts: 0,
                next_attempt_at: None,
                connected_at: None,
            }),
            changes: AtomicU64::new(0),
            last_message_at: AtomicU64::new(0),
            unmatched: Counter::default(),
            handled: Counter::default(),
            matched: Counter::default(),
            enqueued: Counter::default(),
            replied: Counter::default(),
            reply_undeliverable: AtomicU64::new(0),
            reply_failed: Counter::default(),
            binary: Counter::default(),
            too_large: Counter::default(),
            lost: Counter::default(),
            bytes_received: Counter::default(),
            tails: AtomicU32::new(0),
            sampled: Mutex::default(),
            before,
        }
    }

    /// What was counted in all.
    pub(super) fn counted(&self) -> Counted {
        // In this order the sums never show more than was counted.
        let enqueued = self.enqueued.get();
        let mut counted = self.before.counted();
        counted.enqueued += enqueued;
        counted.matched += self.matched.get();
        counted.unmatched += self.unmatched.get();
        counted.handled += self.handled.get();
        counted.replied += self.replied.get();
        counted.reply_undeliverable += self.reply_undeliverable.load(Relaxed);
        counted.reply_failed += self.reply_failed.get();
        counted.binary += self.binary.get();
        counted.too_large += self.too_large.get();
        counted.lost += self.lost.get();
        counted.bytes_received += self.bytes_received.get();
        counted.matched = counted.matched.max(counted.enqueued);
        counted.last_message_at = counted
            .last_message_at
            .max(self.last_message_at.load(Relaxed));
        counted
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) {
        let mut standing = self.standing.lock();
        let before = standing.state;
        change(&mut standing);
        if standing.state != before {
            standing.since = Timestamp::now();
        }
        self.changes.fetch_add(1, Relaxed);
    }

    /// A new attempt begins; the last failure stays visible until one succeeds.
    pub fn connecting(&self) {
        self.change(|standing| {
            standing.state = TriggerState::Connecting;
            standing.next_attempt_at = None;
            standing.connected_at = None;
        });
    }

    /// Why the attempt has to wait, while it does.
    pub fn waits_for(&self, what: Option<&str>) {
        self.change(|standing| standing.error = what.map(str::to_owned));
    }

    /// Connected; first messages are under way.
    pub fn handshaking(&self) {
        self.change(|standing| {
            standing.state = TriggerState::Handshaking;
            standing.connected_at = Some(Timestamp::now());
        });
    }

    /// Messages become jobs (held ones when `suspended`).
    pub fn listening(&self, suspended: bool) {
        self.change(|standing| {
            standing.state = if suspended {
                TriggerState::Suspended
            } else {
                TriggerState::Listening
            };
            standing.error = None;
            standing.next_attempt_at = None;
        });
    }

    /// The attempt or the connection failed; the next one begins at `next`.
    pub fn backoff(&self, error: &str, attempts: u32, next: Timestamp) {
        self.change(|standing| {
            standing.state = TriggerState::Backoff;
            standing.error = Some(error.to_owned());
            standing.attempts = attempts;
            standing.next_attempt_at = Some(next);
            standing.connected_at = None;
        });
    }

    /// So many attempts failed, and no other will follow.
    pub fn tried(&self, attempts: u32) {
        self.change(|standing| standing.attempts = attempts);
    }

    /// Goes on where another entry of the trigger stands: it has another path by now.
    pub fn continues(&self, other: &Self) {
        let standing = other.standing.lock().clone();
        *self.standing.lock() = standing;
        self.changes.fetch_add(1, Relaxed);
    }

    /// The connection has been healthy long enough to forget the failures before it.
    pub fn healthy(&self) {
        self.change(|standing| standing.attempts = 0);
    }

    /// It does not listen any more, for good or because of `error`.
    pub fn disabled(&self, error: Option<&str>) {
        self.change(|standing| {
            standing.state = TriggerState::Disabled;
            standing.error = error.map(str::to_owned);
            standing.next_attempt_at = None;
            standing.connected_at = None;
        });
    }

    /// Notes that a whole message came; who knows what became of it counts it.
    pub fn message(&self, bytes: usize, now: Timestamp) {
        self.bytes_received.add(bytes as u64);
        self.last_message_at.store(now.0.unsigned_abs(), Relaxed);
    }

    /// Whole messages so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.counted().received()
    }

    /// Counts `n` matched messages as lost: they were not committed, and never will be.
    pub fn fenced(&self, n: u64) {
        self.matched.add(n.wrapping_neg());
        self.lost.add(n);
    }

    /// Counts a result whose connection is gone: the socket may find that out, or who passes results on.
    pub fn undeliverable(&self) {
        self.reply_undeliverable.fetch_add(1, Relaxed);
    }

    /// Whether somebody follows the messages.
    #[must_use]
    pub fn is_tailed(&self) -> bool {
        self.tails.load(Relaxed) > 0
    }

    /// Why it does not listen; none while healthy.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.standing.lock().error.clone()
    }

    /// A number that differs when anything of the status does.
    fn fingerprint(&self) -> u64 {
        let counted = self.counted();
        self.changes
            .load(Relaxed)
            .wrapping_add(counted.received())
            .wrapping_add(counted.enqueued)
            .wrapping_add(counted.replied)
            .wrapping_add(counted.reply_undeliverable)
            .wrapping_add(counted.reply_failed)
    }

    /// The status as the API shows it.
    #[must_use]
    pub fn status(&self, server_id: &str) -> TriggerStatus {
        let standing = self.standing.lock().clone();
        let counted = self.counted();
        let last = i64::try_from(counted.last_message_at).unwrap_or(0);
        TriggerStatus {
            state: standing.state,
            since: standing.since,
            error: standing.error,
            attempts: standing.attempts,
            next_attempt_at: standing.next_attempt_at,
            server_id: Some(server_id.to_owned()),
            connected_at: standing.connected_at,
            last_message_at: (last > 0).then_some(Timestamp(last)),
            received: counted.received(),
            unmatched: counted.unmatched,
            handled: counted.handled,
            matched: counted.matched,
            pending: counted.matched - counted.enqueued,
            enqueued: counted.enqueued,
            replied: counted.replied,
            reply_undeliverable: counted.reply_undeliverable,
            reply_failed: counted.reply_failed,
            dropped: Dropped {
                binary: counted.binary,
                too_large: counted.too_large,
                fenced: counted.lost,
            },
            bytes_received: counted.bytes_received,
        }
    }
}

impl Live {
    /// An entry that no board shows: of a connection that is tried out.
    #[must_use]
    pub fn detached(workspace: &str, path: &str) -> Self {
        Self::new(workspace.into(), path.into(), Before::default())
    }
}
