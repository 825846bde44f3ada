//! Certificate and key of the registry.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::ServeError;

/// Certificates of one chain; real ones have two or three.
const CHAIN_MAX: usize = 16;
/// Longest PEM file in bytes.
const PEM_BYTES_MAX: u64 = 256 * 1024;

/// Reads a chain, the registry's own certificate first, and its key, both PEM.
pub(super) fn config(cert: &Path, key: &Path) -> Result<ServerConfig, ServeError> {
    let refuse = |path: &Path, why: String| ServeError::Tls { path: path.to_owned(), why };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&read(cert)?).take(CHAIN_MAX).collect();
    let chain = chain.map_err(|error| refuse(cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(refuse(cert, "it holds no certificate".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|error| refuse(key, error.to_string()))?;
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| refuse(key, format!("it does not fit {}: {error}", cert.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, ServeError> {
    let refuse = |why: String| ServeError::Tls { path: path.to_owned(), why };
    let meta = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if meta.len() > PEM_BYTES_MAX {
        return Err(refuse(format!("it has more than {PEM_BYTES_MAX} bytes")));
    }
    std::fs::read(path).map_err(|error| refuse(error.to_string()))
}
