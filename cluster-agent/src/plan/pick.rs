//! Which product has the lane, and which of its units goes next.
//!
//! Controllers, then brokers, then nodes, then workloads; inside a role unhealthy units whose gate
//! holds without them, then pool by pool, zone by zone, followers in id order, and the active controller last even if it is
//! unhealthy. The unit the agent itself runs on goes after everything of its role. The leader is read from the observation at every pick, because leadership moves (I6).

use std::collections::BTreeMap;

use channels::names::{PoolName, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::{Action, HealthVerdict, Role};

use super::checks::{before, has_said_no};
use super::gates::{
    concerns_nobody, hub_wait, own_hold, paused, product_blockers, unknown_versions,
};
use super::metrics::metric_names;
use super::target::{Goal, Stand, Target, stand};
use super::waiting_on::unsafe_to_take_out;
use super::watch::in_the_way;
use super::windows::closed;
use super::{ProductPolicy, ProductRules, Scene, WaitingOn};
use crate::driver::CheckOrder;
use crate::gate::Blocker;
use crate::history::ProductHistory;
use crate::observation::{Finding, UnitKey, UnitObservation};
use crate::phase::elapsed_ms;

/// A hub that said wait without a time is asked again after so long, milliseconds; others may go
/// meanwhile.
const ASK_AGAIN_MS: u64 = 300_000;

/// A unit that does not run the goal.
#[derive(Debug, Clone, PartialEq)]
pub struct Outdated {
    /// The unit.
    pub key: UnitKey,
    /// Its role.
    pub role: Role,
    /// The release it runs.
    pub from: ReleaseVersion,
    /// The release it goes to.
    pub goal: Goal,
    /// Whether it leads its quorum.
    pub is_leader: bool,
}

/// The product in mid-roll: one of its units may have been changed.
pub(super) fn rolling<'a>(scene: &Scene<'a>) -> Option<&'a ProductRef> {
    let begun = |record: &ProductHistory| record.roll.as_ref().is_some_and(|roll| roll.touched);
    scene.history.products.iter().find(|(_, record)| begun(record)).map(|(product, _)| product)
}

/// The product that moves: the one in mid-roll, else the one whose next unit has the lowest role.
/// A product at rest that cannot begin ([`lasting`], or the hub holds it) lets the others pass; it
/// comes back as soon as that ends.
///
/// One product at a time, because one unit at a time is easier to keep when the other products
/// stand still, and because a hub grants one product of a cluster.
pub(super) fn lane<'a>(scene: &Scene<'a>) -> Option<(&'a ProductRef, &'a Goal)> {
    if let Some(product) = rolling(scene) {
        // A roll that is blocked in the middle keeps the lane: nothing else starts beside it.
        return match scene.targets.get_key_value(product) {
            Some((product, Target::Move(goal))) => Some((product, goal)),
            Some((_, Target::Settled | Target::Blocked { .. })) | None => None,
        };
    }
    scene
        .targets
        .iter()
        .filter_map(|(product, target)| match target {
            Target::Move(goal) => Some((product, &**goal)),
            Target::Settled | Target::Blocked { .. } => None,
        })
        .min_by_key(|(product, goal)| {
            let first = next_unit(scene, product, goal);
            let held = first.is_none() || is_held(scene, product, goal, first.as_ref());
            (held, first.is_none(), first.map(|unit| unit.role), (*product).clone())
        })
}

/// What keeps a product at rest from beginning and does not pass by itself soon: `first` is its next
/// unit. What holds every product alike is not among it.
pub(super) fn lasting(
    scene: &Scene<'_>,
    product: &ProductRef,
    goal: &Goal,
    first: Option<&Outdated>,
) -> Vec<WaitingOn> {
    let mut why: Vec<WaitingOn> =
        own_hold(scene, product).into_iter().chain(metric_names(scene, product)).collect();
    why.extend(concerns_nobody(scene, product, goal));
    why.extend(unknown_versions(scene, product, goal));
    if let Some(unit) = first {
        why.extend(closed(scene, &unit.key));
        if has_said_no(scene, product, unit) {
            why.extend(before(scene, product, unit).why);
        }
        let small = |(_, finding): &Blocker| matches!(finding, Finding::QuorumTooSmall { .. });
        let small = blockers(scene, &unit.key).into_iter().find(small);
        why.extend(small.map(|blocker| unsafe_to_take_out(&unit.key.unit, blocker)));
    }
    why.extend(not_its_turn(scene, product));
    why
}

/// The hub said hold (its next regular report tells when that is over), or the product cannot begin
/// for a reason that lasts.
fn is_held(scene: &Scene<'_>, product: &ProductRef, goal: &Goal, first: Option<&Outdated>) -> bool {
    let heard = scene.standing.directives.get(product);
    heard.is_some_and(|heard| heard.directive.action == Action::Hold)
        || !lasting(scene, product, goal, first).is_empty()
}

/// The hub said wait, and when to ask again; or it did not say when, and was asked a while ago.
fn not_its_turn(scene: &Scene<'_>, product: &ProductRef) -> Option<WaitingOn> {
    let heard = scene.standing.directives.get(product)?;
    let directive = &heard.directive;
    // Whoever gets the lane to ask again proves its gates first, and whoever loses it anew.
    let again_ms = ASK_AGAIN_MS.max(scene.policy.timings.baseline_ms.saturating_mul(2));
    let waits = directive.earliest_at.map_or_else(
        || heard.at <= scene.now && elapsed_ms(heard.at, scene.now) < again_ms,
        |earliest| scene.now < earliest,
    );
    (directive.action == Action::Wait && waits).then(|| hub_wait(directive))
}

