//! Versions that a change would leave without a way on.

use serde::Serialize;

use crate::graph::Graph;
use crate::version::ReleaseVersion;

/// A version that clusters can leave in the old graph, or stand on, and that the new one strands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Stranded {
    /// It is no node any more: clusters on it are off the graph.
    Vanished {
        /// The version.
        version: ReleaseVersion,
    },
    /// It had an edge to something newer and has none.
    NoWayOut {
        /// The version.
        version: ReleaseVersion,
    },
    /// A way led from it to the head, and none leads to the new head, although edges leave it.
    HeadUnreachable {
        /// The version.
        version: ReleaseVersion,
        /// The new head.
        head: ReleaseVersion,
    },
}

impl Stranded {
    /// The version.
    pub fn version(&self) -> &ReleaseVersion {
        match self {
            Self::Vanished { version }
            | Self::NoWayOut { version }
            | Self::HeadUnreachable { version, .. } => version,
        }
    }
}

impl std::fmt::Display for Stranded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vanished { version } => write!(f, "{version} would not be in the graph"),
            Self::NoWayOut { version } => write!(f, "{version} would have no way out"),
            Self::HeadUnreachable { version, head } => {
                write!(f, "{version} would have no way to the head {head}")
            }
        }
    }
}

/// Which versions the step from `old` to `new` strands, in version order.
///
/// Risks do not count: a person can accept them. A version that becomes the head, or that had no way
/// on before, is not stranded by the step.
pub fn stranded(old: &Graph, new: &Graph) -> Vec<Stranded> {
    let (before, after) = (Ways::of(old), Ways::of(new));
    let mut found = Vec::new();
    for (index, node) in old.nodes().iter().enumerate() {
        let version = node.version.clone();
        let Some(now) = new.node_index(&version) else {
            found.push(Stranded::Vanished { version });
            continue;
        };
        let rests = !new.nodes()[now].is_tombstone() && after.head.is_some_and(|head| now >= head);
        if rests {
            continue;
        }
        if before.out[index] && !after.out[now] {
            found.push(Stranded::NoWayOut { version });
        } else if before.to_head[index]
            && !after.to_head[now]
            && after.out[now]
            && let Some(head) = new.head()
        {
            found.push(Stranded::HeadUnreachable { version, head: head.clone() });
        }
    }
    found
}

/// Tombstones that no edge leaves: clusters on them wait for a newer release.
pub fn resting_tombstones(graph: &Graph) -> Vec<ReleaseVersion> {
    let ways = Ways::of(graph);
    let nodes = graph.nodes().iter().enumerate();
    let resting = nodes.filter(|(index, node)| node.is_tombstone() && !ways.out[*index]);
    resting.map(|(_, node)| node.version.clone()).collect()
}

/// By node: whether anything newer can be reached, and whether the head can.
struct Ways {
    out: Vec<bool>,
    to_head: Vec<bool>,
    head: Option<usize>,
}

impl Ways {
    fn of(graph: &Graph) -> Self {
        let nodes = graph.nodes();
        let head = graph.head_index();
        let (mut out, mut to_head) = (vec![false; nodes.len()], vec![false; nodes.len()]);
        for here in (0..nodes.len()).rev() {
            to_head[here] = head == Some(here);
            for (to, _) in graph.offers_at(here) {
                if to > here && !nodes[to].is_tombstone() {
                    out[here] = true;
                    to_head[here] |= to_head[to];
                }
            }
        }
        Self { out, to_head, head }
    }
}
