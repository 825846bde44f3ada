//! Keeps what must be remembered between probes and turns probe results into an [`Observation`].
//!
//! No I/O, no clock: results and `now` come in, values go out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use channels::health::{PlegLimits, QuorumLimits};
use channels::names::{ProductRef, UnitName};
use channels::wire::Role;
use jiff::Timestamp;

use super::baseline::Baseline;
use super::disagreement::{Disagreement, QuorumWord};
use super::memory::UnitMemory;
use super::partition_count::PartitionCount;
use super::quorum::QuorumMemory;
use super::{ClusterGate, GateScope, Heard, Observation, Target, UnitKey, WitnessSource};
use crate::telemetry::{Probe, ProbeTarget, ScrapeError, Signal, Wanted, WantedError, alias};

/// Limits of the signals; every default is the reference's figure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObserverSettings {
    /// Quorum lag and commits.
    pub quorum: QuorumLimits,
    /// PLEG lag.
    pub pleg: PlegLimits,
}

/// Why a list of targets cannot be observed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObserverError {
    /// Two targets with one key.
    #[error("unit {key} is configured twice")]
    Duplicate {
        /// The key.
        key: UnitKey,
    },
    /// A controller without a node id: leaders are named by id.
    #[error("controller {key} has no node id")]
    NoNodeId {
        /// The controller.
        key: UnitKey,
    },
    /// Two controllers of a product with one node id.
    #[error("node id {node_id} of controller {key} is taken")]
    NodeIdTaken {
        /// The second controller.
        key: UnitKey,
        /// The id.
        node_id: i64,
    },
    /// A version family that cannot be read.
    #[error("the version evidence of {key} cannot be read from a page")]
    Evidence {
        /// The unit.
        key: UnitKey,
        /// The rule it breaks.
        #[source]
        why: WantedError,
    },
}

/// One list of families for all units that are asked the same: a hundred of their own would be most
/// of what an agent keeps.
#[derive(Debug, Default)]
struct SharedWanted {
    lists: BTreeMap<(BTreeSet<Signal>, String), Arc<Wanted>>,
}

impl SharedWanted {
    fn of(&mut self, target: &Target) -> Result<Arc<Wanted>, WantedError> {
        let asked = (target.signals(), target.version_evidence.family.clone());
        if let Some(list) = self.lists.get(&asked) {
            return Ok(Arc::clone(list));
        }
        let list = Arc::new(alias::wanted_for(&asked.0, &asked.1)?);
        self.lists.insert(asked, Arc::clone(&list));
        Ok(list)
    }
}

/// Memory of the whole cluster between probes.
#[derive(Debug)]
pub struct Observer {
    settings: ObserverSettings,
    units: BTreeMap<UnitKey, UnitMemory>,
    wanted: BTreeMap<UnitKey, Arc<Wanted>>,
    quorums: BTreeMap<ProductRef, QuorumMemory>,
    baselines: BTreeMap<ProductRef, Baseline>,
    gates: Vec<ClusterGate>,
    disagreements: BTreeMap<ProductRef, Disagreement>,
    quorum_gates: BTreeMap<ProductRef, Vec<ClusterGate>>,
    partition_counts: BTreeMap<ProductRef, PartitionCount>,
}

