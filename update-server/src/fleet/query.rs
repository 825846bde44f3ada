//! Pages of clusters by filter, in row order.

use std::collections::BTreeSet;

use channels::names::{ChannelName, ClusterId, ProductRef, SiteName};
use channels::rollout::{Labels, Selector};
use channels::version::ReleaseVersion;
use channels::wire::{
    ClusterRow, Freshness, HealthVerdict, KeyRevocation, Phase, ProductRow, Reason,
};
use jiff::Timestamp;

use super::row::{Product, Row};
use super::shared::is_marked;
use super::{Activity, Distance, DriftMemo, FleetIndex, GraphKey, ProductRecord, Slot, freshness};
use crate::auth::Scope;
use crate::bulk::Selected;
use crate::served::Served;

/// Most rows in one page.
pub const MAX_PAGE: usize = 500;

/// Which clusters to list. Product, channel, version, phase, health and distance must hold for one
/// and the same product of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterFilter {
    /// Runs this product.
    pub product: Option<ProductRef>,
    /// Follows this channel.
    pub channel: Option<ChannelName>,
    /// Runs this version.
    pub version: Option<ReleaseVersion>,
    /// Is in this phase.
    pub phase: Option<Phase>,
    /// Has this verdict.
    pub health: Option<HealthVerdict>,
    /// Reported this long ago.
    pub freshness: Option<Freshness>,
    /// Is heard of, or is not.
    pub activity: Option<Activity>,
    /// Is so far from the head.
    pub distance: Distance,
    /// Is called something that starts like this.
    pub name_prefix: Option<String>,
    /// Has labels like these.
    pub selector: Option<Selector>,
    /// Runs one of these versions on its graph.
    pub exposed: Option<BTreeSet<(GraphKey, ReleaseVersion)>>,
    /// Is one of those that the caller may see.
    pub scope: Scope,
    /// Belongs to this dark site; no cluster of the fleet itself does.
    pub site: Option<SiteName>,
}

/// A filter with its names resolved to numbers.
pub(super) struct Resolved<'f> {
    filter: &'f ClusterFilter,
    graphs: Option<BTreeSet<u32>>,
    version: Versions,
    /// Graph and version.
    exposed: Option<BTreeSet<(u32, u32)>>,
    /// Graph and version.
    distance: Option<BTreeSet<(u32, u32)>>,
    /// By the number of a label set, whether the selector selects it.
    labels: Option<Vec<bool>>,
}

/// Which versions match.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Versions {
    Any,
    Only(u32),
    /// The version asked for is one no cluster has.
    NoneKnown,
}

impl Resolved<'_> {
    /// `class` says how long ago a row reported, where that is asked.
    pub(super) fn matches(&self, row: &Row, class: impl Fn(&Row) -> Freshness) -> bool {
        let filter = self.filter;
        !row.is_retired()
            && filter.site.is_none()
            && filter.freshness.is_none_or(|f| f == class(row))
            && filter.activity.is_none_or(|activity| activity.holds(class(row)))
            && filter.name_prefix.as_ref().is_none_or(|p| row.name().starts_with(p.as_str()))
            && self.labels.as_ref().is_none_or(|selected| is_marked(selected, row.labels))
            && (!self.about_products() || row.products.iter().any(|p| self.matches_product(p)))
    }

    fn about_products(&self) -> bool {
        self.graphs.is_some()
            || self.exposed.is_some()
            || self.distance.is_some()
            || self.version != Versions::Any
            || self.filter.phase.is_some()
            || self.filter.health.is_some()
    }

    fn matches_product(&self, product: &Product) -> bool {
        let here = (product.graph, product.version);
        self.graphs.as_ref().is_none_or(|graphs| graphs.contains(&product.graph))
            && self.exposed.as_ref().is_none_or(|exposed| exposed.contains(&here))
            && self.distance.as_ref().is_none_or(|distance| distance.contains(&here))
            && match self.version {
                Versions::Any => true,
                Versions::Only(version) => version == product.version,
                Versions::NoneKnown => false,
            }
            && self.filter.phase.is_none_or(|phase| phase == product.phase)
            && self.filter.health.is_none_or(|health| health == product.verdict)
    }
}

