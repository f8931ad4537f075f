//! Brings the tables up to date at start: one set of migrations a database, embedded, under a lock.

use diesel::{Connection, PgConnection, RunQueryDsl, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, DbError};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
/// The advisory lock that servers starting at the same time queue for ("wsck" in ASCII).
const LOCK: i64 = 0x7773_636b;

/// Runs the migrations that the database has not seen yet.
pub(super) fn run(conn: &mut Conn) -> Result<(), DbError> {
    match conn {
        Conn::Sqlite(conn) => sqlite(conn),
        Conn::Postgres(conn) => postgres(conn),
    }
}

fn sqlite(conn: &mut SqliteConnection) -> Result<(), DbError> {
    // Read first: a start that changes nothing takes no write lock.
    if conn.has_pending_migration(SQLITE).map_err(failed)? {
        conn.immediate_transaction(|conn| {
            conn.run_pending_migrations(SQLITE)
                .map(|_| ())
                .map_err(failed)
        })?;
    }
    Ok(())
}

fn postgres(conn: &mut PgConnection) -> Result<(), DbError> {
    conn.transaction(|conn| {
        diesel::sql_query(format!("SELECT pg_advisory_xact_lock({LOCK})")).execute(conn)?;
        conn.run_pending_migrations(POSTGRES)
            .map(|_| ())
            .map_err(failed)
    })
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> DbError {
    DbError::Unreachable(format!("its tables cannot be brought up to date: {error}"))
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;

    #[test]
    fn up_down_up() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute("PRAGMA foreign_keys = ON").unwrap();
        conn.run_pending_migrations(SQLITE).unwrap();
        conn.revert_all_migrations(SQLITE).unwrap();
        assert!(conn.has_pending_migration(SQLITE).unwrap());
        sqlite(&mut conn).unwrap();
        assert!(!conn.has_pending_migration(SQLITE).unwrap());
    }
}
