//! Starts the supervision tree in order and stops it in reverse; the one place that knows every actor.

mod adapters;
mod bell;
mod certificate;
mod doors;
mod file;
mod listening;
mod observe;
mod relay;

use std::{
    fs::File,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, Addr};
use actix_rt::Arbiter;
use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    adapters::{Listener, Scripts},
    doors::Doors,
    listening::{ListeningSide, Listens, join, start_listening},
};

use crate::{
    access,
    api::{self, History, Listeners, Parts, State, Stopping},
    config::{Config, DatabaseUrl, ProcessMode},
    db::{self, DbError, Pool, secrets},
    demo::Demo,
    identity,
    presence::Presence,
    queue::{Queue, WORKER, keep_erasing, keep_pruning},
    runner::{self, Addresses, JobIdentity, Runner, RunnerSettings, packages::Packages},
    secret,
    trigger::{Board, Dialer, StopAll, StopCaptures, WriteAll},
    types::{Invalid, Timestamp},
};

/// How long a job's token outlives the longest run of a job: for what it does in its last moment.
const TOKEN_GRACE: Duration = Duration::from_secs(60);
/// Open files that the process asks for: a connection is one, and 5,000 triggers are expected of it.
const OPEN_FILES: u64 = 65_536;
/// How long the connection logs may take to be written at the end.
const LOGS_WITHIN: Duration = Duration::from_secs(1);
/// What jobs and requests have to end in any case, whatever the sockets took of the time to stop.
const AT_LEAST: Duration = Duration::from_secs(1);

/// Why windsock does not start. One line that says what and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting that shows to be wrong when it is used.
    #[error(transparent)]
    Setting(#[from] Invalid),
    /// The database cannot be used.
    #[error("{0}; check --database-url (DATABASE_URL)")]
    Database(#[from] DbError),
    /// Another process uses the SQLite file.
    #[error(
        "{} is used by another windsock: stop it, name another file with --database-url, or share a PostgreSQL",
        .0.display()
    )]
    InUse(PathBuf),
    /// The port cannot be listened on.
    #[error("cannot listen on {0}: {1}; choose another --port (PORT) or --bind (SERVER_BIND_ADDR)")]
    Port(SocketAddr, io::Error),
    /// The system gave no thread, file or folder.
    #[error("the system refused: {0}")]
    Io(#[from] io::Error),
    /// The demo's samples were refused.
    #[error("the demo could not be set up: {0}")]
    Demo(String),
}

/// A started windsock.
pub struct System {
    config: Config,
    address: SocketAddr,
    own: String,
    inside: Option<String>,
    pool: Pool,
    presence: Presence,
    listening: Option<ListeningSide>,
    runner: Addr<Runner>,
    server: Option<(ServerHandle, Stopping)>,
    demo: Option<Demo>,
    /// The thread of the queue's ledger: its commits block it.
    ledger: Arbiter,
    arbiters: Vec<Arbiter>,
    // Held for what its end does: frees the SQLite file, removes the demo's folder.
    _lock: Option<File>,
    _folder: Option<tempfile::TempDir>,
}

