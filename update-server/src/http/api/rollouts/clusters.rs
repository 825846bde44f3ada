//! `GET /api/v1/rollouts/{id}/clusters`: everybody a rollout is for, in row order.

use std::collections::BTreeMap;

use actix_web::web;
use channels::rollout::{ClusterState, Name, Position};
use channels::version::ReleaseVersion;
use channels::wire::{AttemptState, Page, RolloutCluster};
use jiff::Timestamp;
use serde::Deserialize;

use super::super::super::problem::ApiError;
use super::super::{Guarded, HubState, Viewer, paging};
use super::why::Asker;
use super::{render, view};
use crate::fleet::{ClusterRecord, FleetIndex, ProductRecord, Slot};
use crate::rollout::{AttemptView, Fleet as _, RolloutId, RolloutView, Rollouts};

/// Name of the list in cursors.
const LIST: &str = "rollout-clusters";

/// Parameters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ListQuery {
    state: Option<State>,
    ring: Option<Name>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// States to ask for; the wire type reads an unknown name as "unknown", which in a question would be
/// a wrong answer.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    NotStarted,
    Granted,
    Rolling,
    Succeeded,
    Failed,
    Acknowledged,
}

impl State {
    fn wire(self) -> AttemptState {
        match self {
            Self::NotStarted => AttemptState::NotStarted,
            Self::Granted => AttemptState::Granted,
            Self::Rolling => AttemptState::Rolling,
            Self::Succeeded => AttemptState::Succeeded,
            Self::Failed => AttemptState::Failed,
            Self::Acknowledged => AttemptState::Acknowledged,
        }
    }
}

/// The handler.
pub(in super::super) async fn list(
    _: Guarded<Viewer>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
    query: web::Query<ListQuery>,
) -> Result<web::Json<Page<RolloutCluster>>, ApiError> {
    let limit = paging::limit(query.limit)?;
    let after = paging::after(LIST, query.cursor.as_deref())?;
    let view = view(&state, RolloutId(*path))?;
    let state = state.into_inner();
    let page = web::block(move || page(&state, &view, &query, after, limit)).await;
    Ok(web::Json(page.map_err(|error| ApiError::internal("list clusters", &error))?))
}

/// What is asked of every cluster of the list.
struct Look<'a> {
    view: &'a RolloutView,
    live: BTreeMap<Slot, AttemptView>,
    rollouts: &'a Rollouts,
}

fn page(
    state: &HubState,
    view: &RolloutView,
    query: &ListQuery,
    after: Option<u64>,
    limit: usize,
) -> Page<RolloutCluster> {
    let committed = state.store.committed();
    let (holds, now) = (committed.holds(), state.now());
    let fleet = committed.fleet();
    let rollouts = committed.rollouts();
    let live = rollouts.attempts(view.id, now).into_iter().map(|one| (one.slot, one)).collect();
    let look = Look { view, live, rollouts: &rollouts };
    let mut asker = Asker::new(state, &rollouts, &holds, now);
    let wanted = query.state.map(State::wire);
    let (mut items, mut last, mut more) = (Vec::new(), None, false);
    for slot in
        look.members(&fleet).into_iter().filter(|s| after.is_none_or(|a| u64::from(s.0) > a))
    {
        let Some(record) = fleet.record(slot) else { continue };
        let own = |known: &&ProductRecord| known.graph.product == view.product;
        let Some(product) = record.products.iter().find(own) else { continue };
        let mut row = look.row(slot, &record, product);
        let in_ring = query.ring.as_ref().is_none_or(|ring| row.ring.as_ref() == Some(ring));
        if !in_ring || wanted.is_some_and(|wanted| wanted != row.state) {
            continue;
        }
        if items.len() == limit {
            more = true;
            break;
        }
        if row.state == AttemptState::NotStarted {
            let answer = asker.ask(slot, &record, product, (&view.version, &view.digest));
            (row.why_not, row.earliest_at) = (answer.why_not, answer.earliest_at);
        }
        last = Some(slot);
        items.push(row);
    }
    let next = last.filter(|_| more).map(|slot| paging::cursor(LIST, slot.0));
    Page { items, next }
}

impl Look<'_> {
    /// Rows of the rollout's members: they follow a channel that its policy governs, and have not
    /// gone beyond the release. Those it has attempts of are members whatever they follow by now.
    fn members(&self, fleet: &FleetIndex) -> Vec<Slot> {
        let mut governed: BTreeMap<u32, bool> = BTreeMap::new();
        let mut beyond: BTreeMap<u32, bool> = BTreeMap::new();
        let mut slots: Vec<Slot> = Vec::new();
        fleet.each(&mut |fact| {
            let is_governed = *governed.entry(fact.graph).or_insert_with(|| {
                fleet.graph(fact.graph).is_some_and(|graph| {
                    let policy = self.rollouts.policies().governing(&graph.product, &graph.channel);
                    graph.product == self.view.product
                        && policy.is_some_and(|p| p.policy.name == self.view.policy)
                })
            });
            let is_beyond = *beyond.entry(fact.version).or_insert_with(|| {
                fleet.version(fact.version).is_some_and(|version| *version > self.view.version)
            });
            if is_governed && !is_beyond {
                slots.push(fact.slot);
            }
        });
        slots.extend(self.live.keys());
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn row(&self, slot: Slot, record: &ClusterRecord, product: &ProductRecord) -> RolloutCluster {
        let rules = self.rollouts.policies().get(&self.view.policy);
        let ring = rules.and_then(|known| known.policy.ring_of(&record.labels));
        let place = ring.map(|ring| {
            Position::new(ring, &self.view.digest, self.rollouts.salt(), record.id).place
        });
        let name = ring.and_then(|ring| rules?.policy.rings.get(ring)).map(|r| r.name.clone());
        let attempt = self.live.get(&slot);
        let (state, since, failure) = match attempt {
            Some(attempt) => attempted(attempt),
            None if product.version == self.view.version => (AttemptState::Succeeded, None, None),
            None => (AttemptState::NotStarted, None, None),
        };
        RolloutCluster {
            cluster: record.id,
            name: record.name.clone(),
            ring: attempt.map(|attempt| attempt.ring.clone()).or(name),
            place_percent: place.map(render::percent),
            version: ReleaseVersion::clone(&product.version),
            state,
            since,
            failure,
            why_not: Vec::new(),
            earliest_at: None,
        }
    }
}

fn attempted(attempt: &AttemptView) -> (AttemptState, Option<Timestamp>, Option<String>) {
    match attempt.state {
        ClusterState::NotStarted => (AttemptState::NotStarted, None, None),
        ClusterState::Granted { at } => (AttemptState::Granted, Some(at), None),
        ClusterState::Rolling { began_at } => (AttemptState::Rolling, Some(began_at), None),
        ClusterState::Succeeded { at } => (AttemptState::Succeeded, Some(at), None),
        ClusterState::Failed { why, at } => {
            let state = if attempt.acknowledged {
                AttemptState::Acknowledged
            } else {
                AttemptState::Failed
            };
            (state, Some(at), Some(render::kind(why).to_owned()))
        }
    }
}
