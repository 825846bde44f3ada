//! The one simulator: clusters whose units answer with real exposition text.
//!
//! The demo, the `simulated` driver and the tests share it. [`SimCluster`] is a pure model stepped
//! by time; [`SimServer`] serves several of them on loopback; [`member`] is one unit as a process
//! of its own. The model keeps the rules that gates rely on (elections, epochs, high watermark,
//! relist histograms) and is no more than that: it never runs software, and nothing in the agent
//! may treat a simulated cluster differently from a real one.

mod broker;
mod clock;
mod cluster;
mod fault;
mod ledger;
mod log;
pub mod member;
mod pages;
mod pleg;
mod quorum;
mod rng;
mod serve;
mod server;
mod spec;
mod text;

pub use cluster::{Answer, SimCluster, SimError, VoterTruth};
pub use fault::Fault;
pub use ledger::{Ledger, RestartRecord};
pub use serve::SimArgs;
pub use server::{Defect, SimServer, SimServerError, UpgradeBody};
pub use spec::{ClusterSpec, ClusterState, QuorumState, UnitSpec, UnitState};

#[cfg(test)]
mod observed;
