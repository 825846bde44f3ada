//! Units that change by themselves: a stray restart in mid-roll is watched like a planned one.
//!
//! Under `OnDelete` a pod that is evicted for other reasons comes back in the new version; a
//! crashed process comes back in the old one. Either way a unit was just out, and the next one must
//! not follow before it is healthy and has soaked.

use channels::version::ReleaseVersion;
use channels::wire::Component;

use super::target::{Stand, Target, plain, stand};
use super::{Goal, Scene};
use crate::gate::MutateRecord;
use crate::history::{Calm, History};
use crate::observation::{Observation, UnitKey, UnitObservation};

/// A unit that restarted or changed by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Stray {
    /// The unit.
    pub key: UnitKey,
    /// The release it runs.
    pub runs: ReleaseVersion,
    /// The goal of the roll that is under way.
    pub goal: Goal,
    /// The component whose version it must keep reporting.
    pub component: Component,
    /// How it looked before.
    pub before: MutateRecord,
}

/// The first unit of the rolling product that is not as it was.
pub(super) fn stray(scene: &Scene<'_>) -> Option<Stray> {
    scene.targets.iter().find_map(|(product, target)| {
        let Target::Move(goal) = target else { return None };
        scene.history.products.get(product)?.roll.as_ref().filter(|roll| roll.touched)?;
        super::pick::units(scene, product)
            .find_map(|(key, unit)| stray_unit(scene, key, unit, goal))
    })
}

fn stray_unit(
    scene: &Scene<'_>,
    key: &UnitKey,
    unit: &UnitObservation,
    goal: &Goal,
) -> Option<Stray> {
    let calm = scene.history.calm.get(key)?;
    let version = unit.version.as_deref()?;
    let changed = plain(version) != plain(&calm.version);
    if !changed && !restarted(calm, unit) {
        return None;
    }
    let target = goal.components.get(&unit.role)?;
    let runs = match stand(scene, key, goal) {
        Stand::AtGoal => goal.to.clone(),
        Stand::Behind(release) => release,
        Stand::NotConcerned | Stand::Foreign(_) | Stand::Silent => return None,
    };
    let component = Component { version: version.to_owned(), ..target.clone() };
    let before = MutateRecord {
        at: scene.now,
        incarnation_before: calm.incarnation.clone().filter(|_| restarted(calm, unit)),
        process_start_before: calm.process_start_s.filter(|_| restarted(calm, unit)),
        pleg_p99_before_ms: None,
        leader_offset_at_return: None,
        epoch_at_soak: None,
    };
    Some(Stray { key: key.clone(), runs, goal: goal.clone(), component, before })
}

fn restarted(calm: &Calm, unit: &UnitObservation) -> bool {
    let another_life = match (&calm.incarnation, &unit.incarnation) {
        (Some(before), Some(seen)) => before != seen,
        (None, _) | (_, None) => false,
    };
    another_life
        || match (calm.process_start_s, unit.process_start) {
            (Some(before), Some(seen)) => !is_same_start(before, seen),
            (None, _) | (_, None) => false,
        }
}

/// Remembers how units look while nobody touches them; says whether anything changed.
///
/// A unit of a product in mid-roll is left as remembered when it looks different: the planner
/// adopts it first, and [`forget`](History) happens when its soak ends.
pub fn note_calm(history: &mut History, observation: &Observation) -> bool {
    let mut changed = false;
    for (key, unit) in &observation.units {
        if history.is_out(key) {
            continue;
        }
        let Some(version) = unit.version.clone() else { continue };
        let seen = calm_of(version, unit);
        let rolling = history.products.get(&key.product).and_then(|p| p.roll.as_ref());
        let settled = rolling.is_none_or(|roll| !roll.touched);
        if !history.calm.contains_key(key) || settled && history.calm.get(key) != Some(&seen) {
            history.calm.insert(key.clone(), seen);
            changed = true;
        }
    }
    changed
}

/// Remembers a unit as it is after its own step.
pub fn calm_down(history: &mut History, key: &UnitKey, observation: &Observation) {
    let Some(unit) = observation.units.get(key) else { return };
    let Some(version) = unit.version.clone() else { return };
    history.calm.insert(key.clone(), calm_of(version, unit));
}

fn calm_of(version: String, unit: &UnitObservation) -> Calm {
    let (process_start_s, incarnation) = (unit.process_start, unit.incarnation.clone());
    Calm { version, process_start_s, incarnation }
}

/// Two readings of a start time closer than this are the same process: exporters round. Seconds.
const SAME_START_S: f64 = 1.0;

/// Whether two readings of a start time are of the same process.
fn is_same_start(before: f64, now: f64) -> bool {
    (now - before).abs() <= SAME_START_S
}
