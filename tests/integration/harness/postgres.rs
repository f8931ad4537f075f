//! Databases for tests: a SQLite file, or a database of its own in the one PostgreSQL cluster of this test process.
//!
//! The cluster is made by `initdb` in a temporary folder, accepts TLS connections with a password only, keeps fsync
//! on, and ends with the test process, also a killed one ([`guarded`]). Nothing of it is left behind. A test that stops
//! its database, or reads along on the way to it, has a cluster of its own.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User},
};
use tempfile::TempDir;

use super::{
    PATIENCE,
    process::{free_port, guarded},
    wait_at_most,
};

/// The owner of every database, with a password that must be escaped in a URL.
const ROLE: &str = "windsock";
const PASSWORD: &str = "p@ss word/1";
const PASSWORD_IN_URL: &str = "p%40ss%20word%2F1";

/// Tests run side by side, each server with a pool of its own.
const MAX_CONNECTIONS: u32 = 200;

/// Who gets in, and whether what is written must be on the disk.
#[derive(Clone, Copy)]
struct Manner {
    hosts: &'static str,
    fsync: &'static str,
}

/// Over TCP only with TLS, and only with the password.
const SHARED: Manner = Manner {
    hosts: "hostssl all all 127.0.0.1/32 scram-sha-256\n",
    fsync: "on",
};

/// Also in clear, for a cable that reads along. Nothing is forced to the disk: the server may crash, the machine does
/// not, and a start after a crash would sync every file there is.
const OWN: Manner = Manner {
    hosts: "host all all 127.0.0.1/32 scram-sha-256\n",
    fsync: "off",
};

/// Arguments: folder of the programs, folder of the cluster, port, role, most connections, fsync. Ends with SIGQUIT; a server
/// that ends by itself is started again once no file `away` is there.
const MAKE_AND_RUN: &str = r#"cd "$2"; exec >log 2>&1; trap 'ending=yes' QUIT
"$1/initdb" -D data -U "$4" -A scram-sha-256 --pwfile=password -E UTF8 --no-sync || exit
while [ -z "$ending" ]; do
  "$1/postgres" -D data -p "$3" -k "$2" -c listen_addresses=127.0.0.1 -c "max_connections=$5" \
    -c "hba_file=$2/hba" -c "fsync=$6" -c ssl=on -c "ssl_cert_file=$2/cert" -c "ssl_key_file=$2/key"
  while [ -z "$ending" ] && [ -e away ]; do sleep 0.02; done
done"#;

/// Where one test keeps its rows; lives as long as the test, over restarts of the server.
pub enum Database {
    /// A file in a folder of its own.
    Sqlite(TempDir),
    /// The URL of a database that no other test uses.
    Postgres(String),
}

impl Database {
    /// An empty SQLite database.
    pub fn sqlite() -> Self {
        Self::Sqlite(
            TempDir::with_prefix("windsock-test-").expect("a temporary folder can be made"),
        )
    }

    /// An empty database on PostgreSQL. Starts the cluster at the first call.
    pub fn postgres() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let cluster = Cluster::of_this_process();
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection =
            PgConnection::establish(&cluster.url("postgres")).expect("the cluster answers");
        sql_query(format!("CREATE DATABASE {name}"))
            .execute(&mut connection)
            .expect("a database can be made");
        Self::Postgres(cluster.url(&name))
    }

    /// The same database for one more process.
    ///
    /// # Panics
    /// For a file: that has one process.
    pub fn again(&self) -> Self {
        match self {
            Self::Sqlite(_) => panic!("a file has one process"),
            Self::Postgres(url) => Self::Postgres(url.clone()),
        }
    }

    /// What `--database-url` gets.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => {
                format!("sqlite://{}", folder.path().join("windsock.db").display())
            }
            Self::Postgres(url) => url.clone(),
        }
    }
}

/// Why there can be no cluster, if so.
pub fn missing() -> Option<String> {
    program("initdb")
        .is_none()
        .then(|| "no initdb found".into())
}

/// A PostgreSQL of one's own, which can be stopped and started.
pub struct Cluster {
    port: u16,
    folder: PathBuf,
    /// Its open stdin keeps the cluster up.
    _guard: Child,
}

impl Cluster {
    /// The database that every cluster has, for who has the cluster to himself.
    pub fn database(&self) -> Database {
        Database::Postgres(self.url("postgres"))
    }

