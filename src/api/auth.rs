//! Who asks: turns a bearer token or the cookie into a [`Caller`] before any body is read, keeps foreign
//! sites out, and sets the headers that keep the page safe.
//!
//! Two middlewares: [`shield`] around everything, [`identify`] around `/api`. Handlers take [`Caller`].

use std::{
    collections::HashMap,
    future::{Ready, ready},
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    body::MessageBody,
    cookie::{Cookie, SameSite, time::Duration as CookieAge},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;

use super::{State, error::Error};
use crate::access::{self, Caller, Denied};

/// Name of the cookie that carries a session (windmill-facts §1).
pub(crate) const COOKIE: &str = "token";
/// Routes that answer without a token.
pub(super) const OPEN: &[&str] = &[
    "/api/version",
    "/api/health/status",
    "/api/openapi.json",
    "/api/auth/login",
    "/api/auth/logout",
    "/api/auth/session",
];
/// Those of them that give a session.
const LOGINS: [&str; 2] = ["/api/auth/login", "/api/auth/session"];
/// Only windsock's own files, no inline scripts, no frames, forms to nobody else. The page adds the hashes of its own.
pub(super) const POLICY: &str = "default-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; \
                      base-uri 'none'; form-action 'self'; object-src 'none'";
/// Failed logins of one address within [`RATE_WINDOW`]; a person mistypes less often.
const RATE: u32 = 10;
/// See [`RATE`].
const RATE_WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered at most: 1 MB. An attacker with more gets a fresh start each time, nobody is locked out.
const RATE_ADDRESSES: usize = 10_000;

/// Sets security headers on every answer and refuses hosts this server does not answer to: a foreign name
/// that resolves to this machine must not reach it through somebody's browser (DNS rebinding).
pub(crate) async fn shield<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let api = req.path().starts_with("/api/");
    // A browser never adds a bearer token by itself. A page under a foreign name that leads here could, but has none, and it
    // must not come to one by trying passwords from within.
    let logs_in = LOGINS.contains(&req.path());
    if logs_in || bearer(req.headers()).is_none() {
        check_host(req.request())?;
    }
    let mut answer = next.call(req).await?;
    protect(answer.headers_mut(), api);
    Ok(answer)
}

/// The headers of [`shield`]; for answers that were errors as well.
pub(crate) fn protect(headers: &mut HeaderMap, api: bool) {
    let mut default = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    default(header::CONTENT_SECURITY_POLICY, POLICY);
    default(header::REFERRER_POLICY, "no-referrer");
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if api {
        default(header::CACHE_CONTROL, "no-store");
    }
}

/// The host that is asked for: `Host`, or in HTTP/2, which has no such header, the request's authority.
fn host_of(req: &HttpRequest) -> String {
    let host = req.headers().get(header::HOST);
    let host = match host {
        Some(host) => host.to_str().ok(),
        None => req.uri().authority().map(|authority| authority.as_str()),
    };
    host.unwrap_or_default().to_ascii_lowercase()
}

