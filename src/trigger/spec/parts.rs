//! The settings that are objects of their own: first messages, conversation, heartbeat, reconnect, TLS.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::read::{self, Fields, invalid};
use crate::types::{FilterLogic, Invalid, ObjectPath};

/// Longest time a trigger may be told to wait for something: a day. Longer is a mistake in the unit.
pub(super) const MAX_SECS: u64 = 86_400;

/// Values stored by one conversation rule.
const MAX_SET: usize = 32;

/// A script or a flow with its arguments.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RunnableRef {
    /// Where it is saved.
    #[schema(value_type = String)]
    pub path: ObjectPath,
    /// Its arguments by name.
    #[schema(value_type = Object)]
    pub args: Map<String, Value>,
    /// A flow, else a script.
    pub is_flow: bool,
}

impl RunnableRef {
    fn read(place: &str, value: &Value) -> Result<Self, Invalid> {
        let fields = Fields::at(place.to_owned(), value)?;
        fields.only(&["path", "args", "is_flow"])?;
        Ok(Self {
            path: fields.need("path", read::path)?,
            args: fields.need("args", read::object)?.clone(),
            is_flow: fields.need("is_flow", read::flag)?,
        })
    }
}

/// Filters with their logic, where a trigger waits for or reacts to a message.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Condition {
    /// As a trigger's `filters`; empty = any message.
    pub filters: Vec<Value>,
    /// As a trigger's `filter_logic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_logic: Option<FilterLogic>,
}

impl Condition {
    fn read(fields: &Fields<'_>) -> Result<Self, Invalid> {
        Ok(Self {
            filters: fields.need("filters", read::array)?.clone(),
            filter_logic: fields.may("filter_logic", filter_logic)?,
        })
    }
}

pub(super) fn filter_logic(place: &str, value: &Value) -> Result<FilterLogic, Invalid> {
    read::choice(place, value, "and, or")
}

/// One step after the handshake, before listening.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InitialMessage {
    /// A text to send; the JSON text of a string is unescaped first.
    RawMessage(String),
    /// Sends what the runnable returns.
    RunnableResult(RunnableRef),
    /// Waits for a message that matches.
    AwaitMessage(AwaitMessage),
}

/// Waits for a message.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AwaitMessage {
    /// Which message.
    #[serde(flatten)]
    pub on: Condition,
    /// How long; 30 s when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_secs: Option<u64>,
}

impl InitialMessage {
    pub(super) fn read(place: &str, value: &Value) -> Result<Self, Invalid> {
        let kinds = "raw_message, runnable_result, await_message";
        let expected = || invalid(place, &format!("expected an object with one of: {kinds}"));
        let map = value.as_object().ok_or_else(expected)?;
        let mut entries = map.iter();
        let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
            return Err(expected());
        };
        let inner = format!("{place}.{kind}");
        match kind.as_str() {
            "raw_message" => read::text(&inner, value).map(Self::RawMessage),
            "runnable_result" => RunnableRef::read(&inner, value).map(Self::RunnableResult),
            "await_message" => {
                let fields = Fields::at(inner, value)?;
                fields.only(&["filters", "filter_logic", "timeout_secs"])?;
                Ok(Self::AwaitMessage(AwaitMessage {
                    on: Condition::read(&fields)?,
                    timeout_secs: fields.may("timeout_secs", seconds)?,
                }))
            }
            _ => Err(expected()),
        }
    }
}

/// What to do with a message that matches, without a job.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ConversationRule {
    /// Which message.
    pub on: Condition,
    /// Answers with this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<String>,
    /// Answers with what the runnable returns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_runnable: Option<RunnableRef>,
    /// Stores values of the message: name → dotted path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<BTreeMap<String, String>>,
    /// Only the first time on each connection; `false` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub once: Option<bool>,
    /// Whether the message still goes to the trigger's filters; `true` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<bool>,
}

impl ConversationRule {
    pub(super) fn read(place: &str, value: &Value) -> Result<Self, Invalid> {
        let fields = Fields::at(place.to_owned(), value)?;
        fields.only(&["on", "send", "send_runnable", "set", "once", "trigger"])?;
        let rule = Self {
            on: fields.need("on", |place, value| {
                let fields = Fields::at(place.to_owned(), value)?;
                fields.only(&["filters", "filter_logic"])?;
                Condition::read(&fields)
            })?,
            send: fields.may("send", read::text)?,
            send_runnable: fields.may("send_runnable", RunnableRef::read)?,
            set: fields.may("set", set)?,
            once: fields.may("once", read::flag)?,
            trigger: fields.may("trigger", read::flag)?,
        };
        let acts = rule.send.is_some() || rule.send_runnable.is_some() || rule.set.is_some();
        if !acts && rule.trigger != Some(false) {
            return Err(invalid(
                place,
                "does nothing: give send, send_runnable, set or trigger: false",
            ));
        }
        Ok(rule)
    }
}

