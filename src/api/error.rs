//! [`Error`]: why a request was not answered as asked. The one place that knows status codes.
//!
//! The answer is one sentence as `text/plain` (contract section 8). What the caller cannot help is logged
//! here, once, and told in general words.

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};

use crate::{
    access::{Denied, NotHashed, references::ReferenceError},
    db::DbError,
    queue::QueueError,
    trigger::NotTried,
    types::Invalid,
};

/// Why a request was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Malformed or invalid; the text begins with the field.
    #[error("{0}")]
    BadRequest(String),
    /// Not logged in, or not allowed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Not there (or hidden from the caller).
    #[error("{0}")]
    NotFound(String),
    /// Stands already, or was changed meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// The body is larger than allowed.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// Too many tries.
    #[error("too many attempts; try again in a minute")]
    TooMany,
    /// A job was waited for in vain.
    #[error("job {0} did not end within {1} seconds; it goes on")]
    NotInTime(crate::types::JobId, u64),
    /// The server is being stopped, and begins nothing that lasts.
    #[error("windsock is being stopped; try again in a moment")]
    Stopping,
    /// The database gave no answer.
    #[error("the database gives no answer; try again")]
    Database(DbError),
    /// The queue did not take or give something.
    #[error("jobs cannot be queued at the moment; try again")]
    Queue(QueueError),
    /// Something of windsock's own failed.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl Error {
    /// A field of the body or the query that cannot be used.
    pub(crate) fn field(name: &str, text: impl std::fmt::Display) -> Self {
        Self::BadRequest(format!("{name}: {text}"))
    }

    fn log(&self) {
        match self {
            Self::Database(error) => log::error!("a request failed: {error}"),
            Self::Queue(error) => log::error!("a request failed: {error}"),
            Self::Internal(what) => log::error!("a request failed: {what}"),
            Self::BadRequest(_)
            | Self::Denied(_)
            | Self::NotFound(_)
            | Self::Conflict(_)
            | Self::TooLarge(_)
            | Self::TooMany
            | Self::NotInTime(..)
            | Self::Stopping => {}
        }
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::BadRequest(invalid.0)
    }
}

impl From<NotTried> for Error {
    fn from(error: NotTried) -> Self {
        match error {
            NotTried::Invalid(invalid) => invalid.into(),
            NotTried::Busy => Self::TooMany,
        }
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        if error.is_duplicate() {
            return Self::Conflict("it exists already".to_owned());
        }
        match &error {
            // PostgreSQL keeps no NUL in text (and JSON may carry one as \u0000).
            DbError::Query(_) if error.to_string().contains("0x00") => {
                Self::BadRequest("a text holds a NUL character, which cannot be stored".to_owned())
            }
            DbError::NoKey | DbError::OtherKey(_) => Self::BadRequest(error.to_string()),
            _ => Self::Database(error),
        }
    }
}

impl From<ReferenceError> for Error {
    fn from(error: ReferenceError) -> Self {
        match error {
            ReferenceError::Missing(text) => Self::NotFound(text),
            ReferenceError::TooMany => Self::BadRequest(error.to_string()),
            ReferenceError::Database(error) => error.into(),
        }
    }
}

impl From<NotHashed> for Error {
    fn from(error: NotHashed) -> Self {
        match error {
            NotHashed::Busy => Self::TooMany,
            NotHashed::Failed => Self::Internal("a password could not be worked on"),
        }
    }
}

impl From<QueueError> for Error {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Refused(why) => Self::BadRequest(why),
            QueueError::Database(error) => error.into(),
            other @ (QueueError::Closed | QueueError::Fenced | QueueError::TooSlow(_)) => {
                Self::Queue(other)
            }
        }
    }
}

/// One line also where the text repeats what the client sent.
fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::Denied(Denied::NoFolder(_)) => StatusCode::BAD_REQUEST,
            Self::Denied(Denied::NotLoggedIn | Denied::BadLogin) => StatusCode::UNAUTHORIZED,
            Self::Denied(Denied::Forbidden(_)) => StatusCode::FORBIDDEN,
            Self::NotFound(_) | Self::Denied(Denied::NoWorkspace(_)) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::NotInTime(..) => StatusCode::GATEWAY_TIMEOUT,
            Self::Database(_) | Self::Queue(_) | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        self.log();
        let mut answer = HttpResponse::build(self.status_code());
        if matches!(self, Self::Denied(Denied::NotLoggedIn)) {
            answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if matches!(self, Self::TooMany) {
            answer.insert_header((header::RETRY_AFTER, "60"));
        }
        let mut answer = answer
            .content_type("text/plain; charset=utf-8")
            .body(one_line(self.to_string()));
        super::auth::protect(answer.headers_mut(), true);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn a_text_stays_one_line_whatever_it_repeats() {
        let answer = Error::field("path", "'f/x\ny\u{1b}[2J' is not a path").error_response();
        let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
        assert_eq!(body, "path: 'f/x\\ny\\u{1b}[2J' is not a path");
    }

    #[test]
    fn statuses_and_texts() {
        for (error, status, text) in [
            (
                Error::field("url", "must not be empty"),
                400,
                "url: must not be empty",
            ),
            (
                Denied::NoFolder("new".to_owned()).into(),
                400,
                "path: folder 'new' does not exist",
            ),
            (Denied::NotLoggedIn.into(), 401, "no valid token"),
            (Denied::Forbidden("no".to_owned()).into(), 403, "no"),
            (Error::NotFound("gone".to_owned()), 404, "gone"),
            (Error::TooLarge(5), 413, "the body is larger than 5 bytes"),
            (DbError::Lost.into(), 503, "the database gives no answer"),
        ] {
            assert_eq!(error.status_code().as_u16(), status);
            assert!(error.to_string().starts_with(text), "{error}");
        }
    }
}
