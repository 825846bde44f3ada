//! Documents at hand: parsed ones in memory, their bytes on disk for a restart without the hub.
//!
//! Nothing is believed because it is here. A kept copy counts only if its SHA-256 is the one that
//! verified metadata lists at that moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use signing::{Sha256Digest, Store, TargetPath};

use super::{TrustError, VerifiedGraph, VerifiedRelease};

/// Parsed documents of each kind kept in memory; a cluster looks at a handful.
const PARSED_MAX: usize = 32;

/// Parsed and raw documents.
#[derive(Debug)]
pub(super) struct Cache<T: Store> {
    documents: T,
    graphs: BTreeMap<TargetPath, Arc<VerifiedGraph>>,
    releases: BTreeMap<TargetPath, Arc<VerifiedRelease>>,
}

impl<T: Store> Cache<T> {
    pub(super) fn new(documents: T) -> Self {
        Self { documents, graphs: BTreeMap::new(), releases: BTreeMap::new() }
    }

    pub(super) fn graph(
        &self,
        path: &TargetPath,
        digest: Sha256Digest,
    ) -> Option<Arc<VerifiedGraph>> {
        self.graphs.get(path).filter(|graph| graph.digest == digest).cloned()
    }

    pub(super) fn keep_graph(&mut self, path: &TargetPath, graph: &Arc<VerifiedGraph>) {
        keep(&mut self.graphs, path, graph);
    }

    pub(super) fn release(
        &self,
        path: &TargetPath,
        digest: Sha256Digest,
    ) -> Option<Arc<VerifiedRelease>> {
        self.releases.get(path).filter(|release| release.digest == digest).cloned()
    }

    pub(super) fn keep_release(&mut self, path: &TargetPath, release: &Arc<VerifiedRelease>) {
        keep(&mut self.releases, path, release);
    }

    /// The kept bytes, if they are the listed ones. A store that fails is a store without a copy.
    pub(super) fn bytes(&self, path: &TargetPath, digest: Sha256Digest) -> Option<Vec<u8>> {
        let bytes = self.documents.load(&slot(path)).ok()??;
        (Sha256Digest::of(&bytes) == digest).then_some(bytes)
    }

    pub(super) fn keep_bytes(&mut self, path: &TargetPath, bytes: &[u8]) -> Result<(), TrustError> {
        self.documents
            .save(&slot(path), bytes)
            .map_err(|source| TrustError::Store { name: "documents", source })
    }
}

fn keep<V>(map: &mut BTreeMap<TargetPath, Arc<V>>, path: &TargetPath, value: &Arc<V>) {
    if map.len() >= PARSED_MAX && !map.contains_key(path) {
        map.pop_first();
    }
    map.insert(path.clone(), Arc::clone(value));
}

/// One of 256 file names. Two documents that fall into one slot take turns, which bounds the
/// directory without any bookkeeping.
fn slot(path: &TargetPath) -> String {
    let hex = Sha256Digest::of(path.as_str().as_bytes()).hex();
    format!("document-{}", hex.get(..2).unwrap_or("00"))
}
