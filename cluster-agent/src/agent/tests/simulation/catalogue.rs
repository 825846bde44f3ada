//! What vendors have published: releases, the edges between them, risks, and what becomes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use channels::graph::{Graph, GraphBuilder, MatchingRule, Node, Risk};
use channels::names::{Arch, ProductRef};
use channels::version::Requirement;
use channels::wire::{
    ArchContent, Component, Dependency, Failure, Finalize, ReleaseDocument, Role,
};

use super::super::world::{knowledge, product, release, version};
use super::shape::{KAFKA, PLATFORM, PRODUCTS, SHOP, Shape};
use crate::plan::{Knowledge, Known, Severity, Trouble};

/// What the cluster's Prometheus is asked about a risk.
pub(super) const QUESTION: &str = "count(slow_starts) > bool 0";

/// What closes an edge with a risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RiskKind {
    /// Every cluster is exposed.
    Always,
    /// Prometheus must be asked.
    Asked,
}

/// Why a release that the graph offers is not for this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It has nothing for its architecture.
    Arch,
    /// It needs a product that the cluster does not have.
    Needs,
    /// Its document cannot be fetched.
    Unfetched,
    /// Its document lists no running release.
    Unlisted,
    /// It has nothing for any role here.
    Roles,
}

impl Unfit {
    pub(super) const ALL: [Self; 5] =
        [Self::Arch, Self::Needs, Self::Unfetched, Self::Unlisted, Self::Roles];
}

/// Levels that releases are finalized to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Levels {
    None,
    /// All share one.
    One,
    /// Each has its own.
    Own,
}

/// One product's releases.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    versions: [&'static str; 3],
    /// A release that is offered at times, and never for this cluster.
    beyond: &'static str,
    pub(super) unfit: Option<Unfit>,
    roles: &'static [Role],
    /// How many releases are published.
    published: usize,
    /// Edges by index of release.
    pub(super) edges: BTreeSet<(usize, usize)>,
    /// Edges with a risk that nobody accepted.
    pub(super) risky: BTreeMap<(usize, usize), RiskKind>,
    levels: Levels,
    /// What every release but the first needs of another product.
    needs: Option<(ProductRef, Requirement)>,
}

/// Everything published, and whether it can be fetched and verified.
#[derive(Debug, Clone)]
pub(super) struct Catalogue {
    pub(super) shelves: BTreeMap<ProductRef, Shelf>,
    /// Nothing verifies at the moment.
    pub(super) tampered: bool,
    /// All that was verified has expired, and nothing newer can be fetched.
    pub(super) expired: bool,
}

