//! Actor `Registry`: makes what runs equal to what the database says. Owns every `Socket`.
//!
//! It compares at start, after each change made through the API of this process ([`Reconcile`]), and at an
//! interval for changes made elsewhere. A socket whose actor died (a panic ends even a supervised one) is
//! created again at the next comparison; no other socket notices.

mod disable;
mod publish;
mod shared;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseFuture,
    Supervised, Supervisor, WrapFuture,
};
use actix_rt::ArbiterHandle;
use tokio::sync::oneshot;

pub use self::disable::Exhausted;
use self::{
    disable::Disabling,
    publish::{PUBLISH, Published},
};
use super::{
    farewell,
    filter_pool::FilterPool,
    leases::{Changes, Key, Leases},
    setup::Setup,
    socket::{Common, Configure, Socket, Stop},
};
use crate::{
    db::{DbError, trigger},
    wire::close_code,
};

/// How often it looks for sockets whose actor has died; a look costs nothing but memory reads.
const WATCH: Duration = Duration::from_millis(500);
/// While changes are heard of: how often it compares in case one was missed.
const COMPARE_HEARING: Duration = Duration::from_secs(5);

/// Rows of `triggers` have changed. Answers when the sockets have been told.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Reconcile;

/// Whether changes that other processes make are heard of from now on, or must be looked for.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Hearing(pub bool);

/// Stops every socket: they commit what they read and close with 1001. Answers when all have ended, and their peers have
/// closed as well or had the time to.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct StopAll;

/// See the file's documentation.
pub struct Registry {
    common: Arc<Common>,
    threads: Threads,
    every: Duration,
    running: HashMap<Key, Running>,
    /// The number under which what runs was taken.
    fence: i64,
    /// Triggers that are being given to another server: stopped here, not yet released.
    moving: HashSet<Key>,
    /// Sockets do not read: another server may have taken over, who knows.
    holding: bool,
    /// Lent to the comparison that is under way.
    leases: Option<Leases>,
    /// When the last comparison began.
    compared: Option<Instant>,
    published: Published,
    disabling: Disabling,
    hearing: bool,
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

struct Running {
    socket: Addr<Socket>,
    version: i64,
    setup: Arc<Setup>,
}

impl Registry {
    /// Starts the registry where it is called; `common` makes what the sockets share, which holds the
    /// registry's own address.
    pub fn start(
        common: impl FnOnce(actix::Recipient<Exhausted>) -> Common + 'static,
        threads: Threads,
        every: Duration,
    ) -> Addr<Self> {
        Supervisor::start(move |ctx: &mut Context<Self>| {
            let common = Arc::new(common(ctx.address().recipient()));
            let leases = Leases::new(common.pool.clone(), common.presence.clone());
            Self {
                fence: common.presence.fence(),
                common,
                threads,
                every,
                running: HashMap::new(),
                moving: HashSet::new(),
                holding: false,
                leases: Some(leases),
                compared: None,
                published: Published::default(),
                disabling: Disabling::default(),
                hearing: false,
                waiting: Vec::new(),
                stopping: false,
            }
        })
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.compare(ctx);
        ctx.run_interval(self.every, |registry, ctx| {
            let fresh = |at: Instant| at.elapsed() < COMPARE_HEARING;
            if !registry.hearing || !registry.compared.is_some_and(fresh) {
                registry.compare(ctx);
            }
        });
        ctx.run_interval(WATCH, |registry, _| {
            registry.replace_dead();
            registry.hold_when_unsure();
        });
        ctx.run_interval(PUBLISH, |registry, ctx| {
            let failure = registry.common.queue.failure();
            registry.common.board.database_is(failure);
            registry.publish(ctx);
        });
        ctx.run_interval(disable::AGAIN, |registry, ctx| registry.disable(ctx));
        let mut view = self.common.presence.follow();
        let registry = ctx.address().downgrade();
        actix_rt::spawn(async move {
            // A server came or went, or this one got another number.
            while view.changed().await.is_ok()
                && let Some(registry) = registry.upgrade()
            {
                let _ = registry.send(Reconcile).await;
            }
        });
    }
}

impl Supervised for Registry {
    fn restarting(&mut self, _: &mut Self::Context) {
        // What was lent went with the comparison.
        let (pool, presence) = (self.common.pool.clone(), self.common.presence.clone());
        self.leases = Some(Leases::new(pool, presence));
        self.disabling.under_way = false;
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
        let farewells = self.common.farewells.clone();
        Box::pin(async move {
            if !farewell::stop(sockets, close_code::AWAY).await {
                log::warn!("some connections did not end in time");
            }
            farewells.over().await;
        })
    }
}

impl Handler<Hearing> for Registry {
    type Result = ();

