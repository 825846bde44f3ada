//! `GET /api/v1/rollouts/{id}/clusters`: everybody a rollout is for, in row order.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use actix_web::web;
use channels::rollout::{ClusterState, Labels, Name, Position, Ring};
use channels::version::ReleaseVersion;
use channels::wire::{AttemptState, Page, RolloutCluster};
use jiff::Timestamp;
use serde::Deserialize;

use super::super::super::problem::ApiError;
use super::super::clusters::one_of;
use super::super::{Guarded, HubState, Viewer, paging};
use super::why::Asker;
use super::{render, view};
use crate::fleet::{ClusterRecord, FleetIndex, ProductRecord, Slot};
use crate::rollout::{AttemptView, Fleet as _, RolloutId, RolloutView, Rollouts};

/// Name of the list in cursors.
const LIST: &str = "rollout-clusters";

/// Parameters of the list. The state is text here: the wire type reads an unknown name as "unknown",
/// which in a question would be a wrong answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ListQuery {
    state: Option<String>,
    ring: Option<Name>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// Which members are listed.
struct Asked {
    state: Option<AttemptState>,
    ring: Option<Name>,
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
    let ListQuery { state: wanted, ring, .. } = query.into_inner();
    let wanted = one_of("state", wanted.as_deref(), &AttemptState::KNOWN, AttemptState::as_str)?;
    let asked = Asked { state: wanted, ring };
    let view = view(&state, RolloutId(*path))?;
    let state = state.into_inner();
    let page = web::block(move || page(&state, &view, &asked, after, limit)).await;
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
    asked: &Asked,
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
    let slots = look.members(&fleet, asked, after, limit.saturating_add(1));
    let mut items = Vec::new();
    for slot in slots.iter().take(limit).copied() {
        let Some(record) = fleet.record(slot) else { continue };
        let own = |known: &&ProductRecord| known.graph.product == view.product;
        let Some(product) = record.products.iter().find(own) else { continue };
        let mut row = look.row(slot, &record, product);
        if row.state == AttemptState::NotStarted {
            let answer = asker.ask(slot, &record, product, (&view.version, &view.digest));
            (row.why_not, row.earliest_at) = (answer.why_not, answer.earliest_at);
        }
        items.push(row);
    }
    let last = limit.checked_sub(1).and_then(|last| slots.get(last));
    let next = last.filter(|_| slots.len() > limit).map(|slot| paging::cursor(LIST, slot.0));
    Page { items, next }
}

impl Look<'_> {
    /// Up to `most` rows, in order, of the rollout's members that the query is about: they follow a
    /// channel that its policy governs, and have not gone beyond the release. Those it has attempts
    /// of are members whatever they follow by now. One pass that compares numbers.
    fn members(
        &self,
        fleet: &FleetIndex,
        asked: &Asked,
        after: Option<u64>,
        most: usize,
    ) -> Vec<Slot> {
        let in_ring: Option<Vec<bool>> = asked.ring.as_ref().map(|ring| {
            let sets = fleet.label_sets().iter();
            sets.map(|labels| self.ring_of(labels).is_some_and(|own| own.name == *ring)).collect()
        });
        let mut graphs: BTreeMap<u32, (bool, bool)> = BTreeMap::new();
        let mut versions: BTreeMap<u32, Ordering> = BTreeMap::new();
        let mut slots: Vec<Slot> = Vec::new();
        fleet.each(&mut |fact| {
            if slots.len() >= most || after.is_some_and(|after| u64::from(fact.slot.0) <= after) {
                return;
            }
            let (is_its, is_governed) =
                *graphs.entry(fact.graph).or_insert_with(|| self.graph(fleet, fact.graph));
            let attempt = self.live.get(&fact.slot);
            if !is_its || !(is_governed || attempt.is_some()) {
                return;
            }
            let version = *versions.entry(fact.version).or_insert_with(|| {
                let version = fleet.version(fact.version);
                version.map_or(Ordering::Less, |version| version.cmp(&self.view.version))
            });
            let state = match (attempt, version) {
                (Some(attempt), _) => attempted(attempt).0,
                (None, Ordering::Greater) => return,
                (None, Ordering::Equal) => AttemptState::Succeeded,
                (None, Ordering::Less) => AttemptState::NotStarted,
            };
            let fits = match (&asked.ring, attempt, &in_ring) {
                (Some(ring), Some(attempt), _) => attempt.ring == *ring,
                (Some(_), None, Some(marks)) => {
                    let number = usize::try_from(fact.labels).ok();
                    number.and_then(|number| marks.get(number)) == Some(&true)
                }
                (Some(_), None, None) | (None, _, _) => true,
            };
            if fits && asked.state.is_none_or(|wanted| wanted == state) {
                slots.push(fact.slot);
            }
        });
        slots
    }

    /// Whether a graph is of the rollout's product, and whether its policy governs there.
    fn graph(&self, fleet: &FleetIndex, number: u32) -> (bool, bool) {
        let Some(graph) = fleet.graph(number) else { return (false, false) };
        let policy = self.rollouts.policies().governing(&graph.product, &graph.channel);
        let governs = policy.is_some_and(|known| known.policy.name == self.view.policy);
        (graph.product == self.view.product, governs)
    }

    fn ring_of(&self, labels: &Labels) -> Option<&Ring> {
        let policy = &self.rollouts.policies().get(&self.view.policy)?.policy;
        policy.rings.get(policy.ring_of(labels)?)
    }

    fn row(&self, slot: Slot, record: &ClusterRecord, product: &ProductRecord) -> RolloutCluster {
        let rules = self.rollouts.policies().get(&self.view.policy);
        let ring = rules.and_then(|known| known.policy.ring_of(&record.labels));
        let place = ring.map(|ring| {
            Position::new(ring, &self.view.digest, self.rollouts.salt(), record.id).place
        });
        let name = self.ring_of(&record.labels).map(|ring| ring.name.clone());
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
