//! Table `trigger_vars`: what conversation rules stored, so that a feed is resumed where it stopped.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::{Conn, DbError, schema::trigger_vars};

/// A trigger's values: name and JSON.
pub(crate) fn of_trigger(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Vec<(String, String)>, DbError> {
    Ok(trigger_vars::table
        .filter(trigger_vars::workspace_id.eq(workspace))
        .filter(trigger_vars::trigger_path.eq(path))
        .select((trigger_vars::name, trigger_vars::value))
        .load(conn)?)
}

/// Stores values in order: the last of a name stays.
pub(crate) fn store(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
    values: &[(String, String)],
) -> Result<(), DbError> {
    let last: BTreeMap<&str, &str> = values
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    for (name, value) in last {
        let one = trigger_vars::table.find((workspace, path, name));
        let updated = diesel::update(one)
            .set(trigger_vars::value.eq(value))
            .execute(conn)?;
        if updated == 0 {
            diesel::insert_into(trigger_vars::table)
                .values((
                    trigger_vars::workspace_id.eq(workspace),
                    trigger_vars::trigger_path.eq(path),
                    trigger_vars::name.eq(name),
                    trigger_vars::value.eq(value),
                ))
                .execute(conn)?;
        }
    }
    Ok(())
}

/// Has a trigger's values follow it to another path.
pub(super) fn rename(
    conn: &mut Conn,
    workspace: &str,
    (path, new_path): (&str, &str),
) -> Result<(), DbError> {
    // What another trigger left there is none of its.
    forget(conn, workspace, new_path)?;
    let all = trigger_vars::table
        .filter(trigger_vars::workspace_id.eq(workspace))
        .filter(trigger_vars::trigger_path.eq(path));
    diesel::update(all)
        .set(trigger_vars::trigger_path.eq(new_path))
        .execute(conn)?;
    Ok(())
}

/// Forgets a trigger's values.
pub(crate) fn forget(conn: &mut Conn, workspace: &str, path: &str) -> Result<(), DbError> {
    let all = trigger_vars::table
        .filter(trigger_vars::workspace_id.eq(workspace))
        .filter(trigger_vars::trigger_path.eq(path));
    diesel::delete(all).execute(conn)?;
    Ok(())
}
