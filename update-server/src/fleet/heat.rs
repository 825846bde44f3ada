//! The whole fleet at one look: every product of every cluster counted by how far it is from the head,
//! in groups, with those apart that are silent or stuck. One pass over the rows.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use channels::names::ProductRef;
use channels::rollout::Labels;
use channels::wire::{Drift, DriftState};

use super::health::Place;
use super::query::View;
use super::row::{Product, Row};
use super::{FleetIndex, HealthQuestion, is_active};

/// Distances that are told apart; further ones are one.
pub const MAX_NEAR_HOPS: u32 = 5;
/// Groups of one product; those beyond the largest are summed up. More strips are no picture.
const MAX_GROUPS: usize = 24;
/// Up to so many clusters their names are kept: each is a cell that says whose it is.
const MAX_NAMED: usize = 300;

/// How far from the head, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heat {
    /// Its version is not in the graph.
    OffGraph,
    /// No way leads to the head.
    Stranded,
    /// So many edges, 1 to [`MAX_NEAR_HOPS`]; the last stands for more, too.
    Behind(u32),
    /// On the head.
    Current,
    /// There is no graph to measure on.
    NoGraph,
}

impl Heat {
    /// All of them, worst first.
    pub fn all() -> impl Iterator<Item = Self> {
        let behind = (1..=MAX_NEAR_HOPS).rev().map(Self::Behind);
        let first = [Self::OffGraph, Self::Stranded].into_iter();
        first.chain(behind).chain([Self::Current, Self::NoGraph])
    }

    fn of(drift: &Drift) -> Self {
        match drift.state {
            DriftState::Current => Self::Current,
            DriftState::Behind => Self::Behind(drift.hops.unwrap_or(1).clamp(1, MAX_NEAR_HOPS)),
            DriftState::Stranded => Self::Stranded,
            DriftState::OffGraph => Self::OffGraph,
            DriftState::NoGraph | DriftState::Unknown => Self::NoGraph,
        }
    }
}

/// What stands out besides distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeatMark {
    /// It wants to move and has not for long.
    Stuck,
    /// Nothing was heard for long: this is how it was.
    Silent,
    /// Nothing.
    Plain,
}

/// What makes a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeatBy {
    /// The channel.
    Channel,
    /// The value of this label.
    Label(String),
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct HeatQuestion {
    /// Of which clusters and products, and from when on they are stuck.
    pub about: HealthQuestion,
    /// What makes a group.
    pub by: HeatBy,
}

/// The clusters of a group that look alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeatCell {
    /// How many.
    pub clusters: u64,
    /// What they are called; empty in a large fleet.
    pub names: Vec<String>,
}

/// One product's clusters in one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeatGroup {
    /// Which product.
    pub product: ProductRef,
    /// The channel, or the label's value; `None` for those without the label, and for the groups that
    /// are summed up.
    pub name: Option<String>,
    /// Whether it is the sum of several.
    pub is_rest: bool,
    /// How many, by what they are.
    pub cells: BTreeMap<(HeatMark, Heat), HeatCell>,
}

impl HeatGroup {
    /// How many in all.
    pub fn clusters(&self) -> u64 {
        self.cells.values().map(|cell| cell.clusters).sum()
    }
}

/// Value of the label, version, mark; the first two by number.
type Key = (u32, u32, HeatMark);

/// The values of a label by the number of a label set.
struct Values<'i> {
    of_set: Vec<u32>,
    texts: Vec<Option<&'i str>>,
}

impl<'i> Values<'i> {
    fn of(fleet: &'i FleetIndex, by: &HeatBy) -> Self {
        let HeatBy::Label(key) = by else {
            return Self { of_set: Vec::new(), texts: vec![None] };
        };
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        let mut texts = vec![None];
        let mut number = |labels: &'i Labels| {
            let Some(text) = labels.get(key) else { return 0 };
            *numbers.entry(text).or_insert_with(|| {
                texts.push(Some(text.as_str()));
                u32::try_from(texts.len() - 1).unwrap_or(0)
            })
        };
        let of_set = fleet.label_sets().iter().map(|labels| number(labels)).collect();
        Self { of_set, texts }
    }

    fn number(&self, labels: u32) -> u32 {
        let set = usize::try_from(labels).unwrap_or(usize::MAX);
        self.of_set.get(set).copied().unwrap_or(0)
    }

    fn text(&self, number: u32) -> Option<&'i str> {
        self.texts.get(usize::try_from(number).ok()?).copied().flatten()
    }
}

/// Clusters by distance while rows are looked at, one after the other.
pub(super) struct HeatPass<'i> {
    by: HeatBy,
    values: Values<'i>,
    /// By number of the graph, if it is asked about.
    graphs: Vec<Option<BTreeMap<Key, HeatCell>>>,
    named: bool,
}

