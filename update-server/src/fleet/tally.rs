//! Counters that follow every change of a row, so that no answer scans the fleet.

use std::collections::{BTreeMap, BTreeSet};

use channels::wire::{Freshness, HealthVerdict, Phase};

use super::row::Row;
use super::{Slot, is_active};

/// Whether a row enters or leaves the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Enter,
    Leave,
}

fn count<K: Ord>(map: &mut BTreeMap<K, u64>, key: K, change: Change) {
    let n = map.entry(key).or_default();
    *n = match change {
        Change::Enter => n.saturating_add(1),
        Change::Leave => n.saturating_sub(1),
    };
}

/// What the active clusters of one graph do: (version number, phase, stopped).
pub(super) type Group = (u32, Phase, bool);

/// Counters of one graph.
#[derive(Debug, Clone, Default)]
pub(super) struct GraphTally {
    /// Active clusters by what they run and do.
    pub(super) groups: BTreeMap<Group, u64>,
    /// Clusters left out because they are silent or gone.
    pub(super) silent: u64,
}

/// Counters of the fleet.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) graphs: BTreeMap<u32, GraphTally>,
    pub(super) freshness: BTreeMap<Freshness, u64>,
    /// Silent or gone clusters whose last word was that a unit is out.
    pub(super) silent_rolling: u64,
    /// Clusters whose key more than one agent uses.
    pub(super) conflicts: u64,
    /// Products that follow another channel than the hub wants.
    pub(super) off_channel: u64,
    /// Active clusters by their worst product.
    pub(super) verdicts: BTreeMap<HealthVerdict, u64>,
    /// Active clusters with a verdict other than healthy.
    pub(super) unhealthy: BTreeSet<Slot>,
    pub(super) unknown: BTreeSet<Slot>,
}

impl Tally {
    /// Counts a row in or out. Callers pass the same row to `Leave` as they passed to `Enter`.
    pub(super) fn change(&mut self, slot: Slot, row: &Row, change: Change) {
        if row.is_retired() {
            return;
        }
        count(&mut self.freshness, row.freshness, change);
        if row.conflict_since().is_some() {
            self.conflicts = match change {
                Change::Enter => self.conflicts.saturating_add(1),
                Change::Leave => self.conflicts.saturating_sub(1),
            };
        }
        let active = is_active(row.freshness);
        for product in &row.products {
            if product.is_off_channel() {
                self.off_channel = match change {
                    Change::Enter => self.off_channel.saturating_add(1),
                    Change::Leave => self.off_channel.saturating_sub(1),
                };
            }
            let graph = self.graphs.entry(product.graph).or_default();
            if active {
                let group = (product.version, product.phase, product.is_stopped());
                count(&mut graph.groups, group, change);
                if graph.groups.get(&group) == Some(&0) {
                    graph.groups.remove(&group);
                }
            } else if change == Change::Enter {
                graph.silent = graph.silent.saturating_add(1);
            } else {
                graph.silent = graph.silent.saturating_sub(1);
            }
        }
        if !active && row.products.iter().any(|p| p.phase.is_rolling()) {
            self.silent_rolling = match change {
                Change::Enter => self.silent_rolling.saturating_add(1),
                Change::Leave => self.silent_rolling.saturating_sub(1),
            };
        }
        if let Some(verdict) = row.verdict().filter(|_| active) {
            count(&mut self.verdicts, verdict, change);
            let set = match verdict {
                HealthVerdict::Healthy => return,
                HealthVerdict::Unhealthy => &mut self.unhealthy,
                HealthVerdict::Unknown => &mut self.unknown,
            };
            match change {
                Change::Enter => set.insert(slot),
                Change::Leave => set.remove(&slot),
            };
        }
    }
}
