//! Ids, paths, modes and states: parsed once at the edge, valid ever after.
//!
//! Pure: no clock but [`Timestamp::now`], no I/O. Every module may use it; it uses none.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Longest path of a script, a trigger, a variable …, in bytes; Windmill's columns hold 255.
pub const MAX_PATH_BYTES: usize = 255;

/// A text that is not what its type asks for. The message says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl From<i64> for Timestamp {
    fn from(micros: i64) -> Self {
        Self(micros)
    }
}

impl From<Timestamp> for i64 {
    fn from(moment: Timestamp) -> Self {
        moment.0
    }
}

/// A moment in microseconds since the Unix epoch, the finest unit both databases keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The wall clock's present moment.
    #[must_use]
    pub fn now() -> Self {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Self(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        })
    }

    /// This moment moved by `duration` into the future; stays in range.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// This moment moved by `duration` into the past; stays in range.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with microseconds, as the API shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Utc.timestamp_micros(self.0).single() {
            Some(moment) => f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Micros, true)),
            None => f.write_str("out of range"),
        }
    }
}

impl FromStr for Timestamp {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        DateTime::parse_from_rfc3339(text)
            .map(|moment| Self(moment.timestamp_micros()))
            .map_err(|_| {
                Invalid(format!(
                    "'{text}' is not a moment like 2026-01-31T12:00:00Z"
                ))
            })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A job's id: a UUID v7, so ids sort by the time they were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// No job's, where clients expect one.
    pub const NONE: Self = Self(Uuid::nil());

    /// A new id, larger than every id this process gave before.
    #[must_use]
    pub fn next() -> Self {
        Self(Uuid::now_v7())
    }

    /// The moment it was given, to the millisecond; none when it is no UUID with a time in it.
    #[must_use]
    pub fn given_at(self) -> Option<Timestamp> {
        let (secs, nanos) = self.0.get_timestamp()?.to_unix();
        let secs = i64::try_from(secs).ok()?;
        Some(Timestamp(secs * 1_000_000 + i64::from(nanos / 1000)))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse()
            .map(Self)
            .map_err(|_| Invalid(format!("'{text}' is not a job id (a UUID)")))
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The path of a workspace object: `u/<user>/<name>`, `f/<folder>/<name>` or `g/<group>/<name>`,
/// more segments allowed; each of letters, digits, `_` and `-` (windmill-facts §1.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ObjectPath(String);

impl ObjectPath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What owns the object: `("f", "<folder>")`, `("u", "<user>")` or `("g", "<group>")`.
    #[must_use]
    pub fn owner(&self) -> (&str, &str) {
        let mut segments = self.0.split('/');
        (segments.next().unwrap_or(""), segments.next().unwrap_or(""))
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ObjectPath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || {
            Invalid(format!(
                "'{text}' is not a path like u/<user>/<name> or f/<folder>/<name> \
                 (letters, digits, _ and -, at most {MAX_PATH_BYTES} bytes)"
            ))
        };
        let mut segments = text.split('/');
        let known_kind = matches!(segments.next(), Some("u" | "f" | "g"));
        let mut count = 0;
        for segment in segments {
            count += 1;
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if segment.is_empty() || !segment.chars().all(word) {
                return Err(invalid());
            }
        }
        if !known_kind || count < 2 || text.len() > MAX_PATH_BYTES {
            return Err(invalid());
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for ObjectPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Declares an enum whose variants have one text each, in JSON, in the database and on the page.
macro_rules! texts {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$vmeta:meta])* $variant:ident = $text:tt,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        pub enum $name {
            $($(#[$vmeta])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every variant, in the order they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The variant's text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(Invalid(format!(
                        "'{text}' is not a {}; expected one of: {}", $what, [$($text),+].join(", ")
                    ))),
                }
            }
        }
    };
}

texts! {
    /// What a trigger does (windmill-facts §1.1).
    Mode, "mode" {
        /// Listens, and its jobs run.
        Enabled = "enabled",
        /// Does not listen.
        Disabled = "disabled",
        /// Listens, and its jobs are held until they are resumed or discarded.
        Suspended = "suspended",
    }
}

texts! {
    /// How the top level of a trigger's filters is joined.
    FilterLogic, "filter_logic" {
        /// Every filter must match.
        And = "and",
        /// One filter must match.
        Or = "or",
    }
}

texts! {
    /// The language of a script (contract §7).
    Language, "language" {
        /// CPython 3.
        Python3 = "python3",
        /// GNU bash.
        Bash = "bash",
        /// TypeScript or JavaScript in the embedded engine.
        Nativets = "nativets",
        /// TypeScript or JavaScript run by bun.
        Bun = "bun",
        /// TypeScript or JavaScript run by deno.
        Deno = "deno",
    }
}

texts! {
    /// What a job runs (windmill-facts §2.2).
    JobKind, "job_kind" {
        /// A saved script.
        Script = "script",
        /// A script that is not saved, its content travels with the job.
        Preview = "preview",
        /// A saved flow.
        Flow = "flow",
        /// A flow that is not saved.
        FlowPreview = "flowpreview",
        /// A script with a retry policy or an error handler around it.
        SingleStepFlow = "singlestepflow",
        /// A script that is part of a saved flow.
        FlowScript = "flowscript",
        /// An iteration of a loop, or a branch, of a flow.
        FlowNode = "flownode",
        /// A flow step that passes its input on.
        Identity = "identity",
        /// Works out the lock file of a script.
        Dependencies = "dependencies",
        /// Works out the lock files of a flow.
        FlowDependencies = "flowdependencies",
        /// A script's job held by a suspended trigger.
        UnassignedScript = "unassigned_script",
        /// A flow's job held by a suspended trigger.
        UnassignedFlow = "unassigned_flow",
        /// A job with retry or error handler held by a suspended trigger.
        UnassignedSingleStepFlow = "unassigned_singlestepflow",
    }
}

texts! {
    /// What started a job (windmill-facts §2.2); windsock itself starts the kinds listed here.
    TriggerKind, "trigger_kind" {
        /// The run routes of the API.
        Webhook = "webhook",
        /// A message on a WebSocket.
        Websocket = "websocket",
        /// The page.
        Ui = "ui",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_paths() {
        for good in [
            "u/admin/hello",
            "f/market-data/on_trade",
            "f/a/b/c",
            "g/all/x",
        ] {
            assert_eq!(
                good.parse::<ObjectPath>().map(|p| p.to_string()),
                Ok(good.to_owned())
            );
        }
        let long = format!("u/a/{}", "x".repeat(MAX_PATH_BYTES));
        for bad in [
            "", "u", "u/", "u/a", "x/a/b", "u//b", "u/a/", "/u/a/b", "u/a b/c", "u/é/b", "u/a/b\n",
            &long,
        ] {
            assert!(bad.parse::<ObjectPath>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn timestamps_round_trip_with_microseconds() {
        let moment: Timestamp = "2026-01-31T12:00:00.123456Z".parse().unwrap();
        assert_eq!(moment.to_string(), "2026-01-31T12:00:00.123456Z");
        assert_eq!("2026-01-31T13:00:00.123456+01:00".parse(), Ok(moment));
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn texts_name_the_choices_when_they_are_missed() {
        let error = "Paused".parse::<Mode>().unwrap_err().to_string();
        assert_eq!(
            error,
            "'Paused' is not a mode; expected one of: enabled, disabled, suspended"
        );
        for mode in Mode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(*mode));
        }
    }

    #[test]
    fn job_ids_grow() {
        let (first, second) = (JobId::next(), JobId::next());
        assert!(first < second);
    }
}
