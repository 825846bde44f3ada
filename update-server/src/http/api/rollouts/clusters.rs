//! `GET /api/v1/rollouts/{id}/clusters`: everybody a rollout is for, in row order.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use actix_web::web;
use channels::rollout::{ClusterState, FailureKind, Labels, Name, Position, Ring};
use channels::version::ReleaseVersion;
use channels::wire::{AttemptState, Page, Reason, RolloutCluster};
use jiff::Timestamp;
use serde::Deserialize;

use super::super::super::problem::{ApiError, Code};
use super::super::clusters::one_of;
use super::super::{Guarded, HubState, Scoped, Viewer, paging};
use super::why::Asker;
use super::{render, visible};
use crate::auth::Scope;
use crate::fleet::{ClusterRecord, FleetIndex, ProductRecord, Slot};
use crate::rollout::{AttemptView, Fact, Fleet as _, RolloutId, RolloutView, Rollouts, Worse};

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
    scope: Scope,
}

/// The handler.
pub(in super::super) async fn list(
    by: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
    query: web::Query<ListQuery>,
) -> Result<web::Json<Page<RolloutCluster>>, ApiError> {
    let limit = paging::limit(query.limit)?;
    let after = paging::after(LIST, query.cursor.as_deref())?;
    let ListQuery { state: wanted, ring, .. } = query.into_inner();
    let wanted = one_of("state", wanted.as_deref(), &AttemptState::KNOWN, AttemptState::as_str)?;
    let view = visible(&state, by.scope(), RolloutId(*path)).await?;
    if let Some(ring) = &ring {
        check_ring(&state, &view, ring)?;
    }
    let asked = Asked { state: wanted, ring, scope: by.scope().clone() };
    paged(&state, view, asked, after, limit).await.map(web::Json)
}

/// Refuses a ring that the rollout does not have: nobody is in it, which would look like an answer. Who
/// was granted under an older policy is still in the ring of that time.
fn check_ring(state: &HubState, view: &RolloutView, ring: &Name) -> Result<(), ApiError> {
    let is_now = view.rings.iter().any(|known| known.name == *ring);
    let was = || {
        let committed = state.store.committed();
        let attempts = committed.rollouts().attempts(view.id, state.now());
        attempts.iter().any(|attempt| attempt.ring == *ring)
    };
    if is_now || was() {
        return Ok(());
    }
    let known: Vec<&str> = view.rings.iter().map(|ring| ring.name.as_str()).collect();
    let detail = format!("ring must be one of {}", known.join(", "));
    Err(ApiError::new(Code::InvalidRequest, detail))
}

/// The first members in one state that somebody of this scope may see.
pub(in crate::http) async fn first(
    state: &web::Data<HubState>,
    view: RolloutView,
    scope: &Scope,
    wanted: AttemptState,
    limit: usize,
) -> Result<Page<RolloutCluster>, ApiError> {
    let asked = Asked { state: Some(wanted), ring: None, scope: scope.clone() };
    paged(state, view, asked, None, limit).await
}

/// A page, on a thread that may take its time over the fleet.
async fn paged(
    state: &web::Data<HubState>,
    view: RolloutView,
    asked: Asked,
    after: Option<u64>,
    limit: usize,
) -> Result<Page<RolloutCluster>, ApiError> {
    let state = state.clone().into_inner();
    let page = web::block(move || page(&state, &view, &asked, after, limit)).await;
    page.map_err(|error| ApiError::internal("list clusters", &error))
}

/// What is asked of every cluster of a rollout.
pub(super) struct Look<'a> {
    view: &'a RolloutView,
    live: BTreeMap<Slot, AttemptView>,
    rollouts: &'a Rollouts,
    /// By number of the graph: whether it is of the product, and whether the policy governs there.
    graphs: BTreeMap<u32, (bool, bool)>,
    /// By number of the version: before the release, the release, or beyond.
    versions: BTreeMap<u32, Ordering>,
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
    let mut look = Look::new(view, &rollouts, now);
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

