//! `/rollouts` and `/rollouts/{id}`: releases on their way through the fleet, watched and steered.

mod actions;
mod chart;
mod effects;
mod gates;
mod list;
mod totals;
mod view;

pub(super) use list::state as status_pill;
pub(super) use view::failure_kind;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use channels::rollout::{Failure, Gates};
use channels::wire::{
    AttemptState, ClusterRow, HealthSummary, Hold, HoldScope, RolloutCluster, RolloutRow,
};
use jiff::Timestamp;

use super::forms::Done;
use super::send;
use super::shell::{Live, Place, Shell};
use super::visitor::Visitor;
use crate::fleet::Slot;
use crate::http::api::{Guarded, HubState, Operator, get, holds, methods, rollouts};
use crate::http::problem::ApiError;
use crate::rollout::{Course, RolloutId, RolloutView, Rollouts, Worse};

/// Rollouts in the list; older ones are in the API's.
const MAX_LISTED: usize = 200;
/// Failures, and clusters on the way, that a page lists; all of them are in the API's lists.
const MAX_CLUSTERS: usize = 50;
/// Clusters that wait, with their reasons.
const MAX_WAITING: usize = 10;

/// Events that change what is shown here.
const KINDS: &str = "fleet,hold,resume,rollout.opened,rollout.ring_opened,rollout.cluster_failed,\
                     rollout.halted,rollout.resumed,rollout.held,rollout.released,\
                     rollout.approved,rollout.emergency,rollout.health_unknown,\
                     rollout.health_known,rollout.superseded,rollout.converged,\
                     rollout.policy_changed,rollout.closed,rollout.cluster_left";

/// Whether somebody may steer what they see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    Look,
    Steer,
}

impl May {
    fn of(operator: Option<&Guarded<Operator>>) -> Self {
        if operator.is_some() { Self::Steer } else { Self::Look }
    }
}

/// One rollout of the list.
#[derive(Debug, Clone)]
struct Listed {
    view: RolloutView,
    course: Option<Course>,
}

/// A failure with what is known of it.
#[derive(Debug, Clone)]
struct FailureFacts {
    failure: Failure,
    name: String,
    acknowledged: bool,
    /// What the cluster said of it.
    message: Option<String>,
    /// The baseline that it is worse by.
    worse: Option<Worse>,
    /// Its lags when it was granted and now: quorum, PLEG.
    lags: [(Option<u64>, Option<u64>); 2],
}

/// Everything the page of one rollout shows.
#[derive(Debug, Clone)]
struct Facts {
    at: Timestamp,
    view: RolloutView,
    row: RolloutRow,
    course: Course,
    /// The gates of its rings; `None` for those who see only some of its clusters.
    gates: Option<Vec<Gates>>,
    failures: Vec<FailureFacts>,
    on_the_way: Vec<RolloutCluster>,
    waiting: Vec<RolloutCluster>,
    /// Holds of the hub's list that cover all of it.
    covered_by: Vec<Hold>,
    may: May,
    /// What a form has just done.
    done: Option<&'static str>,
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(methods("/rollouts", "GET, HEAD").route(get().to(index)))
        .service(methods("/rollouts/{id}", "GET, HEAD").route(get().to(one)))
        .service(
            methods("/rollouts/{id}/{verb}", "GET, HEAD, POST")
                .route(get().to(actions::ask))
                .route(web::post().to(actions::act)),
        );
}

/// `GET /rollouts`
async fn index(
    visitor: Visitor,
    state: web::Data<HubState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let now = visitor.at;
    let select = |rollouts: &Rollouts, now| {
        let mut views = rollouts.views(now);
        // Newest first among those that go on, and among those that are over.
        views.sort_by_key(|view| (rollouts::is_over(view), std::cmp::Reverse(view.id)));
        views
    };
    let views = rollouts::within(&state, &visitor.scope, MAX_LISTED, select).await?;
    let listed = {
        let committed = state.store.committed();
        let known = committed.rollouts();
        let listed = views.into_iter().map(|view| {
            let go = (!rollouts::is_over(&view)).then(|| rollouts::to_go(&view));
            let course = go.and_then(|go| known.course(view.id, view.status, &go, &[], now));
            Listed { view, course }
        });
        listed.collect::<Vec<Listed>>()
    };
    let policies = policies(&state);
    let status = state.catalog.status(now);
    let shell = Shell::new(&visitor, &status, Place::Rollouts, "Rollouts", Live::On(KINDS));
    send::page(&request, &list::Page::new(shell, &listed, policies, now))
}

/// Names of the policies in force.
fn policies(state: &HubState) -> Vec<String> {
    let committed = state.store.committed();
    let known = committed.rollouts();
    known.policies().in_force().map(|known| known.policy.name.to_string()).collect()
}

