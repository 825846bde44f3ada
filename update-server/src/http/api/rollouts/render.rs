//! The planner's views as documents, and as risks for plain Cincinnati clients.

use channels::names::ClusterId;
use channels::rollout::{Caps, FailureKind, Share, WaitReason};
use channels::wire::{
    CapPerDomain, CapPerPeriod, MAX_LISTED_FAILURES, PlannedShare, Reason, RingState, RolloutCaps,
    RolloutFailure, RolloutHold, RolloutRing, RolloutRow, RolloutState,
};
use jiff::Timestamp;

use super::super::HubState;
use crate::auth::Scope;
use crate::catalog::{Catalog, ReleaseStop};
use crate::rollout::{RingView, RolloutStatus, RolloutView, Rollouts, Said};

/// One rollout, without what only the answer about one has.
pub(super) fn row(view: &RolloutView) -> RolloutRow {
    RolloutRow {
        id: view.id.0,
        policy: view.policy.clone(),
        policy_version: view.policy_version,
        product: view.product.clone(),
        release: view.version.clone(),
        digest: view.digest,
        opened_at: view.opened_at,
        starts_at: view.starts_at,
        state: status(view.status),
        emergency: view.emergency.is_some(),
        rings: rings(view),
        failures: Vec::new(),
        caps: caps(&view.caps, view.in_flight),
        superseded_by: view.superseded_by.map(|id| id.0),
        holds: holds(view),
        rollback_offers: Vec::new(),
        planned: Vec::new(),
    }
}

/// One rollout with everything that a caller of this scope may see.
pub(in crate::http) fn whole(state: &HubState, view: &RolloutView, scope: &Scope) -> RolloutRow {
    let mut row = row(view);
    row.failures = failures(state, view);
    let rollouts = state.store.committed().rollouts();
    let planned = rollouts.planned(view.id, state.now()).into_iter();
    row.planned = planned
        .map(|(at, ring, share)| PlannedShare { at, ring, share_percent: percent(share) })
        .collect();
    if view.status == RolloutStatus::Halted {
        let offers = rollouts.rollback_offers(view.id, &state.catalog);
        let fleet = state.store.committed().fleet();
        let own = |slot| fleet.record(slot).is_some_and(|record| scope.contains(&record.labels));
        let offers = offers.into_iter().filter(|offer| scope.is_whole() || own(offer.slot));
        row.rollback_offers = offers.map(|offer| offer.to).collect();
        row.rollback_offers.sort_unstable();
        row.rollback_offers.dedup();
    }
    row
}

fn status(status: RolloutStatus) -> RolloutState {
    match status {
        RolloutStatus::Halted => RolloutState::Halted,
        RolloutStatus::Held => RolloutState::Held,
        RolloutStatus::Blind => RolloutState::Blind,
        RolloutStatus::Closed => RolloutState::Closed,
        RolloutStatus::Superseded => RolloutState::Superseded,
        RolloutStatus::Converged => RolloutState::Converged,
        RolloutStatus::Scheduled => RolloutState::Scheduled,
        RolloutStatus::Running => RolloutState::Running,
    }
}

fn rings(view: &RolloutView) -> Vec<RolloutRing> {
    let opened = view.rings.iter().filter(|ring| ring.open.is_some()).count();
    view.rings.iter().zip(1..).map(|(ring, number)| one_ring(view, ring, number < opened)).collect()
}

/// `passed`: the ring behind it is open.
fn one_ring(view: &RolloutView, ring: &RingView, passed: bool) -> RolloutRing {
    let counts = &ring.counts;
    RolloutRing {
        name: ring.name.clone(),
        members: counts.members,
        not_started: counts.not_started,
        granted: counts.granted,
        rolling: counts.rolling,
        succeeded: counts.succeeded,
        failed: counts.failed,
        acknowledged: counts.acknowledged,
        unknown: counts.unknown,
        there: counts.there,
        open_share_percent: ring.open.map_or(0.0, percent),
        state: if ring.held.is_some() {
            RingState::Held
        } else if view.status == RolloutStatus::Halted && counts.failed > 0 {
            RingState::Halted
        } else if ring.needs_approval {
            RingState::AwaitsApproval
        } else if ring.open.is_none() {
            RingState::Closed
        } else if passed {
            RingState::Passed
        } else {
            RingState::Open
        },
        waits_for: ring.waits_for.iter().map(waits).collect(),
        opens_at: ring.opens_at,
    }
}

