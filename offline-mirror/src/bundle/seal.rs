//! Ends a set: its signed manifest, written last and at once.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use signing::{Signer, statement};

use super::error::BundleError;
use super::manifest::{BundleManifest, BundleName};
use super::validate::{MANIFEST_BYTES_MAX, validate};
use super::writer::{sync_dir, work_dir};

/// Signs the manifest, writes it beside its finished segments, and removes the working state: from
/// then on the files are a bundle. Returns the manifest's path.
///
/// # Errors
/// [`BundleError::Structure`] for a manifest that no reader would take, [`BundleError::Sealed`],
/// [`BundleError::Sign`] or [`BundleError::Io`].
pub fn seal(
    dir: &Path,
    manifest: &BundleManifest,
    signers: &[&dyn Signer],
) -> Result<PathBuf, BundleError> {
    let path = dir.join(manifest.name.manifest_file());
    if path.exists() {
        return Err(BundleError::Sealed { manifest: path });
    }
    if let Err(source) = validate(manifest) {
        return Err(BundleError::Structure { file: path, source });
    }
    let bytes =
        statement::sign(BundleManifest::KIND, manifest, signers).map_err(BundleError::Sign)?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > MANIFEST_BYTES_MAX {
        let limit = MANIFEST_BYTES_MAX;
        return Err(BundleError::ManifestTooLong { file: path, size, limit });
    }
    let open = dir.join(format!("{}.partial", manifest.name.manifest_file()));
    let written = File::create(&open).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    written.map_err(BundleError::io("write", &open))?;
    std::fs::rename(&open, &path).map_err(BundleError::io("name", &path))?;
    sync_dir(dir)?;
    remove_work(dir, &manifest.name)?;
    Ok(path)
}

/// Removes what was begun under this name and not sealed: working state and unfinished segments.
/// Finished segments and manifests stay.
///
/// # Errors
/// [`BundleError::Io`].
pub fn discard(dir: &Path, name: &BundleName) -> Result<(), BundleError> {
    let entries = std::fs::read_dir(dir).map_err(BundleError::io("read", dir))?;
    for entry in entries {
        let entry = entry.map_err(BundleError::io("read", dir))?;
        let file = entry.file_name();
        let Some(of_segment) = file.to_str().and_then(|file| file.strip_suffix(".partial")) else {
            continue;
        };
        if is_segment_of(name, of_segment) || of_segment == name.manifest_file() {
            let path = entry.path();
            std::fs::remove_file(&path).map_err(BundleError::io("remove", &path))?;
        }
    }
    remove_work(dir, name)
}

/// Whether a file has the name of a segment of this set, whatever its number.
pub(super) fn is_segment_of(name: &BundleName, file: &str) -> bool {
    let number = file.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('-'));
    let number = number.and_then(|rest| rest.strip_suffix(".tar"));
    number.is_some_and(|n| n.len() >= 4 && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Removes the working state of a set, if there is one.
pub(super) fn remove_work(dir: &Path, name: &BundleName) -> Result<(), BundleError> {
    let work = work_dir(dir, name);
    match std::fs::remove_dir_all(&work) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(BundleError::io("remove", work)(e))
        }
        _ => sync_dir(dir),
    }
}
