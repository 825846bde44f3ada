//! `/api/v1/clusters/{id}/risks`: which risks are before one cluster, and which clusters are before one.

use std::collections::BTreeSet;

use actix_web::web;
use channels::version::ReleaseVersion;
use channels::wire::{ClusterRisk, Page};

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
    let mut items = Vec::new();
    for product in &row.products {
        let entry = state.catalog.graph(&product.product, &product.channel, &product.arch);
        if let Some(entry) = entry {
            items.extend(risks_before(product, &entry.graph));
        }
    }
    Ok(web::Json(Page { items, next: None }))
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
