//! One simulated cluster: a pure model stepped by time.

mod passing;
mod trouble;
mod unit;
mod view;

use std::collections::BTreeMap;

use channels::names::UnitName;
use channels::wire::Role;

use super::broker::Broker;
use super::fault::Fault;
use super::ledger::Ledger;
use super::pleg::Pleg;
use super::quorum::{Quorum, TICK_MS};
use super::rng::Rng;
use super::spec::ClusterSpec;
use crate::driver::{SimulatedStep, StepId};
pub use trouble::VoterTruth;
use unit::{Kind, Unit};

/// Before the model begins, so that histograms and process ages look like those of a cluster that
/// has been up for a while.
const WARM_UP_MS: i64 = 600_000;

/// Steps remembered; the oldest go first. A demo makes a few hundred.
const STEPS_MAX: usize = 10_000;

/// Faults set on one unit at a time.
const FAULTS_MAX: usize = 16;

/// Why a simulated cluster did not do as told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimError {
    /// No such unit.
    #[error("the cluster has no unit {unit}")]
    NoSuchUnit {
        /// The name asked for.
        unit: UnitName,
    },
    /// The unit is restarting for another step.
    #[error("{unit} is restarting for step {step}")]
    Busy {
        /// The unit.
        unit: UnitName,
        /// The step it restarts for.
        step: StepId,
    },
    /// The step was given before with another unit or version.
    #[error("step {step} was given before for {unit} and version {version}")]
    StepDiffers {
        /// The step.
        step: StepId,
        /// Its unit.
        unit: UnitName,
        /// Its version.
        version: String,
    },
    /// The unit cannot hold more faults.
    #[error("{unit} has {FAULTS_MAX} faults already")]
    TooManyFaults {
        /// The unit.
        unit: UnitName,
    },
}

/// What a unit answers to a scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Its page.
    Page(String),
    /// Nothing listens.
    Down,
    /// It accepts the connection and says nothing.
    Hangs,
}

#[derive(Debug, Clone)]
struct Step {
    unit: UnitName,
    version: String,
    started_at_ms: i64,
    finished: bool,
}

/// A cluster; see the module's comment.
#[derive(Debug, Clone)]
pub struct SimCluster {
    name: String,
    speed: u32,
    now_ms: i64,
    rng: Rng,
    quorum: Option<Quorum>,
    units: BTreeMap<UnitName, Unit>,
    steps: BTreeMap<StepId, Step>,
    defects: BTreeMap<String, Vec<Fault>>,
    ledger: Ledger,
}

impl SimCluster {
    /// A cluster that has been up for ten minutes at `now_ms` (milliseconds since 1970).
    pub fn new(spec: &ClusterSpec, now_ms: i64) -> Self {
        let mut rng = Rng::new(spec.seed);
        let begin_ms = now_ms - WARM_UP_MS;
        let speed = spec.speed.max(1);
        let is_controller = |role: Role| role == Role::Controller;
        let voters = spec.units.iter().filter(|unit| is_controller(unit.role)).count();
        let voters = u32::try_from(voters).unwrap_or(u32::MAX);
        let quorum =
            (voters > 0).then(|| Quorum::new(voters, begin_ms, Rng::new(spec.seed ^ 0x5157)));
        let (mut controller_id, mut broker_id) = (0, voters);
        let mut units = BTreeMap::new();
        for unit in &spec.units {
            let (id, kind) = match unit.role {
                Role::Controller => {
                    controller_id += 1;
                    (controller_id, Kind::Controller)
                }
                Role::Broker => {
                    broker_id += 1;
                    (broker_id, Kind::Broker(Broker::default()))
                }
                Role::Node => (0, Kind::Node(Box::new(Pleg::new(begin_ms, speed, &mut rng)))),
                Role::Workload => (0, Kind::Workload),
            };
            let model = Unit {
                role: unit.role,
                id,
                version: unit.version.clone(),
                start_ms: begin_ms - i64::from(rng.below(5_000_000)),
                restart: None,
                faults: Vec::new(),
                hung_since_ms: None,
                stale: None,
                kind,
            };
            units.insert(unit.name.clone(), model);
        }
        let mut cluster = Self {
            name: spec.name.clone(),
            speed,
            now_ms: begin_ms,
            rng,
            quorum,
            units,
            steps: BTreeMap::new(),
            defects: BTreeMap::new(),
            ledger: Ledger::default(),
        };
        cluster.advance(now_ms);
        cluster
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lets time pass until `now_ms`; a time in the past changes nothing.
    pub fn advance(&mut self, now_ms: i64) {
        while self.now_ms + TICK_MS <= now_ms {
            self.now_ms += TICK_MS;
            self.tick();
        }
    }

    /// Restarts a unit into a version. The same step again does nothing.
    pub fn upgrade(
        &mut self,
        name: &UnitName,
        step: StepId,
        version: &str,
    ) -> Result<(), SimError> {
        let version = version.trim_start_matches('v');
        if let Some(known) = self.steps.get(&step) {
            if known.unit == *name && known.version == version {
                return Ok(());
            }
            let (unit, version) = (known.unit.clone(), known.version.clone());
            return Err(SimError::StepDiffers { step, unit, version });
        }
        let unit = self.unit(name)?;
        if let Some(restart) = &unit.restart {
            return Err(SimError::Busy { unit: name.clone(), step: restart.step });
        }
        self.enter_into_ledger(name, step, version);
        if self.steps.len() >= STEPS_MAX {
            let oldest = self.steps.iter().min_by_key(|(_, step)| step.started_at_ms);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.steps.remove(&oldest);
            }
        }
        let (unit, version) = (name.clone(), version.to_owned());
        let started_at_ms = self.now_ms;
        self.steps
            .insert(step, Step { unit, version: version.clone(), started_at_ms, finished: false });
        self.take_down(name, step, version);
        Ok(())
    }

