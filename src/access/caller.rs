//! [`Caller`]: who asks, and what that one may do, by path and by scope. Pure.

use serde_json::{Map, Value};

use super::Denied;
use crate::{
    db::{Conn, DbError, job_secret, variable::VariableRow},
    secret::mask,
    types::{JobId, Timestamp},
};

/// The group whose members may say whose rights a trigger has (windmill-facts §1.1).
const DEPLOYERS: &str = "wm_deployers";

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

/// A script or a flow that is shared with somebody alone, wherever it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedRunnable {
    /// A flow, else a script.
    pub is_flow: bool,
    /// Where it lies.
    pub path: String,
    /// With whom (JSON object: owner → may write).
    pub extra_perms: String,
}

/// Who asks, as which token.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The name in the workspace (outside of one: of the person); `g/<group>` for a job that runs as a group.
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
    /// Scripts and flows that are shared with the caller (an admin needs none).
    pub shared: Vec<SharedRunnable>,
    /// What part of the API is asked, as scopes name it.
    pub domain: String,
    /// Of a job that calls back: how many jobs called each other to come to it.
    pub depth: Option<i32>,
    /// The job that calls back.
    pub job: Option<JobId>,
    /// When the token ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The hash of the token; empty for `SUPERADMIN_SECRET` and jobs.
    pub token_hash: Vec<u8>,
    /// What tells the token from others: its first characters, or what it is.
    pub token_prefix: String,
    /// The groups the user was put into in the workspace, besides `all` (an admin needs none).
    pub groups: Vec<String>,
    /// What the request came from: `ui`, `cli`, `api` or `worker`.
    pub source: &'static str,
    /// The token is bound to a workspace or to a job: good for nothing that reaches further.
    pub bound: bool,
}

impl Caller {
    /// Notes that a secret is given away: where a job asked, its log must not show it. Call it before it is.
    pub(crate) fn learns(&self, conn: &mut Conn, secret: &VariableRow) -> Result<(), DbError> {
        match self.job {
            Some(job) if !mask::note(job, &secret.value) => job_secret::note(conn, job, secret),
            _ => Ok(()),
        }
    }