impl Catalogue {
    /// One newer release of each product.
    pub(super) fn new(shape: &Shape) -> Self {
        let shelf = |versions, beyond, roles| Shelf {
            versions,
            beyond,
            unfit: None,
            roles,
            published: 2,
            edges: BTreeSet::from([(0, 1)]),
            risky: BTreeMap::new(),
            levels: Levels::None,
            needs: None,
        };
        let mut kafka =
            shelf(["3.9.0", "4.0.0", "4.0.1"], "4.1.0", &[Role::Controller, Role::Broker]);
        kafka.edges.insert((1, 0));
        kafka.levels = match (shape.finalizes, shape.levels) {
            (false, _) => Levels::None,
            (true, false) => Levels::One,
            (true, true) => Levels::Own,
        };
        let mut platform = shelf(["1.32.0", "1.33.0", "1.33.1"], "1.34.0", &[Role::Node]);
        let mut shop = shelf(["1.0.0", "1.1.0", "1.1.1"], "1.2.0", &[Role::Workload]);
        if shape.dependent {
            let need = |name, text: &str| Some((product(name), text.parse().unwrap()));
            shop.needs = need(KAFKA, ">=4.0.0");
            // Against the order of roles: nodes wait for workloads.
            platform.needs = need(SHOP, ">=1.1.0").filter(|_| shape.workloads > 0);
        }
        let all = [(KAFKA, kafka), (PLATFORM, platform), (SHOP, shop)];
        let shelves = all.map(|(name, shelf)| (product(name), shelf)).into();
        Self { shelves, tampered: false, expired: false }
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
            if self.expired {
                knowledge.graph = None;
                knowledge.failure =
                    Some(trouble("expired", "the metadata expired", Severity::Unreachable));
            }
            if self.tampered {
                let why = "the signature does not verify";
                knowledge.failure = Some(trouble("bad_signature", why, Severity::Refused));
            }
            (name.clone(), knowledge)
        })
        .collect()
    }

    /// Whether a vendor offers the move at this moment, with no risk left open; `clear` if the
    /// cluster's Prometheus says that it is not exposed.
    pub(super) fn offers(&self, name: &ProductRef, (from, to): (&str, &str), clear: bool) -> bool {
        let shelf = &self.shelves[name];
        let (Some(from), Some(to)) = (shelf.index(from), shelf.index(to)) else { return false };
        let closed = match shelf.risky.get(&(from, to)) {
            None => false,
            Some(RiskKind::Always) => true,
            Some(RiskKind::Asked) => !clear,
        };
        !self.tampered && !self.expired && shelf.edges.contains(&(from, to)) && !closed
    }

    /// Whether `pin` is the release or can be reached from it.
    pub(super) fn leads_to(&self, name: &ProductRef, from: &str, pin: &str) -> bool {
        let shelf = &self.shelves[name];
        let (Some(from), Some(pin)) = (shelf.index(from), shelf.index(pin)) else { return false };
        let step = |from| shelf.edges.range((from, 0)..=(from, usize::MAX)).map(|(_, to)| *to);
        from == pin || step(from).any(|to| to == pin || step(to).any(|to| to == pin))
    }

    /// What a release needs of another product.
    pub(super) fn needs(
        &self,
        name: &ProductRef,
        text: &str,
    ) -> Option<&(ProductRef, Requirement)> {
        let shelf = &self.shelves[name];
        shelf.needs.as_ref().filter(|_| shelf.index(text).is_some_and(|index| index > 0))
    }
}

fn trouble(kind: &str, message: &str, severity: Severity) -> Trouble {
    Trouble { failure: failure(kind, message), severity }
}

fn failure(kind: &str, message: &str) -> Failure {
    let at = jiff::Timestamp::UNIX_EPOCH;
    Failure { kind: kind.to_owned(), message: message.to_owned(), at }
}

impl Shelf {
    fn index(&self, text: &str) -> Option<usize> {
        self.versions.iter().position(|version| *version == text)
    }

