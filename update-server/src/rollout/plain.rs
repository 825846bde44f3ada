//! How far rollouts are open to clients that are no clusters here: machines that only read a graph
//! (Fedora `CoreOS` and the like).
//!
//! Such a client has no labels, so it is counted to the ring that clusters without labels are in. It
//! reports nothing, so it never opens a ring, and never halts one.

use channels::rollout::{Labels, Share};
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use signing::Sha256Digest;

use super::rollouts::Rollouts;
use super::state::Head;
use crate::catalog::GraphEntry;
use crate::fcos::{Limit, Limits};
use crate::fleet::GraphKey;

impl Rollouts {
    /// The releases of a graph that are not open to every such client at `now`; all of them are where
    /// no policy governs the graph. Between a publication and the opening of its rollout the newest
    /// release is closed.
    pub fn limits(&self, entry: &GraphEntry, now: Timestamp) -> Limits {
        let (product, channel) = (&entry.key.product, &entry.key.channel);
        let mut limits = Limits { salt: *self.salt(), releases: Vec::new() };
        if self.policies().governing(product, channel).is_none() {
            return limits;
        }
        let key = GraphKey {
            product: product.clone(),
            channel: channel.clone(),
            arch: entry.key.arch.clone(),
        };
        let ids = self.of_product.get(product).map_or(&[][..], Vec::as_slice);
        let here = |head: &&Head| head.state.graphs.contains(&key);
        let heads: Vec<&Head> =
            ids.iter().filter_map(|id| self.heads.get(id)).filter(here).collect();
        limits.releases.extend(heads.iter().filter_map(|head| limit(head, now)));
        let newest = entry.graph.head();
        let unopened = newest.filter(|newest| heads.iter().all(|head| head.version != **newest));
        limits.releases.extend(unopened.map(closed));
        limits
    }
}

/// What is left of a rollout's curve for such a client; nothing once everything is open.
fn limit(head: &Head, now: Timestamp) -> Option<Limit> {
    let ring = head.rules.ring_of(&Labels::new());
    let open = ring.map_or(Share::NONE, |ring| head.state.core.share(&head.rules, ring, now));
    let limit = Limit { release: head.version.clone(), document: head.digest, open };
    (open != Share::ALL).then_some(limit)
}

fn closed(release: &ReleaseVersion) -> Limit {
    // Nobody's place is drawn for a release that is open to nobody.
    Limit { release: release.clone(), document: Sha256Digest::of(b""), open: Share::NONE }
}
