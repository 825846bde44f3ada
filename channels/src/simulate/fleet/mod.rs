//! The fleet that a rollout is simulated on: a model written in YAML, or rows of a real one.
//!
//! It says who the clusters are and how they behave by themselves; what goes wrong in one run is
//! the matter of `fault`.

mod file;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::names::ClusterId;
use crate::rollout::{Labels, Percent, Period};
use crate::version::ReleaseVersion;

pub use file::{FLEET_MAX_BYTES, FleetError, FleetFault};

/// Most clusters of a simulated fleet: the largest fleet the hub is measured with.
pub const CLUSTERS_MAX: usize = 1_000_000;

/// How long one cluster's upgrade takes, from its grant to its success: a triangular distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// No upgrade takes less.
    pub shortest: Period,
    /// Most take about this long.
    pub typical: Period,
    /// No upgrade takes more, faults aside.
    pub longest: Period,
}

/// How a cluster behaves by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habits {
    /// How long its upgrade takes.
    pub upgrade: Upgrade,
    /// Share of the time in which it asks the hub for work. A cluster that began stays online.
    pub online: Percent,
    /// How long it stays online or offline at a stretch.
    pub stretch: Period,
    /// Share of upgrades that fail whatever the release.
    pub failing: Percent,
    /// Share of upgraded clusters whose health cannot be read for a while.
    pub unknown: Percent,
    /// How long that while is.
    pub unknown_for: Period,
}

impl Habits {
    /// What is assumed where nothing is said: three quarters of an hour or so, always online,
    /// nothing fails.
    pub const DEFAULT: Self = Self {
        upgrade: Upgrade {
            shortest: Period::from_mins(20),
            typical: Period::from_mins(45),
            longest: Period::from_hours(2),
        },
        online: Percent::ALL,
        stretch: Period::from_hours(4),
        failing: Percent::ZERO,
        unknown: Percent::ZERO,
        unknown_for: Period::from_mins(30),
    };

    /// A cluster that does not answer: it keeps its place and is never granted.
    #[must_use]
    pub fn unreachable(self) -> Self {
        Self { online: Percent::ZERO, ..self }
    }
}

/// One cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its identity.
    pub id: ClusterId,
    /// Its name.
    pub name: String,
    /// Its labels, as the hub holds them.
    pub labels: Arc<Labels>,
    /// What it runs, where that is known.
    pub version: Option<ReleaseVersion>,
    /// How it behaves.
    pub habits: Habits,
}

/// A fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    name: String,
    members: Vec<Member>,
}

impl Fleet {
    /// A fleet of these clusters. More than [`CLUSTERS_MAX`], or one identity twice, is refused.
    pub fn new(name: String, members: Vec<Member>) -> Result<Self, FleetFault> {
        let clusters = members.len();
        if clusters > CLUSTERS_MAX {
            return Err(FleetFault::TooManyClusters { clusters });
        }
        if clusters == 0 {
            return Err(FleetFault::NoClusters);
        }
        let mut ids: Vec<ClusterId> = members.iter().map(|member| member.id).collect();
        ids.sort_unstable();
        if let Some(&[id, _]) = ids.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(FleetFault::ClusterTwice { id });
        }
        Ok(Self { name, members })
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its clusters.
    pub fn members(&self) -> &[Member] {
        &self.members
    }
}
