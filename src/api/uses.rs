//! Where a script or a flow is used: triggers that run it, for whatever, and flows of which it is a step.

use actix_web::web;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{State, answer::Json, error::Error, extract::At};
use crate::{
    access::Caller,
    db::{Conn, DbError, flow, trigger, trigger::TriggerRow},
    trigger::spec::TriggerSpec,
};

/// What scopes call triggers.
pub(super) const TRIGGERS: &str = "websocket_triggers";
/// Triggers that are told: one that thousands have is not looked through to the end.
const MOST: usize = 1_000;

/// Things that use a runnable, as far as the caller may read them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Uses {
    triggers: Vec<TriggerUse>,
    flows: Vec<FlowUse>,
}

/// A trigger that runs it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TriggerUse {
    path: String,
    url: String,
    mode: String,
    /// The fields that name it: `script_path`, `url`, `initial_messages[0]`, `conversation[0]`, `error_handler_path`.
    fields: Vec<String>,
}

/// A flow that has it as a step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FlowUse {
    path: String,
    summary: String,
}

/// The fields of a trigger that name the runnable; what cannot be read names nothing.
fn fields(row: &TriggerRow, (path, is_flow): (&str, bool)) -> Vec<String> {
    let Ok(spec) = TriggerSpec::from_json(&row.settings()) else {
        return Vec::new();
    };
    let named = spec.runnables().into_iter();
    named
        .filter(|one| one.path == path && one.is_flow == is_flow)
        .map(|one| one.field)
        .collect()
}

/// Whether a step of the flow, however deep, is the runnable.
fn is_step(value: &Value, (path, is_flow): (&str, bool)) -> bool {
    let kind = if is_flow { "flow" } else { "script" };
    match value {
        Value::Object(fields) => {
            let here = fields.get("type").and_then(Value::as_str) == Some(kind)
                && fields.get("path").and_then(Value::as_str) == Some(path);
            here || fields.values().any(|one| is_step(one, (path, is_flow)))
        }
        Value::Array(items) => items.iter().any(|one| is_step(one, (path, is_flow))),
        _ => false,
    }
}

fn find(conn: &mut Conn, caller: &Caller, at: &At, is_flow: bool) -> Result<Uses, Error> {
    if !caller.may_read(&at.path, caller.runnable_perms(&at.path, is_flow)) {
        let what = if is_flow { "flow" } else { "script" };
        let text = format!("{what} not found at path: {}", at.path);
        return Err(Error::NotFound(text));
    }
    // The token may be for scripts alone.
    let (of_triggers, of_flows) = (caller.asking(TRIGGERS), caller.asking("flows"));
    let runnable = (at.path.as_str(), is_flow);
    let rows = trigger::mentioning(conn, &at.workspace, &at.path)?;
    let triggers = rows
        .into_iter()
        .filter(|row| of_triggers.may_read(&row.path, &row.extra_perms))
        .map(|row| TriggerUse {
            fields: fields(&row, runnable),
            path: row.path,
            url: row.url,
            mode: row.mode,
        })
        .filter(|one| !one.fields.is_empty())
        .take(MOST)
        .collect();
    let mut flows = Vec::new();
    for path in flow::mentioning(conn, &at.workspace, &at.path)? {
        if !of_flows.may_read(&path, caller.flow_perms(&path)) {
            continue;
        }
        // An older version may have had it.
        if let Some(row) = flow::head(conn, &at.workspace, &path)? {
            let value = serde_json::from_str(&row.value).unwrap_or_default();
            if is_step(&value, runnable) {
                flows.push(FlowUse {
                    path,
                    summary: row.summary,
                });
            }
        }
    }
    Ok(Uses { triggers, flows })
}

/// How many triggers that the caller may read run a runnable.
pub(super) fn count(
    conn: &mut Conn,
    caller: &Caller,
    at: &At,
    is_flow: bool,
) -> Result<i64, DbError> {
    let caller = caller.asking(TRIGGERS);
    let rows = trigger::of_runnable(conn, &at.workspace, (&at.path, is_flow))?.into_iter();
    let seen = rows.filter(|(path, perms)| caller.may_read(path, perms));
    Ok(i64::try_from(seen.count()).unwrap_or(i64::MAX))
}

/// Where a script is used.
pub(crate) async fn of_script(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Uses>, Error> {
    let uses = state.run(move |conn| find(conn, &caller, &at, false));
    Ok(Json(uses.await?))
}

/// Where a flow is used.
pub(crate) async fn of_flow(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Uses>, Error> {
    let uses = state.run(move |conn| find(conn, &caller, &at, true));
    Ok(Json(uses.await?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_are_found_however_deep_and_only_of_their_kind() {
        let flow = json!({"modules": [{"id": "a", "value": {"type": "forloopflow", "modules": [
            {"id": "b", "value": {"type": "script", "path": "f/a/s"}}]}}]});
        assert!(is_step(&flow, ("f/a/s", false)));
        assert!(!is_step(&flow, ("f/a/s", true)));
        assert!(!is_step(&flow, ("f/a/other", false)));
        let text = json!({"modules": [{"id": "a", "value": {"type": "rawscript", "content": "f/a/s", "path": "f/a/s"}}]});
        assert!(!is_step(&text, ("f/a/s", false)));
    }
}
