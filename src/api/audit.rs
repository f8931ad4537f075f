//! Who changed what: an entry in the transaction of each change, and the lists of entries.
//!
//! An entry names the operation, the path or name and, of an edit, the fields that changed; never a content, a
//! secret or a token.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    answer::Json,
    error::Error,
    extract::{At, Page, Query},
};
use crate::{
    access::{Caller, Denied},
    db::{
        Conn,
        audit::{self, AuditRow, NewAudit, Which},
        trigger,
    },
    types::Timestamp,
};

/// What operations on triggers begin with.
const TRIGGERS: &str = "websocket_triggers.";

/// Notes in the running transaction that the caller does `operation` to `resource`.
pub(super) fn note(
    conn: &mut Conn,
    caller: &Caller,
    operation: &str,
    resource: &str,
) -> Result<(), Error> {
    note_changes(conn, caller, (operation, resource), None)
}

/// As [`note`], with the names of the fields that change.
pub(super) fn note_changes(
    conn: &mut Conn,
    caller: &Caller,
    (operation, resource): (&str, &str),
    changes: Option<Vec<String>>,
) -> Result<(), Error> {
    let row = NewAudit {
        workspace_id: caller.workspace.as_deref().unwrap_or_default(),
        at: Timestamp::now(),
        username: &caller.username,
        email: &caller.email,
        operation,
        resource,
        token_prefix: &caller.token_prefix,
        source: caller.source,
        changes: changes.map(|changes| Value::from(changes).to_string()),
    };
    Ok(audit::insert(conn, &row)?)
}

/// Notes what was done already, where the change is not made by the API itself. It stays done if that fails.
pub(super) async fn note_done(
    state: &State,
    caller: Caller,
    operation: &'static str,
    resource: String,
) {
    let noted = state.run(move |conn| note(conn, &caller, operation, &resource));
    if let Err(error) = noted.await {
        log::warn!(operation; "the audit log lacks an entry: {error}");
    }
}

/// What the request came from, as histories say it.
pub(super) fn source(req: &HttpRequest, bearer: bool) -> &'static str {
    let client = req.headers().get("x-windmill-client");
    match client.and_then(|client| client.to_str().ok()) {
        Some("cli") => "cli",
        _ if bearer => "api",
        _ => "ui",
    }
}

/// Which entries are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// From 1; 0 counts as 1.
    page: Option<u32>,
    /// Rows of a page; at most 10,000.
    per_page: Option<u32>,
    /// Only of this user.
    username: Option<String>,
    /// Only operations that begin so, such as `websocket_triggers.` or `variables.update`.
    operation: Option<String>,
    /// Only paths and names that begin so.
    resource: Option<String>,
    /// Only before this moment.
    #[param(value_type = Option<String>)]
    before: Option<Timestamp>,
    /// Only after this moment.
    #[param(value_type = Option<String>)]
    after: Option<Timestamp>,
}

/// Somebody did something.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Entry {
    id: i64,
    workspace_id: String,
    #[schema(value_type = String)]
    timestamp: Timestamp,
    username: String,
    email: String,
    operation: String,
    /// `Created`, `Updated`, `Deleted` or `Executed`.
    action_kind: &'static str,
    /// The path or name.
    resource: String,
    /// What the token begins with, or what it was.
    token_prefix: String,
    /// `ui`, `cli`, `api` or `worker`.
    source: String,
    parameters: Parameters,
}

/// More about an entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Parameters {
    /// The fields that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<String>>,
}

/// Something was done to a trigger.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TriggerChange {
    id: i64,
    trigger_kind: &'static str,
    path: String,
    /// `create`, `update`, `delete`, `enable`, `disable`, `suspend` and others.
    operation: String,
    source: String,
    username: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// The fields that changed.
    changes: Vec<String>,
}

fn kind_of(operation: &str) -> &'static str {
    match operation.rsplit('.').next().unwrap_or_default() {
        "create" | "add" => "Created",
        "delete" | "remove" => "Deleted",
        "login" | "cancel" | "resume_jobs" | "discard_jobs" => "Executed",
        _ => "Updated",
    }
}

fn changes(row: &AuditRow) -> Option<Vec<String>> {
    serde_json::from_str(row.changes.as_deref()?).ok()
}

