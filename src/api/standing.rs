//! What is looked at again because time has passed: whether who asked may still ask, and whether what is edited is what
//! was read.

use std::time::Duration;

use actix_web::web;

use super::{State, error::Error};
use crate::{
    access::{self, Caller},
    types::Timestamp,
};

/// How often it is looked up whether a session still stands of which an answer goes on.
pub(super) const SESSION_CHECK: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// Refuses an edit of what somebody else has edited meanwhile, where the client says (`edited_at`) what it has read.
pub(super) fn unchanged(
    read: Option<Timestamp>,
    edited_at: Timestamp,
    what: &str,
) -> Result<(), Error> {
    match read {
        Some(read) if read != edited_at => Err(Error::Conflict(format!(
            "edited_at: the {what} was edited meanwhile; load it again"
        ))),
        _ => Ok(()),
    }
}

/// Waits until the caller's session is over: the token, the person or the job is gone, or shut out.
pub(super) async fn session_over(state: web::Data<State>, caller: Caller) {
    loop {
        actix_rt::time::sleep(SESSION_CHECK).await;
        let asks = caller.clone();
        let renewed = state.run(move |conn| Ok(access::renewed(conn, &asks)?));
        // A database that is away ends nobody's session.
        if let Ok(None) = renewed.await {
            return;
        }
    }
}
