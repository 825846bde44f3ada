//! The stop table: what pauses a roll at once.

use super::{Blocker, GatePolicy};
use crate::observation::{Observation, UnitKey};

/// Every reason to stop now. `out` is the unit that is out; its own absence is no reason.
pub fn stop_conditions(
    _out: Option<&UnitKey>,
    _observation: &Observation,
    _policy: &GatePolicy,
) -> Vec<Blocker> {
    Vec::new()
}
