//! Table `commits`: which transaction a process committed last, for the case that nobody answered.
//!
//! PostgreSQL only: a connection may break after `COMMIT` was sent and before its answer came. The row is written in
//! the transaction it tells of, so it is there with it or not at all. (`txid_status` would not do: after a crash of
//! the database a number whose transaction left no trace is given away again.)

use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_query,
    sql_types::{BigInt, Text},
};

use super::{Conn, DbError, server::NOW};

/// Rows of processes that have not committed for so long are dropped: nobody asks any more.
const FORGET_MICROS: i64 = 24 * 3600 * 1_000_000;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// The statement that says, within a transaction, that it is the process's transaction `number`. Without parameters, so
/// that it can go along with the begin: the name stands in it as digits, which can mean nothing else.
pub(crate) fn noting(process: &str, number: i64) -> String {
    let process = hex::encode(process);
    format!(
        "INSERT INTO commits (process, number, at) \
         VALUES (convert_from(decode('{process}', 'hex'), 'UTF8'), {number}, {NOW}) \
         ON CONFLICT (process) DO UPDATE SET number = excluded.number, at = excluded.at"
    )
}

/// Says it with a statement of its own.
pub(crate) fn note(conn: &mut Conn, process: &str, number: i64) -> Result<(), DbError> {
    conn.batch_execute(&noting(process, number))?;
    Ok(())
}

/// The number of the last transaction that the process committed; `fallback` without one.
///
/// Writes the row, so it waits for a transaction that still holds it: one whose connection this process has given up
/// may yet be committed by the database, or not, and is one or the other when this answers.
pub(crate) fn last(conn: &mut Conn, process: &str, fallback: i64) -> Result<i64, DbError> {
    let found: Number = sql_query(format!(
        "INSERT INTO commits (process, number, at) VALUES ($1, $2, {NOW}) \
         ON CONFLICT (process) DO UPDATE SET at = excluded.at RETURNING number"
    ))
    .bind::<Text, _>(process)
    .bind::<BigInt, _>(fallback)
    .get_result(conn)?;
    Ok(found.number)
}

/// Drops the rows of processes that have long been gone.
pub(crate) fn forget_old(conn: &mut Conn) -> Result<(), DbError> {
    sql_query(format!("DELETE FROM commits WHERE at < {NOW} - $1"))
        .bind::<BigInt, _>(FORGET_MICROS)
        .execute(conn)?;
    Ok(())
}
