//! Actor `Registry`: makes what runs equal to what the database says. Owns every `Socket`.
//!
//! It compares at start, after each change made through the API of this process ([`Reconcile`]), and at an
//! interval for changes made elsewhere. A socket whose actor died (a panic ends even a supervised one) is
//! created again at the next comparison; no other socket notices.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseFuture,
    Supervised, Supervisor, WrapFuture,
};
use actix_rt::ArbiterHandle;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::{
    filter_pool::FilterPool,
    setup::Setup,
    socket::{Common, Configure, Socket, Stop},
};
use crate::{
    db::{Conn, DbError, trigger},
    types::Mode,
    wire::close_code,
};

/// How long the registry waits for its sockets to commit and close when it stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it looks for sockets whose actor has died; a look costs nothing but memory reads.
const WATCH: Duration = Duration::from_millis(500);
/// While it stops: how often it looks whether they have ended.
const STOP_POLL: Duration = Duration::from_millis(10);

/// Rows of `triggers` have changed. Answers when the sockets have been told.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Reconcile;

/// Stops every socket: they commit what they read and close with 1001. Answers when all have ended.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct StopAll;

/// A trigger has used up its attempts, or a close code says so: it is to be disabled, with the reason.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Exhausted {
    /// Its workspace.
    pub workspace: Arc<str>,
    /// Its path.
    pub path: Arc<str>,
    /// The version that was followed: a newer one is left alone.
    pub version: i64,
    /// Why.
    pub error: String,
}

/// See the file's documentation.
pub struct Registry {
    common: Common,
    threads: Threads,
    every: Duration,
    running: HashMap<Key, Running>,
    /// A comparison is under way.
    comparing: bool,
    /// Who waits for the end of a comparison that begins from now on.
    waiting: Vec<oneshot::Sender<()>>,
    stopping: bool,
}

/// Where sockets and filters run; a new socket takes the next of each.
#[derive(Clone)]
pub struct Threads {
    /// The threads of sockets.
    pub sockets: Vec<ArbiterHandle>,
    /// The threads of filters.
    pub filters: FilterPool,
}

type Key = (Arc<str>, Arc<str>);

struct Running {
    socket: Addr<Socket>,
    version: i64,
    setup: Arc<Setup>,
}

/// What a comparison found.
#[derive(Default)]
struct Changes {
    /// To be stopped.
    gone: Vec<Key>,
    /// To be started or told.
    changed: Vec<Setup>,
    /// Rows that cannot be followed, and why.
    unreadable: Vec<(Key, String)>,
}

impl Registry {
    /// Starts the registry where it is called; `common` makes what the sockets share, which holds the
    /// registry's own address.
    pub fn start(
        common: impl FnOnce(actix::Recipient<Exhausted>) -> Common + 'static,
        threads: Threads,
        every: Duration,
    ) -> Addr<Self> {
        Supervisor::start(move |ctx: &mut Context<Self>| Self {
            common: common(ctx.address().recipient()),
            threads,
            every,
            running: HashMap::new(),
            comparing: false,
            waiting: Vec::new(),
            stopping: false,
        })
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.compare(ctx);
        ctx.run_interval(self.every, |registry, ctx| registry.compare(ctx));
        ctx.run_interval(WATCH, |registry, _| registry.replace_dead());
    }
}

impl Supervised for Registry {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.comparing = false;
    }
}

impl Handler<Reconcile> for Registry {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Reconcile, ctx: &mut Self::Context) -> Self::Result {
        let (done, told) = oneshot::channel();
        self.waiting.push(done);
        self.compare(ctx);
        Box::pin(async move {
            // An error says that the registry has ended; then there is nothing to follow.
            let _ = told.await;
        })
    }
}

impl Handler<StopAll> for Registry {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopAll, _: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        let sockets: Vec<Addr<Socket>> = self.running.drain().map(|(_, run)| run.socket).collect();
        Box::pin(async move {
            join_all(
                sockets
                    .iter()
                    .map(|socket| socket.send(Stop(close_code::AWAY))),
            )
            .await;
            let weak: Vec<_> = sockets.iter().map(Addr::downgrade).collect();
            drop(sockets);
            let all_ended = async {
                while weak
                    .iter()
                    .any(|socket| socket.upgrade().is_some_and(|s| s.connected()))
                {
                    tokio::time::sleep(STOP_POLL).await;
                }
            };
            if tokio::time::timeout(STOP_TIMEOUT, all_ended).await.is_err() {
                log::warn!("some connections did not end in time");
            }
        })
    }
}

impl Handler<Exhausted> for Registry {
    type Result = ();

    fn handle(&mut self, exhausted: Exhausted, ctx: &mut Self::Context) {
        let pool = self.common.pool.clone();
        let disable = async move {
            let Exhausted {
                workspace,
                path,
                version,
                error,
            } = exhausted;
            let (log_path, log_error) = (Arc::clone(&path), error.clone());
            let disabled = pool
                .run(move |conn| {
                    let is_same = trigger::by_path(conn, &workspace, &path)?
                        .is_some_and(|row| row.version == version);
                    if is_same {
                        trigger::set_mode(conn, (&workspace, &path), Mode::Disabled, Some(&error))?;
                    }
                    Ok(is_same)
                })
                .await;
            match disabled {
                Ok(true) => log::warn!(trigger = &*log_path; "disabled: {log_error}"),
                Ok(false) => {}
                Err(error) => log::error!(trigger = &*log_path; "could not be disabled: {error}"),
            }
        };
        ctx.spawn(
            disable
                .into_actor(self)
                .map(|(), registry, ctx| registry.compare(ctx)),
        );
    }
}

