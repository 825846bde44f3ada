//! A status that was taken, with its sums made once.

use std::collections::BTreeMap;

use channels::names::ClusterId;
use channels::version::ReleaseVersion;
use channels::wire::{Phase, SiteProduct, SiteStatus};
use jiff::Timestamp;
use signing::Sha256Digest;

use crate::fleet::{GraphKey, is_active};

/// How a status came here.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Digest of the file.
    pub digest: Sha256Digest,
    /// When it was imported, by this hub's clock.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// The newest status of a site.
#[derive(Debug)]
pub struct Carried {
    /// What it says; clusters by id, without those that report to this hub themselves.
    pub status: SiteStatus,
    /// How it came here.
    pub origin: Origin,
    /// Clusters of the file that are left out, because they report to this hub themselves.
    pub live_here: Vec<ClusterId>,
    pub(super) tally: BTreeMap<GraphKey, GraphTally>,
}

/// What the site's active clusters of one graph do: (version, phase, stopped).
pub(super) type Group = (ReleaseVersion, Phase, bool);

/// Sums of one graph.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct GraphTally {
    /// Head of the graph at the site.
    pub(super) head_at_site: Option<ReleaseVersion>,
    pub(super) groups: BTreeMap<Group, u64>,
    /// Clusters that were silent at the site already.
    pub(super) silent: u64,
}

impl Carried {
    /// Takes a status over. `is_live` knows which ids report to this hub: their own word counts,
    /// and the file's is left out.
    pub fn new(
        mut status: SiteStatus,
        origin: Origin,
        mut is_live: impl FnMut(ClusterId) -> bool,
    ) -> Self {
        let (live, mut carried): (Vec<_>, Vec<_>) =
            status.clusters.into_iter().partition(|cluster| is_live(cluster.id));
        carried.sort_by_key(|cluster| cluster.id);
        status.clusters = carried;
        let live_here = live.into_iter().map(|cluster| cluster.id).collect();
        let tally = tally(&status);
        Self { status, origin, live_here, tally }
    }
}

pub(super) fn graph_of(product: &SiteProduct) -> GraphKey {
    GraphKey {
        product: product.product.clone(),
        channel: product.channel.clone(),
        arch: product.arch.clone(),
    }
}

fn is_stopped(product: &SiteProduct) -> bool {
    matches!(product.phase, Phase::Waiting | Phase::Paused) || product.failure.is_some()
}

fn tally(status: &SiteStatus) -> BTreeMap<GraphKey, GraphTally> {
    let mut tally: BTreeMap<GraphKey, GraphTally> = BTreeMap::new();
    for cluster in &status.clusters {
        for product in &cluster.products {
            let graph = tally.entry(graph_of(product)).or_default();
            if is_active(cluster.freshness) {
                let group = (product.version.clone(), product.phase, is_stopped(product));
                *graph.groups.entry(group).or_default() += 1;
            } else {
                graph.silent += 1;
            }
        }
    }
    for channel in &status.channels {
        let key = GraphKey {
            product: channel.product.clone(),
            channel: channel.channel.clone(),
            arch: channel.arch.clone(),
        };
        if let Some(graph) = tally.get_mut(&key) {
            graph.head_at_site.clone_from(&channel.head);
        }
    }
    tally
}
