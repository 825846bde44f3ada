//! The fleet at one moment, by product and channel: what trends are made of.
//!
//! Versions and phases come from the counters, lags and verdicts of versions from one pass over the
//! rows. Both are bounded whatever clusters report: products, channels and versions beyond the
//! largest ones are summed up.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use channels::names::{ChannelName, ProductRef};
use channels::wire::{
    Freshness, HealthVerdict, Phase, TrendFigures, TrendLag, TrendPhase, TrendVersion,
};

use super::row::Product;
use super::{FleetIndex, is_active};

/// Products and channels that are told apart, those with the most clusters. A note has a row of up to
/// 2 KB for each: with all of them a day is 150 MB, and real fleets have a dozen.
pub const MAX_TREND_SERIES: usize = 256;
/// Versions of one product and channel that are told apart, likewise.
pub const MAX_TREND_VERSIONS: usize = 20;

/// The product and channel of a series; `None` for all that are summed up.
pub type SeriesName = Option<(ProductRef, ChannelName)>;

/// Lags counted in buckets of 1/16 of a power of two: of any fleet the percentiles take 4 KB.
#[derive(Debug, Clone, Default)]
struct Lags {
    buckets: Vec<u32>,
    known: u64,
    worst_ms: u64,
}

/// A power of two is cut into so many buckets, as a power of two itself.
const CUT_BITS: u32 = 4;
/// Values of 32 bits, see [`super::row`].
const BUCKETS: usize = 16 * 29;

fn bucket(lag_ms: u64) -> usize {
    let lag = u32::try_from(lag_ms).unwrap_or(u32::MAX);
    let shift = lag.checked_ilog2().unwrap_or(0).saturating_sub(CUT_BITS);
    // 16 small values for themselves; then 16 buckets for each power of two.
    let place = (lag >> shift) + (shift << CUT_BITS);
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX);
    let shift = (bucket >> CUT_BITS).saturating_sub(1);
    let first = (bucket - (shift << CUT_BITS)) << shift;
    first + (1 << shift) - 1
}

impl Lags {
    fn see(&mut self, lag_ms: Option<u64>) {
        let Some(lag_ms) = lag_ms else { return };
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        if let Some(count) = self.buckets.get_mut(bucket(lag_ms)) {
            *count = count.saturating_add(1);
        }
        self.known += 1;
        self.worst_ms = self.worst_ms.max(lag_ms);
    }

