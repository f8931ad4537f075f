//! Logging in and out.

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    State,
    answer::{Entered, LoggedIn},
    audit,
    auth::{COOKIE, bearer, no_cookie, session_cookie},
    client_address::client_address,
    error::Error,
    extract::Body,
};
use crate::{
    access::{self, Caller, Denied},
    db::{Conn, DbError, account},
};

/// What is answered to who logs out with a token that does not end so.
const NO_SESSION: &str = "nothing has ended: this token is no session; end it with \
     DELETE /api/users/tokens/delete/<its first 10 characters>";

/// Body of `auth/session`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Login {
    /// A login link's token, or any token of one's own.
    token: String,
}

/// Body of `auth/login`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct PasswordLogin {
    /// The address.
    email: String,
    /// The password.
    password: String,
}

/// Logs in with address and password; the session is in the cookie, and its token in the answer. Who is unknown,
/// has no password or is shut out hears what one with a wrong password hears, after the same work.
pub(crate) async fn login(
    req: HttpRequest,
    body: Body<PasswordLogin>,
    state: web::Data<State>,
) -> Result<LoggedIn, Error> {
    let PasswordLogin { email, password } = body.0;
    let address = client_address(&req, &state.config);
    state.attempts.begin(address, Instant::now())?;
    let email = email.trim().to_lowercase();
    let account = state
        .run(move |conn| Ok(account::by_email(conn, &email)?))
        .await?;
    let kept = account.as_ref().and_then(|row| row.password_hash.clone());
    let right = state.passwords.matches(password, kept).await?;
    let account = account.filter(|row| right && !row.disabled);
    let account = account.ok_or(Denied::BadLogin)?;
    let source = audit::source(&req, false);
    let session = state
        .transaction(move |conn| {
            // Whoever was removed or got another password meanwhile does not get in with the old one.
            let now = account::by_email(conn, &account.email)?;
            let now = now.filter(|now| !now.disabled && now.password_hash == account.password_hash);
            let now = now.ok_or(Denied::BadLogin)?;
            let session = access::new_session_of(conn, &now)?;
            let who = Caller {
                username: now.username,
                email: now.email.clone(),
                source,
                ..Caller::default()
            };
            audit::note(conn, &who, "users.login", &now.email)?;
            Ok(session)
        })
        .await?;
    state.attempts.succeeded(address);
    let cookie = session_cookie(&state, session.clone());
    Ok(LoggedIn(session, cookie))
}

/// Exchanges a token for a session cookie.
pub(crate) async fn start(
    req: HttpRequest,
    body: Body<Login>,
    state: web::Data<State>,
) -> Result<Entered, Error> {
    let secret = state.config.superadmin_secret.clone();
    let token = body.0.token;
    let session = exchange(&req, &state, move |conn| {
        access::new_session(conn, secret.as_deref(), &token)
    });
    let session = session.await?;
    Ok(Entered(session_cookie(&state, session)))
}

/// Makes a session in exchange for something, within the bounds of failed logins.
async fn exchange(
    req: &HttpRequest,
    state: &State,
    make: impl FnOnce(&mut Conn) -> Result<Option<String>, DbError> + Send + 'static,
) -> Result<String, Error> {
    let address = client_address(req, &state.config);
    state.attempts.begin(address, Instant::now())?;
    let session = state.run(move |conn| Ok(make(conn)?)).await?;
    let session = session.ok_or(Denied::NotLoggedIn)?;
    state.attempts.succeeded(address);
    Ok(session)
}

/// Ends the session of the browser that asks, or that of a token.
pub(crate) async fn end(req: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, Error> {
    let held = bearer(req.headers()).map(str::to_owned);
    if let Some(held) = held {
        let ended = state.run(move |conn| Ok(access::end_session(conn, &held)?));
        if !ended.await? && req.cookie(COOKIE).is_none() {
            return Ok(HttpResponse::Ok()
                .content_type("text/plain; charset=utf-8")
                .body(NO_SESSION));
        }
    }
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
    let link = move |conn: &mut Conn| access::new_session_of_link(conn, &token);
    let session = exchange(req, state, link).await?;
    Ok(HttpResponse::SeeOther()
        .cookie(session_cookie(state, session))
        .insert_header((header::LOCATION, "/"))
        .finish())
}
