//! What the rest of the hub asks the catalog: releases, edges, drift.
//!
//! A trait, so that the store and the fleet index are tested without signing ceremonies; the
//! process has one implementation, over the catalog.

use channels::version::ReleaseVersion;
use channels::wire::Drift;
use jiff::Timestamp;

use crate::catalog::Catalog;
use crate::directive::ReleaseFacts;
use crate::fleet::GraphKey;
use crate::rollout::Offer;

/// Answers about what is served now.
pub trait Served: Send + Sync + std::fmt::Debug {
    /// What is known about the step `from` → `to` on one graph.
    fn facts(&self, graph: &GraphKey, from: &ReleaseVersion, to: &ReleaseVersion) -> ReleaseFacts;

    /// Whether a cluster can go from `from` to `to` on one graph whatever risks apply to it: the
    /// release's document allows it, and the edge has no conditions.
    fn has_plain_edge(&self, graph: &GraphKey, from: &ReleaseVersion, to: &ReleaseVersion) -> bool {
        let facts = self.facts(graph, from, to);
        facts.allowed && facts.offered
    }

    /// Distance of `version` to the head of one graph.
    fn drift(&self, graph: &GraphKey, version: &ReleaseVersion, now: Timestamp) -> Drift;

    /// The newest release of every graph that has one with a document. Without, rollouts open when
    /// a cluster asks.
    fn offers(&self) -> Vec<Offer> {
        Vec::new()
    }

    /// Whether this graph is served.
    fn has_graph(&self, graph: &GraphKey) -> bool;

    /// Whether the version is in this graph or among the releases of its product.
    fn has_version(&self, graph: &GraphKey, version: &ReleaseVersion) -> bool;

    /// Changes whenever an answer of those above may change.
    fn generation(&self) -> u64;

    /// `ETag` of `timestamp.json`, before the first publication `None`.
    fn timestamp_etag(&self) -> Option<String>;
}

impl Served for Catalog {
    fn facts(&self, graph: &GraphKey, from: &ReleaseVersion, to: &ReleaseVersion) -> ReleaseFacts {
        let release = self.release(&graph.product, to);
        let entry = self.graph(&graph.product, &graph.channel, &graph.arch);
        ReleaseFacts {
            digest: release.as_ref().map(|r| r.digest),
            allowed: release.is_some_and(|r| r.document.allows_from(from)),
            offered: entry.is_some_and(|e| e.graph.targets_of(from).iter().any(|o| o.to == to)),
        }
    }

    fn has_plain_edge(&self, graph: &GraphKey, from: &ReleaseVersion, to: &ReleaseVersion) -> bool {
        let release = self.release(&graph.product, to);
        let entry = self.graph(&graph.product, &graph.channel, &graph.arch);
        release.is_some_and(|release| release.document.allows_from(from))
            && entry.is_some_and(|entry| {
                let mut offers = entry.graph.targets_of(from).into_iter();
                offers.any(|offer| offer.to == to && offer.risks.is_empty())
            })
    }

    fn drift(&self, graph: &GraphKey, version: &ReleaseVersion, now: Timestamp) -> Drift {
        let Some(entry) = self.graph(&graph.product, &graph.channel, &graph.arch) else {
            return Drift::no_graph();
        };
        let released_at = |version: &ReleaseVersion| {
            self.release(&graph.product, version).map(|r| r.document.released_at)
        };
        channels::drift::drift(&entry.graph, &released_at, version, now)
    }

    fn offers(&self) -> Vec<Offer> {
        let offer = |key: crate::catalog::GraphKey| {
            let entry = self.graph(&key.product, &key.channel, &key.arch)?;
            let graph = GraphKey { product: key.product, channel: key.channel, arch: key.arch };
            let version = entry.graph.head()?.clone();
            let digest = self.release(&graph.product, &version)?.digest;
            Some(Offer { graph, version, digest })
        };
        self.graphs().filter_map(offer).collect()
    }

    fn has_graph(&self, graph: &GraphKey) -> bool {
        self.graph(&graph.product, &graph.channel, &graph.arch).is_some()
    }

    fn has_version(&self, graph: &GraphKey, version: &ReleaseVersion) -> bool {
        let entry = self.graph(&graph.product, &graph.channel, &graph.arch);
        self.release(&graph.product, version).is_some()
            || entry.is_some_and(|e| e.graph.nodes().iter().any(|node| node.version == *version))
    }

    fn generation(&self) -> u64 {
        Self::generation(self)
    }

    fn timestamp_etag(&self) -> Option<String> {
        Self::timestamp_etag(self)
    }
}
