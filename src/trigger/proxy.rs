//! Which proxy a connection goes through, and how it is asked for a tunnel (HTTP CONNECT).
//!
//! `connector` uses it. The environment is never read here: its values are passed in. The proxy's user
//! and password never leave this file but on the wire.

use std::{fmt, net::IpAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use url::{Host, Url};

use super::guard::{host_text, literal, parse_host, split_port};
use crate::types::Invalid;

/// Largest answer to CONNECT that is read: the head of a well-behaved proxy has a few hundred bytes.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// What a trigger writes into `proxy` to connect without the environment's proxy.
const DIRECT: &str = "direct";

/// One HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Whether the proxy itself is spoken to over TLS (`https://`).
    pub(crate) secure: bool,
    pub(crate) host: Host,
    pub(crate) port: u16,
    authorization: Option<String>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]` or `https://…`; without a scheme it is `http://`.
    /// `field` is the setting that errors name; they never repeat the value.
    ///
    /// # Errors
    /// The text is no such URL, or names another kind of proxy.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let expected = "write it like http://user:password@proxy.example.com:3128";
        let text = text.trim();
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let url = Url::parse(&with_scheme)
            .map_err(|error| Invalid(format!("{field}: not a proxy URL ({error}); {expected}")))?;
        let secure = match url.scheme() {
            "http" => false,
            "https" => true,
            other => {
                return Err(Invalid(format!(
                    "{field}: '{other}' proxies are not supported, only http and https; {expected}"
                )));
            }
        };
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Invalid(format!(
                "{field}: the proxy URL has no host; {expected}"
            )));
        };
        Ok(Self {
            secure,
            host: host.to_owned(),
            port,
            authorization: basic_auth(&url),
        })
    }

    /// The request that asks for a tunnel to `target` (`host:port`).
    fn connect_request(&self, target: &str) -> String {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str("Proxy-Authorization: ");
            request.push_str(authorization);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        request
    }
}

/// `Basic …` of the user and password in a URL, percent-decoded; `None` when it has neither.
pub(crate) fn basic_auth(url: &Url) -> Option<String> {
    let password = url.password();
    if url.username().is_empty() && password.is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(password.unwrap_or_default()));
    Some(format!("Basic {}", STANDARD.encode(pair)))
}

/// The proxy variables as the environment (or a flag) has them.
#[derive(Clone, Default)]
pub struct ProxyEnv {
    /// `HTTP_PROXY`: for `ws://`.
    pub http_proxy: Option<String>,
    /// `HTTPS_PROXY`: for `wss://`.
    pub https_proxy: Option<String>,
    /// `ALL_PROXY`: for both, where the one above is not set.
    pub all_proxy: Option<String>,
    /// `NO_PROXY`: hosts and networks that are reached without a proxy.
    pub no_proxy: Option<String>,
}

/// The proxies of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    plain: Option<Arc<Proxy>>,
    secure: Option<Arc<Proxy>>,
    bypass: Bypass,
}

impl ProxySettings {
    /// Reads the variables; one that is never used (`ALL_PROXY` beside both others) is not looked at.
    ///
    /// # Errors
    /// Names the variable that cannot be used.
    pub fn parse(env: &ProxyEnv) -> Result<Self, Invalid> {
        let all = || read("ALL_PROXY", env.all_proxy.as_deref());
        let plain = match read("HTTP_PROXY", env.http_proxy.as_deref())? {
            Some(proxy) => Some(proxy),
            None => all()?,
        };
        let secure = match read("HTTPS_PROXY", env.https_proxy.as_deref())? {
            Some(proxy) => Some(proxy),
            None => all()?,
        };
        Ok(Self {
            plain,
            secure,
            bypass: Bypass::parse(env.no_proxy.as_deref().unwrap_or_default())?,
        })
    }

    /// The environment's proxy for a `ws://` or `wss://` URL.
    #[must_use]
    pub fn choose(&self, url: &Url) -> Option<Arc<Proxy>> {
        let proxy = match url.scheme() {
            "wss" => self.secure.as_ref(),
            _ => self.plain.as_ref(),
        }?;
        (!self.bypass.matches(url)).then(|| Arc::clone(proxy))
    }
}

