//! After everything is in place: the update server, the ledger, inventory and receipt.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::VendorName;
use channels::wire::PublicationFile;
use jiff::Timestamp;
use signing::{FileName, MemStore, Sha256Digest};

use super::ImportRequest;
use super::error::ImportError;
use super::evidence::{Evidence, Log, Publication};
use super::push::Done;
use super::target::Target;
use super::verify::{Checked, Hashed, evidence, left_out};
use crate::belief::TufFiles;
use crate::feed::Feed;
use crate::oci::{Digest, Repository};
use crate::site::{Inventory, Ledger, Receipt, SiteDir, SiteError, Told, ViewIdentity, write_file};

/// What an import did until here.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) started_at: Timestamp,
    pub(super) hashed: Hashed,
    pub(super) pushed: Done,
    pub(super) publications: Vec<Publication>,
    pub(super) because: Option<String>,
    /// What was seen of the view, these bundles included.
    pub(super) seen: MemStore,
}

/// Hands every vendor's files to the update server, each on its own: one that is refused stops
/// nobody else's.
pub(super) async fn publish(
    request: &ImportRequest,
    feed: Option<&Feed>,
    checked: &mut Checked,
    log: &mut Log<'_>,
) -> Vec<Publication> {
    let Some(feed) = feed else { return Vec::new() };
    // A newer bundle's files replace an older one's.
    let mut newest: BTreeMap<VendorName, (String, Vec<PublicationFile>)> = BTreeMap::new();
    for (bundle, _) in &mut checked.bundles {
        let message = message(request, &bundle.manifest.name.to_string(), bundle.as_of);
        for (vendor, files) in std::mem::take(&mut bundle.vendors) {
            newest.insert(vendor, (message.clone(), files));
        }
    }
    let mut done = Vec::new();
    for (vendor, (message, files)) in newest {
        let publication = match feed.publish(message, files).await {
            Ok(reply) => Publication {
                vendor: vendor.to_string(),
                snapshot_version: Some(reply.snapshot_version),
                changed: reply.changed,
                refused: None,
                attack: None,
                is_refusal: false,
            },
            Err(error) => Publication {
                vendor: vendor.to_string(),
                snapshot_version: None,
                changed: false,
                refused: Some(told(&error)),
                attack: error.attack(),
                is_refusal: error.is_refusal(),
            },
        };
        let found = match (&publication.refused, publication.changed) {
            (Some(why), _) => format!("{vendor}: {why}"),
            (None, true) => format!("{vendor}: published"),
            (None, false) => format!("{vendor}: it had them already"),
        };
        log.done("publication", found);
        done.push(publication);
    }
    done
}

fn told(error: &crate::Error) -> String {
    let attack = error.attack().map(|attack| format!("{attack}: ")).unwrap_or_default();
    let mut text = format!("{attack}{error}");
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    format!("{text} (hint: {})", error.hint())
}

/// For the site's audit log.
fn message(request: &ImportRequest, bundle: &str, as_of: Option<Timestamp>) -> String {
    match (&request.accept_expired, as_of) {
        (Some(leave), Some(as_of)) => format!(
            "import of {bundle}; metadata of {as_of} accepted although expired: {}",
            leave.reason
        ),
        _ => format!("import of {bundle}"),
    }
}

