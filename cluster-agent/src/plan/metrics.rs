//! Required signals that no metric of a live page carries.
//!
//! Missing them is found before the first unit goes: a unit without evidence would only be missed
//! when it has been changed.

use channels::names::ProductRef;

use super::{Scene, WaitingOn};
use crate::history::History;
use crate::observation::{Finding, Observation, UnitKey, read_from};
use crate::telemetry::Signal;

/// A required signal that a live page does not carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingMetric {
    /// Whose page.
    pub unit: UnitKey,
    /// Which signal.
    pub signal: Signal,
    /// The metrics it could be read from.
    pub names: String,
}

/// Everything required that live pages do not carry, before a roll: in mid-roll units come and go,
/// and a process that starts shows its metrics one after another.
pub fn missing_metrics(observation: &Observation, history: &History) -> Vec<MissingMetric> {
    let rolls = |product: &ProductRef| {
        let record = history.products.get(product);
        record.and_then(|record| record.roll.as_ref()).is_some_and(|roll| roll.touched)
    };
    let units = observation.units.iter();
    let live = units.filter(|(key, unit)| {
        unit.last_good.is_some() && !history.is_out(key) && !rolls(&key.product)
    });
    live.flat_map(|(key, unit)| {
        unit.findings.iter().filter_map(|finding| {
            let Finding::MetricMissing { signal } = finding else { return None };
            let (unit, signal) = (key.clone(), *signal);
            Some(MissingMetric { unit, signal, names: read_from(signal) })
        })
    })
    .collect()
}

/// Before the first unit of a roll, every required signal of the product's units is there.
pub(super) fn metric_names(scene: &Scene<'_>, product: &ProductRef) -> Option<WaitingOn> {
    let mut missing = missing_metrics(scene.observation, scene.history).into_iter();
    let MissingMetric { unit, signal, names } = missing.find(|m| m.unit.product == *product)?;
    Some(WaitingOn::MetricNames { unit: unit.unit, signal, names })
}