impl<'i> HeatPass<'i> {
    /// Before any row.
    pub(super) fn new(index: &'i FleetIndex, question: &HeatQuestion) -> Self {
        let graphs =
            index.graphs.values().iter().map(|key| {
                question.about.is_about(&key.product, &key.channel).then(BTreeMap::default)
            });
        Self {
            by: question.by.clone(),
            values: Values::of(index, &question.by),
            graphs: graphs.collect(),
            named: index.rows.len() <= MAX_NAMED,
        }
    }

    fn cells(&mut self, graph: u32) -> Option<&mut BTreeMap<Key, HeatCell>> {
        self.graphs.get_mut(usize::try_from(graph).ok()?)?.as_mut()
    }

    /// A row in force that is asked about.
    pub(super) fn see(&mut self, row: &Row) {
        let mark = if is_active(row.freshness) { HeatMark::Plain } else { HeatMark::Silent };
        let (value, named) = (self.values.number(row.labels), self.named);
        for product in &row.products {
            let Some(cells) = self.cells(product.graph) else { continue };
            let cell = cells.entry((value, product.version, mark)).or_default();
            cell.clusters += 1;
            if named {
                cell.names.push(row.name().to_owned());
            }
        }
    }

    /// After the last row, with the places of those that are stuck.
    pub(super) fn end(
        mut self,
        index: &FleetIndex,
        stuck: &[Place],
        view: &mut View<'_>,
    ) -> Vec<HeatGroup> {
        for (row, place) in stuck {
            let Some(row) = index.rows.get(*row) else { continue };
            if let Some(product) = row.products.get(*place) {
                self.mark_stuck(row, product);
            }
        }
        let Self { by, values, graphs, .. } = self;
        let mut groups: BTreeMap<(&ProductRef, Option<&str>), HeatGroup> = BTreeMap::new();
        for (graph, cells) in (0..).zip(graphs) {
            let Some(key) = index.graphs.value(graph) else { continue };
            for ((value, version, mark), cell) in cells.into_iter().flatten() {
                let Some(release) = index.versions.value(version) else { continue };
                let drift = view.memo.get(view.served, (graph, version), (key, release), view.now);
                let name = match &by {
                    HeatBy::Channel => Some(key.channel.as_str()),
                    HeatBy::Label(_) => values.text(value),
                };
                let group = groups.entry((&key.product, name)).or_insert_with(|| HeatGroup {
                    product: key.product.clone(),
                    name: name.map(str::to_owned),
                    is_rest: false,
                    cells: BTreeMap::new(),
                });
                group.add((mark, Heat::of(&drift)), cell);
            }
        }
        folded(groups.into_values())
    }

    /// Moves a product to those that are stuck.
    fn mark_stuck(&mut self, row: &Row, product: &Product) {
        let value = self.values.number(row.labels);
        let Some(cells) = self.cells(product.graph) else { return };
        let Some(cell) = cells.get_mut(&(value, product.version, HeatMark::Plain)) else { return };
        cell.clusters = cell.clusters.saturating_sub(1);
        let named = !cell.names.is_empty();
        cell.names.retain(|name| name != row.name());
        let stuck = cells.entry((value, product.version, HeatMark::Stuck)).or_default();
        stuck.clusters += 1;
        if named {
            stuck.names.push(row.name().to_owned());
        }
    }
}

impl HeatGroup {
    fn add(&mut self, key: (HeatMark, Heat), cell: HeatCell) {
        if cell.clusters == 0 {
            return;
        }
        let sum = self.cells.entry(key).or_default();
        sum.clusters += cell.clusters;
        sum.names.extend(cell.names);
    }
}

