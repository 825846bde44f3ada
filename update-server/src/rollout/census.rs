//! One pass over the fleet: who is in which ring of which rollout, and does what.
//!
//! Clusters that have an attempt are only noted here; all others are counted. What a pair of graph
//! and version means to each rollout, and what ring a set of labels is in, is worked out once, so
//! that the pass itself compares numbers.

use std::collections::BTreeMap;

use channels::rollout::Rest;
use channels::version::ReleaseVersion;
use jiff::Timestamp;

use super::draft::Draft;
use super::facts::{Fact, Fleet};
use super::rollouts::SlotSet;
use super::state::{Head, RolloutId};
use crate::fleet::{GraphKey, Slot};
use crate::served::Served;

/// What the fleet says of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) last_seen: Option<Timestamp>,
    pub(super) labels: u32,
    pub(super) graph: u32,
}

/// The pass.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) rest: BTreeMap<RolloutId, Vec<Rest>>,
    pub(super) sights: BTreeMap<(RolloutId, Slot), Sight>,
}

/// What running a version in a graph means to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is not a member, unless it has an attempt.
    Apart,
    /// It has the release before it.
    Behind,
    /// It runs the release.
    At,
    /// It runs a newer one.
    Beyond,
}

/// A rollout in the pass.
struct Lane<'h> {
    head: &'h Head,
    live: SlotSet,
    settled: Option<&'h SlotSet>,
    /// Ring by number of label set.
    rings: Vec<Ring>,
    rest: Vec<Rest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ring {
    Unasked,
    None,
    In(usize),
}

/// Tables by number.
struct Pass<'h, 'd> {
    draft: &'h Draft<'d>,
    fleet: &'h dyn Fleet,
    served: &'h dyn Served,
    lanes: Vec<Lane<'h>>,
    /// Index into `kinds` plus one, by graph and version; 0 = not worked out.
    table: Vec<Vec<usize>>,
    kinds: Vec<Vec<(usize, Standing)>>,
    sights: BTreeMap<(RolloutId, Slot), Sight>,
}

impl Census {
    pub(super) fn take(draft: &Draft<'_>, fleet: &dyn Fleet, served: &dyn Served) -> Self {
        let heads = draft.ids().into_iter().filter_map(|id| draft.head(id));
        let lanes = heads.map(|head| Lane::of(draft, head)).collect();
        let (table, kinds, sights) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut pass = Pass { draft, fleet, served, lanes, table, kinds, sights };
        fleet.each(&mut |fact| pass.visit(fact));
        let Pass { lanes, sights, .. } = pass;
        Self { rest: lanes.into_iter().map(|lane| (lane.head.id, lane.rest)).collect(), sights }
    }
}

impl<'h> Lane<'h> {
    fn of(draft: &'h Draft<'_>, head: &'h Head) -> Self {
        let mut live = SlotSet::default();
        for (slot, _) in draft.all_live(head.id) {
            live.insert(slot);
        }
        Self {
            head,
            live,
            settled: draft.base.attempts.get(&head.id).map(|attempts| &attempts.settled),
            rings: Vec::new(),
            rest: vec![Rest::default(); head.rules.rings.len()],
        }
    }

    fn ring(&mut self, fleet: &dyn Fleet, labels: u32) -> Option<usize> {
        let number = index(labels);
        if self.rings.len() <= number {
            self.rings.resize(number.saturating_add(1), Ring::Unasked);
        }
        let known = self.rings.get_mut(number)?;
        if *known == Ring::Unasked {
            let ring = fleet.label_set(labels).and_then(|set| self.head.rules.ring_of(set));
            *known = ring.map_or(Ring::None, Ring::In);
        }
        match *known {
            Ring::In(ring) => Some(ring),
            Ring::Unasked | Ring::None => None,
        }
    }
}

impl Pass<'_, '_> {
    fn visit(&mut self, fact: Fact) {
        let kind = self.kind(fact.graph, fact.version);
        let Some(standings) = self.kinds.get(kind) else { return };
        for (lane, standing) in standings {
            let Some(lane) = self.lanes.get_mut(*lane) else { continue };
            if lane.live.contains(fact.slot) {
                let Fact { last_seen, labels, graph, .. } = fact;
                let sight = Sight { last_seen, labels, graph };
                self.sights.insert((lane.head.id, fact.slot), sight);
                continue;
            }
            if *standing == Standing::Apart {
                continue;
            }
            let ring = lane.ring(self.fleet, fact.labels);
            let settled = lane.settled.is_some_and(|settled| settled.contains(fact.slot));
            let Some(rest) = ring.and_then(|ring| lane.rest.get_mut(ring)) else { continue };
            let count = match standing {
                Standing::Behind => &mut rest.not_started,
                Standing::At if settled => &mut rest.settled,
                Standing::At => &mut rest.there,
                Standing::Beyond | Standing::Apart => &mut rest.beyond,
            };
            *count = count.saturating_add(1);
        }
    }

    /// Index of what a pair means.
    fn kind(&mut self, graph: u32, version: u32) -> usize {
        let (row, column) = (index(graph), index(version));
        if self.table.len() <= row {
            self.table.resize(row.saturating_add(1), Vec::new());
        }
        let Some(versions) = self.table.get_mut(row) else { return usize::MAX };
        if versions.len() <= column {
            versions.resize(column.saturating_add(1), 0);
        }
        let known = versions.get(column).copied().unwrap_or(0);
        if known > 0 {
            return known - 1;
        }
        self.kinds.push(self.standings(graph, version));
        let number = self.kinds.len();
        if let Some(cell) = self.table.get_mut(row).and_then(|row| row.get_mut(column)) {
            *cell = number;
        }
        number - 1
    }

    fn standings(&self, graph: u32, version: u32) -> Vec<(usize, Standing)> {
        let (Some(graph), Some(version)) = (self.fleet.graph(graph), self.fleet.version(version))
        else {
            return Vec::new();
        };
        let governing = self.draft.policies().governing(&graph.product, &graph.channel);
        let lanes = self.lanes.iter().enumerate();
        let of_product = lanes.filter(|(_, lane)| lane.head.product == graph.product);
        let of_it = |head: &Head| {
            head.state.graphs.contains(graph)
                && governing.is_some_and(|policy| policy.row.name == head.policy)
        };
        of_product
            .map(|(number, lane)| {
                let head = lane.head;
                let standing = match head.version.cmp(version) {
                    _ if !of_it(head) => Standing::Apart,
                    std::cmp::Ordering::Equal => Standing::At,
                    std::cmp::Ordering::Less => Standing::Beyond,
                    std::cmp::Ordering::Greater => {
                        let others = self.lanes.iter().map(|lane| lane.head);
                        let newer = others.filter(|other| {
                            other.product == head.product
                                && other.version > head.version
                                && of_it(other)
                        });
                        self.behind(head, graph, version, newer)
                    }
                };
                (number, standing)
            })
            .collect()
    }

    /// A cluster is a member of the newest rollout of its graph, and of an older one if that is a
    /// step on the way: it can go there now, and not to any newer release.
    fn behind<'n>(
        &self,
        head: &Head,
        graph: &GraphKey,
        version: &ReleaseVersion,
        newer: impl Iterator<Item = &'n Head>,
    ) -> Standing {
        let steps = |to: &ReleaseVersion| self.served.has_plain_edge(graph, version, to);
        let mut newer = newer.peekable();
        let newest = newer.peek().is_none();
        if newest || (steps(&head.version) && !newer.any(|other| steps(&other.version))) {
            Standing::Behind
        } else {
            Standing::Apart
        }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
