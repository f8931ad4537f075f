//! One attempt to connect: variables, URL, handshake. Also the runnables a connection waits for.
//!
//! Nothing here belongs to an actor: the attempt is a future that its socket may drop at any moment.

use std::{convert::Infallible, sync::Arc, time::Duration};

use actix_codec::Framed;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::{
    Common,
    talk::{Variables, Vars},
};
use crate::{
    access,
    db::{DbError, vars},
    trigger::{
        attempt::ConnectError,
        handshake::{self, Request},
        setup::Setup,
        spec::{PemSource, RunnableRef, UrlSource, check_url, result_text},
        status::Live,
        template::Values,
        tls::TlsSettings,
        transport::Transport,
        trial::{Reporter, ServerAnswer},
    },
    types::{ObjectPath, Timestamp},
    wire::{self, Codec, MessageLimit, Offer},
};

/// How long a runnable for a URL, a first message or an answer may take, waiting for a worker included
/// (contract section 4).
const RUNNABLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection that stands.
pub(super) struct Opened {
    pub(super) framed: Framed<Transport, Codec>,
    /// What bounds its messages.
    pub(super) limit: MessageLimit,
    /// What `$var:` references stand for on this connection.
    pub(super) variables: Variables,
    /// What conversation rules have stored.
    pub(super) vars: Vars,
}

/// Why an attempt failed, and how long the server asked to be left alone.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) text: String,
    pub(super) retry_after: Option<Duration>,
    /// The step that failed, as a trial names it.
    pub(super) step: &'static str,
    /// What the server said, in its own words: for who tries it out, not for a status or a log.
    pub(super) answer: Option<Box<ServerAnswer>>,
}

impl Failure {
    fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            retry_after: None,
            step: "settings",
            answer: None,
        }
    }

    fn of_url(error: impl std::fmt::Display) -> Self {
        Self {
            step: "url",
            ..Self::new(format!("url: {error}"))
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let text = error.to_string();
        Self {
            retry_after: error.retry_after,
            step: error.stage.as_str(),
            answer: error.status.map(|status| {
                Box::new(ServerAnswer {
                    status,
                    headers: error.headers,
                    body: error.body,
                    retry_after_secs: error.retry_after.map(|wait| wait.as_secs()),
                })
            }),
            text,
        }
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::new(error.to_string())
    }
}

/// What an attempt needs besides its settings.
pub(super) struct Asked {
    /// The stored values, when they are known already.
    pub(super) vars: Option<Vars>,
    /// Where it shows what it waits for.
    pub(super) live: Arc<Live>,
    /// Who follows each step, if anybody does.
    pub(super) reporter: Option<Reporter>,
}

/// Connects.
pub(super) async fn open(
    common: Arc<Common>,
    setup: Arc<Setup>,
    asked: Asked,
) -> Result<Opened, Failure> {
    let Asked {
        vars,
        live,
        reporter,
    } = asked;
    let variables = read_variables(&common, &setup).await?;
    let vars = match vars {
        Some(vars) => vars,
        None => read_vars(&common, &setup).await?,
    };
    let values = Values {
        vars: Some(&vars),
        now_ms: Timestamp::now().0 / 1_000,
        variables: Some(&variables),
        ..Values::default()
    };
    let url = match &setup.plan.url {
        UrlSource::Text(template) => template.render(&values).map_err(Failure::of_url)?,
        UrlSource::Runnable(runnable) => {
            let what = format!("waits for {} to return the WebSocket URL", runnable.path);
            live.waits_for(Some(&what));
            let asked = run_url(&common, &setup, runnable);
            let asked = step(&reporter, "url", what, asked).await;
            asked.map_err(|failure| Failure::of_url(failure.text))?
        }
    };
    let url = check_url(&url).map_err(Failure::of_url)?;
    wait_for_turn(&common, &setup, (&url, &live, &reporter)).await;
    let request = request(&setup, url, &values, &variables)?;
    let progress = reporter.as_ref().map(Reporter::progress);
    let connected = handshake::connect(&common.dialer, request, progress).await?;
    let answered = connected.extensions.iter().map(String::as_bytes);
    let deflate = wire::negotiate(Some(&Offer::default()), answered).map_err(|error| Failure {
        step: "handshake",
        ..Failure::new(format!("handshake: {error}"))
    })?;
    let codec = Codec::client(setup.plan.max_message_bytes, deflate);
    Ok(Opened {
        limit: codec.limit(),
        framed: wire::attach(connected.framed, codec),
        variables,
        vars,
    })
}

/// Does `work` as a step that is told; its failure is told as that of the attempt.
async fn step<T, E>(
    reporter: &Option<Reporter>,
    name: &str,
    note: String,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    if let Some(reporter) = reporter {
        reporter.begun(name, Some(note));
    }
    let began = Instant::now();
    let done = work.await;
    if let Some(reporter) = reporter
        && done.is_ok()
    {
        reporter.done(name, began.elapsed(), None);
    }
    done
}

async fn read_variables(common: &Common, setup: &Setup) -> Result<Variables, Failure> {
    let wanted: Vec<ObjectPath> = setup.plan.variables().into_iter().collect();
    if wanted.is_empty() {
        return Ok(Variables::new());
    }
    let (workspace, reader) = (
        setup.workspace.to_string(),
        setup.permissioned_as.to_string(),
    );
    let read = common
        .pool
        .run(move |conn| access::read_variables(conn, &workspace, &reader, &wanted))
        .await?;
    read.map_err(Failure::new)
}

