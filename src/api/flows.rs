//! Flows: versions at a path; the newest live one is what runs (windmill-facts §2.1, §2.2).

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use super::{
    State,
    answer::{Created, Json, Text},
    audit,
    error::Error,
    extract::{At, Body},
    flow_steps,
    ordered::Ordered,
    raw,
    standing::unchanged,
};
use crate::{
    access::{Caller, prepare_to_save_runnable},
    db::{
        Conn, alone, flow,
        flow::FlowRow,
        sharing::{self, Kind},
    },
    types::{ObjectPath, Timestamp},
};

/// Fields of Windmill's flows that windsock keeps and gives back as they are.
const KEPT: &[&str] = &[
    "ws_error_handler_muted",
    "dedicated_worker",
    "visible_to_runner_only",
    "labels",
    "priority",
    "deployment_message",
];
/// Fields that would change whose rights a flow has.
const REFUSED: &[&str] = &["on_behalf_of", "on_behalf_of_email"];
/// The largest number that JavaScript keeps exactly: versions are numbers in JSON.
const MAX_VERSION: i64 = (1 << 53) - 1;

/// A flow to be saved.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewFlow {
    /// Left out in an update: stays.
    #[schema(value_type = Option<String>)]
    path: Option<ObjectPath>,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    description: Option<String>,
    /// OpenFlow; kept in the order in which it is written.
    #[schema(value_type = Object)]
    value: Ordered,
    /// JSON Schema of the arguments; kept in its order as well.
    #[schema(value_type = Option<Object>)]
    schema: Option<Ordered>,
    tag: Option<String>,
    /// Longest run in seconds, waiting included.
    timeout: Option<i32>,
    /// Of an update: what was read before the edit; refused (409) when somebody has saved a version since.
    #[schema(value_type = Option<String>)]
    edited_at: Option<Timestamp>,
    #[serde(flatten)]
    #[schema(ignore)]
    rest: Map<String, Value>,
}

/// A version of a flow.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Flow {
    workspace_id: String,
    pub(super) path: String,
    summary: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    schema: Option<Box<RawValue>>,
    edited_by: String,
    #[schema(value_type = String)]
    edited_at: Timestamp,
    archived: bool,
    #[schema(value_type = Object)]
    pub(super) extra_perms: Map<String, Value>,
    starred: bool,
    draft_only: bool,
    version_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<i32>,
    #[serde(flatten)]
    #[schema(ignore)]
    settings: Map<String, Value>,
}

/// Whether a flow is to be archived.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct Archive {
    #[serde(default)]
    archived: Option<bool>,
}

pub(super) fn not_found(path: &str) -> Error {
    Error::NotFound(format!("flow not found at path: {path}"))
}

pub(super) fn by_path(conn: &mut Conn, caller: &Caller, at: &At) -> Result<FlowRow, Error> {
    flow::newest(conn, &at.workspace, &at.path)?
        .filter(|row| caller.may_read(&row.path, caller.flow_perms(&row.path)))
        .ok_or_else(|| not_found(&at.path))
}

pub(super) fn shown(row: FlowRow, whole: bool) -> Flow {
    Flow {
        workspace_id: row.workspace_id,
        path: row.path,
        summary: row.summary,
        description: row.description,
        value: whole.then(|| raw(row.value)),
        schema: row.schema_json.map(raw),
        edited_by: row.created_by,
        edited_at: row.created_at,
        archived: row.archived,
        extra_perms: Map::new(),
        starred: false,
        draft_only: false,
        version_id: row.version,
        tag: row.tag,
        timeout: row.timeout_secs,
        settings: serde_json::from_str(&row.settings).unwrap_or_default(),
    }
}

impl NewFlow {
    /// Checks the fields and reads the flow; answers its row.
    async fn check(
        self,
        workspace: &str,
        old: Option<&str>,
        state: &State,
    ) -> Result<FlowRow, Error> {
        let path = match (self.path, old) {
            (Some(path), _) => path,
            (None, Some(old)) => old.parse()?,
            (None, None) => return Err(Error::field("path", "missing field")),
        };
        if self
            .schema
            .as_ref()
            .is_some_and(|schema| !schema.is_object() && !schema.is_null())
        {
            return Err(Error::field("schema", "must be an object"));
        }
        if self.timeout.is_some_and(|secs| secs < 1) {
            return Err(Error::field("timeout", "must be at least 1 second"));
        }
        let mut settings = self.rest;
        for name in REFUSED {
            let set = settings.get(*name).and_then(Value::as_str);
            if set.is_some_and(|text| !text.is_empty()) {
                let text = "is not supported; a flow runs with the rights of whoever or whatever starts it";
                return Err(Error::field(name, text));
            }
        }
        let text = self.value.to_string();
        let preprocessor = state.script_check.check_flow(self.value.plain()).await?;
        settings.retain(|name, value| KEPT.contains(&name.as_str()) && !value.is_null());
        Ok(FlowRow {
            workspace_id: workspace.to_owned(),
            version: rand::random_range(1..=MAX_VERSION),
            path: path.to_string(),
            summary: self.summary,
            description: self.description.unwrap_or_default(),
            value: text,
            schema_json: self
                .schema
                .filter(|schema| !schema.is_null())
                .map(|schema| schema.to_string()),
            preprocessor,
            tag: self.tag.filter(|tag| !tag.is_empty()),
            timeout_secs: self.timeout,
            settings: Value::Object(settings).to_string(),
            created_by: String::new(),
            created_at: Timestamp::now(),
            archived: false,
            deleted: false,
        })
    }
}