fn read(field: &str, value: Option<&str>) -> Result<Option<Arc<Proxy>>, Invalid> {
    match value.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => Proxy::parse(field, text).map(|proxy| Some(Arc::new(proxy))),
    }
}

/// How one connection reaches its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Direct,
    /// Through the operator's proxy, wherever that one stands.
    Environment(Arc<Proxy>),
    /// Through a proxy that a trigger names: its address is guarded like any other.
    Own(Arc<Proxy>),
}

impl Route {
    /// A trigger's own `proxy` overrides the environment with its `NO_PROXY`; `direct` means none at all.
    pub(crate) fn choose(
        own: Option<&str>,
        settings: &ProxySettings,
        url: &Url,
    ) -> Result<Self, Invalid> {
        match own.map(str::trim) {
            None | Some("") => Ok(settings.choose(url).map_or(Self::Direct, Self::Environment)),
            Some(DIRECT) => Ok(Self::Direct),
            Some(text) => Proxy::parse("proxy", text).map(|proxy| Self::Own(Arc::new(proxy))),
        }
    }
}

/// Whether a trigger's `proxy` can be used: a proxy URL, `direct` or empty.
///
/// # Errors
/// Names the field `proxy` and what is wrong; never the value.
pub fn check_proxy(text: &str) -> Result<(), Invalid> {
    match text.trim() {
        "" | DIRECT => Ok(()),
        text => Proxy::parse("proxy", text).map(drop),
    }
}

/// `NO_PROXY`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Bypass {
    all: bool,
    hosts: Vec<(String, Option<u16>)>,
    nets: Vec<(IpNet, Option<u16>)>,
}

impl Bypass {
    fn parse(text: &str) -> Result<Self, Invalid> {
        let mut bypass = Self::default();
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        for entry in entries.filter(|entry| !entry.is_empty()) {
            if entry == "*" {
                bypass.all = true;
            } else if let Ok(net) = entry.parse::<IpNet>() {
                bypass.nets.push((net, None));
            } else {
                bypass.add_host(entry)?;
            }
        }
        Ok(bypass)
    }

    fn add_host(&mut self, entry: &str) -> Result<(), Invalid> {
        let invalid = || {
            Invalid(format!(
                "NO_PROXY: '{entry}' is not a host, a domain like .example.com, an address or a network; \
                 write a comma list of these, or *"
            ))
        };
        let (name, port) = split_port(entry).ok_or_else(invalid)?;
        let name = name.strip_prefix('*').unwrap_or(name); // *.example.com is .example.com
        match parse_host(name.trim_start_matches('.')).ok_or_else(invalid)? {
            Host::Domain(name) => self
                .hosts
                .push((name.trim_end_matches('.').to_owned(), port)),
            Host::Ipv4(ip) => self.nets.push((IpAddr::V4(ip).into(), port)),
            Host::Ipv6(ip) => self.nets.push((IpAddr::V6(ip).to_canonical().into(), port)),
        }
        Ok(())
    }

    fn matches(&self, url: &Url) -> bool {
        let Some(host) = url.host() else {
            return false;
        };
        let port = url.port_or_known_default();
        let at = |wanted: &Option<u16>| wanted.is_none() || *wanted == port;
        if let Some(ip) = literal(&host) {
            let ip = ip.to_canonical();
            return self.all
                || self
                    .nets
                    .iter()
                    .any(|(net, port)| at(port) && net.contains(&ip));
        }
        let name = host_text(&host);
        let under = |domain: &str| {
            name.strip_suffix(domain)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.all
            || self
                .hosts
                .iter()
                .any(|(domain, port)| at(port) && under(domain))
    }
}

/// Why there is no tunnel. Texts hold nothing the proxy or the trigger said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TunnelError {
    #[error(
        "the proxy wants a user and a password it accepts (status 407); put them into the proxy's URL"
    )]
    Credentials,
    #[error("the proxy refused the tunnel with status {0}")]
    Refused(u16),
    #[error("the proxy's answer to CONNECT is not HTTP; is it an HTTP proxy?")]
    NotHttp,
    #[error("the proxy's answer to CONNECT is longer than {MAX_HEAD_BYTES} bytes")]
    TooLong,
    #[error("the proxy closed the connection before it answered")]
    Closed,
    #[error("the connection to the proxy broke: {0}")]
    Io(#[from] std::io::Error),
}