async fn read_vars(common: &Common, setup: &Setup) -> Result<Vars, Failure> {
    let (workspace, path) = (setup.workspace.to_string(), setup.path.to_string());
    let stored = common
        .pool
        .run(move |conn| vars::of_trigger(conn, &workspace, &path))
        .await?;
    let parsed = stored.into_iter().filter_map(|(name, json)| {
        // What was stored was JSON; a row that is not any more is as good as none.
        let value = serde_json::value::RawValue::from_string(json).ok()?;
        Some((name, value))
    });
    Ok(parsed.collect())
}

async fn wait_for_turn(
    common: &Common,
    setup: &Setup,
    (url, live, reporter): (&Url, &Live, &Option<Reporter>),
) {
    if let (Some(rate), Some(host)) = (setup.plan.connect_rate, url.host_str()) {
        let turn = common.rates.take_turn(host, rate);
        if !turn.wait().is_zero() {
            let what = "waits for its turn (connect_rate)";
            live.waits_for(Some(what));
            let wait = async {
                tokio::time::sleep(turn.wait()).await;
                Ok::<(), Infallible>(())
            };
            let Ok(()) = step(reporter, "turn", what.to_owned(), wait).await;
        }
        turn.used();
    }
}

fn request(
    setup: &Setup,
    url: Url,
    values: &Values<'_>,
    variables: &Variables,
) -> Result<Request, Failure> {
    let plan = &setup.plan;
    let mut headers = Vec::with_capacity(plan.headers.len());
    for (name, template) in &plan.headers {
        let value = template
            .render(values)
            .map_err(|error| Failure::new(format!("headers.{name}: {error}")))?;
        headers.push((name.clone(), value));
    }
    let pem = |source: &Option<PemSource>| {
        source.as_ref().and_then(|source| match source {
            PemSource::Text(text) => Some(text.clone()),
            PemSource::Variable(path) => variables.get(path).cloned(),
        })
    };
    let tls = TlsSettings {
        ca_pem: pem(&plan.tls.ca),
        client_cert_pem: pem(&plan.tls.client_cert),
        client_key_pem: pem(&plan.tls.client_key),
    };
    Ok(Request {
        url,
        headers,
        subprotocols: plan.subprotocols.clone(),
        extensions: Some(Offer::default().header()),
        tls: (tls != TlsSettings::default()).then_some(tls),
        proxy: plan.proxy.clone(),
    })
}

/// Runs a runnable before all triggered jobs and answers the text its result stands for; `msg` is what it answers to.
pub(super) fn run(
    common: &Common,
    setup: &Setup,
    runnable: &RunnableRef,
    msg: Option<&str>,
) -> impl Future<Output = Result<String, Failure>> + use<> {
    let path = runnable.path.clone();
    let run = run_for_json(common, setup, runnable, msg);
    async move {
        let result = run.await?;
        result_text(&result).ok_or_else(|| Failure::new(format!("{path} returned null")))
    }
}

/// As [`run`], for an answer: nothing is sent for `null`.
pub(super) fn answer(
    common: &Common,
    setup: &Setup,
    runnable: &RunnableRef,
    msg: &str,
) -> impl Future<Output = Result<Option<String>, Failure>> + use<> {
    let run = run_for_json(common, setup, runnable, Some(msg));
    async move { Ok(result_text(&run.await?)) }
}

/// As [`run`], for a URL: its result is a string.
async fn run_url(
    common: &Common,
    setup: &Setup,
    runnable: &RunnableRef,
) -> Result<String, Failure> {
    let path = &runnable.path;
    let result = run_for_json(common, setup, runnable, None).await?;
    match serde_json::from_str(&result) {
        Ok(Value::String(url)) => Ok(url),
        Ok(Value::Null) => Err(Failure::new(format!("{path} returned null"))),
        _ => Err(Failure::new(format!(
            "{path} must return the URL as a string"
        ))),
    }
}

/// Runs a runnable and answers its result.
fn run_for_json(
    common: &Common,
    setup: &Setup,
    runnable: &RunnableRef,
    msg: Option<&str>,
) -> impl Future<Output = Result<String, Failure>> + use<> {
    let path = runnable.path.clone();
    let job = setup.connect_job(path.as_str(), runnable.is_flow, (&runnable.args, msg));
    let (id, workspace) = (job.id, Arc::clone(&setup.workspace));
    let queue = common.queue.clone();
    let fence = setup.is_saved().then_some(common.fence);
    async move {
        let run = async {
            let end = queue.wait(id);
            match fence {
                Some(fence) => queue.push_leased(vec![job], None, fence).await?,
                None => queue.push(vec![job]).await?,
            }
            end.await
        };
        let Ok(ended) = tokio::time::timeout(RUNNABLE_TIMEOUT, run).await else {
            let reason = Some("its connection has stopped waiting for it".to_owned());
            // It may have ended just now; then there is nothing to cancel.
            let _ = queue.cancel(&workspace, id, "windsock", reason).await;
            let secs = RUNNABLE_TIMEOUT.as_secs();
            return Err(Failure::new(format!(
                "{path} gave no result within {secs} s: is a worker running?"
            )));
        };
        let finished = ended.map_err(|error| Failure::new(error.to_string()))?;
        let result = &finished.outcome.result;
        if !finished.outcome.success {
            let error: Value = serde_json::from_str(result).unwrap_or(Value::Null);
            let message = error["error"]["message"].as_str().unwrap_or("no message");
            return Err(Failure::new(format!("{path} failed: {message}")));
        }
        Ok(result.to_string())
    }
}
