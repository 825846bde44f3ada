//! How many names (graphs and versions) the index takes, and which it forgets.
//!
//! Reports bring names, so a hostile cluster can invent them. It must never keep an honest report
//! out: what is served is always taken, and what no row has any more is forgotten.

use channels::version::ReleaseVersion;

use super::intern::Interner;
use super::row::NO_VERSION;
use super::tally::{Change, Tally};
use super::{FleetIndex, GraphKey, ProductRecord, Slot};
use crate::served::Served;

/// Distinct graphs and versions the index will hold. Real fleets have thousands; the bound keeps
/// a hostile cluster that invents names from filling the memory. Names that are served come on top:
/// publishers bound those.
pub(super) const MAX_DISTINCT: usize = 100_000;
/// Up to so many nothing is forgotten: finding out what is in use is a pass over all rows.
const FORGET_ABOVE: usize = MAX_DISTINCT / 2;
/// Of the known names at least one in so many must be unused, or the second pass does not pay.
const WORTH_ONE_IN: usize = 4;

impl FleetIndex {
    /// Whether the index may take the names a record brings; checked before it is written.
    pub fn has_room_for(&self, products: &[ProductRecord], served: &dyn Served) -> bool {
        let new_graph = |p: &&ProductRecord| {
            self.graphs.number(&p.graph).is_none() && !served.has_graph(&p.graph)
        };
        let new_version = |graph: &GraphKey, version: &ReleaseVersion| {
            self.versions.number(version).is_none() && !served.has_version(graph, version)
        };
        let graphs = products.iter().filter(new_graph).count();
        let versions = products
            .iter()
            .flat_map(|p| std::iter::once(&p.version).chain(&p.target).map(|v| (&p.graph, v)))
            .filter(|(graph, version)| new_version(graph, version))
            .count();
        let fits = |known: usize, new: usize| new == 0 || known + new <= MAX_DISTINCT;
        fits(self.graphs.len(), graphs) && fits(self.versions.len(), versions)
    }

    /// Forgets names that no row has any more, if there are many. Says whether numbers changed:
    /// whatever was kept by number is void then.
    pub(super) fn forget_unused_names(&mut self) -> bool {
        if self.graphs.len().max(self.versions.len()) <= FORGET_ABOVE {
            return false;
        }
        let mut graphs = vec![false; self.graphs.len()];
        let mut versions = vec![false; self.versions.len()];
        for product in self.rows.iter().flat_map(|row| &row.products) {
            mark(&mut graphs, product.graph);
            mark(&mut versions, product.version);
            mark(&mut versions, product.target);
        }
        if !is_worth_it(&graphs) && !is_worth_it(&versions) {
            return false;
        }
        let graphs = renumber(&mut self.graphs, &graphs);
        let versions = renumber(&mut self.versions, &versions);
        self.tally = Tally::default();
        for (number, row) in (0..).zip(&mut self.rows) {
            for product in &mut row.products {
                product.graph = graphs(product.graph);
                product.version = versions(product.version);
                product.target = versions(product.target);
            }
            self.tally.change(Slot(number), row, Change::Enter);
        }
        true
    }
}

fn mark(used: &mut [bool], number: u32) {
    if let Some(used) = usize::try_from(number).ok().and_then(|number| used.get_mut(number)) {
        *used = true;
    }
}

fn is_worth_it(used: &[bool]) -> bool {
    let unused = used.iter().filter(|used| !**used).count();
    used.len() > FORGET_ABOVE && unused * WORTH_ONE_IN >= used.len()
}

/// Forgets the unused ones; the answer maps old numbers to the ones they have from here on.
fn renumber<T: Ord + Clone>(
    names: &mut Interner<T>,
    used: &[bool],
) -> impl Fn(u32) -> u32 + use<T> {
    let moved = names.retain(used);
    // Rows have no unused numbers; the mark for "no version" stays what it is.
    move |old| {
        let known = usize::try_from(old).ok().and_then(|old| moved.get(old).copied());
        known.flatten().unwrap_or(NO_VERSION)
    }
}
