//! The gates before a unit is taken out: one function per gate, each `Some(reason)` or `None`.
//!
//! A gate that cannot tell blocks. Gates of the product come first, then those of the unit, then
//! the hub's grant, which is only asked for when everything on the cluster is ready.

use channels::names::ProductRef;
use channels::wire::{Action, Directive, Grant, Role};
use jiff::Timestamp;

use super::facts::{lease, quorum_change};
use super::metrics::metric_names;
use super::pick::{candidates, units};
use super::target::{Goal, Stand, Target, stand};
use super::waiting_on::{WaitingOn, unsafe_to_take_out};
use super::watch::{evidence_at, in_the_way};
use super::windows::closed;
use super::{Disowned, Grants, Heard, Scene};
use crate::gate::stop_conditions;
use crate::history::{Out, RefusedStep};
use crate::observation::UnitKey;
use crate::phase::elapsed_ms;
use crate::state::LocalHold;

/// A gate must hold at this many probes, each the gate interval after the last (invariant I2).
const GATE_PROBES: u32 = 2;

/// Gates of commands that failed before anything was changed; they are run again by themselves.
const COMMANDS_FAILED: [&str; 2] = ["preflight_failed", "quiesce_failed"];

/// A clock that is being slewed may seem to go back by a little, milliseconds.
const CLOCK_SLACK_MS: i64 = 500;

/// Everything about the product that forbids a start.
pub(super) fn product_blockers(
    scene: &Scene<'_>,
    product: &ProductRef,
    goal: &Goal,
) -> Vec<WaitingOn> {
    local_hold(scene, product)
        .into_iter()
        .chain(lease(scene))
        .chain(quorum_change(scene))
        .chain(metric_names(scene, product))
        .chain(concerns_nobody(scene, product, goal))
        .chain(unknown_versions(scene, product, goal))
        .collect()
}

/// Everything about one unit that forbids taking it out now, the hub's leave apart.
pub(super) fn step_blockers(scene: &Scene<'_>, key: &UnitKey) -> Vec<WaitingOn> {
    let mut why: Vec<WaitingOn> =
        [paused(scene), step_refused(scene, key), closed(scene, key), evidence_old(scene, key)]
            .into_iter()
            .flatten()
            .collect();
    let mut unsafe_now = unsafe_to_go(scene, key);
    if unsafe_now.is_empty() {
        // What would pause the roll at its first moment keeps it from beginning.
        let stops = stop_conditions(Some(key), scene.observation, &scene.policy.gate);
        unsafe_now.extend(stops.into_iter().map(|stop| unsafe_to_take_out(&key.unit, stop)));
    }
    if unsafe_now.is_empty() {
        why.extend([baseline(scene, key), gate_twice(scene, key)].into_iter().flatten());
    } else {
        why.extend(unsafe_now);
    }
    why
}

/// The gates that are asked again for a unit that is already out but not yet changed, right before
/// its drain and again before its change (draining can take minutes).
pub fn go_blockers(scene: &Scene<'_>, key: &UnitKey) -> Vec<WaitingOn> {
    let mut why = unsafe_to_go(scene, key);
    why.extend(evidence_old(scene, key));
    why.extend(leader_now(scene, key));
    if scene.history.baseline_owed_since.is_some() && is_first_attempt(scene, key) {
        why.extend(baseline(scene, key));
    }
    if why.is_empty() {
        why.extend(gate_twice(scene, key));
    }
    why
}

/// A unit that is tried again may be broken by the first attempt: it does not wait for calm.
fn is_first_attempt(scene: &Scene<'_>, key: &UnitKey) -> bool {
    let out = scene.history.out.as_ref().filter(|out| out.key() == key);
    out.is_some_and(|out| out.order.attempt <= 1)
}

/// The roll is stopped until a person resumes it.
pub(super) fn paused(scene: &Scene<'_>) -> Option<WaitingOn> {
    let pause = scene.history.pause.as_ref()?;
    Some(WaitingOn::Paused { why: pause.why.clone(), since: pause.at })
}