    /// The same caller, asking for another part of the API, as scopes name it.
    #[must_use]
    pub fn asking(&self, domain: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            ..self.clone()
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

    /// Whether the script or flow at `path` may be run.
    #[must_use]
    pub fn may_run(&self, path: &str, is_flow: bool) -> bool {
        let fits = |(kind, paths): (Option<bool>, &str)| {
            kind.is_none_or(|kind| kind == is_flow) && holds(paths, path)
        };
        self.any_scope("run", fits) && self.sees_runnable(path, is_flow)
    }

    /// Whether what is not saved may be run: no scope for saved things says so.
    #[must_use]
    pub fn may_run_unsaved(&self) -> bool {
        self.any_scope("run", |(kind, paths)| kind.is_none() && holds(paths, ""))
    }

    /// Whether there are no scopes, or one of them allows `action` on this part of the API at a place that fits.
    fn any_scope(&self, action: &str, fits: impl Fn((Option<bool>, &str)) -> bool) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| {
            let mut allowed = scopes
                .iter()
                .filter_map(|scope| allowed_at(scope, &self.domain, action));
            allowed.any(fits)
        })
    }

    /// The `extra_perms` of the script at `path`, as far as they are about the caller.
    #[must_use]
    pub fn script_perms(&self, path: &str) -> &str {
        self.runnable_perms(path, false)
    }

    /// The `extra_perms` of the flow at `path`, as far as they are about the caller.
    #[must_use]
    pub fn flow_perms(&self, path: &str) -> &str {
        self.runnable_perms(path, true)
    }

    /// As [`Self::script_perms`] or [`Self::flow_perms`].
    #[must_use]
    pub fn runnable_perms(&self, path: &str, is_flow: bool) -> &str {
        let mut shared = self.shared.iter();
        let found = shared.find(|one| one.is_flow == is_flow && one.path == path);
        found.map_or("{}", |one| &one.extra_perms)
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

    /// Whose rights jobs of the caller have: `u/<user>` or `g/<group>`.
    #[must_use]
    pub fn run_as(&self) -> String {
        if self.username.starts_with("g/") {
            return self.username.clone();
        }
        format!("u/{}", self.username)
    }

    /// Whether the caller may say whose rights jobs have, instead of giving them the own ones.
    #[must_use]
    pub fn is_deployer(&self) -> bool {
        self.is_admin || self.groups.iter().any(|group| group == DEPLOYERS)
    }

    /// Checks that the caller may change what belongs to the person behind the token: passwords, tokens.
    ///
    /// # Errors
    /// The token may less than the person.
    pub fn must_be_whole(&self) -> Result<(), Denied> {
        if self.scopes.is_none() && !self.read_only && !self.bound {
            return Ok(());
        }
        let text = "a token that is limited itself, or a job's, may not do this";
        Err(Denied::Forbidden(text.to_owned()))
    }

    /// Checks that the caller may see what only super admins may.
    ///
    /// # Errors
    /// The caller is not a super admin, or the token may less.
    pub fn must_see_all(&self) -> Result<(), Denied> {
        if self.super_admin && self.scopes.is_none() && !self.bound {
            return Ok(());
        }
        let text = "only a super admin may do this";
        Err(Denied::Forbidden(text.to_owned()))
    }

    /// Checks that the caller may do what only super admins may.
    ///
    /// # Errors
    /// The caller is not a super admin, or the token may less.
    pub fn must_be_super_admin(&self) -> Result<(), Denied> {
        self.must_see_all()?;
        self.must_be_whole()
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
        // A list is let through here; what it shows is asked for path by path.
        self.any_scope(action, |(_, paths)| {
            path.is_none_or(|path| holds(paths, path))
        })
    }

    /// The paths to which the scopes confine these actions on this part of the API, a `*` at the end standing for any
    /// rest; none = they do not.
    #[must_use]
    pub fn confined_to(&self, actions: &[&str]) -> Option<Vec<&str>> {
        let scopes = self.scopes.as_ref()?.iter();
        let allowed = scopes.flat_map(|scope| {
            let actions = actions.iter();
            actions.filter_map(|action| allowed_at(scope, &self.domain, action))
        });
        let allowed = allowed.map(|(_, paths)| paths);
        let mut paths: Vec<&str> = allowed.flat_map(|list| list.split(',')).collect();
        paths.sort_unstable();
        paths.dedup();
        (!paths.contains(&"*")).then_some(paths)
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

    /// Whether the script or flow at `path` may be read, whatever the token is for: what a trigger starts is told by its
    /// own rights.
    #[must_use]
    pub fn sees_runnable(&self, path: &str, is_flow: bool) -> bool {
        self.reaches(path, self.runnable_perms(path, is_flow), false)
    }

    /// Whether what lies at `path`, or the folder `f/<name>` itself, is the caller's own.
    #[must_use]
    pub fn owns(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        self.is_admin
            || match (segments.next(), segments.next()) {
                (Some("u"), Some(name)) => !name.is_empty() && name == self.username,
                (Some("f"), Some(name)) => {
                    let mut folders = self.folders.iter();
                    folders.any(|folder| folder.name == name && folder.owner)
                }
                _ => false,
            }
    }

    /// Whether `extra_perms` (JSON object: owner → may write) names the caller.
    pub(super) fn granted(&self, extra_perms: &str, write: bool) -> bool {
        if extra_perms == "{}" {
            return false;
        }
        let perms: Map<String, Value> = serde_json::from_str(extra_perms).unwrap_or_default();
        perms.iter().any(|(owner, may_write)| {
            self.is(owner) && (!write || may_write.as_bool() == Some(true))
        })
    }

    /// Whether `owner` (`u/<user>` or `g/<group>`) means the caller.
    #[must_use]
    pub fn is(&self, owner: &str) -> bool {
        match owner.split_once('/') {
            // Who is nobody in the workspace is not in the group of everybody there.
            _ if self.username.is_empty() => false,
            Some(("u", name)) => name == self.username,
            Some(("g", name)) => name == "all" || self.groups.iter().any(|group| group == name),
            _ => false,
        }
    }
}

/// Whether a comma list of paths, of which each may end in `*`, holds `path`.
fn holds(paths: &str, path: &str) -> bool {
    let mut paths = paths.split(',');
    paths.any(|wanted| match wanted.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == wanted,
    })
}

