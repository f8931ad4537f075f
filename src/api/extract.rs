//! What handlers take from a request: [`Body`], [`Query`], [`At`], [`Page`]; every failure names the field.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest,
    dev::Payload,
    web::{self, Bytes},
};
use futures_util::StreamExt as _;
use serde::{Deserialize, de::DeserializeOwned};

use super::{State, error::Error};
use crate::{
    access::Caller,
    types::{JobId, ObjectPath},
};

/// Bodies up to this size are parsed where they are: it takes less than the way to another thread.
const PARSED_HERE_BYTES: usize = 64 * 1024;
/// Bytes of a body that a client sends at least in a second, on the whole.
const SLOWEST_BYTES: usize = 16 * 1024;
/// Rows of a page when nothing is asked for (contract section 8).
const DEFAULT_ROWS: u32 = 1000;
/// Most rows of a page.
pub(super) const MOST_ROWS: u32 = 10_000;

type Future_<T> = Pin<Box<dyn Future<Output = Result<T, Error>>>>;

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest for Body<T> {
    type Error = Error;
    type Future = Future_<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(req, payload);
        Box::pin(async move {
            let body = body.await?;
            if body.len() <= PARSED_HERE_BYTES {
                return parse(&body).map(Self);
            }
            web::block(move || parse(&body))
                .await
                .map_err(|_| Error::Internal("a body could not be parsed"))?
                .map(Self)
        })
    }
}

/// The body as it came, at most `limits.body_bytes` of it.
#[derive(Debug)]
pub(crate) struct RawBody(pub(crate) Bytes);

impl FromRequest for RawBody {
    type Error = Error;
    type Future = Future_<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(req, payload);
        Box::pin(async move { body.await.map(Self) })
    }
}

fn read(req: &HttpRequest, payload: &mut Payload) -> Future_<Bytes> {
    let limits = req
        .app_data::<web::Data<State>>()
        .map(|state| &state.config.limits);
    let most = limits.map_or(0, |limits| limits.body_bytes);
    let wait = limits.map_or(Duration::ZERO, |limits| limits.body_wait);
    let announced = req
        .headers()
        .get("content-length")
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let encoding = req.headers().get("content-encoding");
    let encoding = encoding.and_then(|encoding| encoding.to_str().ok());
    let encoding = encoding
        .filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
        .map(str::to_owned);
    let mut payload = payload.take();
    Box::pin(async move {
        if let Some(encoding) = encoding {
            let text = format!("bodies come as they are here, not as '{encoding}'; leave it out");
            return Err(Error::field("Content-Encoding", text));
        }
        if announced.is_some_and(|length| length > most) {
            return Err(Error::TooLarge(most));
        }
        let (mut body, begun) = (web::BytesMut::new(), Instant::now());
        loop {
            let allowed = wait + Duration::from_secs((body.len() / SLOWEST_BYTES) as u64);
            let left = allowed.saturating_sub(begun.elapsed());
            let piece = tokio::time::timeout(left, payload.next()).await;
            let piece = piece.map_err(|_| {
                Error::BadRequest(format!(
                    "the body did not come within {} s",
                    allowed.as_secs()
                ))
            })?;
            let Some(piece) = piece else { break };
            let piece = piece.map_err(|_| {
                Error::BadRequest("the body ended early or is badly encoded".to_owned())
            })?;
            if body.len() + piece.len() > most {
                return Err(Error::TooLarge(most));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    })
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let body = if body.is_empty() { b"{}" } else { body };
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| named(error.path(), error.inner()))?;
    json.end()
        .map_err(|error| Error::BadRequest(format!("the body is not JSON: {error}")))?;
    Ok(value)
}

/// `headers.x: invalid type …`, without the position: a field says more than a column.
fn named(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Error {
    let whole = error.to_string();
    if whole.starts_with("recursion limit") {
        let text = "the body is nested more than 127 deep; flatten it, or give parts of a flow flows of their own";
        return Error::BadRequest(text.to_owned());
    }
    if error.is_syntax() || error.is_eof() {
        return Error::BadRequest(format!("the body is not JSON: {whole}"));
    }
    let text = whole.split(" at line ").next().unwrap_or(&whole);
    // How windsock calls it tells a client nothing.
    let text = match text.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected an object"),
        None => text.to_owned(),
    };
    let text = text.as_str();
    if let Some(field) = text
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'))
    {
        let at = path.to_string();
        let at = if at == "." {
            field.to_owned()
        } else {
            format!("{at}.{field}")
        };
        return Error::BadRequest(format!("{at}: missing field"));
    }
    match path.to_string().as_str() {
        "." => Error::BadRequest(format!("body: {text}")),
        path => Error::BadRequest(format!("{path}: {text}")),
    }
}

/// The query of the URL; what is unknown is ignored.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(parse_query(req.query_string()).map(Self))
    }
}

