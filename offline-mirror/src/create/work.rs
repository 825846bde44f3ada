//! The working state of an unfinished bundle: who writes it, and how its plan is exchanged for
//! another one without losing what came.
//!
//! ```text
//! NAME.work/create.lock     held by the create that runs
//! NAME.work/previous.json   the plan before, while segments are moved from its layout to the new one
//! ```

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::Path;

use super::error::CreateError;
use super::pinned::{PLAN, Pinned};
use crate::bundle::{
    BundleError, BundleName, Laid, SegmentSize, Writer, discard, lay_out, work_dir,
};
use crate::disk::sync_folder;
use crate::error::Error;
use crate::oci::Digest;
use crate::view;

const LOCK: &str = "create.lock";
const PREVIOUS: &str = "previous.json";

/// Keeps other creates of this name away until it is dropped.
pub(super) fn lock(dir: &Path, name: &BundleName) -> Result<File, CreateError> {
    let work = work_dir(dir, name);
    std::fs::create_dir_all(&work).map_err(Error::io("create", &work))?;
    let path = work.join(LOCK);
    let file = File::create(&path).map_err(Error::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BundleError::Locked { work }.into()),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error).into()),
    }
}

/// Opens the segments for a plan. Where another plan was begun before it, what both need is moved
/// to its new place.
pub(super) fn open(
    pinned: &Pinned,
    dir: &Path,
    segment_size: SegmentSize,
) -> Result<Writer, CreateError> {
    let name = &pinned.manifest.name;
    let previous = work_dir(dir, name).join(PREVIOUS);
    let laid = lay_out(&pinned.entries(), segment_size, name)?;
    let Some(from) = layout_of(&previous, name)? else { return Ok(Writer::open(dir, laid)?) };
    let writer = Writer::repack(dir, &from, laid)?;
    std::fs::remove_file(&previous).map_err(Error::io("remove", &previous))?;
    sync_folder(&previous)?;
    Ok(writer)
}

/// Plans on without the images that need a blob nobody can deliver.
pub(super) fn without(
    pinned: &Pinned,
    dir: &Path,
    failed: &BTreeMap<Digest, String>,
) -> Result<Pinned, CreateError> {
    let smaller = pinned.without(failed);
    let previous = work_dir(dir, &pinned.manifest.name).join(PREVIOUS);
    pinned.write_at(&previous)?;
    smaller.write(dir)?;
    Ok(smaller)
}

/// Gives up the plan of earlier runs; what they brought stays for the next plan. The view's record of
/// it goes: a bundle that will never be is not to be presumed at any site.
pub(super) fn give_up(
    dir: &Path,
    name: &BundleName,
    view_dir: &Path,
) -> Result<Option<File>, CreateError> {
    let work = work_dir(dir, name);
    let (plan, previous) = (work.join(PLAN), work.join(PREVIOUS));
    for path in [&plan, &previous] {
        // One that cannot be read is given up all the same.
        if let Ok(Some(pinned)) = Pinned::read_at(path) {
            view::forget_bundle_record(view_dir, pinned.manifest.sequence)?;
        }
    }
    if !plan.exists() && previous.exists() {
        return Ok(None);
    }
    if previous.exists() || !is_begun(dir, name) {
        // Killed while segments were moved, or before there were any: nothing is sure to be of use.
        discard(dir, name)?;
        return lock(dir, name).map(Some);
    }
    std::fs::rename(&plan, &previous).map_err(Error::io("set aside", &plan))?;
    sync_folder(&plan)?;
    Ok(None)
}

/// Whether the plan's segments were begun, so that they can be gone on with.
fn is_begun(dir: &Path, name: &BundleName) -> bool {
    let first = dir.join(format!("{}.partial", name.segment_file(0)));
    work_dir(dir, name).join(PLAN).exists() && first.exists()
}

/// The layout of a plan that was set aside, if there is one.
fn layout_of(plan: &Path, name: &BundleName) -> Result<Option<Laid>, CreateError> {
    let Some(pinned) = Pinned::read_at(plan)? else { return Ok(None) };
    let bytes = pinned.asked.get("segment_size").and_then(serde_json::Value::as_u64);
    let size = bytes
        .map(|bytes| SegmentSize::new(bytes).unwrap_or_else(|_| SegmentSize::rehearsal(bytes)));
    Ok(Some(lay_out(&pinned.entries(), size.unwrap_or_default(), name)?))
}
