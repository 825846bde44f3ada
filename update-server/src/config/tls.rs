//! Settings of the hub's own TLS.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;

/// Whether a client must show a certificate of `client_ca`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// No connection without one.
    #[default]
    Required,
    /// One that is shown must be good; none is fine.
    Requested,
}

/// `[tls]` as a person may write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFragments {
    /// PEM file: the hub's certificate, then the rest of its chain.
    pub cert: Option<PathBuf>,
    /// PEM file: the certificate's private key.
    pub key: Option<PathBuf>,
    /// PEM file: the authorities that sign clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients must show one.
    pub client_certificates: Option<ClientCertificates>,
}

/// TLS with what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file of the chain, the hub's own certificate first.
    pub cert: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
    /// PEM file of the authorities of clients; without it no client is asked.
    pub client_ca: Option<PathBuf>,
    /// Whether clients must show a certificate, where there is `client_ca`.
    pub clients: ClientCertificates,
}

impl TlsFragments {
    /// This source's values, and `under`'s where this one is silent.
    #[must_use]
    pub(super) fn over(self, under: Self) -> Self {
        Self {
            cert: self.cert.or(under.cert),
            key: self.key.or(under.key),
            client_ca: self.client_ca.or(under.client_ca),
            client_certificates: self.client_certificates.or(under.client_certificates),
        }
    }

    /// TLS, or none where nothing of it is set.
    pub(super) fn settings(self) -> Result<Option<TlsSettings>, ConfigError> {
        if self == Self::default() {
            return Ok(None);
        }
        let missing = |needed, because| ConfigError::Needs { needed, because };
        let (Some(cert), Some(key)) = (self.cert, self.key) else {
            return Err(missing("tls.cert and tls.key", "TLS takes both"));
        };
        if self.client_certificates.is_some() && self.client_ca.is_none() {
            return Err(missing("tls.client_ca", "tls.client_certificates is set"));
        }
        let clients = self.client_certificates.unwrap_or_default();
        Ok(Some(TlsSettings { cert, key, client_ca: self.client_ca, clients }))
    }
}
