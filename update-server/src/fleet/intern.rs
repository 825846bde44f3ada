//! Values that a million rows share, kept once and named by a number.

use std::collections::BTreeMap;

/// Numbers for values, in the order of their first use. It forgets one only when told, so its owner
/// bounds how many there may be.
#[derive(Debug, Clone)]
pub(super) struct Interner<T> {
    values: Vec<T>,
    numbers: BTreeMap<T, u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Interner<T> {
    /// The value's number, new if it has none.
    pub(super) fn intern(&mut self, value: &T) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.numbers.insert(value.clone(), number);
        number
    }

    /// The number of a value seen before.
    pub(super) fn number(&self, value: &T) -> Option<u32> {
        self.numbers.get(value).copied()
    }

    /// The value of a number.
    pub(super) fn value(&self, number: u32) -> Option<&T> {
        self.values.get(usize::try_from(number).ok()?)
    }

    /// All values with their numbers, in the order of the values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&T, u32)> {
        self.numbers.iter().map(|(value, number)| (value, *number))
    }

    /// Forgets every value whose number is not marked in `used`. Returns the new number by old one;
    /// forgotten ones have none.
    pub(super) fn retain(&mut self, used: &[bool]) -> Vec<Option<u32>> {
        let old = std::mem::take(self);
        let marks = used.iter().copied().chain(std::iter::repeat(false));
        old.values.iter().zip(marks).map(|(value, used)| used.then(|| self.intern(value))).collect()
    }

    /// All values, each at its number.
    pub(super) fn values(&self) -> &[T] {
        &self.values
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}