/// A share in per cent, to the hundredth.
pub(super) fn percent(share: Share) -> f64 {
    f64::from(share.of(10_000)) / 100.0
}

fn waits(reason: &WaitReason) -> Reason {
    let code = match reason {
        WaitReason::RingEmpty => "ring_empty",
        WaitReason::SampleTooSmall { .. } => "sample_too_small",
        WaitReason::TooFewSucceeded { .. } => "too_few_succeeded",
        WaitReason::HealthUnknown { .. } => "health_unknown",
        WaitReason::Soaking { .. } => "soaking",
        WaitReason::Approval => "needs_approval",
    };
    Reason { code: code.to_owned(), message: reason.to_string() }
}

/// Those that nobody acknowledged first, each in order of time.
fn failures(state: &HubState, view: &RolloutView) -> Vec<RolloutFailure> {
    let fleet = state.store.committed().fleet();
    let name = |id: ClusterId| {
        let record = fleet.slot(id).and_then(|slot| fleet.record(slot));
        record.map_or_else(|| id.to_string(), |record| record.name)
    };
    let of = |wanted: bool| view.failures.iter().filter(move |(_, seen)| *seen == wanted);
    of(false)
        .chain(of(true))
        .take(MAX_LISTED_FAILURES)
        .map(|(failure, acknowledged)| RolloutFailure {
            cluster: failure.cluster,
            name: name(failure.cluster),
            why: kind(failure.why).to_owned(),
            at: failure.at,
            acknowledged: *acknowledged,
        })
        .collect()
}

/// The name of a kind of failure on the wire.
pub(in crate::http) fn kind(why: FailureKind) -> &'static str {
    match why {
        FailureKind::Error => "error",
        FailureKind::RolledBack => "rolled_back",
        FailureKind::DeadlinePassed => "deadline_passed",
        FailureKind::Silent => "silent",
        FailureKind::HealthRegression => "health_regression",
    }
}

fn caps(caps: &Caps, in_flight: u32) -> RolloutCaps {
    RolloutCaps {
        in_flight,
        concurrent: caps.concurrent,
        per_period: caps
            .per_period
            .map(|cap| CapPerPeriod { grants: cap.grants, period_s: u64::from(cap.period.secs()) }),
        per_failure_domain: caps
            .per_failure_domain
            .as_ref()
            .map(|cap| CapPerDomain { label: cap.label.clone(), concurrent: cap.concurrent }),
    }
}

fn holds(view: &RolloutView) -> Vec<RolloutHold> {
    let hold = |said: &Said, ring: Option<&RingView>| RolloutHold {
        ring: ring.map(|ring| ring.name.clone()),
        reason: said.reason.clone(),
        by: said.by.clone(),
        at: said.at,
    };
    let whole = view.held.iter().map(|said| hold(said, None));
    let rings = view.rings.iter().filter_map(|ring| Some(hold(ring.held.as_ref()?, Some(ring))));
    whole.chain(rings).collect()
}

/// What plain Cincinnati clients must be kept from: releases whose rollout somebody holds or a gate
/// halted, in the graphs that its policy governs. They name no ring, so a held ring is not shown.
pub(in super::super) fn stops(
    rollouts: &Rollouts,
    catalog: &Catalog,
    now: Timestamp,
) -> Vec<ReleaseStop> {
    let reason = |view: &RolloutView| {
        let (id, product, version) = (view.id, &view.product, &view.version);
        match (&view.status, &view.held) {
            (RolloutStatus::Halted, _) => {
                let failed = view.failures.iter().filter(|(_, seen)| !seen).count();
                let clusters = if failed == 1 { "cluster" } else { "clusters" };
                Some(format!(
                    "rollout {id} of {product} {version} halted: {failed} {clusters} failed"
                ))
            }
            (_, Some(said)) => Some(format!(
                "rollout {id} of {product} {version} is held by {}: {}",
                said.by, said.reason
            )),
            (_, None) => None,
        }
    };
    let stop = |view: RolloutView| {
        let reason = reason(&view)?;
        let governed = |key: &crate::catalog::GraphKey| {
            let policy = rollouts.policies().governing(&key.product, &key.channel);
            key.product == view.product && policy.is_some_and(|p| p.policy.name == view.policy)
        };
        let graphs = catalog.graphs().filter(governed).collect();
        Some(ReleaseStop { graphs, version: view.version, reason })
    };
    rollouts.views(now).into_iter().filter_map(stop).collect()
}
