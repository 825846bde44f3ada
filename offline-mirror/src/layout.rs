//! An OCI image layout on disk: `oci-layout`, `index.json`, `blobs/sha256/<hex>`.
//!
//! A blob appears under its name only when all its bytes have the digest of that name. Disks and
//! sticks rot, so whoever reuses a blob hashes it again all the same.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::json;
use signing::{Sha256Digest, Sha256Hasher};

use crate::disk::sync_folder;
pub(crate) use crate::disk::{read_at_most, write_file};
use crate::error::Error;
use crate::manifest::{Descriptor, MANIFEST_BYTES_MAX};
use crate::record::CarriedFile;

/// Read size when hashing: large enough to keep the hash busy, small enough for any machine.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Name of the file that marks an OCI image layout.
pub(crate) const MARKER: &str = "oci-layout";
/// What it holds.
const MARKER_TEXT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Name of the layout's list of images.
pub(crate) const INDEX: &str = "index.json";

/// A layout below a directory.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// The layout in `dir`; nothing is touched yet.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The file a blob has or will have.
    pub fn blob_path(&self, digest: &Sha256Digest) -> PathBuf {
        self.dir.join("blobs").join("sha256").join(digest.hex())
    }

    /// Where a blob is written before it is verified.
    pub(crate) fn partial_path(&self, digest: &Sha256Digest) -> PathBuf {
        self.dir.join("blobs").join(format!("{}.partial", digest.hex()))
    }

    /// Creates the folders and the `oci-layout` marker.
    pub(crate) fn create(&self) -> Result<(), Error> {
        let blobs = self.dir.join("blobs").join("sha256");
        std::fs::create_dir_all(&blobs).map_err(Error::io("create", &blobs))?;
        write_file(&self.dir.join(MARKER), MARKER_TEXT)
    }

    /// Whether the blob is there and good; a bad one is removed, so that it is fetched again.
    pub(crate) fn keep(&self, blob: &Descriptor) -> Result<bool, Error> {
        match self.verify(blob) {
            Ok(()) => Ok(true),
            Err(Error::Missing { .. }) => Ok(false),
            Err(Error::Size { .. } | Error::Digest { .. }) => {
                self.remove(&blob.digest)?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The manifest if it is there and good; a bad one is removed.
    pub(crate) fn keep_manifest(&self, digest: &Sha256Digest) -> Result<Option<Vec<u8>>, Error> {
        match self.manifest(digest) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(Error::Digest { .. }) => self.remove(digest).map(|()| None),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, digest: &Sha256Digest) -> Result<(), Error> {
        let path = self.blob_path(digest);
        std::fs::remove_file(&path).map_err(Error::io("remove", path))
    }

    /// Writes a small blob (a manifest) whose digest the caller checked.
    pub(crate) fn put(&self, digest: &Sha256Digest, bytes: &[u8]) -> Result<(), Error> {
        write_file(&self.blob_path(digest), bytes)
    }

    /// Moves a finished download, whose length and digest were checked, under its name.
    pub(crate) fn adopt(&self, digest: &Sha256Digest) -> Result<(), Error> {
        let path = self.blob_path(digest);
        let partial = self.partial_path(digest);
        std::fs::rename(partial, &path).map_err(Error::io("rename to", &path))?;
        sync_folder(&path)
    }

    /// Reads a manifest blob and checks its digest.
    pub(crate) fn manifest(&self, digest: &Sha256Digest) -> Result<Vec<u8>, Error> {
        let path = self.blob_path(digest);
        if !path.is_file() {
            let what = format!("manifest {digest}");
            return Err(Error::Missing { what, dir: self.dir.clone() });
        }
        let limit = u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).map_err(Error::io("open", &path))?;
        // Cut off, a longer one has another digest.
        file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        let found = Sha256Digest::of(&bytes);
        if found != *digest {
            let what = format!("manifest {}", path.display());
            return Err(Error::Digest { what, expected: *digest, found });
        }
        Ok(bytes)
    }

    /// Checks a blob's length and digest where it lies.
    pub(crate) fn verify(&self, blob: &Descriptor) -> Result<(), Error> {
        let path = self.blob_path(&blob.digest);
        if !path.is_file() {
            let what = format!("blob {}", blob.digest);
            return Err(Error::Missing { what, dir: self.dir.clone() });
        }
        check_file(&path, blob)
    }

    /// Writes `index.json` over the top-level images, named `repository@digest` for people; returns
    /// the layout's own two files for the record.
    pub(crate) fn write_index(
        &self,
        images: &[(String, Descriptor)],
    ) -> Result<[CarriedFile; 2], Error> {
        let manifests: Vec<_> = images
            .iter()
            .map(|(name, d)| {
                json!({
                    "mediaType": d.media_type,
                    "digest": d.digest,
                    "size": d.size,
                    "annotations": { "org.opencontainers.image.ref.name": name },
                })
            })
            .collect();
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        });
        let index = index.to_string();
        write_file(&self.dir.join(INDEX), index.as_bytes())?;
        Ok([CarriedFile::of(MARKER, MARKER_TEXT), CarriedFile::of(INDEX, index.as_bytes())])
    }
}

