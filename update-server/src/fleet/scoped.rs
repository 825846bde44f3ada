//! Answers for callers who are confined to some clusters: counted from these alone.
//!
//! One pass over the rows instead of the counters that everybody shares; a few milliseconds per
//! million. Nothing of another cluster is in them, not even in a sum.

use std::borrow::Cow;
use std::collections::BTreeSet;

use channels::version::ReleaseVersion;
use channels::wire::{Drift, DriftAnswer};

use super::query::View;
use super::row::Row;
use super::shared::is_marked;
use super::tally::{Change, Tally};
use super::{FleetCount, FleetIndex, GraphKey, Slot};
use crate::auth::Scope;

/// Active clusters of one graph on one version, and how far that is from the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which graph.
    pub graph: GraphKey,
    /// Which version.
    pub version: ReleaseVersion,
    /// How far.
    pub drift: Drift,
    /// How many.
    pub clusters: u64,
}

/// The figures of some clusters, counted together.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Clusters in force.
    pub in_force: u64,
    /// Drift, one entry per graph that any of them follows.
    pub drift: DriftAnswer,
    /// What the active ones run.
    pub standings: Vec<Standing>,
}

/// Whether a row is in force and among those that are marked by their labels.
pub(super) fn is_seen(marks: Option<&[bool]>, row: &Row) -> bool {
    !row.is_retired() && marks.is_none_or(|marks| is_marked(marks, row.labels))
}

impl FleetIndex {
    /// For each label set, by number, whether it is in the scope; `None` if all are.
    pub(super) fn marks(&self, scope: &Scope) -> Option<Vec<bool>> {
        let marked = || self.label_sets().iter().map(|labels| scope.contains(labels)).collect();
        (!scope.is_whole()).then(marked)
    }

    /// The counters of the scope's clusters.
    pub(super) fn tally_within(&self, scope: &Scope) -> Cow<'_, Tally> {
        let Some(marks) = self.marks(scope) else { return Cow::Borrowed(&self.tally) };
        let mut tally = Tally::default();
        for (number, row) in (0..).zip(&self.rows) {
            if is_seen(Some(&marks), row) {
                tally.change(Slot(number), row, Change::Enter);
            }
        }
        Cow::Owned(tally)
    }

    /// Drift of the scope's clusters, one entry per graph that any of them follows.
    pub fn drift_within(&self, scope: &Scope, view: &mut View<'_>) -> DriftAnswer {
        self.drift_of(&self.tally_within(scope), view)
    }

    /// The scope's active clusters by graph, version and phase.
    pub fn counts_within(&self, scope: &Scope) -> Vec<FleetCount> {
        self.counts_of(&self.tally_within(scope))
    }

    /// The figures of the clusters that these counters are about.
    pub(super) fn overview_of(&self, tally: &Tally, view: &mut View<'_>) -> Overview {
        Overview {
            in_force: tally.freshness.values().sum(),
            drift: self.drift_of(tally, view),
            standings: self.standings(tally, view),
        }
    }

    fn standings(&self, tally: &Tally, view: &mut View<'_>) -> Vec<Standing> {
        let mut standings = Vec::new();
        for (&graph, counts) in &tally.graphs {
            let Some(key) = self.graphs.value(graph) else { continue };
            let versions: BTreeSet<u32> =
                counts.groups.keys().map(|(version, _, _)| *version).collect();
            for number in versions {
                let Some(version) = self.versions.value(number) else { continue };
                let drift = view.memo.get(view.served, (graph, number), (key, version), view.now);
                let groups = counts.groups.iter().filter(|((version, ..), _)| *version == number);
                let clusters = groups.map(|(_, clusters)| clusters).sum();
                let (graph, version) = (key.clone(), version.clone());
                standings.push(Standing { graph, version, drift, clusters });
            }
        }
        standings
    }

    /// The scope's clusters in force: what [`FleetIndex::look`] counts beside everything else.
    #[cfg(test)]
    pub(super) fn in_force_within(&self, scope: &Scope) -> u64 {
        self.tally_within(scope).freshness.values().sum()
    }
}
