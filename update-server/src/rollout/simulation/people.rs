//! People of a simulated world: they write the policy, hold, look at failures and go on, relabel.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use channels::wire::{Hold, HoldScope};
use jiff::{SignedDuration, Timestamp};

use super::agent::Cluster;
use super::dice::Dice;
use super::hub::Hub;
use super::releases::version;
use crate::rollout::{RolloutCommand, RolloutStatus, RolloutView};

pub(super) struct People {
    dice: Dice,
    versions: u32,
    halted_since: Option<Timestamp>,
    held: Vec<(Timestamp, RolloutCommand, crate::rollout::RolloutId)>,
    style: Style,
    /// They do nothing at all.
    pub(super) asleep: bool,
}

/// A fleet so large has caps of one cluster at a time and a few an hour, and ends within days.
const SMALL: u32 = 60;

/// What a world's policies have in common.
#[expect(clippy::struct_excessive_bools, reason = "each is a key that is there or not")]
struct Style {
    /// By how much caps are larger than those of a small fleet: who has thousands of clusters does not
    /// take them one by one, which would be months.
    scale: u32,
    concurrent: u32,
    per_period: bool,
    per_domain: bool,
    windows: bool,
    approval: bool,
    failures: u64,
}

impl People {
    pub(super) fn new(mut dice: Dice, clusters: u32) -> Self {
        let style = Style {
            scale: (clusters / SMALL).max(1),
            concurrent: *dice.pick(&[1, 2, 5, 1000]),
            per_period: dice.per_mille(500),
            per_domain: dice.per_mille(500),
            windows: dice.per_mille(300),
            approval: dice.per_mille(250),
            failures: dice.within(0, 3),
        };
        Self { dice, versions: 0, halted_since: None, held: Vec::new(), style, asleep: false }
    }

    /// A policy of this world.
    pub(super) fn policy(&self, change: u32) -> String {
        let style = &self.style;
        let (scale, grants) = (style.scale, 4 * style.scale);
        let concurrent = (style.concurrent + change % 2) * scale;
        let mut caps = format!("  concurrent: {concurrent}\n");
        if style.per_period {
            let _infallible = writeln!(caps, "  per_period: {{grants: {grants}, period: 1h}}");
        }
        if style.per_domain {
            let _infallible =
                writeln!(caps, "  per_failure_domain: {{label: site, concurrent: {scale}}}");
        }
        let windows = if style.windows {
            "calendar:\n  time_zone: Europe/Berlin\n  windows:\n    - {days: [mon, tue, wed, thu, \
             fri, sat, sun], start: '06:00', duration: 20h}\n"
        } else {
            ""
        };
        let failures = style.failures;
        let approval = if style.approval { ", approval: true" } else { "" };
        let soak = 20 + change;
        format!(
            "name: worlds\nemergency: true\n{windows}rings:\n  - name: canary\n    select: \
             {{match_labels: {{ring: canary}}}}\n    curve: {{points: [{{after: 0s, share: \
             100%}}]}}\n  - {{name: early, select: {{match_labels: {{ring: early}}}}{approval}}}\n  \
             - {{name: rest, rest: true}}\ncurve:\n  points: [{{after: 0s, share: 5%}}, {{after: \
             4h, share: 100%}}]\ngates: {{soak: {soak}m, success: 60%, max_failures: {failures}, \
             max_unknown: 1, min_sample: 50%}}\ncaps:\n{caps}deadlines: {{progress: 6h, silence: \
             1h, unit: 30m}}\n"
        )
    }

    pub(super) fn act(
        &mut self,
        hub: &mut Hub,
        clusters: &mut [Cluster],
        now: Timestamp,
        trouble: bool,
    ) {
        if self.asleep {
            return;
        }
        for view in hub.rollouts.views(now) {
            self.look_at(hub, clusters, &view, now, trouble);
        }
        self.lift(hub, clusters, now, trouble);
        if trouble {
            self.meddle(hub, clusters, now);
        }
    }