impl Registry {
    /// Compares, unless a comparison is under way: then the next one follows it at once if somebody waits.
    fn compare(&mut self, ctx: &mut Context<Self>) {
        if self.comparing || self.stopping {
            return;
        }
        self.comparing = true;
        let waiting = std::mem::take(&mut self.waiting);
        let known: HashMap<Key, i64> = self
            .running
            .iter()
            .map(|(key, run)| (key.clone(), run.version))
            .collect();
        let pool = self.common.pool.clone();
        let look = async move { pool.run(move |conn| changes(conn, known)).await };
        ctx.spawn(look.into_actor(self).map(|changes, registry, ctx| {
            registry.comparing = false;
            match changes {
                Ok(changes) => registry.follow(changes),
                Err(error) => log::error!("triggers cannot be read: {error}"),
            }
            for waiting in waiting {
                // Whoever asked may have gone.
                let _ = waiting.send(());
            }
            if !registry.waiting.is_empty() {
                registry.compare(ctx);
            }
        }));
    }

    fn follow(&mut self, changes: Changes) {
        if self.stopping {
            return;
        }
        for key in changes.gone {
            if let Some(run) = self.running.remove(&key) {
                tell(run.socket, Stop(close_code::NORMAL));
                self.common.board.remove(&key.0, &key.1);
            }
        }
        for setup in changes.changed {
            let setup = Arc::new(setup);
            let key = (Arc::clone(&setup.workspace), Arc::clone(&setup.path));
            match self.running.get_mut(&key) {
                Some(run) => {
                    run.version = setup.version;
                    run.setup = Arc::clone(&setup);
                    tell(run.socket.clone(), Configure(setup));
                }
                None => {
                    let run = self.start_socket(setup);
                    self.running.insert(key, run);
                }
            }
        }
        for (key, error) in changes.unreadable {
            log::error!(trigger = &*key.1; "cannot be followed: {error}");
            self.common
                .board
                .entry(&key.0, &key.1)
                .disabled(Some(&error));
        }
    }

    fn start_socket(&mut self, setup: Arc<Setup>) -> Running {
        let (common, filter) = (self.common.clone(), self.threads.filters.assign());
        let version = setup.version;
        let kept = Arc::clone(&setup);
        let socket = self.start_in_thread(move |_| Socket::new(common, setup, filter));
        Running {
            socket,
            version,
            setup: kept,
        }
    }

    /// Starts a socket on the next of the sockets' threads.
    fn start_in_thread(
        &self,
        make: impl FnOnce(&mut Context<Socket>) -> Socket + Send + 'static,
    ) -> Addr<Socket> {
        let index = self.running.len() % self.threads.sockets.len().max(1);
        match self.threads.sockets.get(index) {
            Some(arbiter) => Supervisor::start_in_arbiter(arbiter, make),
            None => Supervisor::start(make),
        }
    }

    /// Creates sockets again whose actor has died; their counters go on.
    fn replace_dead(&mut self) {
        if self.stopping {
            return;
        }
        let dead: Vec<Arc<Setup>> = self
            .running
            .values()
            .filter(|run| !run.socket.connected())
            .map(|run| Arc::clone(&run.setup))
            .collect();
        for setup in dead {
            log::error!(trigger = &*setup.path; "its actor died and is started again");
            let key = (Arc::clone(&setup.workspace), Arc::clone(&setup.path));
            let run = self.start_socket(setup);
            self.running.insert(key, run);
        }
    }
}

/// Sends something whose answer nobody waits for; a socket that has died is replaced by the next comparison.
fn tell<M>(socket: Addr<Socket>, message: M)
where
    M: Message<Result = ()> + Send + 'static,
    Socket: Handler<M>,
{
    actix_rt::spawn(async move {
        // An error says that it has died.
        let _ = socket.send(message).await;
    });
}

/// Compares the rows that want to listen with what is `known` to run. Blocks; compiles what changed.
fn changes(conn: &mut Conn, mut known: HashMap<Key, i64>) -> Result<Changes, DbError> {
    let mut changes = Changes::default();
    let mut stale = Vec::new();
    for (workspace, path, version) in trigger::wanted_versions(conn)? {
        let key: Key = (workspace.into(), path.into());
        if known.remove(&key) != Some(version) {
            stale.push(key);
        }
    }
    changes.gone = known.into_keys().collect();
    for key in stale {
        let Some(row) = trigger::by_path(conn, &key.0, &key.1)? else {
            continue;
        };
        match Setup::new(&row) {
            Ok(setup) if setup.mode == Mode::Disabled => {}
            Ok(setup) => changes.changed.push(setup),
            Err(error) => changes.unreadable.push((key, error.0)),
        }
    }
    Ok(changes)
}

#[cfg(test)]
pub(super) mod provoked {
    use super::*;

    /// Has the actor of the trigger at this path panic, as a bug would.
    #[derive(Message)]
    #[rtype(result = "()")]
    pub(in crate::trigger) struct Panic(pub(in crate::trigger) Arc<str>);

    impl Handler<Panic> for Registry {
        type Result = ();

        fn handle(&mut self, Panic(path): Panic, _: &mut Self::Context) {
            for (_, run) in self.running.iter().filter(|(key, _)| key.1 == path) {
                tell(run.socket.clone(), crate::trigger::socket::Panic);
            }
        }
    }
}
