//! Who may do what: tokens, sessions, login links, and rights by path.
//!
//! A token is 256 random bits; only its SHA-256 is kept. `authenticate` turns a token into a [`Caller`],
//! who then answers every question about rights. Used by `api` and by whoever starts jobs; knows no HTTP.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    db::{
        Conn, DbError, folder,
        folder::FolderRow,
        queue, setting,
        token::{self, TokenRow},
        user::{self, UserRow},
        variable,
        workspace::{self, WorkspaceRow},
    },
    identity::{JobIdentity, JobTokens},
    secret::mask,
    types::{JobId, ObjectPath, Timestamp},
};

/// How long a login link may be used (contract section 2).
const LOGIN_LINK: Duration = Duration::from_secs(15 * 60);
/// How long a browser stays logged in.
pub(crate) const SESSION: Duration = Duration::from_secs(7 * 24 * 3600);
/// `last_used_at` is written at most this often: a busy client must not cost a write a request.
const TOUCH: Duration = Duration::from_secs(60);
/// Characters of a token that are kept in the clear, to tell tokens apart; 60 of 256 bits.
const PREFIX: usize = 10;
/// The workspace and the user of the first start (contract section 2).
const FIRST_WORKSPACE: &str = "main";
/// The user of the first start, and whom `SUPERADMIN_SECRET` acts as.
const ADMIN: &str = "admin";
/// The setting that holds the key of job tokens.
const JOB_TOKEN_KEY: &str = "job_token_key";
/// The address of that user.
const ADMIN_EMAIL: &str = "admin@windsock.local";

/// Why somebody was turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No token, or one that is unknown or has expired.
    #[error("no valid token: send 'Authorization: Bearer <token>' or log in")]
    NotLoggedIn,
    /// Logged in, but not for this.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such workspace (said to super admins only).
    #[error("workspace '{0}' not found")]
    NoWorkspace(String),
    /// The folder of the path does not exist, and only an admin's save would make it.
    #[error("path: folder '{0}' does not exist; ask an admin to create it")]
    NoFolder(String),
}

/// What somebody may do in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderRights {
    /// The folder.
    pub name: String,
    /// Whether things in it may be changed.
    pub write: bool,
    /// Whether the folder itself may be changed.
    pub owner: bool,
}

/// Who asks, as which token.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The name in the workspace (outside of one: of the token).
    pub username: String,
    /// The address, the same in all workspaces.
    pub email: String,
    /// May do everything in the workspace.
    pub is_admin: bool,
    /// May do everything.
    pub super_admin: bool,
    /// May run things and change nothing.
    pub operator: bool,
    /// The workspace asked for.
    pub workspace: Option<String>,
    /// Only reads.
    pub read_only: bool,
    /// Only these things; none = everything the user may.
    pub scopes: Option<Vec<String>>,
    /// The folders that may at least be read (an admin needs none).
    pub folders: Vec<FolderRights>,
    /// What part of the API is asked, as scopes name it.
    pub domain: String,
    /// Of a job that calls back: how many jobs called each other to come to it.
    pub depth: Option<i32>,
    /// The job that calls back.
    pub job: Option<JobId>,
    /// When the token ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The hash of the token; empty for `SUPERADMIN_SECRET`.
    pub token_hash: Vec<u8>,
}

impl Caller {
    /// Notes that a secret was given away: where a job asked, its log must not show it.
    pub(crate) fn learns(&self, secret: &str) {
        if let Some(job) = self.job {
            mask::note(job, secret);
        }
    }

