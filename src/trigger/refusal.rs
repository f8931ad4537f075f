//! What a server says when it refuses the upgrade: its headers and the beginning of its body.
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
    header::{CONTENT_LENGTH, HeaderMap, RETRY_AFTER, TRANSFER_ENCODING},
};
use awc::{ConnectRequest, ConnectResponse, error::SendRequestError, middleware::Transform};
use futures_util::future::LocalBoxFuture;
use tokio::io::AsyncReadExt;

use super::attempt::Attempt;

/// Longest wait a server may ask for: past it one attempt too many is the smaller harm.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// How much of a refusal's body is kept: enough for the sentence that explains it.
pub const MAX_BODY_BYTES: usize = 1_024;
/// How much of a refusal's headers is kept.
const MAX_HEADER_BYTES: usize = 4 * 1_024;
/// Bytes read for that much of a body in chunks: their sizes stand between them.
const MAX_CHUNKED_BYTES: usize = 2 * MAX_BODY_BYTES;
/// How long the body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_millis(500);

/// A refused upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
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
                    let coding = Coding::of(head.headers());
                    let wanted = coding.bytes();
                    let read = async {
                        while body.len() < wanted
                            && !coding.is_over(&body)
                            && parts.io.read_buf(&mut body).await? > 0
                        {}
                        Ok::<(), std::io::Error>(())
                    };
                    // What came in time is shown; a body that does not come is no other error.
                    let _ = tokio::time::timeout(BODY_TIMEOUT, read).await;
                    body.truncate(wanted);
                    if matches!(coding, Coding::Chunks) {
                        body = unchunk(&body);
                    }
                    body.truncate(MAX_BODY_BYTES);
                    let text = String::from_utf8_lossy(&body).trim().to_owned();
                    attempt.refuse(Refusal {
                        status: head.status.as_u16(),
                        retry_after: retry_after(head.headers(), SystemTime::now()),
                        body: (!text.is_empty()).then_some(text),
                        headers: shown(head.headers()),
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

/// How a body's end is told (RFC 9112 §6.3).
enum Coding {
    Length(usize),
    Chunks,
    /// By the end of the connection.
    End,
}

impl Coding {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name)?.to_str().ok();
        let codings = text(TRANSFER_ENCODING).unwrap_or_default();
        if codings.to_ascii_lowercase().contains("chunked") {
            return Self::Chunks;
        }
        match text(CONTENT_LENGTH).map(str::parse) {
            Some(Ok(length)) => Self::Length(length),
            Some(Err(_)) => Self::Length(0),
            None => Self::End,
        }
    }

    /// Whether the body has told its end.
    fn is_over(&self, body: &[u8]) -> bool {
        matches!(self, Self::Chunks) && body.ends_with(b"0\r\n\r\n")
    }

    /// How many bytes to read at most.
    fn bytes(&self) -> usize {
        match self {
            Self::Length(length) => (*length).min(MAX_BODY_BYTES),
            Self::Chunks => MAX_CHUNKED_BYTES,
            Self::End => MAX_BODY_BYTES,
        }
    }
}

/// What the beginning of a chunked body holds (RFC 9112 §7.1), as far as it goes.
fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (line, data) = rest.split_at(end);
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(size).unwrap_or_default();
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else {
            break;
        };
        let data = data.get(2..).unwrap_or_default();
        let chunk = data.get(..size.min(data.len())).unwrap_or_default();
        body.extend_from_slice(chunk);
        if size == 0 || chunk.len() < size {
            break;
        }
        rest = data.get(size + 2..).unwrap_or_default();
    }
    body
}

/// The headers as text, as many as are kept.
fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut bytes = 0;
    let texts = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    });
    texts
        .take_while(|(name, value)| {
            bytes += name.len() + value.len();
            bytes <= MAX_HEADER_BYTES
        })
        .collect()
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
    fn bodies_in_chunks_are_put_together() {
        for (chunked, body) in [
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5;x=1\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
            ("A\r\n0123456789\r\n", "0123456789"),
            ("ff\r\ncut sho", "cut sho"),
            ("ffffffffffffffff\r\nx", "x"),
            ("zz\r\nx", ""),
            ("", ""),
            ("5", ""),
        ] {
            assert_eq!(unchunk(chunked.as_bytes()), body.as_bytes(), "{chunked:?}");
        }
    }

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