impl Observer {
    /// Checks the targets; nothing is observed yet.
    pub fn new(targets: Vec<Target>, settings: ObserverSettings) -> Result<Self, ObserverError> {
        let mut units = BTreeMap::new();
        let mut wanted = BTreeMap::new();
        let mut quorums = BTreeMap::new();
        let mut baselines = BTreeMap::new();
        let mut ids = BTreeSet::new();
        let mut shared = SharedWanted::default();
        for target in targets {
            let key = target.key.clone();
            if target.role == Role::Controller {
                let Some(node_id) = target.node_id else {
                    return Err(ObserverError::NoNodeId { key });
                };
                if !ids.insert((key.product.clone(), node_id)) {
                    return Err(ObserverError::NodeIdTaken { key, node_id });
                }
                quorums.insert(key.product.clone(), QuorumMemory::default());
            }
            if target.is_broker() {
                baselines.insert(key.product.clone(), Baseline::default());
            }
            let families = shared
                .of(&target)
                .map_err(|why| ObserverError::Evidence { key: key.clone(), why })?;
            wanted.insert(key.clone(), families);
            if units.insert(key.clone(), UnitMemory::new(target)).is_some() {
                return Err(ObserverError::Duplicate { key });
            }
        }
        Ok(Self {
            settings,
            units,
            wanted,
            quorums,
            baselines,
            gates: vec![],
            disagreements: BTreeMap::new(),
            quorum_gates: BTreeMap::new(),
            partition_counts: BTreeMap::new(),
        })
    }

    /// The targets, by key.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.units.values().map(|memory| &memory.target)
    }

    /// What to fetch for the units that `due` picks; leaders come first.
    pub fn probe_targets(&self, mut due: impl FnMut(&Target) -> bool) -> Vec<ProbeTarget> {
        self.units
            .iter()
            .filter(|(_, memory)| due(&memory.target))
            .filter_map(|(key, memory)| {
                Some(ProbeTarget {
                    key: key.clone(),
                    url: memory.target.metrics_url.clone()?,
                    wanted: Arc::clone(self.wanted.get(key)?),
                    first: memory.seen.is_leader,
                })
            })
            .collect()
    }

    /// Takes on which nodes units are that may be on any, as far as that is known now.
    pub fn place(&mut self, places: BTreeMap<UnitKey, Option<UnitName>>) {
        for (key, node) in places {
            if let Some(memory) = self.units.get_mut(&key) {
                memory.place(node);
            }
        }
    }

    /// Takes what a source other than the pages says; counted by the next [`Observer::apply`].
    /// Words about unknown units are ignored.
    pub fn hear(&mut self, source: WitnessSource, words: BTreeMap<UnitKey, Heard>) {
        for (key, heard) in words {
            if let Some(memory) = self.units.get_mut(&key) {
                memory.hear(source, heard);
            }
        }
    }

    /// Takes what the quorum's leader says of `product`, in place of its last word; `None` = nobody
    /// answered as leader. `gates` stand beside those of [`Observer::gates`].
    pub fn hear_quorum(
        &mut self,
        product: &ProductRef,
        word: Option<QuorumWord>,
        gates: Vec<ClusterGate>,
    ) {
        if self.quorums.contains_key(product) {
            self.disagreements.entry(product.clone()).or_default().hear(word);
            self.quorum_gates.insert(product.clone(), gates);
        }
    }

    /// Takes how many partitions of `product` brokers told of when they were asked last.
    pub fn hear_partitions(&mut self, product: &ProductRef, told: u64) {
        if self.quorums.contains_key(product) {
            self.partition_counts.entry(product.clone()).or_default().hear(told);
        }
    }

    /// Takes the gates that stand against the cluster as a whole, in place of the last ones.
    pub fn gates(&mut self, gates: Vec<ClusterGate>) {
        self.gates = gates;
    }

    /// Takes the results of one probe round and says what is known at `now`.
    ///
    /// `probe_ms` is the period at which the probed units are probed. Units that were not probed
    /// keep what they said until it is stale; results of unknown units are ignored.
    pub fn apply(
        &mut self,
        results: BTreeMap<UnitKey, Result<Probe, ScrapeError>>,
        probe_ms: u64,
        now: Timestamp,
    ) -> Observation {
        let mut heard = BTreeSet::new();
        for (key, outcome) in results {
            if let Some(memory) = self.units.get_mut(&key) {
                memory.take(outcome, probe_ms, &self.settings);
                if memory.target.role == Role::Controller {
                    heard.insert(key.product);
                }
            }
        }
        for (product, quorum) in &mut self.quorums {
            if heard.contains(product) {
                let mut voters = of_role_mut(&mut self.units, product, Role::Controller);
                quorum.probe(&mut voters, probe_ms, &self.settings.quorum);
            }
        }
        for memory in self.units.values_mut() {
            memory.settle(now);
        }
        for (product, quorum) in &mut self.quorums {
            let voters = of_role(&self.units, product, Role::Controller);
            let voters: Vec<_> = voters.map(|(unit, memory)| (unit, &memory.seen)).collect();
            quorum.judge(&voters, now, &self.settings.quorum);
        }
        for (product, baseline) in &mut self.baselines {
            let brokers = self
                .units
                .iter()
                .filter(|(key, memory)| key.product == *product && memory.target.is_broker());
            baseline.note(brokers.map(|(_, memory)| memory.seen.broker.as_ref()), now);
        }
        let mut gates = self.gates.clone();
        gates.extend(self.quorum_gates.values().flatten().cloned());
        gates.extend(self.untold());
        let lag_limit_ms = self.settings.quorum.lag_limit_ms(probe_ms);
        for (product, disagreement) in &mut self.disagreements {
            let voters = of_role(&self.units, product, Role::Controller);
            let voters: Vec<_> = voters.map(|(unit, memory)| (unit, &memory.seen)).collect();
            let Some(quorum) = self.quorums.get_mut(product) else { continue };
            let Some(seen) = quorum.seen() else { continue };
            if let Some(finding) = disagreement.compare(&seen, &voters, lag_limit_ms) {
                quorum.find(finding.clone());
                let scope = GateScope::Product(product.clone());
                gates.push(ClusterGate { scope, finding, stops: false });
            }
        }
        Observation {
            at: now,
            units: self.units.iter().map(|(key, m)| (key.clone(), m.seen.clone())).collect(),
            quorums: self
                .quorums
                .iter()
                .filter_map(|(product, quorum)| Some((product.clone(), quorum.seen()?)))
                .collect(),
            at_min_isr_baseline: self
                .baselines
                .iter()
                .filter_map(|(product, baseline)| Some((product.clone(), baseline.value()?)))
                .collect(),
            gates,
        }
    }
}

