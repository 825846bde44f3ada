//! What came of the requests of one kind.

use std::collections::BTreeMap;
use std::time::Duration;

/// Latencies and outcomes of one kind of request.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    latencies_us: Vec<u32>,
    others: BTreeMap<String, u64>,
}

impl Tally {
    /// One that was answered as it should be.
    pub(super) fn good(&mut self, latency: Duration) {
        self.latencies_us.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    /// One that was not.
    pub(super) fn other(&mut self, kind: String) {
        *self.others.entry(kind).or_default() += 1;
    }

    /// How many were answered as they should be.
    pub(super) fn count(&self) -> usize {
        self.latencies_us.len()
    }

    /// Refusals and failures by kind.
    pub(super) fn others(&self) -> &BTreeMap<String, u64> {
        &self.others
    }

    /// Latencies in milliseconds: the median, 99 and 99.9 of a hundred, the longest.
    pub(super) fn percentiles_ms(&mut self) -> [f64; 4] {
        self.latencies_us.sort_unstable();
        let sorted = &self.latencies_us;
        let at = |per_mille: usize| {
            let index = (sorted.len() * per_mille / 1000).min(sorted.len().saturating_sub(1));
            sorted.get(index).map_or(0.0, |us| f64::from(*us) / 1000.0)
        };
        [at(500), at(990), at(999), at(1000)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_counted() {
        let mut tally = Tally::default();
        assert_eq!(tally.percentiles_ms().map(f64::to_bits), [0.0; 4].map(f64::to_bits));
        for ms in (1..=1000).rev() {
            tally.good(Duration::from_millis(ms));
        }
        let found = tally.percentiles_ms().map(|ms| ms.round().to_string());
        assert_eq!(found, ["501", "991", "1000", "1000"]);
    }

    #[test]
    fn refusals_are_counted_by_kind() {
        let mut tally = Tally::default();
        tally.other("queue_full".to_owned());
        tally.other("queue_full".to_owned());
        assert_eq!(tally.others().get("queue_full"), Some(&2));
        assert_eq!(tally.count(), 0);
    }
}
