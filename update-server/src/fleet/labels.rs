//! Label sets of the fleet, each kept once: a million clusters share a few hundred.
//!
//! A policy's rings and a selector are worked out once per set instead of once per cluster.

use std::sync::Arc;

use channels::rollout::Labels;

use super::FleetIndex;
use super::intern::Interner;

/// Distinct label sets the index takes. Labels say what clusters have in common; a fleet in which
/// each one has its own set is a mistake, found here instead of in the memory.
pub const MAX_LABEL_SETS: usize = 100_000;
/// Up to so many nothing is forgotten: finding out what is in use is a pass over all rows.
const FORGET_ABOVE: usize = MAX_LABEL_SETS / 2;
/// Of the known sets at least one in so many must be unused, or renumbering the rows does not pay.
const WORTH_ONE_IN: usize = 4;

/// The sets by number; 0 is the empty one.
#[derive(Debug)]
pub(super) struct LabelSets {
    sets: Interner<Arc<Labels>>,
    epoch: u64,
}

impl Default for LabelSets {
    fn default() -> Self {
        let mut sets = Interner::default();
        sets.intern(&Arc::default());
        Self { sets, epoch: 0 }
    }
}

impl LabelSets {
    /// The set's number, new if it has none.
    pub(super) fn intern(&mut self, labels: &Arc<Labels>) -> u32 {
        self.sets.intern(labels)
    }

    /// The set of a number that a row has.
    pub(super) fn get(&self, number: u32) -> Arc<Labels> {
        self.sets.value(number).cloned().unwrap_or_default()
    }
}

/// Whether a number is marked.
pub(super) fn is_marked(marks: &[bool], number: u32) -> bool {
    usize::try_from(number).is_ok_and(|number| marks.get(number) == Some(&true))
}

impl FleetIndex {
    /// Every label set that a cluster has or lately had; [`FleetIndex::labels_number`] counts in it.
    /// It only grows, until [`FleetIndex::labels_epoch`] changes.
    pub fn label_sets(&self) -> &[Arc<Labels>] {
        self.labels.sets.values()
    }

    /// Changes whenever label sets get other numbers: whatever was kept by number is void then.
    pub fn labels_epoch(&self) -> u64 {
        self.labels.epoch
    }

    /// The number of a row's label set.
    pub fn labels_number(&self, slot: super::Slot) -> Option<u32> {
        self.rows.get(slot.index()).map(|row| row.labels)
    }

    /// Whether the index may take this set besides `others` new ones; checked before it is written.
    pub fn has_room_for_labels(&self, labels: &Arc<Labels>, others: usize) -> bool {
        let known = self.labels.sets.len().saturating_add(others);
        known < MAX_LABEL_SETS || self.labels.sets.number(labels).is_some()
    }

    /// Forgets sets that no cluster has any more, if there are many.
    pub(super) fn forget_unused_labels(&mut self) {
        let known = self.labels.sets.len();
        if known <= FORGET_ABOVE {
            return;
        }
        let mut used = vec![false; known];
        let numbers = self.rows.iter().map(|row| row.labels).chain([0]);
        for number in numbers.filter_map(|number| usize::try_from(number).ok()) {
            if let Some(used) = used.get_mut(number) {
                *used = true;
            }
        }
        let unused = used.iter().filter(|used| !**used).count();
        if unused * WORTH_ONE_IN < known {
            return;
        }
        let moved = self.labels.sets.retain(&used);
        for row in &mut self.rows {
            let number = usize::try_from(row.labels).ok().and_then(|n| moved.get(n).copied());
            row.labels = number.flatten().unwrap_or_default();
        }
        self.labels.epoch = self.labels.epoch.saturating_add(1);
    }
}
