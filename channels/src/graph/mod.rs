//! A release graph: versions, the ways between them, and the risks some ways carry.
//!
//! A [`Graph`] is checked when it is built and never changes; the same content always has the same
//! inner order. It knows nothing of JSON (see [`crate::cincinnati`]) and chooses nothing (see
//! [`crate::path`]).

mod build;
mod error;
mod feeding;
mod reduce;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

pub use build::GraphBuilder;
pub use error::GraphError;
pub use feeding::{Delay, Feeding, SoakRule};

use crate::eol::EndOfLife;
use crate::names::{Arch, ChannelName, ProductRef};
use crate::version::ReleaseVersion;

/// Nodes in one graph. All of OpenShift, all architectures together, has 5,743 (2026).
pub const MAX_NODES: usize = 20_000;

/// Plain and conditional edges together in one graph. The same OpenShift set has 371,000.
pub const MAX_EDGES: usize = 1_000_000;

/// Node metadata key that marks a tombstone: a release that clusters may still run, and that is
/// never a target again.
pub const TOMBSTONE_KEY: &str = "fairway.dev/tombstone";

/// Node metadata key that names the release document: `sha256:` and 64 hex digits over its bytes as
/// they are signed. Whoever signs releases alone cannot exchange one that a graph offers.
pub const RELEASE_KEY: &str = "fairway.dev/release";

/// Node metadata key of a barrier, a release that no edge jumps over; its value is the reason.
pub const BARRIER_KEY: &str = "fairway.dev/barrier";

/// Node metadata key of a dead end, a release that is never left, on purpose; its value is the
/// reason.
pub const DEAD_END_KEY: &str = "fairway.dev/dead-end";

/// Node metadata key of the last day a release's minor line is supported, `2026-12-31`; absent where
/// the vendor names none.
pub const EOL_KEY: &str = "fairway.dev/eol";

/// Which product, channel and architecture a graph is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The product.
    pub product: ProductRef,
    /// The channel.
    pub channel: ChannelName,
    /// The architecture.
    pub arch: Arch,
}

/// One release in a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its version, unique in the graph.
    pub version: ReleaseVersion,
    /// Pull specification by digest, `host/repository@sha256:…`; empty for a release of which only
    /// the version is known.
    pub payload: String,
    /// Free key-value pairs, as Cincinnati defines them.
    pub metadata: BTreeMap<String, String>,
}

impl Node {
    /// Whether the release was withdrawn: it stays a node, and nothing may move to it.
    pub fn is_tombstone(&self) -> bool {
        self.metadata.get(TOMBSTONE_KEY).is_some_and(|value| value == "true")
    }

    /// The release document this node stands for, as [`RELEASE_KEY`] names it; `None` in graphs that
    /// do not say.
    pub fn release_document(&self) -> Option<&str> {
        self.metadata.get(RELEASE_KEY).map(String::as_str)
    }

    /// Why no edge jumps over the release, if it is a barrier.
    pub fn barrier(&self) -> Option<&str> {
        self.metadata.get(BARRIER_KEY).map(String::as_str)
    }

    /// Why the release is never left, if it is a dead end.
    pub fn dead_end(&self) -> Option<&str> {
        self.metadata.get(DEAD_END_KEY).map(String::as_str)
    }

    /// The last day its line is supported, if the vendor names one. A value that is no day says
    /// nothing.
    pub fn eol(&self) -> Option<EndOfLife> {
        self.metadata.get(EOL_KEY)?.parse().ok()
    }

    /// Whether its version is a semver pre-release.
    pub fn is_prerelease(&self) -> bool {
        !self.version.semver().pre.is_empty()
    }
}

/// A named reason not to take an edge, with the rules that tell whether a cluster is exposed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Risk {
    /// Stable name by which people accept it.
    pub name: String,
    /// What happens to an exposed cluster.
    pub message: String,
    /// Page for people.
    pub url: String,
    /// In order of precedence: the first rule that can be evaluated decides; none = exposed.
    pub matching_rules: Vec<MatchingRule>,
}

/// How a cluster finds out whether it is exposed to a risk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchingRule {
    /// Every cluster is exposed.
    Always,
    /// Exposed when the query answers one sample of value 1, not exposed at value 0.
    PromQl {
        /// The query.
        promql: String,
    },
    /// A kind of rule this reader does not know; it cannot be evaluated.
    Unknown {
        /// Its `type` as written.
        kind: String,
    },
}

/// Edges that share one set of risks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionalEdges {
    /// `(from, to)` as node indices, sorted.
    pub edges: Vec<(usize, usize)>,
    /// Sorted, at least one; every one of them must be cleared or accepted.
    pub risks: Vec<Risk>,
}