    /// Whether no right or scope hides anything of the workspace.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.is_admin && self.scopes.is_none()
    }

    /// Whether the thing at `path` may be read; `extra_perms` are the thing's own.
    #[must_use]
    pub fn may_read(&self, path: &str, extra_perms: &str) -> bool {
        self.scoped("read", Some(path)) && self.reaches(path, extra_perms, false)
    }

    /// Whether the thing at `path` may be run.
    #[must_use]
    pub fn may_run(&self, path: &str) -> bool {
        self.scoped("run", Some(path)) && self.reaches(path, "{}", false)
    }

    /// Checks that the thing at `path` may be changed.
    ///
    /// # Errors
    /// The token reads only, its scopes do not hold this, or the path belongs to somebody else.
    pub fn may_write(&self, path: &str, extra_perms: &str) -> Result<(), Denied> {
        self.may_change()?;
        if !self.scoped("write", Some(path)) || !self.reaches(path, extra_perms, true) {
            return Err(Denied::Forbidden(format!("you may not change '{path}'")));
        }
        Ok(())
    }

    /// Checks that the caller changes anything at all.
    ///
    /// # Errors
    /// The token reads only, or the user is an operator.
    pub fn may_change(&self) -> Result<(), Denied> {
        if self.read_only {
            return Err(Denied::Forbidden("this token only reads".to_owned()));
        }
        if self.operator && !self.is_admin {
            let text = "an operator runs things and changes nothing";
            return Err(Denied::Forbidden(text.to_owned()));
        }
        Ok(())
    }

    /// Checks that the caller may do what only admins may.
    ///
    /// # Errors
    /// The caller is not an admin.
    pub fn must_be_admin(&self) -> Result<(), Denied> {
        if self.is_admin && self.scopes.is_none() && !self.read_only {
            return Ok(());
        }
        Err(Denied::Forbidden("only an admin may do this".to_owned()))
    }

    /// Whether the scopes allow `action` on this part of the API (at `path`, if one is named).
    #[must_use]
    pub fn scoped(&self, action: &str, path: Option<&str>) -> bool {
        let Some(scopes) = &self.scopes else {
            return true;
        };
        scopes
            .iter()
            .any(|scope| scope_allows(scope, &self.domain, action, path))
    }

    fn reaches(&self, path: &str, extra_perms: &str, write: bool) -> bool {
        if self.is_admin || self.granted(extra_perms, write) {
            return true;
        }
        let mut segments = path.split('/');
        match (segments.next(), segments.next()) {
            (Some("u"), Some(name)) => name == self.username,
            (Some("f"), Some(name)) => self
                .folders
                .iter()
                .any(|folder| folder.name == name && (folder.write || !write)),
            _ => false,
        }
    }

    /// Whether `extra_perms` (JSON object: owner → may write) names the caller.
    fn granted(&self, extra_perms: &str, write: bool) -> bool {
        if extra_perms == "{}" {
            return false;
        }
        let perms: Map<String, Value> = serde_json::from_str(extra_perms).unwrap_or_default();
        let mine = [format!("u/{}", self.username), "g/all".to_owned()];
        mine.iter().any(|owner| match perms.get(owner) {
            Some(may_write) => !write || may_write.as_bool() == Some(true),
            None => false,
        })
    }
}

/// Whether one scope, `<domain>:<action>[:scripts|flows][:<path>]` (windmill-facts §1.2), allows the action.
/// Writing includes reading; `*` as action is everything; a path may end in `/*`.
fn scope_allows(scope: &str, domain: &str, action: &str, path: Option<&str>) -> bool {
    let mut parts = scope.splitn(3, ':');
    let (scope_domain, scope_action) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let rest = parts.next();
    let action_fits = scope_action == "*"
        || scope_action == action
        || (scope_action == "write" && action == "read");
    if scope_domain != domain || !action_fits {
        return false;
    }
    let wanted = rest.map(|rest| {
        rest.strip_prefix("scripts:")
            .or_else(|| rest.strip_prefix("flows:"))
            .unwrap_or(rest)
    });
    match (wanted, path) {
        (None | Some("" | "*"), _) => true,
        // A list is let through here; what it shows is asked for path by path.
        (Some(_), None) => true,
        (Some(wanted), Some(path)) => {
            wanted
                .split(',')
                .any(|wanted| match wanted.strip_suffix('*') {
                    Some(start) => path.starts_with(start),
                    None => path == wanted,
                })
        }
    }
}

/// A new token: its text, once, and its row without owner.
fn mint(kind: &str, lifetime: Option<Duration>) -> (String, TokenRow) {
    let text = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let now = Timestamp::now();
    let row = TokenRow {
        hash: hash(&text),
        prefix: text.chars().take(PREFIX).collect(),
        kind: kind.to_owned(),
        username: ADMIN.to_owned(),
        email: ADMIN_EMAIL.to_owned(),
        super_admin: false,
        label: None,
        workspace_id: None,
        scopes: None,
        read_only: false,
        created_at: now,
        expires_at: lifetime.map(|lifetime| now.plus(lifetime)),
        last_used_at: now,
    };
    (text, row)
}

