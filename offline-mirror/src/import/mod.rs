//! Takes bundles in: everything is verified, in a fixed order, before anything is written.
//!
//! 1. manifest read, TUF files read, the view's chain from the pinned root, expiry, what was seen
//!    before; then the manifest's signature (`believe`)
//! 2. sequence, address, completeness, allow-list, releases against their signed documents
//!    (`rules`, `contents`)
//! 3. every required digest at the target, free space, every byte hashed (`verify`)
//! 4. blobs, child manifests, indexes, referrers, tags (`target`, `push`)
//! 5. the update server, the ledger, what was seen of the view, inventory and receipt (`finish`)
//!
//! Until step 4 nothing is written and nobody but the target is asked anything. From there on every
//! write is idempotent, so that a run which was killed is simply run again.

mod believe;
mod contents;
mod error;
mod evidence;
mod finish;
mod holdings;
mod present;
mod push;
mod rules;
mod spool;
mod target;
mod verify;

use std::path::PathBuf;

use channels::names::Arch;

use crate::belief::AcceptExpired;
use crate::feed::Feed;
use crate::site::SiteDir;

pub(crate) use believe::{believe_files, tuf_files};
pub use error::ImportError;
pub use evidence::{BundleEvidence, Evidence, Log, Publication, Step};
pub use finish::take_inventory;
pub use target::Target;
pub use verify::verify;

use contents::Carried;

/// What is taken in, and what is asked of it.
#[derive(Debug, Clone, Default)]
pub struct ImportRequest {
    /// Bundles: directories or manifests. Several are taken in together, so that a repair bundle can
    /// bring what another one presumes.
    pub bundles: Vec<PathBuf>,
    /// Further directories that segments may lie in.
    pub also: Vec<PathBuf>,
    /// Architectures that the site needs: a release without one of them is refused.
    pub arches: Vec<Arch>,
    /// A person's leave to use metadata that expired on its way.
    pub accept_expired: Option<AcceptExpired>,
    /// A person's choice to take what there is of an incomplete bundle.
    pub accept_incomplete: bool,
    /// Where the list of required digests that the target lacks is written.
    pub missing_out: Option<PathBuf>,
}

/// Verifies bundles and takes them in.
///
/// Vendors whose files the update server does not take are named in the evidence; everything else is
/// in place then, and running the import again offers them again.
///
/// # Errors
/// Whatever does not verify is refused before anything is written.
pub async fn import(
    site: &SiteDir,
    request: &ImportRequest,
    target: &Target,
    feed: Option<&Feed>,
    mut log: Log<'_>,
) -> Result<Evidence, ImportError> {
    let started_at = log.now();
    let ledger = site.ledger()?;
    let place = verify::Place::of(site, &ledger)?;
    let mut checked = verify::look(&place, request, &mut log).await?;
    let turn = target.turn()?;
    let presence = present::check(site, request, &checked, target, &ledger, &mut log).await?;
    target.check_space(&checked.readers(), turn.as_deref())?;
    let hashed = verify::hash(&checked.readers(), &mut log).await?;

    let seen = place.seen.clone();
    let pushed = push::push(site, target, &checked, &presence, turn, &mut log).await?;
    let publications = finish::publish(request, feed, &mut checked, &mut log).await;
    let because = request.accept_expired.as_ref().map(|leave| leave.reason.clone());
    let outcome = finish::Outcome { started_at, hashed, pushed, publications, because, seen };
    finish::finish(site, target, ledger, checked, outcome, log).await
}