/// Where one scope, `<domain>:<action>[:scripts|flows][:<paths>]` (windmill-facts §1.2), allows the action: whether at
/// flows or at scripts alone, and at which paths. Writing includes reading; `*` as action is everything.
fn allowed_at<'a>(scope: &'a str, domain: &str, action: &str) -> Option<(Option<bool>, &'a str)> {
    let mut parts = scope.splitn(3, ':');
    let (scope_domain, scope_action) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let rest = parts.next().unwrap_or("");
    let action_fits = scope_action == "*"
        || scope_action == action
        || (scope_action == "write" && action == "read");
    if scope_domain != domain || !action_fits {
        return None;
    }
    let (kind, paths) = match rest.split_once(':').unwrap_or((rest, "")) {
        ("scripts", paths) if domain == "jobs" => (Some(false), paths),
        ("flows", paths) if domain == "jobs" => (Some(true), paths),
        _ => (None, rest),
    };
    Some((kind, if paths.is_empty() { "*" } else { paths }))
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
        assert!(operator.may_run("u/ann/x", false) && operator.may_write("u/ann/x", "{}").is_err());
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
            let token = Caller {
                scopes: Some(vec![scope.to_owned()]),
                ..someone("root").asking(domain)
            };
            assert_eq!(
                token.scoped(action, path),
                allowed,
                "{scope} {action} {path:?}"
            );
        }
        let some = Caller {
            scopes: Some(vec![
                "jobs:read:u/a/*,f/b".to_owned(),
                "jobs:run:flows:u/c".to_owned(),
                "scripts:read".to_owned(),
            ]),
            ..someone("root").asking("jobs")
        };
        assert_eq!(some.confined_to(&["read"]), Some(vec!["f/b", "u/a/*"]));
        assert_eq!(
            some.confined_to(&["read", "run"]),
            Some(vec!["f/b", "u/a/*", "u/c"])
        );
        assert_eq!(some.confined_to(&["write"]), Some(Vec::new()));
        assert_eq!(some.asking("scripts").confined_to(&["read"]), None);
        for (scope, script, flow, unsaved) in [
            ("jobs:run", true, true, true),
            ("jobs:*", true, true, true),
            ("jobs:run:*", true, true, true),
            ("jobs:run:u/root/*", true, true, false),
            ("jobs:run:scripts", true, false, false),
            ("jobs:run:scripts:*", true, false, false),
            ("jobs:run:flows:u/root/x", false, true, false),
            ("jobs:run:flows:u/root/y", false, false, false),
            ("jobs:write", false, false, false),
        ] {
            let token = Caller {
                scopes: Some(vec![scope.to_owned()]),
                ..someone("root").asking("jobs")
            };
            let may = (
                token.may_run("u/root/x", false),
                token.may_run("u/root/x", true),
                token.may_run_unsaved(),
            );
            assert_eq!(may, (script, flow, unsaved), "{scope}");
        }
        let nothing = Caller {
            is_admin: true,
            scopes: Some(Vec::new()),
            ..someone("root")
        };
        assert!(!nothing.may_read("u/root/x", "{}") && !nothing.sees_all());
    }
}
