//! One channel: its release graph drawn, what each release and edge is, and how its clusters fared.

mod detail;
mod feeder;
mod kind;
mod layout;
mod link;
mod picture;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use channels::graph::Graph;
use channels::names::ChannelName;
use channels::version::ReleaseVersion;
use channels::wire::{DriftTotals, RiskExposure, SoakRelease};
use jiff::Timestamp;

use crate::catalog::ReleaseEntry;
use crate::fleet::GraphKey;

pub(super) use view::ChannelPage;

/// Everything the page shows.
#[derive(Debug)]
pub(super) struct ChannelFacts {
    /// The hub's time.
    pub(super) at: Timestamp,
    pub(super) key: GraphKey,
    /// The graph as plain clients see it: a hold is a risk on the edges it stops.
    pub(super) graph: Graph,
    /// The role that signed it.
    pub(super) role: String,
    /// SHA-256 of the signed bytes.
    pub(super) digest: String,
    /// Active clusters that follow it, by what they run.
    pub(super) clusters: BTreeMap<ReleaseVersion, u64>,
    /// Their drift; none where no cluster follows the graph.
    pub(super) totals: Option<DriftTotals>,
    /// Whom the risks of the signed graph concern.
    pub(super) exposure: Vec<RiskExposure>,
    /// Release documents of the product.
    pub(super) releases: BTreeMap<ReleaseVersion, Arc<ReleaseEntry>>,
    /// What stops moves: of one release or of all.
    pub(super) stops: Vec<(Option<ReleaseVersion>, String)>,
    /// How clusters fared on the product's releases; `None` for those who see a part of the fleet.
    pub(super) soak: Option<Vec<SoakRelease>>,
    /// Releases newer than the head, and the other channels that have them.
    pub(super) newer: Vec<(ReleaseVersion, Vec<ChannelName>)>,
    /// Whether the channel that the graph names as its feeder has a page.
    pub(super) feeder_has_graph: bool,
    /// Channels that this one feeds.
    pub(super) feeds: Vec<ChannelName>,
}

impl ChannelFacts {
    fn clusters_on(&self, version: &ReleaseVersion) -> u64 {
        self.clusters.get(version).copied().unwrap_or(0)
    }
}
