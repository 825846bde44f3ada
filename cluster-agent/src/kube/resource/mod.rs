//! `ClusterUpdate`, the resource by which a cluster's people steer a product and see how it is.
//!
//! ```text
//! spec ──▶ Order (or refused) ──▶ Policy, approvals, holds ──▶ Core
//! Core ──▶ View ──▶ ClusterUpdateStatus ──▶ status, events
//! ```
//! Everything but [`Link`] is pure. The agent never makes, changes or removes a resource; it only
//! writes the status. A resource cannot name a command, a driver, a pool or a limit.

mod conditions;
mod link;
mod order;
#[cfg(test)]
mod order_tests;
mod overlay;
#[cfg(test)]
mod sample;
mod schema;
mod spec;
mod status;
mod transitions;
mod view;

pub use link::{Found, Link, Read, Shown};
pub use order::{Order, SpecError, order, shape};
pub use overlay::{Standing, Standings, approvals, finalize_approvals, policy, resume};
pub use spec::{
    ClusterUpdate, ClusterUpdateSpec, Day, Finalize, Freeze, Hold, PolicyMode, RiskAcceptance,
    Window,
};
pub use status::{
    AgentStatus, ClusterUpdateStatus, Condition, ConditionStatus, ConditionalUpdate, HISTORY_MAX,
    HealthStatus, HistoryEntry, HistoryState, ProgressStatus, REASONS_MAX, RISKS_MAX, UNITS_MAX,
    UPDATES_MAX, UnitStatus, Waiting,
};
pub use transitions::{NOTES_MAX, Note, Place, Urgency, moves, orders, transitions};
pub use view::{Acceptance, Retrieval, Serving, SpecView, View};
