//! The only place that names diesel: the connections, the one blocking hop, the migrations, the tables.
//!
//! [`Pool::run`] takes a closure to a thread that may block; nothing else touches a connection, but the
//! queue's ledger, which owns one ([`Pool::connect`]). A table's file holds its row and its queries and
//! knows nothing of HTTP, actors or JSON shapes.

pub(crate) mod account;
pub(crate) mod again;
pub(crate) mod alert;
pub(crate) mod alone;
pub(crate) mod audit;
pub(crate) mod below;
pub mod capture;
pub(crate) mod claim;
mod columns;
pub(crate) mod commits;
mod conn;
pub mod connection_log;
mod fixed;
pub(crate) mod flow;
pub mod flow_run;
pub(crate) mod folder;
pub(crate) mod group;
pub(crate) mod held;
pub(crate) mod job_list;
pub(crate) mod job_note;
pub(crate) mod job_secret;
pub(crate) mod lanes;
pub mod listen;
pub(crate) mod message_sample;
pub(crate) mod migrate;
pub(crate) mod outbox;
pub mod queue;
pub(crate) mod remote;
pub(crate) mod resource;
pub(crate) mod retention;
mod schema;
pub(crate) mod script;
pub(crate) mod script_content;
pub(crate) mod script_version;
pub(crate) mod secrets;
pub(crate) mod server;
pub(crate) mod setting;
pub(crate) mod sharing;
pub mod stat;
pub(crate) mod text;
pub(crate) mod token;
mod transaction;
pub mod trigger;
pub(crate) mod trigger_status;
pub(crate) mod user;
pub(crate) mod variable;
pub mod vars;
pub(crate) mod workspace;

use std::{sync::Arc, time::Duration};

use diesel::{
    Connection, ConnectionError, PgConnection, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
};
use rand::RngExt;
use tokio::sync::Semaphore;

pub(crate) use self::conn::Backend;
pub use self::conn::Conn;
use self::text::starts_with;
pub use self::transaction::transaction;
pub(crate) use self::transaction::transaction_beginning;
use crate::config::DatabaseUrl;

/// How long SQLite waits for another connection's write to end before it says `database is locked`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may wait for a free connection: past it the database is too slow to answer anyway.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the database gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection could be had.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The query failed.
    #[error("the database refused: {0}")]
    Query(#[from] diesel::result::Error),
    /// A later version of windsock made or changed its tables.
    #[error(
        "a newer windsock has changed its tables (migration {0}): start that version, or restore a backup"
    )]
    Newer(String),
    /// The thread that ran the query died.
    #[error("the database task ended early")]
    Lost,
    /// A secret cannot be sealed or opened: there is no key.
    #[error(
        "this server has no key for secrets: start every process of this database with the same \
         WINDSOCK_SECRET_KEY (openssl rand -hex 32)"
    )]
    NoKey,
    /// A secret is sealed with a key that is not this server's.
    #[error("secret '{0}' is sealed with another key than this server's WINDSOCK_SECRET_KEY")]
    OtherKey(String),
}

impl DbError {
    /// That a row stands already, where no index of the database says so.
    pub(crate) fn duplicate(what: &str) -> Self {
        let kind = diesel::result::DatabaseErrorKind::UniqueViolation;
        Self::Query(diesel::result::Error::DatabaseError(
            kind,
            Box::new(what.to_owned()),
        ))
    }

    /// Whether the row stands already.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        use diesel::result::{DatabaseErrorKind::UniqueViolation, Error::DatabaseError};
        matches!(self, Self::Query(DatabaseError(UniqueViolation, _)))
    }

    /// Whether it was the row that was refused (and would be again), not the database that failed.
    #[must_use]
    pub fn is_the_rows_fault(&self) -> bool {
        use diesel::result::{DatabaseErrorKind as Kind, Error};
        match self {
            Self::Query(Error::DatabaseError(kind, _)) => matches!(
                kind,
                Kind::UniqueViolation
                    | Kind::ForeignKeyViolation
                    | Kind::NotNullViolation
                    | Kind::CheckViolation
            ),
            Self::Query(Error::SerializationError(_) | Error::QueryBuilderError(_)) => true,
            Self::NoKey | Self::OtherKey(_) => true,
            Self::Query(_) | Self::Unreachable(_) | Self::Newer(_) | Self::Lost => false,
        }
    }
}

