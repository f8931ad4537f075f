//! What surrounds a trigger's settings, as bodies carry it: path, mode, run-as, labels.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::{
    access::Caller,
    api::{error::Error, folder_rules, labels},
    db::{Conn, folder, group, user},
    trigger::spec::TriggerSpec,
    types::{Mode, ObjectPath, Timestamp},
};

/// The body of create and update, as it came.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct TriggerBody(pub(crate) Map<String, Value>);

/// A trigger: its settings and what surrounds them.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "stands for the JSON in the document")]
pub(crate) struct Trigger {
    path: String,
    mode: Option<Mode>,
    /// Older than `mode`; `mode` wins.
    enabled: Option<bool>,
    /// `u/<user>` or `g/<group>`: whose rights its jobs have.
    permissioned_as: Option<String>,
    /// Keeps `permissioned_as` of the body (admins and group `wm_deployers`); else the caller becomes it, or at the
    /// creation by one of those whom the folder's `default_permissioned_as` names.
    preserve_permissioned_as: Option<bool>,
    labels: Option<Vec<String>>,
    /// Refuses the change when the trigger was edited meanwhile.
    edited_at: Option<String>,
    #[schema(inline)]
    #[serde(flatten)]
    spec: TriggerSpec,
}

/// A trigger as it is read.
#[derive(Debug, serde::Serialize)]
#[serde(transparent)]
pub(crate) struct TriggerView(pub(crate) Map<String, Value>);

macro_rules! documented_as_trigger {
    ($($name:ident),+) => {
        $(impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                Trigger::schema()
            }
        }
        impl ToSchema for $name {
            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                Trigger::schemas(schemas);
            }
        })+
    };
}
documented_as_trigger!(TriggerBody, TriggerView);

/// The fields of a body that are not settings.
#[derive(Debug)]
pub(crate) struct Around {
    pub(super) path: Option<ObjectPath>,
    pub(super) mode: Option<Mode>,
    permissioned_as: Option<String>,
    preserve: bool,
    pub(super) labels: Option<Vec<String>>,
    pub(super) edited_at: Option<Timestamp>,
}

impl Around {
    pub(crate) fn read(body: &Map<String, Value>) -> Result<Self, Error> {
        let text = |name: &str| match body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Error::field(name, "expected a string")),
        };
        let flag = |name: &str| match body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(Error::field(name, "expected true or false")),
        };
        let path = text("path")?.map(|path| path.parse());
        let mode = text("mode")?.map(|mode| mode.parse());
        let (mode, enabled) = (
            mode.transpose()
                .map_err(|error| Error::field("mode", error))?,
            flag("enabled")?,
        );
        let enabled = enabled.map(|on| if on { Mode::Enabled } else { Mode::Disabled });
        let permissioned_as = text("permissioned_as")?;
        let edited_at = text("edited_at")?.map(|moment| moment.parse());
        if let Some(owner) = &permissioned_as
            && !owner.starts_with("u/")
            && !owner.starts_with("g/")
        {
            return Err(Error::field(
                "permissioned_as",
                "must be u/<user> or g/<group>",
            ));
        }
        Ok(Self {
            path: path
                .transpose()
                .map_err(|error| Error::field("path", error))?,
            mode: mode.or(enabled),
            permissioned_as,
            preserve: flag("preserve_permissioned_as")?.unwrap_or(false),
            labels: labels::read(body.get("labels"))?,
            edited_at: edited_at
                .transpose()
                .map_err(|error| Error::field("edited_at", error))?,
        })
    }

    /// Whose rights the trigger's jobs have: what the body says where that may be kept, else the caller's.
    pub(super) fn run_as(
        &self,
        conn: &mut Conn,
        caller: &Caller,
        present: Option<&str>,
    ) -> Result<String, Error> {
        let workspace = caller.workspace.as_deref().unwrap_or_default();
        let wanted = match (
            self.preserve && caller.is_deployer(),
            &self.permissioned_as,
            present,
        ) {
            (true, Some(wanted), _) => wanted.clone(),
            (true, None, Some(present)) => present.to_owned(),
            (_, _, None) if caller.is_deployer() => {
                match self.default_of_folder(conn, workspace)? {
                    Some(wanted) => wanted,
                    None => return Ok(caller.run_as()),
                }
            }
            _ => return Ok(caller.run_as()),
        };
        if let Some(name) = wanted.strip_prefix("u/")
            && name != caller.username
            && user::by_name(conn, workspace, name)?.is_none()
        {
            return Err(Error::field(
                "permissioned_as",
                format!("user '{name}' does not exist"),
            ));
        }
        if let Some(name) = wanted.strip_prefix("g/")
            && !group::exists(conn, workspace, name)?
        {
            return Err(Error::field(
                "permissioned_as",
                format!("group '{name}' does not exist"),
            ));
        }
        Ok(wanted)
    }

    /// Whose rights a new trigger has that a deployer makes in its folder without saying so.
    fn default_of_folder(&self, conn: &mut Conn, workspace: &str) -> Result<Option<String>, Error> {
        let path = self
            .path
            .as_ref()
            .and_then(|path| path.as_str().strip_prefix("f/"));
        let Some((name, below)) = path.and_then(|path| path.split_once('/')) else {
            return Ok(None);
        };
        let folder = folder::by_name(conn, workspace, name)?;
        Ok(folder.and_then(|row| folder_rules::default_for(&row.default_permissioned_as, below)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bad_surroundings_name_the_field() {
        for (body, field) in [
            (json!({"path": 1}), "path: "),
            (json!({"path": "nowhere"}), "path: "),
            (json!({"mode": "paused"}), "mode: "),
            (json!({"enabled": "yes"}), "enabled: "),
            (json!({"labels": "x"}), "labels: "),
            (json!({"labels": [1]}), "labels: "),
            (json!({"permissioned_as": "admin"}), "permissioned_as: "),
        ] {
            let Value::Object(body) = body else {
                unreachable!()
            };
            let error = Around::read(&body).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
        let Value::Object(both) = json!({"mode": "suspended", "enabled": true}) else {
            unreachable!()
        };
        assert_eq!(Around::read(&both).unwrap().mode, Some(Mode::Suspended));
    }
}
