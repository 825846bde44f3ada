//! Tests of rollouts, one file per part.

mod attempts;
mod capping;
mod clocks;
mod curves;
mod judging;
mod ordering;
mod policies;
mod progressing;
mod selectors;

use std::path::Path;

use jiff::Timestamp;

use super::{FleetSalt, Labels, Policy, PolicyError};
use crate::names::ClusterId;

/// A time.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A cluster by number.
pub(crate) fn cluster(number: u32) -> ClusterId {
    ClusterId(uuid::Uuid::from_u128(u128::from(number)))
}

/// Labels from `key=value` pairs.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The fleet's salt in tests.
pub(crate) fn salt() -> FleetSalt {
    FleetSalt::from_bytes([7; 32])
}

/// Reads a policy that must be well formed.
pub(crate) fn policy(text: &str) -> Policy {
    try_policy(text).unwrap()
}

/// Reads a policy.
pub(crate) fn try_policy(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(Path::new("p.yaml"), text)
}