/// The channel on which processes tell each other what has changed.
pub(crate) const CHANNEL: &str = "windsock";

/// What every connection to PostgreSQL is set to, unless the URL says otherwise: a server that went away without a
/// word is noticed within seconds.
const CONNECTION: [(&str, &str); 5] = [
    ("connect_timeout", "5"),
    ("keepalives_idle", "3"),
    ("keepalives_interval", "1"),
    ("keepalives_count", "4"),
    ("tcp_user_timeout", "7000"),
];
/// A process that is stopped in the middle of a transaction must not hold its locks for as long as it is stopped.
const IDLE_IN_TRANSACTION: &str = "5s";

/// Pages in the log of a SQLite file before they are moved into it: what every commit changes is moved once for many.
const CHECKPOINT_PAGES: u32 = 4_000;

/// Opens connections to one database.
#[derive(Debug, Clone)]
struct Manager {
    url: DatabaseUrl,
    /// The name of this process; PostgreSQL shows it beside each of its connections.
    name: Arc<str>,
}

impl Manager {
    fn open(&self) -> Result<Conn, ConnectionError> {
        match &self.url {
            DatabaseUrl::Sqlite(file) => {
                let mut conn = SqliteConnection::establish(&file.to_string_lossy())?;
                // The busy timeout comes first: switching to WAL needs the file for itself for a moment.
                // The way of vacuuming only counts for a file that is still empty.
                conn.batch_execute(&format!(
                    "PRAGMA busy_timeout = {};
                     PRAGMA auto_vacuum = INCREMENTAL;
                     PRAGMA journal_mode = WAL;
                     PRAGMA synchronous = FULL;
                     PRAGMA foreign_keys = ON;
                     PRAGMA cache_size = -16384;
                     PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
                     PRAGMA journal_size_limit = 67108864;",
                    BUSY_TIMEOUT.as_millis()
                ))
                .map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(Conn::Sqlite(conn))
            }
            DatabaseUrl::Postgres(url) => {
                let mut conn = PgConnection::establish(&with_defaults(url))?;
                conn.batch_execute(&format!(
                    "SET application_name = '{}'; SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION}'",
                    self.name
                ))
                .map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(Conn::Postgres(conn))
            }
        }
    }
}

/// Adds [`CONNECTION`] to what a URL says.
fn with_defaults(url: &str) -> String {
    let mut url = url.to_owned();
    for (name, value) in CONNECTION {
        if !url.contains(&format!("{name}=")) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{name}={value}"));
        }
    }
    url
}

impl r2d2::ManageConnection for Manager {
    type Connection = Conn;
    type Error = DbError;

    fn connect(&self) -> Result<Conn, DbError> {
        self.open()
            .map_err(|error| DbError::Unreachable(error.to_string()))
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), DbError> {
        match conn {
            // A file does not go away the way a server does; a broken transaction is caught below.
            Conn::Sqlite(_) => Ok(()),
            Conn::Postgres(conn) => Ok(diesel::sql_query("SELECT 1").execute(conn).map(|_| ())?),
        }
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        use diesel::connection::{AnsiTransactionManager, TransactionManager};
        match conn {
            Conn::Sqlite(conn) => AnsiTransactionManager::is_broken_transaction_manager(conn),
            Conn::Postgres(conn) => AnsiTransactionManager::is_broken_transaction_manager(conn),
        }
    }
}

/// The connections that requests share. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    manager: Manager,
    connections: r2d2::Pool<Manager>,
    /// As many places as connections, so that no blocking thread waits for one.
    places: Arc<Semaphore>,
}

