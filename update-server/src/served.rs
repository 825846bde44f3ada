//! What the rest of the hub asks the catalog: releases, edges, drift.
//!
//! A trait, so that the store and the fleet index are tested without signing ceremonies; the
//! process has one implementation, over the catalog.

use channels::version::ReleaseVersion;
use channels::wire::Drift;
use jiff::Timestamp;

use crate::directive::ReleaseFacts;
use crate::fleet::GraphKey;

/// Answers about what is served now.
pub trait Served: Send + Sync + std::fmt::Debug {
    /// What is known about the step `from` → `to` on one graph.
    fn facts(&self, graph: &GraphKey, from: &ReleaseVersion, to: &ReleaseVersion) -> ReleaseFacts;

    /// Distance of `version` to the head of one graph.
    fn drift(&self, graph: &GraphKey, version: &ReleaseVersion, now: Timestamp) -> Drift;

    /// Changes whenever an answer of the two above may change.
    fn generation(&self) -> u64;

    /// `ETag` of `timestamp.json`, before the first publication `None`.
    fn timestamp_etag(&self) -> Option<String>;
}
