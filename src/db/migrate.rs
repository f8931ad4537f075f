//! Brings the tables up to date at start: one set of migrations a database, embedded, under a lock.

use diesel::{
    Connection, PgConnection, RunQueryDsl, SqliteConnection,
    migration::{Migration, MigrationSource},
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, DbError, alone::START};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Runs the migrations that the database has not seen yet.
pub(super) fn run(conn: &mut Conn) -> Result<(), DbError> {
    match conn {
        Conn::Sqlite(conn) => sqlite(conn),
        Conn::Postgres(conn) => postgres(conn),
    }
}

fn sqlite(conn: &mut SqliteConnection) -> Result<(), DbError> {
    refuse_newer(conn, &SQLITE)?;
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
        diesel::sql_query(format!("SELECT pg_advisory_xact_lock({START})")).execute(conn)?;
        refuse_newer(conn, &POSTGRES)?;
        conn.run_pending_migrations(POSTGRES)
            .map(|_| ())
            .map_err(failed)
    })
}

/// A database that a later version has changed is not touched: its tables may mean something else by now.
fn refuse_newer<DB: diesel::backend::Backend>(
    conn: &mut impl MigrationHarness<DB>,
    known: &EmbeddedMigrations,
) -> Result<(), DbError> {
    let migrations: Vec<Box<dyn Migration<DB>>> = known.migrations().map_err(failed)?;
    let known: Vec<String> = migrations
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied = conn.applied_migrations().map_err(failed)?;
    match applied
        .iter()
        .map(ToString::to_string)
        .find(|version| !known.contains(version))
    {
        Some(version) => Err(DbError::Newer(version)),
        None => Ok(()),
    }
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> DbError {
    DbError::Unreachable(format!("its tables cannot be brought up to date: {error}"))
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;

    #[test]
    fn a_newer_database_is_left_alone() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        sqlite(&mut conn).unwrap();
        conn.batch_execute(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')",
        )
        .unwrap();
        let error = sqlite(&mut conn).unwrap_err().to_string();
        assert!(
            error.contains("newer windsock") && error.contains("2999"),
            "{error}"
        );
    }

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
