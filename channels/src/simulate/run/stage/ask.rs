//! Who asks, and what the hub answers: the rollout's own code, cluster by cluster.

use std::collections::BTreeSet;

use super::super::Variant;
use super::Stage;
use crate::rollout::{Answer, Asking, ClusterState, WhyNot};
use crate::simulate::cast::{Player, count};

/// The reason of clusters that the hub cannot answer.
const HUB_DOWN: &str = "hub_down";
/// The reason of clusters that do not ask.
const OFFLINE: &str = "offline";

impl<'r> Stage<'r, '_> {
    /// Clusters ask in the order in which they go; the hub grants under the caps.
    pub(super) fn answer_those_who_ask(&mut self) {
        let reached = self.reach();
        self.sample.eligible += reached;
        for ring in 0..self.lanes.len() {
            self.ask_ring(ring);
            self.ask_for_the_rest(ring);
        }
    }

    /// Moves on to the clusters the curves have come to.
    fn reach(&mut self) -> u32 {
        let mut new = 0;
        let rings = self.cast.rings.iter().zip(&mut self.lanes).take(self.rollout.rings_open());
        for (players, lane) in rings {
            while let Some(player) = players.get(lane.reached)
                && self.rollout.is_eligible(self.policy, &player.position, self.now)
            {
                lane.waiting.push(lane.reached);
                lane.reached += 1;
                new += 1;
            }
        }
        if new > 0 {
            self.changed_at = self.now;
        }
        new
    }

    fn answer(&self, player: &Player<'_>) -> Answer {
        let asking = Asking {
            policy: self.policy,
            position: Some(&player.position),
            labels: player.labels(),
            load: &self.load,
            judgements: &self.judgements,
        };
        self.rollout.answer(&asking, self.now)
    }

    /// Those the curve has come to. One that is refused for more than its failure domain speaks for
    /// all behind it: holds, windows and the other caps are the same for everybody.
    fn ask_ring(&mut self, ring: usize) {
        let Some(lane) = self.lanes.get_mut(ring) else { return };
        let waiting = std::mem::take(&mut lane.waiting);
        let mut still = Vec::new();
        let mut full: BTreeSet<&'r str> = BTreeSet::new();
        let (mut offline, mut crowded) = (0, 0);
        let mut rest = waiting.iter().copied();
        while let Some(index) = rest.next() {
            let Some(player) = self.player(ring, index) else { continue };
            if !self.is_online(player) {
                offline += 1;
                still.push(index);
                continue;
            }
            let domain = self.policy.caps.domain_of(player.labels());
            if domain.is_some_and(|domain| full.contains(domain)) {
                crowded += 1;
                still.push(index);
                continue;
            }
            let answer = self.answer(player);
            if answer.is_go() {
                self.load.count_in_flight(&self.policy.caps, player.labels());
                self.load.count_grant(&self.policy.caps, self.now);
                self.begins(ring, index);
                continue;
            }
            still.push(index);
            if let ([WhyNot::CapFailureDomain { .. }], Some(domain)) = (&answer.why_not[..], domain)
            {
                full.insert(domain);
                self.wait_for(&answer.why_not, 1);
                continue;
            }
            still.extend(rest.by_ref());
            let clusters = count(still.len()).saturating_sub(offline + crowded);
            self.wait_for(&answer.why_not, clusters);
        }
        self.wait(OFFLINE, offline, "it did not ask the hub");
        self.wait("cap_failure_domain", crowded, "its failure domain is full");
        if let Some(lane) = self.lanes.get_mut(ring) {
            lane.waiting = still;
        }
    }

    /// Those the curve has not come to: the first speaks for them.
    fn ask_for_the_rest(&mut self, ring: usize) {
        let Some(players) = self.cast.rings.get(ring) else { return };
        let reached = self.lanes.get(ring).map_or(0, |lane| lane.reached);
        if let Some(player) = players.get(reached) {
            let answer = self.answer(player);
            self.wait_for(&answer.why_not, count(players.len() - reached));
        }
    }

    /// Nobody is answered.
    pub(super) fn hub_is_silent(&mut self) {
        let waiting = self.members.iter().flatten();
        let waiting = waiting.filter(|member| member.state == ClusterState::NotStarted).count();
        self.wait(HUB_DOWN, count(waiting), "the hub did not answer");
    }

    fn is_online(&self, player: &Player<'_>) -> bool {
        self.variant == Variant::Plan || player.is_online(self.cast.dice, self.after)
    }

    fn wait(&mut self, code: &'static str, clusters: u32, example: &str) {
        self.tale.wait(code, clusters, self.step.secs(), self.now, &|| example.to_owned());
    }

    fn wait_for(&mut self, why: &[WhyNot], clusters: u32) {
        self.tale.wait_for(why, clusters, self.step.secs(), self.now);
    }
}
