//! [`Board`]: the entries of every trigger that this server listens for, and who follows the messages of which.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use parking_lot::{Mutex, RwLock};
use serde_json::json;
use tokio::sync::broadcast;

use super::{Live, Sample, Totals, TriggerState, TriggerStatus, Verdict};
use crate::{
    trigger::{counted::Before, filter::Explanation, sampler::beginning},
    types::Timestamp,
};

/// Triggers whose counters are kept while they are not listened for.
const RESTING: usize = 10_000;
/// Samples that a slow watcher may be behind by; older ones are dropped for it alone.
const SAMPLES: usize = 256;

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
    /// Why commits fail at present, and how often that has changed.
    trouble: Arc<Mutex<(Option<String>, u64)>>,
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
            trouble: Arc::default(),
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
        let listened = entries.remove(&key);
        let is_listened = listened.is_some();
        let Some(live) = listened.or_else(|| resting.remove(&key)) else {
            return;
        };
        let to: Place = (workspace.into(), to.into());
        match entries.get(&to) {
            // Its socket was quicker.
            Some(there) => there.before.add(live),
            // Its socket will be told; what it has counted is shown meanwhile.
            None if is_listened => {
                let before = Before::of(Arc::clone(&live));
                let moved = Live::new(Arc::clone(&to.0), Arc::clone(&to.1), before);
                moved.continues(&live);
                entries.insert(to, Arc::new(moved));
            }
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

    /// Counts a result whose connection is gone, also for a trigger that is not listened for any more.
    pub fn undeliverable(&self, workspace: &str, path: &str) {
        let key: Place = (workspace.into(), path.into());
        let live = self.entries.read().get(&key).cloned();
        if let Some(live) = live.or_else(|| self.resting.lock().get(&key).cloned()) {
            live.undeliverable();
        }
    }

    /// A trigger's status, if this server has one.
    #[must_use]
    pub fn status(&self, workspace: &str, path: &str) -> Option<TriggerStatus> {
        Some(self.shown(&*self.get(workspace, path)?))
    }

    /// Why a trigger's messages become no jobs now; none while healthy.
    #[must_use]
    pub fn error(&self, live: &Live) -> Option<String> {
        live.error().or_else(|| self.trouble.lock().0.clone())
    }

    /// Whether commits fail at present, and why: whatever listens is not healthy then.
    pub fn database_is(&self, error: Option<String>) {
        let mut trouble = self.trouble.lock();
        let error = error.map(|error| format!("messages wait for the database: {error}"));
        if trouble.0 != error {
            *trouble = (error, trouble.1.wrapping_add(1));
        }
    }

    /// The status of an entry, with what troubles all of them.
    fn shown(&self, live: &Live) -> TriggerStatus {
        let status = live.status(&self.server_id);
        let error = status.error.or_else(|| self.trouble.lock().0.clone());
        TriggerStatus { error, ..status }
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
        let troubles = self.trouble.lock().1;
        let entries = self.entries.read();
        let here = entries
            .values()
            .filter(|live| &*live.workspace == workspace);
        let mut changed = Vec::new();
        for live in here {
            let fingerprint = live.fingerprint().wrapping_add(troubles);
            if seen.insert(Arc::clone(&live.path), fingerprint) != Some(fingerprint) {
                changed.push((Arc::clone(&live.path), self.shown(live)));
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
    /// `bytes` is its length, whatever `text` shows of it; `why` is asked only for what is shown.
    pub fn sample(
        &self,
        live: &Live,
        (text, bytes): (&str, usize),
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
            bytes,
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
        moved.unmatched.add(1);
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
    fn a_database_that_is_away_troubles_all() {
        let board = Board::new("s1");
        board.entry("main", "u/a/t").listening(false);
        let mut seen = HashMap::new();
        assert_eq!(board.changes("main", &mut seen).len(), 1);
        board.database_is(Some("no answer".to_owned()));
        let told = board.changes("main", &mut seen).remove(0).1;
        assert_eq!(told.state, TriggerState::Listening);
        assert_eq!(
            told.error.as_deref(),
            Some("messages wait for the database: no answer")
        );
        assert_eq!(board.status("main", "u/a/t").unwrap().error, told.error);
        board.database_is(Some("no answer".to_owned()));
        assert!(board.changes("main", &mut seen).is_empty());
        board.database_is(None);
        assert_eq!(board.changes("main", &mut seen).remove(0).1.error, None);
    }

    #[test]
    fn samples_are_bounded_in_rate_and_size() {
        let board = Board::new("s1");
        let live = board.entry("main", "u/a/t");
        let tail = board.tail("main", "u/a/t").unwrap();
        let mut samples = board.samples();
        for _ in 0..SAMPLES_PER_SECOND + 5 {
            let (text, at) = ("é".repeat(4_000), Timestamp(1));
            board.sample(&live, (&text, text.len()), (Verdict::Matched, at), || None);
        }
        let later = (Verdict::Unmatched, Timestamp(1_000_001));
        board.sample(&live, ("x", 1), later, || None);
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
