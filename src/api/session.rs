//! Logging in and out.

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    State,
    answer::Entered,
    auth::{COOKIE, no_cookie, session_cookie},
    client_address::client_address,
    error::Error,
    extract::Body,
};
use crate::access::{self, Denied};

/// Body of `auth/session`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Login {
    /// A login link's token, or any token of one's own.
    token: String,
}

/// Body of `auth/login`.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "checked for shape; passwords are not set up")]
pub(crate) struct PasswordLogin {
    /// The address.
    email: String,
    /// The password.
    password: String,
}

/// Refuses: no user of this server has a password.
pub(crate) async fn login(_: Body<PasswordLogin>) -> Result<HttpResponse, Error> {
    let text = "password: no user has one; log in with a link ('windsock login-link') or a token";
    Err(Error::BadRequest(text.to_owned()))
}

/// Exchanges a token for a session cookie.
pub(crate) async fn start(
    req: HttpRequest,
    body: Body<Login>,
    state: web::Data<State>,
) -> Result<Entered, Error> {
    let session = exchange(&req, &state, body.0.token).await?;
    Ok(Entered(session_cookie(&state, session)))
}

/// Turns a login link's token (or any token of one's own) into a session.
pub(crate) async fn exchange(
    req: &HttpRequest,
    state: &State,
    token: String,
) -> Result<String, Error> {
    let (address, now) = (client_address(req, &state.config), Instant::now());
    state.attempts.check(address, now)?;
    let secret = state.config.superadmin_secret.clone();
    let session = state
        .run(move |conn| Ok(access::new_session(conn, secret.as_deref(), &token)?))
        .await?;
    session.ok_or_else(|| {
        state.attempts.failed(address, now);
        Denied::NotLoggedIn.into()
    })
}

/// Ends the session of the browser that asks.
pub(crate) async fn end(req: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, Error> {
    if let Some(cookie) = req.cookie(COOKIE) {
        state
            .run(move |conn| Ok(access::end_token(conn, cookie.value())?))
            .await?;
    }
    Ok(HttpResponse::Ok()
        .cookie(no_cookie(&state))
        .content_type("text/plain; charset=utf-8")
        .body("logged out"))
}

/// The address of the page once the token of its query was exchanged.
pub(crate) async fn enter(
    req: &HttpRequest,
    state: &State,
    token: String,
) -> Result<HttpResponse, Error> {
    let session = exchange(req, state, token).await?;
    Ok(HttpResponse::SeeOther()
        .cookie(session_cookie(state, session))
        .insert_header((header::LOCATION, "/"))
        .finish())
}
