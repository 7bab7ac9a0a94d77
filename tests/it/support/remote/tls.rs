//! Certificates of the test's own making.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::wire::Socket;

pub type Acceptor = TlsAcceptor;

impl Socket for TlsStream<tokio::net::TcpStream> {
    fn close_by_reset(&self) {
        self.get_ref().0.close_by_reset();
    }
}

/// Somebody whom nobody trusts unless told to.
pub struct Authority {
    certificate: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "a test's own authority");
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    /// Its certificate, for whoever is to trust it.
    pub fn write(&self, path: &Path) {
        std::fs::write(path, &self.certificate).expect("a file");
    }

    pub(super) fn acceptor(&self) -> Acceptor {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .expect("a configuration");
        TlsAcceptor::from(Arc::new(config))
    }
}
