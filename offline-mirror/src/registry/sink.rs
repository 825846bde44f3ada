//! Where a blob that is pulled goes.

use std::io;

use crate::oci::{Algorithm, Digest, Hasher};

/// Takes the bytes of one blob, in order, and hashes them: every byte once, by whoever keeps it.
///
/// Writes happen on the thread that receives. A sink writes into the page cache or memory; where that
/// has to wait for a disk, all transfers do, and the time is not counted against any registry.
pub trait BlobSink: Send {
    /// Bytes it has, those of earlier runs included; the pull goes on from there.
    fn offset(&self) -> u64;

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When they cannot be kept; the pull ends.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Digest of everything it has, made the way the blob's own digest was. Asked for once all bytes
    /// are there; the pull compares it.
    ///
    /// # Errors
    /// When it cannot be told.
    fn digest(&mut self) -> io::Result<Digest>;

    /// Forgets everything, if it can: what an earlier run left may be what is bad, and the registry
    /// gets one chance without it. Answers whether it did.
    ///
    /// # Errors
    /// When forgetting failed.
    fn restart(&mut self) -> io::Result<bool> {
        Ok(false)
    }
}

/// Keeps nothing but the hash.
#[derive(Debug)]
pub struct HashSink {
    hasher: Hasher,
    offset: u64,
}

impl HashSink {
    /// An empty one, hashing as `algorithm` says.
    pub fn new(algorithm: Algorithm) -> Self {
        Self { hasher: Hasher::new(algorithm), offset: 0 }
    }
}

impl BlobSink for HashSink {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.offset = self.offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn digest(&mut self) -> io::Result<Digest> {
        Ok(self.hasher.clone().finish())
    }
}

/// Keeps a small blob, such as an image's config, in memory. The pull's descriptor bounds it.
#[derive(Debug)]
pub struct MemorySink {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

impl MemorySink {
    /// An empty one, hashing as `algorithm` says.
    pub fn new(algorithm: Algorithm) -> Self {
        Self::resume(algorithm, Vec::new())
    }

    /// One that has the beginning already.
    pub fn resume(algorithm: Algorithm, bytes: Vec<u8>) -> Self {
        Self { algorithm, bytes }
    }

    /// What it holds.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl BlobSink for MemorySink {
    fn offset(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn digest(&mut self) -> io::Result<Digest> {
        let mut hasher = Hasher::new(self.algorithm);
        hasher.update(&self.bytes);
        Ok(hasher.finish())
    }

    fn restart(&mut self) -> io::Result<bool> {
        self.bytes.clear();
        Ok(true)
    }
}
