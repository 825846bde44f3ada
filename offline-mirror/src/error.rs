//! What can go wrong between a hub and a site, each with what, where and what to do.

use std::path::PathBuf;

use jiff::Timestamp;
use signing::Attack;

use crate::view::ViewError;

/// What to do where the clock cannot be right.
const CLOCK: &str = "set this machine's clock right: what expired is judged by it";

/// Failure of a step between a hub and a site that has no error type of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The TUF repository does not verify; the source names the attack where one was met.
    #[error("{what} does not verify")]
    Trust {
        /// Which document or step.
        what: String,
        /// What the TUF client found.
        #[source]
        source: Box<signing::Error>,
    },
    /// A signed document cannot be read, or says something that cannot be followed.
    #[error("{path}: {why}")]
    Document {
        /// Target path.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A signed release document is about something else than its path says.
    #[error("{path}: the document is about {found}")]
    WrongSoftware {
        /// Target path.
        path: String,
        /// Product and version the document names.
        found: String,
    },
    /// A hub delegates in a way that a site cannot repeat.
    #[error("the hub's delegation to {role} cannot be repeated: {why}")]
    Delegation {
        /// The delegate.
        role: String,
        /// What is in the way.
        why: String,
    },
    /// The verified repository or release does not list what was asked for.
    #[error("{what} is not in the verified repository")]
    NotListed {
        /// What was asked for.
        what: String,
    },
    /// The site's trust state could not be opened.
    #[error("cannot open the trust state {}", dir.display())]
    State {
        /// The state directory.
        dir: PathBuf,
        /// What the store said.
        #[source]
        source: signing::StoreError,
    },
    /// Leave to use expired metadata that cannot be accounted for.
    #[error("expired metadata cannot be accepted like this: {why}")]
    Leave {
        /// What is missing.
        why: &'static str,
    },
    /// Leave to use expired metadata that has ended.
    #[error("the leave to accept expired metadata ended at {until}, it is {now}")]
    LeaveEnded {
        /// Its end.
        until: Timestamp,
        /// The clock.
        now: Timestamp,
        /// The refusal that it would have been for.
        #[source]
        source: Box<Error>,
    },
    /// The clock stands before a time that was signed and seen here.
    #[error("the clock says {now}, but metadata signed at {seen} was seen: it was set back")]
    ClockBack {
        /// The latest signed time.
        seen: Timestamp,
        /// The clock.
        now: Timestamp,
    },
    /// A view cannot be made, signed or used.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A file could not be read or written.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// `read`, `write`, …
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What was named is not the address of an update server.
    #[error("{server:?} is not the address of an update server: {why}")]
    ServerAddress {
        /// What was named.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// Everybody on the way could read the API token.
    #[error("{server} is plain HTTP on another machine: everybody on the way could read the token")]
    TokenInClear {
        /// The server.
        server: String,
    },
    /// No HTTP client could be made: TLS has no provider or no usable root certificates.
    #[error("cannot set up HTTP")]
    Http {
        /// What the HTTP client said.
        #[source]
        source: reqwest::Error,
    },
    /// The site's update server could not be reached.
    #[error("POST {url} failed")]
    Unreachable {
        /// The address.
        url: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// The publication is larger than an update server takes.
    #[error("the publication has {found} {unit}, at most {limit}")]
    TooLarge {
        /// `files` or `bytes`.
        unit: &'static str,
        /// How many it has.
        found: usize,
        /// How many a server takes.
        limit: usize,
    },
    /// The site's update server refused the publication.
    #[error("the update server refused the publication ({status}): {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The server's own words.
        detail: String,
        /// The attack the server named.
        attack: Option<Attack>,
    },
}

impl Error {
    /// Wraps an I/O error with its file.
    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    /// The attack this failure would be, if it is one.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Trust { source, .. } => source.attack(),
            Self::WrongSoftware { .. } => Some(Attack::WrongSoftware),
            // A clock that was set back makes old metadata look fresh.
            Self::LeaveEnded { .. } | Self::ClockBack { .. } => Some(Attack::Freeze),
            Self::Refused { attack, .. } => *attack,
            Self::View(error) => error.attack(),
            Self::Leave { .. }
            | Self::Document { .. }
            | Self::Delegation { .. }
            | Self::NotListed { .. }
            | Self::State { .. }
            | Self::Io { .. }
            | Self::ServerAddress { .. }
            | Self::TokenInClear { .. }
            | Self::Http { .. }
            | Self::Unreachable { .. }
            | Self::TooLarge { .. } => None,
        }
    }

    /// Whether something was looked at and refused (exit 1), rather than not got at (exit 2).
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Trust { source, .. } => {
                let not_got =
                    matches!(**source, signing::Error::Fetch { .. } | signing::Error::Store(_));
                !not_got || source.attack().is_some()
            }
            Self::Refused { status, attack, .. } => attack.is_some() || matches!(status, 409 | 422),
            Self::View(error) => error.is_refusal(),
            Self::Document { .. }
            | Self::Delegation { .. }
            | Self::WrongSoftware { .. }
            | Self::NotListed { .. }
            | Self::LeaveEnded { .. }
            | Self::ClockBack { .. } => true,
            Self::Leave { .. }
            | Self::State { .. }
            | Self::Io { .. }
            | Self::ServerAddress { .. }
            | Self::TokenInClear { .. }
            | Self::Http { .. }
            | Self::Unreachable { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// The time that expiry was checked against, where something had expired.
    pub(crate) fn checked_at(&self) -> Option<Timestamp> {
        if let Self::Trust { source, .. } = self
            && let signing::Error::Expired { now, .. } = **source
        {
            return Some(now);
        }
        None
    }

    /// What a person can do about it, in one line.
    pub fn hint(&self) -> &'static str {
        let is_trust = matches!(self, Self::Trust { .. } | Self::Refused { .. });
        if is_trust && self.attack() == Some(Attack::Freeze) {
            return "make a new bundle from the hub; for one that was long on its way see \
                    --accept-expired-until";
        }
        match self {
            Self::Trust { source, .. }
                if matches!(**source, signing::Error::SignedInFuture { .. }) =>
            {
                CLOCK
            }
            Self::Trust { source, .. } if source.is_transport() => {
                "check --server and the network; for an import, carry the whole bundle again"
            }
            Self::Trust { .. } => {
                "check that --root is this hub's root, or the view's for a bundle; if it is, do \
                 not use this copy and tell whoever runs the hub"
            }
            Self::Leave { .. } => {
                "give --reason with --accept-expired-until, and --site for a verification"
            }
            Self::LeaveEnded { .. } => {
                "carry a newer bundle, or decide again: a later --accept-expired-until with a \
                 reason of its own"
            }
            Self::ClockBack { .. } => CLOCK,
            Self::View(error) => error.hint(),
            Self::Document { .. } | Self::WrongSoftware { .. } => {
                "the vendor has to publish a corrected release; nothing of this one was used"
            }
            Self::Delegation { .. } => {
                "tell whoever runs the hub; until then no site can be made from it"
            }
            Self::NotListed { .. } => "check the name, and that it was published",
            Self::State { .. } | Self::Io { .. } => "check the path, its rights and the free space",
            Self::ServerAddress { .. } => "write it with its scheme: https://hub.example.com",
            Self::TokenInClear { .. } => {
                "nothing was sent; use its https address, or where the network itself is closed pass \
                 --token-over-http"
            }
            Self::Http { .. } => "check the system's CA certificates (SSL_CERT_FILE)",
            Self::Unreachable { .. } => {
                "check --server; the images are in place, run the same import again"
            }
            Self::TooLarge { .. } => "the vendor should split this product's channels",
            Self::Refused { status: 401 | 403, .. } => "the token needs the role publisher",
            Self::Refused { attack: Some(Attack::ArbitrarySoftware), .. } => {
                "the site delegates to other keys than those that signed this; has the vendor \
                 changed its keys? Then take the new ones over at the site first: fairway key \
                 from-bundle, and docs/air-gap.md"
            }
            Self::Refused { .. } => {
                "the images are in place; settle what the server says, then run the import again"
            }
        }
    }
}
