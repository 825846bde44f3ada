//! What befalls a cluster without anybody's order, and how it really is underneath its pages.

use std::collections::BTreeMap;

use channels::names::UnitName;
use channels::wire::Role;

use super::super::fault::Fault;
use super::unit::{Kind, Unit};
use super::{SimCluster, SimError};
use crate::driver::StepId;

/// One voter as it really is, whatever its page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoterTruth {
    /// It runs, is not stopped, and is not cut off from the others.
    pub takes_part: bool,
    /// It leads and takes part.
    pub leads: bool,
    /// Its epoch.
    pub epoch: u64,
    /// The offset after its last record.
    pub log_end: i64,
    /// What it knows to be committed; -1 = nothing.
    pub high_watermark: i64,
}

impl SimCluster {
    /// A unit's process dies and is started again `away_ms` later, in `version` if one is given.
    /// Nobody ordered it: the ledger does not judge it. `by` names the restart in the model.
    pub fn crash(
        &mut self,
        name: &UnitName,
        by: StepId,
        version: Option<&str>,
        away_ms: i64,
    ) -> Result<(), SimError> {
        let unit = self.unit(name)?;
        if let Some(restart) = &unit.restart {
            return Err(SimError::Busy { unit: name.clone(), step: restart.step });
        }
        let to = version.unwrap_or(&unit.version).trim_start_matches('v').to_owned();
        self.take_down(name, by, to);
        self.delay(name, away_ms)
    }

    /// A unit that restarts comes up `more_ms` later than it would have; others do not care.
    pub fn delay(&mut self, name: &UnitName, more_ms: i64) -> Result<(), SimError> {
        if let Some(restart) = &mut self.unit_mut(name)?.restart {
            restart.up_at_ms += more_ms.max(0);
        }
        Ok(())
    }

    /// The quorum's leader resigns; the others elect another.
    pub fn unseat_leader(&mut self) {
        let now_ms = self.now_ms;
        if let Some(quorum) = &mut self.quorum {
            quorum.unseat(now_ms);
        }
    }

    /// Every voter as it really is.
    pub fn voters(&self) -> BTreeMap<UnitName, VoterTruth> {
        let Some(quorum) = &self.quorum else { return BTreeMap::new() };
        let controllers = self.units.iter().filter(|(_, unit)| unit.role == Role::Controller);
        let leader = quorum.leader();
        controllers
            .filter_map(|(name, unit)| {
                let voter = quorum.voters.get(&unit.id)?;
                let takes_part = unit.is_up() && voter.running && !voter.cut;
                let truth = VoterTruth {
                    takes_part,
                    leads: takes_part && leader == Some(unit.id),
                    epoch: voter.epoch,
                    log_end: voter.log.end(),
                    high_watermark: voter.high_watermark,
                };
                Some((name.clone(), truth))
            })
            .collect()
    }

    /// Whether a broker's replicas are all in the ISR; `true` for what is no broker.
    pub fn in_sync(&self, name: &UnitName) -> bool {
        self.units.get(name).is_some_and(|unit| match &unit.kind {
            Kind::Broker(broker) => unit.is_up() && broker.in_sync_at_ms <= self.now_ms,
            Kind::Controller | Kind::Node(_) | Kind::Workload => true,
        })
    }

    /// The faults that are set on a unit; none for a stranger.
    pub fn faults(&self, name: &UnitName) -> &[Fault] {
        self.units.get(name).map_or(&[], |unit| &unit.faults)
    }

    /// The version a unit runs, or ran before it went down.
    pub fn version(&self, name: &UnitName) -> Option<&str> {
        self.units.get(name).map(|unit| unit.version.as_str())
    }

    /// Whether a unit answers.
    pub fn is_up(&self, name: &UnitName) -> bool {
        self.units.get(name).is_some_and(Unit::is_up)
    }

    /// The restart a unit is in.
    pub fn restarting_for(&self, name: &UnitName) -> Option<StepId> {
        self.units.get(name)?.restart.as_ref().map(|restart| restart.step)
    }

    /// Releases are as good as their vendors meant them: units that come up bring no faults.
    pub fn clear_defects(&mut self) {
        self.defects.clear();
    }
}
