//! Small files that a configuration names: certificates, authorities, tokens. Never more of one than
//! fits, whatever lies there.
//!
//! Errors say what is wrong with the file; the caller says which file it was for.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Largest PEM file read: a system's whole list of authorities is a few hundred kibibytes.
pub(crate) const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A file of no more than `limit` bytes.
pub(crate) fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > limit {
        return Err(format!("it is larger than {limit} bytes"));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}

/// The certificates of a PEM file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = bytes(path, PEM_BYTES_MAX)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(found)
}

/// The authorities of a PEM file, and no others.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}
