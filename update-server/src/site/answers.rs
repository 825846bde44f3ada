//! What is shown of dark sites: rows, pages, drift against this hub's own graphs.

use channels::names::{ClusterId, SiteName};
use channels::rollout::Labels;
use channels::wire::{
    AcceptedRisk, ClusterRow, Freshness, HealthSummary, ProductRow, Reason, SiteAcceptedRisk,
    SiteCluster, SiteDrift, SiteProduct, SiteReason, SiteRow, SiteStatusHead,
};

use super::carried::{Carried, GraphTally, graph_of};
use super::export::staler;
use super::{Site, Sites};
use crate::fleet::{ClusterFilter, GraphKey, Summing, View};

/// Ids that are named where clusters of a file are left out: a screenful.
pub const MAX_LISTED_LIVE: usize = 100;

/// The cluster after which a page begins.
pub type After = (SiteName, ClusterId);

/// Where the shown status stands in time.
#[derive(Clone, Copy)]
struct AsOf<'a> {
    site: &'a Site,
    carried: &'a Carried,
    class: Freshness,
}

impl Sites {
    fn shown(&self, view: &View<'_>) -> Vec<AsOf<'_>> {
        self.iter()
            .filter_map(|site| {
                let carried = site.carried.as_deref()?;
                Some(AsOf { site, carried, class: site.freshness(view.now) })
            })
            .collect()
    }

    /// One row per registered site.
    pub fn rows(&self, view: &View<'_>) -> Vec<SiteRow> {
        self.iter().map(|site| site_row(site, view)).collect()
    }

    /// Registered sites of which nothing is known.
    pub fn never_reported(&self) -> Vec<SiteName> {
        let silent = self.iter().filter(|site| site.carried.is_none());
        silent.map(|site| site.name.clone()).collect()
    }

    /// Drift of every site on this hub's graphs.
    pub fn drift(&self, view: &mut View<'_>) -> Vec<SiteDrift> {
        let mut answer = Vec::new();
        for shown in self.shown(view) {
            for (graph, tally) in &shown.carried.tally {
                answer.push(totals(shown, graph, tally, view));
            }
        }
        answer
    }

    /// Up to `limit` matching clusters after one, and the last one if there may be more.
    pub fn page(
        &self,
        filter: &ClusterFilter,
        after: Option<&After>,
        limit: usize,
        view: &mut View<'_>,
    ) -> (Vec<ClusterRow>, Option<After>) {
        let (mut rows, mut last) = (Vec::new(), None);
        for shown in self.shown(view) {
            let site = &shown.site.name;
            if filter.site.as_ref().is_some_and(|wanted| wanted != site)
                || after.is_some_and(|(name, _)| site < name)
            {
                continue;
            }
            for cluster in &shown.carried.status.clusters {
                let is_before = after.is_some_and(|(name, id)| site == name && cluster.id <= *id);
                if is_before || !matches(filter, cluster, shown.class) {
                    continue;
                }
                if rows.len() == limit {
                    return (rows, last);
                }
                last = Some((site.clone(), cluster.id));
                rows.push(row(shown, cluster, view));
            }
        }
        (rows, None)
    }

    /// Whether any cluster matches.
    pub fn any(&self, filter: &ClusterFilter, view: &mut View<'_>) -> bool {
        !self.page(filter, None, 1, view).0.is_empty()
    }

    /// Clusters of this id or name, at most two: a name is unique within its site only.
    pub fn find(&self, text: &str, view: &mut View<'_>) -> Vec<ClusterRow> {
        let id = text.parse::<ClusterId>().ok();
        let is_it = |cluster: &SiteCluster| match id {
            Some(id) => cluster.id == id,
            None => cluster.name == text,
        };
        let mut found = Vec::new();
        for shown in self.shown(view) {
            for cluster in shown.carried.status.clusters.iter().filter(|c| is_it(c)) {
                found.push(row(shown, cluster, view));
                if found.len() == 2 {
                    return found;
                }
            }
        }
        found
    }
}

fn site_row(site: &Site, view: &View<'_>) -> SiteRow {
    let status = site.carried.as_deref().map(|carried| {
        let (status, origin) = (&carried.status, &carried.origin);
        SiteStatusHead {
            sequence: status.sequence,
            made_at: status.made_at,
            imported_at: origin.at,
            imported_by: origin.by.clone(),
            hub_version: status.hub_version.clone(),
            redacted: status.redacted.clone(),
            newest_bundle: status.newest_bundle,
            receipt: status.receipt.clone(),
            counts: status.counts.clone(),
            live_here: u64::try_from(carried.live_here.len()).unwrap_or(u64::MAX),
        }
    });
    SiteRow {
        name: site.name.clone(),
        description: site.description.clone(),
        key_id: site.key.key_id().as_str().to_owned(),
        expected_interval_s: site.expected_interval_s,
        registered_at: site.registered_at,
        registered_by: site.registered_by.clone(),
        freshness: site.freshness(view.now),
        status,
    }
}

fn totals(shown: AsOf<'_>, graph: &GraphKey, tally: &GraphTally, view: &mut View<'_>) -> SiteDrift {
    let mut sum = Summing::new(graph, tally.silent, view.now);
    for ((version, phase, stopped), &clusters) in &tally.groups {
        let drift = view.memo.get_named(view.served, graph, version, view.now);
        sum.add(version, &drift, (*phase, *stopped), clusters);
    }
    let totals = sum.totals();
    SiteDrift {
        site: shown.site.name.clone(),
        as_of: shown.carried.status.made_at,
        freshness: shown.class,
        head_at_site: tally.head_at_site.clone(),
        totals,
    }
}

fn matches(filter: &ClusterFilter, cluster: &SiteCluster, class: Freshness) -> bool {
    let about_products = filter.product.is_some()
        || filter.channel.is_some()
        || filter.version.is_some()
        || filter.phase.is_some()
        || filter.health.is_some()
        || filter.exposed.is_some();
    filter.scope.is_whole()
        // Their drift here is no part of the fleet's.
        && filter.distance.is_any()
        && filter.selector.as_ref().is_none_or(|selector| selector.matches(&Labels::new()))
        && filter.freshness.is_none_or(|wanted| wanted == staler(class, cluster.freshness))
        && filter.activity.is_none_or(|half| half.holds(staler(class, cluster.freshness)))
        && filter.name_prefix.as_ref().is_none_or(|p| cluster.name.starts_with(p.as_str()))
        && (!about_products || cluster.products.iter().any(|p| matches_product(filter, p)))
}

fn matches_product(filter: &ClusterFilter, product: &SiteProduct) -> bool {
    filter.product.as_ref().is_none_or(|wanted| *wanted == product.product)
        && filter.channel.as_ref().is_none_or(|wanted| *wanted == product.channel)
        && filter.version.as_ref().is_none_or(|wanted| *wanted == product.version)
        && filter.phase.is_none_or(|wanted| wanted == product.phase)
        && filter.health.is_none_or(|wanted| wanted == product.health)
        && filter
            .exposed
            .as_ref()
            .is_none_or(|exposed| exposed.contains(&(graph_of(product), product.version.clone())))
}

fn row(shown: AsOf<'_>, cluster: &SiteCluster, view: &mut View<'_>) -> ClusterRow {
    let status = &shown.carried.status;
    ClusterRow {
        id: cluster.id,
        name: cluster.name.clone(),
        site: Some(status.site.clone()),
        as_of: Some(status.made_at),
        // A status file carries none: they are its own hub's.
        labels: Labels::new(),
        settings: Vec::new(),
        enrolled_at: cluster.enrolled_at,
        last_seen: cluster.last_report_at,
        freshness: staler(shown.class, cluster.freshness),
        agent_version: String::new(),
        seq: 0,
        identity_conflict_since: None,
        key_revoked: None,
        products: cluster.products.iter().map(|product| product_row(product, view)).collect(),
    }
}

fn product_row(product: &SiteProduct, view: &mut View<'_>) -> ProductRow {
    let graph = graph_of(product);
    let drift = view.memo.get_named(view.served, &graph, &product.version, view.now);
    let failed = product.failure.iter();
    ProductRow {
        product: graph.product,
        channel: graph.channel,
        arch: graph.arch,
        version: product.version.clone(),
        target: product.target.clone(),
        phase: product.phase,
        since: product.since,
        unit: None,
        progress: product.progress,
        health: HealthSummary { verdict: product.health, ..HealthSummary::default() },
        drift,
        drift_at_site: Some(product.drift.clone()),
        waiting_on: Vec::new(),
        why_not: failed.chain(&product.reasons).map(reason).collect(),
        earliest_at: None,
        failure: None,
        accepted_risks: product.accepted_risks.iter().map(accepted).collect(),
        units: Vec::new(),
    }
}

fn accepted(risk: &SiteAcceptedRisk) -> AcceptedRisk {
    let left_out = || "the site left the reason out".to_owned();
    AcceptedRisk {
        name: risk.name.clone(),
        reason: risk.reason.clone().unwrap_or_else(left_out),
        until: risk.until,
    }
}

/// A reason whose sentence was left out says so by its code.
fn reason(reason: &SiteReason) -> Reason {
    let message = reason.message.clone().unwrap_or_else(|| reason.code.clone());
    Reason { code: reason.code.clone(), message }
}
