//! Why a status is not carried out, and what to do about it.

use std::io;
use std::path::PathBuf;

use channels::names::SiteName;
use channels::wire::{Redaction, SiteStatusError};
use signing::{Attack, StatementError};

/// Failure of a status export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// TLS cannot be set up.
    #[error("failed to prepare the HTTP client")]
    Http {
        /// What the client says.
        source: reqwest::Error,
    },
    /// Nobody answered, or not in time.
    #[error("failed to get {url}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the client says.
        source: reqwest::Error,
    },
    /// Longer than any status.
    #[error("the answer of {url} is longer than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The bound.
        limit: usize,
    },
    /// The hub said no.
    #[error("the site's update server refused ({status}): {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its reason.
        detail: String,
        /// The attack it named.
        attack: Option<Attack>,
    },
    /// Something answered that is no hub of a site.
    #[error("the answer is not the key of a site: {why}")]
    NoHub {
        /// What is wrong with it.
        why: String,
    },
    /// Not what the hub's own key signed.
    #[error("the status that the hub gave does not verify with the key that it named")]
    Unverified {
        /// What is wrong with it.
        source: StatementError,
    },
    /// A status of another site than the hub's.
    #[error("the hub of site {expected} gave a status of site {found}")]
    OtherSite {
        /// Whose status it is.
        found: SiteName,
        /// Whose hub it is.
        expected: SiteName,
    },
    /// Over a bound, or of a newer form.
    #[error("no other hub would take this status")]
    Unusable {
        /// What is wrong with it.
        source: SiteStatusError,
    },
    /// Something is in the file that was to stay at the site.
    #[error("the hub did not leave out {what}")]
    NotLeftOut {
        /// What.
        what: Redaction,
    },
    /// The disk did not take it.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl StatusError {
    /// The attack that this error would have been.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Unverified { source } => source.attack(),
            Self::OtherSite { .. } => Some(Attack::WrongSoftware),
            Self::TooLarge { .. } => Some(Attack::EndlessData),
            Self::Refused { attack, .. } => *attack,
            Self::Http { .. }
            | Self::Unreachable { .. }
            | Self::NoHub { .. }
            | Self::Unusable { .. }
            | Self::NotLeftOut { .. }
            | Self::Write { .. } => None,
        }
    }

    /// Whether what came was looked at and refused; otherwise it could not be got at all.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Unverified { .. }
                | Self::OtherSite { .. }
                | Self::Unusable { .. }
                | Self::NotLeftOut { .. }
                | Self::Refused { .. }
        )
    }

    /// What to do about it, where a person can do something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => Some("is it running, and is --server its address?"),
            Self::Refused { status: 401 | 403, .. } => {
                Some("--token-file needs a token of role operator at the site's hub")
            }
            Self::NoHub { .. } | Self::TooLarge { .. } => {
                Some("--server must be the update server of the site, not older than this program")
            }
            Self::NotLeftOut { .. } | Self::Unusable { .. } => {
                Some("nothing was written; update the site's update server")
            }
            Self::Unverified { .. } | Self::OtherSite { .. } => {
                Some("nothing was written; something stands between you and the site's hub")
            }
            Self::Write { .. } => Some("name a place for the file with --out"),
            Self::Http { .. } | Self::Refused { .. } => None,
        }
    }
}
