//! Copies a TUF repository by watching a verifying client read it.
//!
//! Among what the client fetched is everything that another client needs to come to the same
//! belief, so the copy is complete without a second walk over the repository. It may hold more: the
//! older roots, and a file that the client fetched and refused. Nothing is believed for being in
//! the copy; whoever reads it verifies it again.

use std::collections::BTreeMap;
use std::path::Path;

use channels::names::VendorName;
use jiff::Timestamp;
use signing::client::limits::{MAX_ROOT_BYTES, MAX_ROOT_ROTATIONS};
use signing::metadata::{Document, Root, Snapshot, Targets, TimestampMetadata};
use signing::{Fetched, FileName, Recording, Source, SourceError, TopRole};

use crate::error::Error;
use crate::feed::belongs_to;
use crate::layout::write_file;
use crate::record::CarriedFile;

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

/// Writes the copy, `timestamp.json` last, so that a broken run never looks newer than it is;
/// returns what was written for the record.
pub(crate) fn write(
    dir: &Path,
    files: &BTreeMap<FileName, Vec<u8>>,
) -> Result<Vec<CarriedFile>, Error> {
    let root = dir.join(TUF_DIR);
    let timestamp = FileName::timestamp();
    let (last, first): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| **name == timestamp);
    let mut written = Vec::with_capacity(files.len());
    for (name, bytes) in first.into_iter().chain(last) {
        let path = name.relative_path();
        write_file(&root.join(&path), bytes)?;
        written.push(CarriedFile::of(format!("{TUF_DIR}/{path}"), bytes));
    }
    Ok(written)
}

/// When the first of these files expires: top-level roles, and the targets roles of `vendor`. Of the
/// roots only the newest counts, which is the last by name: older ones are carried unread, and what
/// they say of themselves is nobody's word.
///
/// # Errors
/// When a file, which a client believed, cannot be read again.
pub(crate) fn good_until(
    files: &BTreeMap<FileName, Vec<u8>>,
    vendor: &VendorName,
) -> Result<Option<Timestamp>, signing::Error> {
    let mut earliest: Option<Timestamp> = None;
    let newest_root = files.keys().filter_map(root_version).max();
    for (name, bytes) in files {
        let FileName::Metadata { role, .. } = name else { continue };
        let expires = match role.as_top() {
            Some(TopRole::Root) if root_version(name) != newest_root => continue,
            Some(TopRole::Root) => Document::<Root>::parse(role, bytes)?.body.expires,
            Some(TopRole::Timestamp) => {
                Document::<TimestampMetadata>::parse(role, bytes)?.body.expires
            }
            Some(TopRole::Snapshot) => Document::<Snapshot>::parse(role, bytes)?.body.expires,
            None if !belongs_to(vendor.as_str(), role.as_str()) => continue,
            Some(TopRole::Targets) | None => Document::<Targets>::parse(role, bytes)?.body.expires,
        };
        earliest = Some(earliest.map_or(expires, |earliest| earliest.min(expires)));
    }
    Ok(earliest)
}

/// The version in a root's name.
fn root_version(name: &FileName) -> Option<u64> {
    match name {
        FileName::Metadata { role, version } if role.as_top() == Some(TopRole::Root) => *version,
        FileName::Metadata { .. } | FileName::Target { .. } => None,
    }
}