/// Adds a version; the transaction of `create` and `update`, which names the path it had.
fn save(
    conn: &mut Conn,
    caller: &Caller,
    mut row: FlowRow,
    old: Option<String>,
) -> Result<String, Error> {
    let path: ObjectPath = row.path.parse()?;
    row.created_by.clone_from(&caller.username);
    let workspace = row.workspace_id.clone();
    let newest = flow::newest(conn, &workspace, &row.path)?;
    prepare_to_save_runnable(conn, caller, &path, (true, newest.is_some()))??;
    let operation = match &old {
        Some(_) => "flows.update",
        None => "flows.create",
    };
    let stays = old.as_deref() == Some(row.path.as_str());
    if newest.as_ref().is_some_and(|newest| !newest.archived) && !stays {
        return Err(Error::Conflict(format!(
            "path: flow '{path}' exists already; update it instead"
        )));
    }
    if let Some(old) = old.filter(|_| !stays) {
        // A rename: the old path is given up.
        caller.may_write(&old, caller.flow_perms(&old))?;
        flow::rename(conn, &workspace, (&old, &row.path))?;
        sharing::rename_runnable(conn, (&workspace, true), (&old, &row.path))?;
    }
    // Versions of one microsecond would have no order.
    if let Some(newest) = flow::newest(conn, &workspace, &row.path)?
        && row.created_at <= newest.created_at
    {
        row.created_at = Timestamp(newest.created_at.0 + 1);
    }
    flow::insert(conn, &row)?;
    audit::note(conn, caller, operation, &row.path)?;
    Ok(row.path)
}

/// Saves a flow; the answer is its path.
pub(crate) async fn create(
    caller: Caller,
    at: At,
    body: Body<NewFlow>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    caller.may_change()?;
    flow_steps::may_start(&caller, &body.0.value.plain(), &state).await?;
    let row = body.0.check(&at.workspace, None, &state).await?;
    let path = state
        .transaction(move |conn| save(conn, &caller, row, None))
        .await?;
    Ok(Created(path))
}

/// Saves a new version of the flow at a path; another path in the body renames it.
pub(crate) async fn update(
    caller: Caller,
    at: At,
    body: Body<NewFlow>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.may_change()?;
    let (who, place) = (caller.clone(), at.clone());
    state.run(move |conn| by_path(conn, &who, &place)).await?;
    flow_steps::may_start(&caller, &body.0.value.plain(), &state).await?;
    let read = body.0.edited_at;
    let row = body.0.check(&at.workspace, Some(&at.path), &state).await?;
    let path = state
        .transaction(move |conn| {
            alone::edit(conn, &at.workspace, &at.path)?;
            let newest = by_path(conn, &caller, &at)?;
            unchanged(read, newest.created_at, "flow")?;
            save(conn, &caller, row, Some(at.path))
        })
        .await?;
    Ok(Text(path))
}

/// The newest version at a path.
pub(crate) async fn get(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Flow>, Error> {
    let flow = state.run(move |conn| {
        let mut flow = shown(by_path(conn, &caller, &at)?, true);
        flow.extra_perms = sharing::shown(conn, Kind::Flow, (&at.workspace, &at.path))?;
        Ok(flow)
    });
    Ok(Json(flow.await?))
}

/// Whether there is a flow at the path that is not archived.
pub(crate) async fn exists(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<bool>, Error> {
    let row = state
        .run(move |conn| Ok(flow::head(conn, &at.workspace, &at.path)?))
        .await?;
    Ok(Json(row.is_some_and(|row| {
        caller.may_read(&row.path, caller.flow_perms(&row.path))
    })))
}

/// Archives the flow at a path: it does not run any more, its versions stay. Or brings it back.
pub(crate) async fn archive(
    caller: Caller,
    at: At,
    body: Body<Archive>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let archived = body.0.archived.unwrap_or(true);
    let path = at.path.clone();
    state
        .transaction(move |conn| {
            by_path(conn, &caller, &at)?;
            caller.may_write(&at.path, caller.flow_perms(&at.path))?;
            flow::archive(conn, &at.workspace, &at.path, archived)?;
            let operation = if archived {
                "flows.archive"
            } else {
                "flows.unarchive"
            };
            audit::note(conn, &caller, operation, &at.path)
        })
        .await?;
    let what = if archived { "archived" } else { "unarchived" };
    Ok(Text(format!("flow {path} {what}")))
}

/// Deletes the flow at a path with all its versions. One that is gone already is as good: a client asks once for
/// each of the flow's files (windmill-facts §2.3).
pub(crate) async fn delete(caller: Caller, at: At, state: web::Data<State>) -> Result<Text, Error> {
    let path = at.path.clone();
    state
        .transaction(move |conn| {
            caller.may_write(&at.path, caller.flow_perms(&at.path))?;
            if flow::delete(conn, &at.workspace, &at.path)? > 0 {
                sharing::forget_runnable(conn, (&at.workspace, true), &at.path)?;
                audit::note(conn, &caller, "flows.delete", &at.path)?;
            }
            Ok(())
        })
        .await?;
    Ok(Text(format!("flow {path} deleted")))
}
