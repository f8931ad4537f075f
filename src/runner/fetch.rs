//! [`Fetcher`]: what `fetch` in a `nativets` script goes through: every address is checked before it is dialled,
//! on every hop, except windsock's own API, which jobs call back.
//!
//! One per worker, on the worker's thread (the client is bound to it). `bun`, `python3` and `bash` make
//! their own connections; containment of those is the kernel's business.

use std::{error::Error as StdError, fmt, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use actix_tls::connect::{Connector as TcpConnector, Resolve, Resolver};
use awc::http::{
    Method, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use futures_util::future::LocalBoxFuture;
use url::Url;

use super::language::nativets::{FetchRequest, FetchResponse, Host, Redirect};

/// Answers larger than this are an error in the script: its memory is not much larger.
const RESPONSE_BYTES: usize = 16 * 1024 * 1024;
/// Hops of a redirect before it counts as a loop: what browsers allow.
const MAX_REDIRECTS: usize = 20;
/// Longest wait for a connection; the whole request is bounded by the job's time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a script may connect to an address of a host; the error says why not.
pub type AddressCheck = Arc<dyn Fn(&str, SocketAddr) -> Result<(), String> + Send + Sync>;

/// What scripts may reach.
#[derive(Clone)]
pub struct FetchSettings {
    /// Decides about every address.
    pub check: AddressCheck,
    /// The address of the API (`http://host:port`), which is always allowed.
    pub own_api: Option<Url>,
}

impl fmt::Debug for FetchSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchSettings")
            .field("own_api", &self.own_api)
            .finish_non_exhaustive()
    }
}

/// See the file's documentation.
pub(crate) struct Fetcher {
    settings: Rc<FetchSettings>,
    client: awc::Client,
}

impl Fetcher {
    /// One for the calling thread.
    pub(crate) fn new(settings: FetchSettings) -> Self {
        let settings = Rc::new(settings);
        let resolver = Resolver::custom(CheckedResolver(Rc::clone(&settings)));
        let tcp = TcpConnector::new(resolver).service();
        let connector = awc::Connector::new()
            .connector(tcp)
            .timeout(CONNECT_TIMEOUT);
        let client = awc::Client::builder()
            .connector(connector)
            .disable_redirects()
            .disable_timeout()
            .finish();
        Self { settings, client }
    }

    async fn follow(&self, mut request: FetchRequest) -> Result<FetchResponse, String> {
        for _ in 0..=MAX_REDIRECTS {
            let url =
                Url::parse(&request.url).map_err(|error| format!("fetch: bad URL: {error}"))?;
            let response = self.once(&url, &request).await?;
            let location = redirect(response.status, &response.headers);
            let Some(location) = location.filter(|_| request.redirect != Redirect::Manual) else {
                return Ok(response);
            };
            if request.redirect == Redirect::Error {
                return Err(format!("fetch: {} answered with a redirect", host_of(&url)));
            }
            let next = url
                .join(location)
                .map_err(|_| "fetch: bad redirect".to_owned())?;
            if next.origin() != url.origin() {
                // A token for one host is not for another.
                let secret = ["authorization", "cookie", "proxy-authorization"];
                request
                    .headers
                    .retain(|(name, _)| !secret.contains(&name.as_str()));
            }
            let becomes_get = response.status == 303
                || (matches!(response.status, 301 | 302) && request.method == "POST");
            if becomes_get && request.method != "HEAD" {
                "GET".clone_into(&mut request.method);
                request.body = None;
                request
                    .headers
                    .retain(|(name, _)| !name.starts_with("content-"));
            }
            request.url = next.to_string();
        }
        Err(format!("fetch: more than {MAX_REDIRECTS} redirects"))
    }