/// Someone on the cluster said stop, to all of it or to the product.
pub fn local_hold(scene: &Scene<'_>, product: &ProductRef) -> Option<WaitingOn> {
    let hold = scene.standing.hold.as_ref().map(held_by);
    hold.or_else(|| own_hold(scene, product))
}

/// Someone said stop to this product alone.
pub(super) fn own_hold(scene: &Scene<'_>, product: &ProductRef) -> Option<WaitingOn> {
    scene.policy.products.get(product)?.rules.hold.as_ref().map(held_by)
}

fn held_by(hold: &LocalHold) -> WaitingOn {
    WaitingOn::LocalHold { reason: hold.reason.clone(), since: hold.since }
}

/// I2: the last probe of the unit and its peers is too old to act on.
pub(super) fn evidence_old(scene: &Scene<'_>, key: &UnitKey) -> Option<WaitingOn> {
    let age_ms = elapsed_ms(evidence_at(scene.observation, key), scene.now);
    let role = scene.observation.units.get(key).map(|unit| unit.role);
    let limit_ms = match role {
        Some(Role::Node) => scene.policy.timings.node_observation_max_ms,
        Some(Role::Controller | Role::Broker | Role::Workload) | None => {
            scene.policy.timings.observation_max_ms
        }
    };
    (age_ms > limit_ms).then_some(WaitingOn::ObservationOld { age_ms, limit_ms })
}

/// A release without a component for any unit: rolling it would prove nothing.
pub(super) fn concerns_nobody(
    scene: &Scene<'_>,
    product: &ProductRef,
    goal: &Goal,
) -> Option<WaitingOn> {
    let nobody = units(scene, product)
        .all(|(key, _)| matches!(stand(scene, key, goal), Stand::NotConcerned));
    nobody.then(|| WaitingOn::NoComponent { to: goal.to.clone() })
}

/// I6: a unit that was picked as a follower and leads by now lets the others go first. One whose
/// change was tried before is out until it is tried again: nobody else can go before it.
fn leader_now(scene: &Scene<'_>, key: &UnitKey) -> Option<WaitingOn> {
    let out = scene.history.out.as_ref().filter(|out| out.key() == key && !out.is_touched())?;
    let leads = scene.observation.units.get(key).is_some_and(|unit| unit.is_leader);
    let Some(Target::Move(goal)) = scene.targets.get(&key.product) else { return None };
    let others = candidates(scene, &key.product, goal).into_iter().any(|c| c.key != *key);
    (leads && !out.leadership.was_leader && others)
        .then(|| WaitingOn::LeaderNow { unit: key.unit.clone() })
}

/// Units whose release cannot be told: nothing moves around what is not understood.
pub(super) fn unknown_versions(
    scene: &Scene<'_>,
    product: &ProductRef,
    goal: &Goal,
) -> Vec<WaitingOn> {
    units(scene, product)
        .filter_map(|(key, _)| match stand(scene, key, goal) {
            Stand::Foreign(version) => {
                Some(WaitingOn::VersionUnknown { unit: key.unit.clone(), version })
            }
            Stand::Silent => Some(WaitingOn::VersionMissing { unit: key.unit.clone() }),
            Stand::NotConcerned | Stand::AtGoal | Stand::Behind(_) => None,
        })
        .collect()
}

/// G(x): what the health gates say, every blocker of them.
fn unsafe_to_go(scene: &Scene<'_>, key: &UnitKey) -> Vec<WaitingOn> {
    in_the_way(key, scene.observation, scene.history, &scene.policy.gate)
        .into_iter()
        .map(|blocker| unsafe_to_take_out(&key.unit, blocker))
        .chain(stale_pages(scene, key))
        .collect()
}

/// Voters whose pages stand still: the lags computed from them say nothing. The unit itself does
/// not count (it is to be restarted), unless it leads: then every other lag is measured against it.
pub(super) fn stale_pages(scene: &Scene<'_>, key: &UnitKey) -> Vec<WaitingOn> {
    let limit_ms = scene.policy.timings.page_still_ms;
    let units = &scene.observation.units;
    let voters = units.iter().filter(|(voter, unit)| {
        unit.role == Role::Controller
            && voter.product == key.product
            && (*voter != key || unit.is_leader)
    });
    scene
        .standing
        .stillness
        .still(voters.map(|(voter, _)| voter), scene.observation, limit_ms)
        .into_iter()
        .map(|still| match still.for_ms {
            Some(observed_ms) => {
                WaitingOn::PageStill { unit: still.key.unit, observed_ms, limit_ms }
            }
            None => WaitingOn::PageUnproved { unit: still.key.unit },
        })
        .collect()
}

