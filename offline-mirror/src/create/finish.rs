//! The end of a bundle: its record at the view, its signed manifest, its working state gone.

use std::path::Path;

use signing::{Signer, statement};

use super::error::CreateError;
use super::fetch::Brought;
use super::pinned::{Pinned, as_value};
use super::{CreateRequest, Created};
use crate::bundle::{self, BundleDir, BundleError, BundleManifest, Writer, Written};
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
    // Before the seal: a record of a bundle that was never sealed is read by nobody who was not told
    // that it arrived.
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

/// The bundle, if an earlier run made just this one to its end and was stopped before it said so.
pub(super) fn already(
    request: &CreateRequest,
    view_dir: &Path,
) -> Result<Option<Created>, CreateError> {
    let (dir, name) = (&request.dir, &request.plan.name);
    let manifest = dir.join(name.manifest_file());
    if !manifest.exists() {
        return Ok(None);
    }
    let sealed = || BundleError::Sealed { manifest: manifest.clone() };
    let made = BundleDir::open(&manifest, &[])?;
    let sequence = made.claims().sequence;
    let records = view::bundle_records(view_dir, sequence)?;
    let record = records.into_iter().find(|record| record.sequence == sequence);
    let asked = Sha256Digest::of(as_value(&request.plan.asked()).to_string().as_bytes());
    let is_same = record.is_some_and(|r| r.manifest == made.digest() && r.asked == asked);
    if !is_same || request.restart {
        return Err(sealed().into());
    }
    bundle::discard(dir, name)?;
    Ok(Some(Created { went_on: true, ..told(made.claims(), dir, made.digest()) }))
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
