//! What time does: grants lapse, silence and deadlines fail, soaks end, rings open.

use channels::rollout::{
    ClusterState, Decision, Evaluation, HealthGate, Member, Muster, Rest, Stop,
};
use channels::wire::{Hold, HoldScope};
use jiff::{SignedDuration, Timestamp};

use super::attempt::{LAPSE_GRACE, Tracked};
use super::census::{Census, Sight};
use super::changes::Outcome;
use super::draft::Draft;
use super::event::{FAILURES_TOLD, RolloutEventKind};
use super::facts::Fleet;
use super::state::{Head, RolloutId};
use crate::fleet::{GraphKey, Slot};
use crate::served::Served;

/// After so many report intervals without a report the health of a cluster is unknown: one report
/// may be lost.
const UNHEARD_INTERVALS: u64 = 2;

impl Draft<'_> {
    /// One look at everything, to be taken every minute or so, and before anything is granted
    /// after a start. `holds` are those in force.
    pub fn tick(&mut self, fleet: &dyn Fleet, served: &dyn Served, holds: &[Hold], now: Timestamp) {
        self.note_holds(holds, now);
        let Census { mut rest, sights } = Census::take(self, fleet, served);
        for id in self.ids() {
            // Before the looks: whoever one of them ends is counted here from then on.
            if let Some(head) = self.head_mut(id, false) {
                head.rest = rest.remove(&id).unwrap_or_default();
            }
            let slots: Vec<Slot> = self.all_live(id).iter().map(|(slot, _)| *slot).collect();
            for slot in slots {
                match sights.get(&(id, slot)) {
                    Some(sight) => self.look(id, slot, sight, &Looking { fleet, holds, now }),
                    // It was retired, or runs the product no more.
                    None => self.leave(id, slot, now),
                }
            }
            self.count_anew(id);
            self.judge(id, now);
            self.note_converged(id, now);
        }
    }

    /// Holds changed: rollouts that one covers stand still from now on. The next tick does the
    /// same.
    pub fn note_holds(&mut self, holds: &[Hold], now: Timestamp) {
        for id in self.ids() {
            let Some(head) = self.head(id) else { continue };
            let covered = holds.iter().any(|hold| covers(hold, head));
            if covered != head.state.covered
                && let Some(head) = self.head_mut(id, true)
            {
                head.state.covered = covered;
                head.note_holds(now);
            }
        }
    }

    fn look(&mut self, id: RolloutId, slot: Slot, sight: &Sight, looking: &Looking<'_>) {
        let now = looking.now;
        let (Some(head), Some(tracked)) = (self.head(id), self.live(id, slot)) else { return };
        let mut tracked = tracked.clone();
        let attempt = &mut tracked.attempt;
        attempt.heard_at = attempt.heard_at.max(sight.last_seen);
        let began = attempt.began_at.is_some() || attempt.end.is_some();
        let granted_until = tracked.expires_at.and_then(|at| at.checked_add(LAPSE_GRACE).ok());
        if !began && attempt.recorded.is_none() && granted_until.is_some_and(|at| at <= now) {
            return self.end(id, slot, Outcome::Lapsed, now);
        }
        if let Some(labels) = looking.fleet.label_set(sight.labels) {
            tracked.domain = head.rules.caps.domain_of(labels).map(ToOwned::to_owned);
        }
        let graph = looking.fleet.graph(sight.graph);
        let held = head.state.rings_held.contains_key(&tracked.ring)
            || looking.holds.iter().any(|hold| stops(hold, &tracked, graph));
        tracked.note_held(held, now);
        let limit = looking.fleet.interval_s().saturating_mul(UNHEARD_INTERVALS);
        let limit = SignedDuration::from_secs(i64::try_from(limit).unwrap_or(i64::MAX));
        let heard_at = tracked.attempt.heard_at;
        if began && heard_at.is_none_or(|heard| now.duration_since(heard) > limit) {
            tracked.seen = tracked.seen.unheard();
        }
        let soak = head.rules.rings.get(head.ring(&tracked.ring)).map(|ring| ring.gates.soak);
        self.conclude(id, slot, tracked, now);
        let (Some(head), Some(tracked)) = (self.head(id), self.live(id, slot)) else { return };
        let state = tracked.state(&head.rules.deadlines, &head.state.interruptions, now);
        if let ClusterState::Succeeded { at } = state {
            let until = soak.and_then(|soak| at.checked_add(soak.duration()).ok());
            let well = health(head, tracked) == HealthGate::Pass;
            if well && until.is_some_and(|until| until <= now) {
                self.end(id, slot, Outcome::Settled, now);
            }
        }
    }

    /// What counts against the caps, from the attempts as they are: labels may have changed.
    fn count_anew(&mut self, id: RolloutId) {
        let Some(head) = self.head(id) else { return };
        let mut load = head.load.grants_only();
        let live = self.all_live(id);
        for (_, tracked) in live.iter().filter(|(_, tracked)| tracked.in_flight) {
            load.count_in_domain(tracked.domain.as_deref());
        }
        let begins = |tracked: &Tracked| tracked.attempt.began_at.or(tracked.attempt.granted_at);
        let unended = live.iter().filter(|(_, tracked)| tracked.attempt.recorded.is_none());
        let oldest = unended.filter_map(|(_, tracked)| begins(tracked)).min();
        if let Some(head) = self.head_mut(id, false) {
            head.load = load;
            head.forget_before(oldest);
        }
    }

    /// A cluster failed: what is known is enough to stop, and only the next tick opens a ring.
    pub(super) fn judge_after_failure(&mut self, id: RolloutId, now: Timestamp) {
        let Some(head) = self.head(id) else { return };
        let halted = head.state.core.clock().stops().contains(&Stop::Halted);
        if !halted && !head.rest.is_empty() {
            self.judge(id, now);
        }
    }

    fn judge(&mut self, id: RolloutId, now: Timestamp) {
        let Some(head) = self.head(id) else { return };
        if head.rest.is_empty() {
            return;
        }
        let musters = self.musters(head, now);
        let was = head.state.clone();
        let Some(head) = self.head_mut(id, false) else { return };
        let rules = std::sync::Arc::clone(&head.rules);
        let Evaluation { judgements, opened, new_failures } =
            head.state.core.evaluate_musters(&rules, &musters, now);
        head.judgements = judgements;
        head.note_stops(now);
        let stops = head.state.core.clock().stops();
        let before = was.core.clock().stops();
        let mut events = Vec::new();
        if !new_failures.is_empty() {
            let waiting = head.state.core.halted_by().len();
            let failures = new_failures.into_iter().take(FAILURES_TOLD).collect();
            events.push(RolloutEventKind::Halted { failures, waiting });
        }
        match (before.contains(&Stop::Blind), stops.contains(&Stop::Blind)) {
            (false, true) => events.push(RolloutEventKind::Blind),
            (true, false) => events.push(RolloutEventKind::Seeing),
            (true, true) | (false, false) => {}
        }
        if let Some(ring) = opened {
            events.push(RolloutEventKind::RingOpened { ring: head.ring_name(ring) });
        }
        // Time that went by is worked out again from the row: alone it is nothing to write.
        let mut waited = was;
        waited.core.settle(&rules, now);
        if head.state != waited {
            self.head_mut(id, true);
        }
        for event in events {
            self.tell(id, None, event, now);
        }
    }

    fn musters(&self, head: &Head, now: Timestamp) -> Vec<Muster> {
        let rest = head.rest.iter().copied().chain(std::iter::repeat(Rest::default()));
        let rings = head.rules.rings.iter().zip(rest);
        let mut musters: Vec<Muster> =
            rings.map(|(_, rest)| Muster { members: Vec::new(), rest }).collect();
        for (_, tracked) in self.all_live(head.id) {
            if let Some(muster) = musters.get_mut(head.ring(&tracked.ring)) {
                muster.members.push(Member {
                    cluster: tracked.cluster,
                    state: tracked.state(&head.rules.deadlines, &head.state.interruptions, now),
                    health: health(head, tracked),
                });
            }
        }
        musters
    }

    /// The first time that nobody is left to go, and nobody failed whose failure was not accepted.
    fn note_converged(&mut self, id: RolloutId, now: Timestamp) {
        let Some(head) = self.head(id) else { return };
        if head.state.converged_at.is_some() || !head.state.core.failed().is_empty() {
            return;
        }
        let waiting = head.rest.iter().any(|rest| rest.not_started > 0);
        let anybody = head.rest.iter().any(|rest| rest.settled + rest.there > 0);
        let live = self.all_live(id);
        let moving = live.iter().any(|(_, tracked)| !tracked.has_succeeded());
        if waiting || moving || !anybody && live.is_empty() {
            return;
        }
        if let Some(head) = self.head_mut(id, true) {
            head.state.converged_at = Some(now);
            self.tell(id, None, RolloutEventKind::Converged, now);
        }
    }
}

