//! The hub's own TLS: certificate, key and client authorities out of files, taken anew when the
//! files change.
//!
//! A new set is taken as a whole or not at all: a certificate without its key, or a file that is
//! half written, leaves the old set in force. Connections that stand keep what they began with.

mod clients;
mod expiry;
mod files;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use signing::Sha256Digest;

use crate::config::{ClientCertificates, TlsSettings};
use clients::ClientAuthority;
pub use files::TlsError;

/// Until when a certificate in DER is good; `None` for what cannot be read. Nothing is verified.
pub fn certificate_ends(certificate: &[u8]) -> Option<Timestamp> {
    expiry::of(certificate)
}

/// The certificate that new connections are shown.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// What a look at the files brought.
#[derive(Debug)]
pub(super) enum Reload {
    /// They are as they were.
    Unchanged,
    /// New connections get the new set.
    Taken,
    /// They changed and cannot be used; the old set stays.
    Refused(TlsError),
}

/// The set in force, and which files it is from.
#[derive(Debug)]
pub(super) struct Tls {
    settings: TlsSettings,
    shown: Arc<Shown>,
    clients: Option<Arc<ClientAuthority>>,
    /// Of the files at the last look, good or not: each bad set is told of once.
    seen: Sha256Digest,
}

impl Tls {
    /// Reads the files; at the start there is no old set to go on with.
    pub(super) fn open(settings: &TlsSettings) -> Result<Self, TlsError> {
        let read = files::Read::of(settings);
        let seen = read.fingerprint();
        let set = read.check(settings)?;
        Ok(Self {
            settings: settings.clone(),
            shown: Arc::new(Shown(ArcSwap::from_pointee(set.certified))),
            clients: set
                .clients
                .map(|verifier| Arc::new(ClientAuthority::new(verifier, settings.clients))),
            seen,
        })
    }

    /// What the HTTP server is given; follows every later [`Tls::reload`].
    pub(super) fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?;
        let resolver = Arc::clone(&self.shown);
        let Some(clients) = &self.clients else {
            return Ok(builder.with_no_client_auth().with_cert_resolver(resolver));
        };
        let verifier: Arc<dyn ClientCertVerifier> = clients.clone();
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
        // A resumed session would go on under an authority that was taken away since.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    /// Looks at the files and takes them over if they changed and are good. Blocks on the disk.
    pub(super) fn reload(&mut self) -> Reload {
        let read = files::Read::of(&self.settings);
        let found = read.fingerprint();
        if found == self.seen {
            return Reload::Unchanged;
        }
        self.seen = found;
        match read.check(&self.settings) {
            Ok(set) => {
                if let (Some(clients), Some(verifier)) = (&self.clients, set.clients) {
                    clients.take(verifier);
                }
                self.shown.0.store(Arc::new(set.certified));
                Reload::Taken
            }
            Err(error) => Reload::Refused(error),
        }
    }

    /// When the first certificate of the chain that is shown expires.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.shown.0.load().cert.iter().filter_map(|certificate| expiry::of(certificate)).min()
    }

    /// How clients prove themselves, for the log.
    pub(super) fn clients(&self) -> &'static str {
        match (&self.clients, self.settings.clients) {
            (None, _) => "not asked",
            (Some(_), ClientCertificates::Required) => "required",
            (Some(_), ClientCertificates::Requested) => "requested",
        }
    }
}
