//! `/api/v1/rollout-policies`: what the fleet's owner applies.

use std::path::Path;

use actix_web::{HttpResponse, web};
use channels::rollout::lint::lint_policy;
use channels::rollout::{Name, Policy, Scope};
use channels::wire::{Page, PolicyFinding, PolicyReply, PolicyRequest, PolicyRow, RingSize};
use serde::Deserialize;
use signing::causes::chain;

use super::super::problem::{ApiError, Code};
use super::body::Json;
use super::holds::{show, text};
use super::state::from_disk;
use super::{Guarded, HubState, Operator, Viewer};
use crate::fleet::FleetIndex;
use crate::rollout::{self, Fleet as _, InForce, RolloutRefusal};
use crate::store::{Governed, NewPolicy, Refusal, RemovedPolicy};

/// `GET /api/v1/rollout-policies`
pub(super) async fn list(
    _: Guarded<Viewer>,
    state: web::Data<HubState>,
) -> Result<web::Json<Page<PolicyRow>>, ApiError> {
    let rollouts = state.store.committed().rollouts();
    let items = rollouts.policies().in_force().map(|known| row(known, false)).collect();
    Ok(web::Json(Page { items, next: None }))
}

/// Parameters of one policy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneQuery {
    /// Not the version in force but this one.
    version: Option<u64>,
}

/// `GET /api/v1/rollout-policies/{name}`
pub(super) async fn one(
    _: Guarded<Viewer>,
    state: web::Data<HubState>,
    path: web::Path<Name>,
    query: web::Query<OneQuery>,
) -> Result<web::Json<PolicyRow>, ApiError> {
    let name = path.into_inner();
    let missing = || ApiError::new(Code::NotFound, format!("there is no rollout policy {name}"));
    let Some(version) = query.version else {
        let rollouts = state.store.committed().rollouts();
        let known = rollouts.policies().get(&name).filter(|known| !known.row.deleted);
        return Ok(web::Json(row(known.ok_or_else(missing)?, true)));
    };
    let of = name.clone();
    let found = from_disk(&state, move |reader| reader.policy_versions(&of, Some(version))).await?;
    let stored = found.into_iter().next().ok_or_else(missing)?;
    let known = InForce::read(stored).map_err(Refusal::Rollout)?;
    Ok(web::Json(row(&known, true)))
}

fn row(known: &InForce, with_text: bool) -> PolicyRow {
    PolicyRow {
        name: known.row.name.clone(),
        version: known.row.version,
        applied_at: known.row.at,
        applied_by: known.row.by.clone(),
        applies_to: known.policy.applies_to.iter().map(scope).collect(),
        rings: known.policy.rings.iter().map(|ring| ring.name.clone()).collect(),
        text: with_text.then(|| known.row.text.clone()),
    }
}

/// `acme/kafka in stable-4, fast`.
fn scope(scope: &Scope) -> String {
    let product = scope.product.as_ref().map(ToString::to_string);
    let vendor = scope.vendor.as_ref().map(|vendor| format!("vendor {vendor}"));
    let what = product.or(vendor).unwrap_or_default();
    if scope.channels.is_empty() {
        return what;
    }
    let channels: Vec<String> = scope.channels.iter().map(ToString::to_string).collect();
    format!("{what} in {}", channels.join(", "))
}

/// Parameters of applying one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PutQuery {
    /// Only say what would be.
    #[serde(default)]
    dry_run: bool,
}

/// `PUT /api/v1/rollout-policies/{name}`
pub(super) async fn put(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    path: web::Path<Name>,
    query: web::Query<PutQuery>,
    request: Json<PolicyRequest>,
) -> Result<web::Json<PolicyReply>, ApiError> {
    let (name, text) = (path.into_inner(), request.into_inner().text);
    let (reviewer, actor) = (state.clone(), by.actor.clone());
    let dry_run = query.dry_run;
    let (reply, text) = web::block(move || {
        review(&reviewer, &name, &text, &actor, dry_run).map(|reply| (reply, text))
    })
    .await
    .map_err(|error| ApiError::internal("review a policy", &error))??;
    if query.dry_run || !reply.changed {
        return Ok(web::Json(reply));
    }
    let new = NewPolicy { name: reply.name.clone(), text, by: by.actor, now: state.now() };
    let (name, who) = (new.name.clone(), new.by.clone());
    let applied = state.store.apply_policy(new).await?;
    tracing::info!(policy = %name, policy.version = applied.version, by = who, "policy applied");
    show(&state).await?;
    Ok(web::Json(PolicyReply { version: applied.version, changed: applied.changed, ..reply }))
}

