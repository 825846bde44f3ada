//! Records that are found by the hash of a secret, and changed by their number.

use std::collections::BTreeMap;

use signing::Sha256Digest;

/// A record with a number that people name it by.
pub trait Numbered {
    /// Its number.
    fn number(&self) -> u64;
}

/// Records in force, by the hash of their secret.
#[derive(Debug, Clone)]
pub struct SecretTable<R> {
    by_digest: BTreeMap<Sha256Digest, R>,
}

impl<R> Default for SecretTable<R> {
    fn default() -> Self {
        Self { by_digest: BTreeMap::new() }
    }
}

impl<R: Numbered> SecretTable<R> {
    /// The one whose secret hashes to `digest`.
    pub fn find(&self, digest: &Sha256Digest) -> Option<&R> {
        self.by_digest.get(digest)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }

    /// Adds one.
    pub fn insert(&mut self, digest: Sha256Digest, record: R) {
        self.by_digest.insert(digest, record);
    }

    /// Changes the one of this number.
    pub fn change(&mut self, id: u64, change: impl FnOnce(&mut R)) {
        if let Some(record) = self.by_digest.values_mut().find(|record| record.number() == id) {
            change(record);
        }
    }

    /// Takes one away.
    pub fn remove(&mut self, id: u64) -> Option<R> {
        let found = self.by_digest.iter().find(|(_, record)| record.number() == id);
        let digest = found.map(|(digest, _)| *digest)?;
        self.by_digest.remove(&digest)
    }

    /// All, by hash.
    pub(super) fn records(&self) -> impl Iterator<Item = &R> {
        self.by_digest.values()
    }

    /// All, by number.
    pub fn list(&self) -> Vec<R>
    where
        R: Clone,
    {
        let mut all: Vec<R> = self.records().cloned().collect();
        all.sort_by_key(Numbered::number);
        all
    }
}