pub(super) fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Error> {
    // Clients send `page=` for what they leave out. Written again because the deserializer takes the parser itself.
    let given =
        url::form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty());
    let given = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(given)
        .finish();
    let pairs = url::form_urlencoded::parse(given.as_bytes());
    let pairs = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let path = error.path().to_string();
        let text = match error.inner().to_string().as_str() {
            "invalid digit found in string" | "number too large to fit in target type" => {
                "expected a whole number, not larger than 4294967295".to_owned()
            }
            "provided string was not `true` or `false`" => "expected true or false".to_owned(),
            text => text.to_owned(),
        };
        match path.as_str() {
            "." => Error::BadRequest(format!("query: {text}")),
            path => Error::BadRequest(format!("{path}: {text}")),
        }
    })
}

/// A part of a list: `page` from 1 (0 counts as 1), `per_page` 1,000 unless told, at most 10,000.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// From 1; 0 counts as 1.
    pub(crate) page: Option<u32>,
    /// Rows of a page; at most 10,000.
    pub(crate) per_page: Option<u32>,
}

impl Page {
    /// `(rows to skip, rows to show)`.
    pub(crate) fn window(self) -> (i64, i64) {
        let rows = self.per_page.unwrap_or(DEFAULT_ROWS).clamp(1, MOST_ROWS);
        let page = self.page.unwrap_or(1).max(1);
        (i64::from(page - 1) * i64::from(rows), i64::from(rows))
    }

    /// The rows of this page.
    pub(crate) fn cut<T>(self, rows: Vec<T>) -> Vec<T> {
        let (skip, show) = self.window();
        let (skip, show) = (usize::try_from(skip), usize::try_from(show));
        rows.into_iter()
            .skip(skip.unwrap_or(usize::MAX))
            .take(show.unwrap_or(0))
            .collect()
    }
}

/// The parts of the URL's path a handler works on.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct At {
    /// The workspace.
    #[serde(default)]
    pub(crate) workspace: String,
    /// The path, name, hash or prefix of the thing.
    #[serde(default)]
    pub(crate) path: String,
}

impl FromRequest for At {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let at = web::Path::<Self>::from_request(req, payload).into_inner();
        let entered = |at: &Self| {
            // Whoever reads the path must read it as the one who looked at the rights did.
            let extensions = req.extensions();
            let caller = extensions.get::<Caller>();
            caller.is_none_or(|caller| {
                caller.workspace.as_deref().unwrap_or_default() == at.workspace
            })
        };
        std::future::ready(match at {
            Ok(at) if !at.path.contains('\0') && entered(&at) => Ok(at.into_inner()),
            Ok(_) | Err(_) => Err(Error::BadRequest(
                "the path of the URL cannot be read".to_owned(),
            )),
        })
    }
}

/// A thing of a kind, named by the URL's path: `script`, `flow` or `trigger`, and the path.
#[derive(Debug, Clone)]
pub(crate) struct KindAt {
    /// The workspace.
    pub(crate) workspace: String,
    /// What it is.
    pub(crate) kind: String,
    /// Where it is.
    pub(crate) path: ObjectPath,
    /// The kind of trigger, where the URL names one.
    pub(crate) trigger_kind: Option<String>,
}

