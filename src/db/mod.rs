//! The only place that names diesel: the connections, the one blocking hop, the migrations, the tables.
//!
//! [`Pool::run`] takes a closure to a thread that may block; nothing else touches a connection, but the
//! queue's ledger, which owns one ([`Pool::connect`]). A table's file holds its row and its queries and
//! knows nothing of HTTP, actors or JSON shapes.

pub(crate) mod again;
pub mod capture;
mod columns;
mod conn;
pub mod connection_log;
pub(crate) mod flow;
pub mod flow_run;
pub(crate) mod folder;
pub(crate) mod held;
pub(crate) mod job_list;
pub(crate) mod lanes;
pub(crate) mod message_sample;
mod migrate;
pub mod queue;
pub(crate) mod resource;
mod schema;
pub(crate) mod script;
pub(crate) mod script_content;
pub(crate) mod script_version;
pub(crate) mod setting;
pub(crate) mod text;
pub(crate) mod token;
pub mod trigger;
pub(crate) mod user;
pub(crate) mod variable;
pub mod vars;
pub(crate) mod workspace;

use std::{sync::Arc, time::Duration};

use diesel::{
    Connection, ConnectionError, PgConnection, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
};
use tokio::sync::Semaphore;

pub(crate) use self::conn::Backend;
pub use self::conn::Conn;
use self::text::starts_with;
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
    /// The thread that ran the query died.
    #[error("the database task ended early")]
    Lost,
}

impl DbError {
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
            Self::Query(_) | Self::Unreachable(_) | Self::Lost => false,
        }
    }
}

/// Opens connections to one database.
#[derive(Debug, Clone)]
struct Manager(DatabaseUrl);

impl Manager {
    fn open(&self) -> Result<Conn, ConnectionError> {
        match &self.0 {
            DatabaseUrl::Sqlite(file) => {
                let mut conn = SqliteConnection::establish(&file.to_string_lossy())?;
                // The busy timeout comes first: switching to WAL needs the file for itself for a moment.
                conn.batch_execute(&format!(
                    "PRAGMA busy_timeout = {};
                     PRAGMA journal_mode = WAL;
                     PRAGMA synchronous = FULL;
                     PRAGMA foreign_keys = ON;
                     PRAGMA cache_size = -16384;
                     PRAGMA journal_size_limit = 67108864;",
                    BUSY_TIMEOUT.as_millis()
                ))
                .map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(Conn::Sqlite(conn))
            }
            DatabaseUrl::Postgres(url) => PgConnection::establish(url).map(Conn::Postgres),
        }
    }
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
        let manager = Manager(url.clone());
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

    /// Whether the database is SQLite: one process, one writer.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        matches!(self.manager.0, DatabaseUrl::Sqlite(_))
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

/// Runs `work` in one transaction that takes the write lock at its start, so that two writers queue up
/// instead of failing half-way.
///
/// # Errors
/// What `work` answers; nothing of it stays then.
pub fn transaction<T>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, DbError>,
) -> Result<T, DbError> {
    use diesel::connection::{AnsiTransactionManager as Manager, TransactionManager};
    let begin = match conn {
        Conn::Sqlite(conn) => Manager::begin_transaction_sql(conn, "BEGIN IMMEDIATE"),
        Conn::Postgres(conn) => Manager::begin_transaction(conn),
    };
    begin?;
    let outcome = work(conn);
    let end = |conn: &mut Conn, commit: bool| match (conn, commit) {
        (Conn::Sqlite(conn), true) => Manager::commit_transaction(conn),
        (Conn::Sqlite(conn), false) => Manager::rollback_transaction(conn),
        (Conn::Postgres(conn), true) => Manager::commit_transaction(conn),
        (Conn::Postgres(conn), false) => Manager::rollback_transaction(conn),
    };
    match outcome {
        Ok(value) => {
            end(conn, true)?;
            Ok(value)
        }
        Err(error) => {
            // A failed rollback leaves the connection marked as broken, and the pool drops it.
            if let Err(rollback) = end(conn, false) {
                log::warn!("rollback failed: {rollback}");
            }
            Err(error)
        }
    }
}
