//! Starts what listens: sockets' threads, filters, replies, the registry; and enters the process among its like.

use std::time::Duration;

use actix::{Addr, Supervisor};
use actix_rt::Arbiter;

use crate::{
    config::{Config, ProcessMode},
    db::{DbError, Pool},
    presence::Presence,
    queue::Queue,
    trigger::{
        Board, Clock, Common, Connections, Dialer, Farewells, FilterPool, Notes, Rates, Registry,
        Replies, Scribe, Threads, Tryouts,
    },
};

/// How often a server on PostgreSQL looks for changes that another one made.
/// SQLite has one process, and every change in it rings; then this only catches what was missed.
const RECONCILE_ALONE: Duration = Duration::from_secs(5);
/// The actors of a process that listens.
pub(super) struct ListeningSide {
    pub(super) registry: Addr<Registry>,
    pub(super) tryouts: Addr<Tryouts>,
    pub(super) scribe: Addr<Scribe>,
}

pub(super) async fn join(config: &Config, pool: &Pool) -> Result<Presence, DbError> {
    let (pool, limits) = (pool.clone(), config.limits.clone());
    let part = (config.mode != ProcessMode::Worker, config.num_workers);
    actix_rt::task::spawn_blocking(move || Presence::join(&pool, &limits, part))
        .await
        .map_err(|_| DbError::Lost)?
}

/// What listening stands on.
pub(super) struct Listens {
    pub(super) pool: Pool,
    pub(super) queue: Queue,
    pub(super) board: Board,
    pub(super) dialer: Dialer,
    pub(super) presence: Presence,
}

pub(super) fn start_listening(
    config: &Config,
    shared: Listens,
    arbiters: &mut Vec<Arbiter>,
) -> ListeningSide {
    let Listens {
        pool,
        queue,
        board,
        dialer,
        presence,
    } = shared;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // One thread fewer than cores for sockets: filters, the ledger and jobs want some too.
    let sockets: Vec<Arbiter> = (1..cores.max(2)).map(|_| Arbiter::new()).collect();
    let threads = Threads {
        sockets: sockets.iter().map(Arbiter::handle).collect(),
        filters: FilterPool::start(cores.saturating_sub(1)),
    };
    arbiters.extend(sockets);
    let connections = Connections::default();
    let (for_replies, on_board) = (connections.clone(), board.clone());
    let replies = Supervisor::start_in_arbiter(&arbiters[0].handle(), move |_| {
        Replies::new(for_replies, on_board)
    });
    queue.send_replies_to(replies.recipient());
    let every = if pool.is_sqlite() {
        RECONCILE_ALONE
    } else {
        config.limits.reconcile
    };
    let (limits, echo) = (config.limits.clone(), config.echo);
    let (rates, notes) = (Rates::default(), Notes::default());
    let clock = Clock::start();
    let scribe = Scribe::start(notes.clone(), pool.clone(), board.server_id());
    let common = move |exhausted| Common {
        pool,
        queue,
        board,
        connections,
        presence,
        fence: 0,
        dialer,
        clock,
        farewells: Farewells::default(),
        rates,
        exhausted,
        notes,
        limits,
        echo,
    };
    let registry = Registry::start(common.clone(), threads.clone(), every);
    let tryouts = Tryouts::start(common(registry.clone().recipient()), threads);
    ListeningSide {
        registry,
        tryouts,
        scribe,
    }
}
