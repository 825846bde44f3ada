//! What the agent shows of itself: metrics, liveness, readiness, and a bundle for support.
//!
//! Read-only: nothing that is asked here changes what the agent does. Metric names are those of
//! OpenShift's cluster version operator where it has one for the same thing, so that dashboards and
//! alerts made for it work; all others begin with `fairway_agent_`. Cardinality follows from the
//! configuration (products, pools, units, gates), never from what somebody else sends.

mod announced;
mod compatible;
mod figures;
mod page;
mod process;
mod pulse;
mod redact;
mod serve;
mod snapshot;
pub mod support;
mod tally;
#[cfg(test)]
mod tests;

pub use figures::render;
pub use process::Process;
pub use pulse::Pulse;
pub use serve::{Footprint, ListenError};
pub use snapshot::{ConditionSnapshot, Facts, Snapshot};
pub use tally::{GateTally, ScrapeTally};
