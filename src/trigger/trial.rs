//! What somebody who tries a connection out sees of it, step by step: [`TrialEvent`]; and [`Reporter`], which tells it.
//!
//! The socket tells, whoever asked reads from a bounded channel. Messages give way when the reader is slow, steps have
//! room kept for them; a reader that goes away ends the trial.

use std::{cell::RefCell, rc::Rc, time::Duration};

use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    attempt::{Progress, Step},
    filter::{CompiledFilter, Explanation},
    sampler::{Sampler, beginning},
    status::Verdict,
};
use crate::types::Timestamp;

/// Events that may wait for their reader.
pub(super) const EVENTS: usize = 256;
/// Of them, kept free of messages: a connection tells far fewer steps than this between two reads.
const FOR_STEPS: usize = 128;
/// Longest message whose verdict is explained: each filter looks through the whole text.
const EXPLAINED_BYTES: usize = 64 * 1024;
/// Most filters whose verdicts are told with each message; the reader can ask for more one by one.
const EXPLAINED_FILTERS: usize = 100;

/// Something happened to a connection that is tried out. One JSON line each.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TrialEvent {
    /// A step begins.
    Begun {
        /// `settings`, `url`, `turn` (of `connect_rate`), `resolve`, `connect`, `proxy`, `tls`, `handshake`, or the
        /// place of a first message like `initial_messages[0]`. A proxy makes `resolve` and `connect` its own.
        step: String,
        /// What is waited for, where that is not plain.
        note: Option<String>,
    },
    /// A step is done.
    Done {
        /// Which.
        step: String,
        /// How long it took, in milliseconds.
        ms: f64,
        /// What came of it: addresses, the TLS version, the sub-protocol, the awaited message.
        note: Option<String>,
    },
    /// A step failed; the last event.
    Failed {
        /// Which; `private address` where the address may not be reached.
        step: String,
        /// Why, in one sentence.
        error: String,
        /// What the server said, where it answered with something else than an upgrade.
        answer: Option<ServerAnswer>,
    },
    /// The first messages are through: from here on messages would become jobs.
    Listening,
    /// A message came (of a fast feed, at most 20 a second are told).
    Message(TrialMessage),
    /// What came in the last second, told while messages come.
    Rate {
        /// Messages in that second.
        per_second: u64,
        /// Messages of this connection.
        received: u64,
        /// Of them, those the filters want.
        matched: u64,
    },
    /// The connection is over; the last event.
    Closed {
        /// Who closed it, with which code and text.
        error: String,
        /// The code of the server's close frame.
        code: Option<u16>,
    },
    /// What was asked for is told; the last event.
    Ended {
        /// `messages` or `seconds`: which bound was reached.
        by: &'static str,
    },
}

/// A refused upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ServerAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers, at most 4 KiB.
    pub headers: Vec<(String, String)>,
    /// The beginning of its body, at most 1 KiB.
    pub body: Option<String>,
    /// How long it asks to be left alone.
    pub retry_after_secs: Option<u64>,
}

/// A message, as who tries a connection out sees it.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TrialMessage {
    /// When it came.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// Its first 4 KiB.
    pub text: String,
    /// Its whole length.
    pub bytes: usize,
    /// What would become of it.
    pub verdict: Verdict,
    /// Messages not told since the one before.
    pub skipped: u64,
    /// Why the filters want it or not; left out of messages over 64 KiB and with more than 100 filters.
    pub why: Option<Explanation>,
}

/// Why the filters want a message or not, where that is told with the message.
#[must_use]
pub fn why(filter: &CompiledFilter, text: &str, verdict: Verdict) -> Option<Explanation> {
    let decided = matches!(verdict, Verdict::Matched | Verdict::Unmatched);
    let brief = text.len() <= EXPLAINED_BYTES && filter.leaves() <= EXPLAINED_FILTERS;
    (decided && brief).then(|| filter.explain(text))
}

/// The socket's end of a trial. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reporter {
    events: mpsc::Sender<TrialEvent>,
    sampler: Rc<RefCell<Sampler>>,
}

impl Reporter {
    /// Tells `events`.
    #[must_use]
    pub fn new(events: mpsc::Sender<TrialEvent>) -> Self {
        Self {
            events,
            sampler: Rc::default(),
        }
    }

    /// Resolves when nobody listens any more.
    pub fn gone(&self) -> impl Future<Output = ()> + use<> {
        let events = self.events.clone();
        async move { events.closed().await }
    }

    /// Tells a step; one that finds no room is lost, and the reader is far behind anyway.
    pub fn tell(&self, event: TrialEvent) {
        // An error says that the reader is gone or far behind.
        let _ = self.events.try_send(event);
    }

    /// Tells that a step begins.
    pub fn begun(&self, step: &str, note: Option<String>) {
        let step = step.to_owned();
        self.tell(TrialEvent::Begun { step, note });
    }

    /// Tells that a step is done.
    pub fn done(&self, step: &str, took: Duration, note: Option<String>) {
        self.tell(TrialEvent::Done {
            step: step.to_owned(),
            ms: took.as_secs_f64() * 1_000.0,
            note,
        });
    }

    /// What an attempt to connect reports to.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let reporter = self.clone();
        Rc::new(move |step| match step {
            Step::Begun(stage) => reporter.begun(stage.as_str(), None),
            Step::Done { stage, took, note } => {
                reporter.done(stage.as_str(), took, (!note.is_empty()).then_some(note));
            }
        })
    }

    /// Tells a message, unless there were too many of late.
    pub fn message(
        &self,
        (text, bytes): (&str, usize),
        verdict: Verdict,
        at: Timestamp,
        filter: &CompiledFilter,
    ) {
        if self.events.capacity() <= FOR_STEPS {
            self.sampler.borrow_mut().skip();
            return;
        }
        let Some(skipped) = self.sampler.borrow_mut().take(at) else {
            return;
        };
        self.tell(TrialEvent::Message(TrialMessage {
            at,
            text: beginning(text).to_owned(),
            bytes,
            verdict,
            skipped,
            why: why(filter, text, verdict),
        }));
    }
}