/// Compares a file's length, then hashes it once and compares the digest. Never reads more than the
/// blob's size and one byte, whatever the file turns out to be.
fn check_file(path: &Path, blob: &Descriptor) -> Result<(), Error> {
    let what = || format!("blob {}", path.display());
    let wrong = |found| Error::Size { what: what(), expected: blob.size, found };
    let file = std::fs::File::open(path).map_err(Error::io("open", path))?;
    let said = file.metadata().map_err(Error::io("read", path))?.len();
    if said != blob.size {
        return Err(wrong(said));
    }
    let mut file = file.take(blob.size.saturating_add(1));
    let (mut hasher, mut length, mut chunk) = (Sha256Hasher::new(), 0_u64, vec![0; CHUNK_BYTES]);
    loop {
        let read = file.read(&mut chunk).map_err(Error::io("read", path))?;
        let Some(bytes) = chunk.get(..read).filter(|b| !b.is_empty()) else { break };
        hasher.update(bytes);
        length = length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
    if length != blob.size {
        return Err(wrong(length));
    }
    let found = hasher.finish();
    if found == blob.digest {
        Ok(())
    } else {
        Err(Error::Digest { what: what(), expected: blob.digest, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(bytes: &[u8]) -> Descriptor {
        Descriptor {
            media_type: "a/b".to_owned(),
            digest: Sha256Digest::of(bytes),
            size: u64::try_from(bytes.len()).unwrap(),
        }
    }

    #[test]
    fn a_bad_blob_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(dir.path());
        layout.create().unwrap();
        let wanted = blob(b"right");
        assert!(!layout.keep(&wanted).unwrap());
        layout.put(&wanted.digest, b"right").unwrap();
        assert!(layout.keep(&wanted).unwrap());
        layout.put(&wanted.digest, b"wrong").unwrap();
        assert!(!layout.keep(&wanted).unwrap());
        assert!(!layout.blob_path(&wanted.digest).exists());
        layout.put(&wanted.digest, b"wrong").unwrap();
        assert_eq!(layout.keep_manifest(&wanted.digest).unwrap(), None);
    }

    #[test]
    fn a_flipped_bit_on_the_shelf_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(dir.path());
        layout.create().unwrap();
        let wanted = blob(b"content");
        layout.put(&wanted.digest, b"content").unwrap();
        std::fs::write(layout.blob_path(&wanted.digest), b"c0ntent").unwrap();
        assert!(matches!(layout.verify(&wanted), Err(Error::Digest { .. })));
        std::fs::write(layout.blob_path(&wanted.digest), b"conten").unwrap();
        assert!(matches!(layout.verify(&wanted), Err(Error::Size { expected: 7, found: 6, .. })));
        std::fs::remove_file(layout.blob_path(&wanted.digest)).unwrap();
        assert!(matches!(layout.verify(&wanted), Err(Error::Missing { .. })));
    }

    #[test]
    fn a_blob_of_another_length_is_not_hashed() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(dir.path());
        layout.create().unwrap();
        let wanted = blob(b"content");
        // Sparse: hashing it all would outlast any patience.
        let file = std::fs::File::create(layout.blob_path(&wanted.digest)).unwrap();
        file.set_len(1 << 42).unwrap();
        let found = layout.verify(&wanted).unwrap_err();
        assert!(
            matches!(found, Error::Size { expected: 7, found, .. } if found == 1 << 42),
            "{found}"
        );
    }

    #[test]
    fn a_manifest_that_is_no_file_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(dir.path());
        layout.create().unwrap();
        let wanted = blob(b"manifest");
        std::os::unix::fs::symlink("/dev/zero", layout.blob_path(&wanted.digest)).unwrap();
        let found = layout.manifest(&wanted.digest).unwrap_err();
        assert!(matches!(found, Error::Missing { .. }), "{found}");
    }
}
