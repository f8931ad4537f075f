//! Small pure rules around a connection: which URLs there are, what texts are sent, how long to wait.

use std::time::Duration;

use url::Url;

use super::TriggerSpec;
use crate::types::Invalid;

/// Checks a rendered or literal URL: `ws://` or `wss://`, with a host. Whether it may be dialled is not asked here.
///
/// # Errors
/// Says what is wrong, without quoting the URL: it may carry a token.
pub fn check_url(url: &str) -> Result<Url, Invalid> {
    let invalid = |what: &str| Err(Invalid(what.to_owned()));
    if url.trim().is_empty() {
        return invalid("WebSocket URL cannot be empty");
    }
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return invalid("holds a space or control character; encode it, like %20");
    }
    match url.split_once("://") {
        Some((scheme, rest))
            if ["ws", "wss"]
                .iter()
                .any(|ws| scheme.eq_ignore_ascii_case(ws)) =>
        {
            // The parser would take the first step of the path for the host.
            if rest.starts_with(['/', '\\']) {
                return invalid("has no host");
            }
        }
        _ => {
            return invalid(
                "must start with ws:// or wss://, or be $script:<path> or $flow:<path>",
            );
        }
    }
    match Url::parse(url) {
        Err(error) => invalid(&format!("is not a valid URL ({error})")),
        Ok(parsed) if parsed.host().is_none() => invalid("has no host"),
        Ok(parsed) if parsed.port() == Some(0) => invalid("port 0 cannot be connected to"),
        Ok(parsed) => Ok(parsed),
    }
}

/// The text a `raw_message` stands for: the JSON text of a string is unescaped, everything else is as it stands.
#[must_use]
pub fn raw_message_text(raw: &str) -> String {
    serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned())
}

/// The text that is sent for a runnable's result, given as JSON text: a string as it is, else the JSON.
/// `None` for `null`: as a reply it is not sent, as an initial message or URL it is an error.
#[must_use]
pub fn result_text(json: &str) -> Option<String> {
    let json = json.trim();
    (json != "null").then(|| raw_message_text(json))
}

/// Waits between attempts to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait before the first attempt after a failure.
    pub initial: Duration,
    /// Longest wait before any attempt.
    pub max: Duration,
    /// Failed attempts after which the trigger is disabled; `None` = never.
    pub max_attempts: Option<u32>,
}

impl Backoff {
    /// The wait before attempt `attempt` (from 0): `fraction` (0 … 1, random) of min(max, initial · 2^attempt).
    #[must_use]
    pub fn wait(&self, attempt: u32, fraction: f64) -> Duration {
        // 2³¹ times the shortest initial delay is longer than any maximum.
        let ceiling = self
            .initial
            .saturating_mul(1 << attempt.min(31))
            .min(self.max);
        ceiling.mul_f64(fraction.clamp(0.0, 1.0))
    }

    /// Whether `failed` attempts in a row are enough to give up.
    #[must_use]
    pub fn gives_up(&self, failed: u32) -> bool {
        self.max_attempts.is_some_and(|max| failed >= max)
    }
}

/// Whether a change of settings needs a new connection (contract §5); all other edits keep the socket.
#[must_use]
pub fn connection_differs(old: &TriggerSpec, new: &TriggerSpec) -> bool {
    old.url != new.url
        || old.url_runnable_args != new.url_runnable_args
        || old.headers != new.headers
        || old.tls != new.tls
        || old.proxy != new.proxy
        || old.subprotocols != new.subprotocols
        || old.initial_messages != new.initial_messages
        || old.conversation != new.conversation
        || old.heartbeat != new.heartbeat
}
