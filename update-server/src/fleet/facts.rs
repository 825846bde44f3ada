//! The index as the rollout planner looks at it: one pass over the rows, numbers for shared values.

use std::collections::BTreeSet;

use channels::rollout::{Labels, Policy};
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
    /// Labels of the clusters in force that a policy is for, one entry each, up to `most`; and how
    /// many clusters those are in all.
    pub fn labels_under(&self, policy: &Policy, most: usize) -> (Vec<Labels>, u32) {
        let is_its: BTreeSet<u32> = self
            .graphs
            .iter()
            .filter(|(graph, _)| policy.applies_to(&graph.product, &graph.channel))
            .map(|(_, number)| number)
            .collect();
        let (mut listed, mut count) = (Vec::new(), 0_u32);
        for row in self.rows.iter().filter(|row| !row.is_retired()) {
            if row.products.iter().any(|product| is_its.contains(&product.graph)) {
                count = count.saturating_add(1);
                if listed.len() < most {
                    listed.push(Labels::clone(&self.labels.get(row.labels)));
                }
            }
        }
        (listed, count)
    }
}
