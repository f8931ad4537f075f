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

/// Has the samples of a trigger follow it to another path, where they replace those of the same name.
pub(super) fn rename(
    conn: &mut Conn,
    workspace: &str,
    (path, new_path): (&str, &str),
) -> Result<(), DbError> {
    let of = |path| {
        let all = samples::table.filter(samples::workspace_id.eq(workspace));
        all.filter(samples::kind.eq("trigger"))
            .filter(samples::path.eq(path))
    };
    let names: Vec<String> = of(path).select(samples::name).load(conn)?;
    diesel::delete(of(new_path).filter(samples::name.eq_any(names))).execute(conn)?;
    diesel::update(of(path))
        .set(samples::path.eq(new_path))
        .execute(conn)?;
    Ok(())
}

/// Removes the samples of a trigger.
pub(super) fn forget(conn: &mut Conn, workspace: &str, path: &str) -> Result<(), DbError> {
    let all = samples::table
        .filter(samples::workspace_id.eq(workspace))
        .filter(samples::kind.eq("trigger"))
        .filter(samples::path.eq(path));
    diesel::delete(all).execute(conn)?;
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