fn hash(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

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

/// A token that logs user `admin` in once, within 15 minutes.
///
/// # Errors
/// The database gives no answer.
pub fn new_login_link(conn: &mut Conn) -> Result<String, DbError> {
    let (text, mut row) = mint("login_link", Some(LOGIN_LINK));
    row.super_admin = true;
    token::insert(conn, &row)?;
    Ok(text)
}

/// Exchanges a login link, or any token its owner holds, for a session; a login link is used up by it.
///
/// # Errors
/// The database gives no answer.
pub(crate) fn new_session(
    conn: &mut Conn,
    secret: Option<&str>,
    text: &str,
) -> Result<Option<String>, DbError> {
    let (session, mut row) = mint("session", Some(SESSION));
    if is_secret(secret, text) {
        row.super_admin = true;
    } else {
        let Some(from) = valid(conn, text)? else {
            return Ok(None);
        };
        // A token that is narrower than its owner must not become a session that is not.
        let narrow = from.read_only || from.scopes.is_some() || from.workspace_id.is_some();
        if narrow || from.kind == "job" {
            return Ok(None);
        }
        if from.kind == "login_link" && !token::delete(conn, &from.hash)? {
            return Ok(None);
        }
        row.username = from.username;
        row.email = from.email;
        row.super_admin = from.super_admin;
    }
    token::insert(conn, &row)?;
    Ok(Some(session))
}

/// What a caller asks of a new token.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewToken {
    pub(crate) label: Option<String>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) workspace: Option<String>,
    pub(crate) read_only: bool,
}

/// A token of the caller's own, no wider than the one the caller came with.
pub(crate) fn new_token(
    conn: &mut Conn,
    caller: &Caller,
    wanted: NewToken,
) -> Result<String, DbError> {
    let (text, mut row) = mint("api", None);
    row.username.clone_from(&caller.username);
    row.email.clone_from(&caller.email);
    row.super_admin = caller.super_admin;
    row.label = wanted.label;
    row.expires_at = wanted.expires_at;
    row.workspace_id = wanted.workspace;
    row.read_only = wanted.read_only;
    row.scopes = wanted.scopes.map(|scopes| Value::from(scopes).to_string());
    token::insert(conn, &row)?;
    Ok(text)
}

/// A token for one job of `workspace`, with the rights of `permissioned_as` there and nowhere else.
///
/// # Errors
/// The database gives no answer.
pub fn new_job_token(
    conn: &mut Conn,
    workspace: &str,
    permissioned_as: &str,
    lifetime: Duration,
) -> Result<String, DbError> {
    let (text, mut row) = mint("job", Some(lifetime));
    let username = permissioned_as.strip_prefix("u/").unwrap_or("");
    let owner = user::by_name(conn, workspace, username)?;
    row.username = username.to_owned();
    row.email = owner.map_or_else(|| permissioned_as.to_owned(), |owner| owner.email);
    row.workspace_id = Some(workspace.to_owned());
    token::insert(conn, &row)?;
    Ok(text)
}

/// Ends a token, for instance when its job ends or its owner logs out.
///
/// # Errors
/// The database gives no answer.
pub fn end_token(conn: &mut Conn, text: &str) -> Result<(), DbError> {
    token::delete(conn, &hash(text)).map(|_| ())
}

fn is_secret(secret: Option<&str>, text: &str) -> bool {
    // Digests are compared, so that neither content nor length tells by the time it takes.
    secret.is_some_and(|secret| hash(secret).ct_eq(&hash(text)).into())
}