    fn handle(&mut self, Hearing(hearing): Hearing, ctx: &mut Self::Context) {
        self.hearing = hearing;
        self.compare(ctx);
    }
}

impl Registry {
    /// Compares, unless a comparison is under way: then the next one follows it at once if somebody waits.
    fn compare(&mut self, ctx: &mut Context<Self>) {
        if self.stopping {
            return;
        }
        let Some(mut leases) = self.leases.take() else {
            return;
        };
        self.take_number();
        self.compared = Some(Instant::now());
        let waiting = std::mem::take(&mut self.waiting);
        let known: HashMap<Key, i64> = self
            .running
            .iter()
            .map(|(key, run)| (key.clone(), run.version))
            .collect();
        let (fence, moving) = (self.fence, self.moving.clone());
        let look = actix_rt::task::spawn_blocking(move || {
            let changes = leases.look(fence, known, &moving);
            (leases, changes)
        });
        ctx.spawn(look.into_actor(self).map(|looked, registry, ctx| {
            let changes = match looked {
                Ok((leases, changes)) => {
                    registry.leases = Some(leases);
                    changes
                }
                Err(_) => {
                    registry.restarting(ctx);
                    Err(DbError::Lost)
                }
            };
            match changes {
                Ok(changes) => registry.follow(changes, ctx),
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

    fn follow(&mut self, changes: Changes, ctx: &mut Context<Self>) {
        if self.stopping {
            return;
        }
        for key in self.take_along(changes.gone, &changes.changed) {
            if let Some(run) = self.running.remove(&key) {
                tell(run.socket, Stop(close_code::NORMAL));
                self.common.board.rest(&key.0, &key.1);
            }
        }
        self.give_away(changes.moving, ctx);
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

    /// Of triggers that are at no path where they were and now at another the sockets go on; answers which are gone for
    /// good.
    fn take_along(&mut self, gone: Vec<Key>, changed: &[Setup]) -> Vec<Key> {
        // Looked through once, however many come and go at once.
        let versions = gone.into_iter().filter_map(|(workspace, path)| {
            let key = (workspace, path);
            let version = self.running.get(&key)?.version;
            Some((key.0, version, key.1))
        });
        let mut gone: BTreeSet<(Arc<str>, i64, Arc<str>)> = versions.collect();
        for setup in changed {
            let key = (Arc::clone(&setup.workspace), Arc::clone(&setup.path));
            if gone.is_empty() || self.running.contains_key(&key) {
                continue;
            }
            let first: Arc<str> = "".into();
            let earlier = |version| (Arc::clone(&key.0), version, Arc::clone(&first));
            let range = earlier(i64::MIN)..earlier(setup.version.saturating_add(1));
            let newest = gone.range(range).next_back().cloned();
            let Some(old) = newest.filter(|old| trigger::is_later(old.1, setup.version)) else {
                continue;
            };
            gone.remove(&old);
            if let Some(run) = self
                .running
                .remove(&(Arc::clone(&old.0), Arc::clone(&old.2)))
            {
                self.common.board.rename(&old.0, &old.2, &key.1);
                self.running.insert(key, run);
            }
        }
        let gone = gone.into_iter();
        gone.map(|(workspace, _, path)| (workspace, path)).collect()
    }

    fn start_socket(&mut self, setup: Arc<Setup>) -> Running {
        if self.common.fence != self.fence {
            Arc::make_mut(&mut self.common).fence = self.fence;
        }
        let (common, filter) = (Arc::clone(&self.common), self.threads.filters.assign());
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
