//! The driver: what was really started on units, and how it ends.

use std::collections::BTreeMap;

use channels::names::UnitName;

use super::super::world::{Dice, at};
use super::plant::Plant;
use crate::driver::{StepId, StepOrder, StepStatus, Task};

/// What becomes of a stage that is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It ends with code 3; a change changes nothing, a drain is refused.
    Fails,
    /// It cannot be started.
    Unstartable,
    /// The change ends well, but the unit comes back in the version it had.
    OldVersion,
}

/// Who keeps a node out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CordonedBy {
    /// This agent, for a step.
    Step(StepId),
    /// Someone else.
    Person,
}

#[derive(Debug, Clone)]
struct Stage {
    since_ms: i64,
    takes_ms: i64,
    exit_code: i32,
    /// It ends when the model's restart ends.
    follows_model: bool,
}

/// Stages, cordons and what befalls the next stage.
#[derive(Debug, Clone, Default)]
pub(super) struct Hands {
    stages: BTreeMap<(StepId, Task), Stage>,
    pub(super) cordons: BTreeMap<UnitName, CordonedBy>,
    pub(super) fates: BTreeMap<Task, Fate>,
    /// Nobody can say how a stage stands.
    pub(super) silent: bool,
    /// Stages take this much longer, milliseconds.
    pub(super) slow_ms: i64,
}

/// What starting a stage did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Started {
    /// It runs.
    Yes,
    /// It did before: nothing happens.
    Before,
    /// It does not.
    No,
}

impl Hands {
    /// Starts a stage; the same step's stage again does nothing.
    pub(super) fn start(
        &mut self,
        sim: &mut Plant,
        order: &StepOrder,
        stage: Task,
        now_ms: i64,
        dice: &mut Dice,
    ) -> Started {
        let id = (order.step_id, stage);
        if self.stages.contains_key(&id) {
            return Started::Before;
        }
        let fate = self.fates.get(&stage).copied();
        if fate == Some(Fate::Unstartable) {
            return Started::No;
        }
        let unit = &order.key.unit;
        let mut made = Stage {
            since_ms: now_ms,
            takes_ms: 300 + i64::try_from(dice.below(1_500)).unwrap() + self.slow_ms,
            exit_code: if fate == Some(Fate::Fails) { 3 } else { 0 },
            follows_model: false,
        };
        match stage {
            Task::Mutate if fate == Some(Fate::OldVersion) => {
                if sim.crash(unit, order.step_id, None, 0).is_err() {
                    return Started::No;
                }
            }
            Task::Mutate if fate.is_none() => {
                if sim.upgrade(unit, order.step_id, &order.component.version).is_err() {
                    return Started::No;
                }
                made.follows_model = true;
            }
            Task::Quiesce => {
                self.cordons.entry(unit.clone()).or_insert(CordonedBy::Step(order.step_id));
            }
            Task::Restore if fate.is_none() => {
                if let Some(CordonedBy::Step(_)) = self.cordons.get(unit) {
                    self.cordons.remove(unit);
                }
            }
            Task::Mutate | Task::Restore | Task::Preflight | Task::Before | Task::After => {}
        }
        self.stages.insert(id, made);
        Started::Yes
    }

    /// How a stage stands; `None` if nobody can say.
    pub(super) fn status(
        &self,
        sim: &Plant,
        step: StepId,
        stage: Task,
        now_ms: i64,
    ) -> Option<StepStatus> {
        if self.silent {
            return None;
        }
        let Some(made) = self.stages.get(&(step, stage)) else { return Some(StepStatus::Absent) };
        let ended = if made.follows_model {
            sim.is_finished(step).unwrap_or(false)
        } else {
            now_ms - made.since_ms >= made.takes_ms
        };
        Some(if ended {
            let log_tail = if made.exit_code == 0 { "" } else { "it said no" }.to_owned();
            StepStatus::Finished { exit_code: made.exit_code, log_tail }
        } else {
            StepStatus::Running { since: at(made.since_ms), detail: None }
        })
    }

    /// Starts a finalize command, once.
    pub(super) fn finalize(&mut self, step: StepId, now_ms: i64) {
        let exit_code = if self.fates.get(&Task::After) == Some(&Fate::Fails) { 3 } else { 0 };
        let made = Stage { since_ms: now_ms, takes_ms: 1_500, exit_code, follows_model: false };
        self.stages.entry((step, Task::After)).or_insert(made);
    }

    /// Whether a stage of the step has said no.
    pub(super) fn refused(&self, step: StepId, stage: Task, now_ms: i64) -> bool {
        self.stages
            .get(&(step, stage))
            .is_some_and(|made| made.exit_code != 0 && now_ms - made.since_ms >= made.takes_ms)
    }

    /// Units this agent keeps out of service.
    pub(super) fn own_cordons(&self) -> impl Iterator<Item = &UnitName> {
        let own = self.cordons.iter().filter(|(_, by)| matches!(by, CordonedBy::Step(_)));
        own.map(|(name, _)| name)
    }
}
