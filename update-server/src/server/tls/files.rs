//! The files of one set: read with a bound, checked together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use signing::Sha256Digest;

use crate::config::{ClientCertificates, TlsSettings};

/// Certificates of one chain; real ones have two or three.
const CHAIN_MAX: usize = 16;
/// Authorities of clients; a fleet has a few.
const AUTHORITIES_MAX: usize = 256;
/// Largest PEM file in bytes: room for all of those.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// Files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("failed to read {path}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is no such thing.
    #[error("{path} is not usable: {why}", path = path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Certificate and key are not of each other.
    #[error(
        "{cert} and {key} do not belong together: {why}",
        cert = cert.display(), key = key.display()
    )]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What says so.
        why: String,
    },
    /// The cryptographic provider takes none of the protocol versions.
    #[error("failed to set TLS up")]
    Provider(#[source] rustls::Error),
}

type File = Result<Vec<u8>, std::io::Error>;

/// The files as they are, unchecked.
pub(super) struct Read {
    cert: File,
    key: File,
    client_ca: Option<File>,
}

/// A checked set.
pub(super) struct Set {
    pub(super) certified: CertifiedKey,
    pub(super) clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Read {
    /// Reads all of them.
    pub(super) fn of(settings: &TlsSettings) -> Self {
        Self {
            cert: bytes(&settings.cert),
            key: bytes(&settings.key),
            client_ca: settings.client_ca.as_deref().map(bytes),
        }
    }

    /// Equal exactly if all files are, or fail alike.
    pub(super) fn fingerprint(&self) -> Sha256Digest {
        let files = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()];
        let digests: Vec<String> = files
            .into_iter()
            .flatten()
            .map(|file| match file {
                Ok(bytes) => Sha256Digest::of(bytes).to_string(),
                Err(error) => error.to_string(),
            })
            .collect();
        Sha256Digest::of(digests.join("\n").as_bytes())
    }

    /// Whether they can be used together.
    pub(super) fn check(self, settings: &TlsSettings) -> Result<Set, TlsError> {
        let (cert, key) = (&settings.cert, &settings.key);
        let chain = certificates(cert, self.cert, CHAIN_MAX)?;
        let private = PrivateKeyDer::from_pem_slice(&opened(key, self.key)?)
            .map_err(|error| content(key, error.to_string()))?;
        let certified =
            CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|error| {
                TlsError::Pair { cert: cert.clone(), key: key.clone(), why: error.to_string() }
            })?;
        let clients = match (&settings.client_ca, self.client_ca) {
            (Some(path), Some(file)) => Some(verifier(path, file, settings.clients)?),
            (None, _) | (_, None) => None,
        };
        Ok(Set { certified, clients })
    }
}

fn bytes(path: &Path) -> File {
    let size = std::fs::metadata(path)?.len();
    if size > PEM_BYTES_MAX {
        let why = format!("it has more than {PEM_BYTES_MAX} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    std::fs::read(path)
}

fn opened(path: &Path, file: File) -> Result<Vec<u8>, TlsError> {
    file.map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn content(path: &Path, why: String) -> TlsError {
    TlsError::Content { path: path.to_owned(), why }
}

fn certificates(
    path: &Path,
    file: File,
    max: usize,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = opened(path, file)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .take(max + 1)
        .collect::<Result<_, _>>()
        .map_err(|error| content(path, error.to_string()))?;
    if found.is_empty() {
        return Err(content(path, "it holds no certificate".to_owned()));
    }
    if found.len() > max {
        return Err(content(path, format!("it holds more than {max} certificates")));
    }
    Ok(found)
}

fn verifier(
    path: &Path,
    file: File,
    asked: ClientCertificates,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, file, AUTHORITIES_MAX)? {
        roots.add(certificate).map_err(|error| content(path, error.to_string()))?;
    }
    let provider = Arc::new(ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match asked {
        ClientCertificates::Required => builder,
        ClientCertificates::Requested => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| content(path, error.to_string()))
}
