//! `/api/v1/clusters/{id}/risks`: which risks are before one cluster, and which clusters are before one.

use std::collections::BTreeSet;

use actix_web::web;
use channels::version::ReleaseVersion;
use channels::wire::{ClusterRisk, Page, ProductRow};

use super::super::problem::ApiError;
use super::{Guarded, HubState, Scoped, Viewer, clusters};
use crate::catalog::Catalog;
use crate::fleet::GraphKey;
use crate::telemetry::{has_risk, risks_before};

/// `GET /api/v1/clusters/{id or name}/risks`
pub(super) async fn of_cluster(
    by: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
    path: web::Path<String>,
) -> Result<web::Json<Page<ClusterRisk>>, ApiError> {
    let (row, _) = clusters::find_seen(&state, by.scope(), &path)?;
    let items = row.products.iter().flat_map(|product| before(&state.catalog, product)).collect();
    Ok(web::Json(Page { items, next: None }))
}

/// The risks on the edges before one product of a cluster.
pub(in crate::http) fn before(catalog: &Catalog, product: &ProductRow) -> Vec<ClusterRisk> {
    let entry = catalog.graph(&product.product, &product.channel, &product.arch);
    entry.map(|entry| risks_before(product, &entry.graph)).unwrap_or_default()
}

/// The graphs and versions that stand before an edge with a risk of this name.
pub(super) fn exposed_to(catalog: &Catalog, risk: &str) -> BTreeSet<(GraphKey, ReleaseVersion)> {
    let mut found = BTreeSet::new();
    for key in catalog.graphs() {
        let Some(entry) = catalog.graph(&key.product, &key.channel, &key.arch) else { continue };
        let versions = entry.graph.nodes().iter().map(|node| &node.version);
        let exposed = versions.filter(|version| has_risk(&entry.graph, version, risk));
        let graph = GraphKey { product: key.product, channel: key.channel, arch: key.arch };
        found.extend(exposed.map(|version| (graph.clone(), version.clone())));
    }
    found
}
