//! Table `job_notes`: what scripts note about jobs while they run.

use diesel::prelude::*;

use super::{Conn, DbError, job_secret, schema::job_notes};
use crate::types::{JobId, Timestamp};

/// How long a note is kept after it was written last, in microseconds: 30 days, longer than any flow runs.
const KEPT_US: i64 = 30 * 24 * 60 * 60 * 1_000_000;

/// Name of the note that holds the id a job has in the Windmill it was sent to.
pub(crate) const REMOTE: &str = "remote";

/// Name of the note that holds when the result was sent back.
const REPLIED: &str = "replied";

/// The value of a note, JSON.
pub(crate) fn get(conn: &mut Conn, job: JobId, name: &str) -> Result<Option<String>, DbError> {
    Ok(job_notes::table
        .find((job, name))
        .select(job_notes::value)
        .first(conn)
        .optional()?)
}

/// How many notes of a job have names other than `name`; not those that are windsock's own business.
pub(crate) fn others(conn: &mut Conn, job: JobId, name: &str) -> Result<i64, DbError> {
    Ok(job_notes::table
        .filter(job_notes::job_id.eq(job))
        .filter(job_notes::name.ne(name))
        .filter(job_notes::name.not_like(format!("{}%", job_secret::NAMES)))
        .count()
        .get_result(conn)?)
}

/// Writes a note, and removes what was written last too long ago. Call it in a transaction.
pub(crate) fn put(conn: &mut Conn, job: JobId, name: &str, value: &str) -> Result<(), DbError> {
    let now = Timestamp::now();
    diesel::delete(job_notes::table.filter(job_notes::noted_at.lt(Timestamp(now.0 - KEPT_US))))
        .execute(conn)?;
    diesel::delete(job_notes::table.find((job, name))).execute(conn)?;
    diesel::insert_into(job_notes::table)
        .values((
            job_notes::job_id.eq(job),
            job_notes::name.eq(name),
            job_notes::value.eq(value),
            job_notes::noted_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Writes down when the result of a job was sent back.
pub(crate) fn replied(conn: &mut Conn, job: JobId, at: Timestamp) -> Result<(), DbError> {
    diesel::delete(job_notes::table.find((job, REPLIED))).execute(conn)?;
    let value = at.0.to_string();
    diesel::insert_into(job_notes::table)
        .values((
            job_notes::job_id.eq(job),
            job_notes::name.eq(REPLIED),
            job_notes::value.eq(value),
            job_notes::noted_at.eq(at),
        ))
        .execute(conn)?;
    Ok(())
}

/// When the result of a job was sent back, if that is known.
pub(crate) fn replied_at(conn: &mut Conn, job: JobId) -> Result<Option<Timestamp>, DbError> {
    let value = get(conn, job, REPLIED)?;
    Ok(value.and_then(|value| value.parse().ok()).map(Timestamp))
}

/// Removes a note.
pub(crate) fn delete(conn: &mut Conn, job: JobId, name: &str) -> Result<(), DbError> {
    diesel::delete(job_notes::table.find((job, name))).execute(conn)?;
    Ok(())
}