    /// How a step stands, if it was ever given.
    pub fn step(&self, step: &StepId) -> Option<SimulatedStep> {
        let found = self.steps.get(step)?;
        Some(SimulatedStep { started_at_ms: found.started_at_ms, finished: found.finished })
    }

    /// Sets a fault on a unit, beside those it has.
    pub fn set_fault(&mut self, name: &UnitName, fault: Fault) -> Result<(), SimError> {
        let page = match self.answer(name)? {
            Answer::Page(page) => Some(page),
            Answer::Down | Answer::Hangs => None,
        };
        let now_ms = self.now_ms;
        let unit = self.unit_mut(name)?;
        if unit.faults.contains(&fault) {
            return Ok(());
        }
        if unit.faults.len() >= FAULTS_MAX {
            return Err(SimError::TooManyFaults { unit: name.clone() });
        }
        match fault {
            Fault::StalePage => unit.stale = page,
            Fault::Hang => unit.hung_since_ms = Some(now_ms),
            Fault::Lag { .. }
            | Fault::Cut
            | Fault::RelistStall
            | Fault::MissingMetric { .. }
            | Fault::Unreadable { .. } => {}
        }
        unit.faults.push(fault);
        self.apply_faults(name);
        Ok(())
    }

    /// Removes every fault of a unit.
    pub fn clear_faults(&mut self, name: &UnitName) -> Result<(), SimError> {
        let now_ms = self.now_ms;
        let unit = self.unit_mut(name)?;
        unit.faults.clear();
        unit.stale = None;
        if let (Some(since_ms), Kind::Node(pleg)) = (unit.hung_since_ms.take(), &mut unit.kind) {
            pleg.skip_pause(since_ms, now_ms);
        }
        self.apply_faults(name);
        Ok(())
    }

    /// From now on every unit that comes up in `version` has this fault: a bad release.
    pub fn set_defect(&mut self, version: &str, fault: Fault) {
        let faults = self.defects.entry(version.trim_start_matches('v').to_owned()).or_default();
        if faults.len() < FAULTS_MAX && !faults.contains(&fault) {
            faults.push(fault);
        }
    }

    fn unit(&self, name: &UnitName) -> Result<&Unit, SimError> {
        self.units.get(name).ok_or_else(|| SimError::NoSuchUnit { unit: name.clone() })
    }

    fn unit_mut(&mut self, name: &UnitName) -> Result<&mut Unit, SimError> {
        self.units.get_mut(name).ok_or_else(|| SimError::NoSuchUnit { unit: name.clone() })
    }
}

#[cfg(test)]
mod tests;