/// Ledger, what was seen, inventory, receipts, in this order: whatever breaks, the next run writes
/// the rest. Floors are raised only after the ledger knows the bundles: those of the newest would
/// refuse the others, and only what the ledger knows is let past them.
pub(super) async fn finish(
    site: &SiteDir,
    target: &Target,
    mut ledger: Ledger,
    checked: Checked,
    outcome: Outcome,
    mut log: Log<'_>,
) -> Result<Evidence, ImportError> {
    let because = outcome.because.as_deref();
    let left_out = left_out(&checked.contents);
    for (bundle, _) in &checked.bundles {
        let whole =
            |image: &&crate::bundle::CarriedImage| !checked.contents.left_out.contains(*image);
        let images = bundle.manifest.images.iter().filter(whole).cloned().collect();
        ledger.add(&bundle.manifest, bundle.digest, images, log.now());
        let [root, ..] = bundle.versions;
        ledger.root_version = ledger.root_version.max(root);
        ledger.believed_at = Some(bundle.as_of.unwrap_or(outcome.started_at));
    }
    for (bundle, _) in &checked.bundles {
        let releases = bundle.manifest.releases.iter();
        for vendor in releases.map(|release| &release.product.vendor).collect::<BTreeSet<_>>() {
            keep_metadata(&site.metadata_of(vendor), &bundle.tuf)?;
        }
    }
    if let Some((newest, _)) = checked.bundles.last() {
        keep_metadata(&site.metadata(), &newest.tuf)?;
    }
    site.save_ledger(&ledger)?;
    crate::belief::keep_seen(&site.seen(), &outcome.seen)?;
    log.done("ledger", format!("{} bundles taken in", ledger.bundles.len()));

    let told = Told {
        entries_verified: outcome.hashed.entries,
        bytes_verified: outcome.hashed.bytes,
        objects_written: outcome.pushed.written,
        objects_present: outcome.pushed.present,
        vendors_published: vendors(&outcome.publications, false),
        vendors_refused: vendors(&outcome.publications, true),
    };
    let there = &outcome.pushed.there;
    let (inventory, digest) = take_inventory(site, target, &mut ledger, there, log.now()).await?;
    log.done("inventory", format!("{} digests at {}", inventory.contents.len(), inventory.target));
    for (bundle, _) in &checked.bundles {
        let receipt = Receipt {
            format: Receipt::FORMAT,
            site: site.config().name.clone(),
            bundle: bundle.manifest.name.clone(),
            sequence: bundle.manifest.sequence,
            manifest: bundle.digest,
            imported_at: log.now(),
            complete: bundle.manifest.complete && bundle.manifest.missing.is_empty(),
            target: target.told(),
            told: told.clone(),
            inventory_counter: inventory.counter,
            inventory: digest,
        };
        let path = site.save_receipt(&receipt)?;
        log.done("receipt", path.display().to_string());
    }
    Ok(Evidence {
        verified_by: concat!("offline-mirror ", env!("CARGO_PKG_VERSION")).to_owned(),
        site: Some(site.config().name.clone()),
        pinned_root: site.pinned(),
        target: Some(target.told()),
        started_at: outcome.started_at,
        ended_at: log.now(),
        bundles: checked.bundles.iter().map(|(bundle, _)| evidence(bundle, because)).collect(),
        told,
        left_out,
        publications: outcome.publications,
        steps: log.into_steps(),
    })
}

fn vendors(publications: &[Publication], refused: bool) -> Vec<String> {
    let wanted = |p: &&Publication| p.refused.is_some() == refused;
    publications.iter().filter(wanted).map(|p| p.vendor.clone()).collect()
}

/// Asks the target what it has, and signs the answer as the site's newest inventory. `there` is known
/// to be there already.
///
/// # Errors
/// When the target cannot be asked or the inventory cannot be signed and written.
pub async fn take_inventory(
    site: &SiteDir,
    target: &Target,
    ledger: &mut Ledger,
    there: &BTreeSet<(Repository, Digest)>,
    now: Timestamp,
) -> Result<(Inventory, Sha256Digest), ImportError> {
    let contents = target.holdings(&ledger.images(), there).await?;
    // Spent before it is signed: two inventories never have one counter.
    ledger.inventories = ledger.inventories.saturating_add(1);
    site.save_ledger(ledger)?;
    let inventory = Inventory {
        format: Inventory::FORMAT,
        site: site.config().name.clone(),
        view: ViewIdentity { pinned: site.pinned(), root_version: ledger.root_version },
        counter: ledger.inventories,
        sequence: ledger.newest(),
        taken_at: now,
        target: target.told(),
        images: site.config().images.clone(),
        contents,
    };
    let bytes = site.save_inventory(&inventory)?;
    Ok((inventory, Sha256Digest::of(&bytes)))
}

/// Keeps a bundle's TUF files, which `prune` reads release documents from.
fn keep_metadata(dir: &std::path::Path, files: &TufFiles) -> Result<(), SiteError> {
    let new = dir.with_extension("new");
    remove(&new)?;
    let timestamp = FileName::timestamp();
    for (name, bytes) in files.iter().filter(|(name, _)| **name != timestamp) {
        write_file(&new.join(name.relative_path()), bytes)?;
    }
    if let Some(bytes) = files.get(&timestamp) {
        write_file(&new.join(timestamp.relative_path()), bytes)?;
    }
    remove(dir)?;
    std::fs::rename(&new, dir).map_err(SiteError::io("rename to", dir))
}

fn remove(dir: &std::path::Path) -> Result<(), SiteError> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(SiteError::io("remove", dir)(e)),
        _ => Ok(()),
    }
}