impl TunnelError {
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Credentials => Some(407),
            Self::Refused(status) => Some(*status),
            Self::NotHttp | Self::TooLong | Self::Closed | Self::Io(_) => None,
        }
    }
}

/// Asks the proxy at the other end of `io` for a tunnel to `target` (`host:port`). Waits without a bound:
/// the caller sets one.
pub(crate) async fn open_tunnel<S>(
    io: &mut S,
    proxy: &Proxy,
    target: &str,
) -> Result<(), TunnelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    io.write_all(proxy.connect_request(target).as_bytes())
        .await?;
    io.flush().await?;
    let mut head = Vec::with_capacity(512);
    let end = loop {
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if head.len() >= MAX_HEAD_BYTES {
            return Err(TunnelError::TooLong);
        }
        if (&mut *io)
            .take((MAX_HEAD_BYTES - head.len()) as u64)
            .read_buf(&mut head)
            .await?
            == 0
        {
            return Err(TunnelError::Closed);
        }
    };
    match status_of(&head).ok_or(TunnelError::NotHttp)? {
        // Behind the tunnel the client speaks first, with TLS as with HTTP: more bytes are not the host's.
        200 if head.len() > end => Err(TunnelError::NotHttp),
        200 => Ok(()),
        407 => Err(TunnelError::Credentials),
        status => Err(TunnelError::Refused(status)),
    }
}

