//! `Live`: one browser that watches a workspace over a WebSocket (contract section 5).
//!
//! Everything it shows is pulled: statuses from the [`Board`](crate::trigger::status::Board) four times a second, jobs and
//! samples from bounded broadcasts. A browser that stops reading freezes this actor and nothing else; what it misses is
//! dropped for it alone, and the socket's own time-out ends it.
//!
//! `auth::identify` has looked at the `Origin` where the cookie says who asks. Who sends a bearer token is no browser.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, StreamHandler, WrapFuture};
use actix_web::{HttpRequest, web};
use actix_web_actors::ws::{self, CloseCode, CloseReason, ProtocolError, WebsocketContext};
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    State, TriggerChange,
    answer::Upgraded,
    elsewhere::{Seen, seen},
    error::Error,
    extract::At,
    standing::SESSION_CHECK,
    triggers::status_of,
};
use crate::{
    access::{self, Caller},
    db::{trigger, trigger::TriggerFilter},
    queue::{JobEvent, JobState},
    trigger::status::{Sample, Tail, Watch},
    types::{Mode, Timestamp},
};

/// Statuses are looked at this often: at most 4 a second of one trigger (contract section 5).
const STEP: Duration = Duration::from_millis(250);
/// Jobs shown a step: 20 a second, as many as eyes can follow.
const JOBS_PER_STEP: u32 = 5;
/// Other servers' triggers are looked up this often (contract section 5: at most 1 s old).
const ROWS: Duration = Duration::from_millis(500);
/// A quiet connection is asked whether it lives.
const PING: Duration = Duration::from_secs(20);
/// And given up when it said nothing for so long.
const DEAD: Duration = Duration::from_secs(60);
/// Triggers one browser follows at once.
const TAILS: usize = 50;

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    /// Shows the messages of a trigger.
    Tail(String),
    /// Shows them no more.
    Untail(String),
}

/// What happens in the process; `Missed`: some of it came too fast.
enum News<T> {
    Happened(T),
    Missed,
}

/// One watching browser.
struct Live {
    state: web::Data<State>,
    caller: Caller,
    /// The same one, asking for jobs: what scopes hold of these is told by their own.
    of_jobs: Caller,
    workspace: String,
    seen: HashMap<Arc<str>, u64>,
    rows: HashMap<String, (i64, String)>,
    tails: HashMap<String, (Watch, Option<Tail>)>,
    /// Rows changed; they are looked up at the next step, once for however many changes.
    stale: bool,
    jobs_left: u32,
    heard: Instant,
}

impl Actor for Live {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.load_rows(ctx, true);
        ctx.add_stream(follow(self.state.queue.events()));
        ctx.add_stream(follow(self.state.board.samples()));
        ctx.add_stream(follow(self.state.trigger_changes()));
        ctx.run_interval(STEP, |live, ctx| live.step(ctx));
        if !self.state.pool.is_sqlite() {
            ctx.run_interval(ROWS, |live, ctx| live.load_rows(ctx, false));
        }
        ctx.run_interval(PING, |live, ctx| {
            if live.heard.elapsed() > DEAD {
                ctx.stop();
            } else {
                ctx.ping(b"");
            }
        });
        ctx.run_interval(SESSION_CHECK, |live, ctx| live.check_session(ctx));
        let stops = self.state.stopping.begun().into_actor(self);
        ctx.spawn(stops.map(|(), _, ctx| close(ctx, CloseCode::Away, "windsock stops")));
    }
}

impl StreamHandler<Result<ws::Message, ProtocolError>> for Live {
    fn handle(&mut self, item: Result<ws::Message, ProtocolError>, ctx: &mut Self::Context) {
        self.heard = Instant::now();
        match item {
            Ok(ws::Message::Text(text)) => match serde_json::from_str(&text) {
                Ok(wish) => self.wish(wish),
                Err(_) => close(
                    ctx,
                    CloseCode::Policy,
                    "expected {\"tail\": path} or {\"untail\": path}",
                ),
            },
            Ok(ws::Message::Ping(payload)) => ctx.pong(&payload),
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => {}
            Ok(ws::Message::Close(reason)) => {
                ctx.close(reason);
                ctx.stop();
            }
            Ok(ws::Message::Binary(_) | ws::Message::Continuation(_)) => {
                close(ctx, CloseCode::Unsupported, "only whole texts");
            }
            // The first error ends it: the stream would repeat it for ever.
            Err(_) => ctx.stop(),
        }
    }
}