impl Observer {
    /// Gates of brokers whose partitions may not all be known.
    fn untold(&mut self) -> Vec<ClusterGate> {
        let mut gates = vec![];
        for (product, count) in &mut self.partition_counts {
            let leader = self.quorums.get(product).and_then(QuorumMemory::seen);
            let leader = leader.and_then(|seen| seen.leader);
            let page = leader.and_then(|unit| {
                let key = UnitKey { product: product.clone(), unit };
                self.units.get(&key)?.seen.voter.as_ref()
            });
            let counted = page.and_then(|voter| voter.global_partitions);
            let Some(finding) = count.compare(counted) else { continue };
            let brokers = self
                .units
                .iter()
                .filter(|(key, memory)| key.product == *product && memory.target.is_broker());
            gates.extend(brokers.map(|(key, _)| ClusterGate {
                scope: GateScope::Unit(key.clone()),
                finding: finding.clone(),
                stops: false,
            }));
        }
        gates
    }
}

type Units = BTreeMap<UnitKey, UnitMemory>;

fn of_role<'a>(
    units: &'a Units,
    product: &'a ProductRef,
    role: Role,
) -> impl Iterator<Item = (&'a UnitName, &'a UnitMemory)> {
    units
        .iter()
        .filter(move |(key, memory)| key.product == *product && memory.target.role == role)
        .map(|(key, memory)| (&key.unit, memory))
}

fn of_role_mut<'a>(
    units: &'a mut Units,
    product: &ProductRef,
    role: Role,
) -> Vec<&'a mut UnitMemory> {
    units
        .iter_mut()
        .filter(|(key, memory)| key.product == *product && memory.target.role == role)
        .map(|(_, memory)| memory)
        .collect()
}
