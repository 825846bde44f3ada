//! How many partitions sit at `min.insync.replicas` for good (replication factor = minimum ISR).

use channels::health::elapsed_ms;
use jiff::Timestamp;

use super::BrokerView;

/// A count that grew must stand this long, with nothing under-replicated, before it is the new
/// baseline: new topics raise it for good, a shrinking ISR only for a while.
const STANDS_MS: u64 = 60_000;

/// The baseline of one product.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Baseline {
    value: Option<u64>,
    higher: Option<(u64, Timestamp)>,
}

impl Baseline {
    /// The baseline, once all brokers were seen with nothing under-replicated.
    pub(super) fn value(&self) -> Option<u64> {
        self.value
    }

    /// Adds what all brokers say at `now`; one that cannot be read leaves the baseline alone.
    pub(super) fn note<'a>(
        &mut self,
        brokers: impl Iterator<Item = Option<&'a BrokerView>>,
        now: Timestamp,
    ) {
        let figures = brokers.map(|broker| {
            let broker = broker?;
            Some((broker.under_replicated?, broker.at_min_isr?))
        });
        let sum = figures.reduce(|sum, broker| {
            let (sum, broker) = (sum?, broker?);
            Some((sum.0.saturating_add(broker.0), sum.1.saturating_add(broker.1)))
        });
        let Some(Some((0, at))) = sum else {
            self.higher = None;
            return;
        };
        if self.value.is_none_or(|known| at <= known) {
            *self = Self { value: Some(at), higher: None };
            return;
        }
        let since = match self.higher {
            Some((value, since)) if value == at => since,
            Some(_) | None => now,
        };
        self.higher = Some((at, since));
        if elapsed_ms(since, now) >= STANDS_MS {
            *self = Self { value: Some(at), higher: None };
        }
    }
}