/// What applying it would do. Faults that lint finds are told in a dry run and refused otherwise.
fn review(
    state: &HubState,
    name: &Name,
    text: &str,
    by: &str,
    dry_run: bool,
) -> Result<PolicyReply, ApiError> {
    let now = state.now();
    let file = Path::new("policy.yaml");
    let policy = Policy::parse(file, text)
        .map_err(|error| Refusal::Rollout(RolloutRefusal::Policy(error)))?;
    if policy.name != *name {
        let detail = format!("the policy calls itself {}, not {name}", policy.name);
        return Err(ApiError::new(Code::Unprocessable, detail));
    }
    let committed = state.store.committed();
    let fleet = committed.fleet();
    let rollouts = committed.rollouts();
    let governed = Governed::by(&policy, &fleet);
    let lint = governed.fleet();
    let known = rollouts.policies().get(name).filter(|known| !known.row.deleted);
    let same = known.filter(|known| known.row.text == text).map(|known| known.row.version);
    let version = match (same, rollouts.policies().check(text, &lint, by, now)) {
        (Some(version), _) => version,
        (None, Ok(next)) => next.row.version,
        (None, Err(RolloutRefusal::Lint { .. })) if dry_run => {
            rollouts.policies().get(name).map_or(1, |known| known.row.version.saturating_add(1))
        }
        (None, Err(refusal)) => return Err(Refusal::Rollout(refusal).into()),
    };
    let findings = lint_policy(file, &policy, &lint, now).iter().map(finding).collect();
    let (rings, in_no_ring) = sizes(&fleet, &policy);
    Ok(PolicyReply {
        name: policy.name,
        version,
        changed: same.is_none(),
        findings,
        rings,
        in_no_ring,
    })
}

fn finding(finding: &channels::rollout::lint::Finding) -> PolicyFinding {
    PolicyFinding {
        severity: finding.severity.as_str().to_owned(),
        code: finding.code.as_str().to_owned(),
        message: finding.message.clone(),
    }
}

/// How many of the clusters that it is for are in each ring, and how many in none.
fn sizes(fleet: &FleetIndex, policy: &Policy) -> (Vec<RingSize>, u64) {
    let rings: Vec<Option<usize>> =
        fleet.label_sets().iter().map(|labels| policy.ring_of(labels)).collect();
    let ring_of = |number: u32| {
        let ring = usize::try_from(number).ok().and_then(|number| rings.get(number));
        ring.copied().flatten()
    };
    let mut sizes: Vec<RingSize> =
        policy.rings.iter().map(|ring| RingSize { name: ring.name.clone(), clusters: 0 }).collect();
    let mut in_no_ring = 0;
    let mut last = None;
    fleet.each(&mut |fact: rollout::Fact| {
        let governs =
            |graph: &crate::fleet::GraphKey| policy.applies_to(&graph.product, &graph.channel);
        // A cluster with two such products is one cluster.
        if last == Some(fact.slot) || !rollout::Fleet::graph(fleet, fact.graph).is_some_and(governs)
        {
            return;
        }
        last = Some(fact.slot);
        match ring_of(fact.labels).and_then(|ring| sizes.get_mut(ring)) {
            Some(size) => size.clusters += 1,
            None => in_no_ring += 1,
        }
    });
    (sizes, in_no_ring)
}

/// Parameters of removing one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteQuery {
    reason: String,
}

/// `DELETE /api/v1/rollout-policies/{name}`
pub(super) async fn remove(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    path: web::Path<Name>,
    query: web::Query<DeleteQuery>,
) -> Result<HttpResponse, ApiError> {
    let reason = text("reason", &query.reason)?;
    let name = path.into_inner();
    let gone = RemovedPolicy { name: name.clone(), reason, by: by.actor.clone(), now: state.now() };
    state.store.remove_policy(gone).await?;
    tracing::info!(policy = %name, by = by.actor, "policy removed");
    show(&state).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<RolloutRefusal> for ApiError {
    fn from(refusal: RolloutRefusal) -> Self {
        let code = match &refusal {
            RolloutRefusal::NoRollout { .. } | RolloutRefusal::NoPolicy { .. } => Code::NotFound,
            RolloutRefusal::NoApprovalNeeded { .. }
            | RolloutRefusal::NotHeld { .. }
            | RolloutRefusal::NoSuchFailure { .. }
            | RolloutRefusal::FailuresUnseen { .. }
            | RolloutRefusal::NothingToAcknowledge { .. }
            | RolloutRefusal::Overlap { .. } => Code::Conflict,
            RolloutRefusal::NoRing { .. }
            | RolloutRefusal::Reason
            | RolloutRefusal::Policy(_)
            | RolloutRefusal::Lint { .. }
            | RolloutRefusal::TooManyPolicies => Code::Unprocessable,
        };
        Self::new(code, chain(&refusal))
    }
}
