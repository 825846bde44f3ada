//! `/channels` and `/channels/{vendor}/{product}/{channel}/{arch}`: what is offered to whom.

mod feeding;
mod graph;
mod list;
mod newer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use channels::names::{Arch, ChannelName, ProductName, ProductRef, VendorName};
use channels::version::ReleaseVersion;
use channels::wire::DriftTotals;
use serde::Deserialize;

use super::natural::natural;
use super::send;
use super::shell::{Live, Place, Shell};
use super::visitor::Visitor;
use crate::catalog::{GraphEntry, Held};
use crate::fleet::{FleetCount, GraphKey};
use crate::http::api::{HubState, get, methods};
use crate::http::problem::{ApiError, Code};
use crate::telemetry::exposure;
use graph::{ChannelFacts, ChannelPage};
use list::{ChannelsFacts, ChannelsPage, GraphFacts};

/// Graphs on one page of the list.
const PAGE: usize = 100;

/// Events that change what is shown here.
const KINDS: &str = "fleet,hold,resume,publish";

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(methods("/channels", "GET, HEAD").route(get().to(list))).service(
        methods("/channels/{vendor}/{product}/{channel}/{arch}", "GET, HEAD").route(get().to(one)),
    );
}

/// What of the list the address asks for; parameters of the shell are left to it.
#[derive(Debug, Deserialize)]
struct ListQuery {
    /// From 1.
    page: Option<usize>,
}

async fn list(
    visitor: Visitor,
    state: web::Data<HubState>,
    request: HttpRequest,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let fleet = Fleet::of(&state, &visitor);
    let mut keys: Vec<GraphKey> = state.catalog.graphs().map(followed).collect();
    keys.sort_by_cached_key(|key| (key.product.clone(), natural(key.channel.as_str())));
    let pages = keys.len().div_ceil(PAGE).max(1);
    let page = query.page.unwrap_or(1).clamp(1, pages);
    let here = keys.iter().skip((page - 1) * PAGE).take(PAGE);
    let graphs = here.filter_map(|key| {
        let entry = entry(&state, key)?;
        let graph = &entry.graph;
        Some(GraphFacts {
            head: graph.head().cloned(),
            releases: graph.nodes().len(),
            risky: graph.conditional().iter().map(|group| group.edges.len()).sum(),
            totals: fleet.totals(key).cloned(),
            exposure: exposure(key, graph, &fleet.versions(key)),
            stops: held(&state, key).reasons(),
            newer: newer::newer(&state.catalog, &entry),
            key: key.clone(),
        })
    });
    let facts = ChannelsFacts { graphs: graphs.collect(), all: keys.len(), page, pages };
    let status = state.catalog.status(visitor.at);
    let shell = Shell::new(&visitor, &status, Place::Channels, "Channels", Live::On(KINDS));
    send::page(&request, &ChannelsPage::new(shell, &facts))
}

/// What of a graph the address picks.
#[derive(Debug, Deserialize)]
struct OneQuery {
    node: Option<String>,
    edge: Option<String>,
}

async fn one(
    visitor: Visitor,
    state: web::Data<HubState>,
    request: HttpRequest,
    path: web::Path<(String, String, String, String)>,
    query: web::Query<OneQuery>,
) -> Result<HttpResponse, ApiError> {
    let missing = || {
        let (vendor, product, channel, arch) = path.as_ref();
        let detail = format!(
            "no graph of {vendor}/{product} for channel {channel:?} and {arch:?} is published; \
             /channels lists all"
        );
        ApiError::new(Code::NotFound, detail)
    };
    let key = key_of(&path).ok_or_else(missing)?;
    let entry = entry(&state, &key).ok_or_else(missing)?;
    let fleet = Fleet::of(&state, &visitor);
    let held = held(&state, &key);
    // A hold that cannot be drawn is still told in words.
    let shown = held.apply(&entry.graph).unwrap_or_else(|_| entry.graph.as_ref().clone());
    let clusters = fleet.versions(&key);
    let soak = if visitor.scope.is_whole() {
        Some(state.pages.soak(&state, &key.product).await?)
    } else {
        None
    };
    let releases = state.catalog.releases(&key.product).into_iter();
    let facts = ChannelFacts {
        at: visitor.at,
        graph: shown,
        role: entry.role.clone(),
        digest: entry.digest.hex(),
        exposure: exposure(&key, &entry.graph, &clusters),
        clusters,
        totals: fleet.totals(&key).cloned(),
        releases: releases.map(|entry| (entry.document.version.clone(), entry)).collect(),
        stops: held.reasons(),
        soak,
        newer: newer::newer(&state.catalog, &entry),
        feeder_has_graph: feeding::feeder_has_graph(&state.catalog, &entry),
        feeds: feeding::feeds(&state.catalog, &entry),
        key,
    };
    let status = state.catalog.status(visitor.at);
    let heading = format!("{} {} {}", facts.key.product, facts.key.channel, facts.key.arch);
    let shell = Shell::new(&visitor, &status, Place::Channels, &heading, Live::On(KINDS));
    let page = ChannelPage::new(shell, &facts, query.node.as_deref(), query.edge.as_deref());
    send::page(&request, &page)
}

fn key_of((vendor, product, channel, arch): &(String, String, String, String)) -> Option<GraphKey> {
    let vendor: VendorName = vendor.parse().ok()?;
    let product: ProductName = product.parse().ok()?;
    let channel: ChannelName = channel.parse().ok()?;
    let arch: Arch = arch.parse().ok()?;
    Some(GraphKey { product: ProductRef { vendor, product }, channel, arch })
}

fn entry(state: &HubState, key: &GraphKey) -> Option<std::sync::Arc<GraphEntry>> {
    state.catalog.graph(&key.product, &key.channel, &key.arch)
}

/// The graph that clusters follow.
fn followed(key: crate::catalog::GraphKey) -> GraphKey {
    GraphKey { product: key.product, channel: key.channel, arch: key.arch }
}

fn held(state: &HubState, key: &GraphKey) -> Held {
    state.catalog.held(&key.product, &key.channel, &key.arch)
}

/// The clusters that a visitor sees, as the API counts them.
struct Fleet {
    drift: Vec<DriftTotals>,
    counts: Vec<FleetCount>,
}

impl Fleet {
    fn of(state: &HubState, visitor: &Visitor) -> Self {
        state.with_fleet(|fleet, view| Self {
            drift: fleet.drift_within(&visitor.scope, view).items,
            counts: fleet.counts_within(&visitor.scope),
        })
    }

    fn totals(&self, key: &GraphKey) -> Option<&DriftTotals> {
        self.drift.iter().find(|totals| {
            totals.product == key.product
                && totals.channel == key.channel
                && totals.arch == key.arch
        })
    }

    /// How many run which version.
    fn versions(&self, key: &GraphKey) -> BTreeMap<ReleaseVersion, u64> {
        let mut versions = BTreeMap::new();
        for count in self.counts.iter().filter(|count| count.graph == *key) {
            *versions.entry(count.version.clone()).or_default() += count.clusters;
        }
        versions
    }
}

/// The page of a channel.
pub(super) fn address(key: &GraphKey) -> String {
    format!("/channels/{}/{}/{}", key.product, key.channel, key.arch)
}
