//! For how long, and at how many probes in a row, G(x) has held for each unit that wants to go.
//!
//! Invariant I2 asks for two probes apart from each other, and a roll begins with a green baseline;
//! both are questions about the same series, kept here in memory. A restarted agent starts with an
//! empty one, so it proves everything again.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::ProductRef;
use jiff::Timestamp;

use super::Timings;
use crate::gate::{Blocker, GatePolicy, may_take_out, may_take_out_again};
use crate::history::History;
use crate::observation::{Finding, Observation, UnitKey};
use crate::phase::elapsed_ms;

/// How long the gate of one unit has held without a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Since which observation.
    pub since: Timestamp,
    /// The last observation at which it held.
    pub last: Timestamp,
    /// At how many observations, each at least the probe interval after the one before.
    pub probes: u32,
}

/// The series of every unit of interest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    held: BTreeMap<UnitKey, Held>,
    products: BTreeMap<ProductRef, Held>,
}

impl Watch {
    /// Takes in one observation: `keys` are the units that may want to go.
    pub fn note(
        &mut self,
        keys: &BTreeSet<UnitKey>,
        observation: &Observation,
        history: &History,
        policy: &GatePolicy,
        timings: &Timings,
    ) {
        self.held.retain(|key, _| keys.contains(key));
        for key in keys {
            if in_the_way(key, observation, history, policy).is_empty() {
                let at = evidence_at(observation, key);
                let fresh = Held { since: at, last: at, probes: 1 };
                let held = self.held.entry(key.clone()).or_insert(fresh);
                held.extend(at, timings.gate_apart_ms, timings.gate_gap_max_ms);
            } else {
                self.held.remove(key);
            }
        }
    }

    /// Takes in which products were fit for their finalize step at `at`.
    pub fn note_products(&mut self, fit: BTreeSet<ProductRef>, at: Timestamp, timings: &Timings) {
        self.products.retain(|product, _| fit.contains(product));
        for product in fit {
            let held =
                self.products.entry(product).or_insert(Held { since: at, last: at, probes: 1 });
            held.extend(at, timings.gate_apart_ms, timings.gate_gap_max_ms);
        }
    }

    /// The series of one product, if it is fit for its finalize step.
    pub fn product_held(&self, product: &ProductRef) -> Option<&Held> {
        self.products.get(product)
    }

    /// The series of one unit, if its gate holds.
    pub fn held(&self, key: &UnitKey) -> Option<&Held> {
        self.held.get(key)
    }

    /// Forgets everything: what held before says nothing about now.
    pub fn clear(&mut self) {
        self.held.clear();
        self.products.clear();
    }
}

/// What forbids taking the unit out; what an earlier attempt broke on it does not count.
pub(super) fn in_the_way(
    key: &UnitKey,
    observation: &Observation,
    history: &History,
    policy: &GatePolicy,
) -> Vec<Blocker> {
    if history.is_left_changed(key) {
        return may_take_out_again(key, observation, policy);
    }
    may_take_out(key, observation, policy)
}

/// When the oldest page was read that a decision about `key` rests on: its peers' and, if it
/// answers, its own. Nodes are probed less often than the rest, so this is older than the
/// observation itself.
pub fn evidence_at(observation: &Observation, key: &UnitKey) -> Timestamp {
    let Some(unit) = observation.units.get(key) else { return observation.at };
    observation
        .units
        .iter()
        .filter(|(peer, seen)| peer.product == key.product && seen.role == unit.role)
        .filter_map(|(_, seen)| {
            seen.last_good.filter(|_| !seen.findings.iter().any(Finding::is_down))
        })
        .fold(observation.at, Timestamp::min)
}

impl Held {
    fn extend(&mut self, at: Timestamp, apart_ms: u64, gap_max_ms: u64) {
        let gap_ms = elapsed_ms(self.last, at);
        if at < self.last || gap_ms > gap_max_ms {
            // Too long without a look, or the clock went back: the series begins again.
            *self = Self { since: at, last: at, probes: 1 };
        } else if gap_ms >= apart_ms && gap_ms > 0 {
            self.last = at;
            self.probes = self.probes.saturating_add(1);
        }
    }

    /// How long the gate has held, milliseconds.
    pub fn for_ms(&self) -> u64 {
        elapsed_ms(self.since, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
    }

    #[test]
    fn probes_that_are_too_close_count_once() {
        let mut held = Held { since: at(0), last: at(0), probes: 1 };
        held.extend(at(100), 500, 10_000);
        assert_eq!(held.probes, 1);
        held.extend(at(500), 500, 10_000);
        assert_eq!((held.probes, held.for_ms()), (2, 500));
    }

    #[test]
    fn a_gap_starts_the_series_again() {
        let mut held = Held { since: at(0), last: at(9_000), probes: 18 };
        held.extend(at(19_001), 500, 10_000);
        assert_eq!((held.probes, held.for_ms()), (1, 0));
    }

    #[test]
    fn a_clock_that_goes_back_starts_the_series_again() {
        let mut held = Held { since: at(0), last: at(3_600_000), probes: 7_200 };
        held.extend(at(5_000), 500, 10_000);
        held.extend(at(5_500), 500, 10_000);
        assert_eq!((held.probes, held.for_ms()), (2, 500));
    }
}