fn shown(row: AuditRow) -> Entry {
    Entry {
        action_kind: kind_of(&row.operation),
        parameters: Parameters {
            changes: changes(&row),
        },
        id: row.id,
        workspace_id: row.workspace_id,
        timestamp: row.at,
        username: row.username,
        email: row.email,
        operation: row.operation,
        resource: row.resource,
        token_prefix: row.token_prefix,
        source: row.source,
    }
}

/// Entries of the workspace (outside of one: of the whole server), newest first. They are kept for 30 days, and the
/// newest 100,000 of a workspace.
pub(crate) async fn list(
    caller: Caller,
    at: At,
    wanted: Query<Wanted>,
    state: web::Data<State>,
) -> Result<Json<Vec<Entry>>, Error> {
    let workspace = whose(&caller, at.workspace)?;
    let wanted = wanted.0;
    let page = Page {
        page: wanted.page,
        per_page: wanted.per_page,
    };
    let which = Which {
        workspace,
        username: wanted.username,
        operation: wanted.operation,
        exact: None,
        resource: wanted.resource,
        before: wanted.before,
        after: wanted.after,
    };
    let rows = state
        .run(move |conn| Ok(audit::list(conn, &which, page.window())?))
        .await?;
    Ok(Json(rows.into_iter().map(shown).collect()))
}

/// The workspace whose entries are asked for, of one who may see them; none = the whole server.
fn whose(caller: &Caller, workspace: String) -> Result<Option<String>, Denied> {
    if workspace.is_empty() {
        caller.must_see_all()?;
        return Ok(None);
    }
    if caller.sees_all() {
        return Ok(Some(workspace));
    }
    Err(Denied::Forbidden("only an admin may do this".to_owned()))
}

/// One entry of the workspace (outside of one: of the whole server).
pub(crate) async fn get(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Entry>, Error> {
    let workspace = whose(&caller, at.workspace)?;
    let id = at.path.parse::<i64>();
    let id = id.map_err(|_| Error::field("id", "is not a whole number"))?;
    let row = state.run(move |conn| Ok(audit::by_id(conn, id)?)).await?;
    let row = row.filter(|row| workspace.is_none_or(|workspace| workspace == row.workspace_id));
    let row = row.ok_or_else(|| Error::NotFound(format!("audit entry {id} not found")))?;
    Ok(Json(shown(row)))
}

/// Which changes of triggers are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfTrigger {
    /// From 1; 0 counts as 1.
    page: Option<u32>,
    /// Rows of a page; at most 10,000.
    per_page: Option<u32>,
    /// The trigger. Only an admin sees those of all triggers, and of ones that are gone.
    path: Option<String>,
    /// There are only those of `websocket`.
    trigger_kind: Option<String>,
}

/// What was done to a trigger one may read, newest first.
pub(crate) async fn of_triggers(
    caller: Caller,
    at: At,
    wanted: Query<OfTrigger>,
    state: web::Data<State>,
) -> Result<Json<Vec<TriggerChange>>, Error> {
    let OfTrigger {
        page,
        per_page,
        path,
        trigger_kind,
    } = wanted.0;
    if trigger_kind.is_some_and(|kind| kind != "websocket") {
        return Ok(Json(Vec::new()));
    }
    let window = Page { page, per_page }.window();
    let rows = state
        .run(move |conn| {
            if !caller.sees_all() {
                let Some(path) = path.as_deref() else {
                    return Err(Error::field("path", "missing; only an admin sees all"));
                };
                let row = trigger::by_path(conn, &at.workspace, path)?;
                let perms = row.map_or_else(|| "{}".to_owned(), |row| row.extra_perms);
                if !caller.may_read(path, &perms) {
                    return Ok(Vec::new());
                }
            }
            let which = Which {
                workspace: Some(at.workspace),
                operation: Some(TRIGGERS.to_owned()),
                exact: path,
                ..Which::default()
            };
            Ok(audit::list(conn, &which, window)?)
        })
        .await?;
    let changes = rows.into_iter().map(|row| TriggerChange {
        changes: changes(&row).unwrap_or_default(),
        id: row.id,
        trigger_kind: "websocket",
        operation: row.operation.trim_start_matches(TRIGGERS).to_owned(),
        path: row.resource,
        source: row.source,
        username: row.username,
        created_at: row.at,
    });
    Ok(Json(changes.collect()))
}