impl FleetIndex {
    fn resolve<'f>(&self, filter: &'f ClusterFilter) -> Resolved<'f> {
        let by_graph = filter.product.is_some() || filter.channel.is_some();
        let graphs = by_graph.then(|| {
            self.graphs
                .iter()
                .filter(|(key, _)| {
                    filter.product.as_ref().is_none_or(|p| *p == key.product)
                        && filter.channel.as_ref().is_none_or(|c| *c == key.channel)
                })
                .map(|(_, number)| number)
                .collect()
        });
        let version = match &filter.version {
            None => Versions::Any,
            Some(version) => {
                self.versions.number(version).map_or(Versions::NoneKnown, Versions::Only)
            }
        };
        let exposed = filter.exposed.as_ref().map(|exposed| {
            let number = |(graph, version): &(GraphKey, ReleaseVersion)| {
                Some((self.graphs.number(graph)?, self.versions.number(version)?))
            };
            exposed.iter().filter_map(number).collect()
        });
        let selected = |labels: &Labels| {
            filter.scope.contains(labels)
                && filter.selector.as_ref().is_none_or(|selector| selector.matches(labels))
        };
        let by_labels = filter.selector.is_some() || !filter.scope.is_whole();
        let labels =
            by_labels.then(|| self.label_sets().iter().map(|labels| selected(labels)).collect());
        // Distances need what is served; without, nothing is at any.
        let distance = (!filter.distance.is_any()).then(BTreeSet::new);
        Resolved { filter, graphs, version, exposed, distance, labels }
    }

    pub(super) fn resolve_all<'f>(
        &self,
        filter: &'f ClusterFilter,
        view: &mut View<'_>,
    ) -> Resolved<'f> {
        let resolved = self.resolve(filter);
        let distance =
            resolved.distance.is_some().then(|| self.at_distance(&filter.distance, view));
        Resolved { distance, ..resolved }
    }

    /// How long ago a row reported, at `now`.
    pub(super) fn classes(&self, now: Timestamp) -> impl Fn(&Row) -> Freshness + use<> {
        let interval_s = self.interval_s;
        move |row| freshness(row.last_seen.get(), interval_s, now)
    }

    /// How many clusters match: what [`FleetIndex::look`] counts beside everything else.
    #[cfg(test)]
    pub(crate) fn matching(&self, filter: &ClusterFilter, view: &mut View<'_>) -> u64 {
        let resolved = self.resolve_all(filter, view);
        let class = self.classes(view.now);
        let found = self.rows.iter().filter(|row| resolved.matches(row, &class)).count();
        u64::try_from(found).unwrap_or(u64::MAX)
    }

    /// Up to `limit` matching clusters after row `after`, and the row to go on from if there may
    /// be more.
    pub fn page(
        &self,
        filter: &ClusterFilter,
        after: Option<Slot>,
        limit: usize,
        view: &mut View<'_>,
    ) -> (Vec<ClusterRow>, Option<Slot>) {
        let resolved = self.resolve_all(filter, view);
        let start = after.map_or(0, |slot| slot.0.saturating_add(1));
        let limit = limit.clamp(1, MAX_PAGE);
        let mut found = Vec::new();
        let mut last = None;
        // The rows come first: numbers end where rows do, whatever a cursor says.
        let rows = self.rows.iter().skip(Slot(start).index());
        let class = self.classes(view.now);
        for (row, number) in rows.zip(start..=u32::MAX) {
            if !resolved.matches(row, &class) {
                continue;
            }
            if found.len() == limit {
                return (found, last);
            }
            last = Some(Slot(number));
            found.push(self.render(row, view));
        }
        (found, None)
    }

    /// Every matching cluster, with what a change to it depends on; `None` if more than `max` match.
    pub fn select(
        &self,
        filter: &ClusterFilter,
        now: Timestamp,
        max: usize,
    ) -> Option<Vec<Selected>> {
        let resolved = self.resolve(filter);
        let class = self.classes(now);
        let mut found = Vec::new();
        for row in &self.rows {
            if !resolved.matches(row, &class) {
                continue;
            }
            if found.len() == max {
                return None;
            }
            found.push(Selected {
                id: row.id,
                name: row.name().to_owned(),
                labels: self.labels.get(row.labels),
                settings: self.settings.get(row.settings),
                revoked: row.revoked().is_some(),
            });
        }
        Some(found)
    }

    /// One cluster in force.
    pub fn cluster(&self, id: ClusterId, view: &mut View<'_>) -> Option<ClusterRow> {
        let row = self.rows.get(self.slot(id)?.index())?;
        (!row.is_retired()).then(|| self.render(row, view))
    }

    pub(super) fn render(&self, row: &Row, view: &mut View<'_>) -> ClusterRow {
        let mut products: Vec<ProductRow> =
            row.products.iter().filter_map(|p| self.product_row(p, view)).collect();
        if let Some(revoked) = row.revoked() {
            // What was last said to its agent is no longer why it does not move.
            for product in &mut products {
                product.why_not = vec![why_revoked(revoked)];
            }
        }
        ClusterRow {
            id: row.id,
            name: row.name().to_owned(),
            site: None,
            as_of: None,
            labels: Labels::clone(&self.labels.get(row.labels)),
            settings: self.settings.get(row.settings).to_vec(),
            enrolled_at: row.enrolled_at.get().unwrap_or(Timestamp::UNIX_EPOCH),
            last_seen: row.last_seen.get(),
            freshness: freshness(row.last_seen.get(), self.interval_s, view.now),
            agent_version: row.agent_version().to_owned(),
            seq: row.seq,
            identity_conflict_since: row.conflict_since(),
            key_revoked: row.revoked().map(|revoked| KeyRevocation::clone(revoked)),
            products,
        }
    }

    fn product_row(&self, product: &Product, view: &mut View<'_>) -> Option<ProductRow> {
        let names = self.names(product)?;
        let numbers = (product.graph, product.version);
        let drift = view.memo.get(view.served, numbers, (names.graph, names.version), view.now);
        let record: ProductRecord = product.unpack(names);
        Some(ProductRow {
            product: record.graph.product,
            channel: record.graph.channel,
            arch: record.graph.arch,
            version: record.version,
            target: record.target,
            phase: record.phase,
            since: record.since,
            unit: record.unit,
            progress: record.progress,
            health: record.health,
            drift,
            drift_at_site: None,
            waiting_on: record.waiting_on,
            why_not: record.why_not,
            earliest_at: None,
            failure: record.failure,
            accepted_risks: record.accepted_risks,
            units: Vec::new(),
        })
    }
}

/// Why nothing moves on a cluster whose key is revoked.
pub(crate) fn why_revoked(revoked: &KeyRevocation) -> Reason {
    let KeyRevocation { at, by, reason } = revoked;
    let message = format!("its key was revoked by {by} at {at}: {reason}");
    Reason { code: "key_revoked".to_owned(), message }
}

/// What an answer needs beside the rows.
#[derive(Debug)]
pub struct View<'a> {
    /// The hub's time.
    pub now: Timestamp,
    /// What is served.
    pub served: &'a dyn Served,
    /// Drift known already.
    pub memo: &'a mut DriftMemo,
}

impl<'a> View<'a> {
    /// A view at `now`, with old answers dropped from the memo.
    pub fn new(now: Timestamp, served: &'a dyn Served, memo: &'a mut DriftMemo) -> Self {
        memo.refresh(served.generation(), now);
        Self { now, served, memo }
    }
}
