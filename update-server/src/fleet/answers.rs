//! Fleet-wide answers: drift per graph, health, and the counts `/metrics` shows.

use std::collections::BTreeMap;

use channels::eol::EndOfLife;
use channels::version::ReleaseVersion;
use channels::wire::{
    Drift, DriftAnswer, DriftSpread, DriftState, DriftTotals, Freshness, HealthAnswer, HealthRow,
    HealthVerdict, Phase, VersionCount,
};
use jiff::Timestamp;

use super::query::View;
use super::tally::{GraphTally, Tally};
use super::{FleetHealth, FleetIndex, GraphKey, HealthQuestion, Slot};

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
        self.drift_of(&self.tally, view)
    }

    /// Drift as these counters tell it.
    pub(super) fn drift_of(&self, tally: &Tally, view: &mut View<'_>) -> DriftAnswer {
        let items = self
            .graphs
            .iter()
            .filter_map(|(key, number)| {
                let tally = tally.graphs.get(&number)?;
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
        let mut sum = Summing::new(key, tally.silent, view.now);
        for (&(number, phase, stopped), &clusters) in &tally.groups {
            let Some(version) = self.versions.value(number) else { continue };
            let drift = view.memo.get(view.served, (graph, number), (key, version), view.now);
            sum.add(version, &drift, (phase, stopped), clusters);
        }
        sum.totals()
    }

    /// Health of the fleet; active clusters only.
    pub fn health(&self, question: &HealthQuestion, view: &View<'_>) -> HealthAnswer {
        let tally = self.tally_within(&question.scope);
        self.health_answer(question, &tally, self.health_of(question, view.now), view.now)
    }

    /// The same from what was counted.
    pub(super) fn health_answer(
        &self,
        question: &HealthQuestion,
        tally: &Tally,
        found: FleetHealth,
        now: Timestamp,
    ) -> HealthAnswer {
        let freshness = |class| tally.freshness.get(&class).copied().unwrap_or(0);
        let count = |verdict| tally.verdicts.get(&verdict).copied().unwrap_or(0);
        let worst = tally
            .unhealthy
            .iter()
            .chain(&tally.unknown)
            .flat_map(|slot| self.not_healthy(*slot, question))
            .take(MAX_WORST)
            .collect();
        HealthAnswer {
            at: now,
            healthy: count(HealthVerdict::Healthy),
            unhealthy: count(HealthVerdict::Unhealthy),
            unknown: count(HealthVerdict::Unknown),
            worst,
            silent: freshness(Freshness::Silent) + freshness(Freshness::Gone),
            never: freshness(Freshness::Never),
            lags: found.lags,
            stuck: found.stuck,
            stuck_total: found.stuck_total,
            stuck_more: found.stuck_more,
            stuck_after_s: u64::try_from(question.stuck_after.as_secs()).unwrap_or(0),
            risks: Vec::new(),
        }
    }

    fn not_healthy(&self, slot: Slot, question: &HealthQuestion) -> Vec<HealthRow> {
        let Some(row) = self.rows.get(slot.index()) else { return Vec::new() };
        row.products
            .iter()
            .filter(|p| p.verdict != HealthVerdict::Healthy)
            .filter_map(|p| {
                let record = p.unpack(self.names(p)?);
                if !question.is_about(&record.graph.product, &record.graph.channel) {
                    return None;
                }
                let why = record
                    .waiting_on
                    .first()
                    .map(|w| w.message.clone())
                    .or_else(|| record.failure.map(|f| f.message));
                Some(HealthRow {
                    cluster: row.id,
                    name: row.name().to_owned(),
                    product: record.graph.product,
                    channel: Some(record.graph.channel),
                    health: record.health,
                    why,
                })
            })
            .collect()
    }

    /// Active clusters by graph, version and phase.
    pub fn counts(&self) -> Vec<FleetCount> {
        self.counts_of(&self.tally)
    }

    /// Clusters as these counters tell them.
    pub(super) fn counts_of(&self, tally: &Tally) -> Vec<FleetCount> {
        let mut counts: BTreeMap<(u32, u32, Phase), u64> = BTreeMap::new();
        for (graph, tally) in &tally.graphs {
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

/// Totals of one graph while its versions are counted in.
#[derive(Debug)]
pub(crate) struct Summing<'v> {
    totals: DriftTotals,
    /// Clusters, and the last day of support.
    versions: BTreeMap<&'v ReleaseVersion, (u64, Option<EndOfLife>)>,
    /// Clusters by days behind, where those are known.
    ages: BTreeMap<u64, u64>,
    /// Decides what is past its end of life.
    now: Timestamp,
}

impl<'v> Summing<'v> {
    /// Before anything but silence is counted.
    pub(crate) fn new(key: &GraphKey, silent: u64, now: Timestamp) -> Self {
        let totals = DriftTotals {
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
            eol: 0,
            rolling: 0,
            stopped: 0,
            hops_max: None,
            spread: DriftSpread::default(),
            versions: Vec::new(),
        };
        Self { totals, versions: BTreeMap::new(), ages: BTreeMap::new(), now }
    }

    /// Counts active clusters of one version in.
    pub(crate) fn add(
        &mut self,
        version: &'v ReleaseVersion,
        drift: &Drift,
        (phase, stopped): (Phase, bool),
        clusters: u64,
    ) {
        let totals = &mut self.totals;
        totals.active += clusters;
        match drift.state {
            DriftState::Current => totals.current += clusters,
            DriftState::Behind => totals.behind += clusters,
            DriftState::Stranded => totals.stranded += clusters,
            DriftState::OffGraph => totals.off_graph += clusters,
            DriftState::NoGraph | DriftState::Unknown => {}
        }
        if drift.is_past_eol(self.now) {
            totals.eol += clusters;
        }
        if drift.head.is_some() {
            totals.head.clone_from(&drift.head);
        }
        totals.hops_max = totals.hops_max.max(drift.hops);
        let spread = &mut totals.spread;
        spread.behind_minor_max = spread.behind_minor_max.max(drift.behind_minor);
        if phase.is_rolling() {
            totals.rolling += clusters;
        }
        if stopped {
            totals.stopped += clusters;
        }
        if let Some(days) = drift.age_days {
            *self.ages.entry(days).or_default() += clusters;
        }
        self.versions.entry(version).or_insert((0, drift.eol)).0 += clusters;
    }

    /// The totals.
    pub(crate) fn totals(self) -> DriftTotals {
        let mut totals = self.totals;
        totals.spread.on_head_percent =
            totals.current.saturating_mul(100).checked_div(totals.active).unwrap_or(0);
        totals.spread.age_days_p50 = percentile(&self.ages, 50);
        totals.spread.age_days_p95 = percentile(&self.ages, 95);
        totals.versions = self
            .versions
            .into_iter()
            .rev()
            .map(|(version, (clusters, eol))| VersionCount {
                version: version.clone(),
                clusters,
                eol,
            })
            .collect();
        totals
    }
}

/// The smallest value that so many percent of the counted ones do not exceed.
fn percentile(counts: &BTreeMap<u64, u64>, percent: u64) -> Option<u64> {
    let all: u64 = counts.values().sum();
    let wanted = all.saturating_mul(percent).div_ceil(100).max(1);
    let mut seen = 0u64;
    counts.iter().find_map(|(value, count)| {
        seen += count;
        (seen >= wanted).then_some(*value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_smallest_value_that_covers_its_share() {
        let ages = BTreeMap::from([(0, 10), (3, 9), (40, 1)]);
        assert_eq!(percentile(&ages, 50), Some(0));
        assert_eq!(percentile(&ages, 51), Some(3));
        assert_eq!(percentile(&ages, 95), Some(3));
        assert_eq!(percentile(&ages, 100), Some(40));
        assert_eq!(percentile(&BTreeMap::new(), 50), None);
    }
}
