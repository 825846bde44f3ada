//! What the hub hears: upgrades go on, end, or are not heard of; health changes.

use jiff::{SignedDuration, Timestamp};

use super::super::Variant;
use super::{Rolling, Stage};
use crate::rollout::{Attempt, ClusterState, End, HealthGate};
use crate::simulate::cast::{Player, later};

impl Stage<'_, '_> {
    /// Every cluster on its way reports, unless it is silent.
    pub(super) fn reports_come_in(&mut self) {
        for ring in 0..self.lanes.len() {
            let rolling = self
                .lanes
                .get_mut(ring)
                .map_or_else(Vec::new, |lane| std::mem::take(&mut lane.rolling));
            let mut still = Vec::with_capacity(rolling.len());
            for one in rolling {
                still.extend(self.report(ring, one));
            }
            if let Some(lane) = self.lanes.get_mut(ring) {
                lane.rolling = still;
            }
        }
    }

    /// One cluster on its way; comes back if it still is.
    fn report(&mut self, ring: usize, mut one: Rolling) -> Option<Rolling> {
        let player = self.player(ring, one.index)?;
        if self.moving {
            one.left = one.left.saturating_sub(self.step.duration());
        }
        if !self.is_silent(player) {
            one.attempt.heard_at = Some(self.now);
            let at = self.now;
            let fails = player.fate.fails_by_itself && self.variant != Variant::Plan
                || player.fate.bad && self.harm_shows();
            one.attempt.end = (one.left <= SignedDuration::ZERO).then_some(if fails {
                End::Error { at }
            } else {
                End::Succeeded { at }
            });
        }
        let state = one.attempt.state(&self.policy.deadlines, &self.interruptions, self.now);
        self.put(ring, one.index, state);
        if state.is_in_flight() {
            return Some(one);
        }
        self.load.end_in_flight(&self.policy.caps, player.labels());
        if let ClusterState::Succeeded { at } = state {
            let Player { fate, .. } = player;
            for after in [fate.unknown, fate.regresses].into_iter().flatten() {
                self.due.entry(later(at, after)).or_default().push((ring, one.index));
            }
        }
        None
    }

    /// Whether what the release does to clusters can be seen.
    fn harm_shows(&self) -> bool {
        match self.variant {
            Variant::Actual | Variant::Unreadable => true,
            Variant::Plan | Variant::Unseen => false,
        }
    }

    /// A cluster that was granted begins.
    pub(super) fn begins(&mut self, ring: usize, index: usize) {
        let Some(player) = self.player(ring, index) else { return };
        let typical = player.member.habits.upgrade.typical.duration();
        let left = if self.variant == Variant::Plan { typical } else { player.fate.work };
        let attempt = Attempt {
            granted_at: Some(self.now),
            began_at: Some(self.now),
            heard_at: Some(self.now),
            ..Attempt::default()
        };
        self.put(ring, index, ClusterState::Rolling { began_at: self.now });
        let hit = u32::from(player.fate.is_harmed() && self.variant != Variant::Plan);
        self.sample.begun += 1;
        self.sample.hit += hit;
        self.tale.granted += 1;
        if let Some(tale) = self.tale.rings.get_mut(ring) {
            tale.begun += 1;
            tale.hit += hit;
            tale.first_grant_at.get_or_insert(self.now);
        }
        if hit > 0 {
            self.tale.first_hit_at.get_or_insert(self.now);
        }
        if let Some(lane) = self.lanes.get_mut(ring) {
            lane.rolling.push(Rolling { index, attempt, left });
        }
        self.tale.in_flight_most = self.tale.in_flight_most.max(self.load.in_flight());
    }

    /// Clusters whose health changes by itself about now.
    pub(super) fn health_changes(&mut self) {
        while let Some(due) = self.due.first_entry().filter(|due| *due.key() <= self.now) {
            for (ring, index) in due.remove() {
                self.look_at(ring, index);
            }
        }
    }

    /// The hub gained or lost sight of some.
    pub(super) fn look_at_everybody(&mut self) {
        for ring in 0..self.members.len() {
            for index in 0..self.members.get(ring).map_or(0, Vec::len) {
                self.look_at(ring, index);
            }
        }
    }

    fn look_at(&mut self, ring: usize, index: usize) {
        if let Some(member) = self.members.get(ring).and_then(|ring| ring.get(index)) {
            let state = member.state;
            self.put(ring, index, state);
        }
    }

    /// What the judge sees of a cluster, with the figures that follow from it.
    fn put(&mut self, ring: usize, index: usize, state: ClusterState) {
        let Some(player) = self.player(ring, index) else { return };
        let health = self.health(player, state);
        let Some(member) = self.members.get_mut(ring).and_then(|ring| ring.get_mut(index)) else {
            return;
        };
        let old = *member;
        (member.state, member.health) = (state, health);
        let new = *member;
        if old == new {
            return;
        }
        (self.dirty, self.changed_at) = (true, self.now);
        let Some(tale) = self.tale.rings.get_mut(ring) else { return };
        for (judged, sign) in [(old.judged_state(), -1), (new.judged_state(), 1)] {
            match judged {
                ClusterState::Succeeded { .. } => {
                    move_by(&mut tale.succeeded, sign);
                    move_by(&mut self.sample.succeeded, sign);
                }
                ClusterState::Failed { .. } => {
                    move_by(&mut tale.failed, sign);
                    move_by(&mut self.sample.failed, sign);
                }
                ClusterState::NotStarted
                | ClusterState::Granted { .. }
                | ClusterState::Rolling { .. } => {}
            }
        }
        let is_done = |state: ClusterState| state.is_attempted() && !state.is_in_flight();
        if is_done(state) && !is_done(old.state) {
            tale.done += 1;
            if tale.done == tale.clusters {
                tale.converged_at = Some(self.now);
                self.tale.happen(self.now, "ring_converged", Some(ring));
            }
        }
    }

    fn health(&self, player: &Player<'_>, state: ClusterState) -> HealthGate {
        let fate = &player.fate;
        let blind = fate.blind & self.blind != 0 || self.variant == Variant::Unreadable;
        let succeeded_at = match state {
            ClusterState::NotStarted | ClusterState::Granted { .. } => return HealthGate::Pass,
            ClusterState::Rolling { began_at } => {
                let unheard = self.is_silent(player) && self.now > began_at;
                return if blind || unheard { HealthGate::Unknown } else { HealthGate::Pass };
            }
            ClusterState::Failed { .. } => None,
            ClusterState::Succeeded { at } => Some(at),
        };
        let since = |after: Option<SignedDuration>| -> Option<Timestamp> {
            Some(later(succeeded_at?, after?))
        };
        let noise = fate.unknown.filter(|_| self.variant != Variant::Plan);
        if blind || since(noise).is_some_and(|until| self.now < until) {
            return HealthGate::Unknown;
        }
        let regresses = fate.regresses.filter(|_| self.harm_shows());
        match since(regresses).filter(|at| *at <= self.now) {
            Some(since) => HealthGate::Fail { since },
            None => HealthGate::Pass,
        }
    }
}

fn move_by(figure: &mut u32, sign: i32) {
    *figure = figure.saturating_add_signed(sign);
}
