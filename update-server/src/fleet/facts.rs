//! The index as the rollout planner looks at it: one pass over the rows, numbers for shared values.

use channels::rollout::Labels;
use channels::version::ReleaseVersion;

use super::{FleetIndex, GraphKey, Slot};
use crate::rollout::{Fact, Fleet};

impl Fleet for FleetIndex {
    fn each(&self, visit: &mut dyn FnMut(Fact)) {
        for (number, row) in (0..).zip(&self.rows) {
            if row.is_retired() {
                continue;
            }
            for product in &row.products {
                visit(Fact {
                    slot: Slot(number),
                    cluster: row.id,
                    labels: row.labels,
                    graph: product.graph,
                    version: product.version,
                    last_seen: row.last_seen.get(),
                });
            }
        }
    }

    fn graph(&self, number: u32) -> Option<&GraphKey> {
        self.graphs.value(number)
    }

    fn version(&self, number: u32) -> Option<&ReleaseVersion> {
        self.versions.value(number)
    }

    fn label_set(&self, number: u32) -> Option<&Labels> {
        let index = usize::try_from(number).ok()?;
        self.label_sets().get(index).map(AsRef::as_ref)
    }

    fn interval_s(&self) -> u64 {
        Self::interval_s(self)
    }
}

impl FleetIndex {
    /// The labels of every cluster in force, one entry each.
    pub fn labels_in_force(&self) -> Vec<Labels> {
        let rows = self.rows.iter().filter(|row| !row.is_retired());
        rows.map(|row| Labels::clone(&self.labels.get(row.labels))).collect()
    }
}
