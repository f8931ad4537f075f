//! [`Authority`]: certificates of the test's own making, for servers and for clients.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tempfile::TempDir;

/// A certificate authority nobody else knows.
pub struct Authority {
    ca: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// A new one, with a folder for the files of programs that want them.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name is wrong");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let ca = CertifiedIssuer::self_signed(params, key).expect("it signs itself");
        let folder = TempDir::with_prefix("windsock-tls-").expect("a temporary folder can be made");
        Self { ca, folder }
    }

    /// Its own certificate.
    pub fn ca_pem(&self) -> String {
        self.ca.pem()
    }

    /// A file with its own certificate.
    pub fn ca_file(&self) -> String {
        self.write("ca", &self.ca_pem())
    }

    /// A certificate for `name`, a host or a client, and its key.
    pub fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        // A name of its own: OpenSSL takes a certificate that is named like its issuer for a self-signed one.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let cert = params.signed_by(&key, &self.ca).expect("it signs");
        (cert.pem(), key.serialize_pem())
    }

    /// [`Self::issue`] as two files.
    pub fn files(&self, name: &str) -> (String, String) {
        let (cert, key) = self.issue(name);
        let file = |kind: &str, text: &str| self.write(&format!("{name}.{kind}"), text);
        (file("cert", &cert), file("key", &key))
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the folder can be written");
        path.to_str().expect("a plain path").to_owned()
    }
}

/// TLS of a client that trusts one authority alone.
pub fn trusting(ca_pem: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("a certificate");
    roots.add(ca).expect("an authority");
    ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
