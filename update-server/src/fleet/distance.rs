//! Clusters by how far they are from the head, and by whether they are heard of.

use std::collections::{BTreeMap, BTreeSet};

use channels::wire::{Drift, DriftState, Freshness};

use super::query::View;
use super::{FleetIndex, is_active};

/// At least, at most, or both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Between<T> {
    /// Not less than this.
    pub least: Option<T>,
    /// Not more than this.
    pub most: Option<T>,
}

impl<T: Ord + Copy> Between<T> {
    /// Whether a value lies between; what is not known lies between nothing.
    fn holds(&self, value: Option<T>) -> bool {
        let Some(value) = value else { return self.least.is_none() && self.most.is_none() };
        self.least.is_none_or(|least| value >= least) && self.most.is_none_or(|most| value <= most)
    }
}

/// How far from the head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distance {
    /// Of this class.
    pub state: Option<DriftState>,
    /// So many edges away.
    pub hops: Between<u32>,
    /// So many days behind.
    pub age_days: Between<u64>,
}

impl Distance {
    /// Whether it asks for anything.
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// Whether something of this drift is that far away.
    pub fn holds(&self, drift: &Drift) -> bool {
        self.state.is_none_or(|state| state == drift.state)
            && self.hops.holds(drift.hops)
            && self.age_days.holds(drift.age_days)
    }
}

/// Whether a cluster is heard of: the two halves of all figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Fresh or late: in the figures.
    Active,
    /// Silent or gone: counted apart.
    Silent,
}

impl Activity {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Active, Self::Silent];

    /// The value of the parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Silent => "silent",
        }
    }

    /// Whether a cluster of this class is of this half.
    pub fn holds(self, class: Freshness) -> bool {
        match self {
            Self::Active => is_active(class),
            Self::Silent => matches!(class, Freshness::Silent | Freshness::Gone),
        }
    }
}

impl FleetIndex {
    /// Graphs and versions, by number, that are so far from their heads and that any row has.
    pub(super) fn at_distance(
        &self,
        distance: &Distance,
        view: &mut View<'_>,
    ) -> BTreeSet<(u32, u32)> {
        let mut known: BTreeMap<(u32, u32), bool> = BTreeMap::new();
        let mut last = None;
        for product in self.rows.iter().flat_map(|row| &row.products) {
            let here = (product.graph, product.version);
            // Neighbours mostly run the same.
            if last == Some(here) {
                continue;
            }
            last = Some(here);
            known.entry(here).or_insert_with(|| {
                self.names(product).is_some_and(|names| {
                    let key = (names.graph, names.version);
                    distance.holds(&view.memo.get(view.served, here, key, view.now))
                })
            });
        }
        known.into_iter().filter_map(|(here, holds)| holds.then_some(here)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_holds_within_its_bounds_and_never_for_what_is_not_known() {
        let far = Drift {
            state: DriftState::Behind,
            hops: Some(3),
            age_days: Some(40),
            ..Drift::no_graph()
        };
        let hops = |least, most| Distance { hops: Between { least, most }, ..Distance::default() };
        for (distance, holds) in [
            (Distance::default(), true),
            (hops(Some(3), Some(3)), true),
            (hops(Some(4), None), false),
            (hops(None, Some(2)), false),
            (Distance { state: Some(DriftState::Current), ..Distance::default() }, false),
            (
                Distance {
                    age_days: Between { least: Some(31), most: None },
                    ..Distance::default()
                },
                true,
            ),
        ] {
            assert_eq!(distance.holds(&far), holds, "{distance:?}");
        }
        assert!(!hops(Some(0), None).holds(&Drift::no_graph()));
        assert!(Distance::default().is_any() && !hops(Some(0), None).is_any());
    }

    #[test]
    fn who_never_reported_is_in_neither_half() {
        for class in [Freshness::Fresh, Freshness::Late] {
            assert!(Activity::Active.holds(class) && !Activity::Silent.holds(class));
        }
        for class in [Freshness::Silent, Freshness::Gone] {
            assert!(!Activity::Active.holds(class) && Activity::Silent.holds(class));
        }
        for class in [Freshness::Never, Freshness::Carried, Freshness::Unknown] {
            assert!(Activity::ALL.iter().all(|half| !half.holds(class)));
        }
    }
}
