//! `/`: what the fleet runs, what moves, and why the rest does not.

mod ask;
mod cards;
mod dark;
mod form;
mod matrix;
mod notices;
mod rows;
mod strip;
#[cfg(test)]
mod tests;
mod view;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use channels::wire::{ClusterRow, DriftTotals, HealthAnswer, Hold, Page, SiteDrift, SiteRow};
use jiff::Timestamp;

use super::natural::natural;
use super::send;
use super::shell::{Live, Place, Shell};
use super::visitor::Visitor;
use crate::catalog::CatalogStatus;
use crate::fleet::{HealthQuestion, HeatGroup, HeatQuestion, Look, Standing};
use crate::http::api::{HubState, get, holds, only};
use crate::http::problem::ApiError;
use ask::Ask;
use form::Offered;

/// Clusters on one page of the list.
const PAGE_ROWS: usize = 100;

/// Events that change what is shown here.
const KINDS: &str = "fleet,hold,resume,publish,enrol,re_enrol,retire,label,import_status";

/// Everything the page shows.
#[derive(Debug)]
struct FleetView {
    /// The hub's time.
    at: Timestamp,
    /// What was asked for.
    ask: Ask,
    /// Why it could not be read, if so.
    problem: Option<String>,
    /// What there is to choose from.
    offered: Offered,
    /// The repository.
    status: CatalogStatus,
    /// Clusters in force that the figures are about.
    in_force: u64,
    /// One entry per graph.
    drift: Vec<DriftTotals>,
    /// What active clusters run, and how far that is from the head.
    standings: Vec<Standing>,
    /// Verdicts, lags, and who is stuck.
    health: HealthAnswer,
    /// All clusters by distance.
    heat: Vec<HeatGroup>,
    /// The clusters to list.
    list: Page<ClusterRow>,
    /// How many of the fleet match the list's filter.
    matching: u64,
    /// Holds in force.
    holds: Vec<Hold>,
    /// Dark sites.
    sites: Vec<SiteRow>,
    /// Their drift on this hub's graphs.
    site_drift: Vec<SiteDrift>,
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(only("/", "GET, HEAD").route(get().to(page)));
}

/// The handler.
async fn page(
    visitor: Visitor,
    state: web::Data<HubState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let shell = |view: &FleetView| {
        Shell::new(&visitor, &view.status, Place::Fleet, "Fleet", Live::On(KINDS))
    };
    match Ask::read(&visitor.query).and_then(|ask| gather(&visitor, &state, ask)) {
        Ok(view) => send::page(&request, &view::Page::new(&view, shell(&view))),
        Err(error) => {
            let mut view = gather(&visitor, &state, Ask::default())?;
            view.ask = Ask::unread(&visitor.query);
            view.problem = Some(error.to_string());
            let status = error.code().status();
            send::page_as(status, &request, &view::Page::new(&view, shell(&view)))
        }
    }
}

fn gather(visitor: &Visitor, state: &HubState, ask: Ask) -> Result<FleetView, ApiError> {
    let (seen, at) = (&visitor.scope, visitor.at);
    let scope = ask.scope(seen);
    let filter = ask.list.filter(&state.catalog, seen)?;
    let list = ask.list.page(state, &filter, PAGE_ROWS)?;
    let sites = state.store.committed().sites();
    let holds = state.store.committed().holds();
    let holds = holds::seen(state, seen, holds.as_ref().clone());
    let about = HealthQuestion {
        product: ask.product.clone(),
        channel: ask.channel.clone(),
        scope: scope.clone(),
        ..HealthQuestion::default()
    };
    Ok(state.with_fleet(|fleet, view| {
        let question = HeatQuestion { by: ask.by(), about: about.clone() };
        let Look { overview, health, heat, matching } = fleet.look(&question, &filter, view);
        let mut offered = Offered::default();
        for totals in &overview.drift.items {
            offered.products.insert(totals.product.to_string());
            offered.channels.insert(totals.channel.to_string());
        }
        let sets = fleet.label_sets().iter().filter(|labels| seen.contains(labels));
        sets.for_each(|labels| offered.add(labels));
        let mut drift = overview.drift.items;
        drift.retain(|totals| about.is_about(&totals.product, &totals.channel));
        drift.sort_by_cached_key(|of| (of.product.clone(), natural(of.channel.as_str())));
        // Dark sites are in no scope but the whole.
        let (site_rows, site_drift) = if scope.is_whole() {
            (sites.rows(view), sites.drift(view))
        } else {
            (Vec::new(), Vec::new())
        };
        FleetView {
            at,
            problem: None,
            offered,
            status: state.catalog.status(at),
            in_force: overview.in_force,
            drift,
            standings: overview.standings,
            health,
            heat: in_order(heat),
            list,
            matching,
            holds,
            sites: site_rows,
            site_drift,
            ask,
        }
    }))
}

/// Groups of the strip in the order in which people count; those that are no name come last.
fn in_order(mut heat: Vec<HeatGroup>) -> Vec<HeatGroup> {
    heat.sort_by_cached_key(|group| {
        let name = group.name.as_deref().map(natural);
        (group.product.clone(), group.is_rest, name.is_none(), name)
    });
    heat
}