/// The owner's checks of products that were passed over because one said no: they are made again, or
/// nobody would learn that it says yes by now.
pub(super) fn checks_of_others(scene: &Scene<'_>, lane: &ProductRef) -> Vec<CheckOrder> {
    let moves = scene.targets.iter().filter_map(|(product, target)| match target {
        Target::Move(goal) if product != lane => Some((product, &**goal)),
        Target::Move(_) | Target::Settled | Target::Blocked { .. } => None,
    });
    let due = moves.filter_map(|(product, goal)| {
        let first = next_unit(scene, product, goal)?;
        let stopped = paused(scene).is_some()
            || closed(scene, &first.key).is_some()
            || !product_blockers(scene, product, goal).is_empty();
        let due = !stopped && has_said_no(scene, product, &first);
        due.then(|| before(scene, product, &first).run)
    });
    due.flatten().collect()
}

/// Units of the lowest role that has outdated ones; all of the roles below run the goal.
pub fn candidates(scene: &Scene<'_>, product: &ProductRef, goal: &Goal) -> Vec<Outdated> {
    let mut found: Vec<Outdated> = units(scene, product)
        .filter_map(|(key, unit)| match stand(scene, key, goal) {
            Stand::Behind(from) => Some(Outdated {
                key: key.clone(),
                role: unit.role,
                from,
                goal: goal.clone(),
                is_leader: unit.is_leader,
            }),
            Stand::NotConcerned | Stand::AtGoal | Stand::Foreign(_) | Stand::Silent => None,
        })
        .collect();
    let lowest = found.iter().map(|c| c.role).min();
    found.retain(|c| Some(c.role) == lowest);
    found
}

/// The unit that goes next; `None` if every unit runs the goal or cannot be told.
pub(super) fn next_unit(scene: &Scene<'_>, product: &ProductRef, goal: &Goal) -> Option<Outdated> {
    let policy = scene.policy.products.get(product);
    let candidates = candidates(scene, product, goal);
    // A calendar is asked once per pool: all candidates have one role.
    let mut shut: BTreeMap<&PoolName, bool> = BTreeMap::new();
    for candidate in &candidates {
        if let Some(unit) = scene.observation.units.get(&candidate.key) {
            shut.entry(&unit.pool).or_insert_with(|| closed(scene, &candidate.key).is_some());
        }
    }
    candidates.into_iter().min_by_key(|candidate| rank(scene, policy, &shut, candidate))
}

/// Leads, hosts the agent, its pool is closed, is well, place of its pool, of its zone, its id.
type Rank = (bool, bool, bool, bool, usize, (usize, String), i64, UnitKey);

fn blockers(scene: &Scene<'_>, key: &UnitKey) -> Vec<Blocker> {
    in_the_way(key, scene.observation, scene.history, &scene.policy.gate)
}

/// Sort key of one candidate: lowest goes first.
fn rank(
    scene: &Scene<'_>,
    policy: Option<&ProductPolicy>,
    shut: &BTreeMap<&PoolName, bool>,
    candidate: &Outdated,
) -> Rank {
    let unit = scene.observation.units.get(&candidate.key);
    let ill = unit.is_none_or(|unit| unit.verdict != HealthVerdict::Healthy);
    // I5: an unhealthy unit goes first, but only if the others can do without it.
    let goes_first = ill && blockers(scene, &candidate.key).is_empty();
    let pool = unit.map(|unit| &unit.pool);
    let pool_place = policy
        .and_then(|policy| policy.pools.iter().position(|p| Some(p) == pool))
        .unwrap_or(usize::MAX);
    let zone = policy
        .map_or_else(Default::default, |policy| zone_place(&policy.rules, pool, &candidate.key));
    let node_id = unit.and_then(|unit| unit.node_id).unwrap_or(i64::MAX);
    let hosts_agent = scene.policy.hosts.contains(&candidate.key);
    let key = candidate.key.clone();
    // Another pool of the role need not wait for one that is paused or outside its windows.
    let closed = pool.is_some_and(|pool| shut.get(pool) == Some(&true));
    (candidate.is_leader, hosts_agent, closed, !goes_first, pool_place, zone, node_id, key)
}

/// One zone of a pool after another: those its rules list, then others by name, then units that
/// have none.
fn zone_place(rules: &ProductRules, pool: Option<&PoolName>, key: &UnitKey) -> (usize, String) {
    let Some(zone) = rules.zones.get(&key.unit) else { return (usize::MAX, String::new()) };
    let listed = pool.and_then(|pool| rules.pools.get(pool));
    let place = listed.and_then(|rules| rules.zones.iter().position(|listed| listed == zone));
    (place.unwrap_or(usize::MAX - 1), zone.clone())
}

/// A product whose units all run the goal, so that its move is complete.
pub(super) fn completed<'a>(scene: &Scene<'a>) -> Option<(&'a ProductRef, &'a Goal)> {
    scene.targets.iter().find_map(|(product, target)| match target {
        Target::Move(goal) => {
            let mut proved = false;
            let all = units(scene, product).all(|(key, unit)| {
                // A remembered version is no evidence that a unit runs the goal: it must say so.
                match stand(scene, key, goal) {
                    Stand::AtGoal => {
                        proved |= unit.version.is_some();
                        unit.version.is_some()
                    }
                    Stand::NotConcerned => true,
                    Stand::Behind(_) | Stand::Foreign(_) | Stand::Silent => false,
                }
            });
            // A release that concerns no unit here proves nothing by being everywhere.
            (all && proved).then_some((product, &**goal))
        }
        Target::Settled | Target::Blocked { .. } => None,
    })
}

/// The product's units.
pub(super) fn units<'a>(
    scene: &Scene<'a>,
    product: &'a ProductRef,
) -> impl Iterator<Item = (&'a UnitKey, &'a UnitObservation)> {
    scene.observation.units.iter().filter(move |(key, _)| key.product == *product)
}
