//! From a name, an id or a key to its row: nine bytes per entry, where a tree of the keys themselves
//! takes fifty and three times as long.
//!
//! The keys are in the rows; the table has their hashes and asks. Its order is never seen.

use std::hash::{BuildHasher as _, Hash, RandomState};

use hashbrown::HashTable;

use super::Slot;
use super::row::Row;

/// Rows by a key that they hold.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// Seeded by chance: names are chosen by those who enrol.
    hasher: RandomState,
    entries: HashTable<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    slot: u32,
}

/// The table takes its place from the low bits and its tag from the high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Lookup {
    fn hash(&self, key: &(impl Hash + ?Sized)) -> u32 {
        let [a, b, c, d, ..] = self.hasher.hash_one(key).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// The row of a key; `is` says whether a row has it.
    pub(super) fn get(
        &self,
        key: &(impl Hash + ?Sized),
        is: impl Fn(Slot) -> bool,
    ) -> Option<Slot> {
        let hash = self.hash(key);
        self.entries
            .find(spread(hash), |entry| entry.hash == hash && is(Slot(entry.slot)))
            .map(|entry| Slot(entry.slot))
    }

    /// Adds the row to a key's; twice is once.
    pub(super) fn insert(&mut self, key: &(impl Hash + ?Sized), slot: Slot) {
        let entry = Entry { hash: self.hash(key), slot: slot.0 };
        let same = |other: &Entry| (other.hash, other.slot) == (entry.hash, entry.slot);
        if self.entries.find(spread(entry.hash), same).is_none() {
            self.entries.insert_unique(spread(entry.hash), entry, |entry| spread(entry.hash));
        }
    }

    /// Takes the row from a key's.
    pub(super) fn remove(&mut self, key: &(impl Hash + ?Sized), slot: Slot) {
        let hash = self.hash(key);
        let same = |other: &Entry| (other.hash, other.slot) == (hash, slot.0);
        if let Ok(found) = self.entries.find_entry(spread(hash), same) {
            found.remove();
        }
    }
}

/// Every way that leads to a row.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// By id.
    pub(super) id: Lookup,
    /// By key id: of keys in force, and of those before them.
    pub(super) key: Lookup,
    /// By name, of clusters in force.
    pub(super) name: Lookup,
}

impl Ways {
    /// A row is what it was not: hardly ever does a way change with it.
    pub(super) fn moved(&mut self, slot: Slot, old: Option<&Row>, new: &Row) {
        if let Some(old) = old {
            if !old.is_retired() && (new.is_retired() || old.name() != new.name()) {
                self.name.remove(old.name(), slot);
            }
            for key in old.ended().map(|ended| ended.key).chain([old.key]) {
                if !new.has_key(&key.id) {
                    self.key.remove(key.id.as_bytes(), slot);
                }
            }
        }
        if old.is_none_or(|old| old.id != new.id) {
            self.id.insert(&new.id.0, slot);
        }
        for key in new.ended().map(|ended| ended.key).chain([new.key]) {
            if old.is_none_or(|old| !old.has_key(&key.id)) {
                self.key.insert(key.id.as_bytes(), slot);
            }
        }
        let was_named = |old: &Row| !old.is_retired() && old.name() == new.name();
        if !new.is_retired() && !old.is_some_and(was_named) {
            self.name.insert(new.name(), slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_to_the_row_that_has_it() {
        let names: Vec<String> = (0..5000).map(|n| format!("name-{n}")).collect();
        let mut lookup = Lookup::default();
        for (slot, name) in (0..).zip(&names) {
            lookup.insert(name, Slot(slot));
            lookup.insert(name, Slot(slot));
        }
        let find = |lookup: &Lookup, name: &str| {
            lookup.get(name, |slot| names.get(slot.index()).is_some_and(|n| n == name))
        };
        for (slot, name) in (0..).zip(&names) {
            assert_eq!(find(&lookup, name), Some(Slot(slot)));
        }
        assert_eq!(find(&lookup, "nobody"), None);
        lookup.remove("name-7", Slot(7));
        lookup.remove("name-8", Slot(7));
        assert_eq!(find(&lookup, "name-7"), None);
        assert_eq!(find(&lookup, "name-8"), Some(Slot(8)), "another row's entry stays");
    }
}
