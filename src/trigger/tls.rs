//! TLS for connections to servers: whom to trust, and who we say we are.
//! What reads PEM is also for the certificate that windsock itself serves with.
//!
//! `connector` asks for a configuration per connection. Triggers without settings of their own share one,
//! triggers with the same settings share theirs. Private keys are never shown.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject as _},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use crate::types::Invalid;

/// TLS settings of one trigger. All are PEM texts; what is left out is as usual.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TlsSettings {
    /// Certificates of authorities to trust besides the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// The certificate (with its chain) that windsock shows to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_pem: Option<String>,
    /// The private key of `client_cert_pem`, not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_pem: Option<String>,
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("ca_pem", &self.ca_pem.is_some())
            .field("client_cert_pem", &self.client_cert_pem.is_some())
            .finish_non_exhaustive()
    }
}

impl TlsSettings {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the settings can be used, for a check at save.
    ///
    /// # Errors
    /// Names the field (`tls.ca_pem` …) and what is wrong with it.
    pub fn check(&self) -> Result<(), Invalid> {
        self.build(&Arc::new(RootCertStore::empty())).map(drop)
    }

    fn build(&self, usual: &Arc<RootCertStore>) -> Result<ClientConfig, Invalid> {
        let roots = match &self.ca_pem {
            None => Arc::clone(usual),
            Some(pem) => Arc::new(with_authorities(usual, pem)?),
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Invalid(format!("tls: {error}")))?
            .with_root_certificates(roots);
        let mut config = match (&self.client_cert_pem, &self.client_key_pem) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(
                    certificates("tls.client_cert_pem", cert)?,
                    private_key("tls.client_key_pem", key)?,
                )
                .map_err(|error| {
                    Invalid(format!(
                        "tls.client_key_pem: does not go with tls.client_cert_pem ({error})"
                    ))
                })?,
            (Some(_), None) => {
                return Err(Invalid(
                    "tls.client_key_pem: missing; tls.client_cert_pem needs its private key"
                        .to_owned(),
                ));
            }
            (None, Some(_)) => {
                return Err(Invalid(
                    "tls.client_cert_pem: missing; tls.client_key_pem needs its certificate"
                        .to_owned(),
                ));
            }
        };
        // A server that has HTTP/2 too would take it, and its WebSockets are not ours.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// What makes two settings the same; the parts' lengths keep them apart.
    fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&self.ca_pem, &self.client_cert_pem, &self.client_key_pem] {
            let text = part.as_deref().unwrap_or_default();
            hash.update([u8::from(part.is_some())]);
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
        hash.finalize().into()
    }
}

/// The TLS configurations of one process.
#[derive(Default)]
pub struct TlsConfigs {
    usual: OnceCell<(Arc<RootCertStore>, Arc<ClientConfig>)>,
    /// Of settings in use. Weak: what no connection holds is freed, so live connections bound the map.
    own: Mutex<HashMap<[u8; 32], Weak<ClientConfig>>>,
}

impl fmt::Debug for TlsConfigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfigs").finish_non_exhaustive()
    }
}

impl TlsConfigs {
    /// The configuration for these settings. The first call reads the machine's certificates, on a thread
    /// that may block.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub async fn get(&self, settings: Option<&TlsSettings>) -> Result<Arc<ClientConfig>, Invalid> {
        let (roots, usual) = self.usual.get_or_try_init(load_usual).await?;
        let Some(settings) = settings.filter(|settings| !settings.is_usual()) else {
            return Ok(Arc::clone(usual));
        };
        let key = settings.fingerprint();
        if let Some(config) = self.own.lock().get(&key).and_then(Weak::upgrade) {
            return Ok(config);
        }
        let config = Arc::new(settings.build(roots)?);
        let mut own = self.own.lock();
        own.retain(|_, config| config.strong_count() > 0);
        own.insert(key, Arc::downgrade(&config));
        Ok(config)
    }
}

async fn load_usual() -> Result<(Arc<RootCertStore>, Arc<ClientConfig>), Invalid> {
    let roots = tokio::task::spawn_blocking(usual_roots)
        .await
        .map_err(|error| {
            Invalid(format!(
                "tls: the trusted certificates were not loaded ({error})"
            ))
        })?;
    let roots = Arc::new(roots);
    let config = Arc::new(TlsSettings::default().build(&roots)?);
    Ok((roots, config))
}

