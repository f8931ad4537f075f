//! Brings the tables up to date at start: one set of migrations a database, embedded, under a lock.

use std::{
    fs,
    path::{Path, PathBuf},
};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection,
    backend::Backend,
    migration::{Migration, MigrationSource},
    sql_types::Text,
    sqlite::Sqlite,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, DbError, alone::START};
use crate::config::DatabaseUrl;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
/// Where diesel notes which migrations have run.
const MIGRATIONS: &str = "__diesel_schema_migrations";
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
fn refuse_newer<DB: Backend>(
    conn: &mut impl MigrationHarness<DB>,
    known: &EmbeddedMigrations,
) -> Result<(), DbError> {
    let applied = conn.applied_migrations().map_err(failed)?;
    refuse_unknown::<DB>(applied.iter().map(ToString::to_string), known)
}

fn refuse_unknown<DB: Backend>(
    mut applied: impl Iterator<Item = String>,
    known: &EmbeddedMigrations,
) -> Result<(), DbError> {
    let migrations: Vec<Box<dyn Migration<DB>>> = known.migrations().map_err(failed)?;
    let known: Vec<String> = migrations
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    match applied.find(|version| !known.contains(version)) {
        Some(version) => Err(DbError::Newer(version)),
        None => Ok(()),
    }
}

/// Refuses a SQLite file that holds something else, or what a later version made, before anything of it is changed.
/// Blocks.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn refuse_unusable(database: &DatabaseUrl) -> Result<(), DbError> {
    let DatabaseUrl::Sqlite(file) = database else {
        return Ok(());
    };
    if fs::metadata(file).is_ok_and(|found| found.len() == 0) || !file.exists() {
        return Ok(());
    }
    let unusable =
        |what: String| DbError::Unreachable(format!("{} cannot be used: {what}", file.display()));
    let path = std::path::absolute(file).map_err(|error| unusable(error.to_string()))?;
    let mut url =
        url::Url::from_file_path(&path).map_err(|()| unusable("its name is no path".to_owned()))?;
    // As it is, without a lock or a log beside it: what is looked at may be another program's. But with a log that a
    // killed process left, the file alone may be half of what it was and half of what it will be.
    let has_log = fs::metadata(log_of(&path)).is_ok_and(|log| log.len() > 0);
    url.set_query(Some(if has_log { "mode=ro" } else { "immutable=1" }));
    let mut conn =
        SqliteConnection::establish(url.as_str()).map_err(|error| unusable(error.to_string()))?;
    let names = "SELECT name AS text FROM sqlite_master WHERE type = 'table'";
    let tables: Vec<Word> = diesel::sql_query(names)
        .load(&mut conn)
        .map_err(|error| unusable(error.to_string()))?;
    if !tables.iter().any(|table| table.text == MIGRATIONS) {
        // The first tables of ours may still be in the log beside it.
        let is_foreign = !tables.is_empty();
        return if is_foreign {
            Err(unusable("it is another program's database".to_owned()))
        } else {
            Ok(())
        };
    }
    let versions = format!("SELECT version AS text FROM {MIGRATIONS}");
    let applied: Vec<Word> = diesel::sql_query(versions)
        .load(&mut conn)
        .map_err(|error| unusable(error.to_string()))?;
    refuse_unknown::<Sqlite>(applied.into_iter().map(|one| one.text), &SQLITE)
}

/// The log that SQLite keeps beside a file.
fn log_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    text: String,
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

    /// A process may die while it moves the log into the file, its first page moved and the others not.
    #[test]
    fn a_file_that_was_half_written_from_its_log_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let (file, left) = (folder.path().join("a.db"), folder.path().join("left.db"));
        let mut conn = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
        conn.batch_execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0")
            .unwrap();
        sqlite(&mut conn).unwrap();
        fs::copy(log_of(&file), log_of(&left)).unwrap();
        conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        fs::write(&left, &fs::read(&file).unwrap()[..4_096]).unwrap();
        let alone = folder.path().join("alone.db");
        fs::copy(&left, &alone).unwrap();
        let error = refuse_unusable(&DatabaseUrl::Sqlite(alone)).unwrap_err();
        assert!(error.to_string().contains("malformed"), "{error}");

        refuse_unusable(&DatabaseUrl::Sqlite(left.clone())).unwrap();

        let mut conn = SqliteConnection::establish(left.to_str().unwrap()).unwrap();
        sqlite(&mut conn).unwrap();
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