    fn look_at(
        &mut self,
        hub: &mut Hub,
        clusters: &mut [Cluster],
        view: &RolloutView,
        now: Timestamp,
        trouble: bool,
    ) {
        let reason = "seen".to_owned();
        if let Some(ring) = view.rings.iter().find(|ring| ring.needs_approval)
            && self.dice.per_mille(50)
        {
            let ring = ring.name.clone();
            hub.command(
                clusters,
                view.id,
                &RolloutCommand::Approve { ring, reason: reason.clone() },
                now,
            );
        }
        let waiting: BTreeSet<_> = view
            .failures
            .iter()
            .filter(|(_, accepted)| !accepted)
            .map(|(failure, _)| *failure)
            .collect();
        if view.status != RolloutStatus::Halted && (trouble || waiting.is_empty()) {
            return;
        }
        let since = *self.halted_since.get_or_insert(now);
        if now.duration_since(since) < SignedDuration::from_mins(40) {
            return;
        }
        self.halted_since = None;
        for failure in &waiting {
            let cluster = clusters.iter_mut().find(|cluster| cluster.id == failure.cluster);
            if let Some(cluster) = cluster
                && (!trouble || self.dice.per_mille(700))
            {
                cluster.repair();
            }
        }
        hub.command(clusters, view.id, &RolloutCommand::Resume { seen: waiting, reason }, now);
    }

    fn lift(&mut self, hub: &mut Hub, clusters: &[Cluster], now: Timestamp, trouble: bool) {
        let due = |at: &Timestamp| *at <= now || !trouble;
        let (over, still) = self.held.drain(..).partition(|(at, _, _)| due(at));
        self.held = still;
        let over: Vec<(Timestamp, RolloutCommand, crate::rollout::RolloutId)> = over;
        for (_, command, id) in over {
            hub.command(clusters, id, &command, now);
            hub.meet("release of a hold");
        }
        let before = hub.holds.len();
        hub.holds
            .retain(|hold| trouble && now.duration_since(hold.at) < SignedDuration::from_hours(2));
        if hub.holds.len() < before {
            hub.meet("release of a hold");
        }
    }

    fn meddle(&mut self, hub: &mut Hub, clusters: &mut [Cluster], now: Timestamp) {
        let reason = "careful".to_owned();
        if self.dice.per_mille(8) {
            let views = hub.rollouts.views(now);
            let view = self.dice.pick(&views);
            let ring = self.dice.per_mille(500).then(|| self.dice.pick(&view.rings).name.clone());
            let hold = RolloutCommand::Hold { ring: ring.clone(), reason: reason.clone() };
            hub.command(clusters, view.id, &hold, now);
            hub.meet("hold");
            let until = now + SignedDuration::from_mins(90);
            self.held.push((until, RolloutCommand::Release { ring, reason }, view.id));
        }
        if self.dice.per_mille(8) {
            let product = "acme/kafka".parse().unwrap();
            let cluster = self.dice.pick(clusters).id;
            let scopes = [
                HoldScope::Fleet,
                HoldScope::Release { product, version: version("1.1.0") },
                HoldScope::Cluster { cluster },
            ];
            hub.holds.push(Hold {
                id: hub.holds.len() as u64 + 1,
                scope: self.dice.pick(&scopes).clone(),
                reason: "careful".to_owned(),
                by: "ann".to_owned(),
                at: now,
                resumed_at: None,
                resumed_by: None,
            });
            hub.meet("hold");
        }
        if self.dice.per_mille(20) {
            let index = usize::try_from(self.dice.within(5, clusters.len() as u64)).unwrap();
            let ring = *self.dice.pick(&["canary", "early", "rest"]);
            clusters[index].labels.insert("ring".to_owned(), ring.to_owned());
            hub.relabel(index, &clusters[index].labels.clone());
            hub.meet("relabelled");
        }
        if self.dice.per_mille(5) {
            self.versions += 1;
            let text = self.policy(self.versions);
            hub.apply_policy(clusters, &text, now);
            hub.meet("policy changed");
        }
    }
}
