//! What a view keeps of the bundles made under it and of the sites that sent inventories.
//!
//! Records say what a site has once it imported a bundle; nobody at the site signed that, so they
//! count only where a person chose to assume it.

use std::path::{Path, PathBuf};

use channels::names::SiteName;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::error::ViewError;
use crate::belief::read_bounded;
use crate::bundle::{BundleName, Required};
use crate::disk::{sync_folder, write_file};
use crate::error::Error;

const BUNDLES: &str = "bundles";
const SITES: &str = "sites";
/// A record lists digests with their repositories, some 200 bytes each: a quarter of a million.
const RECORD_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Six short members.
const SEEN_BYTES_MAX: u64 = 16 * 1024;

/// A bundle that was finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BundleRecord {
    /// Form of this file.
    pub(crate) format: u32,
    /// Its sequence.
    pub(crate) sequence: u64,
    /// Its name.
    pub(crate) name: BundleName,
    /// Digest of its signed manifest.
    pub(crate) manifest: Sha256Digest,
    /// Digest of what was asked for, so that asking again finds it made.
    pub(crate) asked: Sha256Digest,
    /// Sites that it was addressed to; empty = any.
    pub(crate) sites: Vec<SiteName>,
    /// What a site that imported it has: everything carried and everything that was required.
    pub(crate) holds: Vec<Required>,
}

impl BundleRecord {
    /// The form written by this version.
    pub(crate) const FORMAT: u32 = 1;

    /// Whether every one of `sites` could import it.
    pub(crate) fn is_for(&self, sites: &[SiteName]) -> bool {
        self.sites.is_empty()
            || !sites.is_empty() && sites.iter().all(|site| self.sites.contains(site))
    }
}

/// The newest inventory that was seen of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeenInventory {
    /// Form of this file.
    pub(crate) format: u32,
    /// Number of the inventory, as the site counts them.
    pub(crate) counter: u64,
    /// When it was taken.
    pub(crate) taken_at: Timestamp,
    /// Newest bundle that had been imported.
    pub(crate) sequence: u64,
    /// Digest of the signed file.
    pub(crate) inventory: Sha256Digest,
}

impl SeenInventory {
    /// The form written by this version.
    pub(crate) const FORMAT: u32 = 1;
}

/// Keeps the record of a finished bundle.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn keep_bundle_record(dir: &Path, record: &BundleRecord) -> Result<(), Error> {
    write(&bundle_path(dir, record.sequence), record)
}

/// Removes the record of a bundle that was given up, if there is one.
///
/// # Errors
/// When it cannot be removed.
pub(crate) fn forget_bundle_record(dir: &Path, sequence: u64) -> Result<(), Error> {
    let path = bundle_path(dir, sequence);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("remove", path)(error)),
        Ok(()) => sync_folder(&path),
    }
}

/// The records of finished bundles up to `sequence`, in order. Numbers without a record were spent
/// on bundles that were given up.
///
/// # Errors
/// When a record cannot be read.
pub(crate) fn bundle_records(dir: &Path, sequence: u64) -> Result<Vec<BundleRecord>, Error> {
    let folder = dir.join(BUNDLES);
    let mut sequences = Vec::new();
    match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder)(error)),
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(Error::io("read", &folder))?;
                let name = entry.file_name();
                let number = name.to_str().and_then(|name| name.strip_suffix(".json"));
                sequences.extend(number.and_then(|number| number.parse::<u64>().ok()));
            }
        }
    }
    sequences.sort_unstable();
    sequences
        .into_iter()
        .filter(|found| *found <= sequence)
        .map(|found| {
            let path = bundle_path(dir, found);
            let record: BundleRecord = read(dir, &path, RECORD_BYTES_MAX)?;
            check_format(dir, &path, record.format, BundleRecord::FORMAT)?;
            Ok(record)
        })
        .collect()
}

