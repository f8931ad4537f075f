//! What texts refer to: `$var:<path>` and `$res:<path>`, each the whole text; read with the rights of whoever is to have it.

use serde_json::{Map, Value};

use super::{Caller, Denied, enter::caller_as};
use crate::{
    db::{Conn, DbError, resource, variable},
    secret::sealed,
    types::JobId,
};

/// References followed in one value; more is a circle or an abuse.
const MOST: usize = 100;

/// Why a reference is not replaced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReferenceError {
    /// It leads nowhere, or to what this one may not read.
    #[error("{0}")]
    Missing(String),
    /// Too many of them.
    #[error("more than {MOST} references, or a circle of them")]
    TooMany,
    /// The database gave no answer.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// What a text refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A variable.
    Variable,
    /// A resource.
    Resource,
}

impl Kind {
    /// What scopes call it.
    fn domain(self) -> &'static str {
        match self {
            Self::Variable => "variables",
            Self::Resource => "resources",
        }
    }

    fn missing(self, path: &str) -> ReferenceError {
        let kind = match self {
            Self::Variable => "variable",
            Self::Resource => "resource",
        };
        ReferenceError::Missing(format!("{kind} not found at path: {path}"))
    }
}

/// What a text points to, if the whole of it does.
pub(crate) fn reference(text: &str) -> Option<(Kind, &str)> {
    if let Some(path) = text.strip_prefix("$var:") {
        return Some((Kind::Variable, path));
    }
    text.strip_prefix("$res:")
        .map(|path| (Kind::Resource, path))
}

/// Replaces the references in `value` of a workspace, with the rights of the caller.
pub(crate) fn replace(
    conn: &mut Conn,
    who: (&Caller, &str),
    value: &mut Value,
) -> Result<(), ReferenceError> {
    follow(conn, who, value, &mut Trail::default())
}

/// What was followed.
struct Trail {
    /// References that may still be.
    left: usize,
    /// Something secret was read: a secret variable, or a resource, which holds what only some may know.
    is_secret: bool,
}

impl Default for Trail {
    fn default() -> Self {
        Self {
            left: MOST,
            is_secret: false,
        }
    }
}

