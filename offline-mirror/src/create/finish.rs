//! The end of a bundle: its record at the view, its signed manifest, its working state gone.

use std::path::Path;

use jiff::Timestamp;
use signing::{Signer, statement};

use super::error::CreateError;
use super::fetch::Brought;
use super::pinned::{Pinned, as_value};
use super::{CreateRequest, Created};
use crate::bundle::{self, BundleDir, BundleError, BundleManifest, Writer, Written};
use crate::disk::sync_folder;
use crate::error::Error;
use crate::view::{self, BundleRecord};
use signing::Sha256Digest;

/// Signs the manifest over what was written.
pub(super) fn seal(
    pinned: Pinned,
    dir: &Path,
    view_dir: &Path,
    writer: Writer,
    brought: &Brought,
    went_on: bool,
) -> Result<Created, CreateError> {
    let key = view::manifest_key(view_dir, &pinned.root(dir)?)?;
    let signers: [&dyn Signer; 1] = [&key];
    let asked = pinned.asked_digest();
    let Pinned { mut manifest, afterwards, warnings, .. } = pinned;
    let Written { segments, entries } = writer.finish()?;
    (manifest.segments, manifest.entries) = (segments, entries);
    // Signatures are deterministic: these are the bytes that are sealed below.
    let signed = statement::sign(BundleManifest::KIND, &manifest, &signers);
    let digest = Sha256Digest::of(&signed.map_err(BundleError::Sign)?);
    // Before the seal, so that no bundle is without one; who gives up a bundle that was never sealed
    // removes its record.
    let record = BundleRecord {
        format: BundleRecord::FORMAT,
        sequence: manifest.sequence,
        name: manifest.name.clone(),
        manifest: digest,
        asked,
        sites: manifest.sites.clone(),
        holds: afterwards,
    };
    view::keep_bundle_record(view_dir, &record)?;
    bundle::seal(dir, &manifest, &signers)?;
    Ok(Created {
        fetched_blobs: brought.blobs,
        fetched_bytes: brought.bytes,
        went_on,
        warnings,
        ..told(&manifest, dir, digest)
    })
}

/// The bundle, if an earlier run made just this one to its end and was stopped before it said so, or
/// if to look everything up again could find nothing else. One that is not complete makes way where
/// that is asked for.
pub(super) fn already(
    request: &CreateRequest,
    view_dir: &Path,
    now: Timestamp,
) -> Result<Option<Created>, CreateError> {
    let (dir, name) = (&request.dir, &request.plan.name);
    let manifest = dir.join(name.manifest_file());
    if !manifest.exists() {
        return Ok(None);
    }
    let made = BundleDir::open(&manifest, &[])?;
    let claims = made.claims();
    let records = view::bundle_records(view_dir, claims.sequence)?;
    let record = records.into_iter().find(|record| record.manifest == made.digest());
    if request.restart && !claims.complete && record.is_some() {
        remove(dir, claims)?;
        // Nobody knows whether it was carried, so it is not to be presumed at any site. Last: without
        // the record the bundle is none of this view's.
        view::forget_bundle_record(view_dir, claims.sequence)?;
        return Ok(None);
    }
    let asked = Sha256Digest::of(as_value(&request.plan.asked()).to_string().as_bytes());
    if request.restart || record.is_none_or(|record| record.asked != asked) {
        return Err(BundleError::Sealed { manifest }.into());
    }
    let (created_at, complete) = (claims.created_at, claims.complete);
    // Removed last: while it is there, nobody was told that the bundle is made.
    let was_told = !bundle::work_dir(dir, name).exists();
    let is_good = claims.good_until.is_none_or(|until| until > now);
    if was_told && !(complete && is_good && request.plan.is_settled()) {
        return Err(CreateError::Made { manifest, created_at, complete, is_good });
    }
    bundle::discard(dir, name)?;
    let warning =
        || format!("{name} was made at {created_at} already; nothing was looked up this time");
    let warnings = was_told.then(warning).into_iter().collect();
    Ok(Some(Created { went_on: true, warnings, ..told(claims, dir, made.digest()) }))
}

/// Removes a finished bundle of ours, its manifest last: a run that is stopped in between can be told
/// the same again.
fn remove(dir: &Path, made: &BundleManifest) -> Result<(), CreateError> {
    bundle::discard(dir, &made.name)?;
    let manifest = dir.join(made.name.manifest_file());
    let segments = made.segments.iter().map(|segment| dir.join(&segment.file));
    for path in segments.chain([manifest.clone()]) {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", path)(error).into());
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(sync_folder(&manifest)?)
}

fn told(manifest: &BundleManifest, dir: &Path, digest: Sha256Digest) -> Created {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Created {
        name: manifest.name.clone(),
        sequence: manifest.sequence,
        created_at: manifest.created_at,
        good_until: manifest.good_until,
        complete: manifest.complete,
        missing: manifest.missing.clone(),
        manifest: dir.join(manifest.name.manifest_file()),
        manifest_digest: digest,
        segments: manifest.segments.clone(),
        releases: manifest.releases.clone(),
        images: count(manifest.images.len()),
        entries: count(manifest.entries.len()),
        bytes: manifest.segments.iter().map(|segment| segment.size).sum(),
        required: count(manifest.required.len()),
        fetched_blobs: 0,
        fetched_bytes: 0,
        went_on: false,
        warnings: Vec::new(),
    }
}
