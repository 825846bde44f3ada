//! Answers that were made once and are sent many times: one per graph and set of hidden releases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::web::Bytes;
use channels::version::ReleaseVersion;
use signing::Sha256Digest;

use super::document;
use crate::catalog::Body;
use crate::http::negotiate::Encoding;

/// Answers kept. A graph has as many as it has sets of releases in rollout, one or two as a rule;
/// at 100 KB each this is 13 MB. Beyond it all are forgotten and made again as they are asked for.
const MAX_BODIES: usize = 128;

/// Digest of the graph it was made of, and the releases hidden in it.
type Key = (Sha256Digest, BTreeSet<ReleaseVersion>);

#[derive(Default)]
pub(super) struct Bodies(Mutex<BTreeMap<Key, Arc<Body>>>);

impl Bodies {
    pub(super) fn get(&self, shown: &Body, hidden: &BTreeSet<ReleaseVersion>) -> Option<Arc<Body>> {
        let key = (shown.digest, hidden.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    pub(super) fn make(&self, shown: &Body, hidden: &BTreeSet<ReleaseVersion>) -> Arc<Body> {
        let plain = shown.variant(Encoding::Identity).map(|variant| &variant.bytes[..]);
        let bytes = match channels::cincinnati::from_json(plain.unwrap_or_default()) {
            Ok(graph) => document::write(&graph, hidden),
            Err(error) => {
                // What is shown was written by this process; a graph without edges moves nobody.
                tracing::error!(%error, "graph cannot be shown to Fedora CoreOS clients");
                document::empty()
            }
        };
        let digest = Sha256Digest::of(&bytes);
        let body = Arc::new(Body::new(Bytes::from(bytes), digest));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_BODIES {
            kept.clear();
        }
        kept.insert((shown.digest, hidden.clone()), Arc::clone(&body));
        body
    }
}
