//! [`Certificate`]: what windsock serves https with. Read at the start, and again when its files have changed, so that
//! a renewal needs no restart. A pair that cannot be used, such as one half written, leaves the one before in use.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{
    config::TlsFiles,
    trigger::tls::{certificates, private_key, provider},
    types::Invalid,
};

const CERT: &str = "--tls-cert (TLS_CERT)";
const KEY: &str = "--tls-key (TLS_KEY)";
/// How often the files are looked at; certificates are renewed days before they end.
const LOOK: Duration = Duration::from_secs(5);

/// The certificate in use, and the files it comes from.
#[derive(Debug)]
pub(super) struct Certificate {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
}

/// What tells one state of a file from another: also a file put in its place within the same second.
type Mark = (Option<SystemTime>, u64, u64);

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the flag of the file that cannot be used, and why.
    pub(super) fn load(files: &TlsFiles) -> Result<Self, Invalid> {
        Ok(Self {
            files: files.clone(),
            current: RwLock::new(Arc::new(read(files)?)),
        })
    }

    /// The settings of connections: TLS 1.2 and 1.3, no certificates of clients.
    ///
    /// # Errors
    /// The library knows none of these versions.
    pub(super) fn settings(self: &Arc<Self>) -> Result<ServerConfig, Invalid> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Invalid(format!("{CERT}: {error}")))?;
        let resolver: Arc<dyn ResolvesServerCert> = self.clone();
        Ok(builder.with_no_client_auth().with_cert_resolver(resolver))
    }

    /// Looks at the files again and again, and takes what they hold when they have changed.
    pub(super) async fn keep_fresh(self: Arc<Self>) {
        let mut known = None;
        loop {
            let own = self.clone();
            let looked = actix_rt::task::spawn_blocking(move || own.look(known)).await;
            known = looked.ok().or(known);
            actix_rt::time::sleep(LOOK).await;
        }
    }

    /// Reads the files if they are not as they were; answers how they are. A first look reads them in any case:
    /// they may have changed since the start.
    fn look(&self, known: Option<[Mark; 2]>) -> [Mark; 2] {
        // Before they are read: what changes meanwhile is seen at the next look.
        let found = [mark(&self.files.cert), mark(&self.files.key)];
        if known == Some(found) {
            return found;
        }
        match read(&self.files) {
            Ok(fresh) if fresh.cert == self.current.read().cert => {}
            Ok(fresh) => {
                *self.current.write() = Arc::new(fresh);
                log::info!("the certificate has changed: new connections get the new one");
            }
            Err(error) => {
                log::warn!(
                    "the certificate has changed and cannot be used, the old one stays: {error}"
                );
            }
        }
        found
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

fn mark(file: &Path) -> Mark {
    fs::metadata(file).map_or((None, 0, 0), |found| {
        (found.modified().ok(), found.len(), found.ino())
    })
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, Invalid> {
    let text = |flag: &str, file: &Path| {
        fs::read_to_string(file).map_err(|error| {
            Invalid(format!(
                "{flag}: {} cannot be read: {error}; name a PEM file that this user may read",
                file.display()
            ))
        })
    };
    let chain = certificates(CERT, &text(CERT, &files.cert)?)?;
    let key = private_key(KEY, &text(KEY, &files.key)?)?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
        Invalid(format!(
            "{KEY}: does not go with the first certificate of {CERT} ({error}); give the key it was made with"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(files: &TlsFiles, (cert, key): &(String, String)) {
        fs::write(&files.cert, cert).unwrap();
        fs::write(&files.key, key).unwrap();
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn files_that_cannot_be_used_name_their_flag() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            cert: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        let ((cert, key), (_, other)) = (pair(), pair());
        let error = || Certificate::load(&files).unwrap_err().0;
        assert!(
            error().starts_with("--tls-cert (TLS_CERT): "),
            "{}",
            error()
        );
        for (pair, flag) in [
            ((String::new(), key.clone()), CERT),
            ((key.clone(), key.clone()), CERT),
            ((cert.clone(), cert.clone()), KEY),
            ((cert.clone(), other), KEY),
        ] {
            write(&files, &pair);
            assert!(error().starts_with(flag), "{}", error());
        }
        write(&files, &(cert, key));
        assert!(Certificate::load(&files).is_ok());
    }

    #[test]
    fn a_renewed_pair_is_taken_and_half_a_pair_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            cert: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        write(&files, &pair());
        let certificate = Certificate::load(&files).unwrap();
        let current = || certificate.current.read().cert.clone();
        let first = current();
        let known = certificate.look(None);
        assert_eq!(current(), first);
        let renewed = pair();
        fs::write(&files.cert, format!("{}\n", renewed.0)).unwrap();
        let half = certificate.look(Some(known));
        assert_eq!(current(), first, "half a pair is not taken");
        fs::write(&files.key, format!("{}\n", renewed.1)).unwrap();
        assert_ne!(certificate.look(Some(half)), half);
        assert_ne!(current(), first);
    }
}
