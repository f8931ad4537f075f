//! [`Dialer`]: makes TCP and TLS connections for awc: resolves and vets, goes through a proxy or not.
//!
//! awc gets an address without TLS and [`Connect`] as its connector, so that every connection, literal
//! addresses included, passes the guard and is made to an address that was checked. One per process.

use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_service::Service;
use actix_tls::connect::{ConnectError as TcpError, ConnectInfo, Connection};
use actix_web::http::Uri;
use futures_util::future::LocalBoxFuture;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::{
    attempt::{Attempt, ConnectError, Stage},
    guard::{AddressPolicy, Guard, Refused, host_text},
    proxy::{Proxy, ProxyEnv, ProxySettings, Route, open_tunnel},
    tls::{TlsConfigs, TlsSettings},
    transport::{Lent, Transport},
};
use crate::{config::ProxyEnvironment, types::Invalid};

/// How long a name may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one address may take to accept; the next one is tried then.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a TLS session, or a proxy's tunnel, may take to stand.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;
/// Unacknowledged data for so long, and the system gives the connection up (RFC 5482).
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Silence after which the system asks whether the other end is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// See the file's documentation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dialer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    guard: Guard,
    proxies: ProxySettings,
    tls: TlsConfigs,
}

/// Decides about an address that something else than a trigger wants to reach.
pub type AddressCheck = Arc<dyn Fn(&str, SocketAddr) -> Result<(), String> + Send + Sync>;

impl Dialer {
    /// A dialer with the allow-list of private addresses and the proxies of the environment.
    ///
    /// # Errors
    /// Names the setting that cannot be used.
    pub fn new(allow_private: Option<&str>, proxies: &ProxyEnvironment) -> Result<Self, Invalid> {
        let proxies = ProxySettings::parse(&ProxyEnv {
            http_proxy: proxies.http.clone(),
            https_proxy: proxies.https.clone(),
            all_proxy: proxies.all.clone(),
            no_proxy: proxies.none_for.clone(),
        })?;
        Ok(Self(Arc::new(Inner {
            guard: Guard::new(AddressPolicy::parse(allow_private)?),
            proxies,
            tls: TlsConfigs::default(),
        })))
    }

    /// The check of a literal URL at save (contract section 3).
    ///
    /// # Errors
    /// The host is, or resolves to, a private address that is not allowed.
    pub async fn check_at_save(&self, url: &Url) -> Result<(), Refused> {
        self.0.guard.check_at_save(url).await
    }

    /// The same policy for what scripts connect to.
    #[must_use]
    pub fn address_check(&self) -> AddressCheck {
        let inner = Arc::clone(&self.0);
        Arc::new(move |host, addr| {
            let checked = inner.guard.policy().check(host, addr);
            checked.map_err(|refused| refused.to_string())
        })
    }
}

/// Where one attempt goes.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) proxy: Option<String>,
}

/// What awc asks for a connection: makes the one of its attempt.
#[derive(Clone)]
pub(crate) struct Connect {
    pub(crate) dialer: Dialer,
    pub(crate) target: Rc<Target>,
    pub(crate) attempt: Rc<Attempt>,
    /// Where the connection is found when awc is done.
    pub(crate) lent: Lent,
}

impl Service<ConnectInfo<Uri>> for Connect {
    type Response = Connection<Uri, Lent>;
    type Error = TcpError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, TcpError>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), TcpError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let connect = self.clone();
        Box::pin(async move {
            match connect.establish().await {
                Ok(transport) => {
                    connect.attempt.begin(Stage::Handshake);
                    Ok(Connection::new(
                        info.request().clone(),
                        connect.lent.lend(transport),
                    ))
                }
                Err(error) => {
                    connect.attempt.fail(error);
                    Err(TcpError::Io(io::Error::other("see the attempt")))
                }
            }
        })
    }
}

impl Connect {
    async fn establish(&self) -> Result<Transport, ConnectError> {
        let url = &self.target.url;
        let inner = &self.dialer.0;
        let settings = |error: Invalid| ConnectError::new(Stage::Settings, error.0);
        let route = Route::choose(self.target.proxy.as_deref(), &inner.proxies, url);
        let mut transport = match route.map_err(settings)? {
            Route::Direct => {
                let host = url.host().ok_or_else(|| no_host(Stage::Resolve))?;
                let port = url.port_or_known_default().unwrap_or(80);
                Transport::Tcp(self.connect_to(&host, port, true).await?)
            }
            Route::Environment(proxy) => self.tunnel(&proxy, false).await?,
            Route::Own(proxy) => self.tunnel(&proxy, true).await?,
        };
        if url.scheme() == "wss" {
            let config = inner.tls.get(self.target.tls.as_ref());
            let config = config.await.map_err(settings)?;
            let host = url.host().ok_or_else(|| no_host(Stage::Tls))?;
            self.attempt.begin(Stage::Tls);
            let (secured, version) = secure(transport, &host, config).await?;
            transport = secured;
            self.attempt.done(|| version);
        }
        Ok(transport)
    }

