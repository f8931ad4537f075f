//! From a token to a [`Caller`], and from a run-as to one.

use std::time::Duration;

use super::{
    ADMIN, ADMIN_EMAIL, Caller, Denied, FolderRights,
    token::{is_secret, valid},
};
use crate::{
    db::{
        Conn, DbError, folder,
        folder::FolderRow,
        queue, setting,
        token::{self, TokenRow},
        user, workspace,
    },
    identity::{JobIdentity, JobTokens},
    types::Timestamp,
};

/// `last_used_at` is written at most this often: a busy client must not cost a write a request.
const TOUCH: Duration = Duration::from_secs(60);
/// The setting that holds the key of job tokens.
const JOB_TOKEN_KEY: &str = "job_token_key";

/// Turns a token into a caller in `workspace` (or in none, for what lies outside of workspaces).
///
/// # Errors
/// The database gives no answer; inside: why the caller is turned away.
pub(crate) fn authenticate(
    conn: &mut Conn,
    (secret, text): (Option<&str>, &str),
    workspace: Option<&str>,
) -> Result<Result<Caller, Denied>, DbError> {
    let mut caller = if is_secret(secret, text) {
        Caller {
            username: ADMIN.to_owned(),
            email: ADMIN_EMAIL.to_owned(),
            super_admin: true,
            ..Caller::default()
        }
    } else {
        if let Some(job) = job_tokens(conn)?.verify(text, Timestamp::now()) {
            return enter_as_job(conn, &job, workspace);
        }
        let Some(row) = valid(conn, text)?.filter(|row| row.kind != "login_link") else {
            return Ok(Err(Denied::NotLoggedIn));
        };
        let now = Timestamp::now();
        if row.last_used_at < now.minus(TOUCH) {
            token::touch(conn, &row.hash, now)?;
        }
        if let (Some(bound), Some(asked)) = (&row.workspace_id, workspace)
            && bound != asked
        {
            return Ok(Err(not_a_member(asked)));
        }
        from_row(row)
    };
    caller.workspace = workspace.map(str::to_owned);
    match workspace {
        Some(workspace) => enter(conn, caller, workspace),
        None => {
            caller.is_admin = caller.super_admin;
            Ok(Ok(caller))
        }
    }
}

fn from_row(row: TokenRow) -> Caller {
    let scopes = row.scopes.map(|scopes| {
        // A list that cannot be read allows nothing.
        serde_json::from_str::<Vec<String>>(&scopes).unwrap_or_default()
    });
    Caller {
        username: row.username,
        email: row.email,
        super_admin: row.super_admin,
        read_only: row.read_only,
        scopes,
        expires_at: row.expires_at,
        token_hash: row.hash,
        ..Caller::default()
    }
}

/// Gives a caller the name and the rights it has in a workspace.
fn enter(
    conn: &mut Conn,
    mut caller: Caller,
    workspace: &str,
) -> Result<Result<Caller, Denied>, DbError> {
    match user::by_email(conn, workspace, &caller.email)? {
        Some(member) if !member.disabled => {
            caller.username = member.username;
            caller.is_admin = member.is_admin || caller.super_admin;
            caller.operator = member.operator;
        }
        // The same answer whether the workspace exists or not, but to those who may know.
        _ if !caller.super_admin => return Ok(Err(not_a_member(workspace))),
        _ if !workspace::exists(conn, workspace)? => {
            return Ok(Err(Denied::NoWorkspace(workspace.to_owned())));
        }
        _ => caller.is_admin = true,
    }
    if !caller.is_admin {
        caller.folders = folder::all(conn, workspace)?
            .into_iter()
            .filter_map(|folder| rights_in(&caller, &folder))
            .collect();
    }
    Ok(Ok(caller))
}

fn not_a_member(workspace: &str) -> Denied {
    Denied::Forbidden(format!("you are not a member of workspace '{workspace}'"))
}

fn rights_in(caller: &Caller, folder: &FolderRow) -> Option<FolderRights> {
    let owners: Vec<String> = serde_json::from_str(&folder.owners).unwrap_or_default();
    let me = format!("u/{}", caller.username);
    let owner = owners.iter().any(|owner| *owner == me || owner == "g/all");
    let rights = FolderRights {
        name: folder.name.clone(),
        owner,
        write: owner || caller.granted(&folder.extra_perms, true),
    };
    (rights.write || caller.granted(&folder.extra_perms, false)).then_some(rights)
}

/// The key of this installation's job tokens; made at the first call.
///
/// # Errors
/// The database gives no answer, or the key in it is damaged.
pub fn job_tokens(conn: &mut Conn) -> Result<JobTokens, DbError> {
    let key = setting::get_or_store(conn, JOB_TOKEN_KEY, JobTokens::new_key)?;
    JobTokens::new(&key).map_err(|error| DbError::Unreachable(error.0))
}

/// A job that calls back: its run-as in its own workspace, nothing else.
fn enter_as_job(
    conn: &mut Conn,
    job: &JobIdentity,
    workspace: Option<&str>,
) -> Result<Result<Caller, Denied>, DbError> {
    if let Some(asked) = workspace
        && asked != job.workspace
    {
        return Ok(Err(not_a_member(asked)));
    }
    if !queue::is_there(conn, job.job)? {
        // It has ended, and its token with it.
        return Ok(Err(Denied::NotLoggedIn));
    }
    let mut caller = caller_as(conn, &job.workspace, &job.permissioned_as)?;
    caller.workspace = workspace.map(str::to_owned);
    caller.depth = Some(job.depth);
    caller.job = Some(job.job);
    caller.expires_at = Some(job.until);
    Ok(Ok(caller))
}

/// Somebody with the rights of `permissioned_as` in `workspace`; one that is no user there has none.
pub(super) fn caller_as(
    conn: &mut Conn,
    workspace: &str,
    permissioned_as: &str,
) -> Result<Caller, DbError> {
    let username = permissioned_as
        .strip_prefix("u/")
        .unwrap_or(permissioned_as);
    let member = user::by_name(conn, workspace, username)?.filter(|member| !member.disabled);
    let caller = Caller {
        username: username.to_owned(),
        email: member
            .as_ref()
            .map_or_else(|| permissioned_as.to_owned(), |member| member.email.clone()),
        workspace: Some(workspace.to_owned()),
        ..Caller::default()
    };
    match member {
        Some(_) => Ok(enter(conn, caller.clone(), workspace)?.unwrap_or(caller)),
        None => Ok(caller),
    }
}