/// A step that was refused before its change waits a while before it is tried again.
fn step_refused(scene: &Scene<'_>, key: &UnitKey) -> Option<WaitingOn> {
    let refused = scene.history.refused.as_ref().filter(|refused| refused.key == *key)?;
    let waited_ms = elapsed_ms(refused.at, scene.now);
    let left_ms = scene.policy.timings.refused_retry_ms.checked_sub(waited_ms)?;
    (left_ms > 0).then(|| refused_so_far(refused, left_ms))
}

/// A command that said no to the unit before and is asked again: until it has answered, nothing
/// else says why the unit has not gone for so long. No gate: it forbids nothing.
pub(super) fn failed_before(scene: &Scene<'_>, key: &UnitKey) -> Option<WaitingOn> {
    let refused = scene.history.refused.as_ref().filter(|last| last.key == *key)?;
    let again = step_refused(scene, key).is_none();
    let failed = COMMANDS_FAILED.contains(&refused.why.gate.as_str());
    (failed && again).then(|| refused_so_far(refused, 0))
}

fn refused_so_far(refused: &RefusedStep, left_ms: u64) -> WaitingOn {
    WaitingOn::StepRefused {
        unit: refused.key.unit.clone(),
        why: refused.why.clone(),
        left_ms,
        times: refused.times_before.saturating_add(1),
        since: refused.since(),
    }
}

/// A roll begins, and a resumed one goes on, only after a time in which the gates held.
fn baseline(scene: &Scene<'_>, key: &UnitKey) -> Option<WaitingOn> {
    let record = scene.history.products.get(&key.product);
    let begun = record.and_then(|r| r.roll.as_ref()).is_some_and(|roll| roll.touched);
    let owed_since = match (begun, scene.history.baseline_owed_since) {
        (_, Some(since)) => since,
        (false, None) => Timestamp::MIN,
        (true, None) => return None,
    };
    let limit_ms = scene.policy.timings.baseline_ms;
    let observed_ms = scene
        .standing
        .watch
        .held(key)
        .map_or(0, |held| elapsed_ms(held.since.max(owed_since), held.last));
    (observed_ms < limit_ms).then(|| WaitingOn::Baseline {
        unit: key.unit.clone(),
        observed_ms,
        limit_ms,
    })
}

/// I2: one good probe is not enough.
fn gate_twice(scene: &Scene<'_>, key: &UnitKey) -> Option<WaitingOn> {
    let observed = scene.standing.watch.held(key).map_or(0, |held| held.probes);
    (observed < GATE_PROBES).then(|| WaitingOn::GateOnce {
        unit: key.unit.clone(),
        observed,
        limit: GATE_PROBES,
    })
}

/// The hub's leave: fresh, for this cluster, this release and these bytes, renewed since the last
/// unit, so that a hold placed meanwhile is seen before the next unit and not after it.
pub(super) fn grant(scene: &Scene<'_>, product: &ProductRef, goal: &Goal) -> Option<WaitingOn> {
    let Grants::From(cluster) = scene.policy.grants else { return None };
    if let Some(disowned) = disowned(scene) {
        return Some(disowned);
    }
    let heard = scene.standing.directives.get(product);
    if let Some(error) = &scene.standing.hub_error
        && heard.is_none_or(|heard| !is_fresh(scene, heard))
    {
        return Some(WaitingOn::HubUnreachable { why: error.why.clone(), since: error.since });
    }
    let Some(heard) = heard else { return Some(WaitingOn::NotAsked) };
    match heard.directive.action {
        Action::Hold => Some(hub_hold(&heard.directive)),
        Action::Wait => Some(hub_wait(&heard.directive)),
        Action::Proceed => {
            let Some(grant) = &heard.directive.grant else {
                let why = "the hub said proceed without one".to_owned();
                return Some(WaitingOn::GrantUnfit { why });
            };
            grant_unfit(grant, cluster, product, goal, scene.history.highest_generation)
                .or_else(|| grant_expired(scene, grant))
                .or_else(|| (!is_fresh(scene, heard)).then_some(WaitingOn::GrantNotRenewed))
        }
    }
}

