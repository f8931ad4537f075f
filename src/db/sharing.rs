//! Column `extra_perms` of what may be shared: triggers, variables, resources, folders.

use diesel::prelude::*;

use super::{
    Conn, DbError,
    schema::{folders, resources, triggers, variables},
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
        }
    };
}

/// Whom the thing at `(workspace, path)` is shared with (JSON object: owner → may write); none when it is not there.
pub(crate) fn perms(
    conn: &mut Conn,
    kind: Kind,
    at: (&str, &str),
) -> Result<Option<String>, DbError> {
    Ok(by_kind!(kind, at, |one, perms| one
        .select(perms)
        .first(conn)
        .optional())?)
}

/// Shares the thing at `(workspace, path)` with these; nothing else of it changes.
pub(crate) fn set_perms(
    conn: &mut Conn,
    kind: Kind,
    at: (&str, &str),
    json: &str,
) -> Result<(), DbError> {
    by_kind!(kind, at, |one, perms| diesel::update(one)
        .set(perms.eq(json))
        .execute(conn))?;
    Ok(())
}