    /// A TCP connection to one of the host's addresses; `guarded` = all of them are vetted first.
    async fn connect_to(
        &self,
        host: &Host<&str>,
        port: u16,
        guarded: bool,
    ) -> Result<TcpStream, ConnectError> {
        let guard = &self.dialer.0.guard;
        self.attempt.begin(Stage::Resolve);
        let addrs = if guarded {
            guard.resolve_checked(host, port, RESOLVE_TIMEOUT).await?
        } else {
            guard.resolve(host, port, RESOLVE_TIMEOUT).await?
        };
        self.attempt.done(|| {
            let found: Vec<String> = addrs.iter().map(|addr| addr.ip().to_string()).collect();
            found.join(", ")
        });
        self.attempt.begin(Stage::Connect);
        let mut reason = "no address".to_owned();
        for addr in addrs.into_iter().take(MAX_ADDRESSES) {
            match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(addr)).await {
                Ok(Ok(stream)) => {
                    tune(&stream);
                    self.attempt.done(|| addr.to_string());
                    return Ok(stream);
                }
                Ok(Err(error)) => reason = format!("{addr}: {error}"),
                Err(_) => reason = format!("{addr}: no answer within {CONNECT_TIMEOUT:?}"),
            }
        }
        Err(ConnectError::new(Stage::Connect, reason))
    }

    /// A tunnel through the proxy. The target's addresses are vetted as far as they can be told here; a name that
    /// only the proxy can resolve is the proxy's to judge, as is which of the addresses it takes.
    async fn tunnel(&self, proxy: &Proxy, guarded: bool) -> Result<Transport, ConnectError> {
        let host = as_ref(&proxy.host);
        let vet = self.dialer.0.guard.check_at_save(&self.target.url);
        // At the same time: a look-up that gets no answer must not add its wait to each connect.
        let (vetted, stream) = tokio::join!(vet, self.connect_to(&host, proxy.port, guarded));
        vetted?;
        let stream = stream?;
        self.attempt.begin(Stage::Proxy);
        let mut transport = Transport::Tcp(stream);
        let bounded = async {
            if proxy.secure {
                let config = self.dialer.0.tls.get(None).await;
                let config = config.map_err(|error| ConnectError::new(Stage::Settings, error.0))?;
                transport = secure(transport, &host, config).await?.0;
            }
            let url = &self.target.url;
            let name = url.host().ok_or_else(|| no_host(Stage::Proxy))?;
            let port = url.port_or_known_default().unwrap_or(80);
            open_tunnel(&mut transport, proxy, &format!("{name}:{port}"))
                .await
                .map_err(|error| ConnectError {
                    status: error.status(),
                    ..ConnectError::new(Stage::Proxy, error.to_string())
                })?;
            Ok::<Transport, ConnectError>(transport)
        };
        let transport = tokio::time::timeout(TLS_TIMEOUT, bounded)
            .await
            .map_err(|_| {
                ConnectError::new(Stage::Proxy, format!("no tunnel within {TLS_TIMEOUT:?}"))
            })??;
        self.attempt
            .done(|| format!("through {}:{}", host_text(&host), proxy.port));
        Ok(transport)
    }
}

fn no_host(stage: Stage) -> ConnectError {
    ConnectError::new(stage, "the URL has no host")
}

fn as_ref(host: &Host) -> Host<&str> {
    match host {
        Host::Domain(name) => Host::Domain(name),
        Host::Ipv4(ip) => Host::Ipv4(*ip),
        Host::Ipv6(ip) => Host::Ipv6(*ip),
    }
}

/// No waiting for more to send; a peer that is gone is noticed. What the system does not know it leaves out.
fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE / 4);
    let tuned = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive));
    #[cfg(target_os = "linux")]
    let tuned = tuned.and_then(|()| socket.set_tcp_user_timeout(Some(USER_TIMEOUT)));
    if let Err(error) = tuned {
        log::debug!("a socket option was not set: {error}");
    }
}

/// A TLS session on the transport, and its version.
async fn secure(
    transport: Transport,
    host: &Host<&str>,
    config: Arc<rustls::ClientConfig>,
) -> Result<(Transport, String), ConnectError> {
    let failed = |reason: String| ConnectError::new(Stage::Tls, reason);
    let name = match host {
        Host::Domain(name) => ServerName::try_from((*name).to_owned())
            .map_err(|_| failed(format!("'{name}' is not a name a certificate can have")))?,
        Host::Ipv4(ip) => ServerName::from(std::net::IpAddr::V4(*ip)),
        Host::Ipv6(ip) => ServerName::from(std::net::IpAddr::V6(*ip)),
    };
    let session = TlsConnector::from(config).connect(name, transport);
    match tokio::time::timeout(TLS_TIMEOUT, session).await {
        Ok(Ok(stream)) => {
            let version = stream.get_ref().1.protocol_version();
            let version = version.and_then(|version| version.as_str());
            let version = version.unwrap_or("TLS").replace('_', ".");
            Ok((Transport::over(stream), version))
        }
        Ok(Err(error)) => Err(failed(format!("{}: {error}", host_text(host)))),
        Err(_) => Err(failed(format!("no TLS session within {TLS_TIMEOUT:?}"))),
    }
}
