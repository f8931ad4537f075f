//! Two servers, two workers, a PostgreSQL and a feed, each behind a cable, and everything that can befall them.

use std::{path::Path, time::Duration, time::Instant};

use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use nix::sys::signal::Signal;
use rand::{RngExt, rngs::StdRng};

use crate::harness::{Cluster, Cutter, Database, Peer, Settings, server::Server};

/// A process of windsock, which is started again when it has ended, as a service manager does.
struct Node {
    name: &'static str,
    settings: Settings,
    database: Database,
    cable: Cutter,
    server: Option<Server>,
    /// What befalls it now.
    ails: bool,
    starts: usize,
    /// When it may be started again: who waits for the database must not take the machine from it.
    may_start: Instant,
}

/// How long a service manager waits before it starts what has ended.
const PAUSE: Duration = Duration::from_millis(500);

/// What can be cut or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Node(usize),
    Database,
    Feed,
}

/// What befalls it.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, then SIGCONT.
    Stall,
    /// Every connection is reset, and new ones too.
    Cut,
    /// Nothing passes, and nobody is told.
    BlackHole,
    /// PostgreSQL ends its sessions and stops.
    Shutdown,
    /// PostgreSQL stops as if it crashed.
    Crash,
}

/// Everything that runs.
pub struct World {
    nodes: Vec<Node>,
    cluster: Cluster,
    feed_cable: Cutter,
    feed_ails: bool,
    database_ails: bool,
    folder: tempfile::TempDir,
    heals: Vec<(Instant, Target, Fault)>,
    /// What has happened, one line each.
    pub log: Vec<String>,
    begun: Instant,
}

impl World {
    /// Starts the processes; jobs reach the API at `api`.
    pub async fn start(cluster: Cluster, peer: &Peer, api: &str) -> Self {
        let mut nodes = Vec::new();
        for (name, mode) in [
            ("server 1", "server"),
            ("server 2", "server"),
            ("worker 1", "worker"),
            ("worker 2", "worker"),
        ] {
            let cable = Cutter::to(cluster.port()).await;
            let settings = Settings::new().env("MODE", mode).env("NUM_WORKERS", "2");
            nodes.push(Node {
                name,
                settings: settings.env("BASE_INTERNAL_URL", api),
                database: cluster.through(cable.port()),
                cable,
                server: None,
                ails: false,
                starts: 0,
                may_start: Instant::now(),
            });
        }
        let mut world = Self {
            nodes,
            cluster,
            feed_cable: Cutter::to(peer.port()).await,
            feed_ails: false,
            database_ails: false,
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
            heals: Vec::new(),
            log: Vec::new(),
            begun: Instant::now(),
        };
        world.supervise();
        world
    }

    /// Where triggers find the feed.
    pub fn feed_port(&self) -> u16 {
        self.feed_cable.port()
    }

    /// Starts what has ended.
    ///
    /// # Panics
    /// When something ended that nobody killed, and not for want of its database (exit code 2, contract §2).
    pub fn supervise(&mut self) {
        let folder = self.folder.path();
        for node in &mut self.nodes {
            node.supervise(folder);
        }
    }

