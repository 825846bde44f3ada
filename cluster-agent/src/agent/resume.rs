//! How a roll goes on after a pause, when a person says so.
//!
//! Pure; part of [`Core`]. Nothing here judges whether the cluster is well: a green window is owed.

use channels::wire;
use jiff::Timestamp;

use super::core::{Change, Core};
use crate::driver::StepId;
use crate::history::{BACK_ORDERED, Cause, Leadership, Out, Pause};
use crate::phase::{Effect, Event, Failed, Given, Illegal, Phase, Retry};
use crate::plan::{Stand, Target, lease, plain, stand};
use crate::state::ResumeOrder;

/// Why a step was left: the unit runs something else than it was sent to.
const RUNS_ANOTHER: &str = "runs_another";

impl Core {
    /// Carries out a person's `resume`: reality is read again, and a new green window is owed.
    pub fn resume(
        &mut self,
        order: &ResumeOrder,
        step: StepId,
        now: Timestamp,
    ) -> Result<Change, Box<Illegal>> {
        // A unit that was left changed stays one until its next step.
        self.history.refused.take_if(|refused| refused.why.gate != BACK_ORDERED);
        // A pause from the future was written before the clock went back: it is older all the same.
        let older = |pause: &Pause| pause.at <= order.at || pause.at > now;
        if self.history.pause.take_if(|pause| older(pause)).is_none() {
            return Ok(Change { persist: true, ..Change::default() });
        }
        self.history.baseline_owed_since = Some(now);
        self.standing.watch.clear();
        // Orders may have come since the last probe.
        self.retarget(now);
        let left = self.elsewhere(now);
        let Some(out) = &mut self.history.out else { return Ok(Change::moved()) };
        let retry = retry(out);
        out.unstarted = None;
        out.failed = None;
        let event = match left {
            Some(why) => Event::Left { why },
            None => Event::Resumed { retry },
        };
        if event == (Event::Resumed { retry: Retry::Again }) {
            // Its command has ended under the old name: only a new one is run again. A step that
            // goes on keeps its name, which is also on what it holds.
            out.order.step_id = step;
            out.order.attempt = out.order.attempt.saturating_add(1);
        }
        let key = &out.order.key;
        let quorum = self.observation.as_ref().and_then(|o| o.quorums.get(&key.product));
        let leader = quorum.and_then(|q| q.leader.clone());
        let was_leader = leader.as_ref() == Some(&key.unit);
        out.leadership =
            Leadership { was_leader, led_at_change: Some(was_leader), leader, changes: 0 };
        if let Some(observation) = &self.observation {
            out.before.renew_epoch(key, observation);
        }
        let before = out.phase.clone();
        // What is tried again from its change on was prepared before; what changed by itself never.
        let planned = out.cause == Cause::Planned;
        let given = Given { before: planned, after: planned, changed: out.is_touched() };
        let timings = self.policy.timings.step(out.order.role);
        let (phase, mut effects) = before.clone().step(event, now, &timings, given)?;
        // What only the holder of the lease may start is found not started once it is held again.
        let seen = self.observation.as_ref();
        if seen.is_none_or(|seen| lease(&self.scene(seen, now)).is_some()) {
            effects.retain(|effect| !matches!(effect, Effect::Start(_)));
        }
        Ok(self.enter(&before, phase, effects, now).and(Change::moved()))
    }

    /// Why the unit that is out leaves its step, because waiting for it leads nowhere: a person
    /// ordered the product back, or someone brought the unit to another known release by hand.
    fn elsewhere(&self, now: Timestamp) -> Option<wire::WaitingOn> {
        let observation = self.observation.as_ref()?;
        let out = self.history.out.as_ref()?;
        let (key, order) = (out.key(), &out.order);
        let Some(Target::Move(goal)) = self.targets.get(&key.product) else { return None };
        let sent_to = plain(&order.component.version);
        let wanted = plain(&goal.components.get(&order.role)?.version);
        let mut approvals = self.approvals.iter().filter(|order| order.back);
        let back = approvals.any(|order| order.product == key.product && order.to == goal.to);
        if back && wanted != sent_to && may_go_back(out) {
            let message =
                format!("it leaves its step to {}: back to {} is ordered", order.to, goal.to);
            return Some(left(BACK_ORDERED, out, message, now));
        }
        let watched = matches!(out.phase, Phase::AwaitHealth { .. } | Phase::Soak { .. });
        let runs = plain(observation.units.get(key)?.version.as_deref()?);
        if !watched || runs == sent_to {
            return None;
        }
        match stand(&self.scene(observation, now), key, goal) {
            Stand::AtGoal | Stand::Behind(_) => {
                let message = format!("it runs {runs}, not {sent_to}: its step is over");
                Some(left(RUNS_ANOTHER, out, message, now))
            }
            Stand::NotConcerned | Stand::Foreign(_) | Stand::Silent => None,
        }
    }
}

/// Whether the step is where it could not go on to the release it was sent to.
fn may_go_back(out: &Out) -> bool {
    match &out.phase {
        Phase::AwaitHealth { .. } => true,
        Phase::AwaitReturn { .. } => out.failed == Some(Failed::Return),
        Phase::Mutate { .. } => out.failed == Some(Failed::Change),
        Phase::Preflight { .. } | Phase::Quiesce { .. } => out.is_touched(),
        // A soak ends by itself, and so does what was never changed.
        Phase::Before { .. }
        | Phase::Undo { .. }
        | Phase::Restore { .. }
        | Phase::Soak { .. }
        | Phase::After { .. }
        | Phase::Done
        | Phase::Dropped { .. } => false,
    }
}

/// Whether what failed is what the phase still waits for: a unit that has returned by itself in the
/// pause is not sent away again.
fn retry(out: &Out) -> Retry {
    let again = match (&out.phase, out.failed) {
        (Phase::Mutate { .. }, Some(failed)) => matches!(failed, Failed::Change | Failed::Start),
        (Phase::AwaitReturn { .. }, Some(failed)) => failed == Failed::Return,
        (Phase::Undo { .. } | Phase::Restore { .. }, Some(failed)) => failed == Failed::Restore,
        (Phase::After { .. }, Some(failed)) => failed == Failed::After,
        (Phase::Preflight { .. } | Phase::Quiesce { .. }, Some(failed)) => {
            failed == Failed::Prepare
        }
        (_, _) => false,
    };
    if again { Retry::Again } else { Retry::GoOn }
}

fn left(gate: &str, out: &Out, message: String, now: Timestamp) -> wire::WaitingOn {
    wire::WaitingOn {
        gate: gate.to_owned(),
        unit: Some(out.key().unit.clone()),
        message,
        observed: None,
        limit: None,
        since: Some(now),
    }
}