/// What a look needs.
struct Looking<'a> {
    fleet: &'a dyn Fleet,
    holds: &'a [Hold],
    now: Timestamp,
}

/// The health gate of an attempt in its ring. A cluster that was granted before it told its baselines,
/// or that nobody granted, is never known to be well where the policy asks for them.
pub(super) fn health(head: &Head, tracked: &Tracked) -> HealthGate {
    let asks_more = !head.health_rules(&tracked.ring).baselines.is_empty();
    let told = tracked.baseline.as_ref().is_some_and(|health| !health.measured.is_empty());
    let gate = tracked.health();
    if asks_more && !told && gate == HealthGate::Pass { HealthGate::Unknown } else { gate }
}

/// Whether a hold covers a whole rollout.
fn covers(hold: &Hold, head: &Head) -> bool {
    let covered = matches!(&hold.scope, HoldScope::Fleet)
        || matches!(&hold.scope, HoldScope::Product { product } if *product == head.product)
        || matches!(&hold.scope, HoldScope::Release { product, version }
            if *product == head.product && *version == head.version);
    covered && hold.resumed_at.is_none()
}

/// Whether a hold that covers no whole rollout stops this cluster.
fn stops(hold: &Hold, tracked: &Tracked, graph: Option<&GraphKey>) -> bool {
    let stopped = matches!(&hold.scope, HoldScope::Cluster { cluster } if *cluster == tracked.cluster)
        || matches!(&hold.scope, HoldScope::Channel { product, channel }
            if graph.is_some_and(|graph| graph.product == *product && graph.channel == *channel));
    stopped && hold.resumed_at.is_none()
}

/// What keeps a ring from passing.
pub(super) fn missing(decision: &Decision) -> Vec<channels::rollout::WaitReason> {
    match decision {
        Decision::Wait { reasons, .. } => reasons.clone(),
        Decision::Advance | Decision::Halt { .. } => Vec::new(),
    }
}
