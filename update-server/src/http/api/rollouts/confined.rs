//! Rollouts for callers who are confined to some clusters: counted from these alone, and not there
//! if none of them is a member. What steers the whole of it (its state, holds, shares, caps) is told,
//! because it decides over their clusters too.

use std::collections::BTreeMap;

use channels::rollout::{Counts, HealthGate, Name, WaitReason};
use channels::wire::AttemptState;
use jiff::Timestamp;

use super::clusters::Look;
use crate::auth::Scope;
use crate::fleet::FleetIndex;
use crate::rollout::{Fact, Fleet as _, RolloutView, Rollouts};

/// Up to `most` of the rollouts, as far as the scope's clusters are concerned. One pass over the
/// fleet, and one over the scope's clusters for every rollout.
pub(super) fn narrowed(
    fleet: &FleetIndex,
    rollouts: &Rollouts,
    scope: &Scope,
    views: impl Iterator<Item = RolloutView>,
    most: usize,
    now: Timestamp,
) -> Vec<RolloutView> {
    if scope.is_whole() {
        return views.take(most).collect();
    }
    let marks: Vec<bool> = fleet.label_sets().iter().map(|set| scope.contains(set)).collect();
    let mut facts: Vec<Fact> = Vec::new();
    fleet.each(&mut |fact| {
        let number = usize::try_from(fact.labels).ok();
        if number.and_then(|number| marks.get(number)) == Some(&true) {
            facts.push(fact);
        }
    });
    views.filter_map(|view| narrow(fleet, rollouts, &facts, view, now)).take(most).collect()
}

fn narrow(
    fleet: &FleetIndex,
    rollouts: &Rollouts,
    facts: &[Fact],
    mut view: RolloutView,
    now: Timestamp,
) -> Option<RolloutView> {
    let rings = count(fleet, rollouts, facts, &view, now);
    if rings.is_empty() {
        return None;
    }
    view.in_flight = 0;
    for ring in &mut view.rings {
        let counts = rings.get(&ring.name).copied().unwrap_or_default();
        view.in_flight += counts.granted + counts.rolling;
        if counts.members < ring.counts.members {
            ring.waits_for.retain(|reason| !counts_others(reason));
        }
        ring.counts = counts;
    }
    let own = |slot| facts.binary_search_by_key(&slot, |fact| fact.slot).is_ok();
    view.failures.retain(|(failure, _)| fleet.slot(failure.cluster).is_some_and(own));
    Some(view)
}

/// Whether a reason says how many clusters of the whole ring did something.
fn counts_others(reason: &WaitReason) -> bool {
    match reason {
        WaitReason::SampleTooSmall { .. }
        | WaitReason::TooFewSucceeded { .. }
        | WaitReason::HealthUnknown { .. }
        | WaitReason::RingEmpty => true,
        WaitReason::Soaking { .. } | WaitReason::Approval => false,
    }
}

/// The members among these clusters, by ring.
fn count(
    fleet: &FleetIndex,
    rollouts: &Rollouts,
    facts: &[Fact],
    view: &RolloutView,
    now: Timestamp,
) -> BTreeMap<Name, Counts> {
    let mut look = Look::new(view, rollouts, now);
    let mut rings: BTreeMap<Name, Counts> = BTreeMap::new();
    for fact in facts {
        let Some(state) = look.state(fleet, fact) else { continue };
        let attempt = look.attempt(fact.slot);
        let by_labels = || look.ring_of(fleet.label_set(fact.labels)?).map(|ring| &ring.name);
        let Some(ring) = attempt.map(|attempt| &attempt.ring).or_else(by_labels) else { continue };
        let counts = rings.entry(ring.clone()).or_default();
        counts.members += 1;
        if attempt.is_some_and(|attempt| attempt.health == HealthGate::Unknown)
            && matches!(state, AttemptState::Rolling | AttemptState::Succeeded)
        {
            counts.unknown += 1;
        }
        let came = attempt.is_some() || rollouts.has_settled(view.id, fact.slot);
        *match state {
            AttemptState::NotStarted | AttemptState::Unknown => &mut counts.not_started,
            AttemptState::Granted => &mut counts.granted,
            AttemptState::Rolling => &mut counts.rolling,
            AttemptState::Succeeded if came => &mut counts.succeeded,
            AttemptState::Succeeded => &mut counts.there,
            AttemptState::Failed => &mut counts.failed,
            AttemptState::Acknowledged => &mut counts.acknowledged,
        } += 1;
    }
    rings
}
