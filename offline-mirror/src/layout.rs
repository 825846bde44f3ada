//! An OCI image layout on disk: `oci-layout`, `index.json`, `blobs/sha256/<hex>`.
//!
//! A blob appears under its name only when all its bytes have the digest of that name, so whatever
//! is there may be reused by the next run.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use signing::{Sha256Digest, Sha256Hasher};

use crate::error::Error;
use crate::manifest::{Descriptor, MANIFEST_BYTES_MAX};

/// Read size when hashing: large enough to keep the hash busy, small enough for any machine.
const CHUNK_BYTES: usize = 1024 * 1024;

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
        write_file(&self.dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    /// Whether the blob is there; its content was verified when it was put there.
    pub fn has(&self, digest: &Sha256Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// Writes a small blob (a manifest) whose digest the caller checked.
    pub(crate) fn put(&self, digest: &Sha256Digest, bytes: &[u8]) -> Result<(), Error> {
        let found = Sha256Digest::of(bytes);
        if found != *digest {
            let what = format!("manifest {digest}");
            return Err(Error::Digest { what, expected: *digest, found });
        }
        write_file(&self.blob_path(digest), bytes)
    }

    /// Moves a finished download under its name, if length and digest are right.
    pub(crate) fn adopt(&self, blob: &Descriptor) -> Result<(), Error> {
        let partial = self.partial_path(&blob.digest);
        let checked = check_file(&partial, blob);
        if checked.is_err() {
            // Kept bytes would be trusted as a good prefix by nobody; a retry starts clean.
            drop(std::fs::remove_file(&partial));
        }
        checked?;
        let path = self.blob_path(&blob.digest);
        std::fs::rename(&partial, &path).map_err(Error::io("rename to", path))
    }

    /// Reads a manifest blob and checks its digest.
    pub(crate) fn manifest(&self, digest: &Sha256Digest) -> Result<Vec<u8>, Error> {
        let path = self.blob_path(digest);
        let file = std::fs::File::open(&path).map_err(|_| Error::Missing {
            what: format!("manifest {digest}"),
            dir: self.dir.clone(),
        })?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(u64::MAX);
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

    /// Writes `index.json` over the top-level images, named `repository@digest` for people.
    pub(crate) fn write_index(&self, images: &[(String, Descriptor)]) -> Result<(), Error> {
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
        write_file(&self.dir.join("index.json"), index.to_string().as_bytes())
    }
}

/// Hashes a file once and compares length and digest.
fn check_file(path: &Path, blob: &Descriptor) -> Result<(), Error> {
    let mut file = std::fs::File::open(path).map_err(Error::io("open", path))?;
    let (mut hasher, mut length, mut chunk) = (Sha256Hasher::new(), 0_u64, vec![0; CHUNK_BYTES]);
    loop {
        let read = file.read(&mut chunk).map_err(Error::io("read", path))?;
        let Some(bytes) = chunk.get(..read).filter(|b| !b.is_empty()) else { break };
        hasher.update(bytes);
        length = length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
    let what = || format!("blob {}", path.display());
    if length != blob.size {
        return Err(Error::Size { what: what(), expected: blob.size, found: length });
    }
    let found = hasher.finish();
    if found == blob.digest {
        Ok(())
    } else {
        Err(Error::Digest { what: what(), expected: blob.digest, found })
    }
}

/// Writes beside the target and renames, so that a reader never sees half a file.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let partial = path.with_file_name(format!(".{name}.partial"));
    let mut file = std::fs::File::create(&partial).map_err(Error::io("create", &partial))?;
    file.write_all(bytes).map_err(Error::io("write", &partial))?;
    file.sync_all().map_err(Error::io("sync", &partial))?;
    std::fs::rename(&partial, path).map_err(Error::io("rename to", path))
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
    fn a_blob_with_other_bytes_is_never_adopted() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(dir.path());
        layout.create().unwrap();
        let wanted = blob(b"right");
        std::fs::write(layout.partial_path(&wanted.digest), b"wrong").unwrap();
        assert!(matches!(layout.adopt(&wanted), Err(Error::Digest { .. })));
        assert!(!layout.has(&wanted.digest));
        std::fs::write(layout.partial_path(&wanted.digest), b"right").unwrap();
        layout.adopt(&wanted).unwrap();
        layout.verify(&wanted).unwrap();
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
}
