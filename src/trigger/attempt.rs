//! What one attempt to connect tells its caller: where it is, how long each step took, why it failed.
//!
//! `connector` and `refusal` write it, `handshake` reads it. Texts made here never hold a header, a
//! query, a user name, a password or a token.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    time::{Duration, Instant},
};

use super::refusal::Refusal;

/// The part of connecting that an error or a wait belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The trigger's own settings cannot be used as they are.
    Settings,
    /// The host's name is looked up.
    Resolve,
    /// The host is, or resolves to, an address windsock must not reach.
    PrivateAddress,
    /// The TCP connection is made.
    Connect,
    /// The proxy is asked for a tunnel.
    Proxy,
    /// The TLS session is set up.
    Tls,
    /// The HTTP upgrade is asked for.
    Handshake,
}

impl Stage {
    /// The stage's name in error texts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Resolve => "resolve",
            Self::PrivateAddress => "private address",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Handshake => "handshake",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an attempt tells while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A stage begins.
    Begun(Stage),
    /// A stage is done.
    Done {
        /// Which.
        stage: Stage,
        /// How long it took.
        took: Duration,
        /// What came of it: addresses, the TLS version, the sub-protocol.
        note: String,
    },
}

/// Hears of each [`Step`] as it happens; must return at once.
pub type Progress = Rc<dyn Fn(Step)>;

/// Why a connection could not be made. The text is fit for status, page and log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {reason}")]
pub struct ConnectError {
    /// Where it failed.
    pub stage: Stage,
    /// What happened, in one sentence.
    pub reason: String,
    /// The HTTP status of a server (or proxy) that answered with a refusal.
    pub status: Option<u16>,
    /// How long the server asked to be left alone; at most an hour.
    pub retry_after: Option<Duration>,
    /// The beginning of a refusal's body, at most 1 KiB. The server's own
    /// words: for the owner of the trigger, not for a log.
    pub body: Option<String>,
    /// The refusal's headers, at most 4 KiB of them. For the owner, too.
    pub headers: Vec<(String, String)>,
}

impl ConnectError {
    pub(crate) fn new(stage: Stage, reason: impl Into<String>) -> Self {
        Self {
            stage,
            reason: reason.into(),
            status: None,
            retry_after: None,
            body: None,
            headers: Vec::new(),
        }
    }
}

/// One attempt's notebook, shared by the parts that awc calls and the one that called awc.
pub(crate) struct Attempt {
    stage: Cell<Stage>,
    since: Cell<Instant>,
    progress: Option<Progress>,
    failure: RefCell<Option<ConnectError>>,
    refusal: RefCell<Option<Refusal>>,
}

impl Attempt {
    pub(crate) fn new(progress: Option<Progress>) -> Rc<Self> {
        Rc::new(Self {
            stage: Cell::new(Stage::Settings),
            since: Cell::new(Instant::now()),
            progress,
            failure: RefCell::new(None),
            refusal: RefCell::new(None),
        })
    }

    /// Notes that `stage` begins now.
    pub(crate) fn begin(&self, stage: Stage) {
        self.stage.set(stage);
        self.since.set(Instant::now());
        if let Some(progress) = &self.progress {
            progress(Step::Begun(stage));
        }
    }

    /// Reports the stage begun last as done; `note` says what came of it.
    pub(crate) fn done(&self, note: impl FnOnce() -> String) {
        if let Some(progress) = &self.progress {
            progress(Step::Done {
                stage: self.stage.get(),
                took: self.since.get().elapsed(),
                note: note(),
            });
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// Keeps the real reason: awc's own error types have no room for it.
    pub(crate) fn fail(&self, error: ConnectError) {
        self.failure.replace(Some(error));
    }

    pub(crate) fn take_failure(&self) -> Option<ConnectError> {
        self.failure.take()
    }

    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.refusal.replace(Some(refusal));
    }

    pub(crate) fn take_refusal(&self) -> Option<Refusal> {
        self.refusal.take()
    }
}
