//! What one round says: values of every series there is, and the mark of those that have gone.
//!
//! A cluster that is silent, gone or retired is not repeated: its series end, because a number that
//! nobody reports any more proves nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::clusters::{Series, Told, Words};
use super::config::RemoteWriteSettings;
use super::page::{self, Labels};
use super::write::{STALE, Sample};
use crate::fleet::{ClusterRecord, Slot, freshness, is_active};

/// What was said last, and of whom.
#[derive(Debug, Default)]
pub(super) struct Said {
    page: BTreeSet<Labels>,
    clusters: BTreeMap<Slot, Told>,
    words: Words,
}

/// Whose samples a round makes, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round<'s> {
    pub(super) settings: &'s RemoteWriteSettings,
    pub(super) report_interval_s: u64,
    pub(super) now: Timestamp,
}

impl Round<'_> {
    fn sample(&self, labels: Vec<(String, String)>, bits: u64) -> Sample {
        // A mark goes just before the values of its round, so that a series that comes back under
        // the same labels in the same round begins after its end.
        let at_ms = self.now.as_millisecond() - i64::from(bits == STALE);
        let constant = self.settings.labels.iter();
        let constant = constant.map(|(name, value)| (name.clone(), value.clone()));
        Sample { labels: labels.into_iter().chain(constant).collect(), bits, at_ms }
    }

    fn of_series(&self, (labels, bits): Series) -> Sample {
        let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value));
        self.sample(labels.collect(), bits)
    }

    fn is_heard(&self, record: &ClusterRecord) -> bool {
        let class = freshness(record.last_seen, self.report_interval_s, self.now);
        record.retired_at.is_none() && is_active(class)
    }
}

impl Said {
    /// Samples of the hub's own page.
    pub(super) fn page(&mut self, round: &Round<'_>, text: &str) -> Vec<Sample> {
        let found = page::series(text, &round.settings.series);
        let gone = self.page.iter().filter(|labels| !found.contains_key(*labels));
        let gone = gone.map(|labels| round.sample(pairs(labels), STALE));
        let mut samples: Vec<Sample> = gone.collect();
        samples.extend(found.iter().map(|(labels, bits)| round.sample(pairs(labels), *bits)));
        self.page = found.into_keys().collect();
        samples
    }

    /// Samples of one cluster; of none that the index does not have.
    pub(super) fn cluster(
        &mut self,
        round: &Round<'_>,
        slot: Slot,
        record: Option<&ClusterRecord>,
    ) -> Vec<Sample> {
        let heard = record.filter(|record| round.is_heard(record));
        let now = heard.map(|record| Told::of(record, &mut self.words));
        let before = match &now {
            Some(told) => self.clusters.insert(slot, told.clone()),
            None => self.clusters.remove(&slot),
        };
        let allowed = &round.settings.series;
        let values = now.map(|told| told.series(allowed)).unwrap_or_default();
        let old = before.map(|told| told.series(allowed)).unwrap_or_default();
        let kept: BTreeSet<&Vec<_>> = values.iter().map(|(labels, _)| labels).collect();
        let gone = old.into_iter().filter(|(labels, _)| !kept.contains(labels));
        let mut samples: Vec<Sample> =
            gone.map(|(labels, _)| round.of_series((labels, STALE))).collect();
        samples.extend(values.into_iter().map(|series| round.of_series(series)));
        samples
    }

    /// Ends a round.
    pub(super) fn sweep(&mut self) {
        self.words.sweep();
    }
}

fn pairs(labels: &Labels) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
