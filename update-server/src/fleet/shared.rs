//! Labels and settings that clusters share, each kept once: a million clusters have a few hundred.
//!
//! A policy's rings and a selector are worked out once per label set instead of once per cluster.

use std::sync::Arc;

use channels::rollout::Labels;
use channels::wire::ProductSettings;

use super::intern::Interner;
use super::{FleetIndex, Slot};

/// Distinct label sets, and distinct settings, that the index takes. They say what clusters have in
/// common; a fleet in which each one has its own is a mistake, found here instead of in the memory.
pub const MAX_SHARED: usize = 100_000;
/// Up to so many nothing is forgotten: finding out what is in use is a pass over all rows.
const FORGET_ABOVE: usize = MAX_SHARED / 2;
/// Of the known sets at least one in so many must be unused, or renumbering the rows does not pay.
const WORTH_ONE_IN: usize = 4;

/// Values by number; 0 is the empty one.
#[derive(Debug)]
pub(super) struct Shared<T> {
    values: Interner<Arc<T>>,
    epoch: u64,
}

impl<T: Ord + Default> Default for Shared<T> {
    fn default() -> Self {
        let mut values = Interner::default();
        values.intern(&Arc::default());
        Self { values, epoch: 0 }
    }
}

impl<T: Ord + Default> Shared<T> {
    /// The value's number, new if it has none.
    pub(super) fn intern(&mut self, value: &Arc<T>) -> u32 {
        self.values.intern(value)
    }

    /// The value of a number that a row has.
    pub(super) fn get(&self, number: u32) -> Arc<T> {
        self.values.value(number).cloned().unwrap_or_default()
    }

    fn has_room_for(&self, value: &Arc<T>, others: usize) -> bool {
        let known = self.values.len().saturating_add(others);
        known < MAX_SHARED || self.values.number(value).is_some()
    }

    /// Forgets values that no number in `used` names, if there are many of them. Returns the new
    /// number by old one, if any changed.
    fn forget(&mut self, numbers: impl Iterator<Item = u32>) -> Option<Vec<Option<u32>>> {
        let known = self.values.len();
        if known <= FORGET_ABOVE {
            return None;
        }
        let mut used = vec![false; known];
        for number in numbers.chain([0]).filter_map(|number| usize::try_from(number).ok()) {
            if let Some(used) = used.get_mut(number) {
                *used = true;
            }
        }
        let unused = used.iter().filter(|used| !**used).count();
        if unused * WORTH_ONE_IN < known {
            return None;
        }
        self.epoch = self.epoch.saturating_add(1);
        Some(self.values.retain(&used))
    }
}

/// Whether a number is marked.
pub(super) fn is_marked(marks: &[bool], number: u32) -> bool {
    usize::try_from(number).is_ok_and(|number| marks.get(number) == Some(&true))
}

fn renumbered(moved: &[Option<u32>], number: u32) -> u32 {
    let number = usize::try_from(number).ok().and_then(|number| moved.get(number).copied());
    number.flatten().unwrap_or_default()
}

impl FleetIndex {
    /// Every label set that a cluster has or lately had; [`FleetIndex::labels_number`] counts in it.
    /// It only grows, until [`FleetIndex::labels_epoch`] changes.
    pub fn label_sets(&self) -> &[Arc<Labels>] {
        self.labels.values.values()
    }

    /// Changes whenever label sets get other numbers: whatever was kept by number is void then.
    pub fn labels_epoch(&self) -> u64 {
        self.labels.epoch
    }

    /// The number of a row's label set.
    pub fn labels_number(&self, slot: Slot) -> Option<u32> {
        self.rows.get(slot.index()).map(|row| row.labels)
    }

    /// Whether the index may take this set besides `others` new ones; checked before it is written.
    pub fn has_room_for_labels(&self, labels: &Arc<Labels>, others: usize) -> bool {
        self.labels.has_room_for(labels, others)
    }

    /// Whether the index may take these settings besides `others` new ones.
    pub fn has_room_for_settings(
        &self,
        settings: &Arc<Vec<ProductSettings>>,
        others: usize,
    ) -> bool {
        self.settings.has_room_for(settings, others)
    }

    /// Forgets sets that no cluster has any more, if there are many.
    pub(super) fn forget_unused_shared(&mut self) {
        if let Some(moved) = self.labels.forget(self.rows.iter().map(|row| row.labels)) {
            self.rows.iter_mut().for_each(|row| row.labels = renumbered(&moved, row.labels));
        }
        if let Some(moved) = self.settings.forget(self.rows.iter().map(|row| row.settings)) {
            self.rows.iter_mut().for_each(|row| row.settings = renumbered(&moved, row.settings));
        }
    }
}
