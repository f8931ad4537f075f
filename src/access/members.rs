//! Workspaces and what belongs to somebody in them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ADMIN, ADMIN_EMAIL, Caller, Denied, enter::caller_as};
use crate::{
    db::{
        Conn, DbError,
        account::{self, AccountRow},
        folder,
        folder::FolderRow,
        token,
        user::{self, UserRow},
        variable,
        workspace::{self, WorkspaceRow},
    },
    types::{ObjectPath, Timestamp},
};

/// The workspace and the user of the first start (contract section 2).
const FIRST_WORKSPACE: &str = "main";

/// Makes workspace `main` and user `admin` when there are none; answers whether it did.
///
/// # Errors
/// The database gives no answer.
pub fn first_start(conn: &mut Conn) -> Result<bool, DbError> {
    crate::db::transaction(conn, |conn| {
        crate::db::alone::start_alone(conn)?;
        token::delete_expired(conn, Timestamp::now())?;
        if workspace::exists(conn, FIRST_WORKSPACE)? {
            return Ok(false);
        }
        let admin = AccountRow {
            email: ADMIN_EMAIL.to_owned(),
            username: ADMIN.to_owned(),
            name: None,
            password_hash: None,
            super_admin: true,
            disabled: false,
            created_at: Timestamp::now(),
        };
        account::insert(conn, &admin)?;
        new_workspace(
            conn,
            (FIRST_WORKSPACE, FIRST_WORKSPACE),
            (ADMIN, ADMIN_EMAIL),
        )?;
        Ok(true)
    })
}

/// Adds a workspace `(id, name)` whose admin is the person `(username, email)`.
pub(crate) fn new_workspace(
    conn: &mut Conn,
    (id, name): (&str, &str),
    (username, email): (&str, &str),
) -> Result<(), DbError> {
    let created_at = Timestamp::now();
    let row = WorkspaceRow {
        id: id.to_owned(),
        name: name.to_owned(),
        owner: email.to_owned(),
        created_at,
    };
    workspace::insert(conn, &row)?;
    let row = UserRow {
        workspace_id: id.to_owned(),
        username: username.to_owned(),
        email: email.to_owned(),
        is_admin: true,
        operator: false,
        disabled: false,
        created_at,
    };
    user::insert(conn, &row)
}

/// Checks that the caller may save something at `path`, and makes the folder of it if it is missing and the
/// caller is an admin (contract section 3). Call it in the transaction that saves.
///
/// # Errors
/// The database gives no answer; inside: why not.
pub(crate) fn prepare_to_save(
    conn: &mut Conn,
    caller: &Caller,
    path: &ObjectPath,
) -> Result<Result<(), Denied>, DbError> {
    if let ("f", name) = path.owner() {
        let workspace = caller.workspace.clone().unwrap_or_default();
        let found = folder::by_name(conn, &workspace, name)?;
        let known = caller.folders.iter().any(|folder| folder.name == name);
        if !caller.is_admin && (found.is_none() || !known) {
            // A folder one may not know of is none.
            return Ok(Err(Denied::NoFolder(name.to_owned())));
        }
        let allowed = caller.may_write(path.as_str(), "{}");
        if found.is_some() || allowed.is_err() {
            return Ok(allowed);
        }
        let row = FolderRow {
            workspace_id: workspace,
            name: name.to_owned(),
            display_name: name.to_owned(),
            owners: Value::from(vec![caller.run_as()]).to_string(),
            extra_perms: "{}".to_owned(),
            summary: None,
            created_by: caller.username.clone(),
            edited_at: Timestamp::now(),
            labels: "[]".to_owned(),
            default_permissioned_as: "[]".to_owned(),
        };
        folder::insert(conn, &row)?;
    }
    Ok(caller.may_write(path.as_str(), "{}"))
}

/// As [`prepare_to_save`], for a script or flow, be it there already or not: whom it is shared with alone needs no right
/// to where it lies.
///
/// # Errors
/// The database gives no answer; inside: why not.
pub(crate) fn prepare_to_save_runnable(
    conn: &mut Conn,
    caller: &Caller,
    path: &ObjectPath,
    (is_flow, there): (bool, bool),
) -> Result<Result<(), Denied>, DbError> {
    let perms = caller.runnable_perms(path.as_str(), is_flow);
    if there && perms != "{}" {
        return Ok(caller.may_write(path.as_str(), perms));
    }
    prepare_to_save(conn, caller, path)
}

/// The values of variables, read with the rights of `permissioned_as`; inside: which one cannot be had.
///
/// # Errors
/// The database gives no answer.
pub(crate) fn read_variables(
    conn: &mut Conn,
    workspace: &str,
    permissioned_as: &str,
    paths: &[ObjectPath],
) -> Result<Result<BTreeMap<ObjectPath, String>, String>, DbError> {
    let caller = caller_as(conn, workspace, permissioned_as)?.unwrap_or_default();
    let mut values = BTreeMap::new();
    for path in paths {
        let found = variable::by_path(conn, workspace, path.as_str())?
            .filter(|row| caller.may_read(&row.path, &row.extra_perms));
        let Some(row) = found else {
            return Ok(Err(format!(
                "variable '{path}' not found, or {permissioned_as} may not read it"
            )));
        };
        values.insert(path.clone(), row.value);
    }
    Ok(Ok(values))
}

/// The address of somebody with the rights of `permissioned_as`, as far as it is known without asking the database.
#[must_use]
pub fn email_of(permissioned_as: &str) -> String {
    match permissioned_as.strip_prefix("u/") {
        Some(ADMIN) => ADMIN_EMAIL.to_owned(),
        Some(name) => name.to_owned(),
        None => permissioned_as.to_owned(),
    }
}
