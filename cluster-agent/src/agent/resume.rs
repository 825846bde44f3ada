//! How a roll goes on after a pause, when a person says so.
//!
//! Pure; part of [`Core`]. Nothing here judges whether the cluster is well: a green window is owed.

use jiff::Timestamp;

use super::core::{Change, Core, STAGE_NOT_STARTED};
use crate::driver::StepId;
use crate::history::{Leadership, Pause};
use crate::phase::{Effect, Event, Hooks, Illegal, Retry};
use crate::plan::lease;
use crate::state::ResumeOrder;

/// Pauses whose step itself failed: `resume` tries the step again under a new id.
const RETRIED: [&str; 5] =
    ["mutate_failed", "return_overdue", "restore_failed", "after_failed", STAGE_NOT_STARTED];

/// What is tried again from its change on was prepared before.
const RAN: Hooks = Hooks { before: true, after: true };

impl Core {
    /// Carries out a person's `resume`: reality is read again, and a new green window is owed.
    pub fn resume(
        &mut self,
        order: &ResumeOrder,
        step: StepId,
        now: Timestamp,
    ) -> Result<Change, Box<Illegal>> {
        self.history.refused = None;
        // A pause from the future was written before the clock went back: it is older all the same.
        let older = |pause: &Pause| pause.at <= order.at || pause.at > now;
        let Some(pause) = self.history.pause.take_if(|pause| older(pause)) else {
            return Ok(Change { persist: true, ..Change::default() });
        };
        self.history.baseline_owed_since = Some(now);
        self.standing.watch.clear();
        let Some(out) = &mut self.history.out else { return Ok(Change::moved()) };
        let retry =
            if RETRIED.contains(&pause.why.gate.as_str()) { Retry::Again } else { Retry::GoOn };
        out.unstarted = None;
        if retry == Retry::Again {
            out.order.step_id = step;
            out.order.attempt = out.order.attempt.saturating_add(1);
        }
        let key = &out.order.key;
        let quorum = self.observation.as_ref().and_then(|o| o.quorums.get(&key.product));
        let leader = quorum.and_then(|q| q.leader.clone());
        let was_leader = leader.as_ref() == Some(&key.unit);
        out.leadership = Leadership { was_leader, leader, changes: 0 };
        if let Some(observation) = &self.observation {
            out.before.renew_epoch(key, observation);
        }
        let before = out.phase.clone();
        let timings = self.policy.timings.step(out.order.role);
        let (phase, mut effects) =
            before.clone().step(Event::Resumed { retry }, now, &timings, RAN)?;
        // What only the holder of the lease may start is found not started once it is held again.
        let seen = self.observation.as_ref();
        if seen.is_none_or(|seen| lease(&self.scene(seen, now)).is_some()) {
            effects.retain(|effect| !matches!(effect, Effect::Start(_)));
        }
        Ok(self.enter(&before, phase, effects, now).and(Change::moved()))
    }
}
