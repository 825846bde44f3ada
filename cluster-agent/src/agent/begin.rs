//! How a step begins: a unit is taken out, or one that changed by itself is adopted.
//!
//! Pure; part of [`Core`]. Nothing here decides *whether* a step may begin.

use channels::wire::HealthVerdict;
use jiff::Timestamp;

use super::core::{Change, Core};
use crate::driver::{StepId, StepOrder};
use crate::gate::MutateRecord;
use crate::history::{Cause, Leadership, Out};
use crate::phase::Phase;
use crate::plan::{Outdated, Stray};

impl Core {
    /// Takes the planned unit out: nothing is changed yet, but the lane is its.
    pub(super) fn take_out(&mut self, outdated: Outdated, step: StepId, now: Timestamp) -> Change {
        let Outdated { key, role, from, goal, is_leader } = outdated;
        let Some(observation) = &self.observation else { return Change::default() };
        let Some(unit) = observation.units.get(&key) else { return Change::default() };
        let Some(component) = goal.components.get(&role).cloned() else { return Change::default() };
        let grant = self
            .standing
            .directives
            .get(&key.product)
            .and_then(|heard| heard.directive.grant.as_ref())
            .filter(|grant| grant.to == goal.to);
        let before = MutateRecord::before(&key, observation);
        let leader = observation.quorums.get(&key.product).and_then(|q| q.leader.clone());
        let generation = grant.map_or(0, |grant| grant.generation);
        let out = Out {
            order: StepOrder {
                step_id: step,
                key: key.clone(),
                role,
                from,
                to: goal.to.clone(),
                component,
                attempt: 1,
            },
            pool: unit.pool.clone(),
            cause: Cause::Planned,
            grant_expires_at: grant.map(|grant| grant.expires_at),
            before,
            leadership: Leadership {
                was_leader: is_leader,
                led_at_change: None,
                leader,
                changes: 0,
            },
            phase: Phase::first(now),
            unstarted: None,
            disturbed: false,
            changed_in: None,
            failed: None,
            was_ill: unit.verdict != HealthVerdict::Healthy,
        };
        self.history.highest_generation = self.history.highest_generation.max(generation);
        self.history.begin_roll(&key.product, &goal.to, goal.release_digest, now);
        self.history.out = Some(out);
        Change::moved()
    }

    /// Watches a unit that changed by itself like one that was changed.
    pub(super) fn adopt(&mut self, stray: Stray, step: StepId, now: Timestamp) -> Change {
        let Stray { key, runs, goal, component, before } = stray;
        let Some(observation) = &self.observation else { return Change::default() };
        let Some(unit) = observation.units.get(&key) else { return Change::default() };
        let leader = observation.quorums.get(&key.product).and_then(|q| q.leader.clone());
        self.history.out = Some(Out {
            order: StepOrder {
                step_id: step,
                key,
                role: unit.role,
                from: runs,
                to: goal.to,
                component,
                attempt: 1,
            },
            pool: unit.pool.clone(),
            cause: Cause::Adopted,
            grant_expires_at: None,
            before,
            // It may have led before it went: its own election is not held against it.
            leadership: Leadership {
                was_leader: true,
                led_at_change: Some(true),
                leader,
                changes: 0,
            },
            phase: Phase::adopted(now),
            unstarted: None,
            disturbed: false,
            changed_in: None,
            failed: None,
            was_ill: false,
        });
        Change::moved()
    }
}
