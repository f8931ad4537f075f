//! Transactions: those that write queue up, and none stays open.

use diesel::connection::{AnsiTransactionManager as Manager, SimpleConnection, TransactionManager};

use super::{Conn, DbError};

/// Runs `work` in one transaction that takes the write lock at its start, so that two writers queue up
/// instead of failing half-way.
///
/// # Errors
/// What `work` answers; nothing of it stays then.
pub fn transaction<T>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, DbError>,
) -> Result<T, DbError> {
    transaction_beginning(conn, None, work)
}

/// As [`transaction`]; PostgreSQL is given the statement `first` together with the begin, in one way there and back.
pub(crate) fn transaction_beginning<T>(
    conn: &mut Conn,
    first: Option<&str>,
    work: impl FnOnce(&mut Conn) -> Result<T, DbError>,
) -> Result<T, DbError> {
    match conn {
        Conn::Sqlite(conn) => Manager::begin_transaction_sql(conn, "BEGIN IMMEDIATE"),
        Conn::Postgres(conn) => {
            let first = first.map_or("BEGIN".to_owned(), |first| format!("BEGIN; {first}"));
            Manager::begin_transaction_sql(conn, &first).inspect_err(|_| {
                // It may have begun; if that fails too, what comes next says so.
                let _ = conn.batch_execute("ROLLBACK");
            })
        }
    }?;
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
