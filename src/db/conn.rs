//! [`Conn`]: a connection to either database; most queries do not care which.

use diesel::{Connection, MultiConnection, PgConnection, SqliteConnection};

/// A connection to one of the two databases.
#[derive(MultiConnection)]
pub enum Conn {
    /// SQLite, compiled in.
    Sqlite(SqliteConnection),
    /// PostgreSQL, its client compiled in.
    Postgres(PgConnection),
}

/// The back end that stands for both, where a type must be named.
pub(crate) type Backend = <Conn as Connection>::Backend;