    fn percentile(&self, percent: u64) -> Option<u64> {
        let wanted = self.known.saturating_mul(percent).div_ceil(100).max(1);
        let mut seen = 0_u64;
        let found = self.buckets.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        });
        // The last bucket's bound may be above the worst there is.
        found.map(|bucket| upper(bucket).min(self.worst_ms))
    }

    fn told(&self) -> TrendLag {
        TrendLag {
            known: self.known,
            p50_ms: self.percentile(50),
            p95_ms: self.percentile(95),
            worst_ms: (self.known > 0).then_some(self.worst_ms),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Verdicts {
    clusters: u64,
    healthy: u64,
    unhealthy: u64,
}

impl Verdicts {
    fn see(&mut self, verdict: HealthVerdict) {
        self.clusters += 1;
        match verdict {
            HealthVerdict::Healthy => self.healthy += 1,
            HealthVerdict::Unhealthy => self.unhealthy += 1,
            HealthVerdict::Unknown => {}
        }
    }
}

/// One series while it is counted.
#[derive(Debug, Clone, Default)]
struct Series {
    figures: TrendFigures,
    /// By number, in its order: those that are told apart.
    versions: Vec<(u32, Verdicts)>,
    other: Verdicts,
    phases: BTreeMap<Phase, u64>,
    quorum: Lags,
    pleg: Lags,
}

impl Series {
    fn see(&mut self, product: &Product, class: Freshness) {
        let figures = &mut self.figures;
        match class {
            Freshness::Fresh => figures.fresh += 1,
            Freshness::Late => figures.late += 1,
            Freshness::Silent => figures.silent += 1,
            Freshness::Gone => figures.gone += 1,
            // Whoever never reported has no products.
            Freshness::Never | Freshness::Carried | Freshness::Unknown => {}
        }
        if !is_active(class) {
            return;
        }
        match product.verdict {
            HealthVerdict::Healthy => figures.healthy += 1,
            HealthVerdict::Unhealthy => figures.unhealthy += 1,
            HealthVerdict::Unknown => figures.unknown += 1,
        }
        let place = self.versions.binary_search_by_key(&product.version, |(number, _)| *number);
        let version = place.ok().and_then(|place| self.versions.get_mut(place));
        version.map_or(&mut self.other, |(_, seen)| seen).see(product.verdict);
        self.quorum.see(product.quorum_lag_ms());
        self.pleg.see(product.pleg_lag_ms());
    }
}

impl FleetIndex {
    /// How the fleet is: one pass over the rows, some 20 ms per million clusters.
    pub fn roll_up(&self) -> Vec<(SeriesName, TrendFigures)> {
        let (names, series_of) = self.largest();
        let mut all = self.counted(&series_of, names.len() + 1);
        for row in self.rows.iter().filter(|row| !row.is_retired()) {
            for product in &row.products {
                let place = place(&series_of, product.graph);
                if let Some(series) = place.and_then(|place| all.get_mut(place)) {
                    series.see(product, row.freshness);
                }
            }
        }
        let names = names.into_iter().map(Some).chain([None]);
        let named = names.zip(all).filter(|(_, series)| {
            let TrendFigures { fresh, late, silent, gone, .. } = series.figures;
            fresh + late + silent + gone > 0
        });
        named.map(|(name, series)| (name, self.told(series))).collect()
    }

    /// The largest products and channels, and by number of a graph the place of its series; the one
    /// after all of them is for the rest.
    fn largest(&self) -> (Vec<(ProductRef, ChannelName)>, Vec<usize>) {
        let mut sizes: BTreeMap<(&ProductRef, &ChannelName), u64> = BTreeMap::new();
        for (key, number) in self.graphs.iter() {
            let Some(tally) = self.tally.graphs.get(&number) else { continue };
            let size = tally.silent + tally.groups.values().sum::<u64>();
            if size > 0 {
                *sizes.entry((&key.product, &key.channel)).or_default() += size;
            }
        }
        let mut order: Vec<_> = sizes.into_iter().collect();
        order.sort_by_key(|(_, size)| Reverse(*size));
        order.truncate(MAX_TREND_SERIES);
        let names: BTreeMap<_, usize> =
            order.iter().zip(0..).map(|((name, _), place)| (*name, place)).collect();
        let mut series_of = vec![order.len(); self.graphs.len()];
        for (key, number) in self.graphs.iter() {
            let place = usize::try_from(number).ok().and_then(|n| series_of.get_mut(n));
            if let (Some(place), Some(found)) = (place, names.get(&(&key.product, &key.channel))) {
                *place = *found;
            }
        }
        let owned = |((product, channel), _): ((&ProductRef, &ChannelName), u64)| {
            (product.clone(), channel.clone())
        };
        (order.into_iter().map(owned).collect(), series_of)
    }

    /// What the counters know: phases, and which versions are the largest.
    fn counted(&self, series_of: &[usize], count: usize) -> Vec<Series> {
        let mut versions: Vec<BTreeMap<u32, u64>> = vec![BTreeMap::new(); count];
        let mut all = vec![Series::default(); count];
        for (graph, tally) in &self.tally.graphs {
            let Some(place) = place(series_of, *graph) else { continue };
            let (Some(series), Some(versions)) = (all.get_mut(place), versions.get_mut(place))
            else {
                continue;
            };
            for (&(version, phase, _), clusters) in &tally.groups {
                *versions.entry(version).or_default() += clusters;
                *series.phases.entry(phase).or_default() += clusters;
            }
        }
        for (series, versions) in all.iter_mut().zip(versions) {
            let mut order: Vec<(u32, u64)> = versions.into_iter().collect();
            order.sort_by_key(|(_, clusters)| Reverse(*clusters));
            order.truncate(MAX_TREND_VERSIONS);
            order.sort_unstable_by_key(|(version, _)| *version);
            let told = |(version, _)| (version, Verdicts::default());
            series.versions = order.into_iter().map(told).collect();
        }
        all
    }

    fn told(&self, series: Series) -> TrendFigures {
        let Series { mut figures, versions, other, phases, quorum, pleg } = series;
        let entry = |version, seen: Verdicts| TrendVersion {
            version,
            clusters: seen.clusters,
            healthy: seen.healthy,
            unhealthy: seen.unhealthy,
        };
        figures.versions = versions
            .into_iter()
            .filter_map(|(number, seen)| {
                Some(entry(Some(self.versions.value(number)?.clone()), seen))
            })
            .collect();
        figures.versions.sort_by_key(|entry| Reverse(entry.clusters));
        if other.clusters > 0 {
            figures.versions.push(entry(None, other));
        }
        let phase = |(phase, clusters)| TrendPhase { phase, clusters };
        figures.phases = phases.into_iter().map(phase).collect();
        figures.quorum_lag = quorum.told();
        figures.pleg_lag = pleg.told();
        figures
    }
}

fn place(series_of: &[usize], graph: u32) -> Option<usize> {
    series_of.get(usize::try_from(graph).ok()?).copied()
}

#[cfg(test)]
mod tests;
