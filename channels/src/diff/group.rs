//! Changed edges told together: thousands of them are one sentence when they share target and
//! risks.

use std::collections::BTreeMap;

use serde::Serialize;

use super::EdgeChange;
use crate::graph::Risk;
use crate::version::ReleaseVersion;

/// Edges that changed in the same way, to the same release, under the same risks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EdgeGroup {
    /// What became of them.
    pub change: EdgeChange,
    /// Where they lead.
    pub to: ReleaseVersion,
    /// Names of the risks: those they carry in the new graph, or carried, where they carry none any
    /// more.
    pub risks: Vec<String>,
    /// Where they begin, in version order.
    pub from: Vec<ReleaseVersion>,
}

/// Clusters by the version they run, on one channel and architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    clusters: BTreeMap<ReleaseVersion, u64>,
}

impl Fleet {
    /// From counts; several for one version add up.
    pub fn new(counts: impl IntoIterator<Item = (ReleaseVersion, u64)>) -> Self {
        let mut clusters = BTreeMap::new();
        for (version, count) in counts {
            let sum: &mut u64 = clusters.entry(version).or_default();
            *sum = sum.saturating_add(count);
        }
        Self { clusters }
    }

    /// Clusters that run a version.
    pub fn on(&self, version: &ReleaseVersion) -> u64 {
        self.clusters.get(version).copied().unwrap_or(0)
    }

    /// All clusters.
    pub fn total(&self) -> u64 {
        self.clusters.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl EdgeGroup {
    /// Clusters that run a version one of the edges begins at.
    pub fn clusters(&self, fleet: &Fleet) -> u64 {
        self.from.iter().fold(0, |sum, version| sum.saturating_add(fleet.on(version)))
    }
}

/// One changed edge: how, from where to where, under which risks.
pub(super) type Change<'g> = (EdgeChange, (&'g ReleaseVersion, &'g ReleaseVersion), &'g [Risk]);

/// Groups changes by kind, target and names of risks, in that order.
pub(super) fn group(changes: Vec<Change<'_>>) -> Vec<EdgeGroup> {
    let mut groups: BTreeMap<(EdgeChange, &ReleaseVersion, Vec<&str>), Vec<ReleaseVersion>> =
        BTreeMap::new();
    for (change, (from, to), risks) in changes {
        let mut names: Vec<&str> = risks.iter().map(|risk| risk.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        groups.entry((change, to, names)).or_default().push(from.clone());
    }
    let told = groups.into_iter().map(|((change, to, risks), mut from)| {
        from.sort();
        let risks = risks.into_iter().map(str::to_owned).collect();
        EdgeGroup { change, to: to.clone(), risks, from }
    });
    told.collect()
}
