//! Windows, freezes and paused pools: when a unit may start at all.
//!
//! A closing window never interrupts a unit that is out; so a unit starts only if it can be expected
//! to be finished before the window closes.

use channels::names::{PoolName, ProductRef};
use channels::rollout::{Calendar, Opening};
use channels::wire::Role;
use jiff::{SignedDuration, Timestamp};

use super::{ProductRules, Scene, WaitingOn};
use crate::observation::UnitKey;
use crate::phase::elapsed_ms;

/// The pool is paused, or a calendar is closed, or closes too soon for the unit.
pub(super) fn closed(scene: &Scene<'_>, key: &UnitKey) -> Option<WaitingOn> {
    let rules = &scene.policy.products.get(&key.product)?.rules;
    let unit = scene.observation.units.get(key)?;
    if rules.pools.get(&unit.pool).is_some_and(|pool| pool.paused) {
        return Some(WaitingOn::PoolPaused { pool: unit.pool.clone() });
    }
    let calendars = || calendars(rules, &unit.pool);
    calendars()
        .find_map(|(calendar, pool)| shut(calendar, pool, scene.now))
        .or_else(|| too_short(scene, key, unit.role, calendars()))
}

/// The product's own calendar is closed.
pub(super) fn product_closed(scene: &Scene<'_>, product: &ProductRef) -> Option<WaitingOn> {
    shut(&scene.policy.products.get(product)?.rules.windows, None, scene.now)
}

fn calendars<'a>(
    rules: &'a ProductRules,
    pool: &'a PoolName,
) -> impl Iterator<Item = (&'a Calendar, Option<&'a PoolName>)> {
    let own = rules.pools.get(pool).map(|rules| (&rules.windows, Some(pool)));
    [(&rules.windows, None)].into_iter().chain(own)
}

fn shut(calendar: &Calendar, pool: Option<&PoolName>, now: Timestamp) -> Option<WaitingOn> {
    let pool = pool.cloned();
    match calendar.opening(now) {
        Opening::Open => None,
        Opening::OutsideWindows { opens_at } => Some(WaitingOn::Window { pool, opens_at }),
        Opening::Frozen { reason, opens_at } => Some(WaitingOn::Freeze { pool, reason, opens_at }),
    }
}

/// No unit starts that cannot finish inside its window.
fn too_short<'a>(
    scene: &Scene<'_>,
    key: &UnitKey,
    role: Role,
    calendars: impl Iterator<Item = (&'a Calendar, Option<&'a PoolName>)>,
) -> Option<WaitingOn> {
    let needs_ms = expected_ms(scene, &key.product, role);
    let length = SignedDuration::from_millis(i64::try_from(needs_ms).unwrap_or(i64::MAX));
    let end = scene.now.saturating_add(length).unwrap_or(Timestamp::MAX);
    let (closes_at, calendar) = calendars
        .filter_map(|(calendar, _)| Some((calendar.closes_between(scene.now, end)?, calendar)))
        .min_by_key(|(at, _)| *at)?;
    Some(WaitingOn::WindowTooShort {
        unit: key.unit.clone(),
        needs_ms,
        left_ms: elapsed_ms(scene.now, closes_at),
        closes_at,
        opens_at: calendar.next_open(closes_at),
    })
}

/// How long a step of this role may be expected to take: the median of the last ones of this
/// product on this cluster, or what the configuration expects.
pub fn expected_ms(scene: &Scene<'_>, product: &ProductRef, role: Role) -> u64 {
    let taken = scene.history.products.get(product).and_then(|record| record.step_ms.get(&role));
    taken.and_then(|taken| median(taken)).unwrap_or_else(|| scene.policy.timings.expected(role))
}

/// The middle one, of an even number the longer of the two.
fn median(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_of_nothing_there_is_none() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7]), Some(7));
        assert_eq!(median(&[9, 1]), Some(9));
        assert_eq!(median(&[900, 1, 5]), Some(5));
    }
}