/// The largest groups of every product, and the sum of the others.
fn folded(groups: impl Iterator<Item = HeatGroup>) -> Vec<HeatGroup> {
    let mut products: BTreeMap<ProductRef, Vec<HeatGroup>> = BTreeMap::new();
    for group in groups {
        products.entry(group.product.clone()).or_default().push(group);
    }
    let mut kept = Vec::new();
    for (product, mut groups) in products {
        if groups.len() > MAX_GROUPS {
            groups.sort_by_key(|group| Reverse(group.clusters()));
            let mut rest = HeatGroup { product, name: None, is_rest: true, cells: BTreeMap::new() };
            for group in groups.split_off(MAX_GROUPS - 1) {
                group.cells.into_iter().for_each(|(key, cell)| rest.add(key, cell));
            }
            groups.sort_by(|a, b| a.name.cmp(&b.name));
            groups.push(rest);
        }
        kept.extend(groups);
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use channels::wire::{Phase, WaitingOn};

    use super::*;
    use crate::auth::Scope;
    use crate::fleet::tests::{Line, NOW, at, cluster, kafka};
    use crate::fleet::{ClusterFilter, DriftMemo, Slot};

    /// 90 clusters on four versions, every tenth silent, one stuck; a third each in two rings and in
    /// none.
    fn fleet() -> FleetIndex {
        let mut fleet = FleetIndex::new(300);
        for n in 0..90 {
            let version = ["1.0.3", "1.0.2", "1.0.0", "9.0.0"][usize::try_from(n % 4).unwrap()];
            let mut product = kafka(version, Phase::Idle);
            if n == 1 {
                product.phase = Phase::Waiting;
                product.since = at(NOW - 7200);
                product.waiting_on = vec![WaitingOn {
                    gate: "quorum_lag".to_owned(),
                    unit: None,
                    message: "too far behind".to_owned(),
                    observed: None,
                    limit: None,
                    since: None,
                }];
            }
            let seen = if n % 10 == 0 { NOW - 7200 } else { NOW };
            fleet.apply(Slot(n), &cluster(n, Some(seen), vec![product]), at(NOW));
        }
        fleet
    }

    fn ask(fleet: &FleetIndex, by: HeatBy, scope: &str) -> Vec<HeatGroup> {
        let scope = if scope.is_empty() { Scope::whole() } else { scope.parse().unwrap() };
        let about = HealthQuestion { scope, ..HealthQuestion::default() };
        let mut memo = DriftMemo::default();
        let (question, view) =
            (HeatQuestion { about, by }, &mut View::new(at(NOW), &Line, &mut memo));
        fleet.look(&question, &ClusterFilter::default(), view).heat
    }

    fn count(groups: &[HeatGroup], wanted: impl Fn(HeatMark, Heat) -> bool) -> u64 {
        let cells = groups.iter().flat_map(|group| &group.cells);
        cells.filter(|((mark, heat), _)| wanted(*mark, *heat)).map(|(_, cell)| cell.clusters).sum()
    }

    #[test]
    fn the_strip_counts_what_drift_and_health_count() {
        let fleet = fleet();
        let groups = ask(&fleet, HeatBy::Channel, "");
        let mut memo = DriftMemo::default();
        let view = &mut View::new(at(NOW), &Line, &mut memo);
        let totals = &fleet.drift(view).items[0];
        let active = |heat: fn(Heat) -> bool| {
            count(&groups, |mark, found| mark != HeatMark::Silent && heat(found))
        };
        assert_eq!(active(|heat| heat == Heat::Current), totals.current);
        assert_eq!(active(|heat| matches!(heat, Heat::Behind(_))), totals.behind);
        assert_eq!(active(|heat| heat == Heat::OffGraph), totals.off_graph);
        assert_eq!(count(&groups, |mark, _| mark == HeatMark::Silent), totals.silent);
        let stuck = fleet.health_of(&HealthQuestion::default(), at(NOW)).stuck_total;
        assert_eq!((count(&groups, |mark, _| mark == HeatMark::Stuck), stuck), (1, 1));
        let cell = &groups[0].cells[&(HeatMark::Stuck, Heat::Behind(1))];
        assert_eq!(cell.names, ["site-1"]);
    }

    #[test]
    fn labels_make_groups_and_a_scope_hides_the_others() {
        let fleet = fleet();
        let by = || HeatBy::Label("ring".to_owned());
        let names = |groups: &[HeatGroup]| -> Vec<(Option<String>, u64)> {
            groups.iter().map(|group| (group.name.clone(), group.clusters())).collect()
        };
        let [canary, prod] = ["canary", "prod"].map(|ring| (Some(ring.to_owned()), 30));
        assert_eq!(names(&ask(&fleet, by(), "")), [(None, 30), canary.clone(), prod]);
        assert_eq!(names(&ask(&fleet, by(), "ring=canary")), [canary]);
    }

    #[test]
    fn the_smallest_of_many_groups_are_one() {
        let mut fleet = FleetIndex::new(300);
        for n in 0..60 {
            let mut record = cluster(n, Some(NOW), vec![kafka("1.0.3", Phase::Idle)]);
            let value = format!("v{}", n % 30);
            record.labels = Arc::new([("zone".to_owned(), value)].into());
            fleet.apply(Slot(n), &record, at(NOW));
        }
        let groups = ask(&fleet, HeatBy::Label("zone".to_owned()), "");
        assert_eq!(groups.len(), MAX_GROUPS);
        let rest = groups.last().unwrap();
        assert!(rest.is_rest && rest.name.is_none());
        assert_eq!(groups.iter().map(HeatGroup::clusters).sum::<u64>(), 60);
    }

    #[test]
    fn distances_select_the_same_clusters_as_the_strip_counts() {
        let fleet = fleet();
        let groups = ask(&fleet, HeatBy::Channel, "");
        let mut memo = DriftMemo::default();
        let view = &mut View::new(at(NOW), &Line, &mut memo);
        let hops = crate::fleet::Between { least: Some(3), most: Some(3) };
        let filter = crate::fleet::ClusterFilter {
            activity: Some(crate::fleet::Activity::Active),
            distance: crate::fleet::Distance { hops, ..crate::fleet::Distance::default() },
            ..crate::fleet::ClusterFilter::default()
        };
        let counted =
            count(&groups, |mark, heat| mark != HeatMark::Silent && heat == Heat::Behind(3));
        assert!(counted > 0);
        assert_eq!(fleet.matching(&filter, view), counted);
        let (rows, _) = fleet.page(&filter, None, 500, view);
        assert_eq!(u64::try_from(rows.len()).unwrap(), counted);
    }
}
