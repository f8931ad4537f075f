//! With whom what may be shared is: column `extra_perms` of triggers, variables, resources and folders; of scripts and
//! flows, which are many versions, table `runnable_perms`.

use std::collections::HashMap;

use diesel::prelude::*;
use serde_json::{Map, Value};

use super::{
    Conn, DbError, flow,
    schema::{folders, resources, runnable_perms, triggers, variables},
    script,
};

/// What can be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A WebSocket trigger.
    Trigger,
    /// A variable.
    Variable,
    /// A resource.
    Resource,
    /// A folder, by its name.
    Folder,
    /// A script.
    Script,
    /// A flow.
    Flow,
}

macro_rules! by_kind {
    ($kind:expr, $at:expr, |$one:ident, $perms:ident| $what:expr) => {
        match $kind {
            Kind::Trigger => {
                let ($one, $perms) = (triggers::table.find($at), triggers::extra_perms);
                $what
            }
            Kind::Variable => {
                let ($one, $perms) = (variables::table.find($at), variables::extra_perms);
                $what
            }
            Kind::Resource => {
                let ($one, $perms) = (resources::table.find($at), resources::extra_perms);
                $what
            }
            Kind::Folder => {
                let ($one, $perms) = (folders::table.find($at), folders::extra_perms);
                $what
            }
            Kind::Script | Kind::Flow => {
                let ($one, $perms) = (
                    runnable_perms::table.find(($at.0, $kind == Kind::Flow, $at.1)),
                    runnable_perms::extra_perms,
                );
                $what
            }
        }
    };
}

/// Whom the thing at `(workspace, path)` is shared with (JSON object: owner → may write); none when it is not there.
pub(crate) fn perms(
    conn: &mut Conn,
    kind: Kind,
    at: (&str, &str),
) -> Result<Option<String>, DbError> {
    let there = match kind {
        Kind::Script => script::head(conn, at.0, at.1)?.is_some(),
        Kind::Flow => flow::newest(conn, at.0, at.1)?.is_some(),
        _ => false,
    };
    let kept: Option<String> = by_kind!(kind, at, |one, perms| one
        .select(perms)
        .first(conn)
        .optional())?;
    Ok(match kind {
        Kind::Script | Kind::Flow => there.then(|| kept.unwrap_or_else(|| "{}".to_owned())),
        _ => kept,
    })
}

/// Shares the thing at `(workspace, path)` with these; nothing else of it changes.
pub(crate) fn set_perms(
    conn: &mut Conn,
    kind: Kind,
    at: (&str, &str),
    json: &str,
) -> Result<(), DbError> {
    let changed = by_kind!(kind, at, |one, perms| diesel::update(one)
        .set(perms.eq(json))
        .execute(conn))?;
    if changed == 0 && matches!(kind, Kind::Script | Kind::Flow) {
        diesel::insert_into(runnable_perms::table)
            .values(RunnablePerms {
                workspace_id: at.0.to_owned(),
                is_flow: kind == Kind::Flow,
                path: at.1.to_owned(),
                extra_perms: json.to_owned(),
            })
            .execute(conn)?;
    }
    Ok(())
}

/// [`perms`] for an answer.
pub(crate) fn shown(
    conn: &mut Conn,
    kind: Kind,
    at: (&str, &str),
) -> Result<Map<String, Value>, DbError> {
    let perms = perms(conn, kind, at)?;
    Ok(perms
        .and_then(|perms| serde_json::from_str(&perms).ok())
        .unwrap_or_default())
}

/// With whom a script or a flow is shared.
#[derive(Debug, Clone, Queryable, Insertable)]
#[diesel(table_name = runnable_perms)]
pub(crate) struct RunnablePerms {
    pub workspace_id: String,
    pub is_flow: bool,
    pub path: String,
    pub extra_perms: String,
}

/// With whom which scripts and flows of a workspace are shared.
pub(crate) fn of_runnables(
    conn: &mut Conn,
    workspace: &str,
) -> Result<Vec<RunnablePerms>, DbError> {
    Ok(runnable_perms::table
        .filter(runnable_perms::workspace_id.eq(workspace))
        .load(conn)?)
}

/// With whom the flows of a workspace, or its scripts, are shared, by their paths; for answers.
pub(crate) fn by_path(
    conn: &mut Conn,
    workspace: &str,
    is_flow: bool,
) -> Result<HashMap<String, Map<String, Value>>, DbError> {
    let rows = of_runnables(conn, workspace)?.into_iter();
    let rows = rows.filter(|row| row.is_flow == is_flow);
    let parsed = rows.map(|row| {
        let perms = serde_json::from_str(&row.extra_perms).unwrap_or_default();
        (row.path, perms)
    });
    Ok(parsed.collect())
}

/// A script or flow has another path now: with whom it is shared goes along.
pub(crate) fn rename_runnable(
    conn: &mut Conn,
    (workspace, is_flow): (&str, bool),
    (old, new): (&str, &str),
) -> Result<(), DbError> {
    forget_runnable(conn, (workspace, is_flow), new)?;
    diesel::update(runnable_perms::table.find((workspace, is_flow, old)))
        .set(runnable_perms::path.eq(new))
        .execute(conn)?;
    Ok(())
}

/// A script or flow is gone: one that is made in its place later is shared with nobody.
pub(crate) fn forget_runnable(
    conn: &mut Conn,
    (workspace, is_flow): (&str, bool),
    path: &str,
) -> Result<(), DbError> {
    diesel::delete(runnable_perms::table.find((workspace, is_flow, path))).execute(conn)?;
    Ok(())
}