/// A release that the graph offers to clusters on another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer<'g> {
    /// The release offered.
    pub to: &'g ReleaseVersion,
    /// Risks of going there; empty = recommended.
    pub risks: &'g [Risk],
}

/// One outgoing edge, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Out {
    to: usize,
    /// Index into `Graph::conditional`; `None` for a plain edge.
    group: Option<usize>,
}

/// A checked, immutable release graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    origin: Option<Origin>,
    feeding: Option<Feeding>,
    nodes: Vec<Node>,
    edges: Vec<(usize, usize)>,
    conditional: Vec<ConditionalEdges>,
    /// Outgoing edges of all nodes, one after the other; a conditional edge hides a plain one.
    outs: Vec<Out>,
    /// Where each node's edges begin in `outs`, and one end mark.
    starts: Vec<usize>,
}

impl Graph {
    /// What the graph is for, when it says so.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Where its releases come from, when it says so.
    pub fn feeding(&self) -> Option<&Feeding> {
        self.feeding.as_ref()
    }

    /// Nodes in version order; an index into this slice is a node index.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Plain edges `(from, to)` as node indices, sorted, each once. An edge may also be listed as
    /// conditional, and then the condition holds.
    pub fn edges(&self) -> &[(usize, usize)] {
        &self.edges
    }

    /// Conditional edges, one entry per set of risks; an edge is in one entry at most.
    pub fn conditional(&self) -> &[ConditionalEdges] {
        &self.conditional
    }

    /// The index of a version's node.
    pub fn node_index(&self, version: &ReleaseVersion) -> Option<usize> {
        self.nodes.binary_search_by(|node| node.version.cmp(version)).ok()
    }

    /// A version's node.
    pub fn node(&self, version: &ReleaseVersion) -> Option<&Node> {
        self.node_index(version).and_then(|index| self.nodes.get(index))
    }

    /// What the graph offers to a cluster on `from`, in version order; nothing for an unknown
    /// version. Where an edge is both plain and conditional, its risks are shown.
    pub fn targets_of(&self, from: &ReleaseVersion) -> Vec<Offer<'_>> {
        let Some(index) = self.node_index(from) else { return Vec::new() };
        self.offers_at(index)
            .map(|(to, risks)| Offer { to: &self.nodes[to].version, risks })
            .collect()
    }

    /// The offers of the node at `index` as `(to, risks)`, sorted by `to`.
    pub(crate) fn offers_at(&self, index: usize) -> impl Iterator<Item = (usize, &[Risk])> {
        let begin = self.starts.get(index).copied().unwrap_or(0);
        let end = self.starts.get(index + 1).copied().unwrap_or(begin);
        self.outs[begin..end].iter().map(|out| {
            let risks = out.group.map_or(&[][..], |group| &self.conditional[group].risks);
            (out.to, risks)
        })
    }

    /// The newest release clusters should end on: the highest node that is neither a pre-release
    /// nor a tombstone, else the highest that is no tombstone, else the highest.
    pub fn head(&self) -> Option<&ReleaseVersion> {
        self.head_index().map(|index| &self.nodes[index].version)
    }

    /// The index of [`Graph::head`].
    pub fn head_index(&self) -> Option<usize> {
        let newest = |wanted: &dyn Fn(&Node) -> bool| self.nodes.iter().rposition(wanted);
        newest(&|node| !node.is_prerelease() && !node.is_tombstone())
            .or_else(|| newest(&|node| !node.is_tombstone()))
            .or_else(|| self.nodes.len().checked_sub(1))
    }

    /// The same graph with `risk` added to every edge that `covers(from, to)` names.
    ///
    /// The hub shows holds and halts to plain Cincinnati clients this way.
    pub fn with_risk(
        &self,
        risk: &Risk,
        covers: &dyn Fn(&ReleaseVersion, &ReleaseVersion) -> bool,
    ) -> Result<Self, GraphError> {
        let mut builder = GraphBuilder::new(self.origin.clone());
        builder.feeding(self.feeding.clone());
        for node in &self.nodes {
            builder.node(node.clone());
        }
        let covered = |&(from, to): &(usize, usize)| {
            covers(&self.nodes[from].version, &self.nodes[to].version)
        };
        let alone = builder.risks(vec![risk.clone()]);
        for edge in &self.edges {
            if covered(edge) {
                builder.conditional(edge.0, edge.1, alone);
            } else {
                builder.edge(edge.0, edge.1);
            }
        }
        for group in &self.conditional {
            let own = builder.risks(group.risks.clone());
            for edge in &group.edges {
                builder.conditional(edge.0, edge.1, own);
                if covered(edge) {
                    builder.conditional(edge.0, edge.1, alone);
                }
            }
        }
        builder.build()
    }
}