/// Remembers a site's inventory.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn remember_inventory(
    dir: &Path,
    site: &SiteName,
    seen: &SeenInventory,
) -> Result<(), Error> {
    write(&site_path(dir, site), seen)
}

/// The newest inventory seen of a site.
///
/// # Errors
/// When what is remembered cannot be read.
pub(crate) fn seen_inventory(dir: &Path, site: &SiteName) -> Result<Option<SeenInventory>, Error> {
    let path = site_path(dir, site);
    if !path.exists() {
        return Ok(None);
    }
    let seen: SeenInventory = read(dir, &path, SEEN_BYTES_MAX)?;
    check_format(dir, &path, seen.format, SeenInventory::FORMAT)?;
    Ok(Some(seen))
}

fn bundle_path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(BUNDLES).join(format!("{sequence}.json"))
}

fn site_path(dir: &Path, site: &SiteName) -> PathBuf {
    dir.join(SITES).join(format!("{site}.json"))
}

fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::Document { path: path.display().to_string(), why: e.to_string() })?;
    bytes.push(b'\n');
    write_file(path, &bytes)
}

fn read<T: DeserializeOwned>(dir: &Path, path: &Path, bytes_max: u64) -> Result<T, Error> {
    let bytes = read_bounded(path, bytes_max)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let why = format!("{} cannot be read: {error}", path.display());
        ViewError::NotAView { dir: dir.to_owned(), why }.into()
    })
}

fn check_format(dir: &Path, path: &Path, found: u32, known: u32) -> Result<(), Error> {
    if found == known {
        return Ok(());
    }
    let why = format!("{} has format {found}, not {known}", path.display());
    Err(ViewError::NotAView { dir: dir.to_owned(), why }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> SiteName {
        name.parse().unwrap()
    }

    fn record(sequence: u64, sites: &[&str]) -> BundleRecord {
        BundleRecord {
            format: BundleRecord::FORMAT,
            sequence,
            name: "b".parse().unwrap(),
            manifest: Sha256Digest::of(b"m"),
            asked: Sha256Digest::of(b"a"),
            sites: sites.iter().map(|name| site(name)).collect(),
            holds: Vec::new(),
        }
    }

    #[test]
    fn records_are_read_in_order_up_to_a_sequence() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(bundle_records(dir.path(), 9).unwrap(), []);
        for sequence in [10, 2, 9] {
            keep_bundle_record(dir.path(), &record(sequence, &[])).unwrap();
        }
        let found = bundle_records(dir.path(), 9).unwrap();
        assert_eq!(found.iter().map(|r| r.sequence).collect::<Vec<_>>(), [2, 9]);
        std::fs::write(dir.path().join("bundles/9.json"), "{}").unwrap();
        let refused = bundle_records(dir.path(), 9).unwrap_err();
        assert!(matches!(refused, Error::View(ViewError::NotAView { .. })), "{refused}");
    }

    #[test]
    fn a_bundle_for_one_site_counts_for_no_other() {
        let (north, south) = (site("north"), site("south"));
        let both = [north.clone(), south.clone()];
        assert!(record(1, &[]).is_for(&both) && record(1, &[]).is_for(&[]));
        assert!(record(1, &["north", "south"]).is_for(&[south]));
        assert!(!record(1, &["north"]).is_for(&both));
        assert!(!record(1, &["north"]).is_for(&[]), "for any site");
    }

    #[test]
    fn an_inventory_is_remembered_by_site() {
        let dir = tempfile::tempdir().unwrap();
        let seen = SeenInventory {
            format: SeenInventory::FORMAT,
            counter: 3,
            taken_at: "2026-11-20T00:00:00Z".parse().unwrap(),
            sequence: 2,
            inventory: Sha256Digest::of(b"i"),
        };
        remember_inventory(dir.path(), &site("north"), &seen).unwrap();
        assert_eq!(seen_inventory(dir.path(), &site("north")).unwrap(), Some(seen));
        assert_eq!(seen_inventory(dir.path(), &site("south")).unwrap(), None);
    }
}
