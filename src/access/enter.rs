//! From a token to a [`Caller`], and from a run-as to one.

use std::time::Duration;

use super::{
    ADMIN, ADMIN_EMAIL, Caller, Denied, FolderRights, SharedRunnable,
    token::{account_of, is_secret, valid},
};
use crate::{
    db::{
        Conn, DbError, account, folder,
        folder::FolderRow,
        group, queue, setting, sharing,
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
    if is_secret(secret, text) {
        let caller = Caller {
            username: ADMIN.to_owned(),
            email: ADMIN_EMAIL.to_owned(),
            super_admin: true,
            token_prefix: "SUPERADMIN_SECRET".to_owned(),
            ..Caller::default()
        };
        return reach(conn, caller, workspace);
    }
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
    by_token(conn, row, workspace)
}

/// What a caller of some time ago may do now; none once the token, the person or the job is gone, or shut out. For
/// connections that stay open.
pub(crate) fn renewed(conn: &mut Conn, caller: &Caller) -> Result<Option<Caller>, DbError> {
    if let Some(job) = caller.job {
        if !queue::is_there(conn, job)? {
            return Ok(None);
        }
        let Some(workspace) = caller.workspace.as_deref() else {
            return Ok(Some(caller.clone()));
        };
        let renewed = caller_as(conn, workspace, &caller.run_as())?;
        return Ok(renewed.map(|renewed| Caller {
            domain: caller.domain.clone(),
            depth: caller.depth,
            job: caller.job,
            bound: true,
            token_prefix: caller.token_prefix.clone(),
            expires_at: caller.expires_at,
            source: caller.source,
            ..renewed
        }));
    }
    if caller.token_hash.is_empty() {
        return Ok(Some(caller.clone()));
    }
    let now = Timestamp::now();
    let row = token::by_hash(conn, &caller.token_hash)?;
    let Some(row) = row.filter(|row| row.expires_at.is_none_or(|end| end > now)) else {
        return Ok(None);
    };
    let renewed = by_token(conn, row, caller.workspace.as_deref())?;
    Ok(renewed.ok().map(|renewed| Caller {
        domain: caller.domain.clone(),
        source: caller.source,
        ..renewed
    }))
}

/// The person a token belongs to, in a workspace or in none.
fn by_token(
    conn: &mut Conn,
    row: TokenRow,
    workspace: Option<&str>,
) -> Result<Result<Caller, Denied>, DbError> {
    if let (Some(bound), Some(asked)) = (&row.workspace_id, workspace)
        && bound != asked
    {
        return Ok(Err(not_a_member(asked)));
    }
    let Some(account) = account_of(conn, &row)? else {
        return Ok(Err(Denied::NotLoggedIn));
    };
    // A token of one workspace does not reach what lies outside of them.
    let reaches = row.workspace_id.is_none() || workspace.is_some();
    let caller = Caller {
        username: account.username,
        super_admin: account.super_admin && reaches,
        ..from_row(row)
    };
    reach(conn, caller, workspace)
}

/// Where the caller asks: in a workspace or in none.
fn reach(
    conn: &mut Conn,
    mut caller: Caller,
    workspace: Option<&str>,
) -> Result<Result<Caller, Denied>, DbError> {
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
        read_only: row.read_only,
        scopes,
        expires_at: row.expires_at,
        bound: row.workspace_id.is_some(),
        token_hash: row.hash,
        token_prefix: row.prefix,
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
        caller.groups = group::of_user(conn, workspace, &caller.username)?;
        caller.folders = folders_of(conn, &caller, workspace)?;
        caller.shared = shared_with(conn, &caller, workspace)?;
    }
    Ok(Ok(caller))
}

fn folders_of(
    conn: &mut Conn,
    caller: &Caller,
    workspace: &str,
) -> Result<Vec<FolderRights>, DbError> {
    Ok(folder::all(conn, workspace)?
        .into_iter()
        .filter_map(|folder| rights_in(caller, &folder))
        .collect())
}

fn shared_with(
    conn: &mut Conn,
    caller: &Caller,
    workspace: &str,
) -> Result<Vec<SharedRunnable>, DbError> {
    let all = sharing::of_runnables(conn, workspace)?.into_iter();
    let own = all.filter(|row| caller.granted(&row.extra_perms, false));
    Ok(own
        .map(|row| SharedRunnable {
            is_flow: row.is_flow,
            path: row.path,
            extra_perms: row.extra_perms,
        })
        .collect())
}

fn not_a_member(workspace: &str) -> Denied {
    Denied::Forbidden(format!("you are not a member of workspace '{workspace}'"))
}

fn rights_in(caller: &Caller, folder: &FolderRow) -> Option<FolderRights> {
    let owners: Vec<String> = serde_json::from_str(&folder.owners).unwrap_or_default();
    let owner = owners.iter().any(|owner| caller.is(owner));
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
    let Some(mut caller) = caller_as(conn, &job.workspace, &job.permissioned_as)? else {
        // Whose rights it had is gone or shut out.
        return Ok(Err(Denied::NotLoggedIn));
    };
    caller.workspace = workspace.map(str::to_owned);
    caller.depth = Some(job.depth);
    caller.job = Some(job.job);
    caller.bound = true;
    caller.token_prefix = format!("job {}", job.job);
    caller.expires_at = Some(job.until);
    Ok(Ok(caller))
}

/// Somebody with the rights of `permissioned_as` in `workspace`; none for who is nobody there (any more).
pub(super) fn caller_as(
    conn: &mut Conn,
    workspace: &str,
    permissioned_as: &str,
) -> Result<Option<Caller>, DbError> {
    if let Some(name) = permissioned_as.strip_prefix("g/") {
        return group_as_caller(conn, workspace, name);
    }
    let username = permissioned_as
        .strip_prefix("u/")
        .unwrap_or(permissioned_as);
    let member = user::by_name(conn, workspace, username)?;
    let (email, super_admin) = match member {
        Some(member) if member.disabled => return Ok(None),
        Some(member) => (member.email, false),
        // A super admin is somebody in every workspace.
        None => match account::super_admins(conn)?
            .into_iter()
            .find(|account| account.username == username)
        {
            Some(account) => (account.email, true),
            None => return Ok(None),
        },
    };
    if account::by_email(conn, &email)?.is_some_and(|account| account.disabled) {
        return Ok(None);
    }
    let caller = Caller {
        username: username.to_owned(),
        email,
        super_admin,
        workspace: Some(workspace.to_owned()),
        ..Caller::default()
    };
    let entered = enter(conn, caller, workspace)?.ok();
    Ok(entered.map(|caller| Caller {
        super_admin: false,
        ..caller
    }))
}

/// A job that runs as a group: what the group may do, and nothing else.
fn group_as_caller(
    conn: &mut Conn,
    workspace: &str,
    name: &str,
) -> Result<Option<Caller>, DbError> {
    if !group::exists(conn, workspace, name)? {
        return Ok(None);
    }
    let mut caller = Caller {
        username: format!("g/{name}"),
        email: format!("g/{name}"),
        groups: vec![name.to_owned()],
        workspace: Some(workspace.to_owned()),
        ..Caller::default()
    };
    caller.folders = folders_of(conn, &caller, workspace)?;
    caller.shared = shared_with(conn, &caller, workspace)?;
    Ok(Some(caller))
}
