//! TLS to Kafka servers: authorities and identity from files, `ring` underneath.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::error::KafkaError;
use super::settings::{Address, TlsSettings};

/// Largest PEM file read: a system's whole list of authorities is a few hundred kibibytes.
const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads the files.
pub(super) fn connector(settings: &TlsSettings) -> Result<TlsConnector, KafkaError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&settings.ca_file)? {
        roots.add(certificate).map_err(|e| refused(&settings.ca_file, e))?;
    }
    let setup = |e: rustls::Error| KafkaError::TlsSetup { why: e.to_string() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .with_root_certificates(roots);
    let config = match &settings.client {
        None => builder.with_no_client_auth(),
        Some((cert_file, key_file)) => {
            let key = PrivateKeyDer::from_pem_slice(&bytes(key_file)?)
                .map_err(|e| refused(key_file, e))?;
            builder.with_client_auth_cert(certificates(cert_file)?, key).map_err(setup)?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The name a server's certificate must have.
pub(super) fn server_name(
    settings: &TlsSettings,
    address: &Address,
) -> Result<ServerName<'static>, KafkaError> {
    let name = settings.server_name.as_deref().unwrap_or(address.host());
    ServerName::try_from(name.to_owned())
        .map_err(|e| KafkaError::TlsSetup { why: format!("{name:?} is not a server's name: {e}") })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, KafkaError> {
    let bytes = bytes(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|e| refused(path, e))?;
    if found.is_empty() {
        return Err(refused(path, "it holds no certificate"));
    }
    Ok(found)
}

fn bytes(path: &Path) -> Result<Vec<u8>, KafkaError> {
    let size = std::fs::metadata(path).map_err(|e| refused(path, e))?.len();
    if size > PEM_BYTES_MAX {
        return Err(refused(path, "it is larger than 4 MiB"));
    }
    std::fs::read(path).map_err(|e| refused(path, e))
}

fn refused(path: &Path, why: impl std::fmt::Display) -> KafkaError {
    KafkaError::TlsFile { path: path.to_owned(), why: why.to_string() }
}
