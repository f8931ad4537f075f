//! Secrets that jobs have read from a process that does not run them: notes of the job (table `job_notes`), sealed. The
//! process that runs it asks for them before it keeps what the job printed. Only PostgreSQL has several processes.

use diesel::prelude::*;

use super::{Conn, DbError, schema::job_notes, secrets, variable::VariableRow};
use crate::{
    secret,
    types::{JobId, Timestamp},
};

/// What the names of such notes begin with: the path follows, and the moment of its last edit.
pub(super) const NAMES: &str = "secret:";

/// Notes that `job` is about to be given a secret.
pub(crate) fn note(conn: &mut Conn, job: JobId, row: &VariableRow) -> Result<(), DbError> {
    if matches!(conn, Conn::Sqlite(_)) {
        return Ok(());
    }
    // Read again after an edit it is another secret, and the first one stays one.
    let name = format!("{NAMES}{} {}", row.edited_at.0, row.path);
    let cipher = secrets::to_seal(conn)?;
    let sealed = cipher.seal((&job.to_string(), &name), &row.value);
    if let Conn::Postgres(conn) = conn {
        diesel::insert_into(job_notes::table)
            .values((
                job_notes::job_id.eq(job),
                job_notes::name.eq(&name),
                job_notes::value.eq(sealed),
                job_notes::noted_at.eq(Timestamp::now()),
            ))
            .on_conflict_do_nothing()
            .execute(conn)?;
    }
    Ok(())
}

/// The secrets that `job` was given by other processes.
///
/// # Errors
/// The database gives no answer, or they are sealed with a key that this process has not.
pub(crate) fn of(conn: &mut Conn, job: JobId) -> Result<Vec<String>, DbError> {
    let notes: Vec<(String, String)> = job_notes::table
        .filter(job_notes::job_id.eq(job))
        .filter(job_notes::name.like(format!("{NAMES}%")))
        .select((job_notes::name, job_notes::value))
        .load(conn)?;
    let opened = notes.into_iter().map(|(name, sealed)| {
        let cipher = secret::cipher().ok_or(DbError::NoKey)?;
        let value = cipher.open((&job.to_string(), &name), &sealed);
        value.ok_or(DbError::OtherKey(name))
    });
    opened.collect()
}
