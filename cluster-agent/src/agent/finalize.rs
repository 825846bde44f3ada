//! How a product arrives, and how its finalize step runs.
//!
//! Pure; part of [`Core`]. The step is written down before its command starts; after a crash it is
//! found again by its id, and one that never started goes back through all of its gates.

use std::collections::BTreeMap;

use channels::names::ProductRef;
use channels::wire;
use jiff::Timestamp;

use super::core::{Change, Core};
use crate::driver::{FinalizeOrder, StepId, StepStatus};
use crate::history::{Arrived, FinalizeRun, ProductHistory};
use crate::phase::command_failed;
use crate::plan::Goal;
use crate::state::{FinalizeApproval, LevelUnchanged};

/// Gate of the pause after a finalize step that failed, and the name its sentence uses.
const STAGE: &str = "finalize";

impl Core {
    /// Every unit of the product runs the goal and has soaked.
    pub(super) fn arrive(&mut self, product: &ProductRef, goal: Goal, now: Timestamp) -> Change {
        let Goal { to, release_digest, finalize, components, .. } = goal;
        let runs: BTreeMap<_, _> =
            components.into_iter().map(|(role, component)| (role, component.version)).collect();
        let arrived = Arrived { to, release_digest, finalize, runs };
        self.history.complete(product, &arrived, now);
        self.retarget(now);
        Change::moved()
    }

    /// Writes the step down; the shell starts its command once that is on disk.
    pub(super) fn begin_finalize(
        &mut self,
        product: &ProductRef,
        approval: FinalizeApproval,
        step: StepId,
        now: Timestamp,
    ) -> Change {
        let record = self.history.products.get_mut(product);
        let Some(pending) = record.and_then(|record| record.finalization.as_mut()) else {
            return Change::default();
        };
        let order = FinalizeOrder {
            step_id: step,
            product: product.clone(),
            release: pending.release.clone(),
            release_digest: pending.release_digest,
            level: pending.level.clone(),
        };
        pending.run = Some(FinalizeRun {
            order: order.clone(),
            started_at: now,
            approved_at: approval.at,
            approved_by: approval.by,
        });
        self.start_error = None;
        Change { finalize: Some(order), ..Change::moved() }
    }

    /// The finalize step whose status is to be asked for.
    pub fn finalizing(&self) -> Option<&FinalizeRun> {
        self.history.products.values().find_map(|record| record.finalization.as_ref()?.run.as_ref())
    }

    /// Takes in how the command of the finalize step stands.
    pub fn finalize_told(&mut self, status: &StepStatus, now: Timestamp) -> Change {
        let Some(run) = self.finalizing().cloned() else { return Change::default() };
        let mut began = true;
        let failed = match status {
            StepStatus::Running { .. } => return Change::default(),
            StepStatus::Finished { exit_code: 0, .. } => None,
            StepStatus::Finished { exit_code, log_tail } => {
                Some(command_failed(STAGE, *exit_code, log_tail, now))
            }
            StepStatus::Absent => {
                let Some(error) = &self.start_error else {
                    // A crash between the write and the start: its gates are asked again.
                    if let Some(record) = self.record_of(&run) {
                        record.finalize_withdrawn();
                    }
                    return Change { persist: true, ..Change::default() };
                };
                began = false;
                Some(not_started(error, now))
            }
        };
        let Some(record) = self.record_of(&run) else { return Change::default() };
        match failed {
            None => {
                record.finalize_done(now);
                self.retarget(now);
                Change::moved()
            }
            Some(why) => {
                if began {
                    record.finalize_failed(now);
                } else {
                    record.finalize_not_started();
                }
                self.retarget(now);
                self.pause(why, now).and(Change::moved())
            }
        }
    }

    /// Takes in what people say about levels whose step failed.
    pub fn levels_unchanged(&mut self, stated: &[LevelUnchanged], now: Timestamp) -> Change {
        let mut changed = false;
        for LevelUnchanged { product, release, at, .. } in stated {
            if let Some(record) = self.history.products.get_mut(product) {
                changed |= record.level_unchanged(release, *at);
            }
        }
        if changed {
            self.retarget(now);
        }
        Change { persist: changed, ..Change::default() }
    }

    fn record_of(&mut self, run: &FinalizeRun) -> Option<&mut ProductHistory> {
        self.history.products.get_mut(&run.order.product)
    }
}

fn not_started(error: &str, now: Timestamp) -> wire::WaitingOn {
    wire::WaitingOn {
        gate: "finalize_failed".to_owned(),
        unit: None,
        message: format!("the finalize command could not be started: {error}"),
        observed: None,
        limit: None,
        since: Some(now),
    }
}
