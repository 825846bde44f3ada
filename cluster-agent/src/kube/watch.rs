//! The API server as a witness: one look at everything of the cluster that this agent rolls.
//!
//! Looks are gathered while the agent goes on and judged when they are in; nothing here decides
//! whether a unit may go.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Kube;
use super::node::{NodeLook, NodeWatch, Watched};
use crate::config::{DriverSettings, KubernetesPool, Settings};
use crate::observation::{ClusterGate, Heard, UnitKey};

/// What a look says.
#[derive(Debug, Default)]
pub struct Look {
    /// A word about each unit that was asked for, or why there is none.
    pub words: BTreeMap<UnitKey, Heard>,
    /// What stands against units' going beside that.
    pub gates: Vec<ClusterGate>,
}

/// Asks the API server about every unit that lives in the cluster.
#[derive(Debug)]
pub struct Watcher {
    nodes: NodeWatch,
}

/// What was gathered, not yet judged.
#[derive(Debug)]
pub struct Gathered {
    nodes: NodeLook,
}

impl Watcher {
    /// Knows the configured units; `None` if none of them lives in a cluster.
    pub fn new(settings: &Settings) -> Option<Self> {
        let kube = Kube::new(settings.kubernetes.clone()?);
        let mut nodes = Vec::new();
        for pool in settings.products.values().flat_map(|product| &product.pools) {
            match &pool.driver {
                DriverSettings::Kubernetes(KubernetesPool::Node(of_nodes)) => {
                    let watched = |key| Watched { key, pool: of_nodes.clone() };
                    nodes.extend(pool.units.iter().map(|unit| watched(unit.target.key.clone())));
                }
                DriverSettings::Exec(_) | DriverSettings::Simulated(_) => {}
            }
        }
        let nodes = NodeWatch::new(kube, nodes);
        (!nodes.is_empty()).then_some(Self { nodes })
    }

    /// Asks for everything. Bounded by the timeout of each request; never fails as a whole.
    pub async fn gather(&mut self, out: Option<&UnitKey>, now: Timestamp) -> Gathered {
        Gathered { nodes: self.nodes.gather(out, now).await }
    }

    /// Gathers and judges in one go.
    pub async fn look(&mut self, out: Option<&UnitKey>, now: Timestamp) -> Look {
        self.gather(out, now).await.judge(out)
    }
}

impl Gathered {
    /// What it says, given the unit that is out when it is in.
    pub fn judge(&self, out: Option<&UnitKey>) -> Look {
        let (words, gates) = self.nodes.judge(out);
        Look { words, gates }
    }
}
