//! `/clusters/{id}`: what one cluster runs, what it waits for, and how it got there.

mod accepted;
mod actions;
mod lags;
#[cfg(test)]
mod tests;
mod view;
mod way;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use channels::names::{ClusterId, ProductRef};
use channels::wire::{
    AuditRow, ClusterRisk, ClusterRow, HealthSummary, Hold, HoldScope, ProductRow,
};
use jiff::Timestamp;

use super::forms::Done;
use super::send;
use super::shell::{Live, Place, Shell};
use super::visitor::Visitor;
use crate::fleet::Slot;
use crate::http::api::{Guarded, HubState, Operator, Scoped, clusters, get, holds, methods, risks};
use crate::http::problem::ApiError;
use crate::rollout::{AttemptView, RolloutId, RolloutStatus};
use crate::store::HistoryRow;
use way::Way;

/// Changes read and listed: a roll of thirty units has so many.
const MAX_CHANGES: usize = 200;
/// Deeds of people that are listed; all are in the audit log.
const MAX_ACTIONS: usize = 20;

/// Events that change what is shown here: mostly reports, which `fleet` tells of.
const KINDS: &str = "fleet,hold,resume,label,set,re_enrol,retire,revoke,trust,publish,\
                     rollout.cluster_failed,rollout.halted,rollout.held,rollout.released,\
                     rollout.resumed,rollout.ring_opened";

/// The rollout in which a product of the cluster is looked at.
#[derive(Debug, Clone)]
struct InRollout {
    id: RolloutId,
    status: RolloutStatus,
    attempt: AttemptView,
    /// How it was when it was granted.
    before: Option<HealthSummary>,
}

/// One product with everything that is shown beside its row.
#[derive(Debug, Clone)]
struct ProductFacts {
    row: ProductRow,
    way: Option<Way>,
    risks: Vec<ClusterRisk>,
    rollout: Option<InRollout>,
}

/// What somebody may do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    Look,
    /// Hold, resume, retire: operators whose clusters it is among.
    Steer,
    /// Settings too: operators of the whole fleet.
    Set,
}

/// Everything the page shows.
#[derive(Debug, Clone)]
struct Facts {
    at: Timestamp,
    row: ClusterRow,
    products: Vec<ProductFacts>,
    /// Newest first.
    history: Vec<HistoryRow>,
    /// Newest first; nothing for those who may not read the audit log.
    actions: Vec<AuditRow>,
    holds: Vec<Hold>,
    may: May,
    done: Option<&'static str>,
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(methods("/clusters/{id}", "GET, HEAD").route(get().to(page))).service(
        methods("/clusters/{id}/{verb}", "GET, HEAD, POST")
            .route(get().to(actions::ask))
            .route(web::post().to(actions::act)),
    );
}

/// `GET /clusters/{id or name}`
async fn page(
    visitor: Visitor,
    operator: Option<Guarded<Scoped<Operator>>>,
    state: web::Data<HubState>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (row, slot) = clusters::whole(&state, &visitor.scope, &path).await?;
    let may = match (&operator, slot) {
        (None, _) | (_, None) => May::Look,
        (Some(by), Some(_)) if by.scope().is_whole() => May::Set,
        (Some(_), Some(_)) => May::Steer,
    };
    let facts = facts(&state, &visitor, row, slot, may).await?;
    let status = state.catalog.status(visitor.at);
    let shell = Shell::new(&visitor, &status, Place::Fleet, &facts.row.name, Live::On(KINDS));
    send::page(&request, &view::Page::new(shell, &facts))
}

async fn facts(
    state: &web::Data<HubState>,
    visitor: &Visitor,
    row: ClusterRow,
    slot: Option<Slot>,
    may: May,
) -> Result<Facts, ApiError> {
    let history = match slot {
        Some(slot) => clusters::changes(state, slot, MAX_CHANGES).await?,
        None => Vec::new(),
    };
    let actions = match may {
        May::Look => Vec::new(),
        May::Steer | May::Set => clusters::actions_on(state, row.id, MAX_ACTIONS).await?,
    };
    let product = |product: &ProductRow| {
        let entry = state.catalog.graph(&product.product, &product.channel, &product.arch);
        ProductFacts {
            way: entry.map(|entry| way::way(&entry.graph, &product.version)),
            risks: risks::before(&state.catalog, product),
            rollout: slot.and_then(|slot| in_rollout(state, &product.product, slot, visitor.at)),
            row: product.clone(),
        }
    };
    Ok(Facts {
        at: visitor.at,
        products: row.products.iter().map(product).collect(),
        holds: covering(state, visitor, &row),
        row,
        history,
        actions,
        may,
        done: Done::told(&visitor.query),
    })
}

fn in_rollout(
    state: &HubState,
    product: &ProductRef,
    slot: Slot,
    now: Timestamp,
) -> Option<InRollout> {
    let committed = state.store.committed();
    let known = committed.rollouts();
    let id = known.attempt_of(product, slot)?;
    Some(InRollout {
        id,
        status: known.view(id, now)?.status,
        attempt: known.attempt(id, slot, now)?,
        before: known.baseline(id, slot).cloned(),
    })
}

/// Holds that stop this cluster or something on it.
fn covering(state: &HubState, visitor: &Visitor, row: &ClusterRow) -> Vec<Hold> {
    let runs = |product: &ProductRef| row.products.iter().any(|own| own.product == *product);
    let covers = |hold: &Hold| match &hold.scope {
        HoldScope::Fleet => true,
        HoldScope::Product { product } => runs(product),
        HoldScope::Channel { product, channel } => {
            row.products.iter().any(|own| own.product == *product && own.channel == *channel)
        }
        HoldScope::Release { product, version } => row.products.iter().any(|own| {
            own.product == *product
                && (own.target.as_ref() == Some(version) || own.version == *version)
        }),
        HoldScope::Cluster { cluster } => *cluster == row.id,
    };
    let all = state.store.committed().holds().as_ref().clone();
    let mut holds = holds::seen(state, &visitor.scope, all);
    holds.retain(|hold| hold.resumed_at.is_none() && covers(hold));
    holds
}

/// The cluster's own hold among those that cover it.
fn own_hold(holds: &[Hold], id: ClusterId) -> Option<&Hold> {
    let own =
        |hold: &&Hold| matches!(&hold.scope, HoldScope::Cluster { cluster } if *cluster == id);
    holds.iter().find(own)
}
