//! Which saved scripts and flows a flow may have as steps: those that whoever saves or starts it may read.

use serde_json::Value;

use super::{State, error::Error};
use crate::{
    access::{Caller, Denied},
    db::script,
    flow::{FlowValue, Step},
};

/// Checks that the caller may run every saved step of a flow: nobody has others' hidden code run. Whether it exists
/// does not matter, and is not told.
pub(super) async fn may_start(caller: &Caller, value: &Value, state: &State) -> Result<(), Error> {
    if caller.is_admin {
        return Ok(());
    }
    let flow = FlowValue::from_json(value)?;
    let steps = flow
        .all()
        .into_iter()
        .filter_map(|module| match &module.step {
            Step::Script { path, hash, .. } => {
                Some((module.id.clone(), (path.clone(), false), *hash))
            }
            Step::Flow { path, .. } => Some((module.id.clone(), (path.clone(), true), None)),
            _ => None,
        });
    let steps: Vec<(String, (String, bool), Option<i64>)> = steps.collect();
    if steps.is_empty() {
        return Ok(());
    }
    let caller = caller.clone();
    state
        .run(move |conn| {
            let workspace = caller.workspace.clone().unwrap_or_default();
            for (id, (path, is_flow), hash) in steps {
                let version = match hash {
                    Some(hash) => script::by_hash(conn, &workspace, hash)?,
                    None => None,
                };
                // A version stands where it was saved, whatever path the step gives.
                let elsewhere = version.is_some_and(|row| !caller.sees_runnable(&row.path, false));
                if elsewhere || !caller.sees_runnable(&path, is_flow) {
                    let text = format!("module '{id}': you may not run '{path}'");
                    return Err(Denied::Forbidden(text).into());
                }
            }
            Ok(())
        })
        .await
}