impl Pool {
    /// Opens the database at `url`, creates it (SQLite) and brings its tables up to date. Blocks.
    ///
    /// # Errors
    /// The database cannot be opened, or its tables cannot be brought up to date.
    pub fn open(url: &DatabaseUrl, connections: u32) -> Result<Self, DbError> {
        // PostgreSQL's client would have OpenSSL clean up when the process exits, while threads that used it end too:
        // that ended the process with a segmentation fault now and then. Initialised here first, it does not.
        openssl_sys::init();
        let name = format!("{}-{:08x}", std::process::id(), rand::rng().random::<u32>());
        let manager = Manager {
            url: url.clone(),
            name: name.into(),
        };
        let mut first = r2d2::ManageConnection::connect(&manager)?;
        migrate::run(&mut first)?;
        drop(first);
        let pool = r2d2::Pool::builder()
            .max_size(connections)
            .min_idle(Some(1))
            .connection_timeout(CHECKOUT_TIMEOUT)
            .error_handler(Box::new(LogOnce))
            .build_unchecked(manager.clone());
        Ok(Self {
            manager,
            connections: pool,
            places: Arc::new(Semaphore::new(connections as usize)),
        })
    }

    /// Runs `work` with a connection on a thread that may block, and waits for its answer.
    ///
    /// # Errors
    /// No connection within 10 s, or what `work` answers.
    pub async fn run<T, F>(&self, work: F) -> Result<T, DbError>
    where
        F: FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
        T: Send + 'static,
    {
        let place = Arc::clone(&self.places).acquire_owned();
        let place = tokio::time::timeout(CHECKOUT_TIMEOUT, place)
            .await
            .map_err(|_| DbError::Unreachable("every connection is in use".to_owned()))?
            .map_err(|_| DbError::Lost)?;
        let connections = self.connections.clone();
        actix_rt::task::spawn_blocking(move || {
            let _place = place;
            let mut conn = connections
                .get()
                .map_err(|error| DbError::Unreachable(error.to_string()))?;
            work(&mut conn)
        })
        .await
        .map_err(|_| DbError::Lost)?
    }

    /// Opens a connection of one's own. Blocks.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub fn connect(&self) -> Result<Conn, DbError> {
        r2d2::ManageConnection::connect(&self.manager)
    }

    /// As [`Pool::connect`], for who writes all the time.
    pub(crate) fn connect_writer(&self) -> Result<Conn, DbError> {
        let mut conn = self.connect()?;
        if let Conn::Sqlite(conn) = &mut conn {
            // 64 MiB at most: some 100,000 waiting jobs are not read from the file again.
            conn.batch_execute("PRAGMA cache_size = -65536")?;
        }
        Ok(conn)
    }

    /// Whether the database is SQLite: one process, one writer.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        matches!(self.manager.url, DatabaseUrl::Sqlite(_))
    }

    /// The name of this process, new with every start.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.manager.name
    }

    /// Connections of the pool: open ones, and of them unused ones.
    #[must_use]
    pub fn connections(&self) -> (u32, u32) {
        let state = self.connections.state();
        (state.connections, state.idle_connections)
    }

    /// Where the database is.
    #[must_use]
    pub fn url(&self) -> &DatabaseUrl {
        &self.manager.url
    }
}

/// Tells of failed connections in the log; r2d2 tries again by itself.
#[derive(Debug)]
struct LogOnce;

impl r2d2::HandleError<DbError> for LogOnce {
    fn handle_error(&self, error: DbError) {
        log::warn!("database connection failed: {error}");
    }
}

/// Tells every process on this PostgreSQL, once the transaction is committed. SQLite has one process.
pub(crate) fn notify(conn: &mut Conn, word: &str) -> Result<(), DbError> {
    if let Conn::Postgres(conn) = conn {
        diesel::sql_query("SELECT pg_notify($1, $2)")
            .bind::<diesel::sql_types::Text, _>(CHANNEL)
            .bind::<diesel::sql_types::Text, _>(word)
            .execute(conn)?;
    }
    Ok(())
}
