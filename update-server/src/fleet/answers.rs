//! Fleet-wide answers: drift per graph, health, and the counts `/metrics` shows.

use std::collections::BTreeMap;

use channels::version::ReleaseVersion;
use channels::wire::{
    Drift, DriftAnswer, DriftState, DriftTotals, HealthAnswer, HealthRow, HealthVerdict, Phase,
    VersionCount,
};

use super::query::View;
use super::tally::GraphTally;
use super::{FleetIndex, GraphKey, Slot};

/// Rows of clusters that are not healthy in one answer: a page for a person.
const MAX_WORST: usize = 200;

/// Active clusters of one graph on one version in one phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetCount {
    /// Which graph.
    pub graph: GraphKey,
    /// Which version.
    pub version: ReleaseVersion,
    /// Which phase.
    pub phase: Phase,
    /// How many.
    pub clusters: u64,
}

impl FleetIndex {
    /// Drift of the fleet, one entry per graph that any cluster follows.
    pub fn drift(&self, view: &mut View<'_>) -> DriftAnswer {
        let items = self
            .graphs
            .iter()
            .filter_map(|(key, number)| {
                let tally = self.tally.graphs.get(&number)?;
                (tally.silent > 0 || !tally.groups.is_empty())
                    .then(|| self.totals(key, number, tally, view))
            })
            .collect();
        DriftAnswer { at: view.now, items, sites: Vec::new(), sites_never_reported: Vec::new() }
    }

    fn totals(
        &self,
        key: &GraphKey,
        graph: u32,
        tally: &GraphTally,
        view: &mut View<'_>,
    ) -> DriftTotals {
        let mut totals = no_totals(key, tally.silent);
        let mut versions: BTreeMap<&ReleaseVersion, u64> = BTreeMap::new();
        for (&(number, phase, stopped), &clusters) in &tally.groups {
            let Some(version) = self.versions.value(number) else { continue };
            let drift = view.memo.get(view.served, (graph, number), (key, version), view.now);
            add_drift(&mut totals, &drift, clusters);
            *versions.entry(version).or_default() += clusters;
            if phase.is_rolling() {
                totals.rolling += clusters;
            }
            if stopped {
                totals.stopped += clusters;
            }
        }
        totals.versions = versions
            .into_iter()
            .rev()
            .map(|(version, clusters)| VersionCount { version: version.clone(), clusters })
            .collect();
        totals
    }

    /// Health of the fleet; active clusters only.
    pub fn health(&self, view: &View<'_>) -> HealthAnswer {
        let count = |verdict| self.tally.verdicts.get(&verdict).copied().unwrap_or(0);
        let worst = self
            .tally
            .unhealthy
            .iter()
            .chain(&self.tally.unknown)
            .flat_map(|slot| self.not_healthy(*slot))
            .take(MAX_WORST)
            .collect();
        HealthAnswer {
            at: view.now,
            healthy: count(HealthVerdict::Healthy),
            unhealthy: count(HealthVerdict::Unhealthy),
            unknown: count(HealthVerdict::Unknown),
            worst,
        }
    }

    fn not_healthy(&self, slot: Slot) -> Vec<HealthRow> {
        let Some(row) = self.rows.get(slot.index()) else { return Vec::new() };
        row.products
            .iter()
            .filter(|p| p.verdict != HealthVerdict::Healthy)
            .filter_map(|p| {
                let record = p.unpack(self.names(p)?);
                let why = record
                    .waiting_on
                    .first()
                    .map(|w| w.message.clone())
                    .or_else(|| record.failure.map(|f| f.message));
                Some(HealthRow {
                    cluster: row.id,
                    name: row.name().to_owned(),
                    product: record.graph.product,
                    health: record.health,
                    why,
                })
            })
            .collect()
    }

    /// Active clusters by graph, version and phase.
    pub fn counts(&self) -> Vec<FleetCount> {
        let mut counts: BTreeMap<(u32, u32, Phase), u64> = BTreeMap::new();
        for (graph, tally) in &self.tally.graphs {
            for (&(version, phase, _), clusters) in &tally.groups {
                *counts.entry((*graph, version, phase)).or_default() += clusters;
            }
        }
        counts
            .into_iter()
            .filter_map(|((graph, version, phase), clusters)| {
                Some(FleetCount {
                    graph: self.graphs.value(graph)?.clone(),
                    version: self.versions.value(version)?.clone(),
                    phase,
                    clusters,
                })
            })
            .collect()
    }
}

/// Totals of a graph before anything but silence is counted.
pub(crate) fn no_totals(key: &GraphKey, silent: u64) -> DriftTotals {
    DriftTotals {
        product: key.product.clone(),
        channel: key.channel.clone(),
        arch: key.arch.clone(),
        head: None,
        active: 0,
        silent,
        current: 0,
        behind: 0,
        stranded: 0,
        off_graph: 0,
        rolling: 0,
        stopped: 0,
        hops_max: None,
        versions: Vec::new(),
    }
}

/// Counts active clusters of one version in.
pub(crate) fn add_drift(totals: &mut DriftTotals, drift: &Drift, clusters: u64) {
    totals.active += clusters;
    match drift.state {
        DriftState::Current => totals.current += clusters,
        DriftState::Behind => totals.behind += clusters,
        DriftState::Stranded => totals.stranded += clusters,
        DriftState::OffGraph => totals.off_graph += clusters,
        DriftState::NoGraph | DriftState::Unknown => {}
    }
    if drift.head.is_some() {
        totals.head.clone_from(&drift.head);
    }
    totals.hops_max = totals.hops_max.max(drift.hops);
}