impl System {
    /// Starts everything that `config` asks for, each part after what it stands on.
    ///
    /// # Errors
    /// One part cannot be started; what was started before it ends with the process.
    pub async fn start(mut config: Config) -> Result<Self, StartError> {
        // More than the soft limit is only wanted, not needed.
        let _ = rlimit::increase_nofile_limit(OPEN_FILES);
        let wants_demo = config.demo.then(|| prepare_demo(&mut config));
        let (demo, folder) = wants_demo.transpose()?.unzip();
        // Before anything is made: settings that cannot be used must not leave a database behind,
        // nor must a taken port.
        secrets::given(&config)?;
        let dialer = Dialer::new(config.allow_private.as_deref(), &config.proxies)?;
        let doors = Doors::open(&config)?;
        let lock = file::own(&config.database).await?;
        let pool = open_pool(&config).await?;
        let presence = join(&config, &pool).await?;
        let ledger = Arbiter::new();
        let queue = Queue::start(
            pool.clone(),
            config.limits.clone(),
            format!("{WORKER}{}", pool.name()),
            &ledger.handle(),
        );
        let mut arbiters = vec![Arbiter::new()];
        queue.join(presence.clone());
        let board = Board::new(pool.name());
        let listening = (config.mode != ProcessMode::Worker).then(|| {
            let shared = Listens {
                pool: pool.clone(),
                queue: queue.clone(),
                board: board.clone(),
                dialer: dialer.clone(),
                presence: presence.clone(),
            };
            start_listening(&config, shared, &mut arbiters)
        });
        let registry = listening.as_ref().map(|side| side.registry.clone());
        bell::follow((&pool, &queue, &board), presence.clone(), registry);
        let packages = Packages::new(config.cache_dir.clone());
        let shared = (&pool, &queue, &dialer, &packages);
        let runner = start_runner(&config, &doors, shared).await?;
        if let Some(certificate) = doors.certificate {
            actix_rt::spawn(certificate.keep_fresh());
        }
        let mut system = Self {
            address: doors.address,
            own: doors.own,
            inside: doors.inside,
            listening,
            runner,
            server: None,
            demo,
            arbiters,
            ledger,
            pool: pool.clone(),
            presence,
            config,
            _lock: lock,
            _folder: folder,
        };
        let history = History::default();
        system.observe(&board, &history);
        let state = State::new(Parts {
            pool,
            queue,
            board,
            history,
            listening: Arc::new(Listener::new(system.listening.as_ref(), dialer)),
            script_check: Arc::new(Scripts(packages)),
            config: Arc::new(system.config.clone()),
        });
        system.serve(state, doors.listeners)?;
        system.fill_demo().await?;
        Ok(system)
    }

    /// Begins to answer requests.
    fn serve(&mut self, state: State, listeners: Listeners) -> Result<(), StartError> {
        let stopping = state.stopping();
        let server = api::server(state, listeners)?;
        self.server = Some((server.handle(), stopping));
        actix_rt::spawn(server);
        Ok(())
    }

    /// Makes the samples of the demo, if it is one.
    async fn fill_demo(&self) -> Result<(), StartError> {
        let Some(demo) = &self.demo else {
            return Ok(());
        };
        let token = self.pool.run(access::new_setup_token).await?;
        let filled = demo
            .fill(self.inside.as_ref().unwrap_or(&self.own), &token)
            .await;
        filled.map_err(StartError::Demo)
    }

    /// Begins to look after what grows, fails or is slow.
    fn observe(&self, board: &Board, history: &History) {
        let pool = &self.pool;
        actix_rt::spawn(keep_pruning(pool.clone(), self.config.retention));
        actix_rt::spawn(keep_erasing(pool.clone()));
        let (presence, history) = (self.presence.clone(), history.clone());
        actix_rt::spawn(observe::keep_history(
            pool.clone(),
            board.clone(),
            presence,
            history,
        ));
        if let Some(after) = self.config.alert_after {
            actix_rt::spawn(observe::keep_alarming(pool.clone(), board.clone(), after));
        }
        let threads = self.arbiters.iter().enumerate();
        let threads = threads.map(|(index, arbiter)| {
            let name = if index == 0 { "queue" } else { "sockets" };
            (arbiter.handle(), name)
        });
        actix_rt::spawn(observe::measure_lag(threads.collect()));
    }

    /// What to tell whoever started windsock: the address, and how to log in where no secret is set.
    ///
    /// # Errors
    /// The database gives no answer.
    pub async fn greeting(&self) -> Result<String, StartError> {
        let own = &self.own;
        let mut text = format!("windsock listens on {own}");
        if self.config.superadmin_secret.is_none() && self.config.mode != ProcessMode::Worker {
            let base = self.config.base_url.as_ref().unwrap_or(own);
            let token = self.pool.run(access::new_login_link).await?;
            text.push_str(&format!(
                "\nlog in (once, within 15 minutes): {base}/?token={token}"
            ));
        }
        Ok(text)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops in reverse: sockets commit what they read and close, running jobs finish or are handed back, the
    /// API answers what it has begun (contract section 2).
    pub async fn stop(mut self) {
        log::info!("stopping");
        if let Some((_, stopping)) = &self.server {
            stopping.begin();
        }
        self.presence.prepare_to_leave();
        let end = Instant::now() + self.config.limits.drain;
        let left = || end.saturating_duration_since(Instant::now());
        if let Some(listening) = self.listening.take() {
            // An error says that it has ended already; so do the others below.
            let _ = listening.registry.send(StopAll).await;
            let _ = listening.tryouts.send(StopCaptures).await;
            let logs = listening.scribe.send(WriteAll);
            // Worth no wait for a database that is away.
            let _ = tokio::time::timeout(LOGS_WITHIN, logs).await;
        }
        // What this server listened to goes to others now, while jobs still run.
        self.presence.leave().await;
        let within = left().max(AT_LEAST);
        let _ = self.runner.send(runner::Stop { within }).await;
        if let Some((server, _)) = self.server.take() {
            // Past it the process ends, and with it the requests it has begun.
            let _ = tokio::time::timeout(left().max(AT_LEAST), server.stop(true)).await;
        }
        if let Some(demo) = self.demo.take() {
            demo.stop().await;
        }
        for arbiter in self.arbiters.drain(..) {
            arbiter.stop();
        }
        self.ledger.stop();
        log::info!("stopped");
    }
}

/// SIGTERM and SIGINT: as long as it lives they do not end the process by themselves.
#[derive(Debug)]
pub struct StopSignal(Option<(Signal, Signal)>);

impl StopSignal {
    /// Hears them from now on.
    #[must_use]
    pub fn heard() -> Self {
        let both = signal(SignalKind::terminate())
            .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
        Self(both.map_or_else(
            |error| {
                log::error!("signals cannot be heard, only a kill ends this process: {error}");
                None
            },
            Some,
        ))
    }