fn valid(conn: &mut Conn, text: &str) -> Result<Option<TokenRow>, DbError> {
    let row = token::by_hash(conn, &hash(text))?;
    let now = Timestamp::now();
    Ok(row.filter(|row| row.expires_at.is_none_or(|end| end > now)))
}

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
    let workspace = caller.workspace.clone().unwrap_or_default();
    if let ("f", name) = path.owner()
        && folder::by_name(conn, &workspace, name)?.is_none()
    {
        if !caller.is_admin {
            return Ok(Err(Denied::NoFolder(name.to_owned())));
        }
        if let Err(denied) = caller.may_write(path.as_str(), "{}") {
            return Ok(Err(denied));
        }
        let row = FolderRow {
            workspace_id: workspace,
            name: name.to_owned(),
            display_name: name.to_owned(),
            owners: Value::from(vec![format!("u/{}", caller.username)]).to_string(),
            extra_perms: "{}".to_owned(),
            summary: None,
            created_by: caller.username.clone(),
            edited_at: Timestamp::now(),
        };
        folder::insert(conn, &row)?;
    }
    Ok(caller.may_write(path.as_str(), "{}"))
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
fn caller_as(conn: &mut Conn, workspace: &str, permissioned_as: &str) -> Result<Caller, DbError> {
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
    let caller = caller_as(conn, workspace, permissioned_as)?;
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

/// A short-lived token that acts as the first user, for what windsock sets up itself.
///
/// # Errors
/// The database gives no answer.
pub fn new_setup_token(conn: &mut Conn) -> Result<String, DbError> {
    let (text, mut row) = mint("api", Some(LOGIN_LINK));
    row.super_admin = true;
    token::insert(conn, &row)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn someone(username: &str) -> Caller {
        Caller {
            username: username.to_owned(),
            domain: "scripts".to_owned(),
            folders: vec![
                FolderRights {
                    name: "read".to_owned(),
                    write: false,
                    owner: false,
                },
                FolderRights {
                    name: "write".to_owned(),
                    write: true,
                    owner: false,
                },
            ],
            ..Caller::default()
        }
    }

    #[test]
    fn rights_by_path() {
        let ann = someone("ann");
        for (path, perms, read, write) in [
            ("u/ann/x", "{}", true, true),
            ("u/bob/x", "{}", false, false),
            ("u/annabel/x", "{}", false, false),
            ("u/bob/x", r#"{"u/ann": false}"#, true, false),
            ("u/bob/x", r#"{"u/ann": true}"#, true, true),
            ("u/bob/x", r#"{"g/all": true}"#, true, true),
            ("u/bob/x", "broken", false, false),
            ("f/read/x", "{}", true, false),
            ("f/write/x", "{}", true, true),
            ("f/other/x", "{}", false, false),
            ("g/all/x", "{}", false, false),
        ] {
            assert_eq!(ann.may_read(path, perms), read, "{path} {perms}");
            assert_eq!(ann.may_write(path, perms).is_ok(), write, "{path} {perms}");
        }
        let admin = Caller {
            is_admin: true,
            ..someone("root")
        };
        assert!(admin.may_read("u/bob/x", "{}") && admin.may_write("g/all/x", "{}").is_ok());
        let reader = Caller {
            read_only: true,
            ..admin
        };
        assert!(reader.may_read("u/bob/x", "{}") && reader.may_write("u/root/x", "{}").is_err());
        let operator = Caller {
            operator: true,
            ..someone("ann")
        };
        assert!(operator.may_run("u/ann/x") && operator.may_write("u/ann/x", "{}").is_err());
    }

    #[test]
    fn scopes() {
        for (scope, domain, action, path, allowed) in [
            ("scripts:read", "scripts", "read", Some("u/a/b"), true),
            ("scripts:write", "scripts", "read", Some("u/a/b"), true),
            ("scripts:read", "scripts", "write", Some("u/a/b"), false),
            ("scripts:read:u/a/b", "scripts", "read", Some("u/a/b"), true),
            (
                "scripts:read:u/a/b",
                "scripts",
                "read",
                Some("u/a/bc"),
                false,
            ),
            (
                "scripts:read:u/a/*",
                "scripts",
                "read",
                Some("u/a/bc"),
                true,
            ),
            ("scripts:read:u/a/b", "scripts", "read", None, true),
            ("jobs:run:scripts:u/a/b", "jobs", "run", Some("u/a/b"), true),
            (
                "jobs:run:scripts:u/a/b",
                "jobs",
                "run",
                Some("u/a/c"),
                false,
            ),
            ("jobs:run", "jobs", "read", None, false),
            ("scripts:*", "jobs", "read", None, false),
            ("", "scripts", "read", None, false),
        ] {
            assert_eq!(
                scope_allows(scope, domain, action, path),
                allowed,
                "{scope} {action} {path:?}"
            );
        }
        let nothing = Caller {
            is_admin: true,
            scopes: Some(Vec::new()),
            ..someone("root")
        };
        assert!(!nothing.may_read("u/root/x", "{}") && !nothing.sees_all());
    }
}
