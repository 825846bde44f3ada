//! What a run of the publisher made: the signed set, and what is new in it.

use std::collections::BTreeMap;

use base64::Engine as _;
use channels::wire::{MAX_PUBLICATION_BYTES, MAX_PUBLICATION_FILES, Publication, PublicationFile};
use jiff::Timestamp;
use signing::{FileName, RoleName, Sha256Digest, StagedRepository, TargetEntry, TargetPath};

use super::TrustChange;
use super::error::PublisherError;

/// A signed set, ready to be published.
#[derive(Debug, Clone)]
pub struct Assembly {
    /// All metadata the publisher signs, every root included where it holds the hub's, and all
    /// targets.
    pub repository: StagedRepository,
    /// What was signed now; empty when nothing changed.
    pub changes: Vec<Change>,
    /// When root should have been renewed but its keys are not at hand: the end of its validity.
    pub root_expires: Option<Timestamp>,
    /// Vendors that were delegated to and are no longer: agents refuse their products.
    pub revoked: Vec<RoleName>,
}

/// One role that was signed again.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The role.
    pub role: RoleName,
    /// Its new version.
    pub version: u64,
    /// Why.
    pub why: Why,
    /// Targets that are new or have other content.
    pub added: Vec<TargetPath>,
    /// Targets that are no longer listed.
    pub removed: Vec<TargetPath>,
    /// What changes in whom it delegates to: delegates, their keys, thresholds and paths.
    pub trust: Vec<TrustChange>,
    /// Whether its publisher publishes for the first time: nobody's keys are replaced.
    pub is_first: bool,
}

/// Why a role was signed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was never published.
    New,
    /// What it lists or delegates changed.
    Content,
    /// Its keys changed.
    Keys,
    /// Less than a third of its life was left.
    Expiry,
}

impl Assembly {
    /// The set as the hub takes it.
    pub fn publication(&self, message: &str) -> Result<Publication, PublisherError> {
        let too_large = |what, found, limit| PublisherError::TooLarge { what, found, limit };
        let mut files = Vec::new();
        let mut bytes_in_all = 0;
        for (name, bytes) in self.repository.files() {
            let path = match name {
                FileName::Metadata { .. } => name.relative_path(),
                FileName::Target { path, .. } => format!("targets/{path}"),
            };
            let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
            // Keys, quotes and commas of one entry.
            bytes_in_all += path.len() + base64.len() + 32;
            files.push(PublicationFile { path, base64 });
        }
        if files.len() > MAX_PUBLICATION_FILES {
            return Err(too_large("files", files.len(), MAX_PUBLICATION_FILES));
        }
        if bytes_in_all > MAX_PUBLICATION_BYTES {
            return Err(too_large("bytes", bytes_in_all, MAX_PUBLICATION_BYTES));
        }
        Ok(Publication { message: message.to_owned(), files })
    }
}

impl Change {
    /// What a role lists now and did not before, and the reverse; it delegates as before.
    pub(super) fn of(
        role: &RoleName,
        version: u64,
        why: Why,
        before: &BTreeMap<String, Option<Sha256Digest>>,
        after: &BTreeMap<TargetPath, TargetEntry>,
    ) -> Self {
        let is_new = |path: &TargetPath, entry: &TargetEntry| {
            before.get(path.as_str()).copied().flatten() != Some(entry.digest)
        };
        let added = after.iter().filter(|(path, entry)| is_new(path, entry));
        let added = added.map(|(path, _)| path.clone()).collect();
        let removed = before.keys().filter_map(|path| TargetPath::new(path.as_str()).ok());
        let removed = removed.filter(|path| !after.contains_key(path)).collect();
        let (trust, is_first) = (Vec::new(), false);
        Self { role: role.clone(), version, why, added, removed, trust, is_first }
    }
}