    async fn once(&self, url: &Url, request: &FetchRequest) -> Result<FetchResponse, String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "fetch: '{}:' is not supported, use http or https",
                url.scheme()
            ));
        }
        self.check_literal(url)?;
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| format!("fetch: '{}' is not a method", request.method))?;
        let mut call = self.client.request(method, url.as_str());
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_str(value);
            match (name, value) {
                (Ok(name), Ok(value)) => call.headers_mut().append(name, value),
                _ => return Err("fetch: a header has a bad name or value".to_owned()),
            }
        }
        let failed = |error: &dyn fmt::Display| format!("fetch: {}: {error}", host_of(url));
        let sent = match &request.body {
            Some(body) => call.send_body(body.clone()).await,
            None => call.send().await,
        };
        let mut response = sent.map_err(|error| failed(&error))?;
        let body = response.body().limit(RESPONSE_BYTES).await;
        let body = body.map_err(|error| failed(&error))?.to_vec();
        let headers = response.headers().iter().filter(|(name, _)| {
            // The body below is decompressed and whole.
            **name != header::CONTENT_ENCODING && **name != header::TRANSFER_ENCODING
        });
        let headers = headers.map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        let status = response.status();
        Ok(FetchResponse {
            status: status.as_u16(),
            status_text: status.canonical_reason().unwrap_or("").to_owned(),
            headers: headers.collect(),
            url: url.to_string(),
            body,
        })
    }

    /// A literal address never passes the resolver.
    fn check_literal(&self, url: &Url) -> Result<(), String> {
        let ip = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.into(),
            Some(url::Host::Ipv6(ip)) => ip.into(),
            Some(url::Host::Domain(_)) => return Ok(()),
            None => return Err("fetch: the URL has no host".to_owned()),
        };
        let port = url.port_or_known_default().unwrap_or(0);
        self.settings
            .check(&host_of(url), SocketAddr::new(ip, port))
    }
}

impl Host for Fetcher {
    fn fetch(&self, request: FetchRequest) -> LocalBoxFuture<'_, Result<FetchResponse, String>> {
        Box::pin(self.follow(request))
    }
}

impl FetchSettings {
    fn check(&self, host: &str, addr: SocketAddr) -> Result<(), String> {
        let own = self.own_api.as_ref().is_some_and(|own| {
            own.host_str() == Some(host) && own.port_or_known_default() == Some(addr.port())
        });
        if own {
            Ok(())
        } else {
            (self.check)(host, addr)
        }
    }
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// Where a redirect leads.
fn redirect(status: u16, headers: &[(String, String)]) -> Option<&str> {
    let status = StatusCode::from_u16(status).ok()?;
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = headers.iter().find(|(name, _)| name == "location")?;
    Some(&location.1)
}

/// Looks names up and refuses those with an address that is not allowed; what it answers is what is dialled.
struct CheckedResolver(Rc<FetchSettings>);

impl Resolve for CheckedResolver {
    fn lookup<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> LocalBoxFuture<'a, Result<Vec<SocketAddr>, Box<dyn StdError>>> {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            for addr in &found {
                self.0.check(host, *addr)?;
            }
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> FetchRequest {
        FetchRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            redirect: Redirect::Follow,
            body: None,
        }
    }

    fn fetcher(own_api: Option<&str>) -> Fetcher {
        Fetcher::new(FetchSettings {
            check: Arc::new(|host, addr| match addr.ip().is_loopback() {
                true => Err(format!("{host} is private")),
                false => Ok(()),
            }),
            own_api: own_api.map(|url| url.parse().unwrap()),
        })
    }

    /// A server that answers every request with `answer`.
    async fn server(answer: &'static str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        actix_rt::spawn(async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                let mut buffer = [0; 4096];
                let _ = peer.read(&mut buffer).await;
                let _ = peer.write_all(answer.as_bytes()).await;
            }
        });
        url
    }

    #[actix_rt::test]
    async fn private_addresses_are_refused_as_names_and_as_numbers() {
        let url =
            server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi").await;
        let port = url.rsplit(':').next().unwrap().to_owned();
        for url in [url.clone(), format!("http://localhost:{port}/")] {
            let error = fetcher(None).fetch(request(&url)).await.unwrap_err();
            assert!(error.contains("is private"), "{error}");
        }
        let response = fetcher(Some(&url)).fetch(request(&url)).await.unwrap();
        assert_eq!((response.status, response.body), (200, b"hi".to_vec()));
    }

    #[actix_rt::test]
    async fn a_redirect_is_checked_too() {
        let target = server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2:9/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        let error = fetcher(Some(&target))
            .fetch(request(&target))
            .await
            .unwrap_err();
        assert!(error.contains("127.0.0.2 is private"), "{error}");
        let mut manual = request(&target);
        manual.redirect = Redirect::Manual;
        assert_eq!(
            fetcher(Some(&target)).fetch(manual).await.unwrap().status,
            302
        );
    }
}
