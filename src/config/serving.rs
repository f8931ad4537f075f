//! How the server is reached: with TLS of its own ([`TlsFiles`]), or through proxies in front of it.

use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;

use super::{Config, Settings};
use crate::types::Invalid;

/// The files of the server's certificate, PEM both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and what it is signed with, up to the authority.
    pub cert: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

impl TlsFiles {
    /// What the flags name; none = no TLS.
    ///
    /// # Errors
    /// One of the two is missing.
    pub(super) fn given(settings: &Settings) -> Result<Option<Self>, Invalid> {
        let named =
            |file: &Option<PathBuf>| file.clone().filter(|file| !file.as_os_str().is_empty());
        match (named(&settings.tls_cert), named(&settings.tls_key)) {
            (None, None) => Ok(None),
            (Some(cert), Some(key)) => Ok(Some(Self { cert, key })),
            (Some(_), None) => Err(Invalid(
                "--tls-cert (TLS_CERT) needs --tls-key (TLS_KEY): the file with the private key of the certificate"
                    .to_owned(),
            )),
            (None, Some(_)) => Err(Invalid(
                "--tls-key (TLS_KEY) needs --tls-cert (TLS_CERT): the file with the certificate of the key".to_owned(),
            )),
        }
    }
}

/// The networks of a comma list of addresses and CIDRs.
///
/// # Errors
/// One of them is neither.
pub(super) fn networks(flag: &str, text: Option<&str>) -> Result<Vec<IpNet>, Invalid> {
    let items = text.unwrap_or_default().split(',').map(str::trim);
    items
        .filter(|item| !item.is_empty())
        .map(|item| {
            let address = || item.parse::<IpAddr>().map(IpNet::from);
            item.parse().or_else(|_| address()).map_err(|_| {
                Invalid(format!(
                    "{flag} must be a comma list of addresses and networks like 10.0.0.0/8, not '{item}'"
                ))
            })
        })
        .collect()
}

impl Config {
    /// Whether people reach the page through TLS: as `BASE_URL` says, else as the server itself speaks it.
    /// Then cookies travel through nothing else.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        match &self.base_url {
            Some(url) => url.starts_with("https://"),
            None => self.tls.is_some(),
        }
    }

    /// Whether `address` is a proxy that is believed when it says who asks.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    }
}
