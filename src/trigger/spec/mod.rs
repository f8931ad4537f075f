//! A trigger's settings: Windmill's fields and windsock's own (contract §3), typed and checked.
//!
//! The API reads a [`TriggerSpec`] out of a body and stores it; a listener compiles it into a [`Plan`] and follows that.
//! Pure. What surrounds the settings (path, mode, owner, labels, times) is not here; nor is whether an address may be
//! dialled: that needs DNS and is asked at save and at each connect by others.

mod check;
mod parts;
mod plan;
mod read;
mod retry;
mod rules;
mod runnables;

#[cfg(test)]
mod mutated;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;

use self::read::Fields;
use crate::{
    queue::{Lane, Options},
    types::{FilterLogic, Invalid, ObjectPath},
};

pub use parts::{
    AwaitMessage, Binary, Condition, ConversationRule, Expect, Heartbeat, InitialMessage, OnClose,
    Reconnect, RunnableRef, Tls,
};
pub use plan::{FirstStep, HeartbeatPlan, PemSource, Plan, ReplyRule, TlsPlan, UrlSource};
pub use retry::{ConstantRetry, ExponentialRetry, HandlerPath, Retry, RetryIf};
pub use rules::{Backoff, check_url, connection_differs, raw_message_text, result_text};

/// Steps of one trigger before it listens: a handshake of this length is a mistake.
const MAX_INITIAL_MESSAGES: usize = 64;

/// Rules of one conversation: every text message is held against each of them.
const MAX_CONVERSATION_RULES: usize = 64;

/// Largest value of `max_message_bytes`: so much may be in memory for each connection while a message is assembled.
const MAX_MESSAGE_BYTES: u64 = 256 * 1024 * 1024;

/// Connects per second that a trigger may ask for: from one in a quarter of an hour on.
const CONNECT_RATES: std::ops::RangeInclusive<f64> = 0.001..=1_000.0;

/// A trigger's settings as they are saved. What is left out stays out, so reading gives back what was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Map<String, Value>")]
pub struct TriggerSpec {
    /// The script or flow a message runs.
    #[schema(value_type = String)]
    pub script_path: ObjectPath,
    /// A flow, else a script.
    pub is_flow: bool,
    /// `ws://…`, `wss://…`, `$script:<path>` or `$flow:<path>`.
    pub url: String,
    /// Arguments of the runnable that gives the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub url_runnable_args: Option<Map<String, Value>>,
    /// Which messages count; none = every message.
    pub filters: Vec<Value>,
    /// How the filters are joined; `and` when left out.
    #[schema(required = false)]
    pub filter_logic: FilterLogic,
    /// Sends a job's result back.
    pub can_return_message: bool,
    /// Sends a failed job's result back, too.
    pub can_return_error_result: bool,
    /// Steps before listening.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_messages: Option<Vec<InitialMessage>>,
    /// A text sent at intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// The script that is run when a job has failed for good; `flow/<path>` names a flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub error_handler_path: Option<HandlerPath>,
    /// Its additional arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub error_handler_args: Option<Map<String, Value>>,
    /// When a failed job is run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Headers of the handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
    /// Offered sub-protocols, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subprotocols: Option<Vec<String>>,
    /// Certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The HTTP proxy to connect through, instead of the environment's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// How to come back after a connection ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect: Option<Reconnect>,
    /// Seconds between protocol pings; 30 when left out, 0 = none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping_interval_secs: Option<u64>,
    /// No message for so many seconds = reconnect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_secs: Option<u64>,
    /// What to do with binary messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary: Option<Binary>,
    /// Larger messages end the connection; 16 MiB when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_bytes: Option<u64>,
    /// Jobs of this trigger running at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_in_flight: Option<u32>,
    /// One job at a time, in order of arrival.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordered: Option<bool>,
    /// What messages do without a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Vec<ConversationRule>>,
    /// What a close code means: code or `default` → action; 1005 stands for a close frame without a code, 1006 for an end
    /// without a close frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_close: Option<BTreeMap<String, OnClose>>,
    /// Connects per second to the same host from one server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub connect_rate: Option<Number>,
}

