//! What people see of a trigger while it runs: its state, its counters, a sample of its messages.
//!
//! A `Socket` writes its [`Live`]; the API reads it through the [`Board`] without
//! asking anybody, so a busy socket cannot make the page wait. Counters have one writer and are relaxed
//! atomics: a few reads may be a message apart from each other, the sums of contract section 5 hold at rest.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::{
    counted::{Before, Counted},
    filter::Explanation,
    sampler::{Sampler, beginning},
};
use crate::types::Timestamp;

/// Triggers whose counters are kept while they are not listened for.
const RESTING: usize = 10_000;
/// Samples that a slow watcher may be behind by; older ones are dropped for it alone.
const SAMPLES: usize = 256;

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

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. One thread only: not an atomic addition, which would cost ten times as much.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The present value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
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
    /// Whole messages received.
    pub received: Counter,
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
    /// Results whose connection was gone; counted by the one actor that passes results on.
    pub reply_undeliverable: Counter,
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

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It becomes a job.
    Matched,
    /// The filters did not want it.
    Unmatched,
    /// A conversation rule kept it.
    Handled,
    /// A rule dropped it.
    Dropped,
}

impl Verdict {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Unmatched => "unmatched",
            Self::Handled => "handled",
            Self::Dropped => "dropped",
        }
    }
}

