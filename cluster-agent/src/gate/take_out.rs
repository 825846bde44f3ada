//! G(x): may unit x be taken out now?

use super::{Blocker, GatePolicy};
use crate::observation::{Finding, Observation, UnitKey};

/// Every reason why `key` must not be taken out; empty = G(x) holds.
///
/// The planner asks for it at two probes in a row before it acts (invariant I2).
pub fn may_take_out(
    key: &UnitKey,
    observation: &Observation,
    _policy: &GatePolicy,
) -> Vec<Blocker> {
    let Some(_unit) = observation.units.get(key) else {
        return vec![(Some(key.unit.clone()), Finding::NotObserved)];
    };
    vec![(Some(key.unit.clone()), Finding::NotObserved)]
}
