//! [`Doors`]: where the process listens, and under which addresses it is reached.
//!
//! With a certificate of its own, jobs of the same process come in by a second door, plain and on loopback only: they
//! would have to trust an authority that may be private, for a name that may not resolve here.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
};

use super::{StartError, certificate::Certificate};
use crate::{
    api::Listeners,
    config::{Config, ProcessMode},
};

/// The open doors.
pub(super) struct Doors {
    pub(super) listeners: Listeners,
    /// The address people connect to.
    pub(super) address: SocketAddr,
    /// The same as a URL (`http://host:port`).
    pub(super) own: String,
    /// The door for jobs, as a URL; none = they use the one for people, or `BASE_INTERNAL_URL`.
    pub(super) inside: Option<String>,
    /// To be kept fresh.
    pub(super) certificate: Option<Arc<Certificate>>,
}

impl Doors {
    /// Reads the certificate and takes the ports.
    ///
    /// # Errors
    /// A file that cannot be used, a port that is taken.
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        let certificate = config.tls.as_ref().map(Certificate::load).transpose()?;
        let certificate = certificate.map(Arc::new);
        let tls = certificate
            .as_ref()
            .map(Certificate::settings)
            .transpose()?;
        let wanted = SocketAddr::new(config.bind, config.port);
        let listen =
            |at: SocketAddr| TcpListener::bind(at).map_err(|error| StartError::Port(at, error));
        let public = listen(wanted)?;
        let address = public.local_addr()?;
        // A worker's jobs use the server's address; the demo sets itself up through the API.
        let needed = config.demo
            || config.mode == ProcessMode::Standalone && config.base_internal_url.is_none();
        let inside = (tls.is_some() && needed)
            .then(|| listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))
            .transpose()?;
        let inside_at = inside.as_ref().map(TcpListener::local_addr).transpose()?;
        Ok(Self {
            address,
            own: url(config, address),
            inside: inside_at.map(|at| format!("http://{at}")),
            listeners: Listeners {
                public,
                tls,
                inside,
            },
            certificate,
        })
    }
}

/// Where this process reaches itself.
pub(super) fn url(config: &Config, address: SocketAddr) -> String {
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let address = SocketAddr::new(reachable(address.ip()), address.port());
    format!("{scheme}://{address}")
}

/// An address to connect to, where "all addresses" is one only to listen on.
fn reachable(ip: IpAddr) -> IpAddr {
    if ip.is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        ip
    }
}
