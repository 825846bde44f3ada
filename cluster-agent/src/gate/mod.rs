//! Whether a unit may be taken out, is back, or the roll must stop (rolling.md §9).
//!
//! Pure functions of one [`Observation`](crate::observation::Observation). They never count the
//! unit in question itself, never let an unknown pass, and never decide what to do about a refusal:
//! that is the planner's part.

mod back;
mod policy;
mod stop;
mod take_out;

use channels::names::UnitName;

use crate::observation::Finding;

pub use back::{MutateRecord, back_and_healthy, has_returned, still_soaking_well};
pub use policy::GatePolicy;
pub use stop::{loses_majority, stop_conditions};
pub use take_out::{may_take_out, may_take_out_again};

/// One refusal: the unit it is about (`None` = the quorum or the cluster) and why.
pub type Blocker = (Option<UnitName>, Finding);

#[cfg(test)]
mod tests;