/// A message as people who follow a trigger see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    /// The trigger's workspace.
    pub workspace: Arc<str>,
    /// The trigger's path.
    pub path: Arc<str>,
    /// When it came.
    pub at: Timestamp,
    /// Its first 4 KiB.
    pub text: Arc<str>,
    /// Its whole length.
    pub bytes: usize,
    /// What became of it.
    pub verdict: Verdict,
    /// Messages not shown since the one before.
    pub skipped: u64,
    /// Why the filters want it or not, where that is told.
    pub why: Option<Value>,
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
            received: Counter::default(),
            unmatched: Counter::default(),
            handled: Counter::default(),
            matched: Counter::default(),
            enqueued: Counter::default(),
            replied: Counter::default(),
            reply_undeliverable: Counter::default(),
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
        counted.received += self.received.get();
        counted.unmatched += self.unmatched.get();
        counted.handled += self.handled.get();
        counted.replied += self.replied.get();
        counted.reply_undeliverable += self.reply_undeliverable.get();
        counted.reply_failed += self.reply_failed.get();
        counted.binary += self.binary.get();
        counted.too_large += self.too_large.get();
        counted.lost += self.lost.get();
        counted.bytes_received += self.bytes_received.get();
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

    /// Counts a whole message.
    pub fn message(&self, bytes: usize, now: Timestamp) {
        self.received.add(1);
        self.bytes_received.add(bytes as u64);
        self.last_message_at.store(now.0.unsigned_abs(), Relaxed);
    }

    /// Counts `n` matched messages as lost: they were not committed, and never will be.
    pub fn fenced(&self, n: u64) {
        self.matched.add(n.wrapping_neg());
        self.lost.add(n);
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
            .wrapping_add(counted.received)
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
        let matched = counted.matched.max(counted.enqueued);
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
            received: counted.received,
            unmatched: counted.unmatched,
            handled: counted.handled,
            matched,
            pending: matched - counted.enqueued,
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

    fn add(&mut self, live: &Live) {
        let counted = live.counted();
        self.received += counted.received;
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

/// Workspace and path.
pub type Place = (Arc<str>, Arc<str>);

type Entries = HashMap<Place, Arc<Live>>;

/// Every trigger that this server listens for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Board {
    server_id: Arc<str>,
    entries: Arc<RwLock<Entries>>,
    /// Triggers that this server does not listen for now, but has: their counters go on when it does again.
    resting: Arc<Mutex<Entries>>,
    /// What entries that are no more had counted, by workspace.
    retired: Arc<Mutex<HashMap<Arc<str>, Totals>>>,
    samples: broadcast::Sender<Arc<Sample>>,
    /// Triggers whose messages somebody wants to see, wherever they run, and how many do.
    watched: Arc<Mutex<HashMap<Place, usize>>>,
}

impl Board {
    /// An empty board of the server `server_id`.
    #[must_use]
    pub fn new(server_id: &str) -> Self {
        Self {
            server_id: server_id.into(),
            entries: Arc::default(),
            resting: Arc::default(),
            retired: Arc::default(),
            samples: broadcast::channel(SAMPLES).0,
            watched: Arc::default(),
        }
    }

    /// This server's name.
    #[must_use]
    pub fn server_id(&self) -> &str {
        &self.server_id
    }

    /// The entry of a trigger; counters survive until [`Board::remove`] (contract section 5).
    #[must_use]
    pub fn entry(&self, workspace: &str, path: &str) -> Arc<Live> {
        let key: Place = (workspace.into(), path.into());
        let mut entries = self.entries.write();
        if let Some(live) = entries.get(&key) {
            return Arc::clone(live);
        }
        let rested = self.resting.lock().remove(&key);
        let before = rested.map_or_else(Before::default, Before::of);
        let live = Arc::new(Live::new(Arc::clone(&key.0), Arc::clone(&key.1), before));
        entries.insert(key, Arc::clone(&live));
        live
    }

    /// A trigger is not listened for any more; its counters go on when it is again.
    pub fn rest(&self, workspace: &str, path: &str) {
        let mut entries = self.entries.write();
        let mut resting = self.resting.lock();
        if resting.len() >= RESTING {
            drop((entries, resting));
            return self.remove(workspace, path);
        }
        if let Some((key, live)) = entries.remove_entry(&(workspace.into(), path.into())) {
            live.disabled(None);
            resting.insert(key, live);
        }
    }

    /// A trigger has another path from now on: what it counted goes with it.
    pub fn rename(&self, workspace: &str, path: &str, to: &str) {
        let key: Place = (workspace.into(), path.into());
        let mut entries = self.entries.write();
        let mut resting = self.resting.lock();
        let Some(live) = entries.remove(&key).or_else(|| resting.remove(&key)) else {
            return;
        };
        let to: Place = (workspace.into(), to.into());
        match entries.get(&to) {
            // Its socket was quicker.
            Some(there) => there.before.add(live),
            None => drop(resting.insert(to, live)),
        }
    }

    /// What a trigger had counted that this server does not listen for now.
    #[must_use]
    pub fn rested(&self, workspace: &str, path: &str) -> Option<TriggerStatus> {
        let key: Place = (workspace.into(), path.into());
        let live = self.resting.lock().get(&key).cloned()?;
        Some(live.status(&self.server_id))
    }

    /// Forgets a trigger that is no more; the totals keep what it counted.
    pub fn remove(&self, workspace: &str, path: &str) {
        let key: Place = (workspace.into(), path.into());
        let mut entries = self.entries.write();
        let removed = entries.remove(&key);
        let rested = self.resting.lock().remove(&key);
        for live in removed.into_iter().chain(rested) {
            let mut retired = self.retired.lock();
            retired
                .entry(Arc::clone(&live.workspace))
                .or_default()
                .add(&live);
        }
    }

    /// What every trigger counted since the start, by workspace; it only grows.
    #[must_use]
    pub fn totals(&self) -> HashMap<Arc<str>, Totals> {
        let entries = self.entries.read();
        let resting = self.resting.lock();
        let mut totals = self.retired.lock().clone();
        for live in entries.values().chain(resting.values()) {
            totals
                .entry(Arc::clone(&live.workspace))
                .or_default()
                .add(live);
        }
        totals
    }

    /// How many triggers are in each state, by workspace.
    #[must_use]
    pub fn states(&self) -> HashMap<(Arc<str>, TriggerState), u64> {
        let mut states = HashMap::new();
        for live in self.entries.read().values() {
            let state = live.standing.lock().state;
            *states
                .entry((Arc::clone(&live.workspace), state))
                .or_default() += 1;
        }
        states
    }

    /// The entry of a trigger, if this server has one.
    #[must_use]
    pub fn get(&self, workspace: &str, path: &str) -> Option<Arc<Live>> {
        let key: (Arc<str>, Arc<str>) = (workspace.into(), path.into());
        self.entries.read().get(&key).cloned()
    }

    /// A trigger's status, if this server has one.
    #[must_use]
    pub fn status(&self, workspace: &str, path: &str) -> Option<TriggerStatus> {
        Some(self.get(workspace, path)?.status(&self.server_id))
    }

    /// Every entry.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Live>> {
        self.entries.read().values().cloned().collect()
    }

    /// The statuses in `workspace` that changed since `seen` (which is brought up to date).
    #[must_use]
    pub fn changes(
        &self,
        workspace: &str,
        seen: &mut HashMap<Arc<str>, u64>,
    ) -> Vec<(Arc<str>, TriggerStatus)> {
        let entries = self.entries.read();
        let here = entries
            .values()
            .filter(|live| &*live.workspace == workspace);
        let mut changed = Vec::new();
        for live in here {
            let fingerprint = live.fingerprint();
            if seen.insert(Arc::clone(&live.path), fingerprint) != Some(fingerprint) {
                changed.push((Arc::clone(&live.path), live.status(&self.server_id)));
            }
        }
        changed
    }

    /// Every status that changed since `seen` (which is brought up to date, and forgets what is no more).
    #[must_use]
    pub fn changed_since(&self, seen: &mut HashMap<Place, u64>) -> Vec<(Place, TriggerStatus)> {
        let entries = self.entries.read();
        seen.retain(|place, _| entries.contains_key(place));
        let mut changed = Vec::new();
        for (place, live) in entries.iter() {
            let fingerprint = live.fingerprint();
            if seen.insert(place.clone(), fingerprint) != Some(fingerprint) {
                changed.push((place.clone(), live.status(&self.server_id)));
            }
        }
        changed
    }

    /// Follows the messages of a trigger that this server listens for, as long as the answer lives. They come
    /// through [`Board::samples`].
    #[must_use]
    pub fn tail(&self, workspace: &str, path: &str) -> Option<Tail> {
        let live = self.get(workspace, path)?;
        live.tails.fetch_add(1, Relaxed);
        Some(Tail(live))
    }

    /// Whether the trigger still has the entry that `tail` follows.
    #[must_use]
    pub fn is_current(&self, Tail(followed): &Tail) -> bool {
        let live = self.get(&followed.workspace, &followed.path);
        live.is_some_and(|live| Arc::ptr_eq(&live, followed))
    }

    /// Says that somebody wants to see a trigger's messages, wherever it runs, as long as the answer lives.
    #[must_use]
    pub fn watch(&self, workspace: &str, path: &str) -> Watch {
        let place = (workspace.into(), path.into());
        *self.watched.lock().entry(Place::clone(&place)).or_default() += 1;
        let watched = Arc::clone(&self.watched);
        Watch { watched, place }
    }

    /// The triggers that somebody watches here and that run elsewhere, if anywhere.
    #[must_use]
    pub fn watched_elsewhere(&self) -> Vec<Place> {
        let entries = self.entries.read();
        let watched = self.watched.lock();
        let elsewhere = watched.keys().filter(|place| !entries.contains_key(*place));
        elsewhere.cloned().collect()
    }

    /// Shows a message that another server has seen to those who watch here.
    pub fn show(&self, sample: Sample) {
        // An error only says that nobody follows any more.
        let _ = self.samples.send(Arc::new(sample));
    }

    /// The samples of every tailed trigger.
    #[must_use]
    pub fn samples(&self) -> broadcast::Receiver<Arc<Sample>> {
        self.samples.subscribe()
    }

    /// Shows a message to those who follow the trigger, not more often than eyes can follow.
    /// `why` is asked only for what is shown.
    pub fn sample(
        &self,
        live: &Live,
        text: &str,
        (verdict, now): (Verdict, Timestamp),
        why: impl FnOnce() -> Option<Explanation>,
    ) {
        let Some(skipped) = live.sampled.lock().take(now) else {
            return;
        };
        // An error only says that nobody follows any more.
        let _ = self.samples.send(Arc::new(Sample {
            workspace: Arc::clone(&live.workspace),
            path: Arc::clone(&live.path),
            at: now,
            text: beginning(text).into(),
            bytes: text.len(),
            verdict,
            skipped,
            why: why().map(|why| json!(why)),
        }));
    }
}

