//! Copies a TUF repository by watching a verifying client read it.
//!
//! Among what the client fetched is everything that another client needs to come to the same
//! belief, so the copy is complete without a second walk over the repository. It may hold more: the
//! older roots, and a file that the client fetched and refused. Nothing is believed for being in
//! the copy; whoever reads it verifies it again.

use std::collections::BTreeMap;
use std::path::Path;

use signing::client::limits::{MAX_ROOT_BYTES, MAX_ROOT_ROTATIONS};
use signing::{Fetched, FileName, Recording, Source, SourceError};

use crate::error::Error;
use crate::layout::write_file;

/// Folder of the TUF repository inside an export directory.
pub(crate) const TUF_DIR: &str = "tuf";

/// Copies the roots before `pinned` too, for sites that pinned one of those. They are taken as they
/// come: a site's client walks the chain from its own root and believes nothing else.
pub(crate) async fn copy_roots_before<S: Source>(
    recording: &Recording<S>,
    pinned: u64,
) -> Result<(), SourceError> {
    for version in (pinned.saturating_sub(MAX_ROOT_ROTATIONS).max(1)..pinned).rev() {
        let root = FileName::root(version);
        if recording.fetch(&root, MAX_ROOT_BYTES, None).await? == Fetched::NotFound {
            break;
        }
    }
    Ok(())
}

/// Writes the copy; `timestamp.json` last, so that a broken run never looks newer than it is.
pub(crate) fn write(dir: &Path, files: &BTreeMap<FileName, Vec<u8>>) -> Result<(), Error> {
    let root = dir.join(TUF_DIR);
    let timestamp = FileName::timestamp();
    let (last, first): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| **name == timestamp);
    for (name, bytes) in first.into_iter().chain(last) {
        write_file(&root.join(name.relative_path()), bytes)?;
    }
    Ok(())
}