    /// The newest release that is for this cluster.
    pub(super) fn newest(&self) -> &'static str {
        self.versions[self.published - 1]
    }

    /// One of those that are published.
    pub(super) fn any(&self, draw: u64) -> &'static str {
        self.versions[usize::try_from(draw).unwrap() % self.published]
    }

    /// Publishes the third release: reachable from everywhere, or from the second only.
    pub(super) fn publish(&mut self, from_everywhere: bool) {
        self.published = 3;
        self.edges.insert((1, 2));
        if from_everywhere {
            self.edges.insert((0, 2));
        }
    }

    /// Everything is offered again, without risks, and nothing that is not for this cluster.
    pub(super) fn mend(&mut self) {
        self.edges.insert((0, 1));
        self.risky.clear();
        self.unfit = None;
        if self.published == 3 {
            self.edges.insert((1, 2));
        }
    }

    fn knowledge(&self, name: &ProductRef) -> Knowledge {
        let mut releases: Vec<_> = (0..self.published)
            .map(|index| {
                let text = self.versions[index];
                let mut made = release(&name.to_string(), text, self.roles[0], &[">=0.0.1"]);
                self.describe(Arc::make_mut(&mut made.document), index);
                made
            })
            .collect();
        let unfit = self.unfit.map(|unfit| {
            let mut made = release(&name.to_string(), self.beyond, self.roles[0], &[">=0.0.1"]);
            self.describe(Arc::make_mut(&mut made.document), self.published);
            spoil(Arc::make_mut(&mut made.document), unfit);
            made
        });
        releases.extend(unfit);
        let mut known = knowledge(self.graph(), releases);
        if self.unfit == Some(Unfit::Unfetched) {
            let missing = Err(failure("release_missing", "no such target"));
            known.releases.insert(version(self.beyond), missing);
        }
        known
    }

    fn describe(&self, document: &mut ReleaseDocument, index: usize) {
        document.downgrade_from = vec!["*".parse().unwrap()];
        let level = match self.levels {
            Levels::None => None,
            Levels::One => Some("4.0".to_owned()),
            Levels::Own => Some(document.version.to_string()),
        };
        if index > 0 {
            let summary = "raises metadata.version".to_owned();
            document.finalize = level.map(|level| Finalize { summary, level });
            let need = self.needs.clone();
            let need = need.map(|(product, requirement)| Dependency { product, requirement });
            document.dependencies = need.into_iter().collect();
        }
        for content in document.arches.values_mut() {
            *content = self.content(content);
        }
    }

    fn content(&self, content: &ArchContent) -> ArchContent {
        let first = &content.components[0];
        let one = |role: &Role| Component { role: *role, ..first.clone() };
        ArchContent {
            payload: content.payload.clone(),
            components: self.roles.iter().map(one).collect(),
        }
    }

    fn graph(&self) -> Graph {
        let mut builder = GraphBuilder::new(None);
        let beyond = self.unfit.map(|_| self.beyond);
        for text in self.versions[..self.published].iter().copied().chain(beyond) {
            let (version, payload) = (version(text), format!("registry/x@{text}"));
            builder.node(Node { version, payload, metadata: BTreeMap::new() });
        }
        for (from, to) in self.edges.iter().filter(|(_, to)| *to < self.published) {
            let Some(kind) = self.risky.get(&(*from, *to)) else {
                builder.edge(*from, *to);
                continue;
            };
            let risk = match kind {
                RiskKind::Always => risk("SlowStart", MatchingRule::Always),
                RiskKind::Asked => {
                    let promql = QUESTION.to_owned();
                    risk("SlowStartOfSome", MatchingRule::PromQl { promql })
                }
            };
            let group = builder.risks(vec![risk]);
            builder.conditional(*from, *to, group);
        }
        if beyond.is_some() {
            (0..self.published).for_each(|from| builder.edge(from, self.published));
        }
        builder.build().unwrap()
    }
}

/// Makes a release one that is not for this cluster.
fn spoil(document: &mut ReleaseDocument, unfit: Unfit) {
    match unfit {
        Unfit::Arch => {
            let contents = std::mem::take(&mut document.arches).into_values();
            let other: Arch = "s390x".parse().unwrap();
            document.arches = contents.map(|content| (other.clone(), content)).collect();
        }
        Unfit::Needs => {
            let (product, requirement) = (product("acme/elsewhere"), "*".parse().unwrap());
            document.dependencies = vec![Dependency { product, requirement }];
        }
        Unfit::Unlisted => document.upgrade_from = vec![">=99.0.0".parse().unwrap()],
        Unfit::Roles => {
            let contents = document.arches.values_mut();
            for component in contents.flat_map(|content| &mut content.components) {
                component.role = match component.role {
                    Role::Controller | Role::Broker | Role::Node => Role::Workload,
                    Role::Workload => Role::Node,
                };
            }
        }
        Unfit::Unfetched => {}
    }
}

fn risk(name: &str, rule: MatchingRule) -> Risk {
    Risk {
        name: name.to_owned(),
        message: "starts slowly".to_owned(),
        url: "https://example.com/risk".to_owned(),
        matching_rules: vec![rule],
    }
}