/// `GET /rollouts/{id}`
async fn one(
    visitor: Visitor,
    operator: Option<Guarded<Operator>>,
    state: web::Data<HubState>,
    request: HttpRequest,
    path: web::Path<u64>,
) -> Result<HttpResponse, ApiError> {
    let view = rollouts::visible(&state, &visitor.scope, RolloutId(*path)).await?;
    let facts = facts(&state, &visitor, view, May::of(operator.as_ref())).await?;
    let heading = format!("{} {}", facts.view.product, facts.view.version);
    let status = state.catalog.status(visitor.at);
    let shell = Shell::new(&visitor, &status, Place::Rollouts, &heading, Live::On(KINDS));
    send::page(&request, &view::Page::new(shell, &facts))
}

async fn facts(
    state: &web::Data<HubState>,
    visitor: &Visitor,
    view: RolloutView,
    may: May,
) -> Result<Facts, ApiError> {
    let scope = &visitor.scope;
    let course = rollouts::course_of(state, &view, scope).await?;
    let mut on_the_way = Vec::new();
    for wanted in [AttemptState::Rolling, AttemptState::Granted] {
        let room = MAX_CLUSTERS.saturating_sub(on_the_way.len());
        if room > 0 {
            let page = rollouts::first_members(state, view.clone(), scope, wanted, room).await?;
            on_the_way.extend(page.items);
        }
    }
    let wanted = AttemptState::NotStarted;
    let waiting =
        rollouts::first_members(state, view.clone(), scope, wanted, MAX_WAITING).await?.items;
    let gates = {
        let committed = state.store.committed();
        let known = committed.rollouts();
        let rules = known.rules(view.id).filter(|_| scope.is_whole());
        rules.map(|rules| rules.rings.iter().map(|ring| ring.gates.clone()).collect())
    };
    Ok(Facts {
        at: visitor.at,
        row: rollouts::whole(state, &view, scope),
        course,
        gates,
        failures: failures(state, &view, visitor.at),
        on_the_way,
        waiting,
        covered_by: covering(state, visitor, &view),
        may,
        done: Done::told(&visitor.query),
        view,
    })
}

/// Holds of the hub's list that cover a whole rollout.
fn covering(state: &HubState, visitor: &Visitor, view: &RolloutView) -> Vec<Hold> {
    let covers = |hold: &Hold| match &hold.scope {
        HoldScope::Fleet => true,
        HoldScope::Product { product } => *product == view.product,
        HoldScope::Release { product, version } => {
            *product == view.product && *version == view.version
        }
        HoldScope::Channel { .. } | HoldScope::Cluster { .. } => false,
    };
    let all = state.store.committed().holds().as_ref().clone();
    let mut holds = holds::seen(state, &visitor.scope, all);
    holds.retain(|hold| hold.resumed_at.is_none() && covers(hold));
    holds
}

/// The first failures, those that nobody acknowledged before the others.
fn failures(state: &HubState, view: &RolloutView, now: Timestamp) -> Vec<FailureFacts> {
    let of = |wanted: bool| view.failures.iter().filter(move |(_, seen)| *seen == wanted);
    let first: Vec<(Failure, bool)> =
        of(false).chain(of(true)).take(MAX_CLUSTERS).copied().collect();
    // The fleet is let go of before the rollouts are asked: nobody waits for one with the other.
    let rows: Vec<Option<(Slot, ClusterRow)>> = state.with_fleet(|fleet, shown| {
        let row = |(failure, _): &(Failure, bool)| {
            Some((fleet.slot(failure.cluster)?, fleet.cluster(failure.cluster, shown)?))
        };
        first.iter().map(row).collect()
    });
    let committed = state.store.committed();
    let known = committed.rollouts();
    let told = first.into_iter().zip(rows);
    told.map(|(one, row)| failure_facts(&known, view, one, row.as_ref(), now)).collect()
}

fn failure_facts(
    known: &Rollouts,
    view: &RolloutView,
    (failure, acknowledged): (Failure, bool),
    row: Option<&(Slot, ClusterRow)>,
    now: Timestamp,
) -> FailureFacts {
    let own = |row: &'_ ClusterRow| {
        row.products.iter().find(|product| product.product == view.product).cloned()
    };
    let product = row.and_then(|(_, row)| own(row));
    let attempt = row.and_then(|(slot, _)| known.attempt(view.id, *slot, now));
    let before = row.and_then(|(slot, _)| known.baseline(view.id, *slot));
    let health = product.as_ref().map(|product| &product.health);
    let lag = |of: fn(&HealthSummary) -> Option<u64>| (before.and_then(of), health.and_then(of));
    FailureFacts {
        failure,
        name: row.map_or_else(|| failure.cluster.to_string(), |(_, row)| row.name.clone()),
        acknowledged,
        worse: attempt.and_then(|attempt| attempt.worse).map(|worse| *worse),
        lags: [lag(|health| health.quorum_lag_ms), lag(|health| health.pleg_lag_ms)],
        message: product.and_then(|product| product.failure).map(|failure| failure.message),
    }
}