impl<'a> Look<'a> {
    pub(super) fn new(view: &'a RolloutView, rollouts: &'a Rollouts, now: Timestamp) -> Self {
        let live = rollouts.attempts(view.id, now).into_iter().map(|one| (one.slot, one)).collect();
        Self { view, live, rollouts, graphs: BTreeMap::new(), versions: BTreeMap::new() }
    }

    /// Where a product of a cluster is; `None` if it is no member of the rollout: members follow a
    /// channel that its policy governs, and have not gone beyond the release. Those it has attempts
    /// of are members whatever they follow by now. Compares numbers.
    pub(super) fn state(&mut self, fleet: &FleetIndex, fact: &Fact) -> Option<AttemptState> {
        let known = self.graphs.get(&fact.graph).copied();
        let (is_its, is_governed) = known.unwrap_or_else(|| self.graph(fleet, fact.graph));
        if known.is_none() {
            self.graphs.insert(fact.graph, (is_its, is_governed));
        }
        let attempt = self.live.get(&fact.slot);
        if !is_its || !(is_governed || attempt.is_some()) {
            return None;
        }
        let version = *self.versions.entry(fact.version).or_insert_with(|| {
            let version = fleet.version(fact.version);
            version.map_or(Ordering::Less, |version| version.cmp(&self.view.version))
        });
        match (attempt, version) {
            (Some(attempt), _) => Some(attempted(attempt).0),
            (None, Ordering::Greater) => None,
            (None, Ordering::Equal) => Some(AttemptState::Succeeded),
            (None, Ordering::Less) => Some(AttemptState::NotStarted),
        }
    }

    /// The attempt of a row, if it has one that is looked at.
    pub(super) fn attempt(&self, slot: Slot) -> Option<&AttemptView> {
        self.live.get(&slot)
    }

    /// Up to `most` rows, in order, of the members that are asked for. One pass.
    fn members(
        &mut self,
        fleet: &FleetIndex,
        asked: &Asked,
        after: Option<u64>,
        most: usize,
    ) -> Vec<Slot> {
        let sets = || fleet.label_sets().iter();
        let in_ring: Option<Vec<bool>> = asked.ring.as_ref().map(|ring| {
            sets().map(|set| self.ring_of(set).is_some_and(|own| own.name == *ring)).collect()
        });
        let seen: Vec<bool> = sets().map(|set| asked.scope.contains(set)).collect();
        let is = |marks: &[bool], number: u32| {
            usize::try_from(number).is_ok_and(|number| marks.get(number) == Some(&true))
        };
        let mut slots: Vec<Slot> = Vec::new();
        fleet.each(&mut |fact| {
            let is_before = after.is_some_and(|after| u64::from(fact.slot.0) <= after);
            if slots.len() >= most || is_before || !is(&seen, fact.labels) {
                return;
            }
            let Some(state) = self.state(fleet, &fact) else { return };
            let fits = match (&asked.ring, self.attempt(fact.slot), &in_ring) {
                (Some(ring), Some(attempt), _) => attempt.ring == *ring,
                (Some(_), None, Some(marks)) => is(marks, fact.labels),
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

    /// The ring that labels put a cluster into.
    pub(super) fn ring_of(&self, labels: &Labels) -> Option<&Ring> {
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
            why_not: attempt.and_then(worse).into_iter().collect(),
            earliest_at: None,
        }
    }
}

/// What the health gate saw of a cluster that failed by a baseline.
fn worse(attempt: &AttemptView) -> Option<Reason> {
    let regressed = FailureKind::HealthRegression;
    let by_health = matches!(attempt.state, ClusterState::Failed { why, .. } if why == regressed);
    let Worse { name, before, now } = attempt.worse.as_deref().filter(|_| by_health)?;
    let message = format!("{name} is {now} and was {before} before the upgrade");
    Some(Reason { code: "baseline_worse".to_owned(), message })
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
