//! What a server says when it refuses the upgrade: `Retry-After` and the beginning of its body.
//!
//! awc's WebSocket client tells only the status, so a middleware looks at the answer before awc does.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use actix_service::Service;
use actix_web::http::{
    StatusCode,
    header::{CONTENT_LENGTH, HeaderMap, RETRY_AFTER},
};
use awc::{ConnectRequest, ConnectResponse, error::SendRequestError, middleware::Transform};
use futures_util::future::LocalBoxFuture;
use tokio::io::AsyncReadExt;

use super::attempt::Attempt;

/// Longest wait a server may ask for: past it one attempt too many is the smaller harm.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// How much of a refusal's body is kept: enough for the sentence that explains it.
pub const MAX_BODY_BYTES: usize = 1_024;
/// How long the body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_millis(500);

/// A refused upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Option<String>,
}

/// The middleware of one attempt.
pub(crate) struct Watch(pub(crate) Rc<Attempt>);

impl<S> Transform<S, ConnectRequest> for Watch
where
    S: Service<ConnectRequest, Response = ConnectResponse, Error = SendRequestError> + 'static,
{
    type Transform = Watched<S>;

    fn new_transform(self, inner: S) -> Watched<S> {
        Watched {
            inner,
            attempt: self.0,
        }
    }
}

/// See [`Watch`].
pub(crate) struct Watched<S> {
    inner: S,
    attempt: Rc<Attempt>,
}

impl<S> Service<ConnectRequest> for Watched<S>
where
    S: Service<ConnectRequest, Response = ConnectResponse, Error = SendRequestError> + 'static,
{
    type Response = ConnectResponse;
    type Error = SendRequestError;
    type Future = LocalBoxFuture<'static, Result<ConnectResponse, SendRequestError>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendRequestError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ConnectRequest) -> Self::Future {
        let answer = self.inner.call(request);
        let attempt = Rc::clone(&self.attempt);
        Box::pin(async move {
            match answer.await? {
                ConnectResponse::Tunnel(head, framed)
                    if head.status != StatusCode::SWITCHING_PROTOCOLS =>
                {
                    let mut parts = framed.into_parts();
                    let mut body = parts.read_buf.to_vec();
                    let wanted = length(head.headers()).min(MAX_BODY_BYTES);
                    let read = async {
                        while body.len() < wanted && parts.io.read_buf(&mut body).await? > 0 {}
                        Ok::<(), std::io::Error>(())
                    };
                    // What came in time is shown; a body that does not come is no other error.
                    let _ = tokio::time::timeout(BODY_TIMEOUT, read).await;
                    body.truncate(wanted);
                    let text = String::from_utf8_lossy(&body).trim().to_owned();
                    attempt.refuse(Refusal {
                        status: head.status.as_u16(),
                        retry_after: retry_after(head.headers(), SystemTime::now()),
                        body: (!text.is_empty()).then_some(text),
                    });
                    let codec = parts.codec;
                    let framed = actix_codec::Framed::new(parts.io, codec);
                    Ok(ConnectResponse::Tunnel(head, framed))
                }
                other => Ok(other),
            }
        })
    }
}

/// The body's length; one that is not told (chunks, until the end) is not shown.
fn length(headers: &HeaderMap) -> usize {
    headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}

/// `Retry-After` as seconds or as a date (RFC 9110 §10.2.3), at most [`MAX_RETRY_AFTER`].
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(now)
            .unwrap_or_default(),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_as_seconds_or_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (text, wait) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("999999", Some(3_600)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            let wait = wait.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now), wait, "{text}");
        }
    }
}
