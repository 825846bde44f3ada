//! TLS to Kafka servers: authorities and identity from files, `ring` underneath.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;

use super::error::KafkaError;
use super::settings::{Address, TlsSettings};
use crate::pem;

/// Reads the files.
pub(super) fn connector(settings: &TlsSettings) -> Result<TlsConnector, KafkaError> {
    let ca_file = &settings.ca_file;
    let roots = pem::authorities(ca_file).map_err(|why| refused(ca_file, why))?;
    let setup = |e: rustls::Error| KafkaError::TlsSetup { why: e.to_string() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .with_root_certificates(roots);
    let config = match &settings.client {
        None => builder.with_no_client_auth(),
        Some((cert_file, key_file)) => {
            let key = pem::bytes(key_file, pem::PEM_BYTES_MAX);
            let key = key.map_err(|why| refused(key_file, why))?;
            let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| refused(key_file, e))?;
            let chain = pem::certificates(cert_file).map_err(|why| refused(cert_file, why))?;
            builder.with_client_auth_cert(chain, key).map_err(setup)?
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

fn refused(path: &Path, why: impl std::fmt::Display) -> KafkaError {
    KafkaError::TlsFile { path: path.to_owned(), why: why.to_string() }
}