impl FromRequest for KindAt {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let at = At::from_request(req, payload).into_inner();
        let named = at.and_then(|at| {
            let info = req.match_info();
            Ok(Self {
                kind: info.get("kind").unwrap_or_default().to_owned(),
                path: at
                    .path
                    .parse()
                    .map_err(|error| Error::field("path", error))?,
                trigger_kind: info.get("trigger_kind").map(str::to_owned),
                workspace: at.workspace,
            })
        });
        std::future::ready(named)
    }
}

/// A captured message named by the URL's path.
#[derive(Debug, Clone)]
pub(crate) struct CaptureAt {
    /// The workspace.
    pub(crate) workspace: String,
    /// Its number.
    pub(crate) id: i64,
}

impl FromRequest for CaptureAt {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let at = At::from_request(req, payload).into_inner();
        let capture = at.and_then(|at| {
            let id = req.match_info().get("id").unwrap_or_default();
            let id = id
                .parse()
                .map_err(|_| Error::field("id", "must be a number"))?;
            Ok(Self {
                workspace: at.workspace,
                id,
            })
        });
        std::future::ready(capture)
    }
}

/// A job named by the URL's path.
#[derive(Debug, Clone)]
pub(crate) struct JobAt {
    /// The workspace.
    pub(crate) workspace: String,
    /// The job.
    pub(crate) id: JobId,
}

/// A key of a job named by the URL's path.
#[derive(Debug, Clone)]
pub(crate) struct KeyAt {
    /// The job.
    pub(crate) job: JobAt,
    /// The key.
    pub(crate) key: String,
}

impl FromRequest for KeyAt {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let job = JobAt::from_request(req, payload).into_inner();
        let key = req.match_info().get("key").unwrap_or_default();
        let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy();
        std::future::ready(job.map(|job| Self {
            job,
            key: key.into_owned(),
        }))
    }
}

impl FromRequest for JobAt {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let at = At::from_request(req, payload).into_inner();
        let job = at.and_then(|at| {
            Ok(Self {
                workspace: at.workspace,
                id: req.match_info().get("id").unwrap_or_default().parse()?,
            })
        });
        std::future::ready(job)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Sample {
        path: String,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Inner {
        count: u32,
    }

    #[test]
    fn body_errors_name_the_field() {
        for (body, text) in [
            ("{}", "path: missing field"),
            ("", "path: missing field"),
            (r#"{"path": 1}"#, "path: invalid type"),
            (r#"{"path": "", "inner": {}}"#, "inner.count: missing field"),
            (
                r#"{"path": "", "inner": {"count": "x"}}"#,
                "inner.count: invalid type",
            ),
            ("[", "the body is not JSON"),
            (r#"{"path": ""} x"#, "the body is not JSON"),
            ("3", "body: invalid type: integer `3`, expected an object"),
        ] {
            let error = parse::<Sample>(body.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(text), "{body}: {error}");
        }
        let deep = parse::<Value>("[".repeat(10_000).as_bytes());
        let text = deep.unwrap_err().to_string();
        assert!(text.starts_with("the body is nested"), "{text}");
    }

    #[actix_rt::test]
    async fn a_packed_body_is_refused() {
        let request = actix_web::test::TestRequest::default();
        let request = request
            .insert_header(("content-encoding", "gzip"))
            .set_payload("x");
        let (request, mut payload) = request.to_http_parts();
        let error = RawBody::from_request(&request, &mut payload).await.err();
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.starts_with("Content-Encoding: "), "{text}");
    }

    #[test]
    fn pages() {
        for (query, window) in [
            ("", (0, 1000)),
            ("page=0&per_page=10", (0, 10)),
            ("page=3&per_page=10", (20, 10)),
            ("per_page=0", (0, 1)),
            ("per_page=99999999", (0, 10_000)),
            ("page=&per_page=", (0, 1000)),
        ] {
            assert_eq!(
                parse_query::<Page>(query).unwrap().window(),
                window,
                "{query}"
            );
        }
        let error = parse_query::<Page>("page=x").unwrap_err().to_string();
        assert!(error.starts_with("page: "), "{error}");
        let page = Page {
            page: Some(2),
            per_page: Some(2),
        };
        assert_eq!(page.cut(vec![1, 2, 3]), [3]);
    }
}
