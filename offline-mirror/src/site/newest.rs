//! The newest receipt of a site, for its status: what a person would look up and type.

use std::path::{Path, PathBuf};

use channels::wire::BundleReceipt;
use signing::Sha256Digest;

use super::dir::SiteDir;
use super::error::SiteError;
use super::files::read_file;
use super::receipt::{RECEIPT_BYTES_MAX, Receipt};

impl SiteDir {
    /// What the receipt with the highest sequence says; nothing before the first import.
    ///
    /// # Errors
    /// When the receipts cannot be listed, or the newest one cannot be read or does not verify with
    /// the site's key.
    pub fn newest_receipt(&self) -> Result<Option<BundleReceipt>, SiteError> {
        let Some(path) = self.newest_receipt_path()? else { return Ok(None) };
        let bytes = read_file(&path, RECEIPT_BYTES_MAX)?;
        let receipt = Receipt::read(&bytes, &self.public_key()?)?;
        Ok(Some(BundleReceipt {
            bundle: receipt.bundle.as_str().to_owned(),
            sequence: receipt.sequence,
            manifest: receipt.manifest,
            imported_at: receipt.imported_at,
            complete: receipt.complete,
            digest: Sha256Digest::of(&bytes),
        }))
    }

    fn newest_receipt_path(&self) -> Result<Option<PathBuf>, SiteError> {
        let dir = self.path().join("receipts");
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SiteError::io("read", &dir)(error)),
        };
        let mut newest: Option<(u64, PathBuf)> = None;
        for entry in entries {
            let path = entry.map_err(SiteError::io("read", &dir))?.path();
            let Some(sequence) = sequence(&path) else { continue };
            if newest.as_ref().is_none_or(|(found, _)| *found < sequence) {
                newest = Some((sequence, path));
            }
        }
        Ok(newest.map(|(_, path)| path))
    }
}

/// The number that a receipt's name begins with; other files are none of ours.
fn sequence(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".receipt.json")?;
    name.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::dir::tests::made;
    use super::super::{Receipt, Told};
    use super::*;

    fn receipt(sequence: u64, bundle: &str) -> Receipt {
        Receipt {
            format: Receipt::FORMAT,
            site: "north".parse().unwrap(),
            bundle: bundle.parse().unwrap(),
            sequence,
            manifest: Sha256Digest::of(b"manifest"),
            imported_at: "2026-11-21T00:00:00Z".parse().unwrap(),
            complete: sequence != 1_000_000,
            target: "registry r.example".to_owned(),
            told: Told::default(),
            inventory_counter: 2,
            inventory: Sha256Digest::of(b"inventory"),
        }
    }

    #[test]
    fn the_newest_is_the_one_with_the_highest_number_and_must_be_the_sites_own() {
        let (_folder, site) = made();
        assert_eq!(site.newest_receipt().unwrap(), None);
        // A number with more digits than the name is filled up to.
        for (sequence, bundle) in [(999_999, "z"), (1_000_000, "a"), (7, "north-7")] {
            site.save_receipt(&receipt(sequence, bundle)).unwrap();
        }
        std::fs::write(site.path().join("receipts/9999999-x.json.new"), "half").unwrap();
        let newest = site.newest_receipt().unwrap().unwrap();
        assert_eq!((newest.bundle.as_str(), newest.sequence), ("a", 1_000_000));
        assert!(!newest.complete);
        let path = site.receipt_path(1_000_000, &"a".parse().unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(newest.digest, Sha256Digest::of(&bytes));
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = site.newest_receipt().unwrap_err();
        assert!(matches!(error, SiteError::Statement { what: "receipt", .. }), "{error}");
    }
}
