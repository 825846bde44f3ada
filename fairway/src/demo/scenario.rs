//! Who is in the demo's fleet, and what happens to it. Pure.

use channels::wire::Role;
use serde::{Deserialize, Serialize};

/// Clusters of one agent process: several agents share one, as the library allows.
pub(super) const CLUSTERS_PER_PROCESS: usize = 8;
/// Controllers of a cluster: the smallest quorum that survives a failure.
const CONTROLLERS: usize = 3;
/// Nodes of a cluster.
const NODES: usize = 3;
/// How far the lagging controller replicates behind, milliseconds; the limit is the quorum's fetch
/// timeout of 2,000.
pub(super) const LAG_MS: u32 = 8_000;

/// One cluster of the demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    /// Its name.
    pub(super) name: String,
    /// Seed of its simulator.
    pub(super) seed: u64,
    /// Kafka release it runs at first.
    pub(super) kafka: String,
    /// Platform release it runs at first.
    pub(super) platform: String,
    /// Whether one of its controllers replicates too slowly until it is repaired.
    pub(super) lagging: bool,
}

impl Member {
    /// Its units: role, how many, component version.
    pub(super) fn units(&self) -> [(Role, usize, &str); 2] {
        [(Role::Controller, CONTROLLERS, &self.kafka), (Role::Node, NODES, &self.platform)]
    }
}

/// The fleet: most clusters on the heads, some a release behind, one with a lagging quorum.
pub(super) fn fleet(clusters: usize) -> Vec<Member> {
    (0..clusters)
        .map(|i| {
            let behind = i % 4 == 2;
            Member {
                name: format!("cluster-{:02}", i + 1),
                seed: u64::try_from(i).unwrap_or(u64::MAX).wrapping_add(1),
                kafka: if behind { "3.9.1" } else { "4.2.0" }.to_owned(),
                platform: if i % 6 == 5 { "1.32.10" } else { "1.33.6" }.to_owned(),
                // The second one: there is one with two clusters, and it is on screen early.
                lagging: i == 1,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cluster_lags_and_some_are_behind() {
        let fleet = fleet(12);
        assert_eq!(fleet.iter().filter(|m| m.lagging).count(), 1);
        assert_eq!(fleet.iter().filter(|m| m.kafka == "3.9.1").count(), 3);
        assert_eq!(fleet.iter().filter(|m| m.platform == "1.32.10").count(), 2);
    }
}
