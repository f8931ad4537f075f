//! Tables `user_groups` and `group_members`. Group `all` holds everybody and has no row.

use std::collections::HashMap;

use diesel::prelude::*;

use super::{
    Conn, DbError,
    schema::{group_members, user_groups},
};
use crate::types::Timestamp;

/// The group that everybody of a workspace is in.
pub(crate) const ALL: &str = "all";

/// A group.
#[derive(Debug, Clone, Queryable, Insertable)]
#[diesel(table_name = user_groups)]
pub(crate) struct GroupRow {
    pub workspace_id: String,
    pub name: String,
    pub summary: String,
    pub created_at: Timestamp,
}

/// The group with that name.
pub(crate) fn by_name(
    conn: &mut Conn,
    workspace: &str,
    name: &str,
) -> Result<Option<GroupRow>, DbError> {
    let found = user_groups::table.find((workspace, name));
    Ok(found.first(conn).optional()?)
}

/// Whether the group is there; `all` always is.
pub(crate) fn exists(conn: &mut Conn, workspace: &str, name: &str) -> Result<bool, DbError> {
    Ok(name == ALL || by_name(conn, workspace, name)?.is_some())
}

/// The groups of a workspace, by name.
pub(crate) fn list(conn: &mut Conn, workspace: &str) -> Result<Vec<GroupRow>, DbError> {
    Ok(user_groups::table
        .filter(user_groups::workspace_id.eq(workspace))
        .order(user_groups::name)
        .load(conn)?)
}

/// The names of the groups somebody was put into, sorted.
pub(crate) fn of_user(
    conn: &mut Conn,
    workspace: &str,
    username: &str,
) -> Result<Vec<String>, DbError> {
    Ok(group_members::table
        .filter(group_members::workspace_id.eq(workspace))
        .filter(group_members::username.eq(username))
        .order(group_members::group_name)
        .select(group_members::group_name)
        .load(conn)?)
}

/// Who is in which group of a workspace: group → names, sorted.
pub(crate) fn members(
    conn: &mut Conn,
    workspace: &str,
) -> Result<HashMap<String, Vec<String>>, DbError> {
    let rows: Vec<(String, String)> = group_members::table
        .filter(group_members::workspace_id.eq(workspace))
        .order(group_members::username)
        .select((group_members::group_name, group_members::username))
        .load(conn)?;
    let mut members: HashMap<String, Vec<String>> = HashMap::new();
    for (group, username) in rows {
        members.entry(group).or_default().push(username);
    }
    Ok(members)
}

/// Which groups the users of a workspace are in: name → groups, sorted.
pub(crate) fn by_user(
    conn: &mut Conn,
    workspace: &str,
) -> Result<HashMap<String, Vec<String>>, DbError> {
    let rows: Vec<(String, String)> = group_members::table
        .filter(group_members::workspace_id.eq(workspace))
        .order(group_members::group_name)
        .select((group_members::username, group_members::group_name))
        .load(conn)?;
    let mut groups: HashMap<String, Vec<String>> = HashMap::new();
    for (username, group) in rows {
        groups.entry(username).or_default().push(group);
    }
    Ok(groups)
}

/// Adds a group.
pub(crate) fn insert(conn: &mut Conn, row: &GroupRow) -> Result<(), DbError> {
    diesel::insert_into(user_groups::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Describes a group anew; answers whether it was there.
pub(crate) fn describe(
    conn: &mut Conn,
    (workspace, name): (&str, &str),
    summary: &str,
) -> Result<bool, DbError> {
    let one = user_groups::table.find((workspace, name));
    let set = diesel::update(one).set(user_groups::summary.eq(summary));
    Ok(set.execute(conn)? > 0)
}

/// Removes a group; answers whether it was there.
pub(crate) fn delete(conn: &mut Conn, workspace: &str, name: &str) -> Result<bool, DbError> {
    let members = group_members::table
        .filter(group_members::workspace_id.eq(workspace))
        .filter(group_members::group_name.eq(name));
    diesel::delete(members).execute(conn)?;
    Ok(diesel::delete(user_groups::table.find((workspace, name))).execute(conn)? > 0)
}

/// Puts somebody into a group; answers false for one who is in it already.
pub(crate) fn add_member(
    conn: &mut Conn,
    (workspace, group): (&str, &str),
    username: &str,
) -> Result<bool, DbError> {
    if of_user(conn, workspace, username)?
        .iter()
        .any(|mine| mine == group)
    {
        return Ok(false);
    }
    let row = (
        group_members::workspace_id.eq(workspace),
        group_members::group_name.eq(group),
        group_members::username.eq(username),
    );
    diesel::insert_into(group_members::table)
        .values(row)
        .execute(conn)?;
    Ok(true)
}

/// Takes somebody out of a group; answers whether that one was in it.
pub(crate) fn remove_member(
    conn: &mut Conn,
    (workspace, group): (&str, &str),
    username: &str,
) -> Result<bool, DbError> {
    let one = group_members::table.find((workspace, username, group));
    Ok(diesel::delete(one).execute(conn)? > 0)
}

/// Takes somebody out of every group of a workspace.
pub(crate) fn remove_everywhere(
    conn: &mut Conn,
    workspace: &str,
    username: &str,
) -> Result<(), DbError> {
    let mine = group_members::table
        .filter(group_members::workspace_id.eq(workspace))
        .filter(group_members::username.eq(username));
    diesel::delete(mine).execute(conn)?;
    Ok(())
}
