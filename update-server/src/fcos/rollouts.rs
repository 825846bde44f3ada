//! The limits that the hub's own rollouts set.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Limit, Limits, OpenShares};
use crate::catalog::GraphKey;
use crate::store::Committed;

/// What is committed knows how far rollouts have come.
#[derive(Debug, Clone)]
pub struct OfRollouts(pub Arc<Committed>);

impl OpenShares for OfRollouts {
    fn limits(&self, graph: &GraphKey, now: Timestamp) -> Limits {
        let rollouts = self.0.rollouts();
        let graph = crate::fleet::GraphKey {
            product: graph.product.clone(),
            channel: graph.channel.clone(),
            arch: graph.arch.clone(),
        };
        let limit = |open: crate::rollout::OpenTo| Limit {
            release: open.version,
            document: open.digest,
            open: open.share,
        };
        let releases = rollouts.open_to_strangers(&graph, now).into_iter().map(limit).collect();
        Limits { salt: *rollouts.salt(), releases }
    }
}