/// The authority (`host:port`, without a port that is the scheme's own) of an origin or base URL.
fn authority(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

fn check_host(req: &HttpRequest) -> Result<(), Error> {
    let host = url::Url::parse(&format!("http://{}", host_of(req))).ok();
    let name = host
        .as_ref()
        .and_then(url::Url::host_str)
        .unwrap_or_default();
    let literal = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let state = state_of(req)?;
    let ours = [&state.config.base_url, &state.config.base_internal_url];
    let known = ours
        .into_iter()
        .flatten()
        .any(|base| url::Url::parse(base).is_ok_and(|base| base.host_str() == Some(name)));
    if literal || known || name == "localhost" {
        return Ok(());
    }
    let text =
        "this server does not answer to that host name; set --base-url (BASE_URL) to its address";
    Err(Denied::Forbidden(text.to_owned()).into())
}

/// Whether the request comes from this server's own page, or from no browser at all.
fn same_origin(req: &HttpRequest, base_url: Option<&str>) -> bool {
    let Some(origin) = req.headers().get(header::ORIGIN) else {
        // Browsers say where a request comes from; who says nothing is a program.
        let site = req.headers().get("sec-fetch-site");
        return site.is_none_or(|site| site == "same-origin" || site == "none");
    };
    let Some(origin) = origin.to_str().ok().and_then(authority) else {
        return false;
    };
    let host = authority(&format!("http://{}", host_of(req)));
    // Behind TLS the browser leaves ":443" out on both sides.
    host.as_ref() == Some(&origin) || base_url.and_then(authority).as_ref() == Some(&origin)
}

/// Finds out who asks and refuses what a foreign site could make a browser send.
pub(crate) async fn identify<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let state = req
        .app_data::<web::Data<State>>()
        .cloned()
        .ok_or(Error::Internal("no state"))?;
    let bearer = bearer(req.headers()).map(str::to_owned);
    let safe = matches!(*req.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let upgrade = req.headers().contains_key(header::UPGRADE);
    let asked = Asked::of(req.path())?;
    if bearer.is_none()
        && (!safe || upgrade || asked.runs)
        && !same_origin(req.request(), state.config.base_url.as_deref())
    {
        let text = "this request comes from another site; send the token as 'Authorization: Bearer <token>'";
        return Err(Error::from(Denied::Forbidden(text.to_owned())).into());
    }
    if OPEN.contains(&req.path()) {
        return next.call(req).await;
    }
    let cookie = || {
        req.request()
            .cookie(COOKIE)
            .map(|cookie| cookie.value().to_owned())
    };
    let source = super::audit::source(req.request(), bearer.is_some());
    let Some(token) = bearer.or_else(cookie) else {
        return Err(Error::from(Denied::NotLoggedIn).into());
    };
    let secret = state.config.superadmin_secret.clone();
    let workspace = asked.workspace.clone();
    let caller = state
        .run(move |conn| {
            let by = (secret.as_deref(), token.as_str());
            access::authenticate(conn, by, workspace.as_deref())?.map_err(Error::from)
        })
        .await?;
    let caller = Caller {
        domain: asked.domain.clone(),
        source: if caller.job.is_some() {
            "worker"
        } else {
            source
        },
        ..caller
    };
    asked.check(&caller, safe)?;
    req.extensions_mut().insert(caller);
    next.call(req).await
}

/// What part of the API a path belongs to, as scopes name it.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    workspace: Option<String>,
    domain: String,
    /// The path runs something.
    runs: bool,
    /// It asks who one is, which every token may.
    whoami: bool,
}

impl Asked {
    /// Reads the path as the router does, which sees through percent escapes.
    fn of(path: &str) -> Result<Self, Error> {
        let mut segments = path.trim_start_matches("/api/").split('/').map(decode);
        let mut next = || segments.next().transpose().map(Option::unwrap_or_default);
        let mut first = next()?;
        let mut workspace = None;
        if first == "w" {
            workspace = Some(next()?);
            first = next()?;
        }
        let second = next()?;
        let jobs = first == "jobs" || first == "jobs_u";
        let whoami = first == "users" && second == "whoami";
        let domain = match &*first {
            _ if jobs => "jobs".to_owned(),
            // `trigger/<kind>/…` holds what all kinds of triggers have.
            "trigger" => format!("{second}_triggers"),
            _ => first,
        };
        Ok(Self {
            workspace,
            domain,
            runs: jobs && (second.starts_with("run") || second == "restart"),
            whoami,
        })
    }

    /// What a token with scopes or one that only reads may not even try; paths are checked by the handlers.
    fn check(&self, caller: &Caller, safe: bool) -> Result<(), Error> {
        let action = match (self.runs, safe) {
            (true, _) => "run",
            (false, true) => "read",
            (false, false) => "write",
        };
        if caller.read_only && action != "read" {
            return Err(Denied::Forbidden("this token only reads".to_owned()).into());
        }
        if !self.whoami && !caller.scoped(action, None) {
            let text = format!("this token has no scope '{}:{action}'", self.domain);
            return Err(Denied::Forbidden(text).into());
        }
        Ok(())
    }
}

fn decode(segment: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(segment).decode_utf8();
    let decoded =
        decoded.map_err(|_| Error::BadRequest("the path of the URL cannot be read".to_owned()))?;
    Ok(decoded.into_owned())
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn state_of(req: &HttpRequest) -> Result<&web::Data<State>, Error> {
    req.app_data::<web::Data<State>>()
        .ok_or(Error::Internal("no state"))
}

impl FromRequest for Caller {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = req.extensions().get::<Self>().cloned();
        ready(caller.ok_or_else(|| Denied::NotLoggedIn.into()))
    }
}

/// The cookie of a session.
pub(crate) fn session_cookie(state: &State, session: String) -> Cookie<'static> {
    let age = i64::try_from(access::SESSION.as_secs()).unwrap_or(i64::MAX);
    cookie(state, session, CookieAge::seconds(age))
}

/// The cookie that takes a session out of the browser.
pub(crate) fn no_cookie(state: &State) -> Cookie<'static> {
    cookie(state, String::new(), CookieAge::ZERO)
}

