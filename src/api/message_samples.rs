//! Messages kept under a name, of a trigger or a runnable: to try filters and runnables on.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    answer::{Created, Json, Text},
    error::Error,
    extract::{At, Body, KindAt, Query},
};
use crate::{
    access::Caller,
    db::{
        Conn,
        message_sample::{self, SampleRow},
        sharing,
        sharing::Kind,
        trigger,
    },
    types::{ObjectPath, Timestamp},
};

/// Samples of one trigger or runnable.
const SAMPLES: usize = 100;
/// Longest message that is kept.
const TEXT_BYTES: usize = 256 * 1024;
/// Longest name.
const NAME_BYTES: usize = 100;
/// What has samples.
const KINDS: [&str; 3] = ["trigger", "script", "flow"];

/// A message to keep.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewSample {
    /// `trigger`, `script` or `flow`.
    kind: String,
    /// The path of the trigger or runnable.
    #[schema(value_type = String)]
    path: ObjectPath,
    /// At most 100 bytes; one of a kind there.
    name: String,
    /// The message, at most 256 KiB.
    text: String,
}

/// A kept message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SampleView {
    name: String,
    text: String,
    created_by: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
}

/// Which of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Named {
    /// Its name.
    name: String,
}

/// The rights that were given for the thing itself.
fn perms(conn: &mut Conn, workspace: &str, kind: &str, path: &str) -> Result<String, Error> {
    let none = || "{}".to_owned();
    if !KINDS.contains(&kind) {
        return Err(Error::field("kind", "must be trigger, script or flow"));
    }
    let runnable = match kind {
        "script" => Some(Kind::Script),
        "flow" => Some(Kind::Flow),
        _ => None,
    };
    if let Some(kind) = runnable {
        return Ok(sharing::perms(conn, kind, (workspace, path))?.unwrap_or_else(none));
    }
    let row = trigger::by_path(conn, workspace, path)?;
    Ok(row.map_or_else(none, |row| row.extra_perms))
}

/// Keeps a message.
pub(crate) async fn create(
    caller: Caller,
    at: At,
    body: Body<NewSample>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    let NewSample {
        kind,
        path,
        name,
        text,
    } = body.0;
    let name = name.trim().to_owned();
    if name.is_empty() || name.len() > NAME_BYTES {
        let text = format!("must have 1 to {NAME_BYTES} bytes");
        return Err(Error::field("name", text));
    }
    if text.len() > TEXT_BYTES {
        let text = format!("must have at most {TEXT_BYTES} bytes");
        return Err(Error::field("text", text));
    }
    let created = name.clone();
    state
        .transaction(move |conn| {
            let perms = perms(conn, &at.workspace, &kind, path.as_str())?;
            caller.may_write(path.as_str(), &perms)?;
            let of = (kind.as_str(), path.as_str());
            let samples = message_sample::all(conn, &at.workspace, of)?;
            if samples.iter().any(|sample| sample.name == name) {
                let text = format!("a sample '{name}' exists already");
                return Err(Error::Conflict(format!("name: {text}")));
            }
            if samples.len() >= SAMPLES {
                let text = format!("there are {SAMPLES} samples already; delete one first");
                return Err(Error::field("name", text));
            }
            let row = SampleRow {
                workspace_id: at.workspace,
                kind,
                path: path.to_string(),
                name,
                text,
                created_by: caller.username,
                created_at: Timestamp::now(),
            };
            Ok(message_sample::insert(conn, &row)?)
        })
        .await?;
    Ok(Created(created))
}

/// The messages kept, by name.
pub(crate) async fn list(
    caller: Caller,
    at: KindAt,
    state: web::Data<State>,
) -> Result<Json<Vec<SampleView>>, Error> {
    let rows = state
        .run(move |conn| {
            let perms = perms(conn, &at.workspace, &at.kind, at.path.as_str())?;
            if !caller.may_read(at.path.as_str(), &perms) {
                return Ok(Vec::new());
            }
            let of = (at.kind.as_str(), at.path.as_str());
            Ok(message_sample::all(conn, &at.workspace, of)?)
        })
        .await?;
    let shown = rows.into_iter().map(|row| SampleView {
        name: row.name,
        text: row.text,
        created_by: row.created_by,
        created_at: row.created_at,
    });
    Ok(Json(shown.collect()))
}

/// Removes one.
pub(crate) async fn delete(
    caller: Caller,
    at: KindAt,
    which: Query<Named>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let name = which.0.name;
    let text = format!("sample '{name}' deleted");
    state
        .transaction(move |conn| {
            let perms = perms(conn, &at.workspace, &at.kind, at.path.as_str())?;
            caller.may_write(at.path.as_str(), &perms)?;
            let one = (at.kind.as_str(), at.path.as_str(), name.as_str());
            if !message_sample::delete(conn, &at.workspace, one)? {
                return Err(Error::NotFound(format!("no sample '{name}'")));
            }
            Ok(())
        })
        .await?;
    Ok(Text(text))
}
