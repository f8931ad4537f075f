//! The settings compiled: templates parsed, filters compiled, numbers as durations, defaults filled in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Number, Value};

use super::{
    Binary, Condition, ConversationRule, Heartbeat, InitialMessage, OnClose, RunnableRef,
    TriggerSpec,
    read::invalid,
    rules::{Backoff, check_url, raw_message_text},
};
use crate::{
    queue::Lane,
    trigger::{
        filter::{CompiledFilter, Picker},
        template::{Place, Template, variable_only},
    },
    types::{FilterLogic, Invalid, ObjectPath},
};

/// `ping_interval_secs` when it is left out.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// `timeout_secs` of `await_message` when it is left out.
const AWAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// `max_message_bytes` when it is left out.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Longest URL, in bytes, as it is saved.
const MAX_URL_BYTES: usize = 8 * 1024;

/// What a listener follows.
#[derive(Debug)]
pub struct Plan {
    /// Where to connect.
    pub url: UrlSource,
    /// Headers of the handshake, by name.
    pub headers: Vec<(String, Template)>,
    /// Sub-protocols to offer, in order.
    pub subprotocols: Vec<String>,
    /// Certificates.
    pub tls: TlsPlan,
    /// The proxy instead of the environment's.
    pub proxy: Option<String>,
    /// Connects per second to the same host.
    pub connect_rate: Option<f64>,
    /// Steps before listening.
    pub first: Vec<FirstStep>,
    /// What messages do without a job, in order.
    pub conversation: Vec<ReplyRule>,
    /// Which messages count.
    pub filter: CompiledFilter,
    /// The text sent at intervals.
    pub heartbeat: Option<Box<HeartbeatPlan>>,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// Time between protocol pings; `None` = none.
    pub ping_interval: Option<Duration>,
    /// No message for so long = reconnect.
    pub idle_timeout: Option<Duration>,
    /// What to do with binary messages.
    pub binary: Binary,
    /// Largest message, in bytes.
    pub max_message_bytes: usize,
    /// What bounds how many jobs run at once.
    pub lane: Option<Lane>,
    /// Sends results back.
    pub can_return_message: bool,
    /// Sends failed jobs' results back.
    pub can_return_error_result: bool,
    on_close: BTreeMap<String, OnClose>,
}

/// Where a connection goes.
#[derive(Debug)]
pub enum UrlSource {
    /// A text; rendered at each connect.
    Text(Template),
    /// The result of a runnable, run at each connect.
    Runnable(RunnableRef),
}

/// PEM text, or the variable that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PemSource {
    /// As saved.
    Text(String),
    /// Read at each connect.
    Variable(ObjectPath),
}

/// Certificates of a connection. The client's two come together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsPlan {
    /// Roots to trust besides the usual ones.
    pub ca: Option<PemSource>,
    /// The client's certificate chain.
    pub client_cert: Option<PemSource>,
    /// The client's private key.
    pub client_key: Option<PemSource>,
}

/// A step before listening.
#[derive(Debug)]
pub enum FirstStep {
    /// Sends this text.
    Send(Template),
    /// Sends what the runnable returns.
    SendResult(RunnableRef),
    /// Waits for a message that matches.
    Await {
        /// Which message.
        on: CompiledFilter,
        /// How long.
        timeout: Duration,
    },
}

/// A rule of the conversation.
#[derive(Debug)]
pub struct ReplyRule {
    /// Which message.
    pub on: CompiledFilter,
    /// Answers with this text.
    pub send: Option<Template>,
    /// Answers with what the runnable returns.
    pub send_runnable: Option<RunnableRef>,
    /// Values to store, by name.
    pub set: Vec<(String, Picker)>,
    /// Only the first time on each connection.
    pub once: bool,
    /// Whether the message goes on to the trigger's filters.
    pub trigger: bool,
}

/// A text sent at intervals.
#[derive(Debug)]
pub struct HeartbeatPlan {
    /// Time between two, until `interval_field` says otherwise.
    pub interval: Duration,
    /// The text.
    pub message: Template,
    /// Where `{{state}}` is found in received messages.
    pub state: Option<Picker>,
    /// Where the interval in milliseconds is found.
    pub interval_field: Option<Picker>,
    /// Only after that much silence.
    pub idle_only: bool,
    /// The answer without which the connection is dead, and within what time.
    pub expect: Option<(CompiledFilter, Duration)>,
}

