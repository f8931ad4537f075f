//! Captures: connections whose messages are kept for the editor of a runnable, while somebody has it open.
//!
//! Part of [`Tryouts`]: it compares with the table of configurations as the registry does with triggers. Of several
//! servers, one claims a configuration; a claim that is not renewed lapses. Nothing becomes a job here, so a capture that
//! two servers listen for during a moment does no harm.

use std::{sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseFuture,
    WrapFuture,
};
use serde_json::{Map, Value, json};

use super::{
    setup::Setup,
    socket::{Configure, Socket, Stop},
    status::Live,
    tryouts::Tryouts,
};
use crate::{
    db::{
        self, Conn, DbError,
        capture::{self, CaptureConfig, CaptureKey},
    },
    types::{Invalid, Timestamp},
    wire::close_code,
};

/// A capture is live while the last ping of an editor is younger (windmill-facts §4).
const PING_FRESH: Duration = Duration::from_secs(10);
/// A server's claim holds so long without renewal.
const CLAIM_FRESH: Duration = Duration::from_secs(5);
/// How often it compares: claims are renewed several times before they lapse.
pub(super) const COMPARE: Duration = Duration::from_secs(1);

/// Configurations or pings have changed. Answers when the connections have been told.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CapturesChanged;

/// Stops every capture.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct StopCaptures;

/// A capture that this server listens for.
pub(super) struct Capturing {
    socket: Addr<Socket>,
    live: Arc<Live>,
    version: i64,
    /// The error that the table shows.
    shown: Option<String>,
}

/// The settings that a capture follows: those of the configuration, and what a trigger needs besides.
///
/// # Errors
/// Names the field that does not fit.
pub fn capture_settings(
    config: &Map<String, Value>,
    (path, is_flow): (&str, bool),
) -> Result<Map<String, Value>, Invalid> {
    let mut settings = config.clone();
    settings.insert("script_path".to_owned(), json!(path));
    settings.insert("is_flow".to_owned(), json!(is_flow));
    for (field, usual) in [
        ("filters", json!([])),
        ("can_return_message", json!(false)),
        ("can_return_error_result", json!(false)),
    ] {
        settings.entry(field).or_insert(usual);
    }
    Setup::of_settings(("", path), "", &settings)?;
    Ok(settings)
}

impl Handler<CapturesChanged> for Tryouts {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: CapturesChanged, ctx: &mut Self::Context) -> Self::Result {
        let (done, told) = tokio::sync::oneshot::channel();
        self.captures_waiting.push(done);
        self.compare_captures(ctx);
        Box::pin(async move {
            // An error says that windsock is stopping.
            let _ = told.await;
        })
    }
}

impl Handler<StopCaptures> for Tryouts {
    type Result = ();

    fn handle(&mut self, _: StopCaptures, _: &mut Self::Context) {
        self.stopping = true;
        for (_, capturing) in self.captures.drain() {
            stop(capturing);
        }
    }
}

impl Tryouts {
    /// Looks whether something is to be captured that is not, or the other way round. On SQLite every change comes
    /// through this process, so nothing is looked for while nothing is captured.
    pub(super) fn watch_captures(&mut self, ctx: &mut Context<Self>) {
        if !self.captures.is_empty() || !self.common.pool.is_sqlite() {
            self.compare_captures(ctx);
        }
    }