/// The machine's trusted authorities; Mozilla's list, compiled in, on a machine that has none.
fn usual_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(native.certs);
    if added == 0 {
        log::info!("no trusted certificates on this machine: using the built-in ones");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// Always ring, named explicitly: a process-wide default may be unset, or somebody else's.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn with_authorities(usual: &RootCertStore, text: &str) -> Result<RootCertStore, Invalid> {
    let mut roots = usual.clone();
    for certificate in certificates("tls.ca_pem", text)? {
        roots
            .add(certificate)
            .map_err(|error| Invalid(format!("tls.ca_pem: not a usable certificate ({error})")))?;
    }
    Ok(roots)
}

/// The certificates of a PEM text, one or more; `field` is how its owner calls it.
///
/// # Errors
/// There is none, or the text is not PEM.
pub(crate) fn certificates(
    field: &str,
    text: &str,
) -> Result<Vec<CertificateDer<'static>>, Invalid> {
    let expected = "expected text with -----BEGIN CERTIFICATE-----";
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Invalid(format!("{field}: not valid PEM; {expected}")))?;
    if certificates.is_empty() {
        return Err(Invalid(format!(
            "{field}: holds no certificate; {expected}"
        )));
    }
    Ok(certificates)
}

/// The private key of a PEM text; `field` is how its owner calls it.
///
/// # Errors
/// There is none that can be used.
pub(crate) fn private_key(field: &str, text: &str) -> Result<PrivateKeyDer<'static>, Invalid> {
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| {
        let reason = match error {
            _ if text.contains("ENCRYPTED") => {
                "the key is encrypted; give it without a passphrase (openssl pkey -in key.pem)"
            }
            pem::Error::NoItemsFound => {
                "holds no private key; expected text with -----BEGIN PRIVATE KEY-----"
            }
            _ => "not valid PEM; expected text with -----BEGIN PRIVATE KEY-----",
        };
        Invalid(format!("{field}: {reason}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn bad_settings_name_their_field() {
        let ((cert, key), (_, other_key)) = (pair(), pair());
        let s = |text: &str| Some(text.to_owned());
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let locked =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (ca, client, secret, expected) in [
            (None, None, None, None),
            (s(&cert), None, None, None),
            (s(&cert), s(&cert), s(&key), None),
            (
                s("hello"),
                None,
                None,
                Some("tls.ca_pem: holds no certificate"),
            ),
            (s(""), None, None, Some("tls.ca_pem: holds no certificate")),
            (
                s(garbage),
                None,
                None,
                Some("tls.ca_pem: not a usable certificate"),
            ),
            (None, s(&cert), None, Some("tls.client_key_pem: missing")),
            (None, None, s(&key), Some("tls.client_cert_pem: missing")),
            (
                None,
                s(&key),
                s(&key),
                Some("tls.client_cert_pem: holds no certificate"),
            ),
            (
                None,
                s(&cert),
                s(&cert),
                Some("tls.client_key_pem: holds no private key"),
            ),
            (
                None,
                s(&cert),
                s(locked),
                Some("tls.client_key_pem: the key is encrypted"),
            ),
            (
                None,
                s(&cert),
                s(&other_key),
                Some("tls.client_key_pem: does not go with"),
            ),
        ] {
            let settings = TlsSettings {
                ca_pem: ca,
                client_cert_pem: client,
                client_key_pem: secret,
            };
            let outcome = settings.check().map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(outcome, Ok(())),
                Some(start) => assert!(
                    outcome.clone().unwrap_err().starts_with(start),
                    "{start}: {outcome:?}"
                ),
            }
        }
    }

    #[actix::test]
    async fn configurations_are_shared_and_freed() {
        let configs = TlsConfigs::default();
        let usual = configs.get(None).await.unwrap();
        assert!(Arc::ptr_eq(
            &usual,
            &configs.get(Some(&TlsSettings::default())).await.unwrap()
        ));
        assert_eq!(usual.alpn_protocols, [b"http/1.1"]);

        let with_ca = || TlsSettings {
            ca_pem: Some(pair().0),
            ..TlsSettings::default()
        };
        let (a, b) = (with_ca(), with_ca());
        let first = configs.get(Some(&a)).await.unwrap();
        assert!(Arc::ptr_eq(
            &first,
            &configs.get(Some(&a.clone())).await.unwrap()
        ));
        let second = configs.get(Some(&b)).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        drop((first, second));
        drop(configs.get(Some(&a)).await.unwrap());
        assert_eq!(configs.own.lock().len(), 1, "settings nobody uses are kept");
    }

    #[test]
    fn keys_are_not_shown() {
        let (cert, key) = pair();
        let shown = format!(
            "{:?}",
            TlsSettings {
                ca_pem: None,
                client_cert_pem: Some(cert),
                client_key_pem: Some(key)
            }
        );
        assert!(!shown.contains("BEGIN"), "{shown}");
    }
}