impl TriggerSpec {
    /// Reads and checks the settings in the body of create or update; fields it does not know are passed over.
    ///
    /// # Errors
    /// Names the first field that is missing, of a wrong type, out of range or that does not compile.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Invalid> {
        let fields = Fields::top(body);
        let spec = Self {
            script_path: fields.need("script_path", read::path)?,
            is_flow: fields.need("is_flow", read::flag)?,
            url: fields.need("url", read::text)?,
            url_runnable_args: fields.may("url_runnable_args", read::object)?.cloned(),
            filters: fields.need("filters", read::array)?.clone(),
            filter_logic: fields
                .may("filter_logic", parts::filter_logic)?
                .unwrap_or(FilterLogic::And),
            can_return_message: fields.need("can_return_message", read::flag)?,
            can_return_error_result: fields.need("can_return_error_result", read::flag)?,
            initial_messages: fields.may("initial_messages", |place, value| {
                read::items(place, value, MAX_INITIAL_MESSAGES, InitialMessage::read)
            })?,
            heartbeat: fields.may("heartbeat", Heartbeat::read)?,
            error_handler_path: fields.may("error_handler_path", HandlerPath::read)?,
            error_handler_args: fields.may("error_handler_args", read::object)?.cloned(),
            retry: fields.may("retry", Retry::read)?,
            headers: fields.may("headers", check::headers)?,
            subprotocols: fields.may("subprotocols", check::subprotocols)?,
            tls: fields.may("tls", Tls::read)?,
            proxy: fields.may("proxy", check::proxy)?,
            reconnect: fields.may("reconnect", Reconnect::read)?,
            ping_interval_secs: fields.may("ping_interval_secs", |place, value| {
                read::whole(place, value, 0..=parts::MAX_SECS)
            })?,
            idle_timeout_secs: fields.may("idle_timeout_secs", parts::seconds)?,
            binary: fields.may("binary", |place, value| {
                read::choice(place, value, "ignore, base64")
            })?,
            max_message_bytes: fields.may("max_message_bytes", |place, value| {
                read::whole(place, value, 1..=MAX_MESSAGE_BYTES)
            })?,
            max_in_flight: fields.may("max_in_flight", |place, value| {
                read::whole(place, value, 1..=1_000_000)
            })?,
            ordered: fields.may("ordered", read::flag)?,
            conversation: fields.may("conversation", |place, value| {
                read::items(place, value, MAX_CONVERSATION_RULES, ConversationRule::read)
            })?,
            on_close: fields.may("on_close", check::on_close)?,
            connect_rate: fields.may("connect_rate", |place, value| {
                read::rate(place, value, CONNECT_RATES)
            })?,
        };
        spec.compile()?;
        Ok(spec)
    }

    /// The settings in the form a listener follows.
    ///
    /// # Errors
    /// Names the field that does not compile. What [`Self::from_json`] has read compiles.
    pub fn compile(&self) -> Result<Plan, Invalid> {
        Plan::new(self)
    }

    /// What is done when a job of the trigger fails.
    #[must_use]
    pub fn failure(&self) -> Options {
        let retry = self.retry.as_ref().and_then(Retry::policy);
        let error_handler = self.error_handler_path.as_ref().map(|handler| {
            let args = self.error_handler_args.clone();
            handler.with(args.unwrap_or_default())
        });
        Options::new(retry, error_handler)
    }

    /// What bounds how many jobs of the trigger run at once; `ordered` means one.
    #[must_use]
    pub fn lane(&self) -> Option<Lane> {
        let ordered = self.ordered.unwrap_or(false);
        let max_jobs = if ordered { Some(1) } else { self.max_in_flight };
        max_jobs.map(|max_jobs| Lane { max_jobs, ordered })
    }
}

impl TryFrom<Map<String, Value>> for TriggerSpec {
    type Error = Invalid;

    fn try_from(body: Map<String, Value>) -> Result<Self, Invalid> {
        Self::from_json(&body)
    }
}
