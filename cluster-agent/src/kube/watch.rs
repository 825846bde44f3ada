//! The API server as a witness: one look at everything of the cluster that this agent rolls.
//!
//! Looks are gathered while the agent goes on and judged when they are in; nothing here decides
//! whether a unit may go.

use std::collections::BTreeMap;

use channels::names::UnitName;
use futures_util::future::join_all;
use jiff::Timestamp;

use super::Kube;
use super::members::StatefulSetMembers;
use super::node::{NodeLook, NodeWatch, Watched};
use super::workload::Workloads;
use crate::config::{DriverSettings, KubernetesPool, Settings};
use crate::observation::{ClusterGate, Heard, UnitKey};

/// What a look says.
#[derive(Debug, Default)]
pub struct Look {
    /// A word about each unit that was asked for, or why there is none.
    pub words: BTreeMap<UnitKey, Heard>,
    /// What stands against units' going beside that.
    pub gates: Vec<ClusterGate>,
    /// The nodes that pods are on, of units that are pods; `None` = on none yet.
    pub places: BTreeMap<UnitKey, Option<UnitName>>,
}

/// Asks the API server about every unit that lives in the cluster.
#[derive(Debug)]
pub struct Watcher {
    nodes: Option<NodeWatch>,
    members: Vec<(StatefulSetMembers, Vec<UnitKey>)>,
    workloads: Vec<(Workloads, Vec<UnitKey>)>,
}

/// What was gathered, not yet judged.
#[derive(Debug)]
pub struct Gathered {
    nodes: Option<NodeLook>,
    /// Words about members and workloads, which need no judging.
    words: BTreeMap<UnitKey, Heard>,
    places: BTreeMap<UnitKey, Option<UnitName>>,
}

impl Watcher {
    /// Knows the configured units; `None` if none of them lives in a cluster.
    pub fn new(kube: Kube, settings: &Settings) -> Option<Self> {
        let (mut nodes, mut members, mut workloads) = (Vec::new(), Vec::new(), Vec::new());
        for pool in settings.products.values().flat_map(|product| &product.pools) {
            let DriverSettings::Kubernetes(of) = &pool.driver else { continue };
            let units: Vec<UnitKey> =
                pool.units.iter().map(|unit| unit.target.key.clone()).collect();
            let kube = kube.clone();
            match of.clone() {
                KubernetesPool::Node(pool) => {
                    let watched = |key| Watched { key, pool: pool.clone() };
                    nodes.extend(units.into_iter().map(watched));
                }
                KubernetesPool::StatefulSet(pool) => {
                    members.push((StatefulSetMembers::new(kube, pool), units));
                }
                KubernetesPool::Strimzi(pool) => {
                    workloads.push((Workloads::strimzi(kube, pool), units));
                }
                KubernetesPool::Workload(pool) => {
                    workloads.push((Workloads::built_in(kube, pool), units));
                }
                KubernetesPool::Resource(pool) => {
                    workloads.push((Workloads::custom(kube, pool), units));
                }
            }
        }
        // Who rolls no nodes needs no right to read them.
        let nodes = Some(NodeWatch::new(kube, nodes)).filter(|nodes| !nodes.is_empty());
        let some = !(nodes.is_none() && members.is_empty() && workloads.is_empty());
        some.then_some(Self { nodes, members, workloads })
    }

    /// Asks for everything. Bounded by the timeout of each request; never fails as a whole.
    pub async fn gather(&mut self, out: Option<&UnitKey>, now: Timestamp) -> Gathered {
        let members = self.members.iter().map(|(members, units)| members.look(units, now));
        let workloads = self.workloads.iter().map(|(workloads, units)| workloads.look(units, now));
        let of_nodes = async {
            match &mut self.nodes {
                Some(nodes) => Some(nodes.gather(out, now).await),
                None => None,
            }
        };
        let (nodes, members, workloads) =
            tokio::join!(of_nodes, join_all(members), join_all(workloads));
        let mut gathered = Gathered { nodes, words: BTreeMap::new(), places: BTreeMap::new() };
        for look in members {
            gathered.words.extend(look.words);
            gathered.places.extend(look.places);
        }
        gathered.words.extend(workloads.into_iter().flatten());
        gathered
    }

    /// Gathers and judges in one go.
    pub async fn look(&mut self, out: Option<&UnitKey>, now: Timestamp) -> Look {
        self.gather(out, now).await.judge(out)
    }
}

impl Gathered {
    /// What it says, given the unit that is out when it is in.
    pub fn judge(&self, out: Option<&UnitKey>) -> Look {
        let (mut words, gates) =
            self.nodes.as_ref().map(|nodes| nodes.judge(out)).unwrap_or_default();
        words.extend(self.words.clone());
        Look { words, gates, places: self.places.clone() }
    }
}
