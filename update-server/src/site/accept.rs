//! Whether a carried status is taken. Pure.

use channels::names::SiteName;
use channels::wire::{SiteStatus, SiteStatusError};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use signing::{Attack, KeySet, Statement, StatementError};

use super::Site;

/// How far a site's clock may be ahead of ours: behind a gap there is often no time server.
const CLOCK_AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Why a status is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// Not a statement of this type, or not signed by the site's key.
    #[error("the status cannot be believed: {0}")]
    Statement(StatementError),
    /// Nobody has registered the site.
    #[error(
        "no site {site} is registered here; bring its key by another way than its status files, \
         then `fairway sites add {site} --key FILE`"
    )]
    UnknownSite {
        /// The site that the file names.
        site: SiteName,
    },
    /// A status of another site than was asked for.
    #[error("this is the status of site {found}, not of {expected}")]
    OtherSite {
        /// Who was asked for.
        expected: SiteName,
        /// Who it is of.
        found: SiteName,
    },
    /// Signed and well-formed, but over a bound or of a newer form.
    #[error("the status is not one this hub reads: {0}")]
    Status(SiteStatusError),
    /// Older than what is known.
    #[error("sequence {found} of site {site} is not above {newest}, the newest one imported")]
    Rollback {
        /// Whose.
        site: SiteName,
        /// What the file says.
        found: u64,
        /// What was taken before.
        newest: u64,
    },
    /// Made in the future.
    #[error(
        "the status of site {site} was made at {made_at}, which is more than an hour ahead of this \
         hub's clock: set the site's clock and make another one"
    )]
    FromFuture {
        /// Whose.
        site: SiteName,
        /// What the file says.
        made_at: Timestamp,
    },
}

impl AcceptError {
    /// The attack that this error would have been.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Statement(error) => error.attack(),
            Self::OtherSite { .. } => Some(Attack::WrongSoftware),
            Self::Rollback { .. } => Some(Attack::Rollback),
            Self::UnknownSite { .. } | Self::Status(_) | Self::FromFuture { .. } => None,
        }
    }
}

/// The one field that says whose key must have signed.
#[derive(Deserialize)]
struct Claim {
    site: SiteName,
}

/// The site that a status says it is of. Nobody's word: only for finding the key to verify it with.
///
/// # Errors
/// [`AcceptError::Statement`], or [`AcceptError::OtherSite`] when `expected` is another one.
pub fn claimed_site(
    statement: &Statement,
    expected: Option<&SiteName>,
) -> Result<SiteName, AcceptError> {
    let found = statement.unverified::<Claim>().map_err(AcceptError::Statement)?.site;
    match expected {
        Some(expected) if *expected != found => {
            Err(AcceptError::OtherSite { expected: expected.clone(), found })
        }
        _ => Ok(found),
    }
}

/// The status, if it is one of `site`, newer than what is known, and of a time that can be. The same
/// file again is taken again, so that whoever lost the answer can ask once more.
///
/// # Errors
/// Everything in [`AcceptError`].
pub fn accept(
    site: &Site,
    statement: &Statement,
    now: Timestamp,
) -> Result<SiteStatus, AcceptError> {
    let status = statement
        .verify::<SiteStatus>(&KeySet::one(site.key.clone()))
        .map_err(AcceptError::Statement)?
        .into_inner();
    if status.site != site.name {
        let expected = site.name.clone();
        return Err(AcceptError::OtherSite { expected, found: status.site });
    }
    status.check().map_err(AcceptError::Status)?;
    if status.sequence <= site.floor && site.newest != Some(statement.digest()) {
        let (found, newest) = (status.sequence, site.floor);
        return Err(AcceptError::Rollback { site: status.site, found, newest });
    }
    if status.made_at.duration_since(now) > CLOCK_AHEAD_MAX {
        return Err(AcceptError::FromFuture { site: status.site, made_at: status.made_at });
    }
    Ok(status)
}