    /// Mends what has been broken for long enough; everything, if `all`.
    pub async fn heal(&mut self, all: bool) {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.heals)
            .into_iter()
            .partition(|(at, ..)| all || *at <= now);
        self.heals = later;
        for (_, target, fault) in due {
            self.say(format!("{target:?} is over {fault:?}"));
            match target {
                Target::Node(n) => self.nodes[n].heal(fault),
                Target::Feed => {
                    self.feed_cable.mend();
                    self.feed_ails = false;
                }
                Target::Database => {
                    self.cluster.come_back().await;
                    self.database_ails = false;
                }
            }
        }
    }

    /// Has the next thing happen, unless its target has not got over the one before.
    pub fn break_something(&mut self, rng: &mut StdRng) {
        let (target, faults): (_, &[Fault]) = match rng.random_range(0..10) {
            n @ 0..8 => (
                Target::Node(n / 2),
                &[
                    Fault::Kill,
                    Fault::Kill,
                    Fault::Stall,
                    Fault::Cut,
                    Fault::BlackHole,
                ],
            ),
            8 => (Target::Database, &[Fault::Shutdown, Fault::Crash]),
            _ => (Target::Feed, &[Fault::Cut, Fault::BlackHole]),
        };
        let fault = faults[rng.random_range(0..faults.len())];
        // Mostly short, now and then longer than a lease.
        let millis = match rng.random_range(0..4) {
            0 => rng.random_range(3_000..8_000),
            _ => rng.random_range(50..2_000),
        };
        if self.ails(target) {
            return;
        }
        self.say(format!("{target:?} has {fault:?} for {millis} ms"));
        match target {
            Target::Node(n) => self.nodes[n].suffer(fault),
            Target::Feed => {
                self.feed_ails = true;
                cut(&self.feed_cable, fault);
            }
            Target::Database => {
                self.database_ails = true;
                let crash = matches!(fault, Fault::Crash);
                let how = if crash {
                    Signal::SIGQUIT
                } else {
                    Signal::SIGINT
                };
                self.cluster.go_away(how);
            }
        }
        let over = Instant::now() + Duration::from_millis(millis);
        self.heals.push((over, target, fault));
    }

    /// What the queue and the sessions of the database look like, for a failure's message.
    pub fn database(&self) -> String {
        #[derive(diesel::QueryableByName)]
        struct Line {
            #[diesel(sql_type = diesel::sql_types::Text)]
            line: String,
        }
        let Ok(mut conn) = PgConnection::establish(&self.cluster.database().url()) else {
            return "the database does not answer".to_owned();
        };
        let mut lines = Vec::new();
        for query in [
            "SELECT concat_ws(' ', count(*), 'jobs in state', state, 'of', trigger_path, 'at', worker, 'lost', min(lost), \
             'lease', min(lease_until / 1000000 - extract(epoch FROM now())::bigint)) AS line \
             FROM queue GROUP BY state, trigger_path, worker ORDER BY state, trigger_path",
            "SELECT concat_ws(' ', key, 'max', max_jobs, 'turn', last_turn, 'wake', wake_at) AS line FROM lanes",
            "SELECT concat_ws(' ', 'process', id, fence, workers) AS line FROM servers",
            "SELECT concat_ws(' ', application_name, state, wait_event, now() - xact_start, left(query, 150)) AS line \
             FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid()",
        ] {
            match sql_query(query).load::<Line>(&mut conn) {
                Ok(found) => lines.extend(found.into_iter().map(|line| line.line)),
                Err(error) => lines.push(error.to_string()),
            }
        }
        lines.join("\n")
    }

    /// How many processes have been started.
    pub fn starts(&self) -> usize {
        self.nodes.iter().map(|node| node.starts).sum()
    }

    /// What the processes print.
    pub fn output(&self) -> String {
        let running = self.nodes.iter().filter_map(|node| {
            let output = node.server.as_ref()?.output.text();
            Some(format!("--- {}\n{output}", node.name))
        });
        running.collect::<Vec<_>>().join("\n")
    }

    fn ails(&self, target: Target) -> bool {
        match target {
            Target::Node(n) => self.nodes[n].ails,
            Target::Database => self.database_ails,
            Target::Feed => self.feed_ails,
        }
    }

    fn say(&mut self, what: String) {
        let line = format!("{:7.3} s {what}", self.begun.elapsed().as_secs_f64());
        self.log.push(line);
    }
}

impl Node {
    fn supervise(&mut self, folder: &Path) {
        if let Some(server) = &mut self.server
            && let Some(status) = server.ended()
        {
            let output = server.output.text();
            assert_eq!(
                status.code(),
                Some(2),
                "{} ended: {status}\n{output}",
                self.name
            );
            self.server = None;
        }
        let now = Instant::now();
        if self.server.is_none() && !self.ails && self.may_start <= now {
            self.may_start = now + PAUSE;
            self.server = Some(Server::spawn(&self.settings, &self.database, folder));
            self.starts += 1;
        }
    }

    fn suffer(&mut self, fault: Fault) {
        self.ails = true;
        match fault {
            Fault::Kill => {
                if let Some(server) = self.server.take() {
                    server.kill();
                }
            }
            Fault::Stall => self.signal(Signal::SIGSTOP),
            fault => cut(&self.cable, fault),
        }
    }

    fn heal(&mut self, fault: Fault) {
        self.ails = false;
        match fault {
            Fault::Stall => self.signal(Signal::SIGCONT),
            _ => self.cable.mend(),
        }
    }

    fn signal(&self, which: Signal) {
        if let Some(server) = &self.server {
            server.signal(which);
        }
    }
}

fn cut(cable: &Cutter, fault: Fault) {
    match fault {
        Fault::BlackHole => cable.black_hole(),
        _ => cable.cut(),
    }
}
