//! What one process does at a time, whoever else shares the PostgreSQL: advisory locks, held until the transaction ends
//! (also when the process dies). SQLite has one process, and its writing transactions have the file for themselves.

use diesel::{
    RunQueryDsl, sql_query,
    sql_types::{BigInt, Bool, Text},
};

use super::{Conn, DbError};

/// What must happen once although several processes start at the same moment: migrations, the first workspace, keys
/// ("wsck" in ASCII).
pub(super) const START: i64 = 0x7773_636b;
/// Deleting ended jobs ("wspr" in ASCII).
pub(super) const PRUNING: i64 = 0x7773_7072;
/// Erasing what is in ended jobs ("wser" in ASCII).
pub(super) const ERASING: i64 = 0x7773_6572;

/// Waits until no other process does what belongs to a start. Call it in a transaction.
pub(crate) fn start_alone(conn: &mut Conn) -> Result<(), DbError> {
    if let Conn::Postgres(conn) = conn {
        sql_query("SELECT pg_advisory_xact_lock($1)")
            .bind::<BigInt, _>(START)
            .execute(conn)?;
    }
    Ok(())
}

/// Waits until no other transaction edits what is at a path (or the folder of a name): what is read from now on is what
/// is replaced. Call it in a transaction.
pub(crate) fn edit(conn: &mut Conn, workspace: &str, path: &str) -> Result<(), DbError> {
    if let Conn::Postgres(conn) = conn {
        sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind::<Text, _>(format!("{workspace}/{path}"))
            .execute(conn)?;
    }
    Ok(())
}

#[derive(diesel::QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// Takes the lock `key` unless another process has it; answers whether it did. Call it in a transaction.
pub(super) fn try_alone(conn: &mut Conn, key: i64) -> Result<bool, DbError> {
    match conn {
        Conn::Sqlite(_) => Ok(true),
        Conn::Postgres(conn) => {
            let row: Locked = sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
                .bind::<BigInt, _>(key)
                .get_result(conn)?;
            Ok(row.locked)
        }
    }
}