impl Plan {
    pub(super) fn new(spec: &TriggerSpec) -> Result<Self, Invalid> {
        let reconnect = spec.reconnect.clone().unwrap_or_default();
        let (initial_ms, max_ms) = reconnect.delays_ms();
        let headers = spec.headers.iter().flatten().map(|(name, value)| {
            let template = template(&format!("headers.{name}"), value, Place::Header)?;
            Ok((name.clone(), template))
        });
        let message_bytes = spec.max_message_bytes.map(usize::try_from);
        Ok(Self {
            url: url(&spec.url, spec.url_runnable_args.as_ref())?,
            headers: headers.collect::<Result<_, Invalid>>()?,
            subprotocols: spec.subprotocols.clone().unwrap_or_default(),
            tls: tls(spec)?,
            proxy: spec.proxy.clone(),
            connect_rate: spec.connect_rate.as_ref().and_then(Number::as_f64),
            first: each("initial_messages", spec.initial_messages.as_ref(), first)?,
            conversation: each("conversation", spec.conversation.as_ref(), rule)?,
            filter: CompiledFilter::compile(&spec.filters, spec.filter_logic)?,
            heartbeat: spec.heartbeat.as_ref().map(heartbeat).transpose()?,
            backoff: Backoff {
                initial: Duration::from_millis(initial_ms),
                max: Duration::from_millis(max_ms),
                max_attempts: reconnect.max_attempts,
            },
            ping_interval: Some(
                spec.ping_interval_secs
                    .map_or(PING_INTERVAL, Duration::from_secs),
            )
            .filter(|interval| !interval.is_zero()),
            idle_timeout: spec.idle_timeout_secs.map(Duration::from_secs),
            binary: spec.binary.unwrap_or_default(),
            max_message_bytes: message_bytes.and_then(Result::ok).unwrap_or(MESSAGE_BYTES),
            lane: spec.lane(),
            can_return_message: spec.can_return_message,
            can_return_error_result: spec.can_return_error_result,
            on_close: spec.on_close.clone().unwrap_or_default(),
        })
    }

    /// What the peer's close means; `None` = it gave no code, or the connection just ended.
    #[must_use]
    pub fn on_close(&self, code: u16) -> OnClose {
        self.on_close
            .get(&code.to_string())
            .or_else(|| self.on_close.get("default"))
            .copied()
            .unwrap_or_default()
    }

    /// Every variable the plan's texts refer to, to be read before each connect.
    #[must_use]
    pub fn variables(&self) -> BTreeSet<ObjectPath> {
        let url = match &self.url {
            UrlSource::Text(template) => Some(template),
            UrlSource::Runnable(_) => None,
        };
        let first = self.first.iter().filter_map(|step| match step {
            FirstStep::Send(template) => Some(template),
            FirstStep::SendResult(_) | FirstStep::Await { .. } => None,
        });
        let templates = url
            .into_iter()
            .chain(self.headers.iter().map(|(_, template)| template))
            .chain(first)
            .chain(
                self.conversation
                    .iter()
                    .filter_map(|rule| rule.send.as_ref()),
            )
            .chain(self.heartbeat.iter().map(|heartbeat| &heartbeat.message));
        let pems = [&self.tls.ca, &self.tls.client_cert, &self.tls.client_key];
        let pems = pems.into_iter().flatten().filter_map(|pem| match pem {
            PemSource::Variable(path) => Some(path),
            PemSource::Text(_) => None,
        });
        templates
            .flat_map(Template::variables)
            .chain(pems)
            .cloned()
            .collect()
    }
}

/// Compiles each item of an optional list under its own place.
fn each<T, U>(
    place: &str,
    items: Option<&Vec<T>>,
    compile: impl Fn(&str, &T) -> Result<U, Invalid>,
) -> Result<Vec<U>, Invalid> {
    items
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(index, item)| compile(&format!("{place}[{index}]"), item))
        .collect()
}

fn template(place: &str, text: &str, kind: Place) -> Result<Template, Invalid> {
    Template::parse(text, kind).map_err(|error| invalid(place, &error.0))
}

fn condition(place: &str, on: &Condition) -> Result<CompiledFilter, Invalid> {
    let logic = on.filter_logic.unwrap_or(FilterLogic::And);
    CompiledFilter::compile_at(&format!("{place}.filters"), &on.filters, logic)
}