fn follow(
    conn: &mut Conn,
    who: (&Caller, &str),
    value: &mut Value,
    trail: &mut Trail,
) -> Result<(), ReferenceError> {
    match value {
        Value::String(text) => {
            let Some((kind, path)) = reference(text) else {
                return Ok(());
            };
            trail.left = trail.left.checked_sub(1).ok_or(ReferenceError::TooMany)?;
            *value = read(conn, who, (kind, path), trail)?;
            Ok(())
        }
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| follow(conn, who, item, trail)),
        Value::Object(fields) => fields
            .values_mut()
            .try_for_each(|field| follow(conn, who, field, trail)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn read(
    conn: &mut Conn,
    who: (&Caller, &str),
    (kind, path): (Kind, &str),
    trail: &mut Trail,
) -> Result<Value, ReferenceError> {
    let (caller, workspace) = who;
    let caller = caller.asking(kind.domain());
    let missing = || kind.missing(path);
    match kind {
        Kind::Variable => {
            let row = variable::by_path(conn, workspace, path)?;
            let row = row.filter(|row| caller.may_read(&row.path, &row.extra_perms));
            let row = row.ok_or_else(missing)?;
            if row.is_secret {
                trail.is_secret = true;
                caller.learns(conn, &row)?;
            }
            Ok(Value::String(row.value))
        }
        Kind::Resource => {
            let row = resource::by_path(conn, workspace, path)?;
            let row = row.filter(|row| caller.may_read(&row.path, &row.extra_perms));
            let row = row.ok_or_else(missing)?;
            let mut inner = serde_json::from_str(&row.value).unwrap_or_default();
            trail.is_secret = true;
            follow(conn, who, &mut inner, trail)?;
            Ok(inner)
        }
    }
}

/// Checks that a caller may give a job what these of its arguments (a JSON object) refer to.
///
/// # Errors
/// The token is limited, and may not read it.
pub(crate) fn may_give(caller: &Caller, args: &str, names: &[String]) -> Result<(), Denied> {
    if caller.scopes.is_none() || names.is_empty() {
        return Ok(());
    }
    let args: Map<String, Value> = serde_json::from_str(args).unwrap_or_default();
    for name in names {
        if let Some(path) = args.get(name).and_then(|value| hidden(caller, value)) {
            return Err(Denied::Forbidden(format!(
                "argument '{name}' refers to '{path}', which this token may not read"
            )));
        }
    }
    Ok(())
}

/// What a value refers to that the token's scopes do not hold.
fn hidden(caller: &Caller, value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let (kind, path) = reference(text)?;
            let caller = caller.asking(kind.domain());
            (!caller.scoped("read", Some(path))).then(|| path.to_owned())
        }
        Value::Array(items) => items.iter().find_map(|item| hidden(caller, item)),
        Value::Object(fields) => fields.values().find_map(|field| hidden(caller, field)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// A job that starts.
pub(crate) struct Starting<'a> {
    /// The job.
    pub(crate) id: JobId,
    /// The outermost job it belongs to, or itself.
    pub(crate) root: JobId,
    /// Where it runs.
    pub(crate) workspace: &'a str,
    /// Whose rights it has.
    pub(crate) permissioned_as: &'a str,
    /// Its arguments, a JSON object.
    pub(crate) args: &'a str,
    /// Those in which references are replaced or which are opened, and references themselves that arguments were
    /// computed from.
    pub(crate) given: &'a [String],
}

/// What a reference (`$var:<path>`, `$res:<path>`) leads to, read with the rights of `permissioned_as` in a workspace, and
/// whether that is to be kept secret.
pub(crate) fn value(
    conn: &mut Conn,
    (workspace, permissioned_as): (&str, &str),
    text: &str,
) -> Result<(Value, bool), ReferenceError> {
    let caller = somebody(conn, workspace, permissioned_as)?;
    let mut value = Value::from(text);
    let mut trail = Trail::default();
    follow(conn, (&caller, workspace), &mut value, &mut trail)?;
    Ok((value, trail.is_secret))
}

fn somebody(conn: &mut Conn, workspace: &str, who: &str) -> Result<Caller, ReferenceError> {
    caller_as(conn, workspace, who)?.ok_or_else(|| {
        let text = format!("{who}, whose rights the job has, is nobody in the workspace");
        ReferenceError::Missing(text)
    })
}

/// The arguments of a job that starts, with what they refer to. Secrets among them are masked in what it prints.
pub(crate) fn arguments(conn: &mut Conn, job: &Starting<'_>) -> Result<String, ReferenceError> {
    let (workspace, who) = (job.workspace, job.permissioned_as);
    let mut caller = somebody(conn, workspace, who)?;
    caller.job = Some(job.id);
    let mut args: Map<String, Value> = serde_json::from_str(job.args).unwrap_or_default();
    for name in job.given {
        let Some(value) = args.get_mut(name) else {
            // No argument: its inputs were computed from it, and its secrets are not for the log.
            let mut read = Value::from(name.as_str());
            match replace(conn, (&caller, workspace), &mut read) {
                Ok(()) | Err(ReferenceError::Missing(_) | ReferenceError::TooMany) => continue,
                Err(error) => return Err(error),
            }
        };
        if sealed::is_whole(value) {
            *value = opened(job.root, (name.as_str(), &*value))?;
            // What was computed is no reference.
            continue;
        }
        replace(conn, (&caller, workspace), value).map_err(|error| match error {
            ReferenceError::Missing(text) => {
                ReferenceError::Missing(format!("argument '{name}': {text}"))
            }
            error => error,
        })?;
    }
    Ok(Value::Object(args).to_string())
}

/// An argument that was kept sealed.
fn opened(root: JobId, (name, value): (&str, &Value)) -> Result<Value, ReferenceError> {
    let found = sealed::open(root, &value.to_string());
    let found = found.and_then(|found| serde_json::from_str(found.value.get()).ok());
    found.ok_or_else(|| {
        ReferenceError::Missing(format!(
            "argument '{name}': was computed from a secret for another run, or under another key; run its flow anew"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        assert_eq!(reference("$var:u/a/b"), Some((Kind::Variable, "u/a/b")));
        assert_eq!(reference("$res:f/a/b"), Some((Kind::Resource, "f/a/b")));
        assert_eq!(reference("see $var:u/a/b"), None);
    }

    #[test]
    fn limited_tokens_give_what_they_may_read() {
        let args = r#"{"a": {"x": ["$var:u/a/b"]}, "b": 1}"#;
        let may = |caller: &Caller| may_give(caller, args, &["a".to_owned()]);
        assert_eq!(may(&Caller::default()), Ok(()));
        let scoped = |scope: &str| Caller {
            scopes: Some(vec![scope.to_owned()]),
            ..Caller::default()
        };
        let refused = may(&scoped("jobs:run")).unwrap_err();
        assert!(refused.to_string().contains("u/a/b"), "{refused:?}");
        assert_eq!(may(&scoped("variables:read:u/a/b")), Ok(()));
    }
}
