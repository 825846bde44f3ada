//! What the planner is told: a cluster that asks, a report, the fleet, what is offered.
//!
//! Plain values and one trait over the fleet index, so that the planner is tested without a store.

use channels::names::ClusterId;
use channels::rollout::Labels;
use channels::version::ReleaseVersion;
use channels::wire::{Failure, GrantRequest, HealthSummary};
use jiff::Timestamp;
use signing::Sha256Digest;

use crate::fleet::{ClusterRecord, GraphKey, ProductRecord, Slot};
use crate::served::Served;

/// One product of one cluster asks for a grant.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Its row.
    pub slot: Slot,
    /// Who.
    pub cluster: ClusterId,
    /// Its labels, as the hub holds them.
    pub labels: &'a Labels,
    /// Product, channel and architecture.
    pub graph: &'a GraphKey,
    /// What it runs.
    pub from: &'a ReleaseVersion,
    /// What it asks for.
    pub wants: &'a GrantRequest,
    /// Whether it began a unit on the way there already, as it says itself. It can not be sent
    /// elsewhere any more, whether or not the hub heard of the beginning.
    pub begun: bool,
    /// How it does: the baseline it is judged by, if this becomes a grant.
    pub health: &'a HealthSummary,
    /// The failure it reports along with the question, if any: one from before is not this
    /// rollout's.
    pub failure: Option<&'a Failure>,
    /// The newest release it may have by what people set for it (a pin, a maximum version).
    pub ceiling: Option<&'a ReleaseVersion>,
    /// What the hub serves.
    pub served: &'a dyn Served,
}

impl<'a> Ask<'a> {
    /// The question of one product of a cluster in its row.
    pub fn by(
        (slot, record): (Slot, &'a ClusterRecord),
        product: &'a ProductRecord,
        wants: &'a GrantRequest,
        ceiling: Option<&'a ReleaseVersion>,
        served: &'a dyn Served,
    ) -> Self {
        Self {
            slot,
            cluster: record.id,
            labels: &record.labels,
            graph: &product.graph,
            from: &product.version,
            wants,
            begun: product.has_begun(&wants.to),
            health: &product.health,
            failure: product.failure.as_ref(),
            ceiling,
            served,
        }
    }
}

/// A report that was accepted.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Row of the cluster.
    pub slot: Slot,
    /// Who.
    pub cluster: ClusterId,
    /// Its labels, as the hub holds them.
    pub labels: &'a Labels,
    /// The states the report brought.
    pub products: &'a [ProductRecord],
}

/// The newest release of one served graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Product, channel and architecture.
    pub graph: GraphKey,
    /// The release.
    pub version: ReleaseVersion,
    /// Digest of its document.
    pub digest: Sha256Digest,
}

/// One product of one cluster in force, as the index has it: numbers stand for shared values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// Its row.
    pub slot: Slot,
    /// Who.
    pub cluster: ClusterId,
    /// Number of its set of labels.
    pub labels: u32,
    /// Number of its graph.
    pub graph: u32,
    /// Number of the version it runs.
    pub version: u32,
    /// Last report, by the hub's clock.
    pub last_seen: Option<Timestamp>,
}

/// The fleet, one pass at a time.
pub trait Fleet {
    /// Visits every product of every cluster that is neither retired nor of a dark site.
    fn each(&self, visit: &mut dyn FnMut(Fact));

    /// The graph of a number.
    fn graph(&self, number: u32) -> Option<&GraphKey>;

    /// The version of a number.
    fn version(&self, number: u32) -> Option<&ReleaseVersion>;

    /// The labels of a number.
    fn label_set(&self, number: u32) -> Option<&Labels>;

    /// Seconds between two reports of a cluster.
    fn interval_s(&self) -> u64;
}