fn url(url: &str, args: Option<&Map<String, Value>>) -> Result<UrlSource, Invalid> {
    if url.trim().is_empty() {
        // Windmill's own words, without the field.
        return Err(Invalid("WebSocket URL cannot be empty".to_owned()));
    }
    if url.len() > MAX_URL_BYTES {
        let what = format!("is longer than {MAX_URL_BYTES} bytes");
        return Err(invalid("url", &what));
    }
    for (prefix, is_flow) in [("$script:", false), ("$flow:", true)] {
        if let Some(path) = url.strip_prefix(prefix) {
            return Ok(UrlSource::Runnable(RunnableRef {
                path: path
                    .parse()
                    .map_err(|error: Invalid| invalid("url", &error.0))?,
                args: args.cloned().unwrap_or_default(),
                is_flow,
            }));
        }
    }
    let template = template("url", url, Place::Url)?;
    if template.is_literal() {
        check_url(url).map_err(|error| invalid("url", &error.0))?;
    }
    Ok(UrlSource::Text(template))
}

fn tls(spec: &TriggerSpec) -> Result<TlsPlan, Invalid> {
    let Some(tls) = &spec.tls else {
        return Ok(TlsPlan::default());
    };
    let pem = |field: &str, text: &Option<String>| {
        let Some(text) = text else { return Ok(None) };
        let place = format!("tls.{field}");
        match variable_only(text).map_err(|error| invalid(&place, &error.0))? {
            Some(path) => Ok(Some(PemSource::Variable(path))),
            None if text.contains("-----BEGIN ") => Ok(Some(PemSource::Text(text.clone()))),
            None => Err(invalid(
                &place,
                "expected PEM text (-----BEGIN …) or $var:<path>",
            )),
        }
    };
    Ok(TlsPlan {
        ca: pem("ca_pem", &tls.ca_pem)?,
        client_cert: pem("client_cert_pem", &tls.client_cert_pem)?,
        client_key: pem("client_key_pem", &tls.client_key_pem)?,
    })
}

fn first(place: &str, message: &InitialMessage) -> Result<FirstStep, Invalid> {
    Ok(match message {
        InitialMessage::RawMessage(raw) => {
            let place = format!("{place}.raw_message");
            FirstStep::Send(template(&place, &raw_message_text(raw), Place::Message)?)
        }
        InitialMessage::RunnableResult(runnable) => FirstStep::SendResult(runnable.clone()),
        InitialMessage::AwaitMessage(message) => FirstStep::Await {
            on: condition(&format!("{place}.await_message"), &message.on)?,
            timeout: message
                .timeout_secs
                .map_or(AWAIT_TIMEOUT, Duration::from_secs),
        },
    })
}

fn rule(place: &str, rule: &ConversationRule) -> Result<ReplyRule, Invalid> {
    let set = rule.set.iter().flatten().map(|(name, path)| {
        let picker = Picker::path(&format!("{place}.set.{name}"), path)?;
        Ok((name.clone(), picker))
    });
    Ok(ReplyRule {
        on: condition(&format!("{place}.on"), &rule.on)?,
        send: rule
            .send
            .as_ref()
            .map(|text| template(&format!("{place}.send"), text, Place::Message))
            .transpose()?,
        send_runnable: rule.send_runnable.clone(),
        set: set.collect::<Result<_, Invalid>>()?,
        once: rule.once.unwrap_or(false),
        trigger: rule.trigger.unwrap_or(true),
    })
}

fn heartbeat(heartbeat: &Heartbeat) -> Result<Box<HeartbeatPlan>, Invalid> {
    let interval_field = heartbeat.interval_field.as_ref();
    let expect = heartbeat.expect.as_ref().map(|expect| {
        let on = condition("heartbeat.expect", &expect.on)?;
        Ok((on, Duration::from_secs(expect.timeout_secs)))
    });
    Ok(Box::new(HeartbeatPlan {
        interval: Duration::from_secs(heartbeat.interval_secs),
        message: template("heartbeat.message", &heartbeat.message, Place::Message)?,
        state: heartbeat.state_field.as_deref().map(Picker::key),
        interval_field: interval_field
            .map(|path| Picker::path("heartbeat.interval_field", path))
            .transpose()?,
        idle_only: heartbeat.idle_only.unwrap_or(false),
        expect: expect.transpose()?,
    }))
}