fn cookie(state: &State, value: String, age: CookieAge) -> Cookie<'static> {
    Cookie::build(COOKIE, value)
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(state.config.is_secure())
        .path("/")
        .max_age(age)
        .finish()
}

/// Logins by address that have not succeeded.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl Attempts {
    /// Counts one more and refuses an address that failed too often. Those under way count, so that many at once
    /// are not more than one after the other.
    pub(crate) fn begin(&self, address: IpAddr, now: Instant) -> Result<(), Error> {
        let address = network(address);
        let mut attempts = self.0.lock();
        if attempts.len() >= RATE_ADDRESSES && !attempts.contains_key(&address) {
            attempts.retain(|_, (since, _)| now.duration_since(*since) < RATE_WINDOW);
            if attempts.len() >= RATE_ADDRESSES {
                attempts.clear();
            }
        }
        let (since, count) = attempts.entry(address).or_insert((now, 0));
        if now.duration_since(*since) >= RATE_WINDOW {
            (*since, *count) = (now, 0);
        }
        if *count >= RATE {
            return Err(Error::TooMany);
        }
        *count += 1;
        Ok(())
    }

    /// Takes one back that succeeded.
    pub(crate) fn succeeded(&self, address: IpAddr) {
        if let Some((_, count)) = self.0.lock().get_mut(&network(address)) {
            *count = count.saturating_sub(1);
        }
    }
}

/// What counts as one address: of IPv6 the first half, for anybody has a whole network of the rest.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn paths_belong_to_domains() {
        for (path, workspace, domain, runs) in [
            ("/api/users/whoami", None, "users", false),
            (
                "/api/w/main/scripts/get/p/u/a/b",
                Some("main"),
                "scripts",
                false,
            ),
            ("/api/w/m%61in/jobs/run/p/u/a/b", Some("main"), "jobs", true),
            (
                "/api/w/main/jobs/run_wait_result/p/u/a/b",
                Some("main"),
                "jobs",
                true,
            ),
            ("/api/w/main/jobs_u/get/1", Some("main"), "jobs", false),
            (
                "/api/w/main/trigger/websocket/resume_suspended_trigger_jobs/f/a/b",
                Some("main"),
                "websocket_triggers",
                false,
            ),
        ] {
            let asked = Asked::of(path).unwrap();
            assert_eq!(
                (
                    asked.workspace.as_deref(),
                    asked.domain.as_str(),
                    asked.runs
                ),
                (workspace, domain, runs)
            );
        }
    }

    #[test]
    fn origins() {
        for (host, origin, site, same) in [
            ("127.0.0.1:8000", Some("http://127.0.0.1:8000"), None, true),
            ("127.0.0.1:8000", Some("http://127.0.0.1:9000"), None, false),
            ("127.0.0.1:8000", Some("http://evil.example"), None, false),
            ("127.0.0.1:8000", Some("null"), None, false),
            ("127.0.0.1:8000", None, None, true),
            ("127.0.0.1:8000", None, Some("cross-site"), false),
            ("127.0.0.1:8000", None, Some("same-origin"), true),
            ("inside:8000", Some("https://windsock.example"), None, true),
            (
                "windsock.example",
                Some("https://windsock.example"),
                None,
                true,
            ),
        ] {
            let mut req = TestRequest::default().insert_header(("host", host));
            for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                if let Some(value) = value {
                    req = req.insert_header((name, value));
                }
            }
            let req = req.to_http_request();
            assert_eq!(
                same_origin(&req, Some("https://windsock.example")),
                same,
                "{host} {origin:?}"
            );
        }
    }

    #[test]
    fn attempts_are_bounded() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let one = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..RATE {
            assert!(attempts.begin(one, now).is_ok());
        }
        assert!(attempts.begin(one, now).is_err());
        attempts.succeeded(one);
        assert!(attempts.begin(one, now).is_ok(), "a success does not count");
        assert!(attempts.begin(one, now).is_err());
        assert!(attempts.begin(one, now + RATE_WINDOW).is_ok());
        assert!(attempts.begin(IpAddr::from([10, 0, 0, 2]), now).is_ok());
        let of_one_network = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, n, n, n, n]);
        for n in 0..10 {
            assert!(attempts.begin(of_one_network(n), now).is_ok());
        }
        assert!(attempts.begin(of_one_network(11), now).is_err());
        for n in 0..30_000_u32 {
            let _ = attempts.begin(IpAddr::from(n.to_be_bytes()), now);
        }
        assert!(attempts.0.lock().len() <= RATE_ADDRESSES);
    }
}
