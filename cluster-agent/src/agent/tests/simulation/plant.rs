//! The simulated cluster as the run sees it: where controllers are brokers too (Kafka's combined
//! mode), the model's controller `c-1` and its broker `b-1` are one process with one page.

use std::collections::BTreeMap;

use channels::names::UnitName;

use crate::driver::StepId;
use crate::sim::{Answer, ClusterSpec, Fault, SimCluster, SimError, VoterTruth};

/// Families that a combined node's page has beside those of a controller.
const BROKER_FAMILIES: [&str; 2] = ["kafka_server_replicamanager", "kafka_server_kafkaserver"];

/// See the module's comment.
pub(super) struct Plant {
    sim: SimCluster,
    combined: bool,
}

impl Plant {
    /// A cluster that is up at `now_ms`.
    pub(super) fn new(spec: &ClusterSpec, combined: bool, now_ms: i64) -> Self {
        Self { sim: SimCluster::new(spec, now_ms), combined }
    }

    /// The broker in the process of a controller.
    fn other_half(&self, name: &UnitName) -> Option<UnitName> {
        let id = name.as_str().strip_prefix("c-").filter(|_| self.combined)?;
        Some(format!("b-{id}").parse().unwrap())
    }

    pub(super) fn advance(&mut self, now_ms: i64) {
        self.sim.advance(now_ms);
    }

    pub(super) fn voters(&self) -> BTreeMap<UnitName, VoterTruth> {
        self.sim.voters()
    }

    /// The unit's page; a process answers when all of it is up.
    pub(super) fn answer(&self, name: &UnitName) -> Answer {
        let own = self.sim.answer(name).unwrap();
        let other = self.other_half(name).map(|other| self.sim.answer(&other).unwrap());
        match (own, other) {
            (Answer::Page(mut page), Some(Answer::Page(other))) => {
                let bare = |line: &str| {
                    let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
                    BROKER_FAMILIES.iter().any(|family| name.starts_with(family))
                };
                page.extend(other.split_inclusive('\n').filter(|line| bare(line)));
                Answer::Page(page)
            }
            (Answer::Page(_), Some(down)) => down,
            (own, _) => own,
        }
    }

    pub(super) fn upgrade(
        &mut self,
        name: &UnitName,
        step: StepId,
        to: &str,
    ) -> Result<(), SimError> {
        self.sim.upgrade(name, step, to)?;
        self.other_half(name).map_or(Ok(()), |other| self.sim.upgrade(&other, half(step), to))
    }

    pub(super) fn crash(
        &mut self,
        name: &UnitName,
        by: StepId,
        into: Option<&str>,
        away_ms: i64,
    ) -> Result<(), SimError> {
        self.sim.crash(name, by, into, away_ms)?;
        let other = self.other_half(name);
        other.map_or(Ok(()), |other| self.sim.crash(&other, half(by), into, away_ms))
    }

    pub(super) fn delay(&mut self, name: &UnitName, more_ms: i64) {
        for name in [Some(name.clone()), self.other_half(name)].into_iter().flatten() {
            self.sim.delay(&name, more_ms).unwrap();
        }
    }

    pub(super) fn unseat_leader(&mut self) {
        self.sim.unseat_leader();
    }

    /// A unit that has its fill of faults stays as it is.
    pub(super) fn set_fault(&mut self, name: &UnitName, fault: Fault) {
        // A sole voter has nobody to be cut off from.
        if fault == Fault::Cut && self.voters().len() < 2 {
            return;
        }
        if let Some(other) = self.other_half(name) {
            let _full = self.sim.set_fault(&other, fault.clone());
        }
        let _full = self.sim.set_fault(name, fault);
    }

    pub(super) fn clear_faults(&mut self, name: &UnitName) {
        for name in [Some(name.clone()), self.other_half(name)].into_iter().flatten() {
            self.sim.clear_faults(&name).unwrap();
        }
    }

    pub(super) fn set_defect(&mut self, version: &str, fault: Fault) {
        self.sim.set_defect(version, fault);
    }

    pub(super) fn clear_defects(&mut self) {
        self.sim.clear_defects();
    }

    /// Whether the restart of a step has ended; `None` = it was never given.
    pub(super) fn is_finished(&self, step: StepId) -> Option<bool> {
        let own = self.sim.step(&step)?.finished;
        Some(own && self.sim.step(&half(step)).is_none_or(|other| other.finished))
    }

    pub(super) fn faults(&self, name: &UnitName) -> &[Fault] {
        self.sim.faults(name)
    }

    pub(super) fn is_up(&self, name: &UnitName) -> bool {
        self.sim.is_up(name) && self.other_half(name).is_none_or(|other| self.sim.is_up(&other))
    }

    pub(super) fn in_sync(&self, name: &UnitName) -> bool {
        self.sim.in_sync(&self.other_half(name).unwrap_or_else(|| name.clone()))
    }

    pub(super) fn version(&self, name: &UnitName) -> Option<&str> {
        self.sim.version(name)
    }

    /// The restart a unit is in.
    pub(super) fn restarting_for(&self, name: &UnitName) -> Option<StepId> {
        let other = || Some(half(self.sim.restarting_for(&self.other_half(name)?)?));
        self.sim.restarting_for(name).or_else(other)
    }
}

/// The name of the other half's restart, and back.
fn half(step: StepId) -> StepId {
    StepId(uuid::Uuid::from_u128(step.0.as_u128() ^ (1 << 127)))
}