    /// The same through `port` of 127.0.0.1, where a cable begins; in clear, so that the cable can read along.
    pub fn through(&self, port: u16) -> Database {
        Database::Postgres(format!(
            "postgres://{ROLE}:{PASSWORD_IN_URL}@127.0.0.1:{port}/postgres?sslmode=disable"
        ))
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Has the server end at once (SIGQUIT, as a crash; it recovers when it starts) or after it has ended its
    /// sessions (SIGINT). It stays away until [`Self::come_back`].
    pub fn go_away(&self, how: Signal) {
        fs::write(self.folder.join("away"), "").expect("the cluster's folder can be written");
        let pid = fs::read_to_string(self.folder.join("data/postmaster.pid"));
        let pid = pid.ok().and_then(|pid| pid.lines().next()?.parse().ok());
        let _ = kill(Pid::from_raw(pid.expect("the server runs")), how);
    }

    /// Has the server start again, and waits until it answers.
    pub async fn come_back(&self) {
        let _ = fs::remove_file(self.folder.join("away"));
        wait_at_most(PATIENCE * 5, "PostgreSQL answers again", async || {
            let url = self.url("postgres");
            let answer = actix_web::web::block(move || PgConnection::establish(&url).map(drop));
            let answer = answer.await.expect("it does not panic");
            answer.map_err(|error| error.to_string())
        })
        .await;
    }

    fn of_this_process() -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| Self::start_with(SHARED))
    }

    fn url(&self, database: &str) -> String {
        let port = self.port;
        format!("postgres://{ROLE}:{PASSWORD_IN_URL}@127.0.0.1:{port}/{database}?sslmode=require")
    }

    /// Makes one; it lives as long as this, or the tests.
    pub fn start() -> Self {
        Self::start_with(OWN)
    }

    fn start_with(manner: Manner) -> Self {
        // Removed by the guard, not by `TempDir`: statics are never dropped.
        let folder = TempDir::with_prefix("windsock-pg-").expect("a temporary folder can be made");
        let folder = folder.keep();
        let port = free_port();
        let guard = Self::run(&folder, port, manner);
        let cluster = Self {
            port,
            folder,
            _guard: guard,
        };
        cluster.wait_until_it_answers();
        cluster
    }

    /// Makes and runs the cluster, all of it under the guard: also one killed half made leaves nothing behind.
    fn run(folder: &Path, port: u16, manner: Manner) -> Child {
        let owner = Owner::choose();
        owner.take(folder);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate can be made");
        owner.write(&folder.join("cert"), &made.cert.pem());
        owner.write(&folder.join("key"), &made.signing_key.serialize_pem());
        owner.write(&folder.join("password"), PASSWORD);
        owner.write(&folder.join("hba"), manner.hosts);
        owner.write(&folder.join("log"), "");
        let bash = owner.command(Path::new("bash"));
        let mut guard = guarded(folder, "QUIT", Path::new(bash.get_program()));
        let programs = program("initdb").expect("initdb was looked for");
        guard
            .args(bash.get_args())
            .args(["-c", MAKE_AND_RUN, "cluster"])
            .args([
                programs.parent().expect("a program lies in a folder"),
                folder,
            ])
            .args([
                port.to_string(),
                ROLE.into(),
                MAX_CONNECTIONS.to_string(),
                manner.fsync.into(),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the guard can be started")
    }

    fn wait_until_it_answers(&self) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = PgConnection::establish(&self.url("postgres")) {
            assert!(
                Instant::now() < deadline,
                "PostgreSQL does not answer: {error}\n{}",
                fs::read_to_string(self.folder.join("log")).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Who the cluster belongs to: PostgreSQL refuses to run as root.
struct Owner(Option<User>);

impl Owner {
    fn choose() -> Self {
        let named = |name| User::from_name(name).ok().flatten();
        Self(
            Uid::effective()
                .is_root()
                .then(|| named("postgres").or_else(|| named("nobody")))
                .flatten(),
        )
    }

    fn take(&self, path: &Path) {
        if let Some(user) = &self.0 {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("root may give files away");
        }
    }

    /// Writes a file that only the owner can read, as PostgreSQL demands of its key.
    fn write(&self, path: &Path, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs::write(path, text).expect("the cluster's folder can be written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("own file");
        self.take(path);
    }

    fn command(&self, program: &Path) -> Command {
        let Some(user) = &self.0 else {
            return Command::new(program);
        };
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={}", user.uid));
        command.arg(format!("--regid={}", user.gid));
        command.args(["--clear-groups", "--"]).arg(program);
        command.current_dir("/");
        command
    }
}

/// Finds a program of PostgreSQL: the newest that Debian has installed, else in `PATH`.
fn program(name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|version| {
            let number = version.file_name().to_str()?.parse().ok()?;
            let program = version.path().join("bin").join(name);
            program.exists().then_some((number, program))
        })
        .collect();
    found.sort();
    let newest = found.pop().map(|(_, program)| program);
    newest.or_else(|| super::process::in_path(name))
}
