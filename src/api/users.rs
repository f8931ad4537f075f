//! Users and their tokens (windmill-facts §2.1).

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    State,
    answer::{Created, Json, Text},
    audit,
    error::Error,
    extract::{At, Body, Page, Query},
};
use crate::{
    access::{self, Caller, NewToken},
    db::{
        account,
        account::AccountRow,
        folder, group, token,
        user::{self, UserRow},
    },
    types::Timestamp,
};

/// Longest label of a token.
const LABEL_BYTES: usize = 255;
/// Most scopes of a token.
const SCOPES: usize = 1000;

/// Who is logged in, outside of any workspace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GlobalUser {
    email: String,
    login_type: &'static str,
    super_admin: bool,
    devops: bool,
    verified: bool,
    username: String,
    first_time_user: bool,
    role_source: &'static str,
    disabled: bool,
}

/// Who is logged in, in a workspace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Member {
    email: String,
    username: String,
    is_admin: bool,
    is_super_admin: bool,
    #[schema(value_type = String)]
    created_at: Timestamp,
    operator: bool,
    disabled: bool,
    groups: Vec<String>,
    folders: Vec<String>,
    folders_read: Vec<String>,
    folders_owners: Vec<String>,
}

/// A token, without what lets one in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Token {
    token_prefix: String,
    label: Option<String>,
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[schema(value_type = String)]
    last_used_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    expiration: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<String>,
    email: String,
    read_only: bool,
}

/// What a new token may do.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct NewTokenBody {
    /// What it is for.
    #[serde(default)]
    label: Option<String>,
    /// When it ends by itself.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    expiration: Option<Timestamp>,
    /// Only these things, as `<domain>:<action>[:<path>]`.
    #[serde(default)]
    scopes: Option<Vec<String>>,
    /// Only in this workspace.
    #[serde(default)]
    workspace_id: Option<String>,
    /// Only reads.
    #[serde(default)]
    read_only: Option<bool>,
}

/// The user of the token, outside of any workspace.
pub(crate) async fn global_whoami(caller: Caller) -> Result<Json<GlobalUser>, Error> {
    Ok(Json(GlobalUser {
        email: caller.email,
        login_type: "password",
        super_admin: caller.super_admin,
        devops: false,
        verified: true,
        username: caller.username,
        first_time_user: false,
        role_source: "manual",
        disabled: false,
    }))
}