impl StreamHandler<News<JobEvent>> for Live {
    fn handle(&mut self, news: News<JobEvent>, ctx: &mut Self::Context) {
        let News::Happened(event) = news else { return };
        let path = event.runnable_path.as_deref();
        let caller = &self.of_jobs;
        let seen = match path {
            Some(path) => caller.may_read(path, "{}"),
            None => caller.is_admin && caller.scoped("read", Some("")),
        };
        if *event.workspace != *self.workspace || !seen || self.jobs_left == 0 {
            return;
        }
        self.jobs_left -= 1;
        let (state, success) = match event.state {
            JobState::Queued => ("queued", None),
            JobState::Running => ("running", None),
            JobState::Completed { success } => ("completed", Some(success)),
        };
        let mut text = json!({
            "type": "job", "id": event.id, "state": state, "script_path": path,
        });
        if let Some(success) = success {
            text["success"] = success.into();
        }
        if let Some(trigger) = event.trigger_path.as_deref() {
            text["trigger_path"] = trigger.into();
        }
        ctx.text(text.to_string());
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<News<Arc<Sample>>> for Live {
    fn handle(&mut self, news: News<Arc<Sample>>, ctx: &mut Self::Context) {
        let News::Happened(sample) = news else { return };
        if *sample.workspace != *self.workspace || !self.tails.contains_key(&*sample.path) {
            return;
        }
        let text = json!({
            "type": "message", "path": &*sample.path, "at": sample.at, "text": &*sample.text,
            "bytes": sample.bytes, "verdict": sample.verdict, "skipped": sample.skipped,
            "why": sample.why,
        });
        ctx.text(text.to_string());
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<News<TriggerChange>> for Live {
    fn handle(&mut self, news: News<TriggerChange>, ctx: &mut Self::Context) {
        match news {
            News::Happened(change) if change.workspace == self.workspace => {
                self.changed(ctx, change.op, &change.path);
                self.stale = true;
            }
            News::Happened(_) => {}
            News::Missed => self.stale = true,
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Live {
    fn may_see(&self, path: &str) -> bool {
        self.caller.may_read(path, "{}")
    }

    fn changed(&mut self, ctx: &mut WebsocketContext<Self>, op: &str, path: &str) {
        if op == "deleted" {
            self.tails.remove(path);
            self.rows.remove(path);
            self.seen.remove(path);
        }
        if self.may_see(path) {
            ctx.text(json!({"type": "trigger", "op": op, "path": path}).to_string());
        }
    }

    fn step(&mut self, ctx: &mut WebsocketContext<Self>) {
        self.jobs_left = JOBS_PER_STEP;
        let ended = self
            .caller
            .expires_at
            .is_some_and(|end| end <= Timestamp::now());
        if ended {
            return close(ctx, CloseCode::Policy, "the session has ended");
        }
        if std::mem::take(&mut self.stale) {
            self.load_rows(ctx, true);
        }
        self.follow_tails();
        for (path, status) in self.state.board.changes(&self.workspace, &mut self.seen) {
            // A row that is disabled says so itself; the board may still hold its last counters.
            if self.may_see(&path) {
                ctx.text(json!({"type": "status", "path": &*path, "status": status}).to_string());
            }
        }
    }

    /// A trigger that was disabled, or that this server did not listen for, may be listened for by now.
    fn follow_tails(&mut self) {
        let board = &self.state.board;
        for (path, (_, tail)) in &mut self.tails {
            if !tail.as_ref().is_some_and(|tail| board.is_current(tail)) {
                *tail = board.tail(&self.workspace, path);
            }
        }
    }

    fn wish(&mut self, wish: Wish) {
        match wish {
            Wish::Tail(path) => {
                if self.tails.len() < TAILS
                    && !self.tails.contains_key(&path)
                    && self.may_see(&path)
                {
                    let board = &self.state.board;
                    let watch = board.watch(&self.workspace, &path);
                    let tail = board.tail(&self.workspace, &path);
                    self.tails.insert(path, (watch, tail));
                }
            }
            Wish::Untail(path) => {
                self.tails.remove(&path);
            }
        }
    }

    /// Looks up the rows; `here`: also of triggers this server listens for (whose changes come by themselves).
    fn load_rows(&mut self, ctx: &mut WebsocketContext<Self>, here: bool) {
        let (state, workspace) = (self.state.clone(), self.workspace.clone());
        let rows = async move {
            let filter = TriggerFilter::default();
            state
                .run(move |conn| {
                    let rows = trigger::list(conn, &workspace, &filter)?;
                    seen(conn, rows)
                })
                .await
        };
        ctx.spawn(
            rows.into_actor(self)
                .map(move |rows, live, ctx| match rows {
                    Ok(rows) => live.show_rows(ctx, &rows, here),
                    Err(error) => log::warn!("triggers cannot be shown: {error}"),
                }),
        );
    }

    fn show_rows(&mut self, ctx: &mut WebsocketContext<Self>, rows: &[Seen], here: bool) {
        let first = self.rows.is_empty();
        let there: HashSet<&str> = rows.iter().map(|one| one.row.path.as_str()).collect();
        let gone = self
            .rows
            .keys()
            .filter(|path| !there.contains(path.as_str()));
        let gone: Vec<String> = gone.cloned().collect();
        for path in gone {
            self.changed(ctx, "deleted", &path);
        }
        for one in rows
            .iter()
            .filter(|one| self.caller.may_read(&one.row.path, &one.row.extra_perms))
        {
            let row = &one.row;
            // What this server listens to shows itself by the board's changes; its row only says more when edited.
            let elsewhere = self.state.board.get(&row.workspace_id, &row.path).is_none();
            let before = self.rows.get(&row.path);
            let edited = before.is_some_and(|(version, _)| *version != row.version);
            let op = match before {
                None if !first && !here => Some("created"),
                Some(_) if edited && !here => Some("updated"),
                _ => None,
            };
            let off = before.is_none() && row.mode == Mode::Disabled.as_str();
            let mut shown = String::new();
            if elsewhere || off || edited && here {
                let status = json!(status_of(one, &self.state));
                shown = status.to_string();
                if before.is_none_or(|(_, before)| edited || *before != shown) {
                    ctx.text(
                        json!({"type": "status", "path": row.path, "status": status}).to_string(),
                    );
                }
            }
            self.rows.insert(row.path.clone(), (row.version, shown));
            if let Some(op) = op {
                ctx.text(json!({"type": "trigger", "op": op, "path": row.path}).to_string());
            }
        }
    }

    /// Rights that were taken away since end here, too: what may not be seen any more is not shown any more.
    fn check_session(&mut self, ctx: &mut WebsocketContext<Self>) {
        let (state, caller) = (self.state.clone(), self.caller.clone());
        let renewed = async move {
            state
                .run(move |conn| Ok(access::renewed(conn, &caller)?))
                .await
        };
        ctx.spawn(renewed.into_actor(self).map(|renewed, live, ctx| {
            match renewed {
                Ok(Some(caller)) => {
                    live.of_jobs = caller.asking("jobs");
                    live.caller = caller;
                    let caller = &live.caller;
                    live.tails.retain(|path, _| caller.may_read(path, "{}"));
                }
                Ok(None) => close(ctx, CloseCode::Policy, "the session has ended"),
                // A database that is away ends nobody's session.
                Err(_) => {}
            }
        }));
    }
}

fn close(ctx: &mut WebsocketContext<Live>, code: CloseCode, why: &str) {
    ctx.close(Some(CloseReason {
        code,
        description: Some(why.to_owned()),
    }));
    ctx.stop();
}

/// What is sent on a broadcast, as a stream; ends with it.
fn follow<T: Clone + 'static>(receiver: broadcast::Receiver<T>) -> impl Stream<Item = News<T>> {
    stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Ok(event) => Some((News::Happened(event), receiver)),
            Err(RecvError::Lagged(_)) => Some((News::Missed, receiver)),
            Err(RecvError::Closed) => None,
        }
    })
}

/// Statuses, jobs and followed messages of the workspace, as JSON texts on a WebSocket.
pub(crate) async fn live(
    caller: Caller,
    at: At,
    (req, payload): (HttpRequest, web::Payload),
    state: web::Data<State>,
) -> Result<Upgraded, Error> {
    if state.stopping.has_begun() {
        return Err(Error::Stopping);
    }
    let live = Live {
        state,
        of_jobs: caller.asking("jobs"),
        caller,
        workspace: at.workspace,
        seen: HashMap::new(),
        rows: HashMap::new(),
        tails: HashMap::new(),
        stale: false,
        jobs_left: JOBS_PER_STEP,
        heard: Instant::now(),
    };
    ws::start(live, &req, payload).map(Upgraded).map_err(|_| {
        Error::BadRequest("this route is a WebSocket; connect to it as one".to_owned())
    })
}
