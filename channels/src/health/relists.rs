//! The kubelet's relist durations, in the two forms it has exported (rolling.md §4.1).

use super::pleg::PlegLimits;

/// One histogram bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Upper bound, seconds; the last one is infinite.
    pub le_s: f64,
    /// Relists at or below the bound since the process started.
    pub cumulative: f64,
}

/// Relist durations as exported.
#[derive(Debug, Clone, PartialEq)]
pub enum Relists {
    /// Seconds in buckets, ascending, cumulative (Kubernetes 1.14 and newer).
    Histogram {
        /// Buckets by ascending bound, `+Inf` last.
        buckets: Vec<Bucket>,
        /// All relists since the process started.
        count: f64,
    },
    /// A summary in microseconds (Kubernetes 1.16 and older); its window is the kubelet's own.
    Summary {
        /// The 0.99 quantile, microseconds; `NaN` if the kubelet's window is empty.
        p99_us: f64,
        /// All relists since the process started.
        count: f64,
    },
}

impl Relists {
    /// All relists since the process started.
    pub fn count(&self) -> f64 {
        match self {
            Self::Histogram { count, .. } | Self::Summary { count, .. } => *count,
        }
    }

    /// Finite, not negative, buckets ascending and cumulative, `+Inf` last.
    pub(super) fn is_sound(&self) -> bool {
        let count = self.count();
        if !count.is_finite() || count < 0.0 {
            return false;
        }
        match self {
            Self::Summary { .. } => true,
            Self::Histogram { buckets, .. } => {
                let ordered = buckets
                    .iter()
                    .zip(buckets.iter().skip(1))
                    .all(|(low, high)| low.le_s < high.le_s && low.cumulative <= high.cumulative);
                let finite =
                    buckets.iter().all(|b| b.cumulative.is_finite() && b.cumulative >= 0.0);
                ordered && finite && buckets.last().is_some_and(|last| last.le_s == f64::INFINITY)
            }
        }
    }

    /// Whether `newer` cannot continue `self`: something went back, or the form changed.
    pub(super) fn was_reset_by(&self, newer: &Self) -> bool {
        if newer.count() < self.count() {
            return true;
        }
        match (self, newer) {
            (Self::Histogram { buckets: old, .. }, Self::Histogram { buckets: new, .. }) => {
                old.len() != new.len()
                    || old.iter().zip(new).any(|(old, new)| {
                        old.le_s.total_cmp(&new.le_s).is_ne() || new.cumulative < old.cumulative
                    })
            }
            (Self::Summary { .. }, Self::Summary { .. }) => false,
            (Self::Histogram { .. }, Self::Summary { .. })
            | (Self::Summary { .. }, Self::Histogram { .. }) => true,
        }
    }
}

/// The 99th percentile, seconds, of the relists between `older` (`None` = process start) and
/// `newer`, and how many there were. `None` below [`PlegLimits::min_relists`].
///
/// A rank in the `+Inf` bucket gives the largest finite bound, which then means "at least".
pub(super) fn p99_s(older: Option<&Relists>, newer: &Relists, limits: &PlegLimits) -> Option<f64> {
    match newer {
        Relists::Summary { p99_us, count } => {
            let trusted = *count >= limits.min_relists_f64() && p99_us.is_finite();
            trusted.then_some(p99_us * 1e-6)
        }
        Relists::Histogram { buckets, .. } => {
            let deltas = window_deltas(older, buckets);
            let total = deltas.last().map_or(0.0, |last| last.cumulative);
            if total < limits.min_relists_f64() { None } else { quantile(&deltas, 0.99 * total) }
        }
    }
}

/// Relists between `older` and `newer`.
pub(super) fn relists_between(older: Option<&Relists>, newer: &Relists) -> f64 {
    newer.count() - older.map_or(0.0, Relists::count)
}

fn window_deltas(older: Option<&Relists>, buckets: &[Bucket]) -> Vec<Bucket> {
    let zero: &[Bucket] = &[];
    let old = match older {
        Some(Relists::Histogram { buckets, .. }) => buckets.as_slice(),
        Some(Relists::Summary { .. }) | None => zero,
    };
    let old_values = old.iter().map(|b| b.cumulative).chain(std::iter::repeat(0.0));
    buckets
        .iter()
        .zip(old_values)
        .map(|(new, old)| Bucket { le_s: new.le_s, cumulative: new.cumulative - old })
        .collect()
}

fn quantile(deltas: &[Bucket], rank: f64) -> Option<f64> {
    let mut low = Bucket { le_s: 0.0, cumulative: 0.0 };
    for high in deltas {
        if high.cumulative >= rank {
            if high.le_s.is_infinite() {
                return Some(low.le_s);
            }
            let inside = high.cumulative - low.cumulative;
            let share = if inside > 0.0 { (rank - low.cumulative) / inside } else { 1.0 };
            return Some(low.le_s + (high.le_s - low.le_s) * share);
        }
        low = *high;
    }
    None
}
