//! The working state of an unfinished bundle: who writes it, and what of it a smaller plan can use.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::error::CreateError;
use super::pinned::{PLAN, Pinned};
use crate::bundle::{
    BundleError, BundleName, Item, Laid, Planned, SegmentSize, Writer, lay_out, work_dir,
};
use crate::error::Error;
use crate::oci::Digest;

const LOCK: &str = "create.lock";
/// The writer's own file in the working state.
const JOURNAL: &str = "journal";
/// Bytes copied at a time.
const COPY_BYTES: usize = 1024 * 1024;

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

/// Plans on without the images that need a blob nobody can deliver. What is down is set aside, for
/// the smaller bundle to be filled from.
pub(super) fn without(
    pinned: &Pinned,
    dir: &Path,
    failed: &BTreeMap<Digest, String>,
) -> Result<Pinned, CreateError> {
    let smaller = pinned.without(failed);
    set_aside(dir, &pinned.manifest.name)?;
    smaller.write(dir)?;
    Ok(smaller)
}

/// Moves unfinished segments and the plan they were laid out for out of the way. Killed in between,
/// the next run finds a plan whose content is gone, and fills it from here.
pub(super) fn set_aside(dir: &Path, name: &BundleName) -> Result<(), CreateError> {
    let (work, aside) = (work_dir(dir, name), aside_dir(dir, name));
    let plan = work.join(PLAN);
    if !plan.exists() {
        return Ok(());
    }
    // Set aside twice, the first is older: whatever it had that is still wanted was taken over.
    remove(&aside)?;
    std::fs::create_dir(&aside).map_err(Error::io("create", &aside))?;
    std::fs::copy(&plan, aside.join(PLAN)).map_err(Error::io("copy", &plan))?;
    for index in 0.. {
        let file = format!("{}.partial", name.segment_file(index));
        let from = dir.join(&file);
        if !from.exists() {
            break;
        }
        std::fs::rename(&from, aside.join(&file)).map_err(Error::io("set aside", from))?;
    }
    let journal = work.join(JOURNAL);
    if journal.exists() {
        std::fs::remove_file(&journal).map_err(Error::io("remove", journal))?;
    }
    Ok(())
}

/// Gives up the plan; what it brought is set aside for the next one.
pub(super) fn give_up(dir: &Path, name: &BundleName) -> Result<(), CreateError> {
    set_aside(dir, name)?;
    let plan = work_dir(dir, name).join(PLAN);
    match std::fs::remove_file(&plan) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", plan)(e).into())
        }
        _ => Ok(()),
    }
}

/// Fills a set from what was set aside. Everything is hashed on the way, and what is not as it must
/// be is left to be fetched; so nothing that goes wrong here is an error.
pub(super) fn fill(dir: &Path, writer: &Writer) -> Result<(), CreateError> {
    let name = writer.laid().name().clone();
    let aside = aside_dir(dir, &name);
    if !aside.exists() {
        return Ok(());
    }
    if let Some(old) = old_layout(&aside, &name) {
        for number in writer.left() {
            let Some(item) = writer.laid().items().get(number) else { continue };
            let there = old.item_of(&item.planned.digest).and_then(|at| old.items().get(at));
            if let (Planned::Blob, Some(there)) = (&item.planned.what, there) {
                let filled = fill_one(&aside, &old, there, writer, number);
                tracing::debug!(digest = %item.planned.digest, ?filled, "took over");
            }
        }
    }
    writer.sync()?;
    remove(&aside)
}

/// Where everything lay that was set aside.
fn old_layout(aside: &Path, name: &BundleName) -> Option<Laid> {
    let old = Pinned::read_at(&aside.join(PLAN)).ok().flatten()?;
    let bytes = old.asked.get("segment_size")?.as_u64()?;
    let size = SegmentSize::new(bytes).unwrap_or_else(|_| SegmentSize::rehearsal(bytes));
    lay_out(&old.entries(), size, name).ok()
}

fn fill_one(
    aside: &Path,
    old: &Laid,
    there: &Item,
    writer: &Writer,
    number: usize,
) -> Result<(), BundleError> {
    let mut item = writer.begin(number)?;
    let (from, mut buffer) = (item.resume_at(), vec![0; COPY_BYTES]);
    for piece in &there.pieces {
        let segment = usize::try_from(piece.segment).ok().and_then(|at| old.segments().get(at));
        let path = aside.join(segment.map_or_else(String::new, |s| format!("{}.partial", s.file)));
        let unreadable = |source| BundleError::Io { operation: "read", path: path.clone(), source };
        let file = File::open(&path).map_err(unreadable)?;
        let mut at = from.saturating_sub(piece.from).min(piece.size);
        while at < piece.size {
            let left = usize::try_from(piece.size - at).unwrap_or(usize::MAX);
            let Some(run) = buffer.get_mut(..left.min(COPY_BYTES)) else { break };
            let read = file.read_exact_at(run, piece.offset.saturating_add(at));
            read.map_err(unreadable)?;
            item.write(run)?;
            at = at.saturating_add(u64::try_from(run.len()).unwrap_or(u64::MAX));
        }
    }
    item.finish()
}

fn aside_dir(dir: &Path, name: &BundleName) -> PathBuf {
    work_dir(dir, name).join("aside")
}

fn remove(folder: &Path) -> Result<(), CreateError> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", folder)(e).into())
        }
        _ => Ok(()),
    }
}
