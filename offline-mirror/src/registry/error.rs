//! What can go wrong at a registry, each with what, where and what to do.
//!
//! No variant holds a credential, a token or a URL's query: storage behind a registry signs those.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use signing::Attack;

use crate::oci::{Digest, ManifestError};

/// Longest text of a registry that is repeated to a person.
const SAID_CHARS_MAX: usize = 300;

/// Failure of a request to a registry, or of getting ready for one. `what` always says the blob or
/// manifest with registry and repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The HTTP client for a registry cannot be set up.
    #[error("registry {registry}: cannot set up HTTP")]
    Setup {
        /// Host and port.
        registry: String,
        /// What the HTTP client said.
        #[source]
        source: reqwest::Error,
    },
    /// The configuration of a registry contradicts itself or names something unusable.
    #[error("registry {registry}: {why}")]
    Configuration {
        /// Host and port.
        registry: String,
        /// What is wrong.
        why: String,
    },
    /// A file named by the configuration cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A credential file or helper is there and does not work.
    #[error("registry {registry}: credentials from {origin}: {why}")]
    Credentials {
        /// Host and port.
        registry: String,
        /// Which file or helper.
        origin: String,
        /// What is wrong.
        why: String,
    },
    /// The registry refuses what we presented, or wants something we do not have.
    #[error("{what}: not authorised with {tried}{said}")]
    Unauthorised {
        /// What was asked for.
        what: String,
        /// Which credentials were presented, without their values.
        tried: String,
        /// The registry's own words, with a separator in front; empty for none.
        said: String,
    },
    /// The registry sends us to sign in at a place that may not have our credentials.
    #[error("registry {registry} asks to sign in at {realm}, which may not have its credentials")]
    Realm {
        /// Host and port.
        registry: String,
        /// Scheme and host of the realm.
        realm: String,
    },
    /// The registry does not have it.
    #[error("{what}: not found{said}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// The registry's own words.
        said: String,
    },
    /// An answer that is neither success nor anything named here.
    #[error("{what}: the registry answered HTTP {status}{said}")]
    Status {
        /// What was asked for.
        what: String,
        /// HTTP status.
        status: u16,
        /// The registry's own words.
        said: String,
    },
    /// Too many requests, and waiting as long as asked did not help or would take too long.
    #[error("{what}: the registry limits how often it may be asked{}", asked(*retry_after_s))]
    RateLimited {
        /// What was asked for.
        what: String,
        /// Seconds it asked to wait, where it said.
        retry_after_s: Option<u64>,
    },
    /// The connection failed or broke off, as often as it was tried.
    #[error("{what}: the connection failed")]
    Connection {
        /// What was asked for.
        what: String,
        /// What the HTTP client said, without the URL.
        #[source]
        source: reqwest::Error,
    },
    /// The other side neither sends nor takes anything, as often as it was tried.
    #[error("{what}: silence for {waited_ms} ms")]
    Silent {
        /// What was asked for.
        what: String,
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// The answer ended early, as often as it was tried.
    #[error("{what}: the answer ends after {received} of {expected} bytes")]
    Short {
        /// What was asked for.
        what: String,
        /// Bytes that should have come in all.
        expected: u64,
        /// Bytes that came in all.
        received: u64,
    },
    /// The registry's certificate is not trusted, or it does not trust ours.
    #[error("{what}: TLS refused")]
    Certificate {
        /// What was asked for.
        what: String,
        /// What the TLS stack said.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that breaks the protocol.
    #[error("{what}: {why}")]
    Protocol {
        /// What was asked for.
        what: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// A redirect or upload location that is not followed.
    #[error("{what}: not following to {to}: {why}")]
    Redirect {
        /// What was asked for.
        what: String,
        /// Scheme, host and port of the target.
        to: String,
        /// Why not.
        why: &'static str,
    },
    /// Bytes do not have the digest that was asked for.
    #[error("{what}: expected {expected}, found {found}")]
    Digest {
        /// What was asked for.
        what: String,
        /// As asked for, or as the registry claims for a tag.
        expected: Digest,
        /// Of the bytes that came.
        found: Digest,
    },
    /// The registry offers something of another length.
    #[error("{what}: expected {expected} bytes, the registry has {found}")]
    Size {
        /// What was asked for.
        what: String,
        /// From the descriptor.
        expected: u64,
        /// As the registry says.
        found: u64,
    },
    /// A manifest is served as something else than it says it is.
    #[error("{what}: it is a {declared} and served as {served:?}")]
    MediaType {
        /// What was asked for.
        what: String,
        /// What the document says.
        declared: String,
        /// What the answer says.
        served: String,
    },
    /// Bytes that are no manifest we follow.
    #[error("{what}: cannot be followed")]
    Manifest {
        /// What was asked for.
        what: String,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// More bytes, pages or entries than declared or allowed.
    #[error("{what}: the registry sends more than {limit} {unit}")]
    Endless {
        /// What was asked for.
        what: String,
        /// The most that was allowed.
        limit: u64,
        /// `bytes`, `pages`, …
        unit: &'static str,
    },
    /// Too few bytes per second to ever finish.
    #[error("{what}: {received} bytes in {waited_ms} ms of waiting")]
    Slow {
        /// What was asked for.
        what: String,
        /// Bytes received within the window.
        received: u64,
        /// Time waited for them.
        waited_ms: u64,
    },
    /// What came in could not be kept.
    #[error("{what}: cannot keep what was received")]
    Sink {
        /// What was asked for.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What should go out could not be read.
    #[error("{what}: cannot read what should be sent")]
    Source {
        /// What was to be pushed.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The registry does not offer the operation (deleting, for one), or it is switched off there.
    #[error("{what}: the registry does not allow it{said}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// The registry's own words.
        said: String,
    },
}

fn asked(retry_after_s: Option<u64>) -> String {
    retry_after_s.map(|s| format!(", again in {s} s")).unwrap_or_default()
}

impl RegistryError {
    /// Names a failure of the HTTP client.
    pub(super) fn connection(what: &str, source: reqwest::Error) -> Self {
        let (what, source) = (what.to_owned(), source.without_url());
        if is_certificate(&source) {
            Self::Certificate { what, source }
        } else {
            Self::Connection { what, source }
        }
    }

    /// Names silence.
    pub(super) fn silent(what: &str, waited: Duration) -> Self {
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        Self::Silent { what: what.to_owned(), waited_ms }
    }

    /// The attack this failure would be, if it is one.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Digest { .. } | Self::Size { .. } => Some(Attack::ArbitrarySoftware),
            Self::Endless { .. } => Some(Attack::EndlessData),
            Self::Slow { .. } => Some(Attack::SlowRetrieval),
            Self::MediaType { .. } => Some(Attack::WrongSoftware),
            Self::Setup { .. }
            | Self::Configuration { .. }
            | Self::File { .. }
            | Self::Credentials { .. }
            | Self::Unauthorised { .. }
            | Self::Realm { .. }
            | Self::NotFound { .. }
            | Self::Status { .. }
            | Self::RateLimited { .. }
            | Self::Connection { .. }
            | Self::Silent { .. }
            | Self::Short { .. }
            | Self::Certificate { .. }
            | Self::Protocol { .. }
            | Self::Redirect { .. }
            | Self::Manifest { .. }
            | Self::Sink { .. }
            | Self::Source { .. }
            | Self::Unsupported { .. } => None,
        }
    }

    /// Whether something was looked at and refused (exit 1), rather than not got at (exit 2).
    pub fn is_refusal(&self) -> bool {
        self.attack().is_some()
            || matches!(self, Self::Manifest { .. } | Self::Realm { .. } | Self::Redirect { .. })
    }

    /// Whether the same request may succeed later, with nothing changed by a person.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connection { .. }
            | Self::Silent { .. }
            | Self::Short { .. }
            | Self::RateLimited { .. }
            | Self::Slow { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 408,
            Self::Setup { .. }
            | Self::Configuration { .. }
            | Self::File { .. }
            | Self::Credentials { .. }
            | Self::Unauthorised { .. }
            | Self::Realm { .. }
            | Self::NotFound { .. }
            | Self::Certificate { .. }
            | Self::Protocol { .. }
            | Self::Redirect { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::MediaType { .. }
            | Self::Manifest { .. }
            | Self::Endless { .. }
            | Self::Sink { .. }
            | Self::Source { .. }
            | Self::Unsupported { .. } => false,
        }
    }

    /// Whether a registry was asked and this is what it has to say, so that asking again says the
    /// same. Otherwise nobody knows whether it has what was asked for.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Unauthorised { .. }
            | Self::NotFound { .. }
            | Self::Protocol { .. }
            | Self::Redirect { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::MediaType { .. }
            | Self::Manifest { .. }
            | Self::Endless { .. }
            | Self::Unsupported { .. } => true,
            Self::Status { .. } => !self.is_passing(),
            Self::Setup { .. }
            | Self::Configuration { .. }
            | Self::File { .. }
            | Self::Credentials { .. }
            | Self::Realm { .. }
            | Self::RateLimited { .. }
            | Self::Connection { .. }
            | Self::Silent { .. }
            | Self::Short { .. }
            | Self::Certificate { .. }
            | Self::Slow { .. }
            | Self::Sink { .. }
            | Self::Source { .. } => false,
        }
    }

    /// What a person can do about it, in one line.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Setup { .. } => "check the system's CA certificates (SSL_CERT_FILE)",
            Self::File { .. } => "check the path and its rights",
            Self::Credentials { .. } => "log in again with the tool that wrote them",
            Self::Unauthorised { .. } => "check that this user may read or write there",
            Self::Realm { realm, .. } => {
                return Some(format!("if {realm} is right, allow its host as realm host"));
            }
            Self::NotFound { .. } => "check registry, prefix and name",
            Self::RateLimited { .. } => "run it again later, or with credentials",
            Self::Connection { .. }
            | Self::Silent { .. }
            | Self::Short { .. }
            | Self::Slow { .. } => "run it again; what has come is kept where it can be",
            Self::Certificate { .. } => "give the registry's CA certificate, or --plain-http",
            Self::Redirect { .. } => {
                "the registry names addresses that it should not; tell its owner"
            }
            Self::Endless { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::MediaType { .. } => {
                "do not use this copy; the registry, or a proxy before it, is broken or hostile"
            }
            Self::Sink { .. } | Self::Source { .. } => "check the disk and its free space",
            Self::Unsupported { .. } => "let the registry's owner switch it on",
            Self::Configuration { .. }
            | Self::Status { .. }
            | Self::Protocol { .. }
            | Self::Manifest { .. } => return None,
        };
        Some(text.to_owned())
    }
}

/// A registry's own words, made fit for one line: bounded, no control characters.
pub(super) fn said(words: &str) -> String {
    let mut text = String::new();
    let clean = words.chars().map(|c| if c.is_control() { ' ' } else { c });
    for c in clean.take(SAID_CHARS_MAX) {
        // Writing to a string cannot fail.
        let _ = text.write_char(c);
    }
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

/// Whether TLS failed: it lies below hyper's errors and the system's, boxed in those more than once.
fn is_certificate(error: &(dyn Error + 'static)) -> bool {
    let boxed = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>()
        || boxed.is_some_and(|boxed| is_certificate(boxed))
        || error.source().is_some_and(is_certificate)
}
