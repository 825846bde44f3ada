//! What a simulated cluster shows: pages to a scraper, everything to a test.

use channels::names::UnitName;
use channels::wire::Role;

use super::super::broker::PARTITIONS_SHARED;
use super::super::fault::Fault;
use super::super::pages::{self, ControllerView, ProcessView};
use super::super::spec::{ClusterState, QuorumState, UnitState};
use super::super::text;
use super::unit::{Kind, Unit};
use super::{Answer, SimCluster, SimError};

impl SimCluster {
    /// What a unit answers to a scrape at this moment.
    pub fn answer(&self, name: &UnitName) -> Result<Answer, SimError> {
        let unit = self.unit(name)?;
        if unit.restart.is_some() {
            return Ok(Answer::Down);
        }
        if unit.hung_since_ms.is_some() {
            return Ok(Answer::Hangs);
        }
        let mut page = match &unit.stale {
            Some(page) => page.clone(),
            None => self.page(name, unit),
        };
        for fault in &unit.faults {
            match fault {
                Fault::MissingMetric { family } => page = text::without(&page, family),
                Fault::Unreadable { family } => page = text::torn(&page, family),
                Fault::Lag { .. }
                | Fault::Hang
                | Fault::Cut
                | Fault::RelistStall
                | Fault::StalePage => {}
            }
        }
        Ok(Answer::Page(page))
    }

    /// Everything about the cluster, for tests and the demo.
    pub fn state(&self) -> ClusterState {
        let leader = self.leader_name();
        let unit = |(name, unit): (&UnitName, &Unit)| {
            let state = UnitState {
                role: unit.role,
                version: unit.version.clone(),
                up: unit.is_up(),
                restarting_into: unit.restart.as_ref().map(|restart| restart.to.clone()),
                process_start_ms: unit.start_ms,
                is_leader: leader.as_ref() == Some(name),
                faults: unit.faults.clone(),
            };
            (name.clone(), state)
        };
        let quorum = self.quorum.as_ref().map(|quorum| {
            let voters = || quorum.voters.values();
            QuorumState {
                leader: leader.clone(),
                epoch: voters().map(|v| v.epoch).max().unwrap_or(0),
                high_watermark: voters().map(|v| v.high_watermark).max().unwrap_or(-1),
                log_end_offset: voters().map(|v| v.log.end()).max().unwrap_or(-1),
                elections: quorum.elections,
            }
        });
        ClusterState {
            name: self.name.clone(),
            now_ms: self.now_ms,
            speed: self.speed,
            quorum,
            units: self.units.iter().map(unit).collect(),
            ledger: self.ledger.clone(),
        }
    }

    pub(super) fn leader_name(&self) -> Option<UnitName> {
        let id = self.quorum.as_ref()?.leader()?;
        let is_leader = |unit: &Unit| unit.role == Role::Controller && unit.id == id;
        self.units.iter().find(|(_, unit)| is_leader(unit)).map(|(name, _)| name.clone())
    }

    fn page(&self, name: &UnitName, unit: &Unit) -> String {
        let process =
            ProcessView { version: &unit.version, start_ms: unit.start_ms, now_ms: self.now_ms };
        match &unit.kind {
            Kind::Controller => self.controller_page(unit, process),
            Kind::Broker(broker) => pages::broker(&process, broker, self.missing_replicas(name)),
            Kind::Node(pleg) => pages::kubelet(&process, name.as_str(), pleg),
            Kind::Workload => pages::workload(&process),
        }
    }

    fn controller_page(&self, unit: &Unit, process: ProcessView<'_>) -> String {
        let Some(quorum) = &self.quorum else { return String::new() };
        let Some(voter) = quorum.voters.get(&unit.id) else { return String::new() };
        let brokers = || self.units.values().filter(|u| u.role == Role::Broker);
        let active_brokers = brokers().filter(|u| u.is_up()).count();
        pages::controller(&ControllerView {
            process,
            state: voter.state.as_str(),
            leader: voter.leader.map_or(-1, i64::from),
            epoch: voter.epoch,
            high_watermark: voter.high_watermark,
            log_end: voter.log.end(),
            log_end_epoch: voter.log.last_epoch(),
            voters: quorum.voters.len(),
            active_brokers,
            fenced_brokers: brokers().count() - active_brokers,
            applied_at_ms: quorum.appended_at_ms(voter.high_watermark - 1),
        })
    }

    /// Partitions led by one broker whose replica on another is out of the ISR.
    fn missing_replicas(&self, name: &UnitName) -> u32 {
        let out_of_sync = |unit: &Unit| match &unit.kind {
            Kind::Broker(broker) => !unit.is_up() || broker.in_sync_at_ms > self.now_ms,
            Kind::Controller | Kind::Node(_) | Kind::Workload => false,
        };
        let others = self.units.iter().filter(|(other, unit)| *other != name && out_of_sync(unit));
        PARTITIONS_SHARED * u32::try_from(others.count()).unwrap_or(0)
    }
}