/// The status in `HTTP/1.x <status> …`.
fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.splitn(3, ' ');
    let status = words.next()?.strip_prefix("HTTP/1.").and(words.next())?;
    (status.len() == 3).then(|| status.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn no_proxy_entries() {
        for (no_proxy, target, direct) in [
            ("*", "ws://example.com", true),
            ("", "ws://example.com", false),
            ("example.com", "ws://example.com", true),
            ("example.com", "ws://EXAMPLE.com./", true),
            ("example.com", "ws://a.b.example.com", true),
            ("example.com", "ws://notexample.com", false),
            ("example.com", "ws://example.com.evil.org", false),
            (".example.com", "ws://a.example.com", true),
            (".example.com", "ws://example.com", true),
            ("*.example.com", "ws://a.example.com", true),
            ("other, .example.com", "wss://a.example.com:9", true),
            ("a b\texample.com", "ws://example.com", true),
            ("example.com:443", "wss://example.com", true),
            ("example.com:443", "ws://example.com", false),
            ("example.com:8080", "ws://a.example.com:8080", true),
            ("127.0.0.1", "ws://127.0.0.1:9000", true),
            ("127.0.0.1:9000", "ws://127.0.0.1:9001", false),
            ("127.0.0.1", "ws://2130706433", true),
            ("127.0.0.1", "ws://[::ffff:127.0.0.1]", true),
            ("10.0.0.0/8", "ws://10.200.1.1", true),
            ("10.0.0.0/8", "ws://11.0.0.1", false),
            ("10.0.0.0/8", "ws://10.example.com", false),
            ("::1", "ws://[::1]:80", true),
            ("[::1]:80", "ws://[::1]", true),
            ("[::1]:81", "ws://[::1]", false),
            ("fd00::/8", "ws://[fd12::1]", true),
            ("bücher.example", "ws://xn--bcher-kva.example", true),
        ] {
            let settings = ProxySettings::parse(&ProxyEnv {
                all_proxy: some("http://proxy:3128"),
                no_proxy: some(no_proxy),
                ..ProxyEnv::default()
            })
            .unwrap();
            assert_eq!(
                settings.choose(&url(target)).is_none(),
                direct,
                "{no_proxy:?} {target}"
            );
        }
        assert!(Bypass::parse("exa mple.com,a/b").is_err());
    }

    #[test]
    fn each_scheme_has_its_variable() {
        let host = |settings: &ProxySettings, target| {
            settings.choose(&url(target)).map(|p| p.host.to_string())
        };
        let env = |http: &str, https: &str, all: &str| {
            ProxySettings::parse(&ProxyEnv {
                http_proxy: some(http),
                https_proxy: some(https),
                all_proxy: some(all),
                no_proxy: None,
            })
        };
        let settings = env("http://h", "s:1", "http://a").unwrap();
        assert_eq!(host(&settings, "ws://x"), some("h"));
        assert_eq!(host(&settings, "wss://x"), some("s"));
        let settings = env(" ", "https://s", "a").unwrap();
        assert_eq!(host(&settings, "ws://x"), some("a"));
        assert_eq!(host(&settings, "wss://x"), some("s"));
        assert_eq!(host(&ProxySettings::default(), "ws://x"), None);
        // Never used, so never a reason not to start.
        assert!(env("h", "s", "socks5://a").is_ok());
        let error = env("", "s", "socks5://u:secret@a").unwrap_err().to_string();
        assert!(
            error.starts_with("ALL_PROXY: 'socks5' proxies are not supported"),
            "{error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn a_triggers_own_proxy_overrides() {
        let settings = ProxySettings::parse(&ProxyEnv {
            all_proxy: some("http://env"),
            no_proxy: some("x"),
            ..ProxyEnv::default()
        })
        .unwrap();
        let route = |own, target| Route::choose(own, &settings, &url(target)).unwrap();
        assert!(matches!(route(None, "ws://y"), Route::Environment(_)));
        assert!(matches!(route(Some(""), "ws://y"), Route::Environment(_)));
        assert_eq!(route(None, "ws://x"), Route::Direct);
        assert!(matches!(route(Some("http://own"), "ws://x"), Route::Own(_)));
        assert_eq!(route(Some("direct"), "ws://y"), Route::Direct);
        for bad in [
            "socks4://p",
            "http://",
            "http://u:secret@:1",
            "ftp://u:secret@h",
        ] {
            let error = check_proxy(bad).unwrap_err().to_string();
            assert!(error.starts_with("proxy: "), "{bad}: {error}");
            assert!(!error.contains("secret"), "{bad}: {error}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let proxy = Proxy::parse("proxy", "http://us%40er:p%3Ass@proxy.example:3128").unwrap();
        let request = proxy.connect_request("h:1");
        assert!(
            request.contains("\r\nProxy-Authorization: Basic dXNAZXI6cDpzcw==\r\n"),
            "{request}"
        );
        let shown = format!("{proxy:?}");
        assert!(
            !shown.contains("dXN") && !shown.contains("us%40er"),
            "{shown}"
        );
        let without = Proxy::parse("proxy", "proxy.example").unwrap();
        assert_eq!((without.port, without.secure), (80, false));
        assert_eq!(
            without.connect_request("h:1"),
            "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n"
        );
    }

    #[actix::test]
    async fn only_a_plain_200_opens_the_tunnel() {
        let proxy = Proxy::parse("proxy", "proxy").unwrap();
        let long = format!(
            "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n",
            "y".repeat(MAX_HEAD_BYTES)
        );
        for (answer, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", None),
            ("HTTP/1.0 200\r\nVia: x\r\n\r\n", None),
            ("HTTP/1.1 407 Auth\r\n\r\n", Some("status 407")),
            ("HTTP/1.1 503 No\r\n\r\n", Some("status 503")),
            ("HTTP/1.1 201 Created\r\n\r\n", Some("status 201")),
            ("HTTP/1.1 200 OK\r\n\r\nextra", Some("not HTTP")),
            ("SSH-2.0-x\r\n\r\n", Some("not HTTP")),
            ("HTTP/1.1 200 OK\r\n", Some("closed")),
            (&long, Some("longer than")),
        ] {
            let (mut near, mut far) = tokio::io::duplex(64 * 1024);
            far.write_all(answer.as_bytes()).await.unwrap();
            far.shutdown().await.unwrap();
            let outcome = open_tunnel(&mut near, &proxy, "h:1")
                .await
                .map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(outcome, Ok(()), "{answer}"),
                Some(text) => assert!(
                    outcome.clone().unwrap_err().contains(text),
                    "{answer}: {outcome:?}"
                ),
            }
        }
    }
}
