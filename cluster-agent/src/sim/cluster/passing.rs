//! What happens as time passes: restarts end, voters act, relists return, faults bite.

use channels::names::UnitName;
use channels::wire::Role;

use super::super::broker::RESYNC_MS;
use super::super::fault::Fault;
use super::super::ledger::{Circumstances, RestartRecord};
use super::super::pleg::Pleg;
use super::SimCluster;
use super::unit::{Kind, Restart, Unit, restart_ms};
use crate::driver::StepId;

impl SimCluster {
    pub(super) fn tick(&mut self) {
        let now_ms = self.now_ms;
        let due = |(name, unit): (&UnitName, &Unit)| {
            let restart = unit.restart.as_ref().filter(|r| r.up_at_ms <= now_ms)?;
            Some((name.clone(), restart.step))
        };
        let due: Vec<(UnitName, StepId)> = self.units.iter().filter_map(due).collect();
        for (name, step) in due {
            self.bring_up(&name, step);
        }
        if let Some(quorum) = &mut self.quorum {
            quorum.tick(now_ms);
        }
        let leader = self.quorum.as_ref().and_then(|quorum| {
            let id = quorum.leader()?;
            quorum.voters.get(&id).map(|v| (id, v.epoch, v.high_watermark))
        });
        for unit in self.units.values_mut().filter(|unit| unit.is_up()) {
            match (&mut unit.kind, leader) {
                (Kind::Node(pleg), _) => pleg.advance(now_ms, &mut self.rng),
                (Kind::Broker(broker), Some((id, epoch, high_watermark))) => {
                    broker.leader = Some(id);
                    broker.epoch = epoch;
                    broker.metadata_end = broker.metadata_end.max(high_watermark);
                }
                (Kind::Broker(broker), None) => broker.leader = None,
                (Kind::Controller | Kind::Workload, _) => {}
            }
        }
    }

    pub(super) fn take_down(&mut self, name: &UnitName, step: StepId, to: String) {
        let now_ms = self.now_ms;
        let Some(unit) = self.units.get_mut(name) else { return };
        let away_ms = self.rng.about(restart_ms(unit.role)) / i64::from(self.speed);
        unit.restart = Some(Restart { step, to, up_at_ms: now_ms + away_ms });
        // A new process has none of the old one's troubles; a bad release brings its own.
        unit.faults.retain(|fault| !matches!(fault, Fault::Hang | Fault::StalePage));
        unit.hung_since_ms = None;
        unit.stale = None;
        if let (Role::Controller, id, Some(quorum)) = (unit.role, unit.id, &mut self.quorum) {
            quorum.stop(id, now_ms);
        }
    }

    fn bring_up(&mut self, name: &UnitName, step: StepId) {
        let now_ms = self.now_ms;
        let (speed, resync_ms) = (self.speed, RESYNC_MS / i64::from(self.speed));
        let Some(unit) = self.units.get_mut(name) else { return };
        let Some(restart) = unit.restart.take() else { return };
        unit.version = restart.to;
        unit.start_ms = now_ms;
        let defects = self.defects.get(&unit.version).cloned().unwrap_or_default();
        match &mut unit.kind {
            Kind::Controller => {
                if let Some(quorum) = &mut self.quorum {
                    quorum.start(unit.id, now_ms);
                }
            }
            Kind::Broker(broker) => broker.in_sync_at_ms = now_ms + resync_ms,
            Kind::Node(pleg) => **pleg = Pleg::new(now_ms, speed, &mut self.rng),
            Kind::Workload => {}
        }
        if let Some(step) = self.steps.get_mut(&step) {
            step.finished = true;
        }
        self.ledger.up_again(step, now_ms);
        self.apply_faults(name);
        for fault in defects {
            // The unit exists, and a full list of faults is faulty enough.
            let _ = self.set_fault(name, fault);
        }
    }

    /// Carries the list of faults of a unit into its model.
    pub(super) fn apply_faults(&mut self, name: &UnitName) {
        let Some(unit) = self.units.get_mut(name) else { return };
        let lag_ms = unit.faults.iter().find_map(Fault::lag_ms).unwrap_or(0);
        match &mut unit.kind {
            Kind::Controller => {
                let Some(quorum) = &mut self.quorum else { return };
                if let Some(voter) = quorum.voters.get_mut(&unit.id) {
                    voter.lag_ms = lag_ms;
                    voter.cut = unit.faults.contains(&Fault::Cut);
                }
                if unit.restart.is_none() {
                    quorum.freeze(unit.id, unit.hung_since_ms.is_some());
                }
            }
            Kind::Node(pleg) => {
                pleg.lag_ms = lag_ms;
                pleg.stalled = unit.faults.contains(&Fault::RelistStall);
            }
            Kind::Broker(_) | Kind::Workload => {}
        }
    }

    pub(super) fn enter_into_ledger(&mut self, name: &UnitName, step: StepId, version: &str) {
        let Some(unit) = self.units.get(name) else { return };
        let others = || self.units.iter().filter(|(other, _)| *other != name);
        let names = |wanted: &dyn Fn(&Unit) -> bool| -> Vec<UnitName> {
            others().filter(|(_, u)| wanted(u)).map(|(other, _)| other.clone()).collect()
        };
        let restarting = names(&|u| u.restart.is_some());
        let behind = names(&|u| u.role == Role::Controller && u.version != version);
        let voters_left = others().filter(|(_, u)| u.role == Role::Controller && u.is_up()).count();
        let record = RestartRecord {
            unit: name.clone(),
            role: unit.role,
            step_id: step,
            from: unit.version.clone(),
            to: version.to_owned(),
            at_ms: self.now_ms,
            up_at_ms: None,
            leader: self.leader_name(),
            epoch: self.state().quorum.map_or(0, |quorum| quorum.epoch),
            others_down: names(&|u| !u.is_up()),
        };
        let around = Circumstances {
            restarting: &restarting,
            controllers_behind: &behind,
            voters_left,
            majority: self.quorum.as_ref().map_or(0, |quorum| quorum.majority),
        };
        self.ledger.enter(record, &around);
    }
}
