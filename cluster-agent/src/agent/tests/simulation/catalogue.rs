//! What vendors have published: releases, the edges between them, risks, and what becomes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use channels::names::ProductRef;
use channels::wire::{ArchContent, Component, Finalize, Role};

use super::super::world::{graph, knowledge, product, release};
use super::shape::{KAFKA, PLATFORM, PRODUCTS, SHOP};
use crate::plan::{Knowledge, Known, Severity, Trouble};

/// One product's releases.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    versions: [&'static str; 3],
    roles: &'static [Role],
    /// How many releases are published.
    published: usize,
    /// Edges by index of release.
    pub(super) edges: BTreeSet<(usize, usize)>,
    /// Edges with a risk that nobody accepted.
    pub(super) risky: BTreeSet<(usize, usize)>,
    finalizes: bool,
}

/// Everything published, and whether it can be fetched and verified.
#[derive(Debug, Clone)]
pub(super) struct Catalogue {
    pub(super) shelves: BTreeMap<ProductRef, Shelf>,
    /// Nothing verifies at the moment.
    pub(super) tampered: bool,
}

impl Catalogue {
    /// One newer release of each product.
    pub(super) fn new(finalizes: bool) -> Self {
        let shelf = |versions, roles, finalizes| Shelf {
            versions,
            roles,
            published: 2,
            edges: BTreeSet::from([(0, 1)]),
            risky: BTreeSet::new(),
            finalizes,
        };
        let mut kafka =
            shelf(["3.9.0", "4.0.0", "4.0.1"], &[Role::Controller, Role::Broker], finalizes);
        kafka.edges.insert((1, 0));
        let platform = shelf(["1.32.0", "1.33.0", "1.33.1"], &[Role::Node], false);
        let shop = shelf(["1.0.0", "1.1.0", "1.1.1"], &[Role::Workload], false);
        let all = [(KAFKA, kafka), (PLATFORM, platform), (SHOP, shop)];
        let shelves = all.map(|(name, shelf)| (product(name), shelf)).into();
        Self { shelves, tampered: false }
    }

    pub(super) fn shelf(&mut self, index: u64) -> &mut Shelf {
        let name = PRODUCTS[usize::try_from(index).unwrap() % PRODUCTS.len()];
        self.shelves.get_mut(&product(name)).unwrap()
    }

    /// As an agent knows it that has fetched everything.
    pub(super) fn known(&self) -> Known {
        let all = self.shelves.iter();
        all.map(|(name, shelf)| {
            let mut knowledge = shelf.knowledge(name);
            if self.tampered {
                knowledge.failure = Some(Trouble {
                    failure: channels::wire::Failure {
                        kind: "bad_signature".to_owned(),
                        message: "the signature does not verify".to_owned(),
                        at: jiff::Timestamp::UNIX_EPOCH,
                    },
                    severity: Severity::Refused,
                });
            }
            (name.clone(), knowledge)
        })
        .collect()
    }

    /// Whether a vendor offers the move at this moment, with no risk left open.
    pub(super) fn offers(&self, name: &ProductRef, from: &str, to: &str) -> bool {
        let shelf = &self.shelves[name];
        let index = |text: &str| shelf.versions.iter().position(|version| *version == text);
        let (Some(from), Some(to)) = (index(from), index(to)) else { return false };
        !self.tampered && shelf.edges.contains(&(from, to)) && !shelf.risky.contains(&(from, to))
    }
}

impl Shelf {
    pub(super) fn newest(&self) -> &'static str {
        self.versions[self.published - 1]
    }

    /// Publishes the third release: reachable from everywhere, or from the second only.
    pub(super) fn publish(&mut self, from_everywhere: bool) {
        self.published = 3;
        self.edges.insert((1, 2));
        if from_everywhere {
            self.edges.insert((0, 2));
        }
    }

    /// Everything is offered again, without risks.
    pub(super) fn mend(&mut self) {
        self.edges.insert((0, 1));
        self.risky.clear();
        if self.published == 3 {
            self.edges.insert((1, 2));
        }
    }

    fn knowledge(&self, name: &ProductRef) -> Knowledge {
        let plain: Vec<_> = self.edges.difference(&self.risky).copied().collect();
        let risky: Vec<_> = self.risky.intersection(&self.edges).copied().collect();
        let graph = graph(&self.versions[..self.published], &plain, &risky);
        let releases = (0..self.published).map(|index| {
            let mut made =
                release(&name.to_string(), self.versions[index], self.roles[0], &[">=0.0.1"]);
            let document = Arc::make_mut(&mut made.document);
            document.downgrade_from = vec!["*".parse().unwrap()];
            if self.finalizes && index > 0 {
                let summary = "raises metadata.version".to_owned();
                document.finalize = Some(Finalize { summary, level: "4.0".to_owned() });
            }
            for content in document.arches.values_mut() {
                *content = self.content(content);
            }
            made
        });
        knowledge(graph, releases.collect())
    }

    fn content(&self, content: &ArchContent) -> ArchContent {
        let first = &content.components[0];
        let one = |role: &Role| Component { role: *role, ..first.clone() };
        ArchContent {
            payload: content.payload.clone(),
            components: self.roles.iter().map(one).collect(),
        }
    }
}