/// The user of the token, in the workspace.
pub(crate) async fn whoami(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Member>, Error> {
    let member = state
        .run(move |conn| {
            let row = user::by_email(conn, &at.workspace, &caller.email)?;
            let (mut read, mut write, mut own) = (Vec::new(), Vec::new(), Vec::new());
            if caller.is_admin {
                read = folder::all(conn, &at.workspace)?
                    .into_iter()
                    .map(|row| row.name)
                    .collect();
                (write, own) = (read.clone(), read.clone());
            }
            for folder in &caller.folders {
                read.push(folder.name.clone());
                if folder.write {
                    write.push(folder.name.clone());
                }
                if folder.owner {
                    own.push(folder.name.clone());
                }
            }
            let mut groups = vec![group::ALL.to_owned()];
            if caller.is_admin {
                groups.extend(group::of_user(conn, &at.workspace, &caller.username)?);
            } else {
                groups.extend(caller.groups);
            }
            Ok(Member {
                email: caller.email,
                username: caller.username,
                is_admin: caller.is_admin,
                is_super_admin: caller.super_admin,
                created_at: row.map_or_else(Timestamp::default, |row| row.created_at),
                operator: caller.operator,
                disabled: false,
                groups,
                folders: write,
                folders_read: read,
                folders_owners: own,
            })
        })
        .await?;
    Ok(Json(member))
}

/// The users of the workspace.
pub(crate) async fn list(
    _: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Json<Vec<Member>>, Error> {
    let members = state
        .run(move |conn| {
            let mut groups = group::by_user(conn, &at.workspace)?;
            let admins = account::super_admins(conn)?;
            let rows = user::list(conn, &at.workspace)?.into_iter();
            let shown = rows.map(|row| {
                let groups = groups.remove(&row.username).unwrap_or_default();
                member(row, (groups, &admins))
            });
            Ok(shown.collect())
        })
        .await?;
    Ok(Json(members))
}

/// A user of the workspace, who was put into `groups`; `admins` are those of the server.
pub(super) fn member(row: UserRow, (groups, admins): (Vec<String>, &[AccountRow])) -> Member {
    let all = std::iter::once(group::ALL.to_owned());
    Member {
        is_super_admin: admins.iter().any(|admin| admin.email == row.email),
        email: row.email,
        username: row.username,
        is_admin: row.is_admin,
        created_at: row.created_at,
        operator: row.operator,
        disabled: row.disabled,
        groups: all.chain(groups).collect(),
        folders: Vec::new(),
        folders_read: Vec::new(),
        folders_owners: Vec::new(),
    }
}

/// The address of a user of the workspace, as text.
pub(crate) async fn username_to_email(
    _: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Text, Error> {
    state
        .run(move |conn| {
            let row = user::by_name(conn, &at.workspace, &at.path)?;
            row.map(|row| Text(row.email))
                .ok_or_else(|| Error::NotFound(format!("user '{}' not found", at.path)))
        })
        .await
}

impl NewTokenBody {
    fn validate(self, caller: &Caller) -> Result<NewToken, Error> {
        if self
            .label
            .as_ref()
            .is_some_and(|label| label.len() > LABEL_BYTES)
        {
            return Err(Error::field(
                "label",
                format!("must be at most {LABEL_BYTES} bytes"),
            ));
        }
        if self.expiration.is_some_and(|end| end <= Timestamp::now()) {
            return Err(Error::field("expiration", "must be in the future"));
        }
        if let Some(scopes) = &self.scopes {
            if scopes.len() > SCOPES {
                return Err(Error::field("scopes", format!("must be at most {SCOPES}")));
            }
            let fits = |scope: &String| {
                let (domain, rest) = scope.split_once(':').unwrap_or_default();
                let action = rest.split(':').next().unwrap_or_default();
                !matches!(domain, "" | "*") && matches!(action, "read" | "write" | "run" | "*")
            };
            if let Some(bad) = scopes.iter().position(|scope| !fits(scope)) {
                let text = "must look like websocket_triggers:read, scripts:write:f/folder/* or jobs:run; \
                            the action is read, write, run or *, and the domain is one (leave scopes out for all)";
                return Err(Error::field(&format!("scopes[{bad}]"), text));
            }
        }
        // A token must not beget one that may more, or one that outlives the job it is for.
        caller.must_be_whole()?;
        Ok(NewToken {
            label: self.label,
            expires_at: self.expiration,
            scopes: self.scopes,
            workspace: self.workspace_id,
            read_only: self.read_only.unwrap_or(false),
        })
    }
}

/// Makes a token of one's own; the answer is the only time it is shown.
pub(crate) async fn create_token(
    caller: Caller,
    body: Body<NewTokenBody>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    let wanted = body.0.validate(&caller)?;
    let text = state
        .transaction(move |conn| {
            let text = access::new_token(conn, &caller, wanted)?;
            let prefix: String = text.chars().take(access::PREFIX).collect();
            audit::note(conn, &caller, "users.token.create", &prefix)?;
            Ok(text)
        })
        .await?;
    Ok(Created(text))
}

/// One's own tokens, newest first.
pub(crate) async fn list_tokens(
    caller: Caller,
    page: Query<Page>,
    state: web::Data<State>,
) -> Result<Json<Vec<Token>>, Error> {
    let window = page.0.window();
    let rows = state
        .run(move |conn| Ok(token::of_email(conn, &caller.email, window)?))
        .await?;
    let tokens = rows.into_iter().map(|row| Token {
        token_prefix: row.prefix,
        label: row
            .label
            .or_else(|| (row.kind != "api").then_some(row.kind)),
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        expiration: row.expires_at,
        scopes: row
            .scopes
            .and_then(|scopes| serde_json::from_str(&scopes).ok()),
        workspace_id: row.workspace_id,
        email: row.email,
        read_only: row.read_only,
    });
    Ok(Json(tokens.collect()))
}

/// Ends one's own tokens that begin so.
pub(crate) async fn delete_token(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_whole()?;
    let prefix = at.path.clone();
    let gone = state
        .transaction(move |conn| {
            let gone = token::delete_by_prefix(conn, &caller.email, &prefix)?;
            if gone > 0 {
                audit::note(conn, &caller, "users.token.delete", &prefix)?;
            }
            Ok(gone)
        })
        .await?;
    if gone == 0 {
        return Err(Error::NotFound(format!(
            "no token of yours begins with '{}'",
            at.path
        )));
    }
    Ok(Text(format!("deleted {gone} tokens {}...", at.path)))
}