fn set(place: &str, value: &Value) -> Result<BTreeMap<String, String>, Invalid> {
    let entries = read::object(place, value)?;
    if entries.len() > MAX_SET {
        return Err(invalid(place, &format!("has more than {MAX_SET} names")));
    }
    entries
        .iter()
        .map(|(name, path)| {
            let place = format!("{place}.{name}");
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.chars().all(word) || name.chars().next().is_none_or(|c| c.is_ascii_digit()) {
                return Err(invalid(
                    &place,
                    "a name is letters, digits and _, and does not start with a digit",
                ));
            }
            Ok((name.clone(), read::text(&place, path)?))
        })
        .collect()
}

/// A text sent at intervals.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Heartbeat {
    /// Seconds between two.
    #[schema(minimum = 1)]
    pub interval_secs: u64,
    /// The text; `{{state}}` is the last value of `state_field`.
    pub message: String,
    /// A top-level field of received messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_field: Option<String>,
    /// A dotted path of milliseconds in received messages; replaces `interval_secs` once met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_field: Option<String>,
    /// Only after that much silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_only: Option<bool>,
    /// What must arrive after a heartbeat, else the connection is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Expect {
    /// Which message.
    #[serde(flatten)]
    pub on: Condition,
    /// Within how many seconds.
    #[schema(minimum = 1)]
    pub timeout_secs: u64,
}

impl Heartbeat {
    pub(super) fn read(place: &str, value: &Value) -> Result<Self, Invalid> {
        let fields = Fields::at(place.to_owned(), value)?;
        Ok(Self {
            interval_secs: fields.need("interval_secs", seconds)?,
            message: fields.need("message", read::text)?,
            state_field: fields.may("state_field", read::text)?,
            interval_field: fields.may("interval_field", read::text)?,
            idle_only: fields.may("idle_only", read::flag)?,
            expect: fields.may("expect", |place, value| {
                let fields = Fields::at(place.to_owned(), value)?;
                Ok(Expect {
                    on: Condition::read(&fields)?,
                    timeout_secs: fields.need("timeout_secs", seconds)?,
                })
            })?,
        })
    }
}

/// From 1 s to a day.
pub(super) fn seconds(place: &str, value: &Value) -> Result<u64, Invalid> {
    read::whole(place, value, 1..=MAX_SECS)
}

/// How to come back after a connection ends or fails.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Reconnect {
    /// Longest first wait in milliseconds; 500 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 10)]
    pub initial_delay_ms: Option<u64>,
    /// Longest wait in milliseconds; 60000 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delay_ms: Option<u64>,
    /// Failed attempts after which the trigger is disabled; never when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_attempts: Option<u32>,
}

impl Reconnect {
    /// Longest first wait where none is given.
    pub const INITIAL_DELAY_MS: u64 = 500;
    /// Longest wait where none is given.
    pub const MAX_DELAY_MS: u64 = 60_000;

    pub(super) fn read(place: &str, value: &Value) -> Result<Self, Invalid> {
        let fields = Fields::at(place.to_owned(), value)?;
        let delay = |place: &str, value: &Value| read::whole(place, value, 10..=MAX_SECS * 1_000);
        let reconnect = Self {
            initial_delay_ms: fields.may("initial_delay_ms", delay)?,
            max_delay_ms: fields.may("max_delay_ms", delay)?,
            max_attempts: fields.may("max_attempts", |place, value| {
                read::whole(place, value, 1..=u64::from(u32::MAX))
            })?,
        };
        let (initial, max) = reconnect.delays_ms();
        if max < initial {
            return Err(invalid(
                &fields.place("max_delay_ms"),
                &format!("{max} is less than initial_delay_ms ({initial})"),
            ));
        }
        Ok(reconnect)
    }

    /// The longest first wait and the longest wait, defaults filled in.
    pub(super) fn delays_ms(&self) -> (u64, u64) {
        (
            self.initial_delay_ms.unwrap_or(Self::INITIAL_DELAY_MS),
            self.max_delay_ms.unwrap_or(Self::MAX_DELAY_MS),
        )
    }
}

/// Certificates of the connection; each value is PEM text or `$var:<path>`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Tls {
    /// Roots to trust besides the usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// The client's certificate chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert_pem: Option<String>,
    /// The client's private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_pem: Option<String>,
}

impl Tls {
    pub(super) fn read(place: &str, value: &Value) -> Result<Self, Invalid> {
        let fields = Fields::at(place.to_owned(), value)?;
        let tls = Self {
            ca_pem: fields.may("ca_pem", read::text)?,
            client_cert_pem: fields.may("client_cert_pem", read::text)?,
            client_key_pem: fields.may("client_key_pem", read::text)?,
        };
        if tls.client_cert_pem.is_some() != tls.client_key_pem.is_some() {
            return Err(invalid(
                place,
                "client_cert_pem and client_key_pem go together; give both or neither",
            ));
        }
        Ok(tls)
    }
}

/// What to do with binary messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Binary {
    /// They are counted and dropped.
    #[default]
    Ignore,
    /// They become `msg` as base64 text.
    Base64,
}

/// What to do when the peer closes with a certain code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnClose {
    /// Connect again.
    #[default]
    Reconnect,
    /// Forget the stored values, then connect again.
    Reset,
    /// Disable the trigger with the code as its error.
    Disable,
}
