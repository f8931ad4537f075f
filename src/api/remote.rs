//! The link of a workspace to one in a Windmill elsewhere, which then runs its scripts and flows.

use actix_web::web;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::{
    State,
    answer::{Json, Text},
    audit,
    error::Error,
    extract::{At, Body},
};
use crate::{
    access::Caller,
    db::{
        remote::{self, RemoteRow},
        variable,
    },
    types::{ObjectPath, Timestamp},
};

/// Where the scripts and flows of a workspace run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Remote {
    base_url: String,
    workspace: String,
    token_variable: String,
    edited_by: String,
    #[schema(value_type = String)]
    edited_at: Timestamp,
}

/// Where the scripts and flows of a workspace shall run.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewRemote {
    /// The Windmill's address, as `https://app.windmill.dev`: http or https, without `/api`.
    base_url: String,
    /// The workspace's id there.
    workspace: String,
    /// Path of the secret variable, of this workspace, that holds a token of the Windmill.
    #[schema(value_type = String)]
    token_variable: ObjectPath,
}

impl NewRemote {
    /// The address without what stands after its path.
    fn base(&self) -> Result<String, Error> {
        let wrong = |text: &str| Error::field("base_url", text);
        let url = Url::parse(&self.base_url)
            .map_err(|_| wrong("is not a URL like https://app.windmill.dev"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("must begin with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must not hold credentials: use token_variable"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("must end with its path"));
        }
        let base = url.as_str().trim_end_matches('/');
        if base.ends_with("/api") {
            return Err(wrong("must not end with /api, which is added"));
        }
        Ok(base.to_owned())
    }

    /// The id as it stands in URLs.
    fn workspace(&self) -> Result<(), Error> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if self.workspace.is_empty()
            || self.workspace.len() > 255
            || !self.workspace.chars().all(word)
        {
            let text = "must be the id of a workspace: letters, digits, _ and -";
            return Err(Error::field("workspace", text));
        }
        Ok(())
    }
}

fn none(workspace: &str) -> Error {
    Error::NotFound(format!("workspace '{workspace}' runs its jobs here"))
}

/// The link of the workspace.
pub(crate) async fn get(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Remote>, Error> {
    caller.must_be_admin()?;
    let row = state
        .run(move |conn| {
            remote::of_workspace(conn, &at.workspace)?.ok_or_else(|| none(&at.workspace))
        })
        .await?;
    Ok(Json(Remote {
        base_url: row.base_url,
        workspace: row.workspace,
        token_variable: row.token_variable,
        edited_by: row.edited_by,
        edited_at: row.edited_at,
    }))
}

/// Links the workspace: within a second its saved scripts and flows run there.
pub(crate) async fn set(
    caller: Caller,
    at: At,
    body: Body<NewRemote>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_admin()?;
    let new = body.0;
    new.workspace()?;
    let base_url = new.base()?;
    let text = format!("jobs run in workspace {} of {base_url}", new.workspace);
    state
        .transaction(move |conn| {
            let path = new.token_variable.to_string();
            let variable = variable::by_path(conn, &at.workspace, &path)?;
            if !variable.is_some_and(|row| row.is_secret) {
                let text = format!("'{path}' is no secret variable of this workspace: make it first");
                return Err(Error::field("token_variable", text));
            }
            let flows = remote::flows_here(conn, &at.workspace)?;
            if flows > 0 {
                return Err(Error::Conflict(format!(
                    "{flows} flows of this workspace have begun here: wait for their ends, or cancel them"
                )));
            }
            let row = RemoteRow {
                workspace_id: at.workspace,
                base_url,
                workspace: new.workspace,
                token_variable: path,
                edited_by: caller.username.clone(),
                edited_at: Timestamp::now(),
            };
            remote::put(conn, &row)?;
            audit::note(conn, &caller, "workspaces.edit_remote", &row.base_url)
        })
        .await?;
    Ok(Text(text))
}

/// Ends the link: within a second jobs run here again.
pub(crate) async fn unset(caller: Caller, at: At, state: web::Data<State>) -> Result<Text, Error> {
    caller.must_be_admin()?;
    state
        .transaction(move |conn| {
            if !remote::delete(conn, &at.workspace)? {
                return Err(none(&at.workspace));
            }
            audit::note(conn, &caller, "workspaces.remove_remote", "")
        })
        .await?;
    Ok(Text("jobs run here".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_they_are_kept() {
        let base = |url: &str| {
            let new = NewRemote {
                base_url: url.to_owned(),
                workspace: "main".to_owned(),
                token_variable: "u/admin/token".parse().unwrap(),
            };
            new.base().map_err(|error| error.to_string())
        };
        assert_eq!(
            base("https://w.example/"),
            Ok("https://w.example".to_owned())
        );
        assert_eq!(
            base("http://w.example:8000/x"),
            Ok("http://w.example:8000/x".to_owned())
        );
        for wrong in [
            "w.example",
            "ftp://w.example",
            "https://me:secret@w.example",
            "https://w.example/?a=b",
            "https://w.example/api/",
        ] {
            let error = base(wrong).unwrap_err();
            assert!(error.starts_with("base_url"), "{wrong}: {error}");
        }
    }
}