/// Somebody follows a trigger's messages.
#[derive(Debug)]
pub struct Tail(Arc<Live>);

impl Drop for Tail {
    fn drop(&mut self) {
        self.0.tails.fetch_sub(1, Relaxed);
    }
}

/// Somebody wants to see a trigger's messages, wherever it runs.
#[derive(Debug)]
pub struct Watch {
    watched: Arc<Mutex<HashMap<Place, usize>>>,
    place: Place,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.watched.lock();
        if let Some(count) = watched.get_mut(&self.place) {
            *count -= 1;
            if *count == 0 {
                watched.remove(&self.place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::sampler::{SAMPLE_BYTES, SAMPLES_PER_SECOND};

    #[test]
    fn a_status_adds_up_and_changes_are_told_once() {
        let board = Board::new("s1");
        let live = board.entry("main", "u/a/t");
        live.message(10, Timestamp(5));
        live.matched.add(1);
        let mut seen = HashMap::new();
        let changed = board.changes("main", &mut seen);
        assert_eq!(changed[0].1.pending, 1);
        assert!(board.changes("main", &mut seen).is_empty());
        live.enqueued.add(1);
        assert_eq!(board.changes("main", &mut seen)[0].1.pending, 0);
        assert!(board.changes("other", &mut HashMap::new()).is_empty());
    }

    #[test]
    fn counters_go_on_when_a_trigger_listens_again_or_at_another_path() {
        let board = Board::new("s1");
        let draining = board.entry("main", "u/a/t");
        draining.message(10, Timestamp(5));
        draining.matched.add(1);
        board.rest("main", "u/a/t");
        assert!(board.status("main", "u/a/t").is_none());
        let rested = board.rested("main", "u/a/t").unwrap();
        assert_eq!((rested.state, rested.received), (TriggerState::Disabled, 1));

        let again = board.entry("main", "u/a/t");
        again.message(10, Timestamp(6));
        again.unmatched.add(1);
        let status = board.status("main", "u/a/t").unwrap();
        assert_eq!((status.received, status.pending), (2, 1));
        // What the connection of before still had to commit.
        draining.enqueued.add(1);
        drop(draining);
        board.rename("main", "u/a/t", "u/a/u");
        let moved = board.entry("main", "u/a/u");
        moved.message(10, Timestamp(7));
        let status = board.status("main", "u/a/u").unwrap();
        assert_eq!(
            (status.received, status.pending, status.enqueued),
            (3, 0, 1)
        );
        assert_eq!(status.last_message_at, Some(Timestamp(7)));
        let all = |board: &Board| Totals::sum(board.totals().values()).received;
        assert_eq!(all(&board), 3);
        board.remove("main", "u/a/u");
        assert_eq!(all(&board), 3, "the totals keep it");
        assert_eq!(board.entry("main", "u/a/u").status("s1").received, 0);
    }

    #[test]
    fn samples_are_bounded_in_rate_and_size() {
        let board = Board::new("s1");
        let live = board.entry("main", "u/a/t");
        let tail = board.tail("main", "u/a/t").unwrap();
        let mut samples = board.samples();
        for _ in 0..SAMPLES_PER_SECOND + 5 {
            let (text, at) = ("é".repeat(4_000), Timestamp(1));
            board.sample(&live, &text, (Verdict::Matched, at), || None);
        }
        let later = (Verdict::Unmatched, Timestamp(1_000_001));
        board.sample(&live, "x", later, || None);
        let first = samples.try_recv().unwrap();
        assert_eq!((first.text.len(), first.bytes), (SAMPLE_BYTES, 8_000));
        let last = std::iter::from_fn(|| samples.try_recv().ok())
            .last()
            .unwrap();
        assert_eq!((&*last.text, last.skipped), ("x", 5));
        assert!(board.is_current(&tail));
        board.remove("main", "u/a/t");
        let again = board.entry("main", "u/a/t");
        assert!(!board.is_current(&tail) && !again.is_tailed());
        drop(tail);
        assert!(!live.is_tailed());
    }

    #[test]
    fn who_watches_a_trigger_of_another_server_is_known() {
        let board = Board::new("s1");
        let (one, two) = (board.watch("main", "u/a/t"), board.watch("main", "u/a/t"));
        assert_eq!(board.watched_elsewhere().len(), 1);
        drop(one);
        let here = board.entry("main", "u/a/t");
        assert!(board.watched_elsewhere().is_empty());
        board.remove(&here.workspace, &here.path);
        assert_eq!(board.watched_elsewhere().len(), 1);
        drop(two);
        assert!(board.watched_elsewhere().is_empty());
    }
}
