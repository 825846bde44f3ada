//! Whose serving certificates are believed: authorities of a file, or nobody is asked.

use std::path::Path;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::scrape::ScrapeError;

/// Largest file of certificates.
const CA_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The authorities of a PEM file, and no others.
///
/// # Errors
/// [`ScrapeError::Credentials`] for a file that cannot be read, is too large, or holds none.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, ScrapeError> {
    let refused = |why: String| ScrapeError::Credentials { path: path.to_owned(), why };
    let pem = small_file(path, CA_BYTES_MAX)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| refused(e.to_string()))?;
        roots.add(certificate).map_err(|e| refused(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refused("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

/// A file of no more than `limit` bytes.
pub(super) fn small_file(path: &Path, limit: u64) -> Result<Vec<u8>, ScrapeError> {
    let refused = |why: String| ScrapeError::Credentials { path: path.to_owned(), why };
    let size = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
    if size > limit {
        return Err(refused(format!("it is larger than {limit} bytes")));
    }
    std::fs::read(path).map_err(|error| refused(error.to_string()))
}

/// Believes whoever answers, as the owner asked for kubelets whose certificates nobody signed.
#[derive(Debug)]
pub(super) struct Anybody {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Anybody {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
