//! Since when: what holds, what waits and how healthy products are, remembered between ticks.
//!
//! Pure. It also says which reasons are new or gone, so that each is logged once and not at every
//! probe.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::{ProductRef, UnitName};
use channels::wire::{self, HealthVerdict};
use jiff::Timestamp;

/// A reason's identity: its numbers change with every probe, this does not.
type ReasonKey = (ProductRef, String, Option<UnitName>);

/// What was first seen when.
#[derive(Debug, Default)]
pub struct Ledger {
    reasons: BTreeMap<ReasonKey, Timestamp>,
    phases: BTreeMap<ProductRef, (wire::Phase, Timestamp)>,
    verdicts: BTreeMap<ProductRef, (HealthVerdict, Timestamp)>,
}

/// A reason that appeared or went away.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// It is new.
    Waits(ProductRef, wire::WaitingOn),
    /// It is gone.
    Passed {
        /// The product it was about.
        product: ProductRef,
        /// The gate that is open again.
        gate: String,
        /// The unit it was about.
        unit: Option<UnitName>,
    },
}

impl Ledger {
    /// Fills in since when each reason holds, and says which are new and which are gone.
    pub fn note_reasons(
        &mut self,
        reasons: &mut BTreeMap<ProductRef, Vec<wire::WaitingOn>>,
        now: Timestamp,
    ) -> Vec<Turn> {
        let mut turns = Vec::new();
        let mut current = BTreeSet::new();
        for (product, list) in reasons {
            for reason in list {
                let key = (product.clone(), reason.gate.clone(), reason.unit.clone());
                let known = self.reasons.get(&key).copied();
                if known.is_none() {
                    turns.push(Turn::Waits(product.clone(), reason.clone()));
                    self.reasons.insert(key.clone(), now);
                }
                let since = known.unwrap_or(now);
                reason.since = reason.since.or(Some(since));
                current.insert(key);
            }
        }
        self.reasons.retain(|key, _| {
            let stays = current.contains(key);
            if !stays {
                let (product, gate, unit) = key.clone();
                turns.push(Turn::Passed { product, gate, unit });
            }
            stays
        });
        turns
    }

    /// Since when the product is in `phase`.
    pub fn note_phase(
        &mut self,
        product: &ProductRef,
        phase: wire::Phase,
        now: Timestamp,
    ) -> Timestamp {
        note(&mut self.phases, product, phase, now)
    }

    /// Since when the product's health is `verdict`.
    pub fn note_verdict(
        &mut self,
        product: &ProductRef,
        verdict: HealthVerdict,
        now: Timestamp,
    ) -> Timestamp {
        note(&mut self.verdicts, product, verdict, now)
    }
}

fn note<V: Copy + PartialEq>(
    map: &mut BTreeMap<ProductRef, (V, Timestamp)>,
    product: &ProductRef,
    value: V,
    now: Timestamp,
) -> Timestamp {
    let entry = map.entry(product.clone()).or_insert((value, now));
    if entry.0 != value {
        *entry = (value, now);
    }
    entry.1
}

/// Gates that every start waits at for a moment.
const PASSING: [&str; 7] = [
    "baseline",
    "gate_once",
    "observation_old",
    "other_product",
    "page_unproved",
    "grant",
    "grant_renewal",
];

impl Turn {
    /// Tells it to whoever reads the log.
    pub(super) fn log(&self) {
        match self {
            // Every start passes these: they are progress, not obstacles.
            Self::Waits(product, why) if PASSING.contains(&why.gate.as_str()) => tracing::debug!(
                %product, gate = why.gate, "waiting: {}", why.message
            ),
            Self::Waits(product, why) => tracing::info!(
                %product, gate = why.gate, unit = why.unit.as_ref().map(tracing::field::display),
                "waiting: {}", why.message
            ),
            Self::Passed { product, gate, unit } => tracing::debug!(
                %product, gate, unit = unit.as_ref().map(tracing::field::display),
                "no longer waiting"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(gate: &str, message: &str) -> wire::WaitingOn {
        wire::WaitingOn {
            gate: gate.to_owned(),
            unit: None,
            message: message.to_owned(),
            observed: None,
            limit: None,
            since: None,
        }
    }

    #[test]
    fn a_reason_is_new_once_however_its_numbers_change() {
        let product: ProductRef = "acme/kafka".parse().unwrap();
        let mut ledger = Ledger::default();
        let first = Timestamp::UNIX_EPOCH;
        let later = Timestamp::from_second(60).unwrap();
        let mut reasons =
            BTreeMap::from([(product.clone(), vec![reason("quorum_lag", "lag 3000 ms")])]);
        assert_eq!(ledger.note_reasons(&mut reasons, first).len(), 1);
        let mut reasons =
            BTreeMap::from([(product.clone(), vec![reason("quorum_lag", "lag 9000 ms")])]);
        assert_eq!(ledger.note_reasons(&mut reasons, later), []);
        assert_eq!(reasons[&product][0].since, Some(first));
        let gone = ledger.note_reasons(&mut BTreeMap::new(), later);
        assert!(matches!(&gone[..], [Turn::Passed { gate, .. }] if gate == "quorum_lag"));
    }
}
