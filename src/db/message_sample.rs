//! Table `message_samples`: messages kept under a name, to try filters and runnables on.

use diesel::prelude::*;

use super::{Conn, DbError, schema::message_samples as samples};
use crate::types::Timestamp;

/// A kept message.
#[derive(Debug, Clone, Queryable, Insertable)]
#[diesel(table_name = samples)]
pub(crate) struct SampleRow {
    pub workspace_id: String,
    pub kind: String,
    pub path: String,
    pub name: String,
    pub text: String,
    pub created_by: String,
    pub created_at: Timestamp,
}

/// The samples of a trigger or runnable, by name.
pub(crate) fn all(
    conn: &mut Conn,
    workspace: &str,
    (kind, path): (&str, &str),
) -> Result<Vec<SampleRow>, DbError> {
    Ok(samples::table
        .filter(samples::workspace_id.eq(workspace))
        .filter(samples::kind.eq(kind))
        .filter(samples::path.eq(path))
        .order(samples::name)
        .load(conn)?)
}

/// Adds a sample.
pub(crate) fn insert(conn: &mut Conn, row: &SampleRow) -> Result<(), DbError> {
    diesel::insert_into(samples::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Removes a sample; answers whether it was there.
pub(crate) fn delete(
    conn: &mut Conn,
    workspace: &str,
    (kind, path, name): (&str, &str, &str),
) -> Result<bool, DbError> {
    let one = samples::table.find((workspace, kind, path, name));
    Ok(diesel::delete(one).execute(conn)? > 0)
}
