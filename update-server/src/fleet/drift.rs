//! Drift by (graph, version), computed once per publication instead of once per cluster.

use std::collections::BTreeMap;

use channels::version::ReleaseVersion;
use channels::wire::Drift;
use jiff::{SignedDuration, Timestamp};

use super::GraphKey;
use crate::served::Served;

/// `age_days` moves by itself; ten minutes late is nothing to a count of days.
const VALID_FOR: SignedDuration = SignedDuration::from_mins(10);
/// Answers kept by name; sites that are imported again and again must not fill the memory.
const MAX_NAMED: usize = 10_000;

/// Answers of [`Served::drift`], kept while they hold.
#[derive(Debug, Default)]
pub struct DriftMemo {
    generation: u64,
    made_at: Option<Timestamp>,
    known: BTreeMap<(u32, u32), Drift>,
    /// By name, for versions of dark sites, which the index has no numbers for.
    named: BTreeMap<(GraphKey, ReleaseVersion), Drift>,
}

impl DriftMemo {
    /// Drops every answer that a publication or time has made old.
    pub fn refresh(&mut self, generation: u64, now: Timestamp) {
        let old = self.made_at.is_none_or(|at| now.duration_since(at).abs() > VALID_FOR);
        if old || generation != self.generation {
            self.known.clear();
            self.named.clear();
            self.generation = generation;
            self.made_at = Some(now);
        }
    }

    /// Drops every answer, because the numbers they are kept by have changed.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// The drift of one interned (graph, version).
    pub(super) fn get(
        &mut self,
        served: &dyn Served,
        numbers: (u32, u32),
        (graph, version): (&GraphKey, &ReleaseVersion),
        now: Timestamp,
    ) -> Drift {
        self.known.entry(numbers).or_insert_with(|| served.drift(graph, version, now)).clone()
    }

    /// The drift of a (graph, version) that has no numbers.
    pub(crate) fn get_named(
        &mut self,
        served: &dyn Served,
        graph: &GraphKey,
        version: &ReleaseVersion,
        now: Timestamp,
    ) -> Drift {
        if self.named.len() >= MAX_NAMED {
            self.named.clear();
        }
        let key = (graph.clone(), version.clone());
        self.named.entry(key).or_insert_with(|| served.drift(graph, version, now)).clone()
    }
}