    /// Waits for one of them.
    pub async fn comes(&mut self) {
        match &mut self.0 {
            Some((terminate, interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            None => std::future::pending().await,
        }
    }
}

/// A new login link for the server that uses the same settings.
///
/// # Errors
/// The database cannot be used.
pub async fn login_link(config: &Config) -> Result<String, StartError> {
    let pool = open_pool(config).await?;
    let token = pool.run(access::new_login_link).await?;
    let own = doors::url(config, SocketAddr::new(config.bind, config.port));
    let base = config.base_url.clone().unwrap_or(own);
    Ok(format!("{base}/?token={token}"))
}

/// Starts the feed, and turns the settings to a database that goes with the process.
fn prepare_demo(config: &mut Config) -> Result<(Demo, tempfile::TempDir), StartError> {
    let folder = tempfile::Builder::new()
        .prefix("windsock-demo-")
        .tempdir()?;
    let demo = Demo::start()?;
    config.database = DatabaseUrl::Sqlite(folder.path().join("windsock.db"));
    config.mode = ProcessMode::Standalone;
    config.allow_private = Some(demo.allowed());
    Ok((demo, folder))
}

async fn open_pool(config: &Config) -> Result<Pool, StartError> {
    let (url, connections) = (config.database.clone(), config.limits.database_connections);
    let pool = actix_rt::task::spawn_blocking(move || Pool::open(&url, connections))
        .await
        .map_err(|_| DbError::Lost)??;
    pool.run(access::first_start).await?;
    let config = config.clone();
    let found =
        pool.run(move |conn| db::transaction(conn, |conn| secrets::find_key(conn, &config)));
    secret::install(found.await??);
    Ok(pool)
}

async fn start_runner(
    config: &Config,
    doors: &Doors,
    (pool, queue, dialer, packages): (&Pool, &Queue, &Dialer, &Packages),
) -> Result<Addr<Runner>, StartError> {
    let tokens = pool
        .run(|conn| db::transaction(conn, access::job_tokens))
        .await?;
    let addresses = Addresses {
        own: &doors.own,
        inside: doors.inside.as_deref(),
    };
    let settings = RunnerSettings::new(config, addresses, dialer.address_check(), packages.clone());
    let lifetime = config.limits.job_timeout + TOKEN_GRACE;
    let identify = Arc::new(move |job: &crate::queue::Job| {
        let longest = job.timeout_secs.and_then(|secs| u64::try_from(secs).ok());
        let lifetime = longest.map_or(lifetime, |secs| Duration::from_secs(secs) + TOKEN_GRACE);
        let name = &job.permissioned_as;
        let token = tokens.mint(&identity::JobIdentity {
            workspace: job.workspace_id.clone(),
            permissioned_as: name.clone(),
            job: job.id,
            depth: job.depth,
            until: Timestamp::now().plus(lifetime),
        });
        JobIdentity {
            token,
            username: name.strip_prefix("u/").unwrap_or(name).to_owned(),
            email: access::email_of(name),
        }
    });
    Ok(Runner::new(settings, queue.clone(), pool.clone(), identify).start())
}