    /// Compares, unless a comparison is under way: then the next one follows it at once if somebody waits.
    fn compare_captures(&mut self, ctx: &mut Context<Self>) {
        if self.stopping || std::mem::replace(&mut self.comparing, true) {
            return;
        }
        let waiting = std::mem::take(&mut self.captures_waiting);
        let mut errors = Vec::new();
        for (key, capturing) in &mut self.captures {
            let error = capturing.live.error();
            if error != capturing.shown {
                capturing.shown.clone_from(&error);
                errors.push((key.clone(), error));
            }
        }
        let server = self.common.board.server_id().to_owned();
        let pool = self.common.pool.clone();
        let look = async move { pool.run(move |conn| look(conn, &server, &errors)).await };
        ctx.spawn(look.into_actor(self).map(|looked, tryouts, ctx| {
            tryouts.comparing = false;
            match looked {
                Ok(wanted) if !tryouts.stopping => tryouts.follow_captures(wanted),
                Ok(_) => {}
                Err(error) => log::error!("captures cannot be read: {error}"),
            }
            for waiting in waiting {
                // Whoever asked may have gone.
                let _ = waiting.send(());
            }
            if !tryouts.captures_waiting.is_empty() {
                tryouts.compare_captures(ctx);
            }
        }));
    }

    fn follow_captures(&mut self, wanted: Vec<CaptureConfig>) {
        let mut present = std::mem::take(&mut self.captures);
        for config in wanted {
            let key: CaptureKey = (
                config.workspace_id.as_str().into(),
                config.path.as_str().into(),
                config.is_flow,
            );
            let known = present.remove(&key);
            let capturing = match known {
                Some(known) if !known.socket.connected() => self.capture(&key, &config),
                Some(known) if known.version == config.version => Some(known),
                Some(mut known) => match setup(&config) {
                    Ok(setup) => {
                        known.version = config.version;
                        tell(known.socket.clone(), Configure(Arc::new(setup)));
                        Some(known)
                    }
                    Err(error) => {
                        log::error!(path = config.path.as_str(); "cannot be captured: {error}");
                        stop(known);
                        None
                    }
                },
                None => self.capture(&key, &config),
            };
            if let Some(capturing) = capturing {
                self.captures.insert(key, capturing);
            }
        }
        present.into_values().for_each(stop);
    }

    fn capture(&mut self, key: &CaptureKey, config: &CaptureConfig) -> Option<Capturing> {
        let setup = match setup(config) {
            Ok(setup) => Arc::new(setup),
            Err(error) => {
                log::error!(path = config.path.as_str(); "cannot be captured: {error}");
                return None;
            }
        };
        let live = Arc::new(Live::detached(&setup.workspace, &setup.path));
        let (common, filter) = (Arc::clone(&self.common), self.threads.filters.assign());
        let with = (key.clone(), Arc::clone(&live));
        let socket = self.start_in_thread(move |_| Socket::on_capture(common, setup, filter, with));
        Some(Capturing {
            socket,
            live,
            version: config.version,
            shown: config.error.clone(),
        })
    }
}

fn setup(config: &CaptureConfig) -> Result<Setup, Invalid> {
    let settings: Map<String, Value> =
        serde_json::from_str(&config.trigger_config).unwrap_or_default();
    let settings = capture_settings(&settings, (&config.path, config.is_flow))?;
    let place = (config.workspace_id.as_str(), config.path.as_str());
    Setup::of_settings(place, &format!("u/{}", config.username), &settings)
}

/// Says why captures are not connected, and answers those this server listens for.
fn look(
    conn: &mut Conn,
    server: &str,
    errors: &[(CaptureKey, Option<String>)],
) -> Result<Vec<CaptureConfig>, DbError> {
    let now = Timestamp::now();
    db::transaction(conn, |conn| {
        for (key, error) in errors {
            capture::set_error(conn, key, error.as_deref())?;
        }
        let since = (now.minus(PING_FRESH), now.minus(CLAIM_FRESH));
        capture::claim(conn, server, since)
    })
}

fn stop(capturing: Capturing) {
    tell(capturing.socket, Stop(close_code::NORMAL));
}

/// Sends something whose answer nobody waits for; one that has died is replaced by the next comparison.
fn tell<M>(socket: Addr<Socket>, message: M)
where
    M: Message<Result = ()> + Send + 'static,
    Socket: Handler<M>,
    <Socket as Actor>::Context: actix::dev::ToEnvelope<Socket, M>,
{
    actix_rt::spawn(async move {
        // An error says that it has died.
        let _ = socket.send(message).await;
    });
}