/// The hub refuses the cluster's key.
pub fn disowned(scene: &Scene<'_>) -> Option<WaitingOn> {
    let Disowned { code, why, since } = scene.standing.disowned.clone()?;
    Some(WaitingOn::Disowned { code, why, since })
}

/// Something else moves.
pub(super) fn other_product(scene: &Scene<'_>, moving: &ProductRef) -> WaitingOn {
    let out = scene.history.out.as_ref().map(Out::key).filter(|key| key.product == *moving);
    let unit = out.map(|key| key.unit.clone());
    WaitingOn::OtherProduct { product: moving.clone(), unit }
}

/// What the hub said no with, or that it says nothing.
pub(super) fn refusal_of_hub(
    scene: &Scene<'_>,
    product: &ProductRef,
    goal: &Goal,
) -> Option<WaitingOn> {
    grant(scene, product, goal).filter(|why| {
        matches!(
            why,
            WaitingOn::HubHold { .. }
                | WaitingOn::Disowned { .. }
                | WaitingOn::HubWait { .. }
                | WaitingOn::HubUnreachable { .. }
        )
    })
}

/// Heard after the last step ended, and not long ago. What was heard in the future was heard before
/// the clock went back, nobody knows how long ago.
fn is_fresh(scene: &Scene<'_>, heard: &Heard) -> bool {
    scene.history.last_step_ended_at.is_none_or(|ended| heard.at > ended)
        && heard.at.as_millisecond().saturating_sub(scene.now.as_millisecond()) <= CLOCK_SLACK_MS
        && elapsed_ms(heard.at, scene.now) <= scene.policy.timings.grant_max_age_ms
}

/// Whether a report that was sent a moment ago has been answered: a hold would have been heard.
pub fn heard_lately(scene: &Scene<'_>) -> bool {
    let limit_ms = scene.policy.timings.grant_max_age_ms;
    scene
        .standing
        .answered_report_at
        .is_some_and(|sent| sent <= scene.now && elapsed_ms(sent, scene.now) <= limit_ms)
}

pub(super) fn hub_hold(directive: &Directive) -> WaitingOn {
    let (code, message) = reasons(directive, "held");
    WaitingOn::HubHold { code, message }
}

pub(super) fn hub_wait(directive: &Directive) -> WaitingOn {
    let (code, message) = reasons(directive, "not this cluster's turn");
    WaitingOn::HubWait { code, message, earliest_at: directive.earliest_at }
}

fn reasons(directive: &Directive, none: &str) -> (String, String) {
    let Some(first) = directive.reasons.first() else {
        return ("unexplained".to_owned(), none.to_owned());
    };
    let messages: Vec<&str> = directive.reasons.iter().map(|r| r.message.as_str()).collect();
    (first.code.clone(), messages.join("; "))
}

fn grant_unfit(
    grant: &Grant,
    cluster: channels::names::ClusterId,
    product: &ProductRef,
    goal: &Goal,
    highest_generation: u64,
) -> Option<WaitingOn> {
    let why = if grant.cluster != cluster {
        "it names another cluster".to_owned()
    } else if grant.product != *product {
        format!("it is for {}", grant.product)
    } else if grant.to != goal.to {
        format!("it is for release {}, not {}", grant.to, goal.to)
    } else if grant.release_digest != goal.release_digest {
        "it names another release document".to_owned()
    } else if grant.generation < highest_generation {
        format!("its generation {} is older than {highest_generation}", grant.generation)
    } else {
        return None;
    };
    Some(WaitingOn::GrantUnfit { why })
}

fn grant_expired(scene: &Scene<'_>, grant: &Grant) -> Option<WaitingOn> {
    (scene.now >= grant.expires_at).then_some(WaitingOn::GrantExpired { at: grant.expires_at })
}
