//! What a simulated cluster is made of, and what it says about itself.

use std::collections::BTreeMap;

use channels::names::UnitName;
use channels::wire::Role;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::ledger::Ledger;

/// A cluster to simulate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// Its name in URLs.
    pub name: String,
    /// Everything that is left to chance follows from this.
    pub seed: u64,
    /// Divides how long restarts take and how far relists are apart; 1 is realistic. Quorum timers
    /// are never scaled, because the limits they are compared with are not.
    pub speed: u32,
    /// Its units; controllers get node ids 1, 2, … in this order, brokers follow.
    pub units: Vec<UnitSpec>,
}

impl ClusterSpec {
    /// `controllers` controllers `c-1…`, `brokers` brokers `b-1…` and `nodes` nodes `n-1…`, with
    /// the component versions given.
    pub fn of(
        name: &str,
        seed: u64,
        speed: u32,
        units: &[(Role, usize, &str)],
    ) -> Result<Self, channels::names::NameError> {
        let mut specs = Vec::new();
        for &(role, count, version) in units {
            let prefix = match role {
                Role::Controller => 'c',
                Role::Broker => 'b',
                Role::Node => 'n',
                Role::Workload => 'w',
            };
            for number in 1..=count {
                let name = format!("{prefix}-{number}").parse()?;
                specs.push(UnitSpec { name, role, version: version.to_owned() });
            }
        }
        Ok(Self { name: name.to_owned(), seed, speed, units: specs })
    }
}

/// One unit to simulate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitSpec {
    /// Its name.
    pub name: UnitName,
    /// What it is.
    pub role: Role,
    /// The component version it runs at first, without a leading `v`.
    pub version: String,
}

/// `GET /clusters/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    /// Its name.
    pub name: String,
    /// The model's time, milliseconds since 1970.
    pub now_ms: i64,
    /// See [`ClusterSpec::speed`].
    pub speed: u32,
    /// The metadata quorum, if it has controllers.
    pub quorum: Option<QuorumState>,
    /// Its units by name.
    pub units: BTreeMap<UnitName, UnitState>,
    /// What happened to it.
    pub ledger: Ledger,
}

/// The metadata quorum as an all-knowing observer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumState {
    /// The voter that leads and is up.
    pub leader: Option<UnitName>,
    /// Highest epoch of any voter.
    pub epoch: u64,
    /// Highest high watermark of any voter, in records; -1 = none known.
    pub high_watermark: i64,
    /// Highest log end offset of any voter, in records.
    pub log_end_offset: i64,
    /// Elections won since the start.
    pub elections: u64,
}

/// One unit as an all-knowing observer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// What it is.
    pub role: Role,
    /// The component version it runs, or ran before it went down.
    pub version: String,
    /// Whether it answers.
    pub up: bool,
    /// The version it is restarting into.
    pub restarting_into: Option<String>,
    /// When its process started, milliseconds since 1970.
    pub process_start_ms: i64,
    /// Whether it leads the quorum.
    pub is_leader: bool,
    /// Faults that are set on it.
    pub faults: Vec<Fault>,
}
