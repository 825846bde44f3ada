//! What a report says about an observation.

use channels::names::{ProductRef, UnitName};
use channels::wire::{HealthSummary, HealthVerdict, UnitState, WaitingOn};
use jiff::Timestamp;

use super::{Finding, Observation, UnitObservation};

impl Observation {
    /// Health of a product: worst over its units and its quorum, with the worst known lags.
    ///
    /// `since` is when the verdict last changed, which is the caller's to remember.
    pub fn health(&self, product: &ProductRef, since: Option<Timestamp>) -> HealthSummary {
        let units = || self.units.iter().filter(|(key, _)| key.product == *product);
        let quorum_findings = self.quorums.get(product).into_iter().flat_map(|q| &q.findings);
        let verdicts =
            units().map(|(_, unit)| unit.verdict).chain(quorum_findings.map(Finding::verdict));
        let nothing = HealthVerdict::Unknown;
        let verdict = verdicts.reduce(HealthVerdict::worst).unwrap_or(nothing);
        let worst = |lag: fn(&UnitObservation) -> Option<u64>| {
            units().filter_map(|(key, unit)| Some((lag(unit)?, &key.unit))).max()
        };
        let quorum = worst(|unit| unit.quorum_lag_ms);
        let pleg = worst(|unit| unit.pleg_lag_ms);
        HealthSummary {
            verdict,
            since,
            quorum_lag_ms: quorum.map(|(ms, _)| ms),
            quorum_lag_unit: quorum.map(|(_, unit)| unit.clone()),
            pleg_lag_ms: pleg.map(|(ms, _)| ms),
            pleg_lag_unit: pleg.map(|(_, unit)| unit.clone()),
            measured: Vec::new(),
        }
    }

    /// States of a product's units, those that need attention first.
    pub fn unit_states(&self, product: &ProductRef) -> Vec<UnitState> {
        let mut states: Vec<UnitState> = self
            .units
            .iter()
            .filter(|(key, _)| key.product == *product)
            .map(|(key, unit)| UnitState {
                name: key.unit.clone(),
                role: unit.role,
                pool: unit.pool.clone(),
                version: unit.version.clone(),
                health: unit.verdict,
                why: unit.findings.first().map(Finding::to_string),
            })
            .collect();
        let rank = |verdict: HealthVerdict| match verdict {
            HealthVerdict::Unhealthy => 0,
            HealthVerdict::Unknown => 1,
            HealthVerdict::Healthy => 2,
        };
        states.sort_by_key(|state| rank(state.health));
        states
    }
}

impl Finding {
    /// The finding as a reason in a report.
    pub fn waiting_on(&self, unit: Option<&UnitName>, since: Option<Timestamp>) -> WaitingOn {
        WaitingOn {
            gate: self.gate_name().to_owned(),
            unit: unit.cloned(),
            message: self.to_string(),
            observed: self.observed(),
            limit: self.limit(),
            since,
        }
    }
}
